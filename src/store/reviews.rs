//! The reviews collection. A review, the rating of its doctor and the mark on its visit change together or not at all.

use futures::{FutureExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::bson::{Document, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::{IndexOptions, ReadConcern};
use mongodb::{ClientSession, Collection};

use super::appointments::{Stored as StoredVisit, snapshot_position};
use super::cluster::Cluster;
use super::collection;
use super::doctors::StoredDoctor;
use super::documents::review::{HIDDEN, PUBLISHED};
use super::documents::{AppointmentDoc, DoctorDoc, ReviewDoc};
use super::idempotency::{Recall, Request, without};
use super::transaction::{self, in_transaction};
use super::value::{bson_id, bson_time};
use super::whole;
use super::write::{Verdict, linearizable, read};
use crate::domain::appointment::Appointment;
use crate::domain::change::Position;
use crate::domain::ids::{DoctorId, PatientId, ReviewId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::review::{Review, Shift};
use crate::error::{Error, Result};

const PRIMARY_INDEX: &str = "_id_";
const NEWEST_FIRST: [&str; 2] = ["createdAt", "_id"];

/// The reviews collection, and those that change with it.
#[derive(Clone)]
pub struct ReviewStore {
    cluster: Cluster,
    reviews: Collection<ReviewDoc>,
    doctors: Collection<DoctorDoc>,
    appointments: Collection<AppointmentDoc>,
}

/// A review with what its document remembers.
#[derive(Clone, Debug)]
pub struct StoredReview {
    document: ReviewDoc,
    pub review: Review,
}

/// What writing a review came to.
#[derive(Debug)]
pub enum Written {
    Done(Position),
    /// The visit has one.
    Exists,
    /// The visit is no longer at the revision that was replaced.
    Stale,
}

/// Which reviews to list, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub doctor: Option<DoctorId>,
    pub published: Option<bool>,
    pub reported: Option<bool>,
    /// The last one of the page before.
    pub after: Option<(Timestamp, ReviewId)>,
    pub limit: i64,
}

impl StoredReview {
    fn new(document: ReviewDoc) -> Result<Self> {
        let review = document.to_domain().map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { document, review })
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
}

impl ReviewStore {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self {
            reviews: cluster.db.collection(collection::REVIEWS),
            doctors: cluster.db.collection(collection::DOCTORS),
            appointments: cluster.db.collection(collection::APPOINTMENTS),
            cluster,
        }
    }

    /// Creates the indexes of the collection. The collection itself is made with them: a transaction need not.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn ensure_indexes(&self) -> Result<(), DriverError> {
        let [created, id] = NEWEST_FIRST;
        let reported = IndexOptions::builder().partial_filter_expression(doc! { "reports": { "$exists": true } });
        let sparse = IndexOptions::builder().sparse(true).build();
        let plain = IndexOptions::default;
        let indexes = [
            ("doctor_status_created", doc! { "doctorId": 1, "status": 1, created: -1, id: -1 }, plain()),
            ("created", doc! { created: -1, id: -1 }, plain()),
            ("reported", doc! { created: -1, id: -1 }, reported.build()),
            ("patient", doc! { "patientId": 1, created: 1, id: 1 }, plain()),
            ("reporter", doc! { "reports.by": 1 }, sparse),
            ("remembered", doc! { "keys.user": 1 }, plain()),
        ];
        self.cluster.ensure_indexes(collection::REVIEWS, indexes).await
    }

    /// Writes a review, marks its visit and shifts the rating of its doctor, in one transaction.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn insert(
        &self,
        review: &Review,
        visit: &StoredVisit,
        marked: &Appointment,
        request: &Request,
    ) -> Result<Written> {
        let document = ReviewDoc::from_domain(review, request.remember(&[], None));
        let (guard, marked) = visit.rewritten(marked);
        let (doctor, shift, at) = (review.doctor_id, Shift::between(None, review), review.updated_at);
        let store = self.clone();
        let written = in_transaction(&self.cluster, move |session| {
            let (store, document, guard, marked) = (store.clone(), document.clone(), guard.clone(), marked.clone());
            async move {
                store.reviews.insert_one(&document).session(&mut *session).await?;
                if !transaction::replace(session, &store.appointments, guard, &marked).await? {
                    return Ok(None);
                }
                store.shift(session, doctor, shift, at).await
            }
            .boxed()
        });
        Ok(match written.await? {
            Verdict::Done { value: Some(((), at)), .. } => Written::Done(at),
            Verdict::Done { value: None, .. } => Written::Stale,
            Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Written::Exists,
            Verdict::Duplicate { index, .. } => return Err(unexpected(&index)),
        })
    }

    /// Writes the next revision, guarded by the one that it replaces, with the rating of the doctor where that changes. `None`: the
    /// guard did not match.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn replace(&self, current: &StoredReview, next: &Review, request: &Request) -> Result<Option<Position>> {
        let document = ReviewDoc::from_domain(next, request.remember(&current.document.keys, None));
        let shift = Shift::between(Some(&current.review), next);
        if shift.is_nothing() {
            return self.replace_alone(current, &document).await;
        }
        let (guard, doctor, at) = (current.guard(), next.doctor_id, next.updated_at);
        let store = self.clone();
        let written = in_transaction(&self.cluster, move |session| {
            let (store, document, guard) = (store.clone(), document.clone(), guard.clone());
            async move {
                if !transaction::replace(session, &store.reviews, guard, &document).await? {
                    return Ok(None);
                }
                store.shift(session, doctor, shift, at).await
            }
            .boxed()
        });
        match written.await? {
            Verdict::Done { value, .. } => Ok(value.map(|((), at)| at)),
            Verdict::Duplicate { index, .. } => Err(unexpected(&index)),
        }
    }

    /// Within a transaction: the doctor's next revision, with another rating. Last, since others wait for the doctor. `None`: there
    /// is no such doctor.
    async fn shift(
        &self,
        session: &mut ClientSession,
        doctor: DoctorId,
        shift: Shift,
        at: Timestamp,
    ) -> Result<Option<()>, DriverError> {
        let found = self.doctors.find_one(doc! { "_id": bson_id(doctor.0) }).session(&mut *session).await?;
        let Some(document) = found else { return Ok(None) };
        let doctor = document.to_domain().map_err(|error| DriverError::custom(error.to_string()))?;
        let (guard, next) = StoredDoctor::rewritten(&document, &shift.apply(&doctor, at));
        Ok(transaction::replace(session, &self.doctors, guard, &next).await?.then_some(()))
    }

    /// Writes the next revision of a review from which a person is erased: what they have asked for is no longer remembered.
    /// `false`: the guard did not match.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn rewrite(&self, current: &StoredReview, next: &Review, person: UserId) -> Result<bool> {
        let document = ReviewDoc::from_domain(next, without(&current.document.keys, person));
        Ok(self.replace_alone(current, &document).await?.is_some())
    }

    async fn replace_alone(&self, current: &StoredReview, document: &ReviewDoc) -> Result<Option<Position>> {
        match whole::replace(&self.cluster, &self.reviews, &current.guard(), document).await? {
            Verdict::Done { value, .. } => Ok(value),
            Verdict::Duplicate { index, .. } => Err(unexpected(&index)),
        }
    }

    /// Reads a review as a majority has it.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find(&self, id: ReviewId) -> Result<Option<(StoredReview, Position)>> {
        self.find_at(id, ReadConcern::majority()).await
    }

    /// The same with everything that was written before: what it tells of a write whose answer was lost may be acknowledged.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn find_latest(&self, id: ReviewId) -> Result<Option<(StoredReview, Position)>> {
        self.find_at(id, linearizable()).await
    }

    async fn find_at(&self, id: ReviewId, concern: ReadConcern) -> Result<Option<(StoredReview, Position)>> {
        let found = whole::find(&self.cluster, &self.reviews, bson_id(id.0), concern).await?;
        found.map(|(document, at)| Ok((StoredReview::new(document)?, at))).transpose()
    }

    /// Lists reviews, the newest first.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn list(&self, query: &Query) -> Result<Vec<Review>> {
        let found = self.find_all(query.filter(), newest_first(), query.limit).await?;
        Ok(found.into_iter().map(|stored| stored.review).collect())
    }

    /// The newest published reviews of a doctor, and the position at which that is true.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn snapshot(&self, doctor: DoctorId, limit: i64) -> Result<(Position, Vec<Review>)> {
        let query = Query { doctor: Some(doctor), published: Some(true), ..Query::default() };
        let (store, filter) = (self.clone(), query.filter());
        let (at, documents) = read(&self.cluster, async move {
            let mut session = store.cluster.snapshot_session().await?;
            let found = store.reviews.find(filter).sort(newest_first()).limit(limit);
            let found = found.projection(doc! { "history": 0, "keys": 0, "reports": 0 });
            let mut cursor = found.read_concern(ReadConcern::snapshot()).session(&mut session).await?;
            let documents: Vec<ReviewDoc> = cursor.stream(&mut session).try_collect().await?;
            Ok((snapshot_position(&session)?, documents))
        })
        .await?;
        let reviews: Result<Vec<Review>> =
            documents.into_iter().map(|document| StoredReview::new(document).map(|stored| stored.review)).collect();
        Ok((at, reviews?))
    }

    /// What a person has written, as an author or as the doctor who answers; the oldest first, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn of_person(&self, person: UserId, limit: i64) -> Result<Vec<Review>> {
        let id = bson_id(person.0);
        let answered = doc! { "doctorId": id, "reply": { "$exists": true } };
        let filter = doc! { "$or": [{ "patientId": id }, answered] };
        let found = self.find_all(filter, doc! { "createdAt": 1, "_id": 1 }, limit).await?;
        Ok(found.into_iter().map(|stored| stored.review).collect())
    }

    /// What a person has reported, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn reported_by(&self, person: UserId, limit: i64) -> Result<Vec<Review>> {
        let filter = doc! { "reports.by": bson_id(person.0) };
        let found = self.find_all(filter, doc! { "createdAt": 1, "_id": 1 }, limit).await?;
        Ok(found.into_iter().map(|stored| stored.review).collect())
    }

    /// Reviews that still name a person as their author or as somebody who reported them, or remember something that they have
    /// asked for, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_author(&self, person: PatientId, limit: i64) -> Result<Vec<StoredReview>> {
        let id = bson_id(person.0);
        let filter = doc! { "$or": [{ "patientId": id }, { "reports.by": id }, { "keys.user": id }] };
        self.find_all(filter, doc! { "_id": 1 }, limit).await
    }

    /// Reviews that still hold words of a doctor or about them, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn with_doctor(&self, doctor: DoctorId, limit: i64) -> Result<Vec<StoredReview>> {
        let there = doc! { "$exists": true };
        let filter = doc! {
            "doctorId": bson_id(doctor.0),
            "$or": [
                { "text": there.clone() },
                { "reply": there.clone() },
                { "reports": there.clone() },
                { "hiddenReason": { "$gt": "" } },
                { "history.reason": there },
            ],
        };
        self.find_all(filter, doc! { "_id": 1 }, limit).await
    }

    async fn find_all(&self, filter: Document, order: Document, limit: i64) -> Result<Vec<StoredReview>> {
        let reviews = self.reviews.clone();
        let documents: Vec<ReviewDoc> =
            read(
                &self.cluster,
                async move { reviews.find(filter).sort(order).limit(limit).await?.try_collect().await },
            )
            .await?;
        documents.into_iter().map(StoredReview::new).collect()
    }
}

impl StoredReview {
    fn guard(&self) -> Document {
        doc! { "_id": self.document.id, "doctorId": self.document.doctor_id, "rev": self.document.rev }
    }
}

impl Query {
    /// The condition.
    #[must_use]
    pub fn filter(&self) -> Document {
        let mut filter = Document::new();
        if let Some(doctor) = self.doctor {
            filter.insert("doctorId", bson_id(doctor.0));
        }
        if let Some(published) = self.published {
            filter.insert("status", if published { PUBLISHED } else { HIDDEN });
        }
        if let Some(reported) = self.reported {
            filter.insert("reports", doc! { "$exists": reported });
        }
        if let Some((last, id)) = self.after {
            let last = bson_time(last);
            // What the index is entered by; the rest settles equals.
            filter.insert("createdAt", doc! { "$lte": last });
            let earlier = doc! { "createdAt": { "$lt": last } };
            filter.insert("$or", vec![earlier, doc! { "createdAt": last, "_id": { "$lt": bson_id(id.0) } }]);
        }
        filter
    }
}

/// The order of every list.
#[must_use]
pub fn newest_first() -> Document {
    NEWEST_FIRST.into_iter().map(|field| (field.to_owned(), (-1).into())).collect()
}

fn unexpected(index: &str) -> Error {
    Error::Internal(format!("collision on an unexpected index {index}"))
}
