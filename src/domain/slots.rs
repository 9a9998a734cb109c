//! Which times can be booked: one predicate for search, live topics, hold and book. Looks at rules alone, never at
//! what others took.

mod exception;

use std::ops::{Range, RangeInclusive};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

pub use self::exception::except;
use super::availability::{Opening, closed_by_holiday, day_seconds, openings, timestamp};
use super::doctor::{Doctor, Service};
use super::tick::{TICK_MINUTES, Tick};
use super::time_off::is_off;

/// Which rule keeps a time from being booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    NotApproved,
    Archived,
    Past,
    Notice,
    Horizon,
    /// A public holiday, of a calendar that the doctor has chosen.
    Holiday,
    /// The doctor is away.
    TimeOff,
    Hours,
    Step,
    /// As many sessions of the service as there may be on the date.
    DailyLimit,
    /// As many as there may be in the week.
    WeeklyLimit,
    /// Only new patients are taken, or only known ones.
    Patients,
    /// A room or a device that the service takes is in use then.
    Resource,
    /// Not of the time but of the person: no more holds than these.
    Holds,
}

impl Rule {
    /// The word for it on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApproved => "not_approved",
            Self::Archived => "archived",
            Self::Past => "past",
            Self::Notice => "notice",
            Self::Horizon => "horizon",
            Self::Holiday => "holiday",
            Self::TimeOff => "time_off",
            Self::Hours => "hours",
            Self::Step => "step",
            Self::DailyLimit => "daily_limit",
            Self::WeeklyLimit => "weekly_limit",
            Self::Patients => "patients",
            Self::Resource => "resource",
            Self::Holds => "holds",
        }
    }
}

/// A start that the rules of a doctor offer on a date, whether taken or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub start: Tick,
    /// End of the appointment, buffers excluded.
    pub end: Tick,
    /// What it would take of the doctor's time, buffers included.
    pub footprint: Range<Tick>,
}

/// Every start that the doctor's hours offer for a service on a local date of the doctor, in order, each once.
///
/// Empty unless the doctor is approved and the service not archived. All lie within [`day`].
#[must_use]
pub fn candidates(doctor: &Doctor, service: &Service, date: Date) -> Vec<Candidate> {
    if !doctor.is_approved() || service.archived {
        return Vec::new();
    }
    let mut candidates: Vec<Candidate> = openings(&doctor.availability, date)
        .into_iter()
        .flat_map(|opening| starts(opening, service))
        .map(|start| Candidate {
            start,
            end: start.plus_minutes(service.duration_minutes),
            footprint: service.footprint(start),
        })
        .collect();
    candidates.retain(|candidate| !is_off(doctor, &candidate.footprint));
    candidates.sort_unstable_by_key(|candidate| candidate.start);
    candidates
}

/// First and last-exclusive tick of a local date in the doctor's zone; empty for a date that the zone skipped.
///
/// The days of a zone follow each other without gap or overlap. Where the clock goes back over midnight, the second
/// pass of the evening counts to the later date, which had begun before it.
#[must_use]
pub fn day(doctor: &Doctor, date: Date) -> Range<Tick> {
    let day = day_seconds(&doctor.availability.time_zone, date);
    ceil(day.start)..ceil(day.end)
}

/// The local dates of the doctor on which a service can be booked at all at this moment, both included: some starts of the first and the last
/// may be too early or too late.
#[must_use]
pub fn bookable_dates(doctor: &Doctor, service: &Service, now: Timestamp) -> RangeInclusive<Date> {
    let horizon = SignedDuration::from_hours(24 * i64::from(service.horizon_days));
    let notice = SignedDuration::from_mins(i64::from(service.min_notice_minutes));
    let date = |ahead| local_date(doctor, Tick::floor(now.saturating_add(ahead).unwrap_or(Timestamp::MAX)));
    date(notice)..=date(horizon)
}

/// Local date of the doctor at an instant: the one whose [`day`] contains it.
#[must_use]
pub fn local_date(doctor: &Doctor, tick: Tick) -> Date {
    let shown = doctor.availability.time_zone.to_datetime(tick.instant()).date();
    if tick < day(doctor, shown).end { shown } else { shown.tomorrow().unwrap_or(shown) }
}

/// From when until when a start may be booked, both included: horizon (days of 24 hours) and minimum notice.
///
/// The second is the start itself, or earlier. The first is later than the second, and the start can never be booked,
/// if the notice is longer than the horizon.
#[must_use]
pub fn bookable_window(service: &Service, start: Timestamp) -> (Timestamp, Timestamp) {
    let before = |duration| start.checked_sub(duration).unwrap_or(Timestamp::MIN);
    let horizon = SignedDuration::from_hours(24 * i64::from(service.horizon_days));
    (before(horizon), before(SignedDuration::from_mins(i64::from(service.min_notice_minutes))))
}

/// Whether an appointment of this service may start at this instant, as far as rules go: what others took is not
/// looked at.
///
/// # Errors
/// The first rule that blocks it, in the order of [`Rule`]. `Hours`: it does not lie inside one range of its local
/// date. `Step`: it does, but off the steps of that range or off the grid of ticks.
pub fn check(doctor: &Doctor, service: &Service, start: Timestamp, now: Timestamp) -> Result<Tick, Rule> {
    if !doctor.is_approved() {
        return Err(Rule::NotApproved);
    }
    if service.archived {
        return Err(Rule::Archived);
    }
    if start < now {
        return Err(Rule::Past);
    }
    let (from, until) = bookable_window(service, start);
    if now > until {
        return Err(Rule::Notice);
    }
    if now < from {
        return Err(Rule::Horizon);
    }
    let date = doctor.availability.time_zone.to_datetime(start).date();
    if closed_by_holiday(&doctor.availability, date) {
        return Err(Rule::Holiday);
    }
    if is_off(doctor, &service.footprint(Tick::floor(start))) {
        return Err(Rule::TimeOff);
    }
    let opening = openings(&doctor.availability, date).into_iter().find(|opening| admits(opening, service, start));
    let opening = opening.ok_or(Rule::Hours)?;
    let on_step = (start.as_second() - opening.anchor) % step_seconds(service) == 0;
    Tick::at(start).filter(|_| on_step).ok_or(Rule::Step)
}

/// Whether an appointment from `start` on lies inside the hours, on a step or not.
fn admits(opening: &Opening, service: &Service, start: Timestamp) -> bool {
    let end = start.as_duration() + SignedDuration::from_secs(duration_seconds(service));
    timestamp(opening.from) <= start && start < timestamp(opening.to) && end <= SignedDuration::from_secs(opening.until)
}

/// The starts within an opening. At an offset that is no multiple of 5 minutes there is none.
fn starts(opening: Opening, service: &Service) -> impl Iterator<Item = Tick> {
    let step = step_seconds(service);
    let skipped = (opening.from - opening.anchor).rem_euclid(step);
    let first = if skipped == 0 { opening.from } else { opening.from + step - skipped };
    let end = opening.to.min(opening.until - duration_seconds(service) + 1);
    (0..)
        .map(move |k| first + k * step)
        .take_while(move |start| *start < end)
        .filter_map(|start| Tick::at(timestamp(start)))
}

fn duration_seconds(service: &Service) -> i64 {
    i64::from(service.duration_minutes) * 60
}

/// Never zero, whatever is stored.
fn step_seconds(service: &Service) -> i64 {
    i64::from(service.step_minutes.max(TICK_MINUTES)) * 60
}

fn ceil(second: i64) -> Tick {
    Tick::floor(timestamp(second + i64::from(TICK_MINUTES) * 60 - 1))
}

#[cfg(test)]
mod tests;
