//! The token keys of this node: made on the first start of the cluster, read back, and read again when one is unknown.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};

use super::tokens::{Fault, KeyRing, generate_key};
use crate::domain::account::{Identity, User};
use crate::domain::ids::SessionId;
use crate::domain::refusal::Refusal;
use crate::domain::secret::AccessToken;
use crate::error::{Error, Result};
use crate::store::cluster::Cluster;
use crate::store::signing_keys;

/// The least time between two readings of the keys, however many unknown ones turn up: tokens are free to forge.
const RELOAD_FLOOR: SignedDuration = SignedDuration::from_secs(30);
/// The same after a reading that failed.
const RETRY_FLOOR: SignedDuration = SignedDuration::from_secs(3);

/// Issues and verifies access tokens with the keys that all nodes share.
pub struct Tokens {
    issuer: String,
    users: Cluster,
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
    pub async fn open(users: Cluster, issuer: String, now: Timestamp) -> Result<Self> {
        let mut keys = signing_keys::all(&users).await?;
        if keys.is_empty() {
            // Nodes that start together all try; the index on `seq` lets one of them win, and all read that one.
            signing_keys::insert_if_absent(&users, &generate_key(1)?, now).await?;
            keys = signing_keys::all(&users).await?;
        }
        let ring = watch::Sender::new(Arc::new(KeyRing::new(&keys)));
        Ok(Self { issuer, users, ring, last_reload: Mutex::new(None) })
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
        let keys = signing_keys::all(&self.users).await?;
        self.ring.send_replace(Arc::new(KeyRing::new(&keys)));
        *last = Some(Reload { at: now, worked: true });
        Ok(())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::UnknownKey => Refusal::Unauthenticated.into(),
            Fault::Refused(refusal) => refusal.into(),
        }
    }
}
