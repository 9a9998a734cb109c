//! A session: one log-in on one device, from its log-in to its end.

use jiff::{SignedDuration, Timestamp};

use super::ids::{SessionId, UserId};

/// How long a refresh token lives. Each rotation issues a new one, so a session ends after this long without use.
pub const REFRESH_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long after a rotation the token before it is taken for a slow second tab, or for a repetition after a lost answer,
/// and not for a stolen one. Well above the longest that a rotation may take.
pub const REUSE_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// SHA-256 of a secret.
pub type Digest = [u8; 32];

/// A log-in, at one revision. Never deleted: ended by `revoked_at` or by its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub rev: u32,
    pub user: UserId,
    /// What the person calls the device.
    pub device: Option<String>,
    /// The network that it was opened in, as [`super::peer::Network`] prints it.
    pub network: Option<String>,
    pub created_at: Timestamp,
    /// When the current refresh token was issued.
    pub rotated_at: Timestamp,
    /// When the current refresh token ends, and the session with it.
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub refresh: RefreshDigests,
}

/// What is kept of the refresh tokens of a session: enough to recognise them, not to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshDigests {
    /// Of the part that all tokens of the session share: who knows it has held one of them.
    pub family: Digest,
    /// Of the one token that works.
    pub current: Digest,
    /// Of the token before it.
    pub previous: Option<Digest>,
}

impl Session {
    /// The next revision, with a new refresh token.
    #[must_use]
    pub fn rotated(&self, token: Digest, now: Timestamp) -> Self {
        let refresh =
            RefreshDigests { family: self.refresh.family, current: token, previous: Some(self.refresh.current) };
        Self { rev: self.rev + 1, rotated_at: now, expires_at: now + REFRESH_LIFETIME, refresh, ..self.clone() }
    }

    /// The next revision, ended.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Self {
        Self { rev: self.rev + 1, revoked_at: Some(now), ..self.clone() }
    }
}
