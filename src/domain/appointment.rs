//! An appointment and its life: which state may follow which, and what each state takes of the doctor's time.
//!
//! ```text
//! held ──► booked ──► arrived ──► fulfilled
//!   │  └─► pending ─┘ │  │
//!   ▼        │        ▼  └──────────────► cancelled
//! expired    └► …   noshow       (from anything open but a hold)
//! ```

mod held;
mod life;
mod zone;

use std::ops::Range;

use jiff::Timestamp;

pub use self::held::{HOLDS, Held, HoldPlace};
pub use self::life::{Move, Overridden};
pub use self::zone::order_of_writing;
use super::doctor::{Doctor, Service};
use super::entry::Quota;
use super::history::{self, Actor};
use super::ids::{AppointmentId, DoctorId, PatientId, ResourceId, SeriesId, ServiceId, UserId};
use super::refusal::Refusal;
use super::tick::{Tick, ticks};

/// State of an appointment, in FHIR's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Held,
    Expired,
    Pending,
    Booked,
    Arrived,
    Fulfilled,
    Noshow,
    Cancelled,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Held,
        Self::Expired,
        Self::Pending,
        Self::Booked,
        Self::Arrived,
        Self::Fulfilled,
        Self::Noshow,
        Self::Cancelled,
    ];

    /// The word for it, in documents and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Booked => "booked",
            Self::Arrived => "arrived",
            Self::Fulfilled => "fulfilled",
            Self::Noshow => "noshow",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Still to come or under way.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Pending | Self::Booked | Self::Arrived)
    }

    /// Whether a change from `self` to `next` is legal.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match next {
            Self::Held => false,
            Self::Expired | Self::Pending => matches!(self, Self::Held),
            Self::Booked => matches!(self, Self::Held | Self::Pending),
            Self::Arrived | Self::Noshow => matches!(self, Self::Booked),
            Self::Fulfilled => matches!(self, Self::Arrived),
            // A hold is released.
            Self::Cancelled => self.is_open() && !matches!(self, Self::Held),
        }
    }
}

/// What happened to an appointment, in the history that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Held,
    /// Held for its patient, who waits for such a time.
    Offered,
    /// A hold was given back.
    Released,
    /// A hold has run out.
    Expired,
    /// Booked at once.
    Booked,
    /// Asked for, where the practice has to approve.
    Requested,
    Approved,
    Declined,
    Rescheduled,
    Cancelled,
    CheckedIn,
    Completed,
    NoShow,
    Undone,
    /// The doctor's notes were changed.
    Noted,
    /// Its patient has reviewed the visit.
    Reviewed,
}

impl Action {
    const ALL: [Self; 16] = [
        Self::Held,
        Self::Offered,
        Self::Released,
        Self::Expired,
        Self::Booked,
        Self::Requested,
        Self::Approved,
        Self::Declined,
        Self::Rescheduled,
        Self::Cancelled,
        Self::CheckedIn,
        Self::Completed,
        Self::NoShow,
        Self::Undone,
        Self::Noted,
        Self::Reviewed,
    ];

    /// The word for it, in documents and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Offered => "offered",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Booked => "booked",
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Rescheduled => "rescheduled",
            Self::Cancelled => "cancelled",
            Self::CheckedIn => "checkedIn",
            Self::Completed => "completed",
            Self::NoShow => "noShow",
            Self::Undone => "undone",
            Self::Noted => "noted",
            Self::Reviewed => "reviewed",
        }
    }

    /// The action with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// One revision in an appointment's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub rev: u32,
    pub action: Action,
    pub by: Actor,
    pub at: Timestamp,
    /// The start at this revision.
    pub start: Timestamp,
    pub overridden: Option<Overridden>,
}

/// A document that takes, or took, a doctor's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    pub id: AppointmentId,
    pub rev: u32,
    pub status: Status,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub patient_id: PatientId,
    pub patient_name: String,
    /// The patient has no account, and an id of this appointment's own.
    pub walk_in: Option<WalkIn>,
    pub service_id: ServiceId,
    pub service_name: String,
    pub start: Timestamp,
    pub end: Timestamp,
    /// The doctor's zone when it was booked.
    pub time_zone: String,
    /// The series that it was booked with.
    pub series: Option<PartOf>,
    pub reason: Option<String>,
    pub cancel_reason: Option<String>,
    /// For the doctor alone. Absent in what the feed tells.
    pub notes: Option<String>,
    /// Its patient has reviewed the visit: what took place stays so.
    pub reviewed: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Who holds or held the time while filling in the form: in the revision that made the hold an appointment too, and no later one.
    /// What was offered by a waitlist says so for good.
    pub held: Option<Held>,
    /// The group session that it has a seat in, which takes the doctor's time for it.
    pub seat: Option<AppointmentId>,
    /// The doctor's ticks that it takes, buffers included; empty when it takes nothing, or has a seat.
    pub claims: Vec<Tick>,
    /// The ticks that this revision gave up: with `claims`, all that a change of this document touches.
    pub freed: Vec<Tick>,
    /// The places within limits of the service that it takes.
    pub quotas: Vec<Quota>,
    /// Those that this revision gave up.
    pub freed_quotas: Vec<Quota>,
    /// The rooms and devices that it takes from start to end, buffers left aside, while it takes time.
    pub resources: Vec<ResourceId>,
    /// Those that this revision no longer names.
    pub freed_resources: Vec<ResourceId>,
    /// At most [`history::HISTORY_LIMIT`] entries, the oldest but the first dropped.
    pub history: Vec<HistoryEntry>,
}

/// A series of appointments, and the rule that it was booked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOf {
    pub id: SeriesId,
    pub rrule: String,
}

/// What is known of a patient without an account, beside the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalkIn {
    pub phone: Option<String>,
}

/// Who books what for whom, as decided before anything is written.
#[derive(Clone, Debug)]
pub struct Booking<'a> {
    pub id: AppointmentId,
    pub doctor: &'a Doctor,
    pub service: &'a Service,
    pub patient_id: PatientId,
    pub patient_name: &'a str,
    pub walk_in: Option<WalkIn>,
    pub start: Tick,
    /// The places that it takes where the service is limited.
    pub quotas: Vec<Quota>,
    pub reason: Option<String>,
    /// The practice has to approve it first.
    pub pending: bool,
    pub overridden: Option<Overridden>,
    pub by: Actor,
    pub now: Timestamp,
}

impl Booking<'_> {
    /// The appointment at revision 1.
    #[must_use]
    pub fn into_appointment(self) -> Appointment {
        let end = self.start.plus_minutes(self.service.duration_minutes);
        let (status, action) = match self.pending {
            true => (Status::Pending, Action::Requested),
            false => (Status::Booked, Action::Booked),
        };
        Appointment {
            id: self.id,
            rev: 1,
            status,
            doctor_id: self.doctor.id,
            doctor_name: self.doctor.name.clone(),
            patient_id: self.patient_id,
            patient_name: self.patient_name.to_owned(),
            walk_in: self.walk_in,
            service_id: self.service.id,
            service_name: self.service.name.clone(),
            start: self.start.instant(),
            end: end.instant(),
            time_zone: self.doctor.zone_name().to_owned(),
            series: None,
            reason: self.reason,
            cancel_reason: None,
            notes: None,
            reviewed: false,
            created_at: self.now,
            updated_at: self.now,
            held: None,
            seat: None,
            claims: ticks(self.service.footprint(self.start)).collect(),
            freed: Vec::new(),
            quotas: self.quotas,
            freed_quotas: Vec::new(),
            resources: self.service.terms.resources.clone(),
            freed_resources: Vec::new(),
            history: vec![HistoryEntry {
                rev: 1,
                action,
                by: self.by,
                at: self.now,
                start: self.start.instant(),
                overridden: self.overridden,
            }],
        }
    }

    /// The hold of whoever asks for it, at revision 1.
    #[must_use]
    pub fn into_hold(self, held: Held) -> Appointment {
        let mut hold = self.into_appointment();
        hold.status = Status::Held;
        hold.held = Some(held);
        let action = if held.entry().is_some() { Action::Offered } else { Action::Held };
        hold.history.iter_mut().for_each(|entry| entry.action = action);
        hold
    }

    /// What a hold becomes: the same document at the same time, with all the rest as it is booked now.
    ///
    /// # Errors
    /// `hold_expired` when it holds nothing any more.
    pub fn over(self, hold: &Appointment) -> Result<Appointment, Refusal> {
        let (by, now) = (self.by, self.now);
        let mut next = self.into_appointment();
        if !hold.status.may_become(next.status) {
            return Err(Refusal::HoldExpired);
        }
        let entry = next.history.pop();
        let (action, overridden) = entry.map_or((Action::Booked, None), |entry| (entry.action, entry.overridden));
        next.id = hold.id;
        next.rev = hold.rev;
        (next.start, next.end) = (hold.start, hold.end);
        next.created_at = hold.created_at;
        next.seat = hold.seat;
        next.claims.clone_from(&hold.claims);
        next.quotas.clone_from(&hold.quotas);
        next.resources.clone_from(&hold.resources);
        next.history.clone_from(&hold.history);
        // Whoever held it is told that it is no hold any more.
        Ok(Appointment { held: hold.held, ..next.revised(action, by, now, overridden) })
    }
}

impl Service {
    /// The doctor's ticks that an appointment at `start` takes, buffers included.
    #[must_use]
    pub fn footprint(&self, start: Tick) -> Range<Tick> {
        start.plus_minutes(-self.buffer_before_minutes)
            ..start.plus_minutes(self.duration_minutes + self.buffer_after_minutes)
    }
}

impl Appointment {
    /// The ticks between start and end, which the patient spends, and in which rooms and devices are in use.
    #[must_use]
    pub fn patient_ticks(&self) -> Range<Tick> {
        Tick::floor(self.start)..Tick::floor(self.end)
    }

    /// Whether it takes time, the doctor's or that of a group session.
    #[must_use]
    pub fn takes_time(&self) -> bool {
        !self.claims.is_empty() || self.seat.is_some()
    }

    /// The same with a seat in a group session, which takes the doctor's time for it.
    #[must_use]
    pub fn in_session(self, session: AppointmentId) -> Self {
        Self { seat: Some(session), claims: Vec::new(), quotas: Vec::new(), resources: Vec::new(), ..self }
    }

    /// The next revision, with a seat in a group session at another time.
    ///
    /// # Errors
    /// `illegal_transition` unless it is pending or booked.
    pub fn reseated(
        &self,
        service: &Service,
        (start, session): (Tick, AppointmentId),
        overridden: Option<Overridden>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let next = self.rescheduled(service, (start, Vec::new()), overridden, by, now)?.in_session(session);
        let freed_resources = self.resources.clone();
        Ok(Self { freed: self.claims.clone(), freed_quotas: self.quotas.clone(), freed_resources, ..next })
    }

    /// Whether it can be moved to another time.
    ///
    /// # Errors
    /// `illegal_transition` unless it is pending or booked.
    pub fn movable(&self) -> Result<(), Refusal> {
        match self.status {
            Status::Pending | Status::Booked => Ok(()),
            _ => Err(Refusal::IllegalTransition),
        }
    }

    /// The next revision at another time, by the service's present rules.
    ///
    /// # Errors
    /// `illegal_transition` unless it is pending or booked.
    pub fn rescheduled(
        &self,
        service: &Service,
        (start, quotas): (Tick, Vec<Quota>),
        overridden: Option<Overridden>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        self.movable()?;
        let claims: Vec<Tick> = ticks(service.footprint(start)).collect();
        let mut next = self.clone();
        next.freed = self.claims.iter().copied().filter(|tick| !claims.contains(tick)).collect();
        next.claims = claims;
        next.seat = None;
        next.freed_quotas = self.quotas.iter().copied().filter(|quota| !quotas.contains(quota)).collect();
        next.quotas = quotas;
        next.resources.clone_from(&service.terms.resources);
        next.freed_resources = self.resources.iter().copied().filter(|id| !next.resources.contains(id)).collect();
        next.start = start.instant();
        next.end = start.plus_minutes(service.duration_minutes).instant();
        Ok(next.revised(Action::Rescheduled, by, now, overridden))
    }

    /// The next revision, which takes no time any more.
    ///
    /// # Errors
    /// `illegal_transition` unless it is open.
    pub fn cancelled(&self, reason: Option<String>, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        self.ended(Action::Cancelled, reason, by, now)
    }

    fn ended(&self, action: Action, reason: Option<String>, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        if !self.status.may_become(Status::Cancelled) {
            return Err(Refusal::IllegalTransition);
        }
        let mut next = self.clone();
        next.freed = std::mem::take(&mut next.claims);
        next.freed_quotas = std::mem::take(&mut next.quotas);
        next.seat = None;
        next.freed_resources.clear();
        next.status = Status::Cancelled;
        next.cancel_reason = reason;
        Ok(next.revised(action, by, now, None))
    }

    /// The next revision, once its patient has reviewed the visit.
    ///
    /// # Errors
    /// `already_reviewed`; `not_reviewable` unless the visit took place, and was another's than the doctor's own.
    pub fn as_reviewed(&self, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        match self.status {
            _ if self.reviewed => Err(Refusal::AlreadyReviewed),
            Status::Fulfilled if self.patient_id != self.doctor_id => {
                let mut next = Self { reviewed: true, freed: Vec::new(), freed_quotas: Vec::new(), ..self.clone() };
                next.freed_resources.clear();
                Ok(next.revised(Action::Reviewed, by, now, None))
            }
            _ => Err(Refusal::NotReviewable),
        }
    }

    /// Whether somebody holds exactly this time, as far as is known: until when, the database says.
    #[must_use]
    pub fn is_hold_of(&self, user: UserId, service: ServiceId, start: Timestamp) -> bool {
        self.status == Status::Held
            && self.held.is_some_and(|held| held.by == user)
            && self.service_id == service
            && self.start == start
    }

    /// The next revision of a hold, which takes no time any more.
    ///
    /// # Errors
    /// `hold_expired` when it has ended before, `illegal_transition` when it became an appointment.
    pub fn hold_ended(&self, action: Action, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        match self.status {
            Status::Held => {}
            Status::Expired => return Err(Refusal::HoldExpired),
            _ => return Err(Refusal::IllegalTransition),
        }
        let mut next = self.clone();
        next.freed = std::mem::take(&mut next.claims);
        next.freed_quotas = std::mem::take(&mut next.quotas);
        next.seat = None;
        next.freed_resources.clear();
        next.status = Status::Expired;
        Ok(next.revised(action, by, now, None))
    }

    /// The next revision, without its patient: what stays is that somebody, of whom nothing is known but an id that
    /// stands nowhere else, took the time. One that is still to come is cancelled.
    #[must_use]
    pub fn without_patient(&self, stranger: PatientId, now: Timestamp) -> Self {
        let person = self.patient_id;
        let mut next = self.called_off(stranger, now);
        next.held = next.held.filter(|held| held.by != person);
        next.patient_id = stranger;
        next.patient_name.clear();
        next.reason = None;
        next.cancel_reason = None;
        next.notes = None;
        next.forget_reasons(None);
        for entry in next.history.iter_mut().filter(|entry| entry.by.user == person) {
            entry.by = Actor::system(stranger);
        }
        next
    }

    /// The next revision, without the name and the words of its doctor, which the name of a service may be. One that is still to come is cancelled.
    #[must_use]
    pub fn without_doctor(&self, now: Timestamp) -> Self {
        let doctor = self.doctor_id;
        let mut next = self.called_off(doctor, now);
        next.doctor_name.clear();
        next.service_name.clear();
        next.notes = None;
        next.forget_reasons(Some(doctor));
        let ended = |entry: &&HistoryEntry| matches!(entry.action, Action::Cancelled | Action::Declined);
        let cancelled = next.history.iter().rfind(ended);
        if cancelled.is_some_and(|entry| entry.by.user == doctor) {
            next.cancel_reason = None;
        }
        next
    }

    /// The next revision: cancelled when it was still to come, ended when it was a hold, otherwise as it was.
    fn called_off(&self, by: UserId, now: Timestamp) -> Self {
        if let Ok(ended) = self.hold_ended(Action::Released, Actor::system(by), now) {
            return ended;
        }
        if self.start > now
            && let Ok(cancelled) = self.cancelled(None, Actor::system(by), now)
        {
            return cancelled;
        }
        Self {
            rev: self.rev + 1,
            updated_at: now,
            freed: Vec::new(),
            freed_quotas: Vec::new(),
            freed_resources: Vec::new(),
            ..self.clone()
        }
    }

    fn revised(mut self, action: Action, by: Actor, now: Timestamp, overridden: Option<Overridden>) -> Self {
        // What becomes of an appointment is nothing to whoever once held its time, unless it was offered to its patient.
        self.held =
            self.held.filter(|held| held.entry().is_some() || matches!(self.status, Status::Held | Status::Expired));
        self.rev += 1;
        self.updated_at = now;
        let entry = HistoryEntry { rev: self.rev, action, by, at: now, start: self.start, overridden };
        // Notes, of which there may be any number, push nothing else out.
        if self.history.len() >= history::HISTORY_LIMIT
            && let Some(noted) = self.history.iter().position(|entry| entry.action == Action::Noted)
        {
            self.history.remove(noted);
        }
        history::append(&mut self.history, entry);
        self.forget_old_reasons();
        self
    }
}
