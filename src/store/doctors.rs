//! The doctors collection: one document a doctor, with profile, rules and services at one revision.

use futures::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{Hint, IndexOptions};

use super::cluster::Cluster;
use super::collection;
use super::documents::DoctorDoc;
use super::idempotency::{Recall, Request, without};
use super::resources::ResourceStore;
use super::value::bson_id;
use super::whole;
use super::write::{Verdict, linearizable, read, until_decided};
use crate::domain::change::Position;
use crate::domain::doctor::{Approval, Doctor};
use crate::domain::ids::{DoctorId, UserId};
use crate::domain::listing::{Filter, Sort};
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};

/// The doctors collection.
#[derive(Clone)]
pub struct DoctorStore {
    cluster: Cluster,
    collection: Collection<DoctorDoc>,
}

/// A doctor with what the document remembers.
#[derive(Clone, Debug)]
pub struct StoredDoctor {
    document: DoctorDoc,
    pub doctor: Doctor,
}

impl StoredDoctor {
    fn new(document: DoctorDoc) -> Result<Self> {
        let doctor = document.to_domain().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { document, doctor })
    }

    /// What guards the next revision, and its document, for a transaction that no request to the doctor asked for.
    pub(super) fn rewritten(document: &DoctorDoc, next: &Doctor) -> (Document, DoctorDoc) {
        (doc! { "_id": document.id, "rev": document.rev }, DoctorDoc::from_domain(next, document.keys.clone()))
    }

    /// Whether it remembers anything that a user has asked for.
    #[must_use]
    pub fn remembers(&self, user: UserId) -> bool {
        without(&self.document.keys, user).len() < self.document.keys.len()
    }

    /// What guards the next revision, and its document, which remembers the request.
    pub(super) fn replacement(&self, next: &Doctor, request: &Request) -> (Document, DoctorDoc) {
        let document = DoctorDoc::from_domain(next, request.remember(&self.document.keys, None));
        (doc! { "_id": document.id, "rev": self.document.rev }, document)
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

impl DoctorStore {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let collection = cluster.db.collection(collection::DOCTORS);
        Self { cluster, collection }
    }

    /// The rooms and devices of the same cluster.
    #[must_use]
    pub fn resources(&self) -> ResourceStore {
        ResourceStore::new(self.cluster.clone())
    }

    /// Creates the indexes of the collection.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn ensure_indexes(&self) -> Result<(), mongodb::error::Error> {
        let sorted: Vec<(String, Document)> =
            Sort::ALL.into_iter().map(|sort| (index_name(sort), doc! { FACETS: 1, key_field(sort): 1 })).collect();
        let others = [("approval", doc! { "approval": 1, "_id": 1 }), ("staff", doc! { "staff": 1, "_id": 1 })];
        let all = sorted.iter().map(|(name, keys)| (name.as_str(), keys.clone())).chain(others);
        let all = all.map(|(name, keys)| (name, keys, IndexOptions::default()));
        self.cluster.ensure_indexes(collection::DOCTORS, all).await
    }

    /// Creates the document of a doctor unless there is one.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn insert_if_absent(&self, doctor: &Doctor) -> Result<()> {
        let document = DoctorDoc::from_domain(doctor, Vec::new());
        let written = until_decided(&self.cluster, || {
            let (collection, document) = (self.collection.clone(), document.clone());
            async move { collection.insert_one(document).await.map(|_| ()) }
        });
        match written.await? {
            Verdict::Done { .. } | Verdict::Duplicate { .. } => Ok(()),
        }
    }

    /// Reads a doctor as a majority has it now. Linearizable: what it tells may be acknowledged.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find(&self, id: DoctorId) -> Result<Option<(StoredDoctor, Position)>> {
        let found = whole::find(&self.cluster, &self.collection, bson_id(id.0), linearizable()).await?;
        found.map(|(document, at)| Ok((StoredDoctor::new(document)?, at))).transpose()
    }

    /// Writes the next revision, guarded by the one that it replaces. `None`: the guard did not match.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn replace(&self, current: &StoredDoctor, next: &Doctor, request: &Request) -> Result<Option<Position>> {
        let document = DoctorDoc::from_domain(next, request.remember(&current.document.keys, None));
        self.replace_with(current, &document).await
    }

    /// The same for a change that no request of its own asked for. What `forget` has asked for is no longer remembered.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn rewrite(
        &self,
        current: &StoredDoctor,
        next: &Doctor,
        forget: Option<UserId>,
    ) -> Result<Option<Position>> {
        let keys = &current.document.keys;
        let document = DoctorDoc::from_domain(next, forget.map_or_else(|| keys.clone(), |user| without(keys, user)));
        self.replace_with(current, &document).await
    }

    async fn replace_with(&self, current: &StoredDoctor, document: &DoctorDoc) -> Result<Option<Position>> {
        let guard = doc! { "_id": document.id, "rev": current.document.rev };
        match whole::replace(&self.cluster, &self.collection, &guard, document).await? {
            Verdict::Done { value, .. } => Ok(value),
            Verdict::Duplicate { index, .. } => {
                Err(Error::Internal(format!("collision on an unexpected index {index}")))
            }
        }
    }

    /// Doctors of a state after this one, at most `limit`; by id, which is the order in which they registered.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn of_approval(&self, approval: Approval, after: Option<DoctorId>, limit: i64) -> Result<Vec<Doctor>> {
        let mut filter = doc! { "approval": approval.as_str() };
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": bson_id(after.0) });
        }
        self.by_id(filter, limit).await
    }

    /// The doctors that a user acts for, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn of_staff(&self, user: UserId, limit: i64) -> Result<Vec<Doctor>> {
        self.by_id(doc! { "staff": bson_id(user.0) }, limit).await
    }

    async fn by_id(&self, filter: Document, limit: i64) -> Result<Vec<Doctor>> {
        let collection = self.collection.clone();
        let documents: Vec<DoctorDoc> = read(&self.cluster, async move {
            let found = collection.find(filter).sort(doc! { "_id": 1 }).limit(limit);
            found.projection(doc! { "listing": 0, "history": 0, "keys": 0 }).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(|document| StoredDoctor::new(document).map(|stored| stored.doctor)).collect()
    }

    /// Ids of approved doctors, the first by name.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn listed(&self, which: &Filter, limit: i64) -> Result<Vec<DoctorId>> {
        let search = Search { which: which.clone(), sort: Sort::Name, after: None, limit };
        let collection = self.collection.clone_with_type::<RawDocumentBuf>();
        let found: Vec<RawDocumentBuf> = read(&self.cluster, async move {
            let found = collection.find(search.filter()).sort(search.order()).limit(search.limit);
            let found = found.hint(Hint::Name(index_name(search.sort)));
            found.projection(doc! { "_id": 1 }).await?.try_collect().await
        })
        .await?;
        let id = |document: &RawDocumentBuf| {
            let id = document.get_binary("_id").ok()?.bytes.try_into().ok()?;
            Some(UserId(uuid::Uuid::from_bytes(id)))
        };
        let ids: Option<Vec<DoctorId>> = found.iter().map(id).collect();
        ids.ok_or_else(|| Error::Internal("the id of a doctor cannot be read".to_owned()))
    }

    /// Approved doctors, at most as many as asked for.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn search(&self, search: &Search) -> Result<Vec<Doctor>> {
        let (collection, search) = (self.collection.clone(), search.clone());
        let documents: Vec<DoctorDoc> = read(&self.cluster, async move {
            let found = collection.find(search.filter()).sort(search.order()).limit(search.limit);
            // Named, so that no plan is tried that would have to sort.
            let found = found.hint(Hint::Name(index_name(search.sort)));
            found.projection(doc! { "listing": 0, "history": 0, "keys": 0 }).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(|document| StoredDoctor::new(document).map(|stored| stored.doctor)).collect()
    }
}

/// Which doctors, in which order.
#[derive(Clone, Debug)]
pub struct Search {
    pub which: Filter,
    pub sort: Sort,
    /// The key of the last doctor of the page before.
    pub after: Option<String>,
    pub limit: i64,
}

impl Search {
    /// The condition: one stretch of the index of [`Self::order`].
    #[must_use]
    pub fn filter(&self) -> Document {
        let mut filter = doc! { FACETS: { "$all": self.which.facets() } };
        if let Some(after) = &self.after {
            filter.insert(key_field(self.sort), doc! { "$gt": after });
        }
        filter
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> Document {
        doc! { key_field(self.sort): 1 }
    }
}

const FACETS: &str = "listing.facets";

fn key_field(sort: Sort) -> String {
    format!("listing.{}", sort.as_str())
}

/// Name of the index that a sort goes along.
#[must_use]
pub fn index_name(sort: Sort) -> String {
    format!("listing_{}", sort.as_str())
}
