//! A calendar feed: an address under which a calendar program reads its owner's appointments. What is kept of it makes no address.

use jiff::{SignedDuration, Timestamp};

use super::appointment::Status;
use super::ids::{AppointmentId, DoctorId};
use super::secret::DerivationKey;
use super::session::Digest;

/// How long an appointment stays in the feed after its start.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How far ahead the feed reaches.
pub const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 366);
/// Most events of a feed, the earliest first: 20 visits on each of 500 days.
pub const MOST_EVENTS: usize = 10_000;
/// What stands in a calendar. Holds, and what is over without a visit, do not: a calendar program forgets what it is no longer told.
pub const SHOWN: [Status; 4] = [Status::Pending, Status::Booked, Status::Arrived, Status::Fulfilled];

/// The feed of an account, the only one or the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarFeed {
    /// What its secret is derived with from the idempotency key of whoever made it, so that a repetition is told the same.
    pub key: DerivationKey,
    /// SHA-256 of its secret.
    pub hash: Digest,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl CalendarFeed {
    /// Whether its address works.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// The same without a working address.
    #[must_use]
    pub fn revoked(self, at: Timestamp) -> Self {
        Self { revoked_at: self.revoked_at.or(Some(at)), ..self }
    }
}

/// An appointment as it stands in a calendar. Reasons and notes stay in Cita: a calendar program passes on what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: AppointmentId,
    pub rev: u32,
    /// It waits for approval.
    pub is_tentative: bool,
    pub doctor: DoctorId,
    /// Empty once they are erased, as is the patient's.
    pub doctor_name: String,
    pub patient_name: String,
    pub service_name: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
