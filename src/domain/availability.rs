//! Opening hours: which ones may be stored, and which instants they are on a date. Knows nothing of steps, of notice
//! or of what is taken.
//!
//! Hours are local times. On the date of a change of the clock, a local time that is skipped does not exist, and one
//! that is repeated counts once, the first time that it is shown: the second pass is closed.

use std::iter;
use std::ops::{Range, RangeInclusive};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::doctor::{Availability, LocalRange, Season, Service};
use super::holidays::{HolidayCalendar, MOST_CALENDARS};
use super::profile::check_price;
use super::refusal::{MOST_VIOLATIONS, Violation};
use super::tick::TICK_MINUTES;

/// Most weekly ranges of a doctor.
pub const MOST_WEEKLY: usize = 100;
/// Most dates with hours of their own.
pub const MOST_OVERRIDES: usize = 366;
/// Most ranges of one such date.
pub const MOST_RANGES: usize = 24;
/// Most seasons.
pub const MOST_SEASONS: usize = 20;
/// Most weekly ranges of all seasons together: a doctor is one document.
pub const MOST_SEASON_RANGES: usize = 300;
/// Years that a date may have: all their instants can be told.
const YEARS: RangeInclusive<i16> = 1970..=9998;
/// Longest name of a zone, in bytes.
const LONGEST_ZONE: usize = 64;
/// Longest name of a service, in characters.
const LONGEST_NAME: usize = 100;
/// Most patients of a group session.
pub const MOST_PATIENTS: i32 = 50;
/// Most rooms and devices of a session.
pub const MOST_RESOURCES: usize = 5;

const DAY: i64 = 86_400;
/// No zone is this far from UTC, in seconds.
const FARTHEST_OFFSET: i64 = 26 * 3_600;

/// The zone with this IANA name, spelled exactly so. Links such as `Asia/Calcutta` are names, POSIX rules are not.
#[must_use]
pub fn parse_zone(name: &str) -> Option<TimeZone> {
    // `Factory` is what a machine has before anyone chose a zone.
    if name.len() > LONGEST_ZONE || name == "Factory" {
        return None;
    }
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    (zone.iana_name() == Some(name) && !zone.is_unknown()).then_some(zone)
}

/// Instants from which an appointment may start, of one range of hours and with one offset from UTC. In seconds of
/// the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub from: i64,
    pub to: i64,
    /// Where the hours end: later than `to` if the clock skips ahead within the range.
    pub until: i64,
    /// Starts are whole steps from here: the beginning of the range at this offset, even if it was skipped.
    pub anchor: i64,
}

/// The hours of a local date, in order of the ranges.
pub(super) fn openings(availability: &Availability, date: Date) -> Vec<Opening> {
    let ranges = ranges(availability, date);
    if ranges.is_empty() {
        return Vec::new();
    }
    let midnight = midnight(date);
    let stretches = stretches(&availability.time_zone, midnight);
    ranges.into_iter().flat_map(|range| opened(range, midnight, &stretches)).collect()
}

/// The instants of a local date: from the first that shows it, or a later one, to the first that shows a later one.
pub fn day_seconds(zone: &TimeZone, date: Date) -> Range<i64> {
    let midnight = midnight(date);
    let stretches = stretches(zone, midnight);
    first_from(midnight, &stretches)..first_from(midnight + DAY, &stretches)
}

/// The first instant of a date that shows a time of day, or a later one. In seconds of the epoch.
pub(super) fn first_shown(zone: &TimeZone, date: Date, time: Time) -> i64 {
    let midnight = midnight(date);
    first_from(midnight + second_of_day(time), &stretches(zone, midnight))
}

/// The same, but the last instant that shows it where the clock shows it twice.
pub(super) fn last_shown(zone: &TimeZone, date: Date, time: Time) -> i64 {
    let local = zone.to_ambiguous_timestamp(date.to_datetime(time));
    match (local.offset(), local.later()) {
        (AmbiguousOffset::Fold { .. }, Ok(later)) => later.as_second(),
        _ => first_shown(zone, date, time),
    }
}

/// Whether a time of day is a multiple of 5 minutes.
pub(super) fn on_grid(time: Time) -> bool {
    second_of_day(time) % (i64::from(TICK_MINUTES) * 60) == 0 && time.subsec_nanosecond() == 0
}

/// An instant by its seconds of the epoch.
pub fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Hours of the date itself come first, then a public holiday, which is closed, then the season, then the ordinary week.
fn ranges(availability: &Availability, date: Date) -> Vec<LocalRange> {
    if let Ok(found) = availability.overrides.binary_search_by_key(&date, |(date, _)| *date) {
        return availability.overrides[found].1.clone();
    }
    if is_holiday(&availability.holiday_calendars, date) {
        return Vec::new();
    }
    let season = availability.seasons.iter().find(|season| (season.from..=season.to).contains(&date));
    let weekly = season.map_or(&availability.weekly, |season| &season.weekly);
    weekly.iter().filter(|(day, _)| *day == date.weekday()).map(|(_, range)| *range).collect()
}

/// Whether it is a public holiday that closes a date.
pub(super) fn closed_by_holiday(availability: &Availability, date: Date) -> bool {
    is_holiday(&availability.holiday_calendars, date)
        && availability.overrides.binary_search_by_key(&date, |(date, _)| *date).is_err()
}

fn is_holiday(calendars: &[HolidayCalendar], date: Date) -> bool {
    calendars.iter().any(|calendar| calendar.has(date))
}

/// Instants with one offset from UTC, each the first to show its local time.
struct Stretch {
    from: i64,
    to: i64,
    offset: i64,
}

impl Stretch {
    /// The part that shows local times of `local`, maybe empty.
    fn showing(&self, local: &Range<i64>) -> Range<i64> {
        self.from.max(local.start - self.offset)..self.to.min(local.end - self.offset)
    }
}

/// All stretches that can show the local date which begins at `midnight`.
fn stretches(zone: &TimeZone, midnight: i64) -> Vec<Stretch> {
    let (begin, end) = (midnight - FARTHEST_OFFSET, midnight + DAY + FARTHEST_OFFSET);
    let first = i64::from(zone.to_offset(timestamp(begin)).seconds());
    let changes = zone
        .following(timestamp(begin))
        .map(|change| (change.timestamp().as_second(), i64::from(change.offset().seconds())))
        .take_while(|(at, _)| *at < end);
    let mut offsets = iter::once((begin, first)).chain(changes).peekable();
    let mut stretches = Vec::with_capacity(1);
    // Local times before this one have been shown.
    let mut shown = begin + first;
    while let Some((at, offset)) = offsets.next() {
        let to = offsets.peek().map_or(end, |(next, _)| *next);
        let from = at.max(shown - offset);
        if from < to {
            stretches.push(Stretch { from, to, offset });
            shown = to + offset;
        }
    }
    stretches
}

fn opened(range: LocalRange, midnight: i64, stretches: &[Stretch]) -> Vec<Opening> {
    let local = midnight + second_of_day(range.from)..midnight + second_of_day(range.to);
    let mut openings: Vec<Opening> = Vec::with_capacity(1);
    for stretch in stretches {
        let Range { start: from, end: to } = stretch.showing(&local);
        if from < to {
            openings.push(Opening { from, to, until: to, anchor: local.start - stretch.offset });
        }
    }
    for later in (1..openings.len()).rev() {
        if openings[later - 1].to == openings[later].from {
            openings[later - 1].until = openings[later].until;
        }
    }
    openings
}

/// The first instant that shows `local` or a later local time.
fn first_from(local: i64, stretches: &[Stretch]) -> i64 {
    let stretch = stretches.iter().find(|stretch| stretch.to + stretch.offset > local);
    stretch.map_or(local, |stretch| stretch.from.max(local - stretch.offset))
}

/// Local seconds of the epoch at which a date begins.
fn midnight(date: Date) -> i64 {
    date.at(0, 0, 0, 0).duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs()
}

fn second_of_day(time: Time) -> i64 {
    time.duration_since(Time::midnight()).as_secs()
}

/// Hours as they are stored: every rule kept, everything in order.
///
/// # Errors
/// What breaks a rule, by pointers into the request of `availability.set`.
pub fn validate_availability(mut availability: Availability) -> Result<Availability, Vec<Violation>> {
    let mut found = Vec::new();
    check_weekly("/weekly", &availability.weekly, &mut found);
    check_seasons(&availability.seasons, &mut found);
    check_calendars(&availability.holiday_calendars, &mut found);
    check_overrides(&availability.overrides, &mut found);
    if !found.is_empty() {
        found.truncate(MOST_VIOLATIONS);
        return Err(found);
    }
    let seasons = availability.seasons.iter_mut().map(|season| &mut season.weekly);
    for weekly in seasons.chain([&mut availability.weekly]) {
        weekly.sort_unstable_by_key(|(weekday, range)| (weekday.to_monday_zero_offset(), *range));
    }
    availability.seasons.sort_unstable_by_key(|season| season.from);
    availability.holiday_calendars.sort_unstable_by_key(|calendar| calendar.id());
    availability.overrides.sort_unstable_by_key(|(date, _)| *date);
    for (_, ranges) in &mut availability.overrides {
        ranges.sort_unstable();
    }
    Ok(availability)
}

fn check_weekly(pointer: &str, weekly: &[(Weekday, LocalRange)], found: &mut Vec<Violation>) {
    if weekly.len() > MOST_WEEKLY {
        found.push(Violation::new(pointer.to_owned(), "too_many", format!("at most {MOST_WEEKLY} ranges")));
        return;
    }
    for weekday in Weekday::Monday.cycle_forward().take(7) {
        let ranges = weekly.iter().enumerate().filter(|(_, (day, _))| *day == weekday);
        check_ranges(pointer, ranges.map(|(index, (_, range))| (index, *range)).collect(), found);
    }
}

fn check_seasons(seasons: &[Season], found: &mut Vec<Violation>) {
    let ranges: usize = seasons.iter().map(|season| season.weekly.len()).sum();
    if seasons.len() > MOST_SEASONS || ranges > MOST_SEASON_RANGES {
        let detail = format!("at most {MOST_SEASONS}, with {MOST_SEASON_RANGES} ranges together");
        found.push(Violation::new("/seasons", "too_many", detail));
        return;
    }
    for (index, season) in seasons.iter().enumerate() {
        let pointer = format!("/seasons/{index}");
        for (field, date) in [("from", season.from), ("to", season.to)] {
            if !YEARS.contains(&date.year()) {
                found.push(Violation::new(format!("{pointer}/{field}"), "out_of_range", bounds(&YEARS)));
            }
        }
        if season.to < season.from {
            found.push(Violation::new(format!("{pointer}/to"), "invalid", "not before `from`"));
        }
        let meets = |other: &Season| season.from <= other.to && other.from <= season.to;
        if seasons[..index].iter().any(meets) {
            found.push(Violation::new(pointer.clone(), "overlap", "overlaps another season"));
        }
        check_weekly(&format!("{pointer}/weekly"), &season.weekly, found);
    }
}

fn check_calendars(calendars: &[HolidayCalendar], found: &mut Vec<Violation>) {
    if calendars.len() > MOST_CALENDARS {
        found.push(Violation::new("/holidayCalendars", "too_many", format!("at most {MOST_CALENDARS}")));
    }
    for (index, calendar) in calendars.iter().enumerate().skip(1) {
        if calendars[..index].contains(calendar) {
            found.push(Violation::new(format!("/holidayCalendars/{index}"), "duplicate", "each once"));
        }
    }
}

fn check_overrides(overrides: &[(Date, Vec<LocalRange>)], found: &mut Vec<Violation>) {
    if overrides.len() > MOST_OVERRIDES {
        found.push(Violation::new("/overrides", "too_many", format!("at most {MOST_OVERRIDES} dates")));
        return;
    }
    let mut dates: Vec<(Date, usize)> = overrides.iter().enumerate().map(|(index, (date, _))| (*date, index)).collect();
    dates.sort_unstable();
    for again in dates.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        found.push(Violation::new(format!("/overrides/{}/date", again[1].1), "duplicate", "each date once"));
    }
    for (index, (date, ranges)) in overrides.iter().enumerate() {
        if !YEARS.contains(&date.year()) {
            found.push(Violation::new(format!("/overrides/{index}/date"), "out_of_range", bounds(&YEARS)));
        }
        let pointer = format!("/overrides/{index}/ranges");
        if ranges.len() > MOST_RANGES {
            found.push(Violation::new(pointer, "too_many", format!("at most {MOST_RANGES} ranges")));
        } else {
            check_ranges(&pointer, ranges.iter().copied().enumerate().collect(), found);
        }
    }
}

/// Ranges of one day, each with its index below `pointer`.
fn check_ranges(pointer: &str, mut ranges: Vec<(usize, LocalRange)>, found: &mut Vec<Violation>) {
    for (index, range) in &ranges {
        check_range(&format!("{pointer}/{index}"), *range, found);
    }
    ranges.sort_by_key(|(_, range)| *range);
    let mut taken_to = Time::MIN;
    for (index, range) in ranges {
        if range.from < taken_to {
            found.push(Violation::new(format!("{pointer}/{index}"), "overlap", "overlaps another range of the day"));
        }
        taken_to = taken_to.max(range.to);
    }
}

fn check_range(pointer: &str, range: LocalRange, found: &mut Vec<Violation>) {
    for (field, time) in [("from", range.from), ("to", range.to)] {
        if !on_grid(time) {
            found.push(Violation::new(format!("{pointer}/{field}"), "invalid", MULTIPLE));
        }
    }
    if range.to <= range.from {
        found.push(Violation::new(format!("{pointer}/to"), "invalid", "after `from`"));
    }
}

const MULTIPLE: &str = "a multiple of 5 minutes";

/// Whether a service may be stored.
///
/// # Errors
/// What breaks a rule, by pointers into the requests of `service.create` and `service.update`.
pub fn validate_service(service: &Service) -> Result<(), Vec<Violation>> {
    let mut found = Vec::new();
    let length = service.name.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) {
        found.push(Violation::new("/name", "out_of_range", format!("1 to {LONGEST_NAME} characters")));
    } else if service.name.trim().is_empty() {
        found.push(Violation::new("/name", "invalid", "not blank"));
    }
    check_minutes(service, &mut found);
    if service.terms.resources.len() > MOST_RESOURCES {
        found.push(Violation::new("/resourceIds", "too_many", format!("at most {MOST_RESOURCES}")));
    }
    service.price.iter().for_each(|price| check_price("/price", price, &mut found));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn check_minutes(service: &Service, found: &mut Vec<Violation>) {
    let fields = [
        ("/durationMinutes", service.duration_minutes, 5..=720, TICK_MINUTES),
        ("/stepMinutes", service.step_minutes, 5..=720, TICK_MINUTES),
        ("/bufferBeforeMinutes", service.buffer_before_minutes, 0..=240, TICK_MINUTES),
        ("/bufferAfterMinutes", service.buffer_after_minutes, 0..=240, TICK_MINUTES),
        ("/minNoticeMinutes", service.min_notice_minutes, 0..=43_200, 1),
        ("/horizonDays", service.horizon_days, 1..=366, 1),
        ("/capacity", service.terms.capacity, 1..=MOST_PATIENTS, 1),
        ("/dailyLimit", service.terms.daily_limit.unwrap_or(1), 1..=288, 1),
        ("/weeklyLimit", service.terms.weekly_limit.unwrap_or(1), 1..=2_016, 1),
        ("/cancelCutoffMinutes", service.terms.cancel_cutoff_minutes, 0..=43_200, 1),
        ("/rescheduleCutoffMinutes", service.terms.reschedule_cutoff_minutes, 0..=43_200, 1),
    ];
    for (pointer, value, allowed, multiple) in fields {
        if !allowed.contains(&value) {
            found.push(Violation::new(pointer, "out_of_range", bounds(&allowed)));
        } else if value % multiple != 0 {
            found.push(Violation::new(pointer, "invalid", MULTIPLE));
        }
    }
}

fn bounds(allowed: &RangeInclusive<impl std::fmt::Display>) -> String {
    format!("{} to {}", allowed.start(), allowed.end())
}

#[cfg(test)]
mod tests;
