//! The audit: log-ins and administration, each with who, what, to whom and from where.

use jiff::Timestamp;
use uuid::Uuid;

use super::ids::{SessionId, UserId};
use super::peer::{Network, Peer};

/// Something that was done, or tried. It holds ids and words of our own, never a secret, an address or what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: Uuid,
    pub at: Timestamp,
    /// An operation's or a command's name.
    pub action: String,
    pub outcome: Outcome,
    /// Who did it, as far as known: a wrong password proves nobody.
    pub actor: Option<UserId>,
    pub session: Option<SessionId>,
    pub network: Option<String>,
    /// The user, doctor or session that it was done to.
    pub object: Option<Uuid>,
    /// What was changed, such as `role: staff`.
    pub change: Option<String>,
}

impl Entry {
    /// The entry as one of those whom it concerns may see it: where others did something, not from where.
    #[must_use]
    pub fn as_seen_by(self, user: UserId) -> Self {
        match self.actor {
            Some(actor) if actor != user => Self { session: None, network: None, ..self },
            _ => self,
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Written before it is done, so that nothing is done without a trace; the object's history tells what came of it.
    Asked,
    Refused,
}

impl Outcome {
    /// The word for it, in documents and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Asked => "asked",
            Self::Refused => "refused",
        }
    }

    /// The outcome with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Done, Self::Asked, Self::Refused].into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// An entry before it has its id and time.
#[derive(Clone, Debug)]
pub struct Deed {
    pub action: &'static str,
    pub outcome: Outcome,
    pub actor: Option<UserId>,
    pub session: Option<SessionId>,
    pub network: Option<Network>,
    pub object: Option<Uuid>,
    pub change: Option<String>,
}

impl Deed {
    /// Something that nothing more is known of yet.
    #[must_use]
    pub const fn new(action: &'static str, outcome: Outcome) -> Self {
        Self { action, outcome, actor: None, session: None, network: None, object: None, change: None }
    }

    /// By this user, from this session.
    #[must_use]
    pub fn by(self, actor: UserId, session: SessionId) -> Self {
        Self { actor: Some(actor), session: Some(session), ..self }
    }

    /// From where this client is.
    #[must_use]
    pub fn from(self, peer: Peer) -> Self {
        Self { network: Some(peer.network()), ..self }
    }

    /// To this user, doctor or session.
    #[must_use]
    pub fn to(self, object: Uuid) -> Self {
        Self { object: Some(object), ..self }
    }

    /// With this change.
    #[must_use]
    pub fn with(self, change: impl Into<String>) -> Self {
        Self { change: Some(change.into()), ..self }
    }
}
