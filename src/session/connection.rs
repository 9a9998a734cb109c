//! A connection that stays: its frames in, its outbox out, its topics, its token's end.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cita_protocol::auth::{Access, RenewReply, RenewRequest};
use cita_protocol::frame::{AuthExpiring, GoAway, Hello, Limits as WireLimits};
use cita_protocol::{ErrorCode, Operation, Problem};
use futures::FutureExt as _;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::call::{self, Request, SessionCookies};
use super::meters::{self, Door};
use super::{Services, convert, encode, input};
use crate::domain::account::{Identity, Viewer};
use crate::domain::peer::Peer;
use crate::live::frame::Frame;
use crate::live::hub::SubscriberId;
use crate::live::meters::Counted;
use crate::live::outbox::{Ending, Outbox};
use crate::live::subscriptions::Subscriptions;
use crate::live::writer::write_now;
use crate::spans;

/// How long before the end of its token a connection is told.
const EXPIRY_NOTICE: SignedDuration = SignedDuration::from_secs(60);
/// Bad messages, without a good one in between, after which a connection is ended.
const VIOLATIONS: u32 = 1_000;
/// How far apart the clients of a stopping server are asked to come back.
const RECONNECT_SPREAD_MS: u64 = 2_000;
/// Longest `id` of a request, in characters.
const ID_LIMIT: usize = 64;

/// An open connection.
pub struct Session {
    pub(super) services: Arc<Services>,
    pub(super) id: SubscriberId,
    pub(super) outbox: Arc<Outbox>,
    viewer: Mutex<Viewer>,
    peer: Peer,
    pub(super) door: Door,
    /// Among those of its tier.
    counted: Mutex<Counted>,
    /// Wakes [`Session::keep`] when the token's end has moved.
    renewed: Notify,
    pub(super) subscriptions: Arc<Subscriptions>,
    /// Subscriptions of one connection are made one after the other.
    pub(super) subscribing: tokio::sync::Mutex<()>,
    in_flight: Arc<Semaphore>,
    limiter: DefaultDirectRateLimiter,
    violations: AtomicU32,
    /// When the client was last heard, in milliseconds since the epoch.
    heard: AtomicI64,
}

/// A frame as it comes in. `data` is read once the operation is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl Session {
    /// Opens a WebSocket connection of a viewer, which begins with `hello`.
    #[must_use]
    pub fn open(services: &Arc<Services>, viewer: Viewer, peer: Peer) -> Arc<Self> {
        let session = Self::new(services, viewer, peer, Door::WebSocket);
        session.outbox.send(Frame::new("hello", None, None, &encode::json(&session.hello())));
        session
    }

    /// Opens a connection that only receives, which begins with its first topic.
    #[must_use]
    pub fn open_stream(services: &Arc<Services>, viewer: Viewer, peer: Peer) -> Arc<Self> {
        Self::new(services, viewer, peer, Door::Sse)
    }

    fn new(services: &Arc<Services>, viewer: Viewer, peer: Peer, door: Door) -> Arc<Self> {
        let limits = &services.limits;
        let rate = NonZeroU32::new(limits.messages_per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        let session = Arc::new(Self {
            services: services.clone(),
            id: SubscriberId(services.connections.fetch_add(1, Ordering::Relaxed)),
            outbox: Arc::new(Outbox::new(limits.backlog_bytes)),
            counted: Mutex::new(meters::count(door, &viewer)),
            viewer: Mutex::new(viewer),
            peer,
            door,
            renewed: Notify::new(),
            subscriptions: Arc::default(),
            subscribing: tokio::sync::Mutex::default(),
            in_flight: Arc::new(Semaphore::new(limits.in_flight)),
            limiter: DefaultDirectRateLimiter::direct(quota),
            violations: AtomicU32::new(0),
            heard: AtomicI64::new(services.clock.now().as_millisecond()),
        });
        services.meters.opened(door, session.id, Arc::downgrade(&session.outbox));
        if let Viewer::User(identity) = session.viewer() {
            services.hub.connected(identity.session, session.id, &session.outbox);
        }
        session
    }

    fn hello(&self) -> Hello {
        let viewer = self.viewer();
        let identity = viewer.identity().ok();
        let limits = &self.services.limits;
        Hello {
            connection_id: convert::id(Uuid::now_v7()),
            access: if identity.is_some() { Access::User } else { Access::Anonymous },
            user: identity.map(convert::connected_user),
            expires_at: identity.map(|identity| convert::instant(identity.expires_at)),
            heartbeat_ms: limits.heartbeat_ms,
            limits: WireLimits {
                max_message_bytes: limits.message_bytes as u64,
                messages_per_second: limits.messages_per_second,
                max_subscriptions: u32::try_from(limits.subscriptions).unwrap_or(u32::MAX),
                max_in_flight: u32::try_from(limits.in_flight).unwrap_or(u32::MAX),
            },
            server_time: convert::instant(self.services.clock.now()),
        }
    }

    /// What waits to be sent.
    #[must_use]
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Whether there is a topic left that it watches.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.subscriptions.count() > 0
    }

    /// Number of the connection, for the log.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.id.0
    }

    /// Who is connected.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.viewer.lock().clone()
    }

    /// Notes a sign of life.
    pub fn heard(&self) {
        self.heard.store(self.services.clock.now().as_millisecond(), Ordering::Relaxed);
    }

    /// Takes in a message. Returns once the connection may send the next one; the answer comes through the outbox.
    pub async fn receive(self: &Arc<Self>, text: &str) {
        self.heard();
        if let Err(wait) = self.limiter.check() {
            let wait = wait.wait_time_from(DefaultClock::default().now());
            let retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
            let id = serde_json::from_str::<Incoming<'_>>(text).ok().and_then(|frame| frame.id);
            let id = id.filter(|id| is_id(id));
            return self.violation(id.as_deref(), Problem { retry_after_ms, ..Problem::new(ErrorCode::RateLimited) });
        }
        let frame: Incoming<'_> = match input::read_frame(text) {
            Ok(frame) => frame,
            Err(problem) => return self.violation(None, problem),
        };
        let id = frame.id.clone();
        if id.as_ref().is_some_and(|id| !is_id(id)) {
            let detail = format!("`id` has 1 to {ID_LIMIT} characters");
            return self.violation(None, Problem::new(ErrorCode::MalformedMessage).with_detail(detail));
        }
        if frame.kind == "pong" {
            return;
        }
        let Some(operation) = Operation::named(&frame.kind) else {
            return self.violation(id.as_deref(), Problem::new(ErrorCode::UnknownType));
        };
        self.violations.store(0, Ordering::Relaxed);
        let span = spans::operation(operation.name(), self.door.as_str());
        self.outbox.has_room().await;
        // The semaphore is never closed.
        let Ok(permit) = self.in_flight.clone().acquire_owned().await else { return };
        let (session, key) = (self.clone(), frame.key);
        let data = frame.data.map_or("{}", RawValue::get).to_owned();
        // In a task of its own: what has begun is finished, whatever becomes of the connection.
        let carried_out = async move {
            // Whoever has lost the right to be here is not served any more.
            if session.outbox.ending().is_none() {
                let began = Instant::now();
                let answered = session.answer(operation, id.as_deref(), key.as_deref(), &data);
                if AssertUnwindSafe(answered).catch_unwind().await.is_err() {
                    tracing::error!(operation = operation.name(), "an operation panicked");
                    let defect = Err::<(), _>(Problem::new(ErrorCode::Internal));
                    session.services.meters.answered(operation, session.door, began.elapsed(), &defect);
                    session.refuse(id.as_deref(), &Problem::new(ErrorCode::Internal));
                }
            }
            drop(permit);
        };
        tokio::spawn(carried_out.instrument(span));
    }

    /// Refuses what is not even a frame. A client that sends nothing else is ended.
    pub fn violation(&self, id: Option<&str>, problem: Problem) {
        self.services.meters.bad_message(problem.code);
        self.refuse(id, &problem);
        if self.violations.fetch_add(1, Ordering::Relaxed) + 1 >= VIOLATIONS {
            self.outbox.end(Ending::Violation);
        }
    }

    fn refuse(&self, id: Option<&str>, problem: &Problem) {
        let id = id.map(encode::json);
        self.answer_with(Frame::new("error", id.as_deref(), None, &encode::json(problem)));
    }

    pub(super) fn reply(&self, id: Option<&str>, cursor: Option<&str>, data: &[u8]) {
        let id = id.map(encode::json);
        self.answer_with(Frame::new("reply", id.as_deref(), cursor, data));
    }

    fn answer_with(&self, frame: Frame) {
        if self.outbox.answer(frame) {
            write_now(&self.outbox);
        }
    }

    async fn answer(&self, operation: Operation, id: Option<&str>, key: Option<&str>, data: &str) {
        let began = Instant::now();
        let result = match operation {
            Operation::AuthRenew => self.renew(id, data).await,
            Operation::AuthLogout | Operation::SessionRevoke | Operation::MeDelete => {
                self.end_session(self.request(operation, key, data), id).await
            }
            Operation::Subscribe => self.subscribe_to(id, data).await,
            Operation::Unsubscribe => self.leave(id, data).await,
            operation => {
                let viewer = self.viewer();
                let (_, answer) = call::call(&self.services, &viewer, self.request(operation, key, data)).await;
                answer.map(|answer| self.reply(id, answer.cursor.as_deref(), &answer.data))
            }
        };
        self.services.meters.answered(operation, self.door, began.elapsed(), &result);
        if let Err(problem) = result {
            self.refuse(id, &problem);
        }
    }

    fn request<'a>(&self, operation: Operation, key: Option<&'a str>, data: &'a str) -> Request<'a> {
        Request { operation, key, data, peer: self.peer, cookies: SessionCookies::Unavailable }
    }

    /// What `call` does for the other operations.
    fn count(&self, operation: Operation) -> Result<(), Problem> {
        self.services.limiter.check(operation, &self.viewer(), self.peer).1
    }

    async fn subscribe_to(&self, id: Option<&str>, data: &str) -> Result<(), Problem> {
        self.count(Operation::Subscribe)?;
        self.subscribe_as(id, input::read(data)?).await
    }

    async fn leave(&self, id: Option<&str>, data: &str) -> Result<(), Problem> {
        self.count(Operation::Unsubscribe)?;
        self.unsubscribe(id, data).await
    }

    /// A fresh token of the same user; an anonymous connection becomes that user.
    async fn renew(&self, id: Option<&str>, data: &str) -> Result<(), Problem> {
        self.count(Operation::AuthRenew)?;
        let request: RenewRequest = input::read(data)?;
        let Viewer::User(identity) = call::authenticate(&self.services, &request.access_token, self.peer).await.1?
        else {
            return Err(Problem::new(ErrorCode::Unauthenticated));
        };
        let reply = RenewReply {
            access: Access::User,
            user: convert::connected_user(&identity),
            expires_at: convert::instant(identity.expires_at),
        };
        self.become_user(identity)?;
        self.reply(id, None, encode::json(&reply).as_bytes());
        Ok(())
    }

    /// Carries out what may end the session of the connection, which is told so before it ends with it.
    async fn end_session(&self, request: Request<'_>, id: Option<&str>) -> Result<(), Problem> {
        let (viewer, hub) = (self.viewer(), &self.services.hub);
        let session = viewer.identity().ok().map(|identity| identity.session);
        // Set aside, so that the end of the session does not overtake the reply.
        if let Some(session) = session {
            hub.disconnected(session, self.id);
        }
        let (_, answer) = call::call(&self.services, &viewer, request).await;
        let quoted = id.map(encode::json);
        match (answer, session) {
            (Ok(answer), Some(session)) if hub.has_ended(session) => {
                let reply = Frame::new("reply", quoted.as_deref(), answer.cursor.as_deref(), &answer.data);
                self.outbox.end_with(reply, Ending::LoggedOut);
                Ok(())
            }
            (answer, session) => {
                if let Some(session) = session {
                    hub.connected(session, self.id, &self.outbox);
                }
                answer.map(|answer| self.reply(id, answer.cursor.as_deref(), &answer.data))
            }
        }
    }

    fn become_user(&self, identity: Identity) -> Result<(), Problem> {
        let mut viewer = self.viewer.lock();
        let before = viewer.identity().ok().map(|identity| (identity.user, identity.session));
        if before.is_some_and(|(user, _)| user != identity.user) {
            let detail = "A connection stays with its user: open another one.";
            return Err(Problem::new(ErrorCode::Forbidden).with_detail(detail));
        }
        let session = identity.session;
        *viewer = Viewer::User(identity);
        *self.counted.lock() = meters::count(self.door, &viewer);
        drop(viewer);
        if before.is_none_or(|(_, old)| old != session) {
            if let Some((_, old)) = before {
                self.services.hub.disconnected(old, self.id);
            }
            self.services.hub.connected(session, self.id, &self.outbox);
        }
        self.renewed.notify_one();
        Ok(())
    }

    /// Heartbeats, and the end of the token. Runs until the connection is to end.
    pub async fn keep(&self) {
        let period = Duration::from_millis(self.services.limits.heartbeat_ms);
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        let mut told = None;
        while self.outbox.ending().is_none() {
            let now = self.services.clock.now();
            let expires = self.viewer().identity().ok().map(|identity| identity.expires_at);
            if expires.is_some_and(|expires| expires <= now) {
                self.outbox.end(Ending::TokenInvalid);
                return;
            }
            let notice = expires.map(|expires| expires - EXPIRY_NOTICE);
            if notice.is_some_and(|notice| notice <= now) && told != expires {
                told = expires;
                let expires_at = convert::instant(expires.unwrap_or(now));
                self.outbox.send(Frame::new("authExpiring", None, None, &encode::json(&AuthExpiring { expires_at })));
            }
            let next = if told == expires { expires } else { notice };
            tokio::select! {
                _ = heartbeat.tick() => self.beat(),
                () = until(next, now) => {}
                () = self.renewed.notified() => {}
            }
        }
    }

    fn beat(&self) {
        let silent = self.services.clock.now().as_millisecond() - self.heard.load(Ordering::Relaxed);
        // One that only listens is found gone by its socket.
        if self.door == Door::WebSocket && u64::try_from(silent).unwrap_or(0) > 2 * self.services.limits.heartbeat_ms {
            self.outbox.end(Ending::Silent);
            return;
        }
        self.ping();
    }

    /// Tells the position of the connection: on all its topics, everything up to there has been sent.
    pub fn ping(&self) {
        self.services.hub.tell_position(&self.outbox, |cursor| Frame::new("ping", None, Some(cursor), "{}"));
    }

    /// Waits until the server stops, says so, and ends the connection once what is under way is answered, or `cut`.
    pub async fn drain_on(&self, stop: &CancellationToken, cut: &CancellationToken) {
        stop.cancelled().await;
        // Spread over the connections: their clients must not all come back at once.
        let reconnect_after_ms = 100 + self.id.0.wrapping_mul(97) % RECONNECT_SPREAD_MS;
        self.outbox.send(Frame::new("goAway", None, None, &encode::json(&GoAway { reconnect_after_ms })));
        let all = u32::try_from(self.services.limits.in_flight).unwrap_or(u32::MAX);
        tokio::select! { _all_answered = self.in_flight.acquire_many(all) => {}, () = cut.cancelled() => {} }
        self.outbox.end(Ending::Drain);
    }

    /// Leaves every topic. Done on drop as well.
    pub fn close(&self) {
        self.outbox.end(Ending::Gone);
        self.services.hub.leave(self.id, &self.subscriptions, |_| true);
        if let Ok(identity) = self.viewer().identity() {
            self.services.hub.disconnected(identity.session, self.id);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
        self.services.meters.closed(self.door, self.id, self.outbox.ending().unwrap_or(Ending::Gone));
    }
}

fn is_id(id: &str) -> bool {
    (1..=ID_LIMIT).contains(&id.chars().count())
}

/// Waits until an instant of the wall clock, or for ever. At most a minute at a time: the clock may be set.
async fn until(instant: Option<Timestamp>, now: Timestamp) {
    match instant {
        None => std::future::pending().await,
        Some(instant) => {
            let wait = Duration::try_from(instant.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(wait.min(Duration::from_secs(60)) + Duration::from_millis(1)).await;
        }
    }
}
