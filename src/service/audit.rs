//! The audit: written by the services, read by admins, and by each person as far as it concerns them.

use super::random;
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::audit::{Deed, Entry};
use crate::error::Result;
use crate::store::audit::{self, Query};
use crate::store::cluster::Cluster;

/// What was done, for those who must answer for it.
#[derive(Clone)]
pub struct Audit {
    users: Cluster,
    clock: Clock,
}

impl Audit {
    #[must_use]
    pub fn new(users: Cluster, clock: Clock) -> Self {
        Self { users, clock }
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn record(&self, deed: Deed) -> Result<()> {
        let at = self.clock.now();
        let Deed { action, outcome, actor, session, network, object, change } = deed;
        let network = network.map(|network| network.to_string());
        let (id, action) = (random::id(at)?, action.to_owned());
        let entry = Entry { id, at, action, outcome, actor, session, network, object, change };
        audit::insert(&self.users, &entry).await
    }

    /// Writes an entry beside what it tells of, which does not wait for it.
    pub fn record_beside(&self, deed: Deed) {
        let audit = self.clone();
        tokio::spawn(async move {
            if let Err(error) = audit.record(deed.clone()).await {
                tracing::error!(%error, action = deed.action, outcome = deed.outcome.as_str(), "not in the audit");
            }
        });
    }

    /// Entries, latest first: every one for admins.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn list(&self, viewer: &Viewer, query: &Query) -> Result<Vec<Entry>> {
        access::authorise("admin.listAudit", viewer, Object::default())?;
        audit::list(&self.users, query).await
    }

    /// The entries that concern the caller, latest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn list_own(&self, viewer: &Viewer, query: Query) -> Result<Vec<Entry>> {
        access::authorise("me.listAudit", viewer, Object::default())?;
        let user = viewer.identity()?.user;
        let found = audit::list(&self.users, &Query { concerns: Some(user), ..query }).await?;
        Ok(found.into_iter().map(|entry| entry.as_seen_by(user)).collect())
    }
}
