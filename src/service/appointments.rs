//! Booking, moving and cancelling appointments. One write decides each.

mod explain;
mod life;
mod terms;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use self::terms::{allows, beyond, overridden, permits};
use super::auth::Auth;
use super::request::{self, Done};
use super::slots::{self, Slots};
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Identity, Role, Viewer};
use crate::domain::appointment::{Appointment, Booking, HistoryEntry, Move, WalkIn};
use crate::domain::change::Position;
use crate::domain::entry::Quota;
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, ServiceId, UserId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots as rules;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::appointments::{AppointmentStore, Inserted, Query, Replaced};
use crate::store::idempotency::Request;
use crate::views::calendar::Calendar;
use crate::views::calendars::Calendars;
use crate::views::committed::Committed;

/// How often a change is decided anew because somebody else changed the same appointment.
const REPLACE_ATTEMPTS: usize = 16;
/// How many times a key can be used again, each more than a day after the one before.
const GENERATIONS: u8 = 16;

/// Appointments between doctors and patients.
pub struct Appointments {
    store: AppointmentStore,
    auth: Arc<Auth>,
    slots: Arc<Slots>,
    calendars: Arc<Calendars>,
    committed: Arc<Committed>,
    clock: Clock,
}

/// What is to be booked.
#[derive(Clone, Debug)]
pub struct Book {
    pub doctor: DoctorId,
    pub service: ServiceId,
    pub start: Timestamp,
    pub reason: Option<String>,
    pub patient: For,
    /// Why the practice sets the rules aside, if it does.
    pub exception: Option<String>,
}

/// Whom something is booked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    Caller,
    User(PatientId),
    /// Somebody without an account.
    WalkIn {
        name: String,
        walk_in: WalkIn,
    },
}

/// What is to become of an appointment.
enum Change {
    Reschedule { start: Timestamp, exception: Option<String> },
    Cancel { reason: Option<String> },
    Move(Move),
    Decline { reason: Option<String> },
    Note { notes: Option<String> },
}

impl Appointments {
    #[must_use]
    pub fn new(
        store: AppointmentStore,
        auth: Arc<Auth>,
        slots: Arc<Slots>,
        calendars: Arc<Calendars>,
        committed: Arc<Committed>,
        clock: Clock,
    ) -> Self {
        Self { store, auth, slots, calendars, committed, clock }
    }

    /// Books a slot.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `slot_unavailable`, `slot_taken`, `patient_busy`, `idempotency_key_reused`, `unavailable`.
    pub async fn book(&self, viewer: &Viewer, key: &str, book: Book) -> Result<Done<Appointment>> {
        const OPERATION: &str = "appointment.book";
        let identity = viewer.identity()?;
        let now = self.clock.now();
        let request = book.request(identity, OPERATION, key, now);
        let patient = match &book.patient {
            For::Caller => identity.user,
            For::User(patient) => *patient,
            // The same for each repetition, and nobody's account.
            For::WalkIn { .. } => UserId(request::derived_id(&request.of("appointment.book/patient"), 0)),
        };
        let staff = self.slots.staff(viewer, book.doctor).await.map_err(unchanged)?;
        let object = Object::between(book.doctor, patient).with_staff(&staff);
        access::authorise(OPERATION, viewer, object)?;
        let practice = access::authorise(access::OVERRIDE_PART, viewer, object);
        if book.exception.is_some() {
            practice.clone()?;
        }
        if book.patient == For::Caller && staff.contains(&identity.user) {
            // At the desk a forgotten patient would be the receptionist.
            return Err(Violation::new("/patientId", "required", "say for whom: patientId or walkIn").into());
        }
        let mut calendar = self.calendar(viewer, book.doctor).await?;
        let mut allowed = allows(&calendar.doctor, &book, now);
        if allowed.is_err() {
            // The rules may have changed in what this node has acknowledged and not seen yet.
            self.committed.catch_up().await;
            calendar = self.calendar(viewer, book.doctor).await?;
            allowed = allows(&calendar.doctor, &book, now);
        }
        let (start, rule) = match self.admits(&calendar.doctor, &book, patient, allowed).await? {
            Ok(allowed) => allowed,
            // A success that is remembered stays one, whatever the rules say by now.
            Err(refusal) => return self.remembered(&request).await?.ok_or(refusal.into()),
        };
        let doctor = &calendar.doctor;
        let service = doctor.service(book.service)?;
        let (patient_name, walk_in) = match &book.patient {
            For::WalkIn { name, walk_in } => (name.clone(), Some(walk_in.clone())),
            For::Caller | For::User(_) => (self.name_of(identity, patient).await?, None),
        };
        let date = rules::local_date(doctor, start);
        let mut lost = BTreeSet::new();
        let booking = |id, quotas, rule| Booking {
            id,
            doctor,
            service,
            patient_id: patient,
            patient_name: &patient_name,
            walk_in: walk_in.clone(),
            start,
            quotas,
            reason: book.reason.clone(),
            pending: service.terms.requires_approval && practice.is_err(),
            overridden: overridden(rule, book.exception.as_deref()),
            by: request.actor(),
            now,
        };
        let mut generation = 0;
        while generation < GENERATIONS {
            let id = AppointmentId(request::derived_id(&request, generation));
            let (quotas, limit) = match calendar.places(service, date, &[], &lost) {
                Ok(quotas) => (quotas, None),
                Err(limit) => match beyond(limit, book.exception.as_deref()) {
                    Ok(limit) => (Vec::new(), Some(limit)),
                    Err(refusal) => return self.remembered(&request).await?.ok_or(refusal.into()),
                },
            };
            let appointment = booking(id, quotas, rule.or(limit)).into_appointment();
            match self.store.insert(&appointment, &request).await? {
                Inserted::Done(at) => return Ok(self.acknowledged(appointment, at)),
                Inserted::Refused(refusal) => {
                    return Err(self.with_alternatives(refusal, &calendar, book.service, book.start));
                }
                Inserted::Exists => {
                    if let Some(done) = self.recall(id, &request).await? {
                        return Ok(done);
                    }
                    generation += 1;
                }
                Inserted::Outnumbered(place) => drop(lost.insert(place)),
            }
        }
        Err(Refusal::IdempotencyKeyReused.into())
    }

    /// One appointment.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `unavailable`.
    pub async fn get(&self, viewer: &Viewer, id: AppointmentId) -> Result<Appointment> {
        access::admit("appointment.get", viewer)?;
        let (stored, _) = self.store.find(id).await?.ok_or(Refusal::NotFound)?;
        self.authorise("appointment.get", viewer, &stored.appointment).await?;
        Ok(stored.appointment)
    }

    /// Who changed an appointment, the oldest first, as far as the viewer may see it.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `unavailable`.
    pub async fn history(&self, viewer: &Viewer, id: AppointmentId) -> Result<Vec<HistoryEntry>> {
        access::admit("appointment.history", viewer)?;
        let (stored, _) = self.store.find(id).await?.ok_or(Refusal::NotFound)?;
        let appointment = &stored.appointment;
        let practice = self.authorise("appointment.history", viewer, appointment).await?;
        let doctor = access::authorise(access::NOTES_PART, viewer, Object::of_doctor(appointment.doctor_id)).is_ok();
        Ok(appointment.history_for(doctor, practice))
    }

    /// Appointments by start: a patient's own, a doctor's calendar, one that staff act for, whatever an admin asks for.
    ///
    /// # Errors
    /// `forbidden`, `validation_failed`, `unavailable`.
    pub async fn list(&self, viewer: &Viewer, mut query: Query) -> Result<Vec<Appointment>> {
        let identity = viewer.identity()?;
        let staff = match query.doctor {
            Some(doctor) => self.slots.staff(viewer, doctor).await?,
            None => Vec::new(),
        };
        match identity.role {
            Role::Doctor if query.doctor.is_none() && query.patient.is_none() => query.doctor = Some(identity.user),
            Role::Doctor if query.doctor == Some(identity.user) => {}
            Role::Staff if staff.contains(&identity.user) => {}
            Role::Patient | Role::Doctor | Role::Staff => {
                query.patient.get_or_insert(identity.user);
            }
            Role::Admin if query.doctor.is_none() && query.patient.is_none() => {
                return Err(Violation::new("/doctorId", "required", "name a doctor or a patient").into());
            }
            Role::Admin => {}
        }
        access::authorise(
            "appointment.list",
            viewer,
            Object { doctor: query.doctor, patient: query.patient, staff: &staff },
        )?;
        self.store.list(&query).await
    }

    /// Moves an appointment to another time.
    ///
    /// # Errors
    /// As [`Self::book`], and `illegal_transition`, `stale_rev`. `forbidden` to a patient who sets rules aside.
    pub async fn reschedule(
        &self,
        viewer: &Viewer,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
        start: Timestamp,
        exception: Option<String>,
    ) -> Result<Done<Appointment>> {
        const OPERATION: &str = "appointment.reschedule";
        let identity = viewer.identity()?;
        let parts = [&id.to_string(), &format!("{rev:?}"), &start.to_string(), &format!("{exception:?}")];
        let request = request::request(identity, OPERATION, key, &parts.map(String::as_str), self.clock.now());
        self.change(viewer, &request, id, rev, &Change::Reschedule { start, exception }).await
    }

    /// Cancels an appointment and frees its time.
    ///
    /// # Errors
    /// `not_found`, `illegal_transition`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn cancel(
        &self,
        viewer: &Viewer,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
        reason: Option<String>,
    ) -> Result<Done<Appointment>> {
        const OPERATION: &str = "appointment.cancel";
        let identity = viewer.identity()?;
        let parts = [&id.to_string(), &format!("{rev:?}"), &format!("{reason:?}")];
        let request = request::request(identity, OPERATION, key, &parts.map(String::as_str), self.clock.now());
        self.change(viewer, &request, id, rev, &Change::Cancel { reason }).await
    }

    /// A patient's appointments that are open or not older than `since`, with the position at which that is true.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn snapshot_of_patient(
        &self,
        patient: PatientId,
        since: Timestamp,
    ) -> Result<(Position, Vec<Appointment>)> {
        self.store.snapshot_of_patient(patient, since).await
    }

    /// A doctor's appointments in a window, with the position at which that is true.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn snapshot_of_doctor(
        &self,
        doctor: DoctorId,
        window: (Timestamp, Timestamp),
    ) -> Result<(Position, Vec<Appointment>)> {
        self.store.snapshot_of_doctor(doctor, window).await
    }

    /// Reads, decides and replaces, again while others change the same appointment.
    async fn change(
        &self,
        viewer: &Viewer,
        request: &Request,
        id: AppointmentId,
        rev: Option<u32>,
        change: &Change,
    ) -> Result<Done<Appointment>> {
        access::admit(request.operation, viewer)?;
        let (mut attempt, mut lost) = (0, BTreeSet::new());
        while attempt < REPLACE_ATTEMPTS + lost.len() {
            // The first look may be a moment old, since the guard decides. What follows a lost guard must know why.
            let found = match attempt {
                0 => self.store.find(id).await.map_err(unchanged)?,
                _ => self.store.find_latest(id).await.map_err(unknown)?,
            };
            attempt += 1;
            let (stored, at) = found.ok_or(Refusal::NotFound)?;
            let current = &stored.appointment;
            let practice = self.authorise(request.operation, viewer, current).await.map_err(unchanged)?;
            if let Some(original) = stored.recall(request)? {
                return Ok(self.acknowledged(original, at));
            }
            if rev.is_some_and(|rev| rev != current.rev) {
                return Err(Refusal::StaleRev.into());
            }
            let next = self.decide(current, change, practice, request, &lost).await.map_err(unchanged)?;
            match self.store.replace(&stored, &next, request).await? {
                Replaced::Done(at) => return Ok(self.acknowledged(next, at)),
                Replaced::Stale => {}
                Replaced::Outnumbered(place) => drop(lost.insert(place)),
                Replaced::Refused(refusal) => {
                    let calendar = self.calendar(viewer, next.doctor_id).await?;
                    return Err(self.with_alternatives(refusal, &calendar, next.service_id, next.start));
                }
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// The next revision, or why there is none. Who acts for the practice is not bound by cut-offs.
    async fn decide(
        &self,
        current: &Appointment,
        change: &Change,
        practice: bool,
        request: &Request,
        lost: &BTreeSet<Quota>,
    ) -> Result<Appointment> {
        let (by, now) = (request.actor(), request.at);
        match change {
            Change::Move(to) => Ok(current.moved(*to, by, now)?),
            Change::Decline { reason } => Ok(current.declined(reason.clone(), by, now)?),
            Change::Note { notes } => Ok(current.noted(notes.clone(), by, now)?),
            Change::Cancel { reason } => {
                let next = current.cancelled(reason.clone(), by, now)?;
                if !practice {
                    let calendar = self.calendar_of(current).await?;
                    let service = calendar.doctor.service(current.service_id)?;
                    current.before_cutoff(service.terms.cancel_cutoff_minutes, now)?;
                }
                Ok(next)
            }
            Change::Reschedule { start, exception } => {
                if exception.is_some() && !practice {
                    return Err(Refusal::Forbidden.into());
                }
                let calendar = self.calendar_of(current).await?;
                let service = calendar.doctor.service(current.service_id)?;
                // Moving what cannot be moved is refused as such, whatever the time.
                current.movable()?;
                if !practice {
                    current.before_cutoff(service.terms.reschedule_cutoff_minutes, now)?;
                }
                let (start, rule) = permits(&calendar.doctor, service, *start, exception.is_some(), now)?;
                let date = rules::local_date(&calendar.doctor, start);
                let (quotas, limit) = match calendar.places(service, date, &current.quotas, lost) {
                    Ok(quotas) => (quotas, None),
                    Err(limit) => (Vec::new(), Some(beyond(limit, exception.as_deref())?)),
                };
                let overridden = overridden(rule.or(limit), exception.as_deref());
                Ok(current.rescheduled(service, (start, quotas), overridden, by, now)?)
            }
        }
    }

    /// The present rules for an appointment, with everything that this node has acknowledged.
    async fn calendar_of(&self, appointment: &Appointment) -> Result<Arc<Calendar>> {
        self.committed.catch_up().await;
        Ok(self.calendars.get(appointment.doctor_id).await?.ok_or(Refusal::NotFound)?)
    }

    fn acknowledged(&self, value: Appointment, at: Position) -> Done<Appointment> {
        self.committed.acknowledged(at);
        Done { value, at }
    }

    async fn calendar(&self, viewer: &Viewer, doctor: DoctorId) -> Result<Arc<Calendar>> {
        let calendar = self.calendars.get(doctor).await.map_err(unchanged)?.ok_or(Refusal::NotFound)?;
        if !calendar.doctor.is_approved() {
            access::authorise(access::DRAFT, viewer, Object::of_calendar(&calendar.doctor))?;
        }
        Ok(calendar)
    }

    /// Asks the policy. Returns whether the viewer acts for the practice.
    async fn authorise(&self, operation: &str, viewer: &Viewer, appointment: &Appointment) -> Result<bool> {
        let staff = self.slots.staff(viewer, appointment.doctor_id).await?;
        let object = Object::between(appointment.doctor_id, appointment.patient_id).with_staff(&staff);
        access::authorise(operation, viewer, object)?;
        Ok(access::authorise(access::OVERRIDE_PART, viewer, object).is_ok())
    }

    async fn name_of(&self, identity: &Identity, patient: PatientId) -> Result<String> {
        if patient == identity.user {
            return Ok(identity.name.clone());
        }
        match self.auth.me(patient).await.map_err(unchanged) {
            Ok(user) => Ok(user.name),
            Err(Error::Refused(_)) => Err(Violation::new("/patientId", "invalid", "there is no such patient").into()),
            Err(error) => Err(error),
        }
    }

    async fn remembered(&self, request: &Request) -> Result<Option<Done<Appointment>>> {
        for generation in 0..GENERATIONS {
            let id = AppointmentId(request::derived_id(request, generation));
            let Some((stored, at)) = self.store.find_latest(id).await.map_err(unchanged)? else { return Ok(None) };
            if let Some(original) = stored.recall(request)? {
                return Ok(Some(Done { value: original, at }));
            }
        }
        Ok(None)
    }

    /// The original result of a request whose id exists already; `None` when that was more than a day ago.
    async fn recall(&self, id: AppointmentId, request: &Request) -> Result<Option<Done<Appointment>>> {
        let Some((stored, at)) = self.store.find_latest(id).await.map_err(unknown)? else {
            // The collision was with a write that did not last.
            return Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) });
        };
        Ok(stored.recall(request)?.map(|original| self.acknowledged(original, at)))
    }

    fn with_alternatives(&self, refusal: Refusal, calendar: &Calendar, service: ServiceId, start: Timestamp) -> Error {
        // The view may not know yet what took the time: a newer one does, once it has been seen.
        let newer = self.calendars.kept(calendar.doctor.id);
        let calendar = newer.as_deref().unwrap_or(calendar);
        match (refusal, calendar.doctor.service(service)) {
            (Refusal::SlotTaken { .. }, Ok(service)) => {
                let alternatives = slots::alternatives(calendar, service, start, self.clock.now());
                Refusal::SlotTaken { alternatives }.into()
            }
            (refusal, _) => refusal.into(),
        }
    }
}

impl Book {
    fn request(&self, identity: &Identity, operation: &'static str, key: &str, now: Timestamp) -> Request {
        let patient = match &self.patient {
            For::Caller => identity.user.to_string(),
            For::User(patient) => patient.to_string(),
            For::WalkIn { .. } => format!("{:?}", self.patient),
        };
        let parts = [
            self.doctor.to_string(),
            self.service.to_string(),
            self.start.to_string(),
            patient,
            format!("{:?}", self.reason),
            format!("{:?}", self.exception),
        ];
        request::request(identity, operation, key, &parts.each_ref().map(String::as_str), now)
    }
}

/// A read that failed before anything of a mutation was written.
fn unchanged(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

/// A read that failed after a write whose success it was to confirm.
fn unknown(error: Error) -> Error {
    error.with_outcome(Outcome::Unknown)
}
