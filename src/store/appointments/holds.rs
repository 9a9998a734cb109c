//! Holds in the appointments collection: taken, confirmed and ended by writes that ask the database's clock, not a node's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{FutureExt as _, TryStreamExt as _};
use jiff::SignedDuration;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, deserialize_from_slice, doc, serialize_to_document};
use mongodb::error::Error as DriverError;
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, Collection};

use super::{AppointmentStore, CLAIMS_INDEX, PRIMARY_INDEX, SHARED_INDEX, Stored, place_of, refusal_of};
use crate::domain::appointment::{Appointment, HOLDS, Status};
use crate::domain::change::Position;
use crate::domain::entry::Quota;
use crate::domain::ids::{AppointmentId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::waitlist::WaitlistEntry;
use crate::error::{Error, Result};
use crate::store::collection;
use crate::store::documents::{AppointmentDoc, Outcome, hold_place, is_of_resource, resource_claims};
use crate::store::group_commit::Written;
use crate::store::idempotency::Request;
use crate::store::transaction;
use crate::store::value::bson_id;
use crate::store::waitlist::StoredEntry;
use crate::store::whole::reached;
use crate::store::write::{Verdict, read};

/// Most overlapping holds that are looked at: more do not fit under one appointment in practice, and the next attempt goes on.
const OVERLAPPING: i64 = 8;

/// What taking a hold came to.
#[derive(Debug)]
pub enum Holding {
    /// It is there.
    Done(Box<Stored>, Position),
    /// A document of this id exists: the same request, or the same key, came before.
    Exists,
    /// Of a seat: others have changed the group session meanwhile. Read it again.
    Overtaken,
    /// Another live hold of this person has this place.
    PlaceTaken,
    /// Somebody has this place within a limit of the service; the next one may be free.
    Outnumbered(Quota),
    Refused(Refusal),
}

/// What making a hold an appointment came to.
#[derive(Debug)]
pub enum Confirmed {
    Done(Position),
    /// The hold has ended or was changed in between: read it again.
    Stale,
    /// Of a seat: others have changed the group session meanwhile.
    Overtaken,
    /// The same request, or the same key, came before.
    Exists,
    Refused(Refusal),
}

/// Names of all places of a person's holds.
pub(super) fn places(user: UserId) -> Vec<String> {
    (0..HOLDS).map(|place| hold_place(user, place)).collect()
}

/// What has run out by the database's clock.
pub(in crate::store) fn run_out() -> Document {
    doc! { "$lte": ["$expiresAt", "$$NOW"] }
}

fn running() -> Document {
    doc! { "$gt": ["$expiresAt", "$$NOW"] }
}

/// How a hold is inserted as a whole, unless a document of its id is there, which then stays as it is.
pub(super) struct Taking {
    pub filter: Document,
    pub pipeline: Vec<Document>,
}

impl Taking {
    /// With the document as it is inserted, but for its end.
    pub(super) fn of(hold: &Appointment, length: SignedDuration, request: &Request) -> Result<(AppointmentDoc, Self)> {
        let document = AppointmentDoc::from_domain(hold, request.remember(&[], Some(Outcome::of(hold))));
        let taking = Self::of_document(&document, length).map_err(|error| Error::Internal(error.to_string()))?;
        Ok((document, taking))
    }

    fn of_document(document: &AppointmentDoc, length: SignedDuration) -> Result<Self, mongodb::bson::error::Error> {
        let filter = doc! { "_id": document.id, "doctorId": document.doctor_id };
        let whole = serialize_to_document(document)?;
        let end = doc! { "expiresAt": { "$add": ["$$NOW", length.as_millis() as i64] } };
        // Texts of people are no expressions.
        let new = doc! { "$mergeObjects": [{ "$literal": whole }, end] };
        let is_new = doc! { "$eq": [{ "$type": "$rev" }, "missing"] };
        let pipeline = vec![doc! { "$replaceWith": { "$cond": [is_new, new, "$$ROOT"] } }];
        Ok(Self { filter, pipeline })
    }

    /// As a statement of an `update`.
    fn statement(self) -> Document {
        doc! { "q": self.filter, "u": self.pipeline, "upsert": true }
    }
}

impl AppointmentStore {
    /// Takes a hold that lasts for `length` of the database's clock: inserted as a whole, unless a document of its id is there, which then
    /// stays as it is. `seems_taken`: it probably loses, and is refused without a write where it would.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn hold(
        &self,
        hold: &Appointment,
        length: SignedDuration,
        request: &Request,
        seems_taken: bool,
    ) -> Result<Holding> {
        let (document, taking) = Taking::of(hold, length, request)?;
        Ok(match self.group_commit.hold(&document, &taking.statement(), seems_taken).await? {
            Verdict::Done { value: Written { at, until }, .. } => {
                let document = AppointmentDoc { expires_at: until, ..document };
                Holding::Done(Box::new(Stored::new(document)?), at)
            }
            Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Holding::Exists,
            Verdict::Duplicate { index, value, .. }
                if index == SHARED_INDEX && !value.as_deref().is_some_and(is_of_resource) =>
            {
                Holding::PlaceTaken
            }
            Verdict::Duplicate { value: Some(place), index, .. } if index == CLAIMS_INDEX => {
                Holding::Outnumbered(place_of(&place)?)
            }
            Verdict::Duplicate { index, value, .. } => Holding::Refused(refusal_of(&index, value.as_deref())?),
        })
    }

    /// The same within a transaction, of a new document. Returns when it ends.
    pub(in crate::store) async fn hold_within(
        &self,
        session: &mut ClientSession,
        document: &AppointmentDoc,
        length: SignedDuration,
    ) -> Result<DateTime, DriverError> {
        let Taking { filter, pipeline } = Taking::of_document(document, length).map_err(DriverError::custom)?;
        let upsert = self.collection.find_one_and_update(filter, pipeline).upsert(true);
        let found = upsert.return_document(ReturnDocument::After).session(session).await?;
        let end = found.and_then(|hold| hold.expires_at);
        end.ok_or_else(|| DriverError::custom("an upsert returned no hold"))
    }

    /// Makes a hold what `next` says, if it is still one and has not run out, and the waitlist entry that it was offered to what
    /// `entry` says. A trace of the request, under the id that an
    /// appointment without a hold would have, lets a repetition find it whatever becomes of the appointment; both or none are written.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn confirm(
        &self,
        hold: &Stored,
        next: &Appointment,
        entry: Option<(&StoredEntry, &WaitlistEntry)>,
        trace: AppointmentId,
        request: &Request,
    ) -> Result<Confirmed> {
        let document = AppointmentDoc::from_domain(next, hold.keys_with(request, next));
        let remembered =
            document.keys.last().ok_or_else(|| Error::Internal("a request was not remembered".to_owned()))?;
        let trace = document.trace(bson_id(trace.0), remembered);
        let guard = doc! {
            "_id": document.id, "doctorId": document.doctor_id, "rev": hold.document.rev,
            "status": Status::Held.as_str(), "heldBy": document.held_by, "$expr": running(),
        };
        let entry = entry.map(|(current, next)| current.rewritten(next, None));
        let entries = self.cluster.db.collection(collection::WAITLIST);
        let (store, overtaken) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let (seat, told) = (self.seat_confirmed(hold).await?, overtaken.clone());
        let written = transaction::in_transaction(&self.cluster, move |session| {
            let (store, guard, seat, entries) = (store.clone(), guard.clone(), seat.clone(), entries.clone());
            let (document, trace, entry, told) = (document.clone(), trace.clone(), entry.clone(), told.clone());
            async move {
                if !transaction::replace(session, &store.collection, guard, &document).await? {
                    return Ok(None);
                }
                if let Some((guard, entry)) = entry
                    && !transaction::replace(session, &entries, guard, &entry).await?
                {
                    return Ok(None);
                }
                if let Some(seat) = &seat
                    && !store.write_session(session, seat).await?
                {
                    told.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                store.collection.insert_one(trace).session(session).await?;
                Ok(Some(()))
            }
            .boxed()
        })
        .await?;
        Ok(match written {
            Verdict::Done { value: Some(((), at)), .. } => Confirmed::Done(at),
            Verdict::Done { value: None, .. } if overtaken.load(Ordering::Relaxed) => Confirmed::Overtaken,
            Verdict::Done { value: None, .. } => Confirmed::Stale,
            Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Confirmed::Exists,
            Verdict::Duplicate { index, value, .. } => Confirmed::Refused(refusal_of(&index, value.as_deref())?),
        })
    }

    /// Holds that have run out and have not been ended yet, at most `limit`. One that cannot be read is left out: it is not to keep
    /// the others.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn overdue(&self, limit: i64) -> Result<Vec<Stored>> {
        let holds: Collection<RawDocumentBuf> = self.collection.clone_with_type();
        let filter = doc! { "status": Status::Held.as_str(), "$expr": run_out() };
        let found: Vec<RawDocumentBuf> =
            read(&self.cluster, async move { holds.find(filter).limit(limit).await?.try_collect().await }).await?;
        let readable = found.iter().filter_map(|hold| {
            let document = deserialize_from_slice(hold.as_bytes()).map_err(|error| error.to_string());
            let stored = document.and_then(|document| Stored::new(document).map_err(|error| error.to_string()));
            stored.inspect_err(|error| tracing::error!(%error, "a hold that has run out cannot be read")).ok()
        });
        Ok(readable.collect())
    }

    /// Holds that have run out over the doctor's time of an appointment or over its rooms and devices, and those of `user`, run
    /// out or not.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn holds_over(&self, appointment: &Appointment, user: UserId) -> Result<Vec<Stored>> {
        let claims: Vec<i32> = appointment.claims.iter().map(|tick| tick.0).collect();
        let mut over = vec![doc! { "doctorId": bson_id(appointment.doctor_id.0), "claims": { "$in": claims } }];
        if !appointment.resources.is_empty() {
            over.push(doc! { "shared": { "$in": resource_claims(appointment) } });
        }
        let sessions = self.sessions_over(&over).await?;
        if !sessions.is_empty() {
            over.push(doc! { "seat": { "$in": sessions } });
        }
        let ended = doc! { "$or": [{ "heldBy": bson_id(user.0) }, { "$expr": run_out() }] };
        let filter = doc! { "status": Status::Held.as_str(), "$and": [{ "$or": over }, ended] };
        self.find_all(filter, OVERLAPPING).await
    }

    /// The holds of a person that have run out and keep their places.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn run_out_of(&self, user: UserId) -> Result<Vec<Stored>> {
        let filter = doc! { "shared": { "$in": places(user) }, "$expr": run_out() };
        self.find_all(filter, i64::from(HOLDS)).await
    }

    /// A person's hold that is live by the database's clock, with the position of the read.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn live_hold(&self, id: AppointmentId, user: UserId) -> Result<Option<(Stored, Position)>> {
        let filter = doc! {
            "_id": bson_id(id.0), "heldBy": bson_id(user.0), "status": Status::Held.as_str(), "$expr": running(),
        };
        let store = self.clone();
        let found = read(&self.cluster, async move {
            let mut session = store.cluster.session().await?;
            let found = store.collection.find_one(filter).session(&mut session).await?;
            Ok(found.map(|document| (document, reached(&session))))
        })
        .await?;
        found.map(|(document, at)| Ok((Stored::new(document)?, at))).transpose()
    }
}
