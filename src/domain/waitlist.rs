//! Who waits for a time of a doctor, and to whom a time that is given up is offered.
//!
//! ```text
//! waiting ──► offered ──► fulfilled
//!  │  │ ▲       │ │ │
//!  │  │ └───────┘ │ └───► left
//!  │  └───────────┴─────► expired
//!  └────────────────────► left
//! ```
//!
//! An offer is a hold of the patient: both change together or not at all.

mod matching;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

pub use self::matching::Freed;
use super::availability::day_seconds;
use super::doctor::LocalRange;
use super::ids::{AppointmentId, DoctorId, PatientId, ServiceId, WaitlistId};
use super::refusal::{Refusal, Violation};
use super::slots::Candidate;

/// Most open entries of a person.
pub const OPEN_LIMIT: u8 = 10;
/// Most local dates of a window.
pub const WINDOW_DAYS: i32 = 92;
/// How far ahead a window may end, in days.
pub const AHEAD_DAYS: i32 = 366;
/// After so many offers in a row that nobody has answered, nobody waits there any more.
pub const MISSED_LIMIT: u32 = 3;
/// Most starts that an entry remembers as not wanted, the latest.
pub const PASSED_LIMIT: usize = 64;

/// State of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitStatus {
    Waiting,
    /// A time is kept for the patient, who has to say whether they want it.
    Offered,
    /// The patient has an appointment by it.
    Fulfilled,
    /// Withdrawn.
    Left,
    /// The window is over, or too many offers were not answered.
    Expired,
}

impl WaitStatus {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Offered, Self::Fulfilled, Self::Left, Self::Expired];

    /// The word for it, in documents and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Offered => "offered",
            Self::Fulfilled => "fulfilled",
            Self::Left => "left",
            Self::Expired => "expired",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether somebody still waits.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Offered)
    }
}

/// When a time would suit, in local dates and times of the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// First and last date, both included.
    pub from: Date,
    pub to: Date,
    /// The appointment lies within it; at any time otherwise.
    pub times: Option<LocalRange>,
    /// Any where there is none.
    pub weekdays: Vec<Weekday>,
}

impl Wish {
    /// Whether it says something, whatever the day and whoever the doctor is.
    ///
    /// # Errors
    /// `validation_failed` with everything that is wrong.
    pub fn validate(&self) -> Result<(), Refusal> {
        let mut wrong = Vec::new();
        if self.to < self.from {
            wrong.push(Violation::new("/to", "out_of_range", "is before `from`"));
        } else if (self.to - self.from).get_days() >= WINDOW_DAYS {
            let detail = format!("the window may cover at most {WINDOW_DAYS} days");
            wrong.push(Violation::new("/to", "out_of_range", detail));
        }
        if self.times.is_some_and(|times| times.to <= times.from) {
            wrong.push(Violation::new("/times/to", "out_of_range", "must be after `from`"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Refusal::Invalid(wrong)) }
    }

    /// Whether it can be waited for, as of a date of the doctor.
    ///
    /// # Errors
    /// `validation_failed`.
    pub fn is_ahead(&self, today: Date) -> Result<(), Refusal> {
        let ahead = (self.to - today).get_days();
        if self.to < today {
            return Err(Violation::new("/to", "out_of_range", "is over").into());
        }
        if ahead > AHEAD_DAYS {
            let detail = format!("may be at most {AHEAD_DAYS} days ahead");
            return Err(Violation::new("/to", "out_of_range", detail).into());
        }
        Ok(())
    }

    /// When the last date is over.
    #[must_use]
    pub fn ends_at(&self, zone: &TimeZone) -> Timestamp {
        Timestamp::from_second(day_seconds(zone, self.to).end).unwrap_or(Timestamp::MAX)
    }

    /// Whether an appointment at this time would suit.
    #[must_use]
    pub fn suits(&self, zone: &TimeZone, candidate: &Candidate) -> bool {
        let (start, end) = (zone.to_datetime(candidate.start.instant()), zone.to_datetime(candidate.end.instant()));
        let within =
            |times: LocalRange| times.from <= start.time() && start.date() == end.date() && end.time() <= times.to;
        (self.from..=self.to).contains(&start.date())
            && self.times.is_none_or(within)
            && (self.weekdays.is_empty() || self.weekdays.contains(&start.date().weekday()))
    }
}

/// A time that is kept for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The hold that keeps it, which becomes the appointment.
    pub hold: AppointmentId,
    pub start: Timestamp,
    pub end: Timestamp,
    /// When it ends by itself, by the database's clock.
    pub until: Timestamp,
}

/// Somebody who waits, or has waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitlistEntry {
    pub id: WaitlistId,
    pub rev: u32,
    pub status: WaitStatus,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub patient_id: PatientId,
    pub patient_name: String,
    pub service_id: ServiceId,
    pub service_name: String,
    pub wish: Wish,
    /// The doctor's zone when the patient joined.
    pub time_zone: String,
    /// When the window is over.
    pub ends_at: Timestamp,
    pub joined_at: Timestamp,
    pub updated_at: Timestamp,
    /// Which of the patient's [`OPEN_LIMIT`] open entries it is.
    pub place: u8,
    /// There while it is `offered`.
    pub offer: Option<Offer>,
    /// Starts that were offered and not taken: they are not offered again. At most [`PASSED_LIMIT`].
    pub passed: Vec<Timestamp>,
    /// Offers in a row that were not answered.
    pub missed: u32,
    /// What it came to.
    pub appointment: Option<AppointmentId>,
}

impl WaitlistEntry {
    /// The next revision, to which a time is offered.
    ///
    /// # Errors
    /// `illegal_transition` unless it is waiting.
    pub fn offered(&self, offer: Offer, now: Timestamp) -> Result<Self, Refusal> {
        match self.status {
            WaitStatus::Waiting => Ok(Self { status: WaitStatus::Offered, offer: Some(offer), ..self.revised(now) }),
            _ => Err(Refusal::IllegalTransition),
        }
    }

    /// The time that is offered, as far as this node knows: until when, the database says.
    ///
    /// # Errors
    /// `hold_expired` when there is none, or none any more; `illegal_transition` once it has come to something else.
    pub fn open_offer(&self) -> Result<Offer, Refusal> {
        match (self.status, self.offer) {
            (WaitStatus::Offered, Some(offer)) => Ok(offer),
            (WaitStatus::Fulfilled | WaitStatus::Left, _) => Err(Refusal::IllegalTransition),
            _ => Err(Refusal::HoldExpired),
        }
    }

    /// The next revision: what was offered is the patient's appointment.
    ///
    /// # Errors
    /// As [`Self::open_offer`].
    pub fn fulfilled(&self, now: Timestamp) -> Result<Self, Refusal> {
        let offer = self.open_offer()?;
        let appointment = Some(offer.hold);
        Ok(Self { status: WaitStatus::Fulfilled, offer: None, appointment, ..self.revised(now) })
    }

    /// The next revision, which waits on for another time than the one that was offered.
    ///
    /// # Errors
    /// As [`Self::open_offer`].
    pub fn passed(&self, now: Timestamp) -> Result<Self, Refusal> {
        let offer = self.open_offer()?;
        Ok(Self { status: WaitStatus::Waiting, missed: 0, ..self.without(offer, now) })
    }

    /// The same, when nobody has answered: too often in a row, and it is over.
    ///
    /// # Errors
    /// As [`Self::open_offer`].
    pub fn missed(&self, now: Timestamp) -> Result<Self, Refusal> {
        let offer = self.open_offer()?;
        let missed = self.missed + 1;
        let status = if missed < MISSED_LIMIT { WaitStatus::Waiting } else { WaitStatus::Expired };
        Ok(Self { status, missed, ..self.without(offer, now) })
    }

    /// The next revision, withdrawn.
    ///
    /// # Errors
    /// `illegal_transition` unless it is open.
    pub fn left(&self, now: Timestamp) -> Result<Self, Refusal> {
        if !self.status.is_open() {
            return Err(Refusal::IllegalTransition);
        }
        Ok(Self { status: WaitStatus::Left, offer: None, ..self.revised(now) })
    }

    /// The next revision, whose window is over.
    ///
    /// # Errors
    /// `illegal_transition` unless it is waiting: what is offered stays so until it is answered or has run out.
    pub fn over(&self, now: Timestamp) -> Result<Self, Refusal> {
        match self.status {
            WaitStatus::Waiting => Ok(Self { status: WaitStatus::Expired, ..self.revised(now) }),
            _ => Err(Refusal::IllegalTransition),
        }
    }

    /// The next revision, without its patient, who is a stranger from now on, and withdrawn.
    #[must_use]
    pub fn without_patient(&self, stranger: PatientId, now: Timestamp) -> Self {
        let next = self.left(now).unwrap_or_else(|_| self.revised(now));
        Self { patient_id: stranger, patient_name: String::new(), ..next }
    }

    /// The next revision, without the name and the words of its doctor, who offers nothing any more.
    #[must_use]
    pub fn without_doctor(&self, now: Timestamp) -> Self {
        let mut next = self.revised(now);
        if self.status.is_open() {
            (next.status, next.offer) = (WaitStatus::Expired, None);
        }
        Self { doctor_name: String::new(), service_name: String::new(), ..next }
    }

    /// The next revision, in which nothing has changed yet.
    #[must_use]
    pub fn revised(&self, now: Timestamp) -> Self {
        Self { rev: self.rev + 1, updated_at: now, ..self.clone() }
    }

    fn without(&self, offer: Offer, now: Timestamp) -> Self {
        let mut next = self.revised(now);
        next.offer = None;
        // What is past comes no more.
        next.passed.retain(|start| *start > now);
        next.passed.push(offer.start);
        let surplus = next.passed.len().saturating_sub(PASSED_LIMIT);
        next.passed.drain(..surplus);
        next
    }
}

#[cfg(test)]
mod tests;
