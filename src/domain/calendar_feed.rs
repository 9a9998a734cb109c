//! A calendar feed: an address under which a calendar program reads its owner's appointments. What is kept of it makes no address.

use jiff::{SignedDuration, Timestamp};

use super::appointment::{Appointment, Status};
use super::secret::DerivationKey;
use super::session::Digest;

/// How long a visit stays in the feed.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How far ahead the feed of a doctor's calendar reaches.
pub const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 366);

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

/// Whether an appointment stands in a calendar, and whether it is certain. Holds, and what is over without a visit, do not stand in it: a
/// calendar program forgets what it is no longer told.
#[must_use]
pub fn is_certain(appointment: &Appointment) -> Option<bool> {
    match appointment.status {
        Status::Pending => Some(false),
        Status::Booked | Status::Arrived | Status::Fulfilled => Some(true),
        Status::Held | Status::Expired | Status::Cancelled | Status::Noshow => None,
    }
}
