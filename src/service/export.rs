//! Everything that the system holds of a person, from both clusters, for that person.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::domain::account::User;
use crate::domain::appointment::Appointment;
use crate::domain::audit::Entry;
use crate::domain::doctor::Doctor;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::review::Review;
use crate::domain::session::Session;
use crate::error::Result;
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::Cluster;
use crate::store::doctors::DoctorStore;
use crate::store::reviews::ReviewStore;
use crate::store::{audit, sessions, users};

/// Exports that are put together at once: each may hold ten thousand documents in memory.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// When to come back after that.
const RETRY_AFTER_MS: u64 = 5_000;
/// Longest list of an export.
const LONGEST: i64 = 10_000;

/// Puts exports together.
pub struct Exports {
    users: Cluster,
    appointments: AppointmentStore,
    doctors: DoctorStore,
    reviews: ReviewStore,
    turns: Semaphore,
    clock: Clock,
}

/// Everything of a person.
#[derive(Clone, Debug)]
pub struct Export {
    pub at: Timestamp,
    pub user: User,
    pub sessions: Complete<Session>,
    /// Of a doctor.
    pub doctor: Option<Doctor>,
    /// As a patient and as a doctor.
    pub appointments: Complete<Appointment>,
    /// Those that they wrote, or have answered.
    pub reviews: Complete<Review>,
    /// Those that they have reported.
    pub reported: Complete<Review>,
    /// What they did and what was done to them, latest first, as they may see it.
    pub audit: Complete<Entry>,
}

/// A list that is whole, or says that it is not.
#[derive(Clone, Debug)]
pub struct Complete<T> {
    pub items: Vec<T>,
    /// There are more than 10,000; these are the oldest.
    pub truncated: bool,
}

impl Exports {
    #[must_use]
    pub fn new(
        users: Cluster,
        appointments: AppointmentStore,
        doctors: DoctorStore,
        reviews: ReviewStore,
        clock: Clock,
    ) -> Self {
        Self { users, appointments, doctors, reviews, turns: Semaphore::new(AT_ONCE), clock }
    }

    /// Everything of a person.
    ///
    /// # Errors
    /// `unauthenticated` when the account is gone; `rate_limited` when too many are being put together; unavailable.
    pub async fn of(&self, person: UserId) -> Result<Export> {
        let turn = timeout(TURN, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Refusal::RateLimited { retry_after_ms: RETRY_AFTER_MS }.into());
        };
        let at = self.clock.now();
        let account = users::find(&self.users, person).await?.ok_or(Refusal::Unauthenticated)?;
        account.usable()?;
        let sessions = sessions::of_user(&self.users, person, LONGEST + 1).await?;
        let doctor = self.doctors.find(person).await?.map(|(stored, _)| stored.doctor);
        let appointments = self.appointments.of_person(person, LONGEST + 1).await?;
        let reviews = self.reviews.of_person(person, LONGEST + 1).await?;
        let reported = self.reviews.reported_by(person, LONGEST + 1).await?;
        let concerns = audit::Query { concerns: Some(person), limit: LONGEST + 1, ..audit::Query::default() };
        let entries = audit::list(&self.users, &concerns).await?;
        Ok(Export {
            at,
            user: account.user,
            sessions: Complete::of(sessions),
            doctor,
            appointments: Complete::of(appointments),
            reviews: Complete::of(reviews),
            reported: Complete::of(reported),
            audit: Complete::of(entries.into_iter().map(|entry| entry.as_seen_by(person)).collect()),
        })
    }
}

impl<T> Complete<T> {
    fn of(mut items: Vec<T>) -> Self {
        let longest = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let truncated = items.len() > longest;
        items.truncate(longest);
        Self { items, truncated }
    }
}
