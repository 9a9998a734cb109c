//! The tokens in links, of mails and of calendar feeds: how one is made, read, and held against what is kept of it.
//!
//! `base64url(user id, 16 bytes ‖ 16 bytes that nobody can guess)`. Only its SHA-256 is kept, in the account that it names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::digests::{same, sha256};
use super::random;
use crate::domain::ids::UserId;
use crate::domain::proof::Proof;
use crate::domain::secret::LinkToken;
use crate::domain::session::Digest;
use crate::error::Result;

/// Bytes of each of the two parts.
const PART: usize = 16;

/// A token, as somebody presents it or as it was just made.
pub(super) struct Link {
    /// Whose account it says it is for.
    pub user: UserId,
    bytes: [u8; 2 * PART],
}

impl Link {
    /// A fresh token, and what is to be kept of it.
    pub(super) fn issue(user: UserId, expires_at: Timestamp) -> Result<(LinkToken, Proof)> {
        let link = Self::derived(user, random::bytes()?);
        Ok((link.token(), Proof { hash: link.hash(), expires_at }))
    }

    /// The token of a user with a secret part.
    pub(super) fn derived(user: UserId, secret: [u8; PART]) -> Self {
        let mut bytes = [0; 2 * PART];
        bytes[..PART].copy_from_slice(user.0.as_bytes());
        bytes[PART..].copy_from_slice(&secret);
        Self { user, bytes }
    }

    /// Takes a token apart; `None` when it is none.
    pub(super) fn parse(token: &LinkToken) -> Option<Self> {
        let mut bytes = [0; 2 * PART];
        let length = URL_SAFE_NO_PAD.decode_slice(token.expose(), &mut bytes).ok()?;
        let user = bytes.first_chunk::<PART>()?;
        (length == bytes.len()).then_some(Self { user: UserId(Uuid::from_bytes(*user)), bytes })
    }

    /// The token as it travels.
    pub(super) fn token(&self) -> LinkToken {
        URL_SAFE_NO_PAD.encode(self.bytes).into()
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> Digest {
        sha256(&self.bytes)
    }

    /// Whether this is the token that was kept as `hash`.
    pub(super) fn is(&self, hash: &Digest) -> bool {
        same(hash, &self.hash())
    }

    /// Whether this is the token that `proof` was made of, in time.
    pub(super) fn is_proven_by(&self, proof: Option<&Proof>, now: Timestamp) -> bool {
        proof.is_some_and(|proof| self.is(&proof.hash) && now < proof.expires_at)
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
