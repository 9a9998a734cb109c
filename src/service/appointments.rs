//! Booking, moving and cancelling appointments. One write decides each.

mod booking;
mod explain;
mod groups;
mod holds;
mod life;
mod offers;
mod terms;

pub use self::booking::{Book, For};
pub use self::holds::Hold;
pub(super) use self::holds::Way;
pub(super) use self::terms::is_for;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::groups::Doors;
use self::terms::{beyond, overridden, permits};
use super::auth::Auth;
use super::releases::Releases;
use super::request::{self, Done, session_id};
use super::slots::{self, Slots};
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Identity, Role, Viewer};
use crate::domain::appointment::{Action, Appointment, HistoryEntry, Move, Status, WalkIn};
use crate::domain::change::Position;
use crate::domain::entry::Quota;
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, ServiceId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots::{self as rules, Rule};
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::appointments::{AppointmentStore, Query, Stored};
use crate::store::idempotency::Request;
use crate::store::together::Together;
use crate::views::calendar::{Calendar, Moved};
use crate::views::calendars::Calendars;
use crate::views::committed::Committed;

/// How often a change is decided anew because somebody else changed the same appointment.
pub(super) const REPLACE_ATTEMPTS: usize = 16;
const RELEASE: &str = "hold.release";
/// How many times a key can be used again, each more than a day after the one before.
pub(super) const GENERATIONS: u8 = 16;

/// Appointments between doctors and patients.
pub struct Appointments {
    pub(super) store: AppointmentStore,
    auth: Arc<Auth>,
    pub(super) slots: Arc<Slots>,
    pub(super) calendars: Arc<Calendars>,
    pub(super) committed: Arc<Committed>,
    pub(super) releases: Releases,
    pub(super) clock: Clock,
    doors: Doors,
    hold_length: SignedDuration,
}

/// What is to become of an appointment.
enum Change {
    Reschedule { start: Timestamp, exception: Option<String> },
    Cancel { reason: Option<String> },
    Release,
    Move(Move),
    Decline { reason: Option<String> },
    Note { notes: Option<String> },
}

impl Change {
    /// Why the practice sets the rules aside, if it does.
    fn exception(&self) -> Option<&str> {
        match self {
            Self::Reschedule { exception, .. } => exception.as_deref(),
            _ => None,
        }
    }
}

impl Appointments {
    #[must_use]
    pub fn new(
        auth: Arc<Auth>,
        slots: Arc<Slots>,
        releases: Releases,
        clock: Clock,
        hold_length: SignedDuration,
    ) -> Self {
        let store = releases.store.clone();
        let (calendars, committed) = (releases.calendars.clone(), releases.committed.clone());
        Self { store, auth, slots, calendars, committed, releases, clock, doors: Doors::new(), hold_length }
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

    /// Who changed an appointment, the oldest first, as far as the viewer may see it; and the zone that it is booked in.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `unavailable`.
    pub async fn history(&self, viewer: &Viewer, id: AppointmentId) -> Result<(String, Vec<HistoryEntry>)> {
        access::admit("appointment.history", viewer)?;
        let (stored, _) = self.store.find(id).await?.ok_or(Refusal::NotFound)?;
        let appointment = &stored.appointment;
        let practice = self.authorise("appointment.history", viewer, appointment).await?;
        let doctor = access::authorise(access::NOTES_PART, viewer, Object::of_doctor(appointment.doctor_id)).is_ok();
        Ok((appointment.time_zone.clone(), appointment.history_for(doctor, practice)))
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

    /// Gives back a hold.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `hold_expired`, `illegal_transition` once it is booked, `stale_rev`,
    /// `idempotency_key_reused`, `unavailable`.
    pub async fn release(
        &self,
        viewer: &Viewer,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
    ) -> Result<Done<Appointment>> {
        let parts = [&id.to_string(), &format!("{rev:?}")];
        let parts = parts.map(String::as_str);
        let request = request::request(viewer.identity()?, RELEASE, key, &parts, self.clock.now());
        self.change(viewer, &request, id, rev, &Change::Release).await
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
            let mut next = self.decide(current, change, practice, request, &lost).await.map_err(unchanged)?;
            let (written, given_up) = self.write(&stored, &mut next, change.exception(), &lost, request).await?;
            match written {
                Together::Done(at) => {
                    let done = self.acknowledged(next, at);
                    self.releases.settle(given_up.as_ref()).await.map_err(unknown)?;
                    return Ok(done);
                }
                Together::Stale | Together::NotOffered(_) => {}
                Together::Outnumbered(place) => drop(lost.insert(place)),
                Together::Refused { refusal, .. } => {
                    // What was judged may have changed since: then it is judged anew, and that is told.
                    let latest = self.store.find_latest(id).await.map_err(unchanged)?;
                    if latest.is_none_or(|(latest, _)| latest.appointment.rev != current.rev) {
                        continue;
                    }
                    let calendar = self.calendar(viewer, next.doctor_id).await?;
                    if let Refusal::SlotTaken { .. } | Refusal::SlotUnavailable { rule: Rule::Resource } = refusal
                        && let Way::Freed = self.make_way(&calendar, &next, false, request).await?
                    {
                        continue;
                    }
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
            Change::Release => Ok(current.hold_ended(Action::Released, by, now)?),
            Change::Move(to) => Ok(current.moved(*to, by, now)?),
            Change::Decline { reason } => Ok(current.declined(reason.clone(), by, now)?),
            Change::Note { notes } => Ok(current.noted(notes.clone(), by, now)?),
            Change::Cancel { reason } => {
                let next = current.cancelled(reason.clone(), by, now)?;
                // A request that nobody has answered can be taken back at any time: else it might stay for ever.
                if !practice && current.status != Status::Pending {
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
                if service.is_group() {
                    let overridden = overridden(rule, exception.as_deref());
                    let session = session_id(calendar.doctor.id, service.id, start.instant());
                    let next = current.reseated(service, (start, session), overridden, by, now)?;
                    return Ok(Appointment { time_zone: calendar.doctor.zone_name().to_owned(), ..next });
                }
                let date = rules::local_date(&calendar.doctor, start);
                // Whoever has been alone in a session takes its places along.
                let session = match current.seat {
                    Some(seat) => self.store.session(seat, false).await?.filter(|session| session.seats.len() == 1),
                    None => None,
                };
                let moved = match (current.seat, &session) {
                    (None, _) => Some(Moved::appointment(current)),
                    (Some(_), session) => session.as_ref().map(Moved::session),
                };
                let (quotas, limit) = match calendar.places_moved(service, date, moved.as_ref(), lost) {
                    Ok(quotas) => (quotas, None),
                    Err(limit) => (Vec::new(), Some(beyond(limit, exception.as_deref())?)),
                };
                let overridden = overridden(rule.or(limit), exception.as_deref());
                let next = current.rescheduled(service, (start, quotas), overridden, by, now)?;
                Ok(Appointment { time_zone: calendar.doctor.zone_name().to_owned(), ..next })
            }
        }
    }

    /// The present rules for an appointment, with everything that this node has acknowledged.
    pub(super) async fn calendar_of(&self, appointment: &Appointment) -> Result<Arc<Calendar>> {
        self.committed.catch_up().await;
        Ok(self.calendars.get(appointment.doctor_id).await?.ok_or(Refusal::NotFound)?)
    }

    fn acknowledged(&self, value: Appointment, at: Position) -> Done<Appointment> {
        self.committed.acknowledged(at);
        Done { value, at }
    }

    /// Whom something is booked for, `stranger` if they have no account, once it is known that the viewer may.
    pub(super) async fn patient_of(
        &self,
        operation: &str,
        viewer: &Viewer,
        doctor: DoctorId,
        patient: &For,
        stranger: PatientId,
    ) -> Result<PatientId> {
        let identity = viewer.identity()?;
        let id = match patient {
            For::Caller => identity.user,
            For::User(patient) => *patient,
            For::WalkIn { .. } => stranger,
        };
        let staff = self.slots.staff(viewer, doctor).await.map_err(unchanged)?;
        access::authorise(operation, viewer, Object::between(doctor, id).with_staff(&staff))?;
        if *patient == For::Caller && staff.contains(&identity.user) {
            // At the desk a forgotten patient would be the receptionist.
            return Err(Violation::new("/patientId", "required", "say for whom: patientId or walkIn").into());
        }
        Ok(id)
    }

    /// What is written down of a patient.
    pub(super) async fn written_of(
        &self,
        identity: &Identity,
        id: PatientId,
        patient: &For,
    ) -> Result<(String, Option<WalkIn>)> {
        match patient {
            For::WalkIn { name, walk_in } => Ok((name.clone(), Some(walk_in.clone()))),
            For::Caller | For::User(_) => Ok((self.name_of(identity, id).await?, None)),
        }
    }

    pub(super) async fn calendar(&self, viewer: &Viewer, doctor: DoctorId) -> Result<Arc<Calendar>> {
        let calendar = self.calendars.get(doctor).await.map_err(unchanged)?.ok_or(Refusal::NotFound)?;
        if !calendar.doctor.is_approved() {
            access::authorise(access::DRAFT, viewer, Object::of_calendar(&calendar.doctor))?;
        }
        Ok(calendar)
    }

    /// Asks the policy. Returns whether the viewer acts for the practice.
    async fn authorise(&self, operation: &str, viewer: &Viewer, appointment: &Appointment) -> Result<bool> {
        if operation == RELEASE {
            // Whoever holds the time, whomever it is for.
            let owner = appointment.held.map(|held| held.by);
            access::authorise(operation, viewer, Object { patient: owner, ..Object::default() })?;
            return Ok(false);
        }
        let staff = self.slots.staff(viewer, appointment.doctor_id).await?;
        let object = Object::between(appointment.doctor_id, appointment.patient_id).with_staff(&staff);
        access::authorise(operation, viewer, object)?;
        Ok(access::authorise(access::OVERRIDE_PART, viewer, object).is_ok())
    }

    /// Whether the viewer acts for a doctor's practice.
    pub(super) async fn is_practice(&self, viewer: &Viewer, doctor: DoctorId) -> Result<bool> {
        let staff = self.slots.staff(viewer, doctor).await?;
        Ok(access::authorise(access::OVERRIDE_PART, viewer, Object::of_doctor(doctor).with_staff(&staff)).is_ok())
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
            if let Some(original) = self.original(&stored, request).await? {
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
        Ok(self.original(&stored, request).await?.map(|original| self.acknowledged(original, at)))
    }

    /// What a document of a request's own id remembers of it, there or in the appointment that it has become.
    async fn original(&self, stored: &Stored, request: &Request) -> Result<Option<Appointment>> {
        let Some(id) = stored.elsewhere() else { return stored.recall(request) };
        let found = self.store.find_latest(id).await.map_err(unknown)?;
        let (became, _) = found.ok_or_else(|| Error::Internal("a trace leads nowhere".to_owned()))?;
        became.recall_by(stored, request)
    }

    fn with_alternatives(&self, refusal: Refusal, calendar: &Calendar, service: ServiceId, start: Timestamp) -> Error {
        // The view may not know yet what took the time: a newer one does, once it has been seen.
        let newer = self.calendars.kept(calendar.doctor.id);
        let calendar = newer.as_deref().unwrap_or(calendar);
        match (refusal, calendar.doctor.service(service)) {
            (Refusal::SlotTaken { .. }, Ok(service)) => {
                let alternatives = slots::alternatives(calendar, service, start, self.clock.now());
                Refusal::SlotTaken { alternatives }.in_zone(calendar.doctor.zone_name()).into()
            }
            (refusal, _) => refusal.into(),
        }
    }
}

/// A read that failed before anything of a mutation was written.
pub(super) fn unchanged(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

/// A read that failed after a write whose success it was to confirm.
pub(super) fn unknown(error: Error) -> Error {
    error.with_outcome(Outcome::Unknown)
}
