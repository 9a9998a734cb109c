//! Whose hold an appointment is or was.

use jiff::Timestamp;

use crate::domain::ids::{UserId, WaitlistId};

/// Most live holds of a person.
pub const HOLDS: u8 = 3;

/// Whose hold it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub by: UserId,
    /// When it ends by itself, by the database's clock.
    pub until: Timestamp,
    pub place: HoldPlace,
}

/// What keeps a person from having too many holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldPlace {
    /// Which of its owner's [`HOLDS`] holds it is.
    Own(u8),
    /// It is what a waitlist entry is offered, one at a time.
    Offer(WaitlistId),
}

impl Held {
    /// The waitlist entry that it is offered to.
    #[must_use]
    pub fn entry(&self) -> Option<WaitlistId> {
        match self.place {
            HoldPlace::Own(_) => None,
            HoldPlace::Offer(entry) => Some(entry),
        }
    }
}
