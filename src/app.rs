//! The composition root: starts the databases, connects the rooms, serves, and takes everything down again. The only
//! file that sees all.

mod following;
mod scraping;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::following::{Served, follow, mend_appointments, mend_users};
use self::scraping::Scraping;
use crate::clock::Clock;
use crate::config::{Config, Mode, check};
use crate::demo::{self, DemoLogins};
use crate::domain::change::{Change, FeedEvent};
use crate::domain::mail::Mail;
use crate::embedded;
use crate::error::{ClusterName, Error};
use crate::health::Readiness;
use crate::live::hub::Hub;
use crate::notify::mail::{self, Post};
use crate::notify::notifier::Notifier;
use crate::service::accounts::Accounts;
use crate::service::admin::Admin;
use crate::service::appointments::Appointments;
use crate::service::audit::Audit;
use crate::service::auth::{Auth, Trust};
use crate::service::calendar_feeds::CalendarFeeds;
use crate::service::doctors::Doctors;
use crate::service::erasure::Erasure;
use crate::service::export::Exports;
use crate::service::keys;
use crate::service::releases::Releases;
use crate::service::resources::Resources;
use crate::service::reviews::Reviews;
use crate::service::series::SeriesOfAppointments;
use crate::service::slots::Slots;
use crate::service::waitlist::Waitlist;
use crate::session::admission::Admission;
use crate::session::limiter::{Limiter, Rates};
use crate::session::meters::Meters;
use crate::session::searches::Searches;
use crate::session::{Limits, Services, encode};
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::{Cluster, ConnectError};
use crate::store::doctors::DoctorStore;
use crate::store::history::History;
use crate::store::reviews::ReviewStore;
use crate::store::waitlist::WaitlistStore;
use crate::store::{self, users};
use crate::transport::cookies::CookieNames;
use crate::transport::forwarded::TrustedProxies;
use crate::transport::origins::Origins;
use crate::transport::tls::Tls;
use crate::transport::{State, descriptors, meters, routes, server};
use crate::views::calendar::Calendar;
use crate::views::calendars::{Calendars, Loader};
use crate::views::committed::Committed;
use crate::views::revocations::Revocations;

/// How often each cluster is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Pause between attempts to reach a cluster at the start.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// How long a stopping server waits for its close frames to be taken, once it no longer waits for answers.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often the signing keys are read again: the feed tells of a new one at once, unless it has lost its place.
const READ_KEYS_EVERY: Duration = Duration::from_secs(30);
/// How often the rate limiter forgets who has been quiet.
const FORGET_EVERY: Duration = Duration::from_secs(10);
/// How far back the claims of a calendar are loaded: the week of the oldest slot that can be watched, which weekly limits count in.
const CALENDAR_BACK: jiff::SignedDuration = jiff::SignedDuration::from_hours(10 * 24);

/// Why the server could not start, for the person who starts it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} (choose another address with --listen, or port 0 for a free one)")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Embedded(#[from] embedded::EmbeddedError),
    #[error("{0}")]
    Configuration(String),
    #[error("the {cluster} cluster cannot be used: {reason}")]
    Cluster { cluster: ClusterName, reason: String },
    #[error("could not start")]
    Services(#[from] Error),
    #[error("the stream of changes has stopped, which is a defect of Cita: see the log, and start it again")]
    Feed,
}

/// A server that has begun to listen.
pub struct App {
    config: Config,
    listener: TcpListener,
    state: Arc<State>,
    post: Post,
    scraping: Option<Scraping>,
    tls: Option<Arc<Tls>>,
}

/// What a running server tells about itself.
#[derive(Debug)]
pub struct Serving {
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub encrypted: bool,
    pub logins: Option<DemoLogins>,
}

impl App {
    /// Checks the configuration and opens the listener. Until [`App::run`] has both clusters, everything but `/livez`, `/readyz`
    /// and the dashboard's files answers 503.
    ///
    /// # Errors
    /// When the address cannot be used, or options contradict each other.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let config = check::complete(config).map_err(|mistakes| StartError::Configuration(check::list(&mistakes)))?;
        let scraping = Scraping::open(&config).await?;
        let (address, listener) = (config.listen, listen(config.listen).await?);
        let post = check::post(&config, listener.local_addr().unwrap_or(address)).map_err(StartError::Configuration)?;
        let local_port = (config.mode == Mode::Development)
            .then(|| listener.local_addr().map_or(address.port(), |address| address.port()));
        let tls = check::tls(&config).map_err(StartError::Configuration)?.map(Arc::new);
        let origins = Origins::new(&config.allowed_origins, config.public_url.as_deref(), local_port, tls.is_some());
        let proxies = TrustedProxies(config.trusted_proxies.clone());
        let cookies = CookieNames::new(config.mode == Mode::Production || tls.is_some());
        let mut state = State::new(Clock, cookies, origins, proxies);
        state.limits.connections = descriptors::for_clients();
        meters::may_connect(state.limits.connections);
        Ok(Self { config, listener, state: Arc::new(state), post, scraping, tls })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the socket has none.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then drains: nothing new is accepted, what is under way finishes, sockets are told to
    /// reconnect elsewhere. `ready` is called once requests are served.
    ///
    /// # Errors
    /// Why it could not start.
    pub async fn run(self, stop: CancellationToken, ready: impl FnOnce(&Serving)) -> Result<(), StartError> {
        let Self { config, listener, state, post, scraping, tls } = self;
        let address = listener.local_addr().unwrap_or(config.listen);
        tracing::info!(%address, "listening");
        let (router, limits) = (routes::router(state.clone()), state.limits.clone());
        let (shutdown, tasks, encrypted) = (state.shutdown.clone(), state.tasks.clone(), tls.is_some());
        let (beside, mut embedded) = (Beside::default(), None);
        if let Some(tls) = tls.clone() {
            beside.spawn(tls.keep_fresh());
        }
        tokio::spawn(server::serve(listener, tls, router, limits, shutdown, tasks));
        let (mails, to_deliver) = mpsc::channel(mail::QUEUE);
        let notices = tells_of_appointments(&config).then(|| post.clone());
        let mailing = Mailing { outbox: mails, notices, public_url: check::public_url(&config, address) };
        // It stops by itself, after the last mails.
        beside.tasks.spawn(post.run(to_deliver, beside.stop.clone()));
        if let Some(scraping) = scraping {
            beside.spawn(scraping.run(state.clone(), beside.stop.clone()));
        }
        let started = tokio::select! {
            started = start(&config, &state, &beside, mailing, &mut embedded) => started.map(Some),
            () = stop.cancelled() => Ok(None),
        };
        let result = match started {
            Ok(Some(logins)) => {
                ready(&Serving { address, encrypted, logins });
                let ended = tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    () = beside.failed.cancelled() => Err(beside.complaint.lock().take().unwrap_or(StartError::Feed)),
                };
                drain(&config, &state).await;
                ended
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        state.shutdown.cancel();
        beside.stop().await;
        if let Some(clusters) = embedded {
            embedded::Clusters::stop(clusters).await;
        }
        result
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// What runs beside the listener.
#[derive(Default)]
struct Beside {
    stop: CancellationToken,
    /// A task that must never end has ended.
    failed: CancellationToken,
    /// Why, if somebody has to do something about it.
    complaint: Arc<Mutex<Option<StartError>>>,
    tasks: TaskTracker,
}

impl Beside {
    /// Runs until it ends by itself, or everything does.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! { () = task => {}, () = stop.cancelled() => {} }
        });
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn start(
    config: &Config,
    state: &State,
    beside: &Beside,
    mailing: Mailing,
    embedded: &mut Option<embedded::Clusters>,
) -> Result<Option<DemoLogins>, StartError> {
    let (users, appointments) = match (&config.users_uri, &config.appointments_uri) {
        (Some(users), Some(appointments)) => (users.expose().to_owned(), appointments.expose().to_owned()),
        _ => {
            let clusters = embedded.insert(start_embedded(config).await?);
            (clusters.users.uri(), clusters.appointments.uri())
        }
    };
    let users = Cluster::new(ClusterName::Users, &users).await.map_err(StartError::Configuration)?;
    let appointments =
        Cluster::new(ClusterName::Appointments, &appointments).await.map_err(StartError::Configuration)?;
    let (store, doctors) = (AppointmentStore::new(appointments.clone()), DoctorStore::new(appointments.clone()));
    let revocations = Arc::new(Revocations::default());
    let open = async {
        connect(&users, state, beside, || users::ensure_indexes(&users).boxed()).await?;
        open_auth(config, &users, &revocations, state.clock).await
    };
    let (auth, history) =
        tokio::try_join!(open, connect(&appointments, state, beside, || store::prepare(&appointments).boxed()))?;
    let parts = Parts { users, appointments, store, doctors, auth, revocations, history, mailing };
    serve(config, state, beside, parts).await
}

/// What knows who somebody is, unless the accounts are not fit for it.
async fn open_auth(
    config: &Config,
    users: &Cluster,
    revocations: &Arc<Revocations>,
    clock: Clock,
) -> Result<Arc<Auth>, StartError> {
    let external = check::external_issuer(config).map_err(StartError::Configuration)?;
    let trust = Trust { issuer: config.issuer.clone(), secret: config.secret.clone(), external };
    let open = || Auth::open(users.clone(), &trust, revocations.clone(), clock).boxed();
    let auth = until_available(open).await?;
    auth.check_keys().map_err(StartError::Configuration)?;
    tokio::try_join!(check_protection(config, users), check_demo(config, &auth))?;
    Ok(Arc::new(auth))
}

/// What the services stand on.
struct Parts {
    users: Cluster,
    appointments: Cluster,
    store: AppointmentStore,
    doctors: DoctorStore,
    auth: Arc<Auth>,
    revocations: Arc<Revocations>,
    /// Which history cursors belong to.
    history: History,
    mailing: Mailing,
}

/// Where mails go, and what links begin with.
struct Mailing {
    public_url: String,
    /// Those that services decide to send.
    outbox: mpsc::Sender<Mail>,
    /// What delivers those about appointments, if any are sent.
    notices: Option<Post>,
}

/// Whether there is somewhere to send mails to. A directory that is made where nothing was said is for links that let people in.
fn tells_of_appointments(config: &Config) -> bool {
    config.smtp_url.is_some() || config.mail_spool.is_some()
}

async fn serve(
    config: &Config,
    state: &State,
    beside: &Beside,
    parts: Parts,
) -> Result<Option<DemoLogins>, StartError> {
    let clock = state.clock;
    let (committed, auth, revocations) = (Arc::new(Committed::default()), parts.auth, parts.revocations);
    let megabytes = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(1024 * 1024);
    let (ring_bytes, calendar_bytes) = (megabytes(config.ring_mb), megabytes(config.calendars_mb));
    let calendars = Arc::new(Calendars::new(loader(parts.store.clone(), clock), ring_bytes, calendar_bytes));
    let slots = Arc::new(Slots::new(parts.store.clone(), calendars.clone(), committed.clone(), clock));
    let approve_at_once = config.mode == Mode::Development;
    let hub = Arc::new(Hub::new(
        calendars.clone(),
        committed.clone(),
        revocations.clone(),
        encode::frames,
        clock,
        parts.history.epoch,
    ));
    beside.spawn(keep_reading_keys(auth.clone(), hub.clone()));
    let demo_reviews = ReviewStore::new(parts.appointments.clone());
    let waitlist = WaitlistStore::new(parts.appointments.clone());
    let seed = || demo::seed(&auth, &parts.doctors, &parts.store, &demo_reviews, &waitlist).boxed();
    let logins = if config.demo { until_available(seed).await? } else { None };
    let (users, store, rules) = (parts.users.clone(), parts.store.clone(), parts.doctors.clone());
    let reviews = ReviewStore::new(parts.appointments.clone());
    let seconds = |seconds: u32| jiff::SignedDuration::from_secs(i64::from(seconds));
    let releases = Releases::new(
        parts.store.clone(),
        waitlist.clone(),
        calendars.clone(),
        committed.clone(),
        clock,
        seconds(config.offer_seconds),
    );
    let exports = Exports::new(users.clone(), store.clone(), rules.clone(), reviews.clone(), waitlist, clock);
    let erasure = Arc::new(Erasure::new(users, releases.clone(), rules, reviews.clone(), auth.clone(), clock));
    let audit = Audit::new(parts.users.clone(), clock);
    let resources = Resources::new(parts.doctors.resources(), audit.clone(), committed.clone(), clock);
    let calendar_feeds =
        CalendarFeeds::new(parts.users.clone(), store.clone(), auth.clone(), parts.mailing.public_url, clock);
    let reviews = Reviews::new(reviews, store, slots.clone(), audit.clone(), committed.clone(), clock);
    let doctors =
        Doctors::new(parts.doctors, parts.store, slots.clone(), committed, releases.clone(), approve_at_once, clock);
    let doctors = Arc::new(doctors);
    let held = seconds(config.hold_seconds);
    let appointments = Appointments::new(auth.clone(), slots.clone(), releases, clock, held);
    let appointments = Arc::new(appointments);
    let services = Arc::new(Services {
        auth: auth.clone(),
        calendar_feeds,
        accounts: Accounts::new(parts.users.clone(), auth.clone(), doctors.clone(), parts.mailing.outbox, clock),
        admin: Admin::new(parts.users.clone(), auth.clone(), doctors.clone(), audit.clone(), clock),
        audit,
        erasure: erasure.clone(),
        exports,
        doctors,
        resources,
        slots,
        series: SeriesOfAppointments::new(appointments.clone()),
        waitlist: Waitlist::new(appointments.clone()),
        appointments,
        reviews,
        hub: hub.clone(),
        clock,
        limits: limits(config),
        limiter: Limiter::new(rates(config), config.mode == Mode::Development),
        admission: Admission::new(config.ws_handshakes),
        meters: Meters::default(),
        searches: Searches::default(),
        connections: AtomicU64::new(0),
    });
    if config.metrics_listen.is_some() {
        beside.spawn(scraping::keep_telling(services.clone(), calendars.clone()));
    }
    let limited = services.clone();
    beside.spawn(async move {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            limited.limiter.drop_full();
        }
    });
    let holding = services.clone();
    beside.spawn(async move { holding.appointments.keep_ending_holds().await });
    let to_hub = hub.clone();
    let served = Served { appointments: parts.appointments.clone(), history: parts.history };
    let mend = mend_appointments(served.clone());
    let appointments = follow(&parts.appointments, state, beside, mend, &served, move |event| {
        to_hub.appointments(event);
        std::future::ready(()).boxed()
    });
    let mend = mend_users(parts.users.clone());
    let users = follow(&parts.users, state, beside, mend, &served, move |event| {
        let (hub, auth, revocations) = (hub.clone(), auth.clone(), revocations.clone());
        async move {
            let lost = matches!(event, FeedEvent::Lost(_));
            if event.has(|change| matches!(change, Change::SigningKey)) {
                read_keys(&auth, &hub).await;
            }
            hub.users(event);
            revocations.prune(clock.now());
            if lost {
                if let Err(error) = until_available(|| auth.load_revocations().boxed()).await {
                    tracing::error!(%error, "ended sessions could not be read");
                }
                hub.end_revoked();
            }
        }
        .boxed()
    });
    beside.spawn(async move { erasure.run().await });
    // Before the feeds are live: from then on the node is ready.
    let _first = state.services.set(services);
    tokio::join!(appointments, users);
    if let Some(post) = parts.mailing.notices {
        // It stops by itself, and gives its lease back.
        let recent = Box::new(move |position, most| calendars.news(position, most));
        let notifier = Notifier::new(parts.appointments, parts.users, recent, post, clock);
        beside.tasks.spawn(notifier.run(beside.stop.clone()));
    }
    Ok(logins)
}

async fn start_embedded(config: &Config) -> Result<embedded::Clusters, StartError> {
    let mongod = embedded::find_mongod(config.mongod.as_deref(), &embedded::default_cache_dir()).await?;
    let data_dir: &Path = &config.data_dir;
    Ok(embedded::Clusters::start(&mongod, data_dir).await?)
}

/// Tries until a cluster answers and has its indexes, and watches from then on whether it does. Only what trying again does not mend is an error.
async fn connect<'a, T>(
    cluster: &Cluster,
    state: &State,
    beside: &Beside,
    prepare: impl Fn() -> BoxFuture<'a, Result<T, mongodb::error::Error>>,
) -> Result<T, StartError> {
    let mut told = false;
    loop {
        match cluster.connect(&prepare).await {
            Ok(prepared) => {
                state.readiness.set_up(cluster.name, true);
                tracing::info!(cluster = %cluster.name, "connected");
                beside.spawn(watch_over(cluster.clone(), state.readiness.clone()));
                return Ok(prepared);
            }
            Err(ConnectError::Unusable(reason)) => return Err(StartError::Cluster { cluster: cluster.name, reason }),
            Err(ConnectError::Away(reason)) => {
                // Once loudly, then quietly: it may take a while.
                if std::mem::replace(&mut told, true) {
                    tracing::debug!(cluster = %cluster.name, reason, "still not reachable");
                } else {
                    tracing::warn!(cluster = %cluster.name, reason, "not reachable yet, still trying");
                }
            }
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// Repeats what a cluster cut short by going away, until it is back.
async fn until_available<'a, T>(attempt: impl Fn() -> BoxFuture<'a, Result<T, Error>>) -> Result<T, Error> {
    loop {
        match attempt().await {
            Err(Error::Unavailable { cluster, .. }) => tracing::warn!(%cluster, "went away, still trying"),
            result => return result,
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// A secret that was given later protects no key that was made before.
async fn check_protection(config: &Config, users: &Cluster) -> Result<(), StartError> {
    if config.secret.is_none() {
        return Ok(());
    }
    let checked = until_available(|| keys::check_protection(users).boxed()).await?;
    match (checked, config.mode) {
        (Err(complaint), Mode::Production) => Err(StartError::Configuration(complaint)),
        (Err(complaint), Mode::Development) => {
            tracing::error!(complaint, "the signing key is not encrypted");
            Ok(())
        }
        (Ok(()), _) => Ok(()),
    }
}

/// Everybody knows the passwords of the demo clinic.
async fn check_demo(config: &Config, auth: &Auth) -> Result<(), StartError> {
    if config.mode == Mode::Production && until_available(|| demo::is_there(auth).boxed()).await? {
        let complaint = "the databases hold the demo clinic, whose passwords everybody knows: give production its own";
        return Err(StartError::Configuration(complaint.to_owned()));
    }
    Ok(())
}

/// Reads the signing keys now and then.
async fn keep_reading_keys(auth: Arc<Auth>, hub: Arc<Hub>) {
    // At once: since they were read the node may have waited long for its other cluster.
    let mut every = tokio::time::interval(READ_KEYS_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        read_keys(&auth, &hub).await;
    }
}

/// What cannot be read now is read the next time.
async fn read_keys(auth: &Auth, hub: &Hub) {
    match auth.read_keys().await {
        Ok(true) => {
            tracing::warn!(
                "a signing key is no longer trusted: whoever is connected has to come back with a new token"
            );
            hub.end_known();
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the signing keys could not be read again"),
    }
}

/// Asks a cluster for signs of life.
async fn watch_over(cluster: Cluster, readiness: Arc<Readiness>) {
    let mut every = tokio::time::interval(PING_EVERY);
    loop {
        every.tick().await;
        tell(&readiness, &cluster, cluster.ping().await);
    }
}

fn tell(readiness: &Readiness, cluster: &Cluster, sign: Result<(), String>) {
    let was_up = readiness.set_up(cluster.name, sign.is_ok());
    match sign {
        Err(reason) if was_up => tracing::error!(cluster = %cluster.name, reason, "away"),
        Ok(()) if !was_up => tracing::info!(cluster = %cluster.name, "back"),
        _ => {}
    }
}

fn loader(store: AppointmentStore, clock: Clock) -> Loader {
    Box::new(move |doctor| {
        let store = store.clone();
        async move {
            let since = clock.now() - CALENDAR_BACK;
            let read = store.calendar(doctor, since).await?;
            Ok(read.map(|(at, rules, appointments)| Calendar::new(at, rules, appointments)))
        }
        .boxed()
    })
}

fn limits(config: &Config) -> Limits {
    Limits {
        messages_per_second: config.ws_rate,
        subscriptions: usize::try_from(config.ws_subscriptions).unwrap_or(usize::MAX),
        backlog_bytes: usize::try_from(config.ws_backlog_kb).unwrap_or(usize::MAX).saturating_mul(1024),
        heartbeat_ms: config.heartbeat_ms,
        ..Limits::default()
    }
}

fn rates(config: &Config) -> Rates {
    Rates {
        read: config.rate_read,
        mutation: config.rate_write,
        auth: config.rate_auth,
        subscribe: config.rate_subscribe,
    }
}

/// Gives what is under way its time, then ends it.
async fn drain(config: &Config, state: &State) {
    tracing::info!(connections = state.tasks.len(), "stopping: telling clients to reconnect");
    state.readiness.drain();
    // Ends the accept loop, and every connection hears of it.
    state.shutdown.cancel();
    state.tasks.close();
    if tokio::time::timeout(Duration::from_secs(config.drain_seconds), state.tasks.wait()).await.is_err() {
        tracing::warn!(seconds = config.drain_seconds, "stopped before everything had finished");
        state.cut.cancel();
        // What is cut off then has had its close frame, or does not read.
        let _closed_or_not = tokio::time::timeout(LAST_WORDS, state.tasks.wait()).await;
    }
}
