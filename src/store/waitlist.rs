//! The waitlist collection: who waits for which doctor. What is offered is a hold, so entries that are offered something, and
//! that answer it, change with the appointments (`together.rs`).

use futures::TryStreamExt as _;
use jiff::Timestamp;
use jiff::civil::Date;
use mongodb::Collection;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::{IndexOptions, ReadConcern};

use super::appointments::snapshot_position;
use super::cluster::Cluster;
use super::documents::WaitlistDoc;
use super::idempotency::{Recall, Request, without};
use super::value::{bson_id, bson_time};
use super::whole::{self, reached};
use super::write::{Verdict, linearizable, read, until_decided};
use super::{collection, lenient};
use crate::domain::change::Position;
use crate::domain::ids::{DoctorId, PatientId, ServiceId, UserId, WaitlistId};
use crate::domain::refusal::Refusal;
use crate::domain::waitlist::{WaitStatus, WaitlistEntry};
use crate::error::{Error, Result};

const PRIMARY_INDEX: &str = "_id_";
/// Unique: a person has so many open entries, and no more.
const OPEN_INDEX: &str = "open";

/// The waitlist collection.
#[derive(Clone)]
pub struct WaitlistStore {
    cluster: Cluster,
    collection: Collection<WaitlistDoc>,
}

/// An entry with what its document remembers.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    document: WaitlistDoc,
    pub entry: WaitlistEntry,
}

/// What joining came to.
#[derive(Debug)]
pub enum Joined {
    Done(Position),
    /// The same request, or the same key, came before.
    Exists,
    /// Another open entry of the patient has this place.
    PlaceTaken,
}

/// Which entries to list, the longest waiting first.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub doctor: Option<DoctorId>,
    pub patient: Option<PatientId>,
    pub status: Option<WaitStatus>,
    /// The last one of the page before.
    pub after: Option<(Timestamp, WaitlistId)>,
    pub limit: i64,
}

/// Who may wait for one of some times.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub doctor: DoctorId,
    pub services: Vec<ServiceId>,
    /// The first and the last local date of these times.
    pub dates: (Date, Date),
    /// The last one of those that were read before.
    pub after: Option<(Timestamp, WaitlistId)>,
    pub limit: i64,
}

impl StoredEntry {
    fn new(document: WaitlistDoc) -> Result<Self> {
        let entry = document.to_domain().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { document, entry })
    }

    /// Whether the request succeeded before.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key was used for something else.
    pub fn recalls(&self, request: &Request) -> Result<bool, Refusal> {
        match request.recall(&self.document.keys) {
            Recall::New => Ok(false),
            Recall::Done(_) => Ok(true),
            Recall::Different => Err(Refusal::IdempotencyKeyReused),
        }
    }

    /// What guards the next revision, and its document, for a transaction. `request`: what it remembers beside.
    pub(super) fn rewritten(&self, next: &WaitlistEntry, request: Option<&Request>) -> (Document, WaitlistDoc) {
        let keys = match request {
            Some(request) => request.remember(&self.document.keys, None),
            None => self.document.keys.clone(),
        };
        (self.guard(), WaitlistDoc::from_domain(next, keys))
    }

    /// The same, without what a person has asked for.
    pub(super) fn erased(&self, next: &WaitlistEntry, person: UserId) -> (Document, WaitlistDoc) {
        (self.guard(), WaitlistDoc::from_domain(next, without(&self.document.keys, person)))
    }

    fn guard(&self) -> Document {
        doc! { "_id": self.document.id, "doctorId": self.document.doctor_id, "rev": self.document.rev }
    }
}

impl WaitlistStore {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { collection: cluster.db.collection(collection::WAITLIST), cluster }
    }

    /// Creates the indexes of the collection. The collection itself is made with them: a transaction need not.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn ensure_indexes(&self) -> Result<(), DriverError> {
        let open = IndexOptions::builder().unique(true).partial_filter_expression(doc! { "open": { "$exists": true } });
        let waiting = doc! { "status": WaitStatus::Waiting.as_str() };
        let waiting = IndexOptions::builder().partial_filter_expression(waiting).build();
        let plain = IndexOptions::default;
        let indexes = [
            (OPEN_INDEX, doc! { "open": 1 }, open.build()),
            ("doctor_status_joined", doc! { "doctorId": 1, "status": 1, "joinedAt": 1, "_id": 1 }, plain()),
            ("doctor_joined", doc! { "doctorId": 1, "joinedAt": 1, "_id": 1 }, plain()),
            ("patient_joined", doc! { "patientId": 1, "joinedAt": 1, "_id": 1 }, plain()),
            ("ends", doc! { "status": 1, "endsAt": 1 }, waiting),
            ("remembered", doc! { "keys.user": 1 }, plain()),
        ];
        self.cluster.ensure_indexes(collection::WAITLIST, indexes).await
    }

    /// Writes a new entry.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn insert(&self, entry: &WaitlistEntry, request: &Request) -> Result<Joined> {
        let document = WaitlistDoc::from_domain(entry, request.remember(&[], None));
        let written = until_decided(&self.cluster, || {
            let (store, document) = (self.clone(), document.clone());
            async move {
                let mut session = store.cluster.session().await?;
                store.collection.insert_one(document).session(&mut session).await?;
                Ok(reached(&session))
            }
        });
        Ok(match written.await? {
            Verdict::Done { value: at, .. } => Joined::Done(at),
            Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Joined::Exists,
            Verdict::Duplicate { index, .. } if index == OPEN_INDEX => Joined::PlaceTaken,
            Verdict::Duplicate { index, .. } => return Err(unexpected(&index)),
        })
    }

    /// Writes the next revision of an entry that changes alone, guarded by the one that it replaces. `None`: the guard did not match.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn replace(
        &self,
        current: &StoredEntry,
        next: &WaitlistEntry,
        request: Option<&Request>,
    ) -> Result<Option<Position>> {
        self.write(current.rewritten(next, request)).await
    }

    /// Writes the next revision of an entry from which a person is erased: what they have asked for is no longer remembered.
    /// `false`: the guard did not match.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn rewrite(&self, current: &StoredEntry, next: &WaitlistEntry, person: UserId) -> Result<bool> {
        Ok(self.write(current.erased(next, person)).await?.is_some())
    }

    async fn write(&self, (guard, document): (Document, WaitlistDoc)) -> Result<Option<Position>> {
        match whole::replace(&self.cluster, &self.collection, &guard, &document).await? {
            Verdict::Done { value, .. } => Ok(value),
            Verdict::Duplicate { index, .. } => Err(unexpected(&index)),
        }
    }

    /// Reads an entry as a majority has it, with the position of the read.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find(&self, id: WaitlistId) -> Result<Option<(StoredEntry, Position)>> {
        self.find_at(id, ReadConcern::majority()).await
    }

    /// The same with everything that was written before: what it tells of a write whose answer was lost may be acknowledged.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find_latest(&self, id: WaitlistId) -> Result<Option<(StoredEntry, Position)>> {
        self.find_at(id, linearizable()).await
    }

    async fn find_at(&self, id: WaitlistId, concern: ReadConcern) -> Result<Option<(StoredEntry, Position)>> {
        let found = whole::find(&self.cluster, &self.collection, bson_id(id.0), concern).await?;
        found.map(|(document, at)| Ok((StoredEntry::new(document)?, at))).transpose()
    }

    /// The entries with these ids, whoever's they are. One whose document cannot be read is left out.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn all_with_ids(&self, ids: &[WaitlistId]) -> Result<Vec<WaitlistEntry>> {
        let ids: Vec<_> = ids.iter().map(|id| bson_id(id.0)).collect();
        let collection: Collection<RawDocumentBuf> = self.collection.clone_with_type();
        let filter = doc! { "_id": { "$in": ids } };
        let found = read(&self.cluster, async move { collection.find(filter).await?.try_collect::<Vec<_>>().await });
        Ok(lenient::each(collection::WAITLIST, found.await?, |document: WaitlistDoc| document.to_domain()))
    }

    /// Lists entries, the longest waiting first.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn list(&self, query: &Query) -> Result<Vec<WaitlistEntry>> {
        let found = self.find_all(query.filter(), in_order(), query.limit).await?;
        Ok(found.into_iter().map(|stored| stored.entry).collect())
    }

    /// Who waits and may want one of some times, the longest waiting first. Times of day are not looked at.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn waiting(&self, waiting: &Waiting) -> Result<Vec<StoredEntry>> {
        let services: Vec<_> = waiting.services.iter().map(|service| bson_id(service.0)).collect();
        let mut filter = doc! {
            "doctorId": bson_id(waiting.doctor.0),
            "status": WaitStatus::Waiting.as_str(),
            "serviceId": { "$in": services },
            "from": { "$lte": waiting.dates.1.to_string() },
            "to": { "$gte": waiting.dates.0.to_string() },
        };
        if let Some(after) = waiting.after {
            beyond(&mut filter, after);
        }
        self.find_all(filter, in_order(), waiting.limit).await
    }

    /// Every open entry of a person or of a doctor, the longest waiting first, and the position at which that is true.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn snapshot(&self, of: &Query) -> Result<(Position, Vec<WaitlistEntry>)> {
        let open: Vec<&str> =
            WaitStatus::ALL.into_iter().filter(|status| status.is_open()).map(|status| status.as_str()).collect();
        let mut filter = of.filter();
        filter.insert("status", doc! { "$in": open });
        let store = self.clone();
        let (at, documents) = read(&self.cluster, async move {
            let mut session = store.cluster.snapshot_session().await?;
            let found = store.collection.find(filter).sort(in_order()).projection(doc! { "keys": 0 });
            let mut cursor = found.read_concern(ReadConcern::snapshot()).session(&mut session).await?;
            let documents: Vec<WaitlistDoc> = cursor.stream(&mut session).try_collect().await?;
            Ok((snapshot_position(&session)?, documents))
        })
        .await?;
        let entries: Result<Vec<WaitlistEntry>> =
            documents.into_iter().map(|document| StoredEntry::new(document).map(|stored| stored.entry)).collect();
        Ok((at, entries?))
    }

    /// Entries that wait though their window is over, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn over(&self, now: Timestamp, limit: i64) -> Result<Vec<StoredEntry>> {
        let filter = doc! { "status": WaitStatus::Waiting.as_str(), "endsAt": { "$lte": bson_time(now) } };
        self.find_all(filter, doc! { "endsAt": 1 }, limit).await
    }

    /// Entries that still name a person as their patient, or remember something that they have asked for, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_patient(&self, person: UserId, limit: i64) -> Result<Vec<StoredEntry>> {
        let id = bson_id(person.0);
        let filter = doc! { "$or": [{ "patientId": id }, { "keys.user": id }] };
        self.find_all(filter, doc! { "_id": 1 }, limit).await
    }

    /// Entries that still name a doctor or their service, or are open, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_doctor(&self, doctor: DoctorId, limit: i64) -> Result<Vec<StoredEntry>> {
        let filter = doc! {
            "doctorId": bson_id(doctor.0),
            "$or": [{ "doctorName": { "$ne": "" } }, { "serviceName": { "$ne": "" } }, { "open": { "$exists": true } }],
        };
        self.find_all(filter, doc! { "_id": 1 }, limit).await
    }

    async fn find_all(&self, filter: Document, order: Document, limit: i64) -> Result<Vec<StoredEntry>> {
        let collection = self.collection.clone();
        let documents: Vec<WaitlistDoc> =
            read(
                &self.cluster,
                async move { collection.find(filter).sort(order).limit(limit).await?.try_collect().await },
            )
            .await?;
        documents.into_iter().map(StoredEntry::new).collect()
    }
}

impl Query {
    fn filter(&self) -> Document {
        let mut filter = Document::new();
        if let Some(doctor) = self.doctor {
            filter.insert("doctorId", bson_id(doctor.0));
        }
        if let Some(patient) = self.patient {
            filter.insert("patientId", bson_id(patient.0));
        }
        if let Some(status) = self.status {
            filter.insert("status", status.as_str());
        }
        if let Some(after) = self.after {
            beyond(&mut filter, after);
        }
        filter
    }
}

fn in_order() -> Document {
    doc! { "joinedAt": 1, "_id": 1 }
}

/// What comes after an entry in [`in_order`].
fn beyond(filter: &mut Document, (joined, id): (Timestamp, WaitlistId)) {
    let joined = bson_time(joined);
    // What the index is entered by; the rest settles equals.
    filter.insert("joinedAt", doc! { "$gte": joined });
    filter.insert("$or", vec![doc! { "joinedAt": { "$gt": joined } }, doc! { "_id": { "$gt": bson_id(id.0) } }]);
}

fn unexpected(index: &str) -> Error {
    Error::Internal(format!("collision on {index} in an entry of a waitlist"))
}
