//! Holds in the appointments collection: taken, confirmed and ended by writes that ask the database's clock, not a node's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Document, doc, serialize_to_document};
use mongodb::options::ReturnDocument;

use super::{AppointmentStore, CLAIMS_INDEX, PRIMARY_INDEX, SHARED_INDEX, SessionChange, Stored, place_of, refusal_of};
use crate::domain::appointment::{Action, Appointment, HOLDS, Status};
use crate::domain::change::Position;
use crate::domain::entry::{Quota, TimeOffDay};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, UserId};
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::store::documents::{AppointmentDoc, Outcome, hold_place, is_of_resource, resource_claims};
use crate::store::idempotency::Request;
use crate::store::together::{Changes, Together};
use crate::store::transaction;
use crate::store::value::bson_id;
use crate::store::whole::{self, reached};
use crate::store::write::{Verdict, read, until_decided};

/// Most overlapping holds that are looked at: more do not fit under one appointment in practice, and the next attempt goes on.
const OVERLAPPING: i64 = 8;

/// What taking a hold came to.
#[derive(Debug)]
pub enum Holding {
    /// It is there: now, or since the same request came before.
    Done(Box<Stored>, Position),
    /// A document of this id exists that is no hold of this doctor: the key was used before. Of a seat: or that is this hold.
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
pub(super) fn run_out() -> Document {
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
    pub(super) fn of(hold: &Appointment, length: SignedDuration, request: &Request) -> Result<Self> {
        let document = AppointmentDoc::from_domain(hold, request.remember(&[], Some(Outcome::of(hold))));
        let filter = doc! { "_id": document.id, "doctorId": document.doctor_id };
        let whole = serialize_to_document(&document).map_err(|error| Error::Internal(error.to_string()))?;
        let end = doc! { "expiresAt": { "$add": ["$$NOW", length.as_millis() as i64] } };
        // Texts of people are no expressions.
        let new = doc! { "$mergeObjects": [{ "$literal": whole }, end] };
        let is_new = doc! { "$eq": [{ "$type": "$rev" }, "missing"] };
        let pipeline = vec![doc! { "$replaceWith": { "$cond": [is_new, new, "$$ROOT"] } }];
        Ok(Self { filter, pipeline })
    }
}

impl AppointmentStore {
    /// Takes a hold that lasts for `length` of the database's clock: inserted as a whole, unless a document of its id is there, which then stays
    /// as it is.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn hold(&self, hold: &Appointment, length: SignedDuration, request: &Request) -> Result<Holding> {
        let Taking { filter, pipeline } = Taking::of(hold, length, request)?;
        let written = until_decided(&self.cluster, || {
            let (store, filter, pipeline) = (self.clone(), filter.clone(), pipeline.clone());
            async move {
                let mut session = store.cluster.session().await?;
                let upsert = store.collection.find_one_and_update(filter, pipeline).upsert(true);
                let found = upsert.return_document(ReturnDocument::After).session(&mut session).await?;
                Ok((found, reached(&session)))
            }
        })
        .await?;
        Ok(match written {
            Verdict::Done { value: (Some(document), at), .. } => Holding::Done(Box::new(Stored::new(document)?), at),
            Verdict::Done { value: (None, _), .. } => {
                return Err(Error::Internal("an upsert returned no document".to_owned()));
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

    /// Makes a hold what `next` says, if it is still one and has not run out. A trace of the request, under the id that an
    /// appointment without a hold would have, lets a repetition find it whatever becomes of the appointment; both or none are written.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn confirm(
        &self,
        hold: &Stored,
        next: &Appointment,
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
        let (store, overtaken) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let (seat, told) = (self.seat_confirmed(hold).await?, overtaken.clone());
        let written = transaction::in_transaction(&self.cluster, move |session| {
            let (store, guard, seat) = (store.clone(), guard.clone(), seat.clone());
            let (document, trace, told) = (document.clone(), trace.clone(), told.clone());
            async move {
                if !transaction::replace(session, &store.collection, guard, &document).await? {
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

    /// Ends a hold if it has run out by the database's clock. `false`: it has not, or was changed in between.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn expire(
        &self,
        hold: &Stored,
        now: Timestamp,
        seat: Option<SessionChange>,
        heirs: Vec<TimeOffDay>,
    ) -> Result<bool> {
        let current = &hold.appointment;
        let Some(held) = current.held else { return Ok(false) };
        let Ok(next) = current.hold_ended(Action::Expired, Actor::system(held.by), now) else { return Ok(false) };
        let document = AppointmentDoc::from_domain(&next, hold.document.keys.clone());
        let guard = doc! {
            "_id": document.id, "doctorId": document.doctor_id, "rev": hold.document.rev,
            "status": Status::Held.as_str(), "$expr": run_out(),
        };
        if seat.is_some() || !heirs.is_empty() {
            let changes = Changes::default().document(guard, document).left(seat).taken(heirs);
            return Ok(matches!(self.write_together(changes).await?, Together::Done(_)));
        }
        match whole::replace(&self.cluster, &self.collection, &guard, &document).await? {
            Verdict::Done { value, .. } => Ok(value.is_some()),
            Verdict::Duplicate { index, .. } => {
                Err(Error::Internal(format!("collision on {index} in a hold that takes nothing any more")))
            }
        }
    }

    /// Holds that have run out and have not been ended yet, at most `limit`.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn overdue(&self, limit: i64) -> Result<Vec<Stored>> {
        self.find_all(doc! { "status": Status::Held.as_str(), "$expr": run_out() }, limit).await
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
