//! The token keys of this node: made on the first start of the cluster, read back, and read again when one is unknown,
//! when one is added, and every now and then. And how another key is made to take over.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};

use super::tokens::{Fault, KeyRing, PublicKey, generate_key};
use super::vault::Vault;
use crate::domain::account::{Identity, User};
use crate::domain::ids::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::secret::AccessToken;
use crate::error::{Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::signing_keys::{self, PrivateKey, SigningKey};

/// The least time between two readings of the keys, however many unknown ones turn up: tokens are free to forge.
const RELOAD_FLOOR: SignedDuration = SignedDuration::from_secs(30);
/// The same after a reading that failed.
const RETRY_FLOOR: SignedDuration = SignedDuration::from_secs(3);

/// How long a new key is known before it signs. Every node has read it by then, and everybody who keeps a copy of the
/// public keys has had the time to fetch them again: nobody meets a token whose key they cannot know.
const KNOWN_AHEAD: SignedDuration = SignedDuration::from_mins(2);
/// How often the making of a key is tried again when another one takes its number.
const RACES: usize = 8;

/// Issues and verifies access tokens with the keys that all nodes share.
pub struct Tokens {
    issuer: String,
    users: Cluster,
    vault: Vault,
    ring: watch::Sender<Arc<KeyRing>>,
    last_reload: Mutex<Option<Reload>>,
}

struct Reload {
    at: Timestamp,
    worked: bool,
}

impl Reload {
    fn is_recent(&self, now: Timestamp) -> bool {
        let floor = if self.worked { RELOAD_FLOOR } else { RETRY_FLOOR };
        now.duration_since(self.at).abs() < floor
    }
}

impl Tokens {
    /// Reads the keys of the users cluster; makes the first one when there is none. The indexes must exist.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn open(users: Cluster, issuer: String, vault: Vault, now: Timestamp) -> Result<Self> {
        // One that was made just now comes through the change stream, or with the first token that it has signed.
        let mut keys = signing_keys::known(&users).await?;
        if keys.is_empty() {
            // Nodes that start together all try; the index on `seq` lets one of them win, and all read that one.
            signing_keys::insert_if_absent(&users, &generate_key(1, now, &vault)?, now).await?;
            keys = signing_keys::all(&users).await?;
        }
        let ring = watch::Sender::new(Arc::new(KeyRing::new(&keys, &vault)));
        Ok(Self { issuer, users, vault, ring, last_reload: Mutex::new(None) })
    }

    /// Whether tokens can be signed.
    ///
    /// # Errors
    /// A sentence for the person who configured the secret.
    pub fn check(&self, now: Timestamp) -> Result<(), String> {
        let refused = |kid: &str| {
            format!(
                "the signing key {kid} was encrypted under another secret: give every node the CITA_SECRET that it was \
                 made with, or make a new key with `cita rotate-keys --compromised` and the secret that you have"
            )
        };
        self.ring.borrow().check(now).map_err(refused)
    }

    /// The public keys that verify tokens.
    #[must_use]
    pub fn public_keys(&self, now: Timestamp) -> Vec<PublicKey> {
        self.ring.borrow().public_keys(now)
    }

    /// Reads the keys again.
    ///
    /// # Errors
    /// Unavailable; the keys stay as they are.
    pub async fn read_again(&self) -> Result<bool> {
        let keys = signing_keys::all(&self.users).await?;
        let before = self.ring.send_replace(Arc::new(KeyRing::new(&keys, &self.vault)));
        Ok(self.ring.borrow().distrusts_any_of(&before))
    }

    /// A token for a session of `user`, and when it ends.
    ///
    /// # Errors
    /// Without a key to sign with.
    pub fn issue(&self, user: &User, session: SessionId, now: Timestamp) -> Result<(AccessToken, Timestamp)> {
        self.ring.borrow().issue(&self.issuer, user, session, now)
    }

    /// Who `token` proves to be calling. A key that is not known is looked for in the cluster.
    ///
    /// # Errors
    /// `token_expired` for a token that was good, `unauthenticated` for any other; unavailable when its key is unknown
    /// and cannot be looked for.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Identity> {
        match self.verify_here(token, now) {
            Err(Fault::UnknownKey) => {}
            known => return known.map_err(Error::from),
        }
        self.reload(now).await?;
        self.verify_here(token, now).map_err(Error::from)
    }

    fn verify_here(&self, token: &str, now: Timestamp) -> Result<Identity, Fault> {
        let ring = Arc::clone(&self.ring.borrow());
        ring.verify(&self.issuer, token, now)
    }

    /// Reads the keys again, unless that was done a moment ago. Callers wait for the one that reads.
    async fn reload(&self, now: Timestamp) -> Result<()> {
        let mut last = self.last_reload.lock().await;
        let recent = last.as_ref().filter(|reload| reload.is_recent(now));
        if let Some(reload) = recent {
            return if reload.worked { Ok(()) } else { Err(Error::unreadable(self.users.name)) };
        }
        *last = Some(Reload { at: now, worked: false });
        self.read_again().await?;
        *last = Some(Reload { at: now, worked: true });
        Ok(())
    }
}

/// A key that takes over.
#[derive(Clone, Debug)]
pub struct Rotation {
    pub kid: String,
    pub signs_from: Timestamp,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error(
        "the key {0} was encrypted under another secret, and no server could open a new one: give the CITA_SECRET that the \
         servers have. If it is lost, or another one is to take its place: stop the servers, run this with the new one and \
         --compromised, and start them with it"
    )]
    OtherSecret(String),
    #[error(
        "the keys are encrypted, and without a secret the new one would lie in the database as it is: give the CITA_SECRET \
         that the servers have"
    )]
    NoSecret,
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Makes a new key. It signs two minutes from now, and what older ones have signed is good until it ends by itself. If the
/// older ones are `compromised` it signs at once, and everybody has to refresh.
///
/// # Errors
/// A secret that is not the servers', where it is not to take the place of theirs; unavailable.
pub async fn rotate(
    users: &Cluster,
    vault: &Vault,
    compromised: bool,
    now: Timestamp,
) -> Result<Rotation, RotationError> {
    for _ in 0..RACES {
        let keys = signing_keys::all(users).await?;
        if !vault.seals() && keys.iter().any(|key| matches!(key.private_key, PrivateKey::Sealed(_))) {
            return Err(RotationError::NoSecret);
        }
        if let Some(key) = keys.last().filter(|key| !compromised && vault.open(key).is_none()) {
            return Err(RotationError::OtherSecret(key.kid.clone()));
        }
        let seq = keys.last().map_or(0, |key| key.seq);
        // The first key of all has nobody to take over from.
        let signs_from = if compromised || seq == 0 { now } else { now + KNOWN_AHEAD };
        let key = SigningKey { distrusts_older: compromised, ..generate_key(seq + 1, signs_from, vault)? };
        signing_keys::insert_if_absent(users, &key, now).await?;
        // Somebody else may have made the key of this number.
        if signing_keys::all(users).await?.iter().any(|kept| kept.kid == key.kid) {
            return Ok(Rotation { kid: key.kid, signs_from });
        }
    }
    Err(Error::Unavailable { cluster: users.name, outcome: Some(Outcome::NotApplied) }.into())
}

/// Whether the youngest key, which is the one that signs or is about to, is kept encrypted.
///
/// # Errors
/// Unavailable. Inside, a sentence for the person who configured a secret.
pub async fn check_protection(users: &Cluster) -> Result<Result<(), String>> {
    let youngest = signing_keys::known(users).await?.pop();
    let plain = youngest.filter(|key| matches!(key.private_key, PrivateKey::Plain(_)));
    Ok(plain.map_or(Ok(()), |key| {
        Err(format!(
            "the signing key {} was made without a secret and lies in the database as it is: run `cita rotate-keys` with \
             the CITA_SECRET of the servers, which makes one that is encrypted",
            key.kid
        ))
    }))
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::UnknownKey => Refusal::Unauthenticated.into(),
            Fault::Refused(refusal) => refusal.into(),
        }
    }
}
