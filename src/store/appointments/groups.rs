//! Group sessions in the appointments collection. A seat is taken or given up in one transaction with the appointment that has
//! it, guarded by the session's revision; what does not touch the seats changes the appointment alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{FutureExt as _, TryStreamExt as _};
use jiff::SignedDuration;
use mongodb::bson::{Document, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection};

use super::holds::{Taking, run_out};
use super::{AppointmentStore, CLAIMS_INDEX, Holding, PRIMARY_INDEX, SHARED_INDEX, Stored, place_of, refusal_of};
use crate::domain::appointment::{Appointment, Status};
use crate::domain::availability::MOST_PATIENTS;
use crate::domain::group::{GroupSession, Seat};
use crate::domain::ids::{AppointmentId, UserId};
use crate::error::{Error, Result};
use crate::store::documents::{GroupDoc, is_of_resource};
use crate::store::idempotency::Request;
use crate::store::transaction::{self, in_transaction};
use crate::store::value::bson_id;
use crate::store::write::{Verdict, linearizable, read};

/// The next revision of a group session, and what guards it.
#[derive(Clone, Debug)]
pub struct SessionChange {
    /// `None`: it is new.
    guard: Option<Document>,
    next: GroupSession,
}

impl SessionChange {
    /// What it changes into, from what was read.
    #[must_use]
    pub fn new(current: Option<&GroupSession>, next: GroupSession) -> Self {
        Self { guard: current.map(guard_of), next }
    }

    /// The session as it will be.
    #[must_use]
    pub fn next(&self) -> &GroupSession {
        &self.next
    }
}

/// Finds the session as long as it is at this revision.
fn guard_of(session: &GroupSession) -> Document {
    doc! {
        "_id": bson_id(session.id.0), "doctorId": bson_id(session.doctor_id.0), "kind": "group",
        "rev": i32::try_from(session.rev).unwrap_or(i32::MAX),
    }
}

impl AppointmentStore {
    /// Reads a group session. `settled`: with everything that was written before.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn session(&self, id: AppointmentId, settled: bool) -> Result<Option<GroupSession>> {
        let sessions: Collection<GroupDoc> = self.collection.clone_with_type();
        let concern = if settled { linearizable() } else { ReadConcern::majority() };
        let filter = doc! { "_id": bson_id(id.0), "kind": "group" };
        let found = read(&self.cluster, async move { sessions.find_one(filter).read_concern(concern).await }).await?;
        found.map(|document| document.to_domain()).transpose().map_err(|error| Error::Internal(error.to_string()))
    }

    /// The session in which an appointment gives up its seat by becoming `next`, if it does.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn seat_left(&self, current: &Stored, next: &Appointment) -> Result<Option<SessionChange>> {
        let before = current.appointment.seat.filter(|before| Some(*before) != next.seat);
        let Some(id) = before else { return Ok(None) };
        let session = self.session(id, false).await?;
        let session = session.ok_or_else(|| Error::Internal("a seat in no session".to_owned()))?;
        // Else somebody was faster, and the appointment's own guard tells.
        Ok(session.without(next.id).map(|next| SessionChange::new(Some(&session), next)))
    }

    /// The session in which a hold becomes an appointment.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub(super) async fn seat_confirmed(&self, hold: &Stored) -> Result<Option<SessionChange>> {
        let Some(id) = hold.appointment.seat else { return Ok(None) };
        let session = self.session(id, true).await?;
        let session = session.ok_or_else(|| Error::Internal("a seat in no session".to_owned()))?;
        Ok(Some(SessionChange::new(Some(&session), session.confirmed(hold.appointment.id))))
    }

    /// Within a transaction: writes sessions. `false`: somebody was faster.
    pub(in crate::store) async fn write_sessions(
        &self,
        session: &mut ClientSession,
        changes: &[SessionChange],
    ) -> Result<bool, DriverError> {
        for change in changes {
            if !self.write_session(session, change).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Within a transaction: writes a session. `false`: somebody was faster.
    pub(super) async fn write_session(
        &self,
        session: &mut ClientSession,
        change: &SessionChange,
    ) -> Result<bool, DriverError> {
        let sessions: Collection<GroupDoc> = self.collection.clone_with_type();
        let document = GroupDoc::from_domain(&change.next);
        match &change.guard {
            Some(guard) => transaction::replace(session, &sessions, guard.clone(), &document).await,
            None => sessions.insert_one(document).session(session).await.map(|_| true),
        }
    }

    /// Takes a hold on a seat, as [`Self::hold`] takes one on a time. It is the last seat of the session's next revision; how long it
    /// lasts, the database says.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn hold_seat(
        &self,
        change: SessionChange,
        hold: &Appointment,
        length: SignedDuration,
        request: &Request,
    ) -> Result<Holding> {
        let (_, Taking { filter, pipeline }) = Taking::of(hold, length, request)?;
        let (store, exists) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let told = exists.clone();
        let written = in_transaction(&self.cluster, move |session| {
            let (store, filter, pipeline) = (store.clone(), filter.clone(), pipeline.clone());
            let (mut change, told) = (change.clone(), told.clone());
            async move {
                let upsert = store.collection.update_one(filter.clone(), pipeline).upsert(true);
                if upsert.session(&mut *session).await?.upserted_id.is_none() {
                    told.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                let found = store.collection.find_one(filter).session(&mut *session).await?;
                let document = found.ok_or_else(|| DriverError::custom("a hold that was written is not there"))?;
                let held = document.to_domain().map_err(DriverError::custom)?;
                if let Some(seat) = change.next.seats.last_mut() {
                    *seat = Seat::of(&held);
                }
                Ok(store.write_session(session, &change).await?.then_some(document))
            }
            .boxed()
        });
        Ok(match written.await? {
            Verdict::Done { value: Some((document, at)), .. } => Holding::Done(Box::new(Stored::new(document)?), at),
            Verdict::Done { value: None, .. } if exists.load(Ordering::Relaxed) => Holding::Exists,
            // The session was begun by somebody else, or has changed.
            Verdict::Done { value: None, .. } => Holding::Overtaken,
            Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Holding::Overtaken,
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

    /// Holds on seats of a session that have run out, and that of `user`, run out or not.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn held_seats(&self, session: AppointmentId, user: UserId) -> Result<Vec<Stored>> {
        let filter = doc! {
            "seat": bson_id(session.0), "status": Status::Held.as_str(),
            "$or": [{ "heldBy": bson_id(user.0) }, { "$expr": run_out() }],
        };
        self.find_all(filter, i64::from(MOST_PATIENTS)).await
    }

    /// The group sessions that have any of these.
    pub(super) async fn sessions_over(&self, any: &[Document]) -> Result<Vec<Uuid>> {
        let filter = doc! { "$or": any.to_vec(), "kind": "group" };
        let sessions: Collection<GroupDoc> = self.collection.clone_with_type();
        let found: Vec<GroupDoc> =
            read(&self.cluster, async move { sessions.find(filter).await?.try_collect().await }).await?;
        Ok(found.into_iter().map(|session| session.id).collect())
    }
}
