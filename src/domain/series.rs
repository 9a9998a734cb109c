//! A series of appointments: the verdict on each of its times, and which of its appointments a change reaches.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::appointment::Appointment;
use super::doctor::{Doctor, Service};
use super::ids::AppointmentId;
use super::recurrence::{Occurrence, instant};
use super::refusal::{Refusal, Violation};
use super::slots::{self, Rule};
use super::tick::Tick;

/// Free times near one that cannot be had: start and end.
pub type Alternatives = Vec<(Timestamp, Timestamp)>;

/// Whether an occurrence can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Free,
    /// Somebody has the time.
    Taken,
    /// The doctor does not offer it, or what the service takes is in use.
    Unavailable(Rule),
    /// The patient has another appointment then.
    Busy,
}

/// An occurrence, and whether it can be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub local: DateTime,
    /// `None`: the clock skips this time.
    pub span: Option<(Timestamp, Timestamp)>,
    pub verdict: Verdict,
    pub alternatives: Alternatives,
}

/// What others have: asked for the places of a date, for the doctor's ticks, for the patient's, and for those of the rooms
/// and devices of the service.
pub struct Taken<L, D, P, R> {
    pub places: L,
    pub doctor: D,
    pub patient: P,
    pub resources: R,
}

/// A service whose sessions are one patient's: the seats of others are booked one by one.
///
/// # Errors
/// `validation_failed`.
pub fn alone(service: &Service) -> Result<&Service, Violation> {
    match service.is_group() {
        true => Err(Violation::new("/serviceId", "invalid", "group sessions are booked one by one, not as a series")),
        false => Ok(service),
    }
}

/// The verdict on an occurrence: what booking it would come to, for the same reasons in the same order.
pub fn judge(
    doctor: &Doctor,
    service: &Service,
    occurrence: Occurrence,
    now: Timestamp,
    taken: &Taken<
        impl Fn(Date) -> Result<(), Rule>,
        impl Fn(Range<Tick>) -> bool,
        impl Fn(Range<Tick>) -> bool,
        impl Fn(Range<Tick>) -> bool,
    >,
) -> Judged {
    let end = |start: Timestamp| start + jiff::SignedDuration::from_mins(i64::from(service.duration_minutes));
    let checked = match occurrence.start {
        Some(start) => slots::check(doctor, service, start, now),
        None => Err(Rule::Hours),
    };
    let within_limits = |start| (taken.places)(slots::local_date(doctor, start)).map(|()| start);
    let verdict = match checked.and_then(within_limits) {
        Err(rule) => Verdict::Unavailable(rule),
        Ok(start) if (taken.doctor)(service.footprint(start)) => Verdict::Taken,
        Ok(start) if (taken.patient)(start..start.plus_minutes(service.duration_minutes)) => Verdict::Busy,
        Ok(start) if (taken.resources)(start..start.plus_minutes(service.duration_minutes)) => {
            Verdict::Unavailable(Rule::Resource)
        }
        Ok(_) => Verdict::Free,
    };
    let span = occurrence.start.map(|start| (start, end(start)));
    Judged { local: occurrence.local, span, verdict, alternatives: Vec::new() }
}

/// Why a series cannot be booked or moved: the reason that comes first in the order of errors, with every occurrence that
/// is against it. `None`: nothing is.
#[must_use]
pub fn refusal(judged: &[Judged]) -> Option<Refusal> {
    let of = |wanted: fn(&Verdict) -> bool| judged.iter().find(|one| wanted(&one.verdict));
    let why = if let Some(Judged { verdict: Verdict::Unavailable(rule), .. }) =
        of(|verdict| matches!(verdict, Verdict::Unavailable(_)))
    {
        Refusal::SlotUnavailable { rule: *rule }
    } else if let Some(taken) = of(|verdict| *verdict == Verdict::Taken) {
        Refusal::SlotTaken { alternatives: taken.alternatives.clone() }
    } else {
        of(|verdict| *verdict == Verdict::Busy)?;
        Refusal::PatientBusy
    };
    let occurrences = judged.iter().filter(|one| one.verdict != Verdict::Free).cloned().collect();
    Some(Refusal::OfSeries { why: Box::new(why), occurrences })
}

/// The occurrences that are wanted, with their place in the series; `only` names them by start.
///
/// # Errors
/// `validation_failed` for a name that is no occurrence, or comes twice.
pub fn chosen(occurrences: Vec<Occurrence>, only: Option<&[Timestamp]>) -> Result<Vec<Occurrence>, Refusal> {
    let Some(only) = only else { return Ok(occurrences) };
    let mut wanted = HashSet::new();
    let mut wrong = Vec::new();
    for (index, start) in only.iter().enumerate() {
        if !occurrences.iter().any(|occurrence| occurrence.start == Some(*start)) {
            wrong.push(Violation::new(format!("/only/{index}"), "invalid", "is not the start of an occurrence"));
        } else if !wanted.insert(*start) {
            wrong.push(Violation::new(format!("/only/{index}"), "duplicate", "each occurrence once"));
        }
    }
    if !wrong.is_empty() {
        return Err(Refusal::Invalid(wrong));
    }
    let is_wanted = |occurrence: &Occurrence| occurrence.start.is_some_and(|start| wanted.contains(&start));
    Ok(occurrences.into_iter().filter(is_wanted).collect())
}

/// Places of the appointments that a change reaches, by start: those that can still be moved and are still to come, from
/// the one that is named on.
///
/// # Errors
/// `not_found` when the one that is named is none of them; `illegal_transition` when none is left.
pub fn affected(
    appointments: &[Appointment],
    from: Option<AppointmentId>,
    now: Timestamp,
) -> Result<Vec<usize>, Refusal> {
    let begin = match from {
        Some(id) => appointments.iter().find(|one| one.id == id).ok_or(Refusal::NotFound)?.start,
        None => Timestamp::MIN,
    };
    let reached = |one: &Appointment| one.start >= begin && one.start > now && one.movable().is_ok();
    let mut places: Vec<usize> = (0..appointments.len()).filter(|place| reached(&appointments[*place])).collect();
    places.sort_by_key(|place| appointments[*place].start);
    if places.is_empty() { Err(Refusal::IllegalTransition) } else { Ok(places) }
}

/// Where appointments are moved to when the first of them is moved to `start`: each by the same days and minutes of local
/// time. And whether that is later than before.
#[must_use]
pub fn moved(appointments: &[&Appointment], zone: &TimeZone, start: Timestamp) -> (Vec<Occurrence>, bool) {
    let local = |at: Timestamp| zone.to_datetime(at);
    let Some(first) = appointments.first() else { return (Vec::new(), false) };
    let shift = local(start).duration_since(local(first.start));
    let target = |(index, one): (usize, &&Appointment)| {
        let local = local(one.start).saturating_add(shift);
        Occurrence { local, start: if index == 0 { Some(start) } else { instant(zone, local) } }
    };
    (appointments.iter().enumerate().map(target).collect(), shift.is_positive())
}

#[cfg(test)]
mod tests;
