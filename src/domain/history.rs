//! Who did what to an entity, and from which session: the history that a document carries, bounded.

use super::ids::{SessionId, UserId};

/// Most entries of a history.
pub const HISTORY_LIMIT: usize = 100;

/// Who changes something, and the session that they do it from. What the server does on its own has the nil session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub session: SessionId,
}

impl Actor {
    /// The server itself, on behalf of somebody.
    #[must_use]
    pub fn system(user: UserId) -> Self {
        Self { user, session: SessionId(uuid::Uuid::nil()) }
    }
}

/// Adds an entry. Beyond [`HISTORY_LIMIT`] the oldest but the first is dropped.
pub fn append<E>(history: &mut Vec<E>, entry: E) {
    append_within(history, entry, HISTORY_LIMIT);
}

/// The same with another limit, 2 at least.
pub fn append_within<E>(history: &mut Vec<E>, entry: E, limit: usize) {
    if history.len() >= limit {
        history.remove(1);
    }
    history.push(entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_latest_entries_are_kept() {
        let mut history = Vec::new();
        (0..250).for_each(|entry| append(&mut history, entry));
        assert_eq!(history.len(), HISTORY_LIMIT);
        assert_eq!((history[0], history[1], history[99]), (0, 151, 249));
    }
}
