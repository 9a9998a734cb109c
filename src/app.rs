//! The composition root: starts the databases, connects the rooms, serves, and takes everything down again. The only
//! file that sees all.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{Config, Mode};
use crate::demo::{self, DemoLogins};
use crate::domain::change::FeedEvent;
use crate::domain::mail::Mail;
use crate::embedded;
use crate::error::{ClusterName, Error};
use crate::feed::Feed;
use crate::health::Readiness;
use crate::live::hub::Hub;
use crate::notify::mail::{self, Post};
use crate::service::appointments::Appointments;
use crate::service::auth::Auth;
use crate::service::doctors::Doctors;
use crate::service::slots::Slots;
use crate::session::{Limits, Services, encode};
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::{Cluster, ConnectError};
use crate::store::doctors::DoctorStore;
use crate::store::{history, users};
use crate::transport::{State, routes, server};
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
/// Commits that wait for the hub before the feed reads on.
const FEED_BUFFER: usize = 1_024;
/// How far back the claims of a calendar are loaded: no older slot can be watched.
const CALENDAR_BACK: jiff::SignedDuration = jiff::SignedDuration::from_hours(4 * 24);

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
}

/// What a running server tells about itself.
#[derive(Debug)]
pub struct Serving {
    pub address: SocketAddr,
    pub logins: Option<DemoLogins>,
}

impl App {
    /// Checks the configuration and opens the listener. Until [`App::run`] has both clusters, everything but `/livez` and `/readyz` answers 503.
    ///
    /// # Errors
    /// When the address cannot be used, or options contradict each other.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        if config.demo && config.mode == Mode::Production {
            let complaint = "the demo clinic has passwords that everybody knows: leave CITA_DEMO out in production";
            return Err(StartError::Configuration(complaint.to_owned()));
        }
        if config.smtp_url.is_none() && config.mode == Mode::Production {
            let complaint = "in production people have to get their mails: set CITA_SMTP_URL and CITA_MAIL_FROM";
            return Err(StartError::Configuration(complaint.to_owned()));
        }
        let address = config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let post = post(&config, listener.local_addr().unwrap_or(address)).map_err(StartError::Configuration)?;
        Ok(Self { config, listener, state: Arc::new(State::new(Clock)), post })
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
        let Self { config, listener, state, post } = self;
        let address = listener.local_addr().unwrap_or(config.listen);
        tracing::info!(%address, "listening");
        let (router, limits) = (routes::router(state.clone()), state.limits.clone());
        tokio::spawn(server::serve(listener, router, limits, state.shutdown.clone(), state.tasks.clone()));
        let (beside, mut embedded) = (Beside::default(), None);
        let (mails, to_deliver) = mpsc::channel(mail::QUEUE);
        // It stops by itself, after the last mails.
        beside.tasks.spawn(post.run(to_deliver, beside.stop.clone()));
        let started = tokio::select! {
            started = start(&config, &state, &beside, mails, &mut embedded) => started.map(Some),
            () = stop.cancelled() => Ok(None),
        };
        let result = match started {
            Ok(Some(logins)) => {
                ready(&Serving { address, logins });
                let ended = tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    () = beside.failed.cancelled() => Err(StartError::Feed),
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

/// What runs beside the listener.
#[derive(Default)]
struct Beside {
    stop: CancellationToken,
    /// A task that must never end has ended.
    failed: CancellationToken,
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
    mails: mpsc::Sender<Mail>,
    embedded: &mut Option<embedded::Clusters>,
) -> Result<Option<DemoLogins>, StartError> {
    let (users, appointments) = match (&config.users_uri, &config.appointments_uri) {
        (Some(users), Some(appointments)) => (users.clone(), appointments.clone()),
        _ => {
            let clusters = embedded.insert(start_embedded(config).await?);
            (clusters.users.uri(), clusters.appointments.uri())
        }
    };
    let users = Cluster::new(ClusterName::Users, &users).await.map_err(StartError::Configuration)?;
    let appointments =
        Cluster::new(ClusterName::Appointments, &appointments).await.map_err(StartError::Configuration)?;
    let (store, doctors) = (AppointmentStore::new(appointments.clone()), DoctorStore::new(appointments.clone()));
    let (_, epoch) = tokio::try_join!(
        connect(&users, state, beside, || users::ensure_indexes(&users).boxed()),
        connect(&appointments, state, beside, || {
            async {
                store.ensure_indexes().await?;
                doctors.ensure_indexes().await?;
                history::epoch(&appointments).await
            }
            .boxed()
        }),
    )?;
    let parts = Parts { users, appointments, store, doctors, epoch, mails };
    serve(config, state, beside, parts).await
}

/// What the services stand on.
struct Parts {
    users: Cluster,
    appointments: Cluster,
    store: AppointmentStore,
    doctors: DoctorStore,
    /// Which history cursors belong to.
    epoch: u32,
    /// Where mails go.
    mails: mpsc::Sender<Mail>,
}

async fn serve(
    config: &Config,
    state: &State,
    beside: &Beside,
    parts: Parts,
) -> Result<Option<DemoLogins>, StartError> {
    let clock = state.clock;
    let (committed, revocations) = (Arc::new(Committed::default()), Arc::new(Revocations::default()));
    let ring_bytes = usize::try_from(config.ring_mb).unwrap_or(64) * 1024 * 1024;
    let calendars = Arc::new(Calendars::new(loader(parts.store.clone(), clock), ring_bytes));
    let open = || Auth::open(parts.users.clone(), config.issuer.clone(), revocations.clone(), clock).boxed();
    let auth = Arc::new(until_available(open).await?);
    let slots = Arc::new(Slots::new(calendars.clone(), committed.clone(), clock));
    let approve_at_once = config.mode == Mode::Development;
    let hub = Arc::new(Hub::new(
        calendars.clone(),
        committed.clone(),
        revocations.clone(),
        encode::frames,
        clock,
        parts.epoch,
    ));
    let seed = || demo::seed(&auth, &parts.doctors, &parts.store).boxed();
    let logins = if config.demo { until_available(seed).await? } else { None };
    let services = Arc::new(Services {
        auth: auth.clone(),
        doctors: Doctors::new(parts.doctors, slots.clone(), committed.clone(), approve_at_once, clock),
        slots,
        appointments: Appointments::new(parts.store, auth.clone(), calendars, committed, clock),
        hub: hub.clone(),
        mails: parts.mails,
        clock,
        limits: limits(config),
        connections: AtomicU64::new(0),
    });
    let to_hub = hub.clone();
    let appointments = follow(&parts.appointments, state, beside, move |event| {
        to_hub.appointments(event);
        std::future::ready(()).boxed()
    });
    let users = follow(&parts.users, state, beside, move |event| {
        let (hub, auth, revocations) = (hub.clone(), auth.clone(), revocations.clone());
        async move {
            let lost = matches!(event, FeedEvent::Lost(_));
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
    // Before the feeds are live: from then on the node is ready.
    let _first = state.services.set(services);
    tokio::join!(appointments, users);
    Ok(logins)
}

/// What delivers mails, as configured.
fn post(config: &Config, address: SocketAddr) -> Result<Post, String> {
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let from = config.mail_from.as_deref().unwrap_or("cita@localhost");
    match &config.smtp_url {
        Some(url) => {
            Post::by_smtp(url, from, public_url, Clock).map_err(|wrong| format!("the configuration of mail: {wrong}"))
        }
        None => {
            let directory = config.mail_spool.clone().unwrap_or_else(|| config.data_dir.join("mail"));
            Post::to_spool(directory, from, public_url, Clock)
        }
    }
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

/// Runs the feed of a cluster and hands on what it tells. Returns once the feed is live.
async fn follow(
    cluster: &Cluster,
    state: &State,
    beside: &Beside,
    mut take: impl FnMut(FeedEvent) -> BoxFuture<'static, ()> + Send + 'static,
) {
    let (events, mut incoming) = mpsc::channel(FEED_BUFFER);
    let (live, mut is_live) = watch::channel(false);
    beside.spawn(Feed::new(cluster.clone(), events, live).run());
    let (failed, stop) = (beside.failed.clone(), beside.stop.clone());
    beside.spawn(async move {
        // Should it panic, the node must not go on as if nothing changed any more.
        let _guard = OnEnd(|| {
            if !stop.is_cancelled() {
                failed.cancel();
            }
        });
        while let Some(event) = incoming.recv().await {
            take(event).await;
        }
    });
    drop(is_live.wait_for(|live| *live).await);
    let (name, readiness) = (cluster.name, state.readiness.clone());
    readiness.set_live(name, true);
    beside.spawn(async move {
        while is_live.changed().await.is_ok() {
            readiness.set_live(name, *is_live.borrow_and_update());
        }
    });
}

/// Does something when it is dropped, by a panic too.
struct OnEnd<F: Fn()>(F);

impl<F: Fn()> Drop for OnEnd<F> {
    fn drop(&mut self) {
        (self.0)();
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
