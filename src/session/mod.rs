//! One connection, transport-free: what it may do, what it watches, when its token ends. REST calls are sessions of one
//! request.

pub mod admission;
pub mod call;
pub mod connection;
mod convert;
pub mod encode;
mod input;
pub mod limiter;
pub mod meters;
mod parse;
pub mod searches;
pub mod subscribe;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::admission::Admission;
use self::limiter::Limiter;
use self::meters::Meters;
use self::searches::Searches;
use crate::clock::Clock;
use crate::live::hub::Hub;
use crate::service::accounts::Accounts;
use crate::service::admin::Admin;
use crate::service::appointments::Appointments;
use crate::service::audit::Audit;
use crate::service::auth::Auth;
use crate::service::calendar_feeds::CalendarFeeds;
use crate::service::doctors::Doctors;
use crate::service::erasure::Erasure;
use crate::service::export::Exports;
use crate::service::resources::Resources;
use crate::service::reviews::Reviews;
use crate::service::series::SeriesOfAppointments;
use crate::service::slots::Slots;
use crate::service::waitlist::Waitlist;

/// Everything that a session can reach.
pub struct Services {
    pub auth: Arc<Auth>,
    pub accounts: Accounts,
    pub calendar_feeds: CalendarFeeds,
    pub admin: Admin,
    pub audit: Audit,
    pub erasure: Arc<Erasure>,
    pub exports: Exports,
    pub doctors: Arc<Doctors>,
    pub resources: Resources,
    pub slots: Arc<Slots>,
    pub appointments: Arc<Appointments>,
    pub series: SeriesOfAppointments,
    pub waitlist: Waitlist,
    pub reviews: Reviews,
    pub hub: Arc<Hub>,
    pub clock: Clock,
    pub limits: Limits,
    /// How fast anybody may ask.
    pub limiter: Limiter,
    /// How fast all together may connect.
    pub admission: Admission,
    pub meters: Meters,
    pub searches: Searches,
    /// Numbers the connections.
    pub connections: AtomicU64,
}

/// What one connection may use. Each bound protects the node from one client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a message or body from the client.
    pub message_bytes: usize,
    /// Messages a second, sustained; twice as many in a burst.
    pub messages_per_second: u32,
    /// Topics at the same time; each date of a slots range counts.
    pub subscriptions: usize,
    /// Requests without a reply at the same time; more wait.
    pub in_flight: usize,
    /// Bytes of changes that wait to be sent before the client counts as too slow.
    pub backlog_bytes: usize,
    /// Milliseconds between the server's `ping`s; twice as long without a word from the client ends the connection.
    pub heartbeat_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            messages_per_second: 1_000,
            subscriptions: 512,
            in_flight: 32,
            backlog_bytes: 1024 * 1024,
            heartbeat_ms: 20_000,
        }
    }
}
