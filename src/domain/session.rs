//! A session: one log-in on one device, from its log-in to its end.

use jiff::{SignedDuration, Timestamp};

use super::ids::{SessionId, UserId};
use super::secret::DerivationKey;

/// How long a refresh token lives. Each rotation issues a new one, so a session ends after this long without use.
pub const REFRESH_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long after a rotation the token before it is taken for a slow second tab, or for a repetition after a lost answer,
/// and not for a stolen one. Well above the longest that a rotation may take.
pub const REUSE_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// Most sessions of one user that live at the same time: when one more opens, the least recently used one is ended.
pub const LIVE_SESSIONS: usize = 100;

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
    /// The network that it was used from last: the class of the address, not the address.
    pub network: String,
    pub created_at: Timestamp,
    /// The last log-in or refresh: when the current refresh token was issued.
    pub last_seen_at: Timestamp,
    /// When the current refresh token ends, and the session with it.
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// `None`: it lives by the tokens of another issuer, and Cita has none to refresh.
    pub refresh: Option<Refresh>,
}

/// What is kept of the refresh tokens of a session: enough to recognise them, not to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Of the part that all tokens of the session share: who knows it has held one of them.
    pub family: Digest,
    /// Of the one token that works.
    pub current: Digest,
    /// What the next token is derived with from the current one.
    pub rotation_key: DerivationKey,
}

impl Session {
    /// Whether its tokens may work.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }

    /// The next revision, with a new refresh token that was asked for from `network`.
    #[must_use]
    pub fn rotated(&self, token: Digest, network: String, now: Timestamp) -> Self {
        let refresh = self.refresh.clone().map(|refresh| Refresh { current: token, ..refresh });
        let expires_at = now + REFRESH_LIFETIME;
        Self { rev: self.rev + 1, network, last_seen_at: now, expires_at, refresh, ..self.clone() }
    }

    /// The next revision, which lives as long as a later token of another issuer.
    #[must_use]
    pub fn seen_until(&self, expires_at: Timestamp, network: String, now: Timestamp) -> Self {
        Self { rev: self.rev + 1, network, last_seen_at: now, expires_at, ..self.clone() }
    }

    /// The next revision, ended.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Self {
        Self { rev: self.rev + 1, revoked_at: Some(now), ..self.clone() }
    }

    /// The next revision, ended, with nothing in it that tells of the person.
    #[must_use]
    pub fn erased(&self, now: Timestamp) -> Self {
        Self {
            rev: self.rev + 1,
            device: None,
            network: String::new(),
            revoked_at: self.revoked_at.or(Some(now)),
            ..self.clone()
        }
    }
}
