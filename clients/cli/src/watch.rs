//! `watch`: a live view that survives lost connections, expired tokens and servers that restart.
//!
//! One connection at a time is listened to until it ends; what is kept between connections is the model, its position
//! and the token.

use std::convert::Infallible;
use std::time::Duration;

use cita_cli::connection::decode;
use cita_cli::live::{Difference, Model, Position};
use cita_cli::{Backoff, ClientError, Connection, Frame, Verdict};
use cita_protocol::auth::{MeGetRequest, RenewReply, RenewRequest, User};
use cita_protocol::doctor::{Doctor, DoctorGetRequest};
use cita_protocol::frame::{Change, GoAway, Hello, Reset, Snapshot};
use cita_protocol::topic::{SubscribeReply, SubscribeRequest};
use cita_protocol::{LocalDate, Operation};
use jiff::SignedDuration;
use serde_json::json;
use tokio::time::sleep;

use crate::args::SlotRange;
use crate::client::Client;
use crate::directory::{SLOT_DAYS, find_both, find_doctor};
use crate::failure::Failure;
use crate::output::{Paint, plain};
use crate::screen;
use crate::times::{self, Days};

mod view;

use view::{AppointmentsView, DoctorView, SessionsView, SlotsView, View};

/// The server's own default for a calendar: yesterday to 31 days ahead.
const CALENDAR_DAYS: (i32, i32) = (1, 32);

/// Free times of a service.
pub async fn slots(mut client: Client, range: &SlotRange) -> Result<(), Failure> {
    let (doctor, service) = find_both(&mut client, &range.doctor, &range.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let (from, to) = (range.from.as_deref(), range.to.as_deref());
    let days = Days::parse(from, to, times::today(&zone), SLOT_DAYS)?;
    let topic = format!("doctors/{}/slots/{}", doctor.id, service.id);
    let view = SlotsView { title: screen::slots_title(&doctor, &service), zone, output: client.output };
    let request = subscription(topic, Some(days));
    Watch::new(client, view, request, days.count()).run().await
}

/// A doctor's profile and services.
pub async fn doctor(mut client: Client, doctor: &str) -> Result<(), Failure> {
    let doctor = find_doctor(&mut client, doctor).await?;
    let view = DoctorView { zone: times::zone(&doctor.time_zone)?, output: client.output };
    Watch::new(client, view, subscription(format!("doctors/{}", doctor.id), None), 1).run().await
}

/// A doctor's appointments.
pub async fn calendar(
    mut client: Client,
    doctor: Option<String>,
    from: Option<String>,
    to: Option<String>,
) -> Result<(), Failure> {
    let doctor = match doctor {
        Some(text) => find_doctor(&mut client, &text).await?,
        None => own_profile(&mut client).await?,
    };
    let zone = times::zone(&doctor.time_zone)?;
    let days = Days::parse(from.as_deref(), to.as_deref(), times::today(&zone), CALENDAR_DAYS)?;
    let view = AppointmentsView {
        title: format!(
            "Calendar of {} · {} to {} · times in {}",
            plain(&doctor.name),
            days.from,
            days.to,
            times::zone_name(&zone)
        ),
        zone,
        output: client.output,
    };
    let request = subscription(format!("doctors/{}/appointments", doctor.id), Some(days));
    Watch::new(client, view, request, 1).run().await
}

/// A doctor's id is their user's id.
pub async fn own_profile(client: &mut Client) -> Result<Doctor, Failure> {
    let request = DoctorGetRequest { id: client.required_session()?.user.id, after: None };
    let profile = client.read(Operation::DoctorGet, request).await;
    profile.map_err(|failure: Failure| match failure.code() {
        Some(cita_protocol::ErrorCode::NotFound) => Failure::usage("this profile is not a doctor")
            .with_hint("Name one: cita-cli watch calendar DOCTOR, or see your own: cita-cli watch me"),
        _ => failure,
    })
}

/// One's own appointments.
pub async fn me(mut client: Client) -> Result<(), Failure> {
    let request = MeGetRequest::default();
    let user: User = client.read(Operation::MeGet, request).await?;
    let zone = times::zone_of(&user)?;
    let view =
        AppointmentsView { title: format!("Appointments of {}", plain(&user.name)), zone, output: client.output };
    Watch::new(client, view, subscription("me/appointments".into(), None), 1).run().await
}

/// One's own sessions.
pub async fn sessions(mut client: Client) -> Result<(), Failure> {
    let request = MeGetRequest::default();
    let user: User = client.read(Operation::MeGet, request).await?;
    let zone = times::zone_of(&user)?;
    let title = format!("Sessions of {} · times in {}", plain(&user.name), times::zone_name(&zone));
    let view = SessionsView { title, zone, output: client.output };
    Watch::new(client, view, subscription("me/sessions".into(), None), 1).run().await
}

fn subscription(topic: String, days: Option<Days>) -> SubscribeRequest {
    let date = |pick: fn(Days) -> LocalDate| days.map(pick);
    SubscribeRequest { topic, from: date(Days::first), to: date(Days::last), after: None }
}

struct Watch<V: View> {
    client: Client,
    view: V,
    request: SubscribeRequest,
    model: Model<V::Item>,
    position: Position,
    /// The first table stands: from now on changes are told.
    shown: bool,
    token: Option<String>,
    /// What the server's clock is ahead of this machine's.
    skew: SignedDuration,
    backoff: Backoff,
    /// When to come back, as a server asked that stops.
    reconnect_after: Duration,
}

impl<V: View> Watch<V> {
    fn new(client: Client, view: V, request: SubscribeRequest, topics: usize) -> Self {
        Self {
            client,
            view,
            request,
            model: Model::default(),
            position: Position::new(topics),
            shown: false,
            token: None,
            skew: SignedDuration::ZERO,
            backoff: Backoff::for_reconnecting(),
            reconnect_after: Duration::ZERO,
        }
    }

    /// Runs until coming back would not help.
    async fn run(mut self) -> Result<(), Failure> {
        self.client.close().await;
        let mut connection = self.open().await?;
        loop {
            let Err(failure) = self.listen(&connection).await;
            drop(connection);
            connection = self.reconnect(failure).await?;
        }
    }

    async fn open(&mut self) -> Result<Connection, Failure> {
        let (connection, token) = self.client.open().await?;
        self.token = token;
        Ok(connection)
    }

    async fn reconnect(&mut self, mut failure: Failure) -> Result<Connection, Failure> {
        loop {
            let verdict = failure.verdict();
            if verdict == Verdict::Stop || (verdict == Verdict::NewToken && self.token.is_none()) {
                return Err(failure);
            }
            self.wait(&failure).await;
            match self.reopen(verdict).await {
                Ok(connection) => return Ok(connection),
                Err(next) => failure = next,
            }
        }
    }

    async fn reopen(&mut self, verdict: Verdict) -> Result<Connection, Failure> {
        if let (Verdict::NewToken, Some(token)) = (verdict, &self.token) {
            self.client.refresh(token).await?;
        }
        self.open().await
    }

    async fn wait(&mut self, failure: &Failure) {
        let asked = failure.problem().and_then(|problem| problem.retry_after_ms);
        let delay = self
            .backoff
            .next_delay()
            .saturating_add(std::mem::take(&mut self.reconnect_after))
            .max(Duration::from_millis(asked.unwrap_or(0)));
        self.say(Paint::Notice, &format!("{failure}; reconnecting in {:.1} s", delay.as_secs_f64()));
        sleep(delay).await;
    }

    /// Subscribes and shows what comes, until the connection or the subscription ends.
    async fn listen(&mut self, connection: &Connection) -> Result<Infallible, Failure> {
        self.greet(connection.hello());
        self.model.forget_parts(None);
        self.request.after = self.position.after().cloned();
        let reply = connection.subscribe(&self.request).await?;
        self.subscribed(&reply);
        loop {
            let frame = connection.next_event().await?;
            self.client.output.object(&frame);
            self.take(connection, frame).await?;
        }
    }

    fn greet(&mut self, hello: &Hello) {
        let server_time = times::timestamp(&hello.server_time);
        self.skew = server_time.map_or(SignedDuration::ZERO, |time| time.duration_since(times::now()));
        let output = self.client.output;
        output.object(&json!({"type": "hello", "data": hello}));
    }

    fn subscribed(&mut self, reply: &SubscribeReply) {
        self.client.output.object(&json!({"type": "reply", "data": reply}));
        if reply.resumed {
            self.position.resume();
        } else {
            self.position.restart();
        }
        match (self.shown, reply.resumed) {
            (false, _) => {}
            (true, true) => self.say(Paint::Good, "reconnected and resumed: nothing was missed"),
            (true, false) => self.say(Paint::Notice, "reconnected, but reset: what differs from before follows"),
        }
    }

    async fn take(&mut self, connection: &Connection, frame: Frame) -> Result<(), Failure> {
        let Frame { kind, cursor, data, .. } = frame;
        match kind.as_str() {
            "snapshot" => {
                let part: Snapshot<V::Item> = decode(&kind, data)?;
                let topic = part.topic.clone();
                if let Some(differences) = self.model.snapshot(part) {
                    self.position.snapshot(&topic, cursor);
                    self.show(&differences);
                }
                self.backoff.reset();
            }
            "change" => {
                let change: Change<V::Item> = decode(&kind, data)?;
                let differences = self.model.change(change);
                self.position.change(cursor);
                self.show(&differences);
                self.backoff.reset();
            }
            "ping" => {
                self.position.ping(cursor);
                self.backoff.reset();
            }
            "reset" => self.reset(&decode(&kind, data)?),
            "authExpiring" => self.renew(connection).await,
            "goAway" => self.go_away(&decode(&kind, data)?),
            "error" => return Err(ClientError::Problem(decode(&kind, data)?).into()),
            // Whatever later servers send besides is not for this client.
            _ => {}
        }
        Ok(())
    }

    fn reset(&mut self, reset: &Reset) {
        // After a subscription that did not resume, this is said already.
        if self.position.is_whole() {
            self.say(Paint::Notice, "reset by the server: what differs from before follows");
        }
        self.position.reset(&reset.topic);
        self.model.forget_parts(Some(&reset.topic));
    }

    fn go_away(&mut self, go_away: &GoAway) {
        self.reconnect_after = Duration::from_millis(go_away.reconnect_after_ms);
        self.say(Paint::Notice, "the server is about to stop");
    }

    /// Hands the open connection a fresh token. When that fails, the close that follows leads to another attempt.
    async fn renew(&mut self, connection: &Connection) {
        let Some(token) = self.token.clone() else {
            return;
        };
        match self.renewed(connection, &token).await {
            Ok(token) => self.token = Some(token),
            Err(failure) => self.say(Paint::Notice, &format!("the session could not be renewed: {failure}")),
        }
    }

    async fn renewed(&self, connection: &Connection, token: &str) -> Result<String, Failure> {
        let session = self.client.refresh(token).await?;
        let request = RenewRequest { access_token: session.access_token.clone() };
        let _: RenewReply = connection.call(Operation::AuthRenew, request, None).await?;
        Ok(session.access_token)
    }

    /// Shows the whole once, then each change.
    fn show(&mut self, differences: &[Difference<V::Item>]) {
        let now = times::now() + self.skew;
        let output = self.client.output;
        if self.shown {
            for line in differences.iter().filter_map(|difference| self.view.change(difference, now)) {
                output.line(format!("{}  {line}", times::now_text(self.view.zone())));
            }
        } else if self.position.is_whole() {
            self.shown = true;
            let items: Vec<_> = self.model.items().cloned().collect();
            for line in self.view.table(&items, now) {
                output.line(line);
            }
            self.say(Paint::Faint, "live; Ctrl-C ends");
        }
    }

    fn say(&self, paint: Paint, text: &str) {
        let output = self.client.output;
        if output.json {
            output.note(text);
        } else {
            let time = times::now_text(self.view.zone());
            output.line(format!("{time}  {}", output.paint(paint, text)));
        }
    }
}
