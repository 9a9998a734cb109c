//! Who is told what by e-mail about an appointment: of each change of it, of an offer to somebody who waits, and before it.
//!
//! Whoever has done something themselves is not told of it, but for the confirmation of what a patient has booked. A hold
//! is told to nobody.

use jiff::Timestamp;

use super::appointment::{Action, Appointment, Status};
use super::ids::{SeriesId, UserId};
use super::notifications::Notifications;
use super::waitlist::{WaitStatus, WaitlistEntry};

/// As what somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Patient,
    Doctor,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It waits for the practice's approval. Only patients ask: what the practice books stands at once.
    Requested,
    Booked,
    /// What was asked for is approved.
    Approved,
    Declined,
    Moved,
    Cancelled,
    /// A time is kept for somebody who waits.
    Offered,
    /// It is near.
    Near,
}

/// What is told to one person, as it may be told to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The same whenever the same is told to the same person again.
    pub id: String,
    pub side: Side,
    pub event: Event,
    /// Empty once the person is erased.
    pub doctor_name: String,
    pub patient_name: String,
    pub service_name: String,
    /// The doctor's zone.
    pub time_zone: String,
    /// One, or those of a series that changed together.
    pub times: Vec<Time>,
    /// Why the practice has cancelled or declined, for the patient.
    pub reason: Option<String>,
    /// How long an offer stands.
    pub until: Option<Timestamp>,
}

/// When an appointment takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub start: Timestamp,
    /// When it would have, before it was moved.
    pub before: Option<Timestamp>,
}

/// A notice on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub to: UserId,
    pub notice: Notice,
    series: Option<SeriesId>,
}

impl Notice {
    /// Whether somebody wants to be told.
    #[must_use]
    pub fn is_wanted(&self, chosen: Notifications) -> bool {
        match self.event {
            Event::Offered => chosen.offers,
            Event::Near => chosen.reminders,
            _ => chosen.changes,
        }
    }
}

/// Whether a change of it may have to be told, as far as that shows without its history. What is over counts in a series: it may
/// be what the notice of the others is named after.
#[must_use]
pub fn is_telling(appointment: &Appointment, now: Timestamp) -> bool {
    let may_tell = matches!(appointment.status, Status::Pending | Status::Booked | Status::Cancelled);
    may_tell && (appointment.end > now || appointment.series.is_some())
}

/// An appointment as it was at an earlier revision, as far as its history tells. `None`: it has not come to that yet.
#[must_use]
pub fn as_of(appointment: &Appointment, rev: u32) -> Option<Appointment> {
    if appointment.rev <= rev {
        return Some(appointment.clone()).filter(|appointment| appointment.rev == rev);
    }
    let mut earlier = appointment.clone();
    earlier.history.retain(|entry| entry.rev <= rev);
    let latest = earlier.history.last()?;
    if !matches!(latest.action, Action::Cancelled | Action::Declined) {
        earlier.cancel_reason = None;
    }
    earlier.end = latest.start + appointment.start.duration_until(appointment.end);
    (earlier.rev, earlier.start) = (rev, latest.start);
    Some(earlier)
}

/// What is told of appointments that changed together, as of `now`: nothing of what is over. Those of a series become one notice
/// for each person, named after the first, over or not: so its name stays while time passes.
pub fn of_changes<'a>(changed: impl IntoIterator<Item = &'a Appointment>, now: Timestamp) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let each = |appointment: &'a Appointment| {
        of_change(appointment).into_iter().map(move |draft| (appointment.end <= now, draft))
    };
    for (is_over, mut draft) in changed.into_iter().flat_map(each) {
        if is_over {
            draft.notice.times.clear();
        }
        let is_alike = |other: &&mut Draft| {
            draft.series.is_some()
                && (other.series, other.to) == (draft.series, draft.to)
                && (other.notice.side, other.notice.event) == (draft.notice.side, draft.notice.event)
        };
        match drafts.iter_mut().find(is_alike) {
            Some(other) => other.notice.times.extend(draft.notice.times),
            None => drafts.push(draft),
        }
    }
    drafts.retain(|draft| !draft.notice.times.is_empty());
    drafts.iter_mut().for_each(|draft| draft.notice.times.sort_by_key(|time| time.start));
    drafts
}

fn of_change(appointment: &Appointment) -> Vec<Draft> {
    let mut history = appointment.history.iter().rev();
    // A revision without an entry of its own changes nothing that anybody is told.
    let Some(latest) = history.next().filter(|latest| latest.rev == appointment.rev) else { return Vec::new() };
    let event = match latest.action {
        Action::Requested => Event::Requested,
        Action::Booked => Event::Booked,
        Action::Approved => Event::Approved,
        Action::Declined => Event::Declined,
        Action::Rescheduled => Event::Moved,
        Action::Cancelled => Event::Cancelled,
        Action::Held
        | Action::Offered
        | Action::Released
        | Action::Expired
        | Action::CheckedIn
        | Action::Completed
        | Action::NoShow
        | Action::Undone
        | Action::Noted
        | Action::Reviewed => return Vec::new(),
    };
    let (doctor, patient, by) = (appointment.doctor_id, appointment.patient_id, latest.by.user);
    let before = history.next().map(|entry| entry.start).filter(|_| event == Event::Moved);
    let time = Time { start: appointment.start, before };
    let draft = |side| {
        let reason = appointment.cancel_reason.clone().filter(|_| side == Side::Patient && by != patient);
        Draft {
            series: appointment.series.as_ref().map(|series| series.id),
            ..draft(appointment, side, event, time, reason)
        }
    };
    let mut drafts = Vec::new();
    if appointment.walk_in.is_none() && (by != patient || event == Event::Booked) {
        drafts.push(draft(Side::Patient));
    }
    if by == patient && by != doctor {
        drafts.push(draft(Side::Doctor));
    }
    drafts
}

/// What a patient is told before an appointment.
#[must_use]
pub fn reminder(appointment: &Appointment) -> Draft {
    draft(appointment, Side::Patient, Event::Near, Time { start: appointment.start, before: None }, None)
}

/// Whether a reminder is planned with this revision: it confirms an appointment, or moves it.
#[must_use]
pub fn plans_reminder(appointment: &Appointment) -> bool {
    let latest = appointment.history.last().filter(|latest| latest.rev == appointment.rev);
    latest.is_some_and(|latest| matches!(latest.action, Action::Booked | Action::Approved | Action::Rescheduled))
}

/// Whether a patient can be reminded of it: it is theirs, and confirmed.
#[must_use]
pub fn can_be_near(appointment: &Appointment) -> bool {
    appointment.status == Status::Booked && appointment.walk_in.is_none()
}

fn draft(appointment: &Appointment, side: Side, event: Event, time: Time, reason: Option<String>) -> Draft {
    let (to, word) = match side {
        Side::Patient => (appointment.patient_id, "patient"),
        Side::Doctor => (appointment.doctor_id, "doctor"),
    };
    let which = match event {
        Event::Near => format!("near-{}", time.start.as_second()),
        _ => appointment.rev.to_string(),
    };
    let notice = Notice {
        id: format!("{}-{which}-{word}", appointment.id),
        side,
        event,
        doctor_name: appointment.doctor_name.clone(),
        patient_name: appointment.patient_name.clone(),
        service_name: appointment.service_name.clone(),
        time_zone: appointment.time_zone.clone(),
        times: vec![time],
        reason,
        until: None,
    };
    Draft { to, notice, series: None }
}

/// What somebody who waits is told of an offer that still stands.
#[must_use]
pub fn of_offer(entry: &WaitlistEntry, now: Timestamp) -> Option<Draft> {
    let offer = entry.offer.filter(|offer| entry.status == WaitStatus::Offered && offer.until > now)?;
    let notice = Notice {
        id: format!("{}-offer-patient", offer.hold),
        side: Side::Patient,
        event: Event::Offered,
        doctor_name: entry.doctor_name.clone(),
        patient_name: entry.patient_name.clone(),
        service_name: entry.service_name.clone(),
        time_zone: entry.time_zone.clone(),
        times: vec![Time { start: offer.start, before: None }],
        reason: None,
        until: Some(offer.until),
    };
    Some(Draft { to: entry.patient_id, notice, series: None })
}

#[cfg(test)]
mod tests;
