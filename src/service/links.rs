//! The tokens in the links that are sent by e-mail: how one is made, read, and held against what is kept of it.
//!
//! `base64url(user id, 16 bytes ‖ 16 random bytes)`. Only its SHA-256 is kept, in the account that it names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::digests::{same, sha256};
use super::random;
use crate::domain::ids::UserId;
use crate::domain::proof::Proof;
use crate::domain::secret::MailToken;
use crate::domain::session::Digest;
use crate::error::Result;

/// Bytes of each of the two parts.
const PART: usize = 16;

/// A token that somebody presents.
pub(super) struct Link {
    /// Whose account it says it is for.
    pub user: UserId,
    hash: Digest,
}

impl Link {
    /// A fresh token, and what is to be kept of it.
    pub(super) fn issue(user: UserId, expires_at: Timestamp) -> Result<(MailToken, Proof)> {
        let bytes = [*user.0.as_bytes(), random::bytes::<PART>()?].concat();
        let proof = Proof { hash: sha256(&bytes), expires_at };
        Ok((URL_SAFE_NO_PAD.encode(bytes).into(), proof))
    }

    /// Takes a token apart; `None` when it is none.
    pub(super) fn parse(token: &MailToken) -> Option<Self> {
        let mut bytes = [0; 2 * PART];
        let length = URL_SAFE_NO_PAD.decode_slice(token.expose(), &mut bytes).ok()?;
        let user = bytes.first_chunk::<PART>()?;
        (length == bytes.len()).then(|| Self { user: UserId(Uuid::from_bytes(*user)), hash: sha256(&bytes) })
    }

    /// Whether this is the token that `proof` was made of, in time.
    pub(super) fn is_proven_by(&self, proof: Option<&Proof>, now: Timestamp) -> bool {
        proof.is_some_and(|proof| same(&proof.hash, &self.hash) && now < proof.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const T0: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_token_proves_itself_until_its_end() {
        let user = UserId(Uuid::from_u128(7));
        let (token, proof) = Link::issue(user, T0 + SignedDuration::from_secs(60)).expect("randomness");
        let link = Link::parse(&token).expect("parses");
        assert_eq!(link.user, user);
        assert!(link.is_proven_by(Some(&proof), T0 + SignedDuration::from_secs(59)));
        assert!(!link.is_proven_by(Some(&proof), T0 + SignedDuration::from_secs(60)));
        assert!(!link.is_proven_by(None, T0));
        let (_, other) = Link::issue(user, proof.expires_at).expect("randomness");
        assert!(!link.is_proven_by(Some(&other), T0), "each is its own");
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let (token, _) = Link::issue(UserId(Uuid::nil()), T0).expect("randomness");
        let good = token.expose();
        for text in ["", "a", &good[..40], &format!("{good}A"), &format!("{good}="), &"A".repeat(1 << 20), "é"] {
            assert!(Link::parse(&text.into()).is_none(), "{text:.70}");
        }
    }
}
