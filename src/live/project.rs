//! What a commit means to a topic.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::domain::appointment::{Appointment, Status};
use crate::domain::change::{Change, Commit};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::entry::{Entry, Period};
use crate::domain::ids::{AppointmentId, DoctorId, ReviewId, ServiceId, SessionId, UserId, WaitlistId};
use crate::domain::review::Review;
use crate::domain::session::Session;
use crate::domain::slots::{self, Candidate};
use crate::domain::tick::Tick;
use crate::domain::waitlist::WaitlistEntry;
use crate::live::topic::Topic;
use crate::views::calendar::{Calendar, Occupancy};

/// Longest buffer of a service: how far what is taken on one date reaches into the next.
const BUFFER_TICKS: i32 = 48;
/// How long a past appointment stays in `me/appointments`.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// An item of a slots topic: a function of committed data alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSlot {
    pub start: Timestamp,
    pub end: Timestamp,
    /// Until when somebody holds it; free otherwise.
    pub held_until: Option<Timestamp>,
    /// Of a group session: for how many there is room.
    pub seats_left: Option<u32>,
    pub bookable_from: Timestamp,
    pub bookable_until: Timestamp,
}

/// New or changed items, and those that are no more. A snapshot removes nothing.
#[derive(Clone, Debug)]
pub enum Update {
    Slots {
        /// The doctor's.
        zone: String,
        upserted: Vec<LiveSlot>,
        removed: Vec<Timestamp>,
    },
    Appointments {
        upserted: Vec<Arc<Appointment>>,
        removed: Vec<AppointmentId>,
    },
    /// The one item of a doctor's topic.
    Doctor(Arc<Doctor>),
    Reviews {
        upserted: Vec<Arc<Review>>,
        removed: Vec<ReviewId>,
    },
    Waitlist {
        upserted: Vec<Arc<WaitlistEntry>>,
        removed: Vec<WaitlistId>,
    },
    Sessions {
        upserted: Vec<Arc<Session>>,
        removed: Vec<SessionId>,
    },
}

impl Update {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Slots { upserted, removed, .. } => upserted.is_empty() && removed.is_empty(),
            Self::Appointments { upserted, removed } => upserted.is_empty() && removed.is_empty(),
            Self::Doctor(_) => false,
            Self::Reviews { upserted, removed } => upserted.is_empty() && removed.is_empty(),
            Self::Waitlist { upserted, removed } => upserted.is_empty() && removed.is_empty(),
            Self::Sessions { upserted, removed } => upserted.is_empty() && removed.is_empty(),
        }
    }
}

/// From when on a patient's past appointments are part of `me/appointments`.
#[must_use]
pub fn kept_since(now: Timestamp) -> Timestamp {
    now.saturating_sub(KEPT_FOR).unwrap_or(Timestamp::MIN)
}

/// What a commit changes in a topic of appointments, of reviews or of a waitlist.
#[must_use]
pub fn entities(topic: &Topic, commit: &Commit, now: Timestamp) -> Update {
    match topic {
        Topic::Waitlist { .. } | Topic::MyWaitlist { .. } => waitlist(topic, commit),
        Topic::Reviews { doctor } => reviews(*doctor, commit),
        _ => appointments(topic, commit, now),
    }
}

/// What a commit changes in an appointments topic.
#[must_use]
pub fn appointments(topic: &Topic, commit: &Commit, now: Timestamp) -> Update {
    let (mut upserted, mut removed) = (Vec::new(), Vec::new());
    for change in &commit.changes {
        let Change::Entry(Entry::Appointment(appointment)) = change else { continue };
        let (concerns, belongs) = match topic {
            Topic::Calendar { doctor, window } => {
                let reaches = appointment.start < window.1 && appointment.end > window.0;
                (appointment.doctor_id == *doctor, reaches && appointment.status != Status::Expired)
            }
            Topic::MyAppointments { user } => own(*user, appointment, now),
            _ => (false, false),
        };
        if concerns && belongs {
            upserted.push(appointment.clone());
        } else if concerns && appointment.rev > 1 {
            // It may have been part of the topic before.
            removed.push(appointment.id);
        }
    }
    Update::Appointments { upserted, removed }
}

/// What a commit changes in the published reviews of a doctor.
#[must_use]
pub fn reviews(doctor: DoctorId, commit: &Commit) -> Update {
    let (mut upserted, mut removed) = (Vec::new(), Vec::new());
    for change in &commit.changes {
        match change {
            Change::Review(review) if review.doctor_id == doctor && review.is_published() => {
                upserted.push(review.clone());
            }
            Change::Review(review) if review.doctor_id == doctor => removed.push(review.id),
            _ => {}
        }
    }
    Update::Reviews { upserted, removed }
}

/// What a commit changes among the open entries of a waitlist topic.
#[must_use]
pub fn waitlist(topic: &Topic, commit: &Commit) -> Update {
    let (mut upserted, mut removed) = (Vec::new(), Vec::new());
    for change in &commit.changes {
        let Change::Waitlist(entry) = change else { continue };
        let concerns = match topic {
            Topic::Waitlist { doctor } => entry.doctor_id == *doctor,
            Topic::MyWaitlist { user } => entry.patient_id == *user,
            _ => false,
        };
        if concerns && entry.status.is_open() {
            upserted.push(entry.clone());
        } else if concerns {
            removed.push(entry.id);
        }
    }
    Update::Waitlist { upserted, removed }
}

/// Whether an appointment concerns its patient, or a hold whoever holds it, and is one of those that they are shown.
fn own(user: UserId, appointment: &Appointment, now: Timestamp) -> (bool, bool) {
    let holds = appointment.held.is_some_and(|held| held.by == user);
    match appointment.status {
        Status::Held => (holds, true),
        Status::Expired => (holds || appointment.patient_id == user, false),
        status if appointment.patient_id == user => (true, status.is_open() || appointment.start >= kept_since(now)),
        // A hold that has become the appointment of somebody else.
        _ => (holds, false),
    }
}

/// What a commit changes in the sessions of a user.
#[must_use]
pub fn sessions(user: UserId, commit: &Commit) -> Update {
    let (mut upserted, mut removed) = (Vec::new(), Vec::new());
    for change in &commit.changes {
        match change {
            Change::Session(session) if session.user == user && session.revoked_at.is_none() => {
                upserted.push(session.clone());
            }
            Change::Session(session) if session.user == user => removed.push(session.id),
            _ => {}
        }
    }
    Update::Sessions { upserted, removed }
}

/// What commits have touched of a doctor's time.
#[derive(Debug, Default)]
pub struct Touched {
    ticks: BTreeSet<Tick>,
    /// What places within limits were taken or given up of.
    counted: BTreeSet<(ServiceId, Period)>,
}

/// What commits have touched of a doctor's time: what others did with the rooms and devices that the doctor uses, too.
pub fn touched<'a>(calendar: &Calendar, commits: impl IntoIterator<Item = &'a Arc<Commit>>) -> Touched {
    let entries = commits.into_iter().flat_map(|commit| commit.entries());
    let mut touched = Touched::default();
    for entry in entries.filter(|entry| entry.doctor() == calendar.doctor.id || calendar.uses(entry)) {
        touched.ticks.extend(entry.claims().iter().chain(entry.freed()));
        let quotas = entry.quotas().iter().chain(entry.freed_quotas());
        touched.counted.extend(quotas.map(|quota| (quota.service, quota.period)));
    }
    touched
}

impl Touched {
    /// Whether it may change how many sessions of a service count on a date.
    fn counts(&self, calendar: &Calendar, service: &Service, date: Date) -> bool {
        self.counted.iter().any(|(counted, period)| *counted == service.id && period.contains(date))
            || calendar.limited_by(service, date).any(|ticks| self.ticks.range(ticks).next().is_some())
    }
}

/// Whether any of it may matter to a service's slots on a date.
#[must_use]
pub fn reaches(calendar: &Calendar, service: &Service, date: Date, touched: &Touched) -> bool {
    let day = slots::day(&calendar.doctor, date);
    touched.counts(calendar, service, date)
        || touched.ticks.range(Tick(day.start.0 - BUFFER_TICKS)..Tick(day.end.0 + BUFFER_TICKS)).next().is_some()
}

/// Every slot of a service on a date that is free or held.
#[must_use]
pub fn open_slots(calendar: &Calendar, service: &Service, date: Date) -> Vec<LiveSlot> {
    let offered = calendar.offered(service, date);
    offered.filter_map(|(candidate, occupancy)| live_slot(calendar, service, &candidate, occupancy)).collect()
}

/// All slots of a date.
#[must_use]
pub fn snapshot(calendar: &Calendar, slots: Vec<LiveSlot>) -> Update {
    Update::Slots { zone: calendar.doctor.zone_name().to_owned(), upserted: slots, removed: Vec::new() }
}

/// What became free or held and what was taken between two states of a calendar. A service that is gone has no slots.
#[must_use]
pub fn difference(zone: &str, before: Option<Vec<LiveSlot>>, after: Option<Vec<LiveSlot>>) -> Update {
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let find = |slots: &[LiveSlot], start| slots.binary_search_by_key(&start, |slot| slot.start).ok();
    let removed = before.iter().map(|slot| slot.start).filter(|start| find(&after, *start).is_none()).collect();
    let is_new = |slot: &&LiveSlot| find(&before, slot.start).is_none_or(|index| before[index] != **slot);
    let upserted = after.iter().filter(is_new).cloned().collect();
    Update::Slots { zone: zone.to_owned(), upserted, removed }
}

/// What became of every start that touched ticks concern, whatever it was before: the net of many changes.
#[must_use]
pub fn net(calendar: &Calendar, service: &Service, date: Date, touched: &Touched) -> Update {
    let all = touched.counts(calendar, service, date);
    let (mut upserted, mut removed) = (Vec::new(), Vec::new());
    for (candidate, occupancy) in calendar.offered(service, date) {
        if !all && touched.ticks.range(candidate.footprint.clone()).next().is_none() {
            continue;
        }
        match live_slot(calendar, service, &candidate, occupancy) {
            Some(slot) => upserted.push(slot),
            None => removed.push(candidate.start.instant()),
        }
    }
    Update::Slots { zone: calendar.doctor.zone_name().to_owned(), upserted, removed }
}

/// `None` for what is taken.
fn live_slot(calendar: &Calendar, service: &Service, candidate: &Candidate, occupancy: Occupancy) -> Option<LiveSlot> {
    let held_until = match occupancy {
        Occupancy::Free => None,
        Occupancy::Held(until) => Some(until),
        Occupancy::Taken => return None,
    };
    let (start, end) = (candidate.start.instant(), candidate.end.instant());
    let (bookable_from, bookable_until) = slots::bookable_window(service, start);
    let seats_left = calendar.seats_left(service, candidate.start);
    Some(LiveSlot { start, end, held_until, seats_left, bookable_from, bookable_until })
}
