//! The doors: HTTP and what travels over it. Each door reads what came, hands it to `session`, and writes the answer.
//!
//! Nothing is decided here, so that no rule can hold at one door only.

pub mod auth;
pub mod calendar;
pub mod cookies;
pub mod cors;
pub mod dashboard;
pub mod descriptors;
pub mod docs;
pub mod forwarded;
pub mod front;
pub mod health;
pub mod input;
pub mod json;
pub mod jwks;
pub mod limits;
pub mod log;
pub mod meters;
pub mod metrics;
pub mod openapi;
pub mod origins;
pub mod problem;
pub mod rate;
pub mod rest;
pub mod routes;
pub mod server;
pub mod shape;
pub mod socket;
pub mod sse;
pub mod stalled;
pub mod tls;
pub mod ws;

use std::sync::{Arc, OnceLock};

use cita_protocol::{ErrorCode, Problem};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cookies::CookieNames;
use self::dashboard::Dashboard;
use self::forwarded::TrustedProxies;
use self::origins::Origins;
use crate::clock::Clock;
use crate::health::Readiness;
use crate::session::Services;

/// What the doors need.
pub struct State {
    /// Set once both clusters have been reached.
    pub services: OnceLock<Arc<Services>>,
    pub readiness: Arc<Readiness>,
    pub clock: Clock,
    pub limits: limits::Limits,
    pub cookies: CookieNames,
    /// The pages whose cookies count.
    pub origins: Origins,
    pub dashboard: Dashboard,
    /// Who is believed about the address of a client.
    pub proxies: TrustedProxies,
    /// Cancelled when the node stops: no new connections, streams end.
    pub shutdown: CancellationToken,
    /// Cancelled when a stopping node no longer waits for what is under way: streams and sockets end, answered or not.
    pub cut: CancellationToken,
    /// Every task that serves a client; the node waits for them before it exits.
    pub tasks: TaskTracker,
}

impl State {
    /// A node that serves nothing yet.
    #[must_use]
    pub fn new(clock: Clock, cookies: CookieNames, origins: Origins, proxies: TrustedProxies) -> Self {
        Self {
            services: OnceLock::new(),
            readiness: Arc::default(),
            clock,
            limits: limits::Limits::default(),
            cookies,
            dashboard: Dashboard::new(&origins),
            origins,
            proxies,
            shutdown: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// What the node can do.
    ///
    /// # Errors
    /// `unavailable` while it is starting.
    pub fn services(&self) -> Result<&Arc<Services>, Problem> {
        let services = self.services.get().filter(|_| self.readiness.has_been_ready());
        services.ok_or_else(|| Problem::new(ErrorCode::Unavailable).with_detail("The server is starting."))
    }
}

/// The state as handlers share it.
pub type Shared = Arc<State>;
