//! Documents of a doctor's calendar that change together: rules, appointments, and what takes over the time that appointments
//! give up, days of time off and offers to those who wait. One transaction, so that no time is free in between.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt as _, TryStreamExt as _};
use jiff::SignedDuration;
use mongodb::bson::{Document, doc};
use mongodb::error::Error as DriverError;
use mongodb::{ClientSession, Collection};
use serde::Deserialize;

use super::appointments::{
    AppointmentStore, CLAIMS_INDEX, PRIMARY_INDEX, SessionChange, Stored, place_of, refusal_of, run_out,
};
use super::collection;
use super::doctors::StoredDoctor;
use super::documents::{AppointmentDoc, Claim, DoctorDoc, OfferDoc, Outcome, TimeOffDoc, WaitlistDoc};
use super::idempotency::Request;
use super::transaction::{self, in_transaction};
use super::value::{bson_id, bson_time};
use super::waitlist::StoredEntry;
use super::whole;
use super::write::{Verdict, read};
use crate::domain::appointment::{Appointment, Status};
use crate::domain::change::Position;
use crate::domain::doctor::Doctor;
use crate::domain::entry::{Quota, TimeOffDay};
use crate::domain::ids::{DoctorId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::time_off::TimeOff;
use crate::domain::waitlist::WaitlistEntry;
use crate::error::{Error, Result};

/// What it came to that several documents were written together.
#[derive(Debug)]
pub enum Together {
    Done(Position),
    /// New ones: a document with one of their ids exists. Changed ones: one is no longer at the revision that was replaced.
    Stale,
    /// Somebody has this place within a limit; the next one may be free.
    Outnumbered(Quota),
    /// Nothing was written: the offer at this place cannot be made, since its entry has changed or somebody has what it takes.
    NotOffered(usize),
    /// Nothing was written; `lost` is the place of the appointment that was refused.
    Refused {
        refusal: Refusal,
        lost: usize,
    },
}

/// What is written together, in this order.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    doctor: Option<(Document, DoctorDoc)>,
    /// Group sessions in which seats are given up.
    left: Vec<SessionChange>,
    appointments: Vec<(Document, AppointmentDoc)>,
    /// Group sessions in which seats are taken.
    joined: Vec<SessionChange>,
    new: Vec<AppointmentDoc>,
    /// Next revisions.
    ended: Vec<TimeOffDay>,
    taken: Vec<TimeOffDay>,
    /// Of what is to be taken, only what nobody has.
    only_free: bool,
    /// Next revisions of waitlist entries.
    entries: Vec<(Document, WaitlistDoc)>,
    offers: Vec<NewOffer>,
}

/// A hold that is made for whoever waits.
#[derive(Clone, Debug)]
struct NewOffer {
    hold: AppointmentDoc,
    length: SignedDuration,
    guard: Document,
    entry: WaitlistDoc,
}

/// What is being written, for whoever has to know why it cannot be.
#[derive(Default)]
struct Progress {
    appointment: AtomicUsize,
    /// Counted from 1; 0: none yet.
    offer: AtomicUsize,
}

impl Changes {
    /// The next revision of a doctor.
    #[must_use]
    pub fn doctor(mut self, current: &StoredDoctor, next: &Doctor, request: &Request) -> Self {
        self.doctor = Some(current.replacement(next, request));
        self
    }

    /// The next revision of an appointment, which remembers the request.
    #[must_use]
    pub fn appointment(mut self, current: &Stored, next: &Appointment, request: &Request) -> Self {
        self.appointments.push((current.guard(), AppointmentDoc::from_domain(next, current.keys_with(request, next))));
        self
    }

    /// The next revision of an appointment that no request to it has asked for.
    #[must_use]
    pub fn rewritten(mut self, current: &Stored, next: &Appointment) -> Self {
        self.appointments.push(current.rewritten(next));
        self
    }

    /// The end of a hold, if it has run out by the database's clock.
    #[must_use]
    pub fn run_out(mut self, current: &Stored, next: &Appointment) -> Self {
        let (mut guard, document) = current.rewritten(next);
        guard.insert("status", Status::Held.as_str());
        guard.insert("$expr", run_out());
        self.appointments.push((guard, document));
        self
    }

    /// The next revision of an appointment from which a person is erased: what they have asked for is no longer remembered.
    #[must_use]
    pub fn erased(mut self, current: &Stored, next: &Appointment, person: UserId) -> Self {
        self.appointments.push(current.erased(next, person));
        self
    }

    /// A new appointment, which remembers the request.
    #[must_use]
    pub fn booked(mut self, appointment: &Appointment, request: &Request) -> Self {
        let keys = request.remember(&[], Some(Outcome::of(appointment)));
        self.new.push(AppointmentDoc::from_domain(appointment, keys));
        self
    }

    /// Group sessions in which a seat is given up.
    #[must_use]
    pub fn left(mut self, sessions: impl IntoIterator<Item = SessionChange>) -> Self {
        self.left.extend(sessions);
        self
    }

    /// A group session in which a seat is taken.
    #[must_use]
    pub fn joined(mut self, session: SessionChange) -> Self {
        self.joined.push(session);
        self
    }

    /// Days of time off that take nothing any more, in their last revision.
    #[must_use]
    pub fn ended(mut self, days: impl IntoIterator<Item = TimeOffDay>) -> Self {
        self.ended.extend(days);
        self
    }

    /// Days of time off that take these ticks beside what they have.
    #[must_use]
    pub fn taken(mut self, days: Vec<TimeOffDay>) -> Self {
        self.taken.extend(days);
        self
    }

    /// The same, as far as nobody has the ticks.
    #[must_use]
    pub fn taken_if_free(self, days: Vec<TimeOffDay>) -> Self {
        Self { only_free: true, ..self.taken(days) }
    }

    /// The next revision of a waitlist entry, which remembers the request, if one has asked for it.
    #[must_use]
    pub fn entry(mut self, current: &StoredEntry, next: &WaitlistEntry, request: Option<&Request>) -> Self {
        self.entries.push(current.rewritten(next, request));
        self
    }

    /// The same of one from which a person is erased: what they have asked for is no longer remembered.
    #[must_use]
    pub fn erased_entry(mut self, current: &StoredEntry, next: &WaitlistEntry, person: UserId) -> Self {
        self.entries.push(current.erased(next, person));
        self
    }

    /// A hold that lasts for `length` of the database's clock, for the patient of a waitlist entry whose next revision tells of it.
    #[must_use]
    pub fn offer(
        mut self,
        current: &StoredEntry,
        next: &WaitlistEntry,
        hold: &Appointment,
        length: SignedDuration,
    ) -> Self {
        let (guard, entry) = current.rewritten(next, None);
        self.offers.push(NewOffer { hold: AppointmentDoc::from_domain(hold, Vec::new()), length, guard, entry });
        self
    }

    /// The appointment that changes, if nothing else does.
    fn alone(&self) -> Option<&(Document, AppointmentDoc)> {
        let sessions = self.left.len() + self.joined.len();
        let others = self.new.len() + self.ended.len() + self.taken.len() + self.entries.len() + self.offers.len();
        match &self.appointments[..] {
            [one] if self.doctor.is_none() && sessions + others == 0 => Some(one),
            _ => None,
        }
    }
}

impl AppointmentStore {
    /// Writes all of it, or nothing.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn write_together(&self, changes: Changes) -> Result<Together> {
        if let Some((guard, document)) = changes.alone() {
            // An upsert may not ask the clock.
            let verdict = match guard.contains_key("$expr") {
                true => whole::replace(&self.cluster, &self.collection, guard, document)
                    .await?
                    .map(|at| at.map(|at| ((), at))),
                false => self.group_commit.replace(guard, document).await?.map(|written| Some(((), written.at))),
            };
            return together(verdict, 0);
        }
        let (store, changes, progress) = (self.clone(), Arc::new(changes), Arc::new(Progress::default()));
        let at_fault = progress.clone();
        let written = in_transaction(&self.cluster, move |session| {
            let (store, changes, progress) = (store.clone(), changes.clone(), progress.clone());
            async move { store.write_within(session, &changes, &progress).await }.boxed()
        });
        let written = written.await?;
        match (at_fault.offer.load(Ordering::Relaxed), &written) {
            (0, _) | (_, Verdict::Done { value: Some(_), .. }) => {
                together(written, at_fault.appointment.load(Ordering::Relaxed))
            }
            (offer, _) => Ok(Together::NotOffered(offer - 1)),
        }
    }

    async fn write_within(
        &self,
        session: &mut ClientSession,
        changes: &Changes,
        progress: &Progress,
    ) -> Result<Option<()>, DriverError> {
        progress.offer.store(0, Ordering::Relaxed);
        if let Some((guard, document)) = &changes.doctor {
            let doctors: Collection<DoctorDoc> = self.cluster.db.collection(collection::DOCTORS);
            if !transaction::replace(session, &doctors, guard.clone(), document).await? {
                return Ok(None);
            }
        }
        if !self.write_sessions(session, &changes.left).await? {
            return Ok(None);
        }
        // What an appointment gives up may be what its session takes. Otherwise the doctor's time comes before the patient's.
        let gives_up = changes.appointments.iter().any(|(_, document)| document.freed.is_some());
        if !gives_up && !self.write_sessions(session, &changes.joined).await? {
            return Ok(None);
        }
        for (place, (guard, document)) in changes.appointments.iter().enumerate() {
            progress.appointment.store(place, Ordering::Relaxed);
            if !transaction::replace(session, &self.collection, guard.clone(), document).await? {
                return Ok(None);
            }
        }
        if gives_up && !self.write_sessions(session, &changes.joined).await? {
            return Ok(None);
        }
        for (place, document) in changes.new.iter().enumerate() {
            progress.appointment.store(place, Ordering::Relaxed);
            self.collection.insert_one(document).session(&mut *session).await?;
        }
        let days: Collection<TimeOffDoc> = self.collection.clone_with_type();
        for day in &changes.ended {
            // One that never was is made, so that nobody else makes it.
            match day.rev {
                1 => drop(days.insert_one(TimeOffDoc::from_domain(day)).session(&mut *session).await?),
                _ if self.replace_day(session, day).await? => {}
                _ => return Ok(None),
            }
        }
        self.take(session, changes).await?;
        let entries: Collection<WaitlistDoc> = self.cluster.db.collection(collection::WAITLIST);
        for (guard, entry) in &changes.entries {
            if !transaction::replace(session, &entries, guard.clone(), entry).await? {
                return Ok(None);
            }
        }
        for (place, offer) in changes.offers.iter().enumerate() {
            progress.offer.store(place + 1, Ordering::Relaxed);
            let expires_at = self.hold_within(session, &offer.hold, offer.length).await?;
            let mut entry = offer.entry.clone();
            entry.offer = entry.offer.map(|told| OfferDoc { expires_at, ..told });
            if !transaction::replace(session, &entries, offer.guard.clone(), &entry).await? {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Gives ticks to days of time off, which are made where they are missing. Those that have ended get nothing: whoever hands over
    /// to them has not seen yet that the time off is gone.
    async fn take(&self, session: &mut ClientSession, changes: &Changes) -> Result<(), DriverError> {
        let Some(doctor) = changes.taken.first().map(|day| day.doctor_id) else { return Ok(()) };
        let held = match changes.only_free {
            true => self.held(session, doctor, &changes.taken).await?,
            false => HashSet::new(),
        };
        let days: Collection<TimeOffDoc> = self.collection.clone_with_type();
        let ids: Vec<_> = changes.taken.iter().map(|day| bson_id(day.id.0)).collect();
        let filter = doc! { "_id": { "$in": ids }, "doctorId": bson_id(doctor.0) };
        let mut found = days.find(filter).session(&mut *session).await?;
        let found: Vec<TimeOffDoc> = found.stream(session).try_collect().await?;
        let mut new = Vec::new();
        for day in &changes.taken {
            let ticks: Vec<_> = day.claims.iter().copied().filter(|tick| !held.contains(&tick.0)).collect();
            match found.iter().find(|document| document.id == bson_id(day.id.0)) {
                Some(document) => {
                    let current = document.to_domain().map_err(DriverError::custom)?;
                    if !current.ended && !ticks.is_empty() {
                        self.replace_day(session, &current.with(&ticks)).await?;
                    }
                }
                None => new.push(TimeOffDoc::from_domain(&TimeOffDay { claims: ticks, ..day.clone() })),
            }
        }
        if !new.is_empty() {
            days.insert_many(&new).session(session).await?;
        }
        Ok(())
    }

    async fn replace_day(&self, session: &mut ClientSession, next: &TimeOffDay) -> Result<bool, DriverError> {
        let days: Collection<TimeOffDoc> = self.collection.clone_with_type();
        let document = TimeOffDoc::from_domain(next);
        let guard = doc! { "_id": document.id, "doctorId": document.doctor_id, "rev": document.rev - 1 };
        transaction::replace(session, &days, guard, &document).await
    }

    /// The ticks within these days that somebody has.
    async fn held(
        &self,
        session: &mut ClientSession,
        doctor: DoctorId,
        days: &[TimeOffDay],
    ) -> Result<HashSet<i32>, DriverError> {
        let ticks = || days.iter().flat_map(|day| &day.claims).map(|tick| tick.0);
        let (Some(first), Some(last)) = (ticks().min(), ticks().max()) else { return Ok(HashSet::new()) };
        let filter = doc! { "doctorId": bson_id(doctor.0), "claims": { "$exists": true, "$elemMatch": { "$gte": first, "$lte": last } } };
        let documents: Collection<Claims> = self.collection.clone_with_type();
        let mut found = documents.find(filter).projection(doc! { "claims": 1 }).session(&mut *session).await?;
        let found: Vec<Claims> = found.stream(session).try_collect().await?;
        let tick = |claim: &Claim| match claim {
            Claim::Tick(tick) => Some(*tick),
            Claim::Place(_) => None,
        };
        Ok(found.iter().flat_map(|document| &document.claims).filter_map(tick).collect())
    }

    /// The days of a time off.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn days_off(&self, doctor: DoctorId, time_off: &TimeOff) -> Result<Vec<TimeOffDay>> {
        let days: Collection<TimeOffDoc> = self.collection.clone_with_type();
        let around = SignedDuration::from_hours(48);
        let (from, to) = (time_off.from.instant() - around, time_off.to.instant() + around);
        let filter = doc! {
            "doctorId": bson_id(doctor.0),
            "start": { "$gte": bson_time(from), "$lte": bson_time(to) },
            "timeOff": bson_id(time_off.id.0),
        };
        let found: Vec<TimeOffDoc> =
            read(&self.cluster, async move { days.find(filter).await?.try_collect().await }).await?;
        found.iter().map(|day| day.to_domain().map_err(|error| Error::Internal(error.to_string()))).collect()
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    claims: Vec<Claim>,
}

pub(super) fn together(written: Verdict<Option<((), Position)>>, lost: usize) -> Result<Together> {
    Ok(match written {
        Verdict::Done { value: Some(((), at)), .. } => Together::Done(at),
        Verdict::Done { value: None, .. } => Together::Stale,
        Verdict::Duplicate { index, .. } if index == PRIMARY_INDEX => Together::Stale,
        Verdict::Duplicate { value: Some(place), index, .. } if index == CLAIMS_INDEX => {
            Together::Outnumbered(place_of(&place)?)
        }
        Verdict::Duplicate { index, value, .. } => {
            Together::Refused { refusal: refusal_of(&index, value.as_deref())?, lost }
        }
    })
}
