//! Committed changes and the positions at which they became true.

use std::sync::Arc;

use super::doctor::Doctor;
use super::entry::Entry;
use super::ids::DoctorId;
use super::review::Review;
use super::session::Session;

/// A cluster time of MongoDB: seconds in the upper, increment in the lower 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A committed change of one entity, whole.
#[derive(Clone, Debug)]
pub enum Change {
    /// Of what takes a doctor's time.
    Entry(Entry),
    Doctor(Arc<Doctor>),
    Review(Arc<Review>),
    /// A session began, was refreshed or was ended. What is kept of its refresh tokens does not travel: `refresh` is `None`.
    Session(Arc<Session>),
    /// There is another key that signs access tokens, or will.
    SigningKey,
}

impl Change {
    /// The doctor whose calendar it changes.
    #[must_use]
    pub fn doctor(&self) -> Option<DoctorId> {
        match self {
            Self::Entry(entry) => Some(entry.doctor()),
            Self::Doctor(doctor) => Some(doctor.id),
            Self::Review(_) | Self::Session(_) | Self::SigningKey => None,
        }
    }
}

/// All changes of one position. Only a whole commit is ever pushed, and only its position is ever a cursor.
#[derive(Clone, Debug)]
pub struct Commit {
    pub at: Position,
    pub changes: Vec<Change>,
    /// Bytes of the documents as they came, for the bounds of what is kept.
    pub bytes: usize,
}

impl Commit {
    /// What it changes of what takes doctors' time.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.changes.iter().filter_map(|change| match change {
            Change::Entry(entry) => Some(entry),
            _ => None,
        })
    }
}

/// What a feed tells.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    /// A commit; later than every one before.
    Commit(Commit),
    /// Everything up to this position has been told.
    Position(Position),
    /// What came before can no longer be continued: forget it. The feed goes on from this position.
    Lost(Position),
}

impl FeedEvent {
    /// Whether it tells of such a change.
    pub fn has(&self, such: impl Fn(&Change) -> bool) -> bool {
        matches!(self, Self::Commit(commit) if commit.changes.iter().any(such))
    }
}
