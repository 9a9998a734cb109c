//! What proves that somebody reads an address: a token in a link, kept as its hash. And how many links are sent.

use jiff::{SignedDuration, Timestamp};

use super::session::Digest;

/// How long the link for a new password works.
pub const RESET_LIFETIME: SignedDuration = SignedDuration::from_mins(30);
/// How long the link that verifies an address works.
pub const VERIFICATION_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Most mails of a kind to one account within [`SENT_WINDOW`]: nobody floods a mailbox by asking again.
const SENT_LIMIT: usize = 3;
const SENT_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What is kept of the one token that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// SHA-256 of the token.
    pub hash: Digest,
    pub expires_at: Timestamp,
}

/// The mails that anybody can make the server send, and that are therefore counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Verification,
    Reset,
    /// Somebody tried to use the address for another account.
    EmailTaken,
}

impl Counted {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Verification, Self::Reset, Self::EmailTaken];

    /// The word for it, in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Reset => "reset",
            Self::EmailTaken => "emailTaken",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A counted mail that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub kind: Counted,
    pub at: Timestamp,
}

/// What was sent lately, with one more mail of this kind; `None` when there were enough.
#[must_use]
pub fn one_more(sent: &[Sent], kind: Counted, now: Timestamp) -> Option<Vec<Sent>> {
    let mut recent: Vec<Sent> = sent.iter().copied().filter(|sent| now.duration_since(sent.at) < SENT_WINDOW).collect();
    let enough = recent.iter().filter(|sent| sent.kind == kind).count() >= SENT_LIMIT;
    recent.push(Sent { kind, at: now });
    (!enough).then_some(recent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_a_kind_within_an_hour_are_enough() {
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let mut sent = Vec::new();
        for minute in [0, 10, 20] {
            sent = one_more(&sent, Counted::Reset, at(minute)).expect("it may be sent");
        }
        assert_eq!(one_more(&sent, Counted::Reset, at(59)), None);
        let other = one_more(&sent, Counted::Verification, at(59)).expect("another kind");
        assert_eq!(other.len(), 4);
        let later = one_more(&other, Counted::Reset, at(60)).expect("the first has grown old");
        assert_eq!(later.len(), 4, "what has grown old is forgotten");
    }

    #[test]
    fn kinds_keep_their_words() {
        assert!(Counted::ALL.into_iter().all(|kind| Counted::named(kind.as_str()) == Some(kind)));
    }
}
