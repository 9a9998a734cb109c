//! The resources collection: rooms and devices, one document each. What takes them stands in the appointments.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Uuid, doc};

use super::cluster::Cluster;
use super::collection;
use super::documents::ResourceDoc;
use super::idempotency::{Recall, Request};
use super::value::{bson_id, bson_time};
use super::whole::{self, reached};
use super::write::{Verdict, linearizable, read, until_decided};
use crate::domain::change::Position;
use crate::domain::ids::ResourceId;
use crate::domain::refusal::Refusal;
use crate::domain::resource::Resource;
use crate::error::{Error, Result};

/// The resources collection.
#[derive(Clone)]
pub struct ResourceStore {
    cluster: Cluster,
    collection: Collection<ResourceDoc>,
}

/// A resource with what its document remembers.
#[derive(Clone, Debug)]
pub struct StoredResource {
    document: ResourceDoc,
    pub resource: Resource,
}

impl StoredResource {
    fn new(document: ResourceDoc) -> Result<Self> {
        let resource = document.to_domain().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { document, resource })
    }

    /// Whether the request succeeded before.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key was used for something else.
    pub fn recalls(&self, request: &Request) -> Result<bool> {
        match request.recall(&self.document.keys) {
            Recall::New => Ok(false),
            Recall::Done(_) => Ok(true),
            Recall::Different => Err(Refusal::IdempotencyKeyReused.into()),
        }
    }
}

impl ResourceStore {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let collection = cluster.db.collection(collection::RESOURCES);
        Self { cluster, collection }
    }

    /// Creates a resource. `None`: there is one with this id.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn insert(&self, resource: &Resource, request: &Request) -> Result<Option<Position>> {
        let document = ResourceDoc::from_domain(resource, request.remember(&[], None));
        let written = until_decided(&self.cluster, || {
            let (store, document) = (self.clone(), document.clone());
            async move {
                let mut session = store.cluster.session().await?;
                store.collection.insert_one(document).session(&mut session).await?;
                Ok(reached(&session))
            }
        });
        match written.await? {
            Verdict::Done { value, .. } => Ok(Some(value)),
            Verdict::Duplicate { .. } => Ok(None),
        }
    }

    /// Reads a resource as a majority has it now. Linearizable: what it tells may be acknowledged.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find(&self, id: ResourceId) -> Result<Option<(StoredResource, Position)>> {
        let found = whole::find(&self.cluster, &self.collection, bson_id(id.0), linearizable()).await?;
        found.map(|(document, at)| Ok((StoredResource::new(document)?, at))).transpose()
    }

    /// Writes the next revision, guarded by the one that it replaces. `None`: the guard did not match.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn replace(
        &self,
        current: &StoredResource,
        next: &Resource,
        request: &Request,
    ) -> Result<Option<Position>> {
        let document = ResourceDoc::from_domain(next, request.remember(&current.document.keys, None));
        let guard = doc! { "_id": document.id, "rev": current.document.rev };
        match whole::replace(&self.cluster, &self.collection, &guard, &document).await? {
            Verdict::Done { value, .. } => Ok(value),
            Verdict::Duplicate { index, .. } => {
                Err(Error::Internal(format!("collision on an unexpected index {index}")))
            }
        }
    }

    /// Resources by when they were made, after this one, at most `limit`. There are few: they have no index for it.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn list(&self, after: Option<(Timestamp, ResourceId)>, limit: i64) -> Result<Vec<Resource>> {
        let later = |(made, id): (Timestamp, ResourceId)| {
            let made = bson_time(made);
            let same = doc! { "createdAt": made, "_id": { "$gt": bson_id(id.0) } };
            doc! { "$or": [{ "createdAt": { "$gt": made } }, same] }
        };
        let filter = after.map(later).unwrap_or_default();
        let collection = self.collection.clone();
        let documents: Vec<ResourceDoc> = read(&self.cluster, async move {
            collection.find(filter).sort(doc! { "createdAt": 1, "_id": 1 }).limit(limit).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(|document| StoredResource::new(document).map(|stored| stored.resource)).collect()
    }

    /// Those of these resources that there are and that are not archived.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn usable(&self, ids: &[ResourceId]) -> Result<Vec<ResourceId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| bson_id(id.0)).collect();
        let collection = self.collection.clone();
        let documents: Vec<ResourceDoc> = read(&self.cluster, async move {
            collection.find(doc! { "_id": { "$in": ids }, "archived": false }).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(|document| StoredResource::new(document).map(|stored| stored.resource.id)).collect()
    }
}
