//! The sessions that were revoked so lately that an access token of theirs may still live.
//!
//! Filled from the feed, at start from the store, and at once by the node that revokes. Knows nothing of expired
//! sessions: their last access token ends with them.

use dashmap::DashMap;
use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::SessionId;

/// How long a revocation is remembered: the longest life of an access token, which is the hour of another issuer's (ours
/// live 10 minutes), and what clocks may differ by.
pub const RETENTION: SignedDuration = SignedDuration::from_mins(65);

/// Sessions revoked within [`RETENTION`].
#[derive(Debug, Default)]
pub struct Revocations {
    sessions: DashMap<SessionId, Timestamp>,
}

impl Revocations {
    /// Remembers that `session` was revoked `at`.
    pub fn insert(&self, session: SessionId, at: Timestamp) {
        self.sessions.insert(session, at);
    }

    /// Whether the session was revoked.
    #[must_use]
    pub fn contains(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Forgets the revocations that no living token can meet any more.
    pub fn prune(&self, now: Timestamp) {
        self.sessions.retain(|_, at| now.duration_since(*at) <= RETENTION);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_revocation_outlives_every_token_of_its_session() {
        let (view, session, at) = (Revocations::default(), SessionId(Uuid::from_u128(1)), Timestamp::UNIX_EPOCH);
        view.insert(session, at);
        view.prune(at + SignedDuration::from_mins(61));
        assert!(view.contains(session));
        view.prune(at + SignedDuration::from_mins(66));
        assert!(!view.contains(session));
    }
}
