//! Rooms and devices: made, renamed and archived by admins, seen by whoever works here.
//!
//! Each change is in the audit before it is made; what came of it stands in the history of the resource.

use std::sync::Arc;

use jiff::Timestamp;

use super::audit::Audit;
use super::request::{self, Done};
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::audit::{Deed, Outcome};
use crate::domain::doctor::HistoryEntry;
use crate::domain::history;
use crate::domain::ids::ResourceId;
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::resource::{Resource, ResourceKind};
use crate::error::{self, ClusterName, Error, Result};
use crate::store::idempotency::Request;
use crate::store::resources::ResourceStore;
use crate::views::committed::Committed;

/// How often a change is decided anew because somebody else changed the same resource.
const REPLACE_ATTEMPTS: usize = 16;
/// How many times a key can be used again, each more than a day after the one before.
const GENERATIONS: u8 = 16;

/// Rooms and devices.
pub struct Resources {
    store: ResourceStore,
    audit: Audit,
    committed: Arc<Committed>,
    clock: Clock,
}

/// What is changed of a resource; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct ResourceChange {
    pub name: Option<String>,
    pub kind: Option<ResourceKind>,
}

impl Resources {
    #[must_use]
    pub fn new(store: ResourceStore, audit: Audit, committed: Arc<Committed>, clock: Clock) -> Self {
        Self { store, audit, committed, clock }
    }

    /// Resources in the order in which they were made.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn list(
        &self,
        viewer: &Viewer,
        after: Option<(Timestamp, ResourceId)>,
        limit: i64,
    ) -> Result<Vec<Resource>> {
        // A doctor's own id, so that the grant of doctors fits every doctor.
        let object = Object { doctor: viewer.user(), ..Object::default() };
        access::authorise("resource.list", viewer, object)?;
        self.store.list(after, limit).await
    }

    /// Makes a resource.
    ///
    /// # Errors
    /// `forbidden`, `idempotency_key_reused`, `unavailable`.
    pub async fn create(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        name: String,
        kind: ResourceKind,
    ) -> Result<Done<Resource>> {
        const OPERATION: &str = "admin.createResource";
        let request = self.request(viewer, OPERATION, key, &format!("{name:?} {kind:?}"))?;
        for generation in 0..GENERATIONS {
            let id = ResourceId(request::derived_id(&request, generation));
            self.asked(viewer, peer, OPERATION, id, format!("kind: {}", kind.as_str())).await?;
            let mut resource = Resource {
                id,
                rev: 0,
                name: name.clone(),
                kind,
                archived: false,
                created_at: request.at,
                updated_at: request.at,
                history: Vec::new(),
            };
            revise(&mut resource, &request);
            if let Some(at) = self.store.insert(&resource, &request).await? {
                return Ok(self.acknowledged(resource, at));
            }
            let found = self.store.find(id).await.map_err(unknown)?;
            let (stored, at) = found.ok_or_else(|| unavailable(error::Outcome::Unknown))?;
            if stored.recalls(&request)? {
                return Ok(self.acknowledged(stored.resource, at));
            }
        }
        Err(Refusal::IdempotencyKeyReused.into())
    }

    /// Changes a resource.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn update(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        id: ResourceId,
        rev: Option<u32>,
        change: &ResourceChange,
    ) -> Result<Done<Resource>> {
        const OPERATION: &str = "admin.updateResource";
        let request = self.request(viewer, OPERATION, key, &format!("{id} {rev:?} {change:?}"))?;
        let kind = change.kind.map(|kind| format!("kind: {}", kind.as_str()));
        let words = change.name.as_ref().map(|_| "name".to_owned()).into_iter().chain(kind);
        self.asked(viewer, peer, OPERATION, id, words.collect::<Vec<_>>().join(", ")).await?;
        self.change(&request, id, rev, |resource| {
            if let Some(name) = &change.name {
                resource.name.clone_from(name);
            }
            resource.kind = change.kind.unwrap_or(resource.kind);
        })
        .await
    }

    /// Lets no further service have a resource. Those that have it keep it.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn archive(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        id: ResourceId,
        rev: Option<u32>,
    ) -> Result<Done<Resource>> {
        const OPERATION: &str = "admin.archiveResource";
        let request = self.request(viewer, OPERATION, key, &format!("{id} {rev:?}"))?;
        self.asked(viewer, peer, OPERATION, id, "archived".to_owned()).await?;
        self.change(&request, id, rev, |resource| resource.archived = true).await
    }

    async fn change(
        &self,
        request: &Request,
        id: ResourceId,
        rev: Option<u32>,
        decide: impl Fn(&mut Resource),
    ) -> Result<Done<Resource>> {
        for _ in 0..REPLACE_ATTEMPTS {
            let found = self.store.find(id).await.map_err(unchanged)?;
            let (stored, at) = found.ok_or(Refusal::NotFound)?;
            if stored.recalls(request)? {
                return Ok(self.acknowledged(stored.resource, at));
            }
            if rev.is_some_and(|rev| rev != stored.resource.rev) {
                return Err(Refusal::StaleRev.into());
            }
            let mut next = stored.resource.clone();
            decide(&mut next);
            revise(&mut next, request);
            if let Some(at) = self.store.replace(&stored, &next, request).await? {
                return Ok(self.acknowledged(next, at));
            }
        }
        Err(unavailable(error::Outcome::NotApplied))
    }

    fn request(&self, viewer: &Viewer, operation: &'static str, key: &str, parts: &str) -> Result<Request> {
        access::authorise(operation, viewer, Object::default())?;
        Ok(request::request(viewer.identity()?, operation, key, &[parts], self.clock.now()))
    }

    async fn asked(
        &self,
        viewer: &Viewer,
        peer: Peer,
        operation: &'static str,
        id: ResourceId,
        change: String,
    ) -> Result<()> {
        let identity = viewer.identity()?;
        let deed = Deed::new(operation, Outcome::Asked).by(identity.user, identity.session).from(peer);
        self.audit.record(deed.to(id.0).with(change)).await.map_err(unchanged)
    }

    fn acknowledged(&self, value: Resource, at: crate::domain::change::Position) -> Done<Resource> {
        self.committed.acknowledged(at);
        Done { value, at }
    }
}

/// Makes it the next revision, by whoever asks.
fn revise(resource: &mut Resource, request: &Request) {
    resource.rev += 1;
    resource.updated_at = request.at;
    let (rev, action) = (resource.rev, request.operation.to_owned());
    history::append(&mut resource.history, HistoryEntry { rev, action, by: request.actor(), at: request.at });
}

fn unavailable(outcome: error::Outcome) -> Error {
    Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(outcome) }
}

/// A failure before anything of a mutation was written.
fn unchanged(error: Error) -> Error {
    error.with_outcome(error::Outcome::NotApplied)
}

/// A read that failed after a write whose success it was to confirm.
fn unknown(error: Error) -> Error {
    error.with_outcome(error::Outcome::Unknown)
}
