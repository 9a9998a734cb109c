//! Idempotency keys: a success is remembered in the document that it changed, and answered again.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid as Id;

use super::documents::{Outcome, Remembered};
use super::value::{bson_id, bson_time, instant, uuid_of};
use crate::domain::history::Actor;
use crate::domain::ids::{SessionId, UserId};

/// How long a success is remembered.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Most successes that one document remembers.
const REMEMBERED_LIMIT: usize = 64;

/// A mutation as its idempotency key identifies it.
#[derive(Clone, Debug)]
pub struct Request {
    pub user: UserId,
    /// The session that it comes from: for the history of what it changes, no part of what tells requests apart.
    pub session: SessionId,
    pub operation: &'static str,
    /// Digest of the idempotency key, whose text may be longer than documents have room for.
    pub key: Id,
    /// SHA-256 of what is asked for.
    pub fingerprint: [u8; 32],
    pub at: Timestamp,
}

/// What a document remembers of a request.
#[derive(Debug, PartialEq)]
pub enum Recall<'a> {
    /// Nothing: it is new.
    New,
    /// It succeeded before.
    Done(Option<&'a Outcome>),
    /// The key was used for something else.
    Different,
}

impl Request {
    /// Who asks, and from where.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { user: self.user, session: self.session }
    }

    /// The same request as another operation: what it creates beside has an id of its own.
    #[must_use]
    pub fn of(&self, operation: &'static str) -> Self {
        Self { operation, ..self.clone() }
    }

    /// Looks the request up among what a document remembers.
    #[must_use]
    pub fn recall<'a>(&self, keys: &'a [Remembered]) -> Recall<'a> {
        let same = |entry: &&Remembered| {
            uuid_of(entry.user) == self.user.0 && entry.operation == self.operation && uuid_of(entry.key) == self.key
        };
        match keys.iter().filter(|entry| is_remembered(entry, self.at)).find(same) {
            None => Recall::New,
            Some(entry) if entry.request == self.fingerprint => Recall::Done(entry.outcome.as_ref()),
            Some(_) => Recall::Different,
        }
    }

    /// What a document remembers once this request has succeeded.
    #[must_use]
    pub fn remember(&self, keys: &[Remembered], outcome: Option<Outcome>) -> Vec<Remembered> {
        let mut kept: Vec<Remembered> = keys.iter().filter(|entry| is_remembered(entry, self.at)).cloned().collect();
        let surplus = (kept.len() + 1).saturating_sub(REMEMBERED_LIMIT);
        kept.drain(..surplus);
        kept.push(Remembered {
            user: bson_id(self.user.0),
            operation: self.operation.to_owned(),
            key: bson_id(self.key),
            request: self.fingerprint,
            at: bson_time(self.at),
            outcome,
        });
        kept
    }
}

/// What a document remembers, without what a user has asked for.
pub(super) fn without(keys: &[Remembered], user: UserId) -> Vec<Remembered> {
    keys.iter().filter(|entry| uuid_of(entry.user) != user.0).cloned().collect()
}

fn is_remembered(entry: &Remembered, now: Timestamp) -> bool {
    instant(entry.at).is_ok_and(|at| now.duration_since(at) < REMEMBERED_FOR)
}
