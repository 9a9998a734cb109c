//! A recurring appointment: an RFC 5545 rule to the local times of its occurrences, and those to instants.
//!
//! The rule is expanded in local time, as if there were no zones, and only then placed in the doctor's: 9:00 stays 9:00
//! across a change of the clock. A local time that is skipped then has no instant; one that is repeated has the first.
//! Nothing that somebody writes into a rule makes this take long: what may be in it is checked before it is expanded.

use std::str::FromStr as _;

use chrono::{Datelike as _, NaiveDate, TimeZone as _, Timelike as _, Utc};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use rrule::{RRule, Tz, Unvalidated};

use super::refusal::Violation;

/// Longest rule, in characters.
pub const LONGEST_RULE: usize = 500;
/// Most occurrences of a series.
pub const MOST_OCCURRENCES: usize = 100;
/// How far from its start a series may reach, in years.
const REACH_YEARS: i16 = 2;
/// Steps of more than this, in days of two years, lead out of reach.
const LONGEST_INTERVAL: u16 = 732;

const EXAMPLE: &str = "must be a rule of RFC 5545 such as FREQ=WEEKLY;BYDAY=MO;COUNT=10";
const ENDLESS: &str = "must end: say how often with COUNT, or until when with UNTIL";
const TOO_MANY: &str = "has more than 100 occurrences: lower COUNT, or let UNTIL be earlier";
const TOO_FAR: &str = "reaches further than two years from its start: lower COUNT, or let UNTIL be earlier";
const NOT_START: &str = "does not begin with `start`: move `start` to its first occurrence, or change the rule";
const NEVER: &str = "never occurs: change the days that it names";

/// When an appointment of a series would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// In the doctor's zone.
    pub local: DateTime,
    /// `None`: on that date, the clock skips this time.
    pub start: Option<Timestamp>,
}

/// The occurrences of a rule whose first one is at `start`, in order: 1 to [`MOST_OCCURRENCES`].
///
/// # Errors
/// What is wrong with the rule, as a sentence for the person who wrote it.
pub fn expand(rule: &str, zone: &TimeZone, start: Timestamp) -> Result<Vec<Occurrence>, Violation> {
    let refuse = |(code, detail)| Violation::new("/rrule", code, detail);
    let rule = Rule::parse(rule).map_err(refuse)?;
    // What is no whole second is no time that is offered: the occurrence says so, not the rule.
    let first = zone.to_datetime(Timestamp::from_second(start.as_second()).unwrap_or(start));
    let found = rule.local_times(zone, first).map_err(refuse)?;
    let place = |(index, local): (usize, DateTime)| match index {
        // Of a time that the clock shows twice, it may be the second.
        0 => Occurrence { local, start: Some(start) },
        _ => Occurrence { local, start: instant(zone, local) },
    };
    Ok(found.into_iter().enumerate().map(place).collect())
}

/// The first instant that shows a local time, if there is one.
#[must_use]
pub fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => None,
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
    }
}

type Refused = (&'static str, &'static str);

/// Where a series ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Count(usize),
    /// The last local time that may be one.
    Local(DateTime),
    /// The last instant that may be one.
    Instant(Timestamp),
}

/// A rule of which every part is known to be harmless.
struct Rule {
    pattern: RRule<Unvalidated>,
    end: End,
}

impl Rule {
    fn parse(text: &str) -> Result<Self, Refused> {
        const BAD: Refused = ("invalid", EXAMPLE);
        if text.len() > LONGEST_RULE || !text.is_ascii() {
            return Err(BAD);
        }
        let text = text.to_ascii_uppercase();
        let (mut seen, mut pattern, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for part in text.split(';') {
            let (name, value) = part.split_once('=').ok_or(BAD)?;
            if seen.contains(&name) {
                return Err(("duplicate", "names a part twice"));
            }
            seen.push(name);
            match name {
                "COUNT" => ends.push(count(value)?),
                "UNTIL" => ends.push(until(value)?),
                _ => {
                    check(name, value, &text)?;
                    pattern.push(part);
                }
            }
        }
        let end = match ends[..] {
            [] => return Err(("required", ENDLESS)),
            [end] => end,
            _ => return Err(("invalid", "takes COUNT or UNTIL, not both")),
        };
        let pattern = RRule::from_str(&pattern.join(";")).map_err(|_| BAD)?;
        Ok(Self { pattern, end })
    }

    /// The local times from `first` on, the end not passed.
    fn local_times(self, zone: &TimeZone, first: DateTime) -> Result<Vec<DateTime>, Refused> {
        const BAD: Refused = ("invalid", EXAMPLE);
        let reach = first.saturating_add(REACH_YEARS.years());
        let within = |local: &DateTime| match self.end {
            End::Count(_) => true,
            End::Local(last) => *local <= last,
            End::Instant(last) => zone.to_ambiguous_timestamp(*local).compatible().is_ok_and(|at| at <= last),
        };
        let most = match self.end {
            End::Count(count) => count,
            End::Local(last) if last.date() > reach.date() => return Err(("out_of_range", TOO_FAR)),
            End::Instant(last) if zone.to_datetime(last) > reach => return Err(("out_of_range", TOO_FAR)),
            End::Local(_) | End::Instant(_) => MOST_OCCURRENCES + 1,
        };
        if !within(&first) {
            return Err(("out_of_range", "ends before `start`: let UNTIL be later"));
        }
        let shift = shift(first);
        let begin = floating(first, shift).ok_or(BAD)?;
        // Past this time the search is over, however rare the next occurrence may be.
        let pattern = self.pattern.until(floating(reach, shift).ok_or(BAD)?);
        let set = pattern.build(begin).map_err(|_| BAD)?.limit();
        let found = set.into_iter().filter_map(|at| civil(at, shift));
        let found: Vec<DateTime> = found.take_while(within).take(most).collect();
        match (self.end, found.first()) {
            (_, None) => Err(("invalid", NEVER)),
            (_, Some(begins)) if *begins != first => Err(("invalid", NOT_START)),
            (End::Count(count), _) if found.len() < count => Err(("out_of_range", TOO_FAR)),
            _ if found.len() > MOST_OCCURRENCES => Err(("too_many", TOO_MANY)),
            _ => Ok(found),
        }
    }
}

fn count(value: &str) -> Result<End, Refused> {
    match digits(value).and_then(|digits| digits.parse::<u64>().ok()) {
        Some(count) if count > MOST_OCCURRENCES as u64 => Err(("too_many", TOO_MANY)),
        Some(count) if count > 0 => Ok(End::Count(count as usize)),
        _ => Err(("invalid", "has a COUNT that is not 1 to 100")),
    }
}

/// A date of the doctor's zone, included; a local time; or an instant, with `Z`.
fn until(value: &str) -> Result<End, Refused> {
    const BAD: Refused =
        ("invalid", "has an UNTIL that is no date such as 20261231 and no time such as 20261231T170000Z");
    let (local, utc) = value.strip_suffix('Z').map_or((value, false), |local| (local, true));
    let digit = |at: usize| if at == 8 { b'T' } else { b'0' };
    let shaped = local.bytes().enumerate().all(|(at, byte)| match digit(at) {
        b'T' => byte == b'T',
        _ => byte.is_ascii_digit(),
    });
    if !shaped || !matches!((local.len(), utc), (8, false) | (15, _)) {
        return Err(BAD);
    }
    let number = |from: usize, to: usize| local[from..to].parse::<i16>().unwrap_or(-1);
    let small = |from: usize| i8::try_from(number(from, from + 2)).unwrap_or(-1);
    let date = jiff::civil::Date::new(number(0, 4), small(4), small(6)).map_err(|_| BAD)?;
    if local.len() == 8 {
        return Ok(End::Local(date.at(23, 59, 59, 0)));
    }
    let time = jiff::civil::Time::new(small(9), small(11), small(13), 0).map_err(|_| BAD)?;
    let local = date.to_datetime(time);
    match utc {
        false => Ok(End::Local(local)),
        true => TimeZone::UTC.to_timestamp(local).map(End::Instant).map_err(|_| BAD),
    }
}

/// Checks a part of the pattern: the crate takes more than the RFC does, and goes through all of it.
fn check(name: &str, value: &str, rule: &str) -> Result<(), Refused> {
    let weekday = |day: &str| matches!(day, "MO" | "TU" | "WE" | "TH" | "FR" | "SA" | "SU");
    let numbers = |most: i16, signed: bool| {
        let fits = |item: &str| {
            let unsigned = if signed { item.strip_prefix(['+', '-']).unwrap_or(item) } else { item };
            digits(unsigned).and_then(|digits| digits.parse().ok()).is_some_and(|n: i16| (1..=most).contains(&n))
        };
        value.split(',').all(fits)
    };
    let ok = match name {
        "FREQ" if matches!(value, "DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY") => true,
        "FREQ" => return Err(("invalid", "has a FREQ that is not DAILY, WEEKLY, MONTHLY or YEARLY")),
        "INTERVAL" => {
            let interval = digits(value).and_then(|digits| digits.parse::<u16>().ok());
            if !interval.is_some_and(|interval| (1..=LONGEST_INTERVAL).contains(&interval)) {
                return Err(("out_of_range", "has an INTERVAL that is not 1 to 732"));
            }
            true
        }
        "WKST" => weekday(value),
        "BYDAY" => value.split(',').all(|item| {
            let Some((number, day)) = item.split_at_checked(item.len().saturating_sub(2)) else { return false };
            let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
            let numbered = digits(unsigned).and_then(|digits| digits.parse().ok());
            let fits = numbered.is_some_and(|n: i16| (1..=53).contains(&n));
            // "The second Monday" of a day or a week is none.
            let counts = rule.contains("FREQ=MONTHLY") || rule.contains("FREQ=YEARLY");
            weekday(day) && (number.is_empty() || fits && counts)
        }),
        "BYMONTH" => numbers(12, false),
        "BYMONTHDAY" => numbers(31, true),
        "BYYEARDAY" | "BYSETPOS" => numbers(366, true),
        "BYWEEKNO" => numbers(53, true),
        "BYHOUR" | "BYMINUTE" | "BYSECOND" => {
            return Err(("invalid", "names a time of day: that is the one of `start`"));
        }
        _ => false,
    };
    if ok { Ok(()) } else { Err(("invalid", EXAMPLE)) }
}

/// Digits alone, no sign, at most ten.
fn digits(text: &str) -> Option<&str> {
    ((1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// By how many years a series is moved while it is expanded.
///
/// Every 400 years, the calendar is the same to the weekday. The crate looks for the next occurrence until the year
/// 10,000: close to it, one that never comes is soon given up.
fn shift(first: DateTime) -> i32 {
    (9_990 - i32::from(first.year())).div_euclid(400) * 400
}

/// A local time, as if it were UTC.
fn floating(local: DateTime, shift: i32) -> Option<chrono::DateTime<Tz>> {
    let unsigned = |number: i8| u32::try_from(number).ok();
    let (month, day) = (unsigned(local.month())?, unsigned(local.day())?);
    let date = NaiveDate::from_ymd_opt(i32::from(local.year()) + shift, month, day)?;
    let time = date.and_hms_opt(unsigned(local.hour())?, unsigned(local.minute())?, unsigned(local.second())?)?;
    Some(Utc.from_utc_datetime(&time).with_timezone(&Tz::UTC))
}

/// And back.
fn civil(at: chrono::DateTime<Tz>, shift: i32) -> Option<DateTime> {
    let signed = |number: u32| i8::try_from(number).ok();
    let year = i16::try_from(at.year() - shift).ok()?;
    let (month, day) = (signed(at.month())?, signed(at.day())?);
    DateTime::new(year, month, day, signed(at.hour())?, signed(at.minute())?, signed(at.second())?, 0).ok()
}

#[cfg(test)]
mod tests;
