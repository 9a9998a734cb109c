//! MongoDB: the two clusters, their indexes, documents to and from the domain, and every write.
//!
//! A write is durable on a majority before it is acknowledged, and runs in a task of its own: the driver's futures may
//! not be dropped half-way.

pub mod appointments;
pub mod audit;
pub mod cluster;
pub mod doctors;
pub mod documents;
pub mod failure;
mod group_commit;
pub mod history;
pub mod idempotency;
pub mod leases;
mod lenient;
pub mod meters;
pub mod reminders;
pub mod resources;
pub mod reviews;
pub mod series;
pub mod sessions;
pub mod signing_keys;
pub mod together;
mod transaction;
pub mod users;
pub mod value;
pub mod waitlist;
mod whole;
mod write;

use mongodb::error::Error as DriverError;

use self::appointments::AppointmentStore;
use self::cluster::Cluster;
use self::doctors::DoctorStore;
use self::history::History;
use self::reviews::ReviewStore;
use self::waitlist::WaitlistStore;

/// Names of the collections.
pub mod collection {
    pub const USERS: &str = "users";
    pub const SESSIONS: &str = "sessions";
    pub const AUDIT: &str = "audit";
    pub const SIGNING_KEYS: &str = "signingKeys";
    pub const DOCTORS: &str = "doctors";
    pub const RESOURCES: &str = "resources";
    pub const APPOINTMENTS: &str = "appointments";
    pub const REVIEWS: &str = "reviews";
    pub const WAITLIST: &str = "waitlist";
    pub const LEASES: &str = "leases";
    pub const REMINDERS: &str = "reminders";
    pub const HISTORY: &str = "history";
}

/// Makes the indexes of the appointments cluster, or sees that they are there. Returns which history it holds.
///
/// # Errors
/// What the driver said.
pub async fn prepare(appointments: &Cluster) -> Result<History, DriverError> {
    let (visits, doctors) = (AppointmentStore::new(appointments.clone()), DoctorStore::new(appointments.clone()));
    let (reviews, waitlist) = (ReviewStore::new(appointments.clone()), WaitlistStore::new(appointments.clone()));
    // At once: these are round trips of a starting node, and the connections are needed soon.
    let (.., history) = tokio::try_join!(
        visits.ensure_indexes(),
        doctors.ensure_indexes(),
        reviews.ensure_indexes(),
        waitlist.ensure_indexes(),
        history::open(appointments),
    )?;
    Ok(history)
}
