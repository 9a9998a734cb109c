//! Time off: a stretch of a doctor's time in which nothing is booked. It is a rule, and what of it was still free is taken by
//! one document for each local day; what was booked before stays until somebody moves it.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::availability::{day_seconds, first_shown, last_shown, on_grid, timestamp};
use super::doctor::Doctor;
use super::ids::TimeOffId;
use super::refusal::Violation;
use super::slots;
use super::tick::{TICK_MINUTES, Tick};

/// Most times off of a doctor that are not over.
pub const MOST: usize = 100;
/// Longest time off, in days.
pub const LONGEST_DAYS: i64 = 184;
/// Longest reason, in characters.
pub const LONGEST_REASON: usize = 100;
/// How long one that is over is still told of.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A doctor is away from `from` until `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOff {
    pub id: TimeOffId,
    pub rev: u32,
    pub from: Tick,
    pub to: Tick,
    /// For the practice alone.
    pub reason: Option<String>,
}

/// Where a time off begins or ends, in local time. Without a time of day: with the whole date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub date: Date,
    pub time: Option<Time>,
}

/// Ticks of one local date that belong to a time off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub time_off: TimeOffId,
    pub date: Date,
    pub ticks: Vec<Tick>,
}

impl TimeOff {
    /// Whether any of these ticks is in it.
    #[must_use]
    pub fn meets(&self, ticks: &Range<Tick>) -> bool {
        self.from < ticks.end && ticks.start < self.to
    }
}

impl Bound {
    /// Whether a time of day, if there is one, is a multiple of 5 minutes.
    fn is_on_grid(self) -> bool {
        self.time.is_none_or(on_grid)
    }
}

/// Whether the doctor is away at any of these ticks.
#[must_use]
pub fn is_off(doctor: &Doctor, ticks: &Range<Tick>) -> bool {
    doctor.time_off.iter().any(|time_off| time_off.meets(ticks))
}

/// What a time off in local times covers. A time that the clock skips is where it goes on; one that it shows twice begins with the
/// first and ends with the second.
///
/// # Errors
/// What breaks a rule, by pointers into the request of `timeOff.create`.
pub fn span(zone: &TimeZone, from: Bound, to: Bound, now: Timestamp) -> Result<Range<Tick>, Vec<Violation>> {
    let mut found = Vec::new();
    for (pointer, bound) in [("/from/time", from), ("/to/time", to)] {
        if !bound.is_on_grid() {
            found.push(Violation::new(pointer, "invalid", "a multiple of 5 minutes"));
        }
    }
    let begin = match from.time {
        None => day_seconds(zone, from.date).start,
        Some(time) => first_shown(zone, from.date, time),
    };
    let end = match to.time {
        None => day_seconds(zone, to.date).end,
        Some(time) => last_shown(zone, to.date, time),
    };
    let span = Tick::floor(timestamp(begin))..Tick::floor(timestamp(end + i64::from(TICK_MINUTES) * 60 - 1));
    if span.end <= span.start {
        found.push(Violation::new("/to", "invalid", "after `from`"));
    } else if i64::from(span.end.0) - i64::from(span.start.0) > (LONGEST_DAYS * 24 + 1) * 60 / i64::from(TICK_MINUTES) {
        found.push(Violation::new("/to", "out_of_range", format!("at most {LONGEST_DAYS} days")));
    } else if span.end.instant() <= now {
        found.push(Violation::new("/to", "out_of_range", "must be still to come"));
    }
    if found.is_empty() { Ok(span) } else { Err(found) }
}

/// Which of these ticks belong to a time off, by day. A tick of several belongs to the first.
#[must_use]
pub fn shares(doctor: &Doctor, ticks: &[Tick]) -> Vec<Share> {
    let mut found: BTreeMap<(TimeOffId, Date), Vec<Tick>> = BTreeMap::new();
    let mut today = Tick(0)..Tick(0);
    let mut date = Date::ZERO;
    for tick in ticks {
        let Some(time_off) = doctor.time_off.iter().find(|off| off.meets(&(*tick..Tick(tick.0 + 1)))) else { continue };
        if !today.contains(tick) {
            date = slots::local_date(doctor, *tick);
            today = slots::day(doctor, date);
        }
        found.entry((time_off.id, date)).or_default().push(*tick);
    }
    found.into_iter().map(|((time_off, date), ticks)| Share { time_off, date, ticks }).collect()
}

/// Adds a time off, and forgets those that have long been over.
///
/// # Errors
/// `too_many`.
pub fn add(times_off: &mut Vec<TimeOff>, new: TimeOff, now: Timestamp) -> Result<(), Violation> {
    times_off.retain(|off| now.duration_since(off.to.instant()) <= KEPT_FOR);
    let ahead = times_off.iter().filter(|off| off.to.instant() > now).count();
    if ahead >= MOST {
        return Err(Violation::new("/doctorId", "too_many", format!("at most {MOST} that are not over")));
    }
    // Those that are over give way.
    if times_off.len() >= MOST
        && let Some(over) = times_off.iter().position(|off| off.to.instant() <= now)
    {
        times_off.remove(over);
    }
    times_off.push(new);
    times_off.sort_by_key(|off| (off.from, off.to, off.id));
    Ok(())
}

#[cfg(test)]
mod tests;
