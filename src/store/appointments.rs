//! The appointments collection: everything that takes a doctor's time, under the index that makes overlap impossible.

mod feed;
mod groups;
mod holds;

pub use self::groups::SessionChange;
pub(super) use self::holds::run_out;
pub use self::holds::{Confirmed, Holding};

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Bson, Document, RawDocumentBuf, Uuid, doc};
use mongodb::options::{IndexOptions, ReadConcern};
use mongodb::{ClientSession, Collection};

use super::cluster::Cluster;
use super::documents::{AppointmentDoc, DoctorDoc, EntryDoc, Outcome, Remembered, is_of_resource, quota};
use super::group_commit::{GroupCommit, Written};
use super::idempotency::{Recall, Request, without};
use super::value::{bson_id, bson_time, position, uuid_of};
use super::whole::reached;
use super::write::{Verdict, linearizable, read};
use super::{collection, lenient};
use crate::domain::appointment::{Appointment, Status};
use crate::domain::change::Position;
use crate::domain::doctor::Doctor;
use crate::domain::entry::{Entry, Quota};
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::slots::Rule;
use crate::error::{Error, Result};

/// Unique: no two documents of a doctor take the same tick.
pub const CLAIMS_INDEX: &str = "doctor_claims";
/// Unique: no patient is in two places, and no room or device in two hands.
pub const SHARED_INDEX: &str = "shared_claims";
/// The live holds, by their end.
const HELD_INDEX: &str = "held_until";
pub(super) const PRIMARY_INDEX: &str = "_id_";

/// The appointments collection.
#[derive(Clone)]
pub struct AppointmentStore {
    pub(super) cluster: Cluster,
    pub(super) collection: Collection<AppointmentDoc>,
    pub(super) group_commit: GroupCommit,
}

/// An appointment with what its document remembers.
#[derive(Clone, Debug)]
pub struct Stored {
    document: AppointmentDoc,
    pub appointment: Appointment,
}

/// What an insert came to.
#[derive(Debug)]
pub enum Inserted {
    Done(Position),
    /// A document of this id exists: the same request came before.
    Exists,
    /// Somebody has this place within a limit; the next one may be free.
    Outnumbered(Quota),
    Refused(Refusal),
}

/// Which appointments to list, by start.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub doctor: Option<DoctorId>,
    pub patient: Option<PatientId>,
    pub ends_after: Option<Timestamp>,
    pub starts_before: Option<Timestamp>,
    pub status: Option<Status>,
    /// Start and id of the last one of the page before.
    pub after: Option<(Timestamp, AppointmentId)>,
    pub limit: i64,
}

/// Longest appointment, by the limits of a service: bounds how far back one may have started that is not over yet.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

impl Stored {
    pub(super) fn new(document: AppointmentDoc) -> Result<Self> {
        let appointment = document.to_domain().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { document, appointment })
    }

    /// The original result of a request that succeeded before; `None` when it is new.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key was used for something else.
    pub fn recall(&self, request: &Request) -> Result<Option<Appointment>> {
        match request.recall(&self.document.keys) {
            Recall::New => Ok(None),
            Recall::Different => Err(Refusal::IdempotencyKeyReused.into()),
            Recall::Done(None) => Ok(Some(self.appointment.clone())),
            Recall::Done(Some(outcome)) => {
                self.document.at_outcome(outcome).map(Some).map_err(|error| Error::Internal(error.to_string()))
            }
        }
    }

    /// What guards the next revision, and its document, for a transaction that no request to the appointment asked for.
    pub(super) fn rewritten(&self, next: &Appointment) -> (Document, AppointmentDoc) {
        let document = AppointmentDoc::from_domain(next, self.document.keys.clone());
        (self.guard(), document)
    }

    /// The same for one from which a person is erased: what they have asked for is no longer remembered.
    pub(super) fn erased(&self, next: &Appointment, person: UserId) -> (Document, AppointmentDoc) {
        let keys = without(&self.document.keys, person);
        let document = AppointmentDoc { see: self.document.see, ..AppointmentDoc::from_domain(next, keys) };
        (self.guard(), document)
    }

    /// Where the result of the request is, which this document only remembers; and the way back from there.
    #[must_use]
    pub fn elsewhere(&self) -> Option<AppointmentId> {
        self.document.see.map(|id| AppointmentId(uuid_of(id)))
    }

    /// The original result of a request that another document remembers.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key was used for something else.
    pub fn recall_by(&self, trace: &Self, request: &Request) -> Result<Option<Appointment>> {
        match request.recall(&trace.document.keys) {
            Recall::New | Recall::Done(None) => Ok(None),
            Recall::Different => Err(Refusal::IdempotencyKeyReused.into()),
            Recall::Done(Some(outcome)) => {
                self.document.at_outcome(outcome).map(Some).map_err(|error| Error::Internal(error.to_string()))
            }
        }
    }

    pub(super) fn keys_with(&self, request: &Request, next: &Appointment) -> Vec<Remembered> {
        request.remember(&self.document.keys, Some(Outcome::of(next)))
    }

    /// Finds the document as long as it is at this revision.
    pub(super) fn guard(&self) -> Document {
        doc! { "_id": self.document.id, "doctorId": self.document.doctor_id, "rev": self.document.rev }
    }
}

impl AppointmentStore {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let collection: Collection<AppointmentDoc> = cluster.db.collection(collection::APPOINTMENTS);
        let group_commit = GroupCommit::new(&cluster, collection.clone_with_type());
        Self { cluster, collection, group_commit }
    }

    /// Creates the indexes that the promises rest on.
    ///
    /// # Errors
    /// What the driver said; an index of the same name that differs is an error.
    pub async fn ensure_indexes(&self) -> Result<(), mongodb::error::Error> {
        let unique = |filter| IndexOptions::builder().unique(true).partial_filter_expression(filter).build();
        let plain = || IndexOptions::builder().build();
        let claims = unique(doc! { "claims": { "$exists": true } });
        let shared = unique(doc! { "shared": { "$exists": true } });
        let with = doc! { "resources": { "$exists": true } };
        let with = IndexOptions::builder().partial_filter_expression(with).build();
        let series =
            IndexOptions::builder().partial_filter_expression(doc! { "seriesId": { "$exists": true } }).build();
        let held = doc! { "status": Status::Held.as_str() };
        let held = IndexOptions::builder().partial_filter_expression(held).build();
        let indexes = [
            (CLAIMS_INDEX, doc! { "doctorId": 1, "claims": 1 }, claims),
            (SHARED_INDEX, doc! { "shared": 1 }, shared),
            ("resource_start", doc! { "resources": 1, "start": 1 }, with),
            ("doctor_start", doc! { "doctorId": 1, "start": 1, "_id": 1 }, plain()),
            ("series", doc! { "seriesId": 1, "start": 1 }, series),
            ("patient_start", doc! { "patientId": 1, "start": 1, "_id": 1 }, plain()),
            (HELD_INDEX, doc! { "status": 1, "expiresAt": 1 }, held),
        ];
        self.cluster.ensure_indexes(collection::APPOINTMENTS, indexes).await
    }

    /// Books: one insert, decided by the unique indexes. `seems_taken`: it probably loses, and is refused without an insert where it would.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn insert(&self, appointment: &Appointment, request: &Request, seems_taken: bool) -> Result<Inserted> {
        let keys = request.remember(&[], Some(Outcome::of(appointment)));
        let document = AppointmentDoc::from_domain(appointment, keys);
        let written = self.group_commit.insert(&document, seems_taken).await?;
        Ok(match written {
            Verdict::Done { value: Written { at, .. }, .. } => Inserted::Done(at),
            Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Inserted::Exists,
            Verdict::Duplicate { value: Some(place), index, .. } if index == CLAIMS_INDEX => {
                Inserted::Outnumbered(place_of(&place)?)
            }
            Verdict::Duplicate { index, value, .. } => Inserted::Refused(refusal_of(&index, value.as_deref())?),
        })
    }

    /// Those of some doctors at whose practice a patient has been.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn known_to(&self, patient: PatientId, doctors: &[DoctorId]) -> Result<HashSet<DoctorId>> {
        let doctors: Vec<Uuid> = doctors.iter().map(|doctor| bson_id(doctor.0)).collect();
        let filter = doc! {
            "patientId": bson_id(patient.0), "doctorId": { "$in": doctors }, "status": Status::Fulfilled.as_str(),
        };
        let collection = self.collection.clone();
        let known = read(&self.cluster, async move { collection.distinct("doctorId", filter).await }).await?;
        let id = |value: &Bson| match value {
            Bson::Binary(binary) => binary.to_uuid().ok().map(|id| UserId(uuid_of(id))),
            _ => None,
        };
        let found: Option<HashSet<DoctorId>> = known.iter().map(id).collect();
        found.ok_or_else(|| Error::Internal("the id of a doctor cannot be read".to_owned()))
    }

    /// Every appointment of a person, as a patient or as a doctor, by start, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn of_person(&self, person: UserId, limit: i64) -> Result<Vec<Appointment>> {
        let id = bson_id(person.0);
        let filter = doc! {
            "kind": { "$exists": false }, "see": { "$exists": false },
            "$or": [{ "patientId": id }, { "doctorId": id }],
        };
        let found = self.find_all(filter, limit).await?;
        Ok(found.into_iter().map(|stored| stored.appointment).collect())
    }

    /// Appointments that still name a person as their patient, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_patient(&self, patient: PatientId, limit: i64) -> Result<Vec<Stored>> {
        self.find_all(doc! { "patientId": bson_id(patient.0) }, limit).await
    }

    /// Appointments that still name a doctor or their service, remember something that they have asked for, or are still to come, at most
    /// `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_doctor(&self, doctor: DoctorId, now: Timestamp, limit: i64) -> Result<Vec<Stored>> {
        let open: Vec<&str> = Status::ALL.into_iter().filter(|status| status.is_open()).map(Status::as_str).collect();
        let filter = doc! {
            "doctorId": bson_id(doctor.0),
            "kind": { "$exists": false },
            "$or": [
                { "doctorName": { "$ne": "" } },
                { "serviceName": { "$ne": "" } },
                { "keys.user": bson_id(doctor.0) },
                { "start": { "$gt": bson_time(now) }, "status": { "$in": open } },
            ],
        };
        self.find_all(filter, limit).await
    }

    /// A doctor's appointments that are still to come and can be moved, by start, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn ahead_of(&self, doctor: DoctorId, now: Timestamp, limit: i64) -> Result<Vec<Stored>> {
        let movable = [Status::Pending, Status::Booked].map(Status::as_str).to_vec();
        let filter = doc! {
            "doctorId": bson_id(doctor.0),
            "kind": { "$exists": false },
            "start": { "$gt": bson_time(now) },
            "status": { "$in": movable },
        };
        self.find_all(filter, limit).await
    }

    /// The appointments of a doctor with these ids, by start.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_ids(&self, doctor: DoctorId, ids: &[AppointmentId]) -> Result<Vec<Appointment>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| bson_id(id.0)).collect();
        let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let found = self.find_all(doc! { "_id": { "$in": ids }, "doctorId": bson_id(doctor.0) }, limit.max(1)).await?;
        Ok(found.into_iter().map(|stored| stored.appointment).collect())
    }

    /// The appointments with these ids, whoever's they are. One whose document cannot be read is left out.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn all_with_ids(&self, ids: &[AppointmentId]) -> Result<Vec<Appointment>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| bson_id(id.0)).collect();
        let filter = doc! { "_id": { "$in": ids }, "kind": { "$exists": false } };
        let collection: Collection<RawDocumentBuf> = self.collection.clone_with_type();
        let found = read(&self.cluster, async move { collection.find(filter).await?.try_collect::<Vec<_>>().await });
        Ok(lenient::each(collection::APPOINTMENTS, found.await?, |document: AppointmentDoc| document.to_domain()))
    }

    async fn find_all(&self, filter: Document, limit: i64) -> Result<Vec<Stored>> {
        let collection = self.collection.clone();
        let documents: Vec<AppointmentDoc> = read(&self.cluster, async move {
            collection.find(filter).sort(doc! { "start": 1, "_id": 1 }).limit(limit).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(Stored::new).collect()
    }

    /// Reads an appointment as a majority has it, with the position of the read.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find(&self, id: AppointmentId) -> Result<Option<(Stored, Position)>> {
        self.find_at(id, ReadConcern::majority()).await
    }

    /// The same with everything that was written before: what it tells of a write whose answer was lost may be acknowledged.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find_latest(&self, id: AppointmentId) -> Result<Option<(Stored, Position)>> {
        self.find_at(id, linearizable()).await
    }

    async fn find_at(&self, id: AppointmentId, concern: ReadConcern) -> Result<Option<(Stored, Position)>> {
        let (store, filter) = (self.clone(), doc! { "_id": bson_id(id.0), "kind": { "$exists": false } });
        let found = read(&self.cluster, async move {
            let mut session = store.cluster.session().await?;
            let found = store.collection.find_one(filter).read_concern(concern).session(&mut session).await?;
            Ok(found.map(|document| (document, reached(&session))))
        })
        .await?;
        found.map(|(document, at)| Ok((Stored::new(document)?, at))).transpose()
    }

    /// Lists appointments by start, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn list(&self, query: &Query) -> Result<Vec<Appointment>> {
        let (collection, filter, limit) = (self.collection.clone(), query.filter(), query.limit);
        let documents: Vec<AppointmentDoc> = read(&self.cluster, async move {
            collection.find(filter).sort(doc! { "start": 1, "_id": 1 }).limit(limit).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(|document| Stored::new(document).map(|stored| stored.appointment)).collect()
    }

    /// Every appointment of a patient that is open or not older than `since`, and their own holds, with the position at which that is
    /// true.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn snapshot_of_patient(
        &self,
        patient: PatientId,
        since: Timestamp,
    ) -> Result<(Position, Vec<Appointment>)> {
        let open: Vec<&str> = Status::ALL.into_iter().filter(|status| status.is_open()).map(Status::as_str).collect();
        // Somebody's holds are theirs, whomever they are for; what is offered is for its patient alone.
        let ended_or_held = [Status::Expired.as_str(), Status::Held.as_str()];
        let appointments = doc! {
            "patientId": bson_id(patient.0),
            "status": { "$nin": ended_or_held.to_vec() },
            "$or": [{ "start": { "$gte": bson_time(since) } }, { "status": { "$in": open } }],
        };
        let offered = doc! {
            "patientId": bson_id(patient.0), "status": Status::Held.as_str(), "waitlistId": { "$exists": true },
        };
        let held = doc! { "shared": { "$in": holds::places(patient) } };
        self.snapshot(doc! { "$or": [appointments, held, offered] }).await
    }

    /// Every appointment of a doctor that lies in a window, and the position at which that is true.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn snapshot_of_doctor(
        &self,
        doctor: DoctorId,
        window: (Timestamp, Timestamp),
    ) -> Result<(Position, Vec<Appointment>)> {
        let query = Query {
            doctor: Some(doctor),
            ends_after: Some(window.0),
            starts_before: Some(window.1),
            ..Query::default()
        };
        self.snapshot(query.filter()).await
    }

    async fn snapshot(&self, filter: Document) -> Result<(Position, Vec<Appointment>)> {
        let store = self.clone();
        let (at, documents) = read(&self.cluster, async move {
            let mut session = store.cluster.snapshot_session().await?;
            let found = store.collection.find(filter).sort(doc! { "start": 1, "_id": 1 });
            let mut cursor = found.read_concern(ReadConcern::snapshot()).session(&mut session).await?;
            let documents: Vec<AppointmentDoc> = cursor.stream(&mut session).try_collect().await?;
            Ok((snapshot_position(&session)?, documents))
        })
        .await?;
        let appointments: Result<Vec<Appointment>> =
            documents.into_iter().map(|document| Stored::new(document).map(|stored| stored.appointment)).collect();
        Ok((at, appointments?))
    }

    /// A doctor's rules, everything that takes their time and ends after `since`, and what of others takes the rooms and
    /// devices of their services, at one position. `None`: there is no such doctor.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn calendar(&self, doctor: DoctorId, since: Timestamp) -> Result<Option<(Position, Doctor, Vec<Entry>)>> {
        let store = self.clone();
        let id: Uuid = bson_id(doctor.0);
        let (at, rules, documents) = read(&self.cluster, async move {
            let mut session = store.cluster.snapshot_session().await?;
            let doctors: Collection<DoctorDoc> = store.cluster.db.collection(collection::DOCTORS);
            let rules = doctors.find_one(doc! { "_id": id });
            let rules = rules.read_concern(ReadConcern::snapshot()).session(&mut session).await?;
            let start = bson_time(since.saturating_sub(LONGEST).unwrap_or(Timestamp::MIN));
            let filter = doc! { "doctorId": id, "start": { "$gte": start }, "claims": { "$exists": true } };
            let mut documents = store.entries(filter, &mut session).await?;
            let resources: BTreeSet<Uuid> = rules.iter().flat_map(DoctorDoc::resources).collect();
            if !resources.is_empty() {
                let resources: Vec<Uuid> = resources.into_iter().collect();
                let filter = doc! {
                    "resources": { "$in": resources }, "start": { "$gte": start }, "claims": { "$exists": true },
                    "doctorId": { "$ne": id },
                };
                documents.extend(store.entries(filter, &mut session).await?);
            }
            Ok((snapshot_position(&session)?, rules, documents))
        })
        .await?;
        let internal = |error: super::documents::Undecodable| Error::Internal(error.to_string());
        let Some(rules) = rules else { return Ok(None) };
        let taken: Result<Vec<Entry>> =
            documents.iter().map(|document| document.to_domain().map_err(internal)).collect();
        Ok(Some((at, rules.to_domain().map_err(internal)?, taken?)))
    }

    async fn entries(
        &self,
        filter: Document,
        session: &mut ClientSession,
    ) -> Result<Vec<EntryDoc>, mongodb::error::Error> {
        let entries: Collection<RawDocumentBuf> = self.collection.clone_with_type();
        let mut cursor = entries.find(filter).read_concern(ReadConcern::snapshot()).session(&mut *session).await?;
        cursor.stream(session).map(|document| EntryDoc::read(&document?)).try_collect().await
    }
}

impl Query {
    fn filter(&self) -> Document {
        let mut filter = Document::new();
        let mut start = Document::new();
        if let Some(doctor) = self.doctor {
            filter.insert("doctorId", bson_id(doctor.0));
            filter.insert("kind", doc! { "$exists": false });
        }
        if let Some(patient) = self.patient {
            filter.insert("patientId", bson_id(patient.0));
        }
        if let Some(status) = self.status {
            filter.insert("status", status.as_str());
        } else {
            // Ended holds are no appointments: only who asks for them gets them.
            filter.insert("status", doc! { "$ne": Status::Expired.as_str() });
        }
        if self.status == Some(Status::Expired) {
            filter.insert("see", doc! { "$exists": false });
        }
        if let Some(before) = self.starts_before {
            start.insert("$lt", bson_time(before));
        }
        if let Some(after) = self.ends_after {
            filter.insert("end", doc! { "$gt": bson_time(after) });
            start.insert("$gt", bson_time(after.saturating_sub(LONGEST).unwrap_or(Timestamp::MIN)));
        }
        if !start.is_empty() {
            filter.insert("start", start);
        }
        if let Some((last, id)) = self.after {
            let last = bson_time(last);
            filter.insert(
                "$or",
                vec![doc! { "start": { "$gt": last } }, doc! { "start": last, "_id": { "$gt": bson_id(id.0) } }],
            );
        }
        filter
    }
}

pub(super) fn place_of(text: &str) -> Result<Quota> {
    quota(text).ok_or_else(|| Error::Internal("a place within a limit cannot be read".to_owned()))
}

/// Which refusal a collision on a unique index stands for.
pub(super) fn refusal_of(index: &str, collided: Option<&str>) -> Result<Refusal> {
    match index {
        CLAIMS_INDEX => Ok(Refusal::SlotTaken { alternatives: Vec::new() }),
        SHARED_INDEX if collided.is_some_and(is_of_resource) => Ok(Refusal::SlotUnavailable { rule: Rule::Resource }),
        SHARED_INDEX => Ok(Refusal::PatientBusy),
        other => Err(Error::Internal(format!("collision on an unexpected index {other}"))),
    }
}

/// Where the reads of a snapshot session are true.
pub(super) fn snapshot_position(session: &ClientSession) -> Result<Position, mongodb::error::Error> {
    let time = session.snapshot_time();
    time.map(position).ok_or_else(|| mongodb::error::Error::custom("the server told no snapshot time"))
}
