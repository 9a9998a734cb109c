//! The predicate against an oracle that asks the zone about every minute, and against days that are known to be odd.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use uuid::Uuid;

use super::super::availability::parse_zone;
use super::super::doctor::{Approval, Availability, LocalRange, Profile, Rating, Season, Terms};
use super::super::holidays::HolidayCalendar;
use super::super::ids::{ServiceId, TimeOffId, UserId};
use super::super::tick::ticks;
use super::super::time_off::TimeOff;
use super::*;

mod transitions;

/// A doctor with these hours on one date, closed otherwise.
fn doctor(zone: &str, date: Date, hours: &[(&str, &str)]) -> Doctor {
    let ranges = hours.iter().map(|(from, to)| LocalRange { from: time(from), to: time(to) }).collect();
    open(parse_zone(zone).unwrap(), date, ranges)
}

fn open(time_zone: TimeZone, date: Date, ranges: Vec<LocalRange>) -> Doctor {
    Doctor {
        id: UserId(Uuid::nil()),
        rev: 1,
        name: "Ada".to_owned(),
        approval: Approval::Approved,
        rating: Rating::default(),
        profile: Profile::default(),
        availability: Availability { overrides: vec![(date, ranges)], ..Availability::closed(time_zone) },
        services: Vec::new(),
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn service(duration_minutes: i32, step_minutes: i32) -> Service {
    Service {
        id: ServiceId(Uuid::nil()),
        rev: 1,
        name: "Visit".to_owned(),
        duration_minutes,
        step_minutes,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        price: None,
        min_notice_minutes: 0,
        horizon_days: 90,
        terms: Terms::default(),
        archived: false,
    }
}

#[test]
fn no_exception_is_made_from_a_time_off_whatever_else_is_in_the_way() {
    let (date, mut visit) = (date(2026, 12, 1), service(30, 30));
    let mut away = doctor("America/Bogota", date, &[("09:00", "17:00")]);
    let tick = |text: &str| Tick::at(text.parse().unwrap()).unwrap();
    let (from, to) = (tick("2026-12-01T14:00:00Z"), tick("2026-12-01T20:00:00Z"));
    away.time_off = vec![TimeOff { id: TimeOffId(Uuid::nil()), rev: 1, from, to, reason: None }];
    visit.min_notice_minutes = 3 * 24 * 60;
    let now = "2026-11-30T14:00:00Z".parse().unwrap();
    // Too late, outside the hours, and too late already as well.
    for start in ["2026-12-01T15:00:00Z", "2026-12-01T13:45:00Z"] {
        let start = start.parse().unwrap();
        assert_eq!(check(&away, &visit, start, now), Err(Rule::Notice));
        assert_eq!(except(&away, &visit, start, now), Err(Rule::TimeOff), "{start}");
    }
    let before = "2026-12-01T13:30:00Z".parse().unwrap();
    assert_eq!(except(&away, &visit, before, now), Ok((Tick::at(before).unwrap(), Some(Rule::Notice))));
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The starts that are offered, as local times with their offset from UTC.
fn offered(doctor: &Doctor, service: &Service, date: Date) -> Vec<String> {
    let zone = &doctor.availability.time_zone;
    let local =
        |candidate: Candidate| candidate.start.instant().to_zoned(zone.clone()).strftime("%H:%M%:z").to_string();
    candidates(doctor, service, date).into_iter().map(local).collect()
}

/// What [`check`] says at the earliest useful moment: the start itself.
fn verdict(doctor: &Doctor, service: &Service, start: Timestamp) -> Result<Tick, Rule> {
    check(doctor, service, start, start)
}

#[test]
fn a_gap_does_not_exist() {
    let gap = date(2026, 3, 29);
    let early = doctor("Europe/Madrid", gap, &[("01:00", "04:00")]);
    let half_hours = ["01:00+01:00", "01:30+01:00", "03:00+02:00", "03:30+02:00"];
    assert_eq!(offered(&early, &service(30, 30), gap), half_hours);
    // 01:30 to 03:30 is one hour: the appointment goes on over the gap.
    assert_eq!(offered(&early, &service(60, 30), gap), half_hours[..3]);
    assert_eq!(offered(&early, &service(120, 60), gap), ["01:00+01:00"]);

    let from_within = doctor("Europe/Madrid", gap, &[("02:30", "04:00")]);
    assert_eq!(offered(&from_within, &service(30, 30), gap), half_hours[2..]);
    assert_eq!(offered(&from_within, &service(30, 60), gap), ["03:30+02:00"]);
    assert_eq!(verdict(&from_within, &service(30, 60), instant("2026-03-29T01:00:00Z")), Err(Rule::Step));

    let to_within = doctor("Europe/Madrid", gap, &[("01:00", "02:30")]);
    assert_eq!(offered(&to_within, &service(30, 30), gap), half_hours[..2]);
    let within = doctor("Europe/Madrid", gap, &[("02:00", "03:00")]);
    assert!(offered(&within, &service(5, 5), gap).is_empty());
}

#[test]
fn a_repeated_hour_counts_once() {
    let fold = date(2026, 10, 25);
    let early = doctor("Europe/Madrid", fold, &[("01:00", "04:00")]);
    let half_hours = ["01:00+02:00", "01:30+02:00", "02:00+02:00", "02:30+02:00", "03:00+01:00", "03:30+01:00"];
    assert_eq!(offered(&early, &service(30, 30), fold), half_hours);
    // From 02:30 on, an hour would run into the second pass.
    let hours = ["01:00+02:00", "01:30+02:00", "02:00+02:00", "03:00+01:00"];
    assert_eq!(offered(&early, &service(60, 30), fold), hours);

    let first = instant("2026-10-25T00:30:00Z");
    let second = instant("2026-10-25T01:30:00Z");
    assert_eq!(verdict(&early, &service(30, 30), first), Ok(Tick::floor(first)));
    assert_eq!(verdict(&early, &service(30, 30), second), Err(Rule::Hours));
    assert_eq!(day(&early, fold).end.0 - day(&early, fold).start.0, 25 * 12);
}

#[test]
fn new_york_changes_its_clock() {
    let gap = date(2026, 3, 8);
    let early = doctor("America/New_York", gap, &[("01:30", "03:30")]);
    assert_eq!(offered(&early, &service(30, 30), gap), ["01:30-05:00", "03:00-04:00"]);
    let fold = date(2026, 11, 1);
    let early = doctor("America/New_York", fold, &[("00:30", "02:30")]);
    let expected = ["00:30-04:00", "01:00-04:00", "01:30-04:00", "02:00-05:00"];
    assert_eq!(offered(&early, &service(30, 30), fold), expected);
}

#[test]
fn lord_howe_shifts_by_half_an_hour() {
    let fold = date(2026, 4, 5);
    let early = doctor("Australia/Lord_Howe", fold, &[("01:00", "03:00")]);
    let expected = ["01:00+11:00", "01:30+11:00", "02:00+10:30", "02:30+10:30"];
    assert_eq!(offered(&early, &service(30, 30), fold), expected);
    assert_eq!(offered(&early, &service(60, 60), fold), ["01:00+11:00", "02:00+10:30"]);
    let gap = date(2026, 10, 4);
    let early = doctor("Australia/Lord_Howe", gap, &[("01:00", "03:00")]);
    assert_eq!(offered(&early, &service(30, 30), gap), ["01:00+10:30", "01:30+10:30", "02:30+11:00"]);
    assert_eq!(offered(&early, &service(60, 60), gap), ["01:00+10:30"]);
}

#[test]
fn offsets_need_not_be_whole_hours() {
    let tuesday = date(2026, 12, 1);
    let kathmandu = doctor("Asia/Kathmandu", tuesday, &[("09:00", "10:00")]);
    let starts: Vec<Timestamp> =
        candidates(&kathmandu, &service(30, 30), tuesday).iter().map(|candidate| candidate.start.instant()).collect();
    assert_eq!(starts, [instant("2026-12-01T03:15:00Z"), instant("2026-12-01T03:45:00Z")]);
    let fold = date(2026, 4, 5);
    let chatham = doctor("Pacific/Chatham", fold, &[("02:00", "04:30")]);
    let expected = ["02:00+13:45", "02:45+13:45", "03:30+13:45", "04:15+12:45"];
    assert_eq!(offered(&chatham, &service(15, 45), fold), expected);
}

#[test]
fn apia_skipped_a_day() {
    let skipped = date(2011, 12, 30);
    let apia = doctor("Pacific/Apia", skipped, &[("00:00", "23:55")]);
    assert!(candidates(&apia, &service(30, 30), skipped).is_empty());
    assert!(day(&apia, skipped).is_empty());
    assert_eq!(day(&apia, date(2011, 12, 29)).end, day(&apia, date(2011, 12, 31)).start);
    let after = doctor("Pacific/Apia", date(2011, 12, 31), &[("00:00", "01:00")]);
    assert_eq!(offered(&after, &service(30, 30), date(2011, 12, 31)), ["00:00+14:00", "00:30+14:00"]);
}

#[test]
fn bogota_never_changes() {
    let tuesday = date(2026, 12, 1);
    // Ranges that touch are two ranges: nothing runs from one into the other.
    let bogota = doctor("America/Bogota", tuesday, &[("09:00", "10:00"), ("10:00", "10:45")]);
    assert_eq!(offered(&bogota, &service(45, 20), tuesday), ["09:00-05:00", "10:00-05:00"]);
    let over_the_seam = instant("2026-12-01T14:20:00Z");
    assert_eq!(verdict(&bogota, &service(45, 20), over_the_seam), Err(Rule::Hours));
    assert_eq!(verdict(&bogota, &service(30, 20), over_the_seam), Ok(Tick::floor(over_the_seam)));
    assert_eq!(local_date(&bogota, Tick::floor(instant("2026-12-02T04:55:00Z"))), tuesday);
    assert_eq!(local_date(&bogota, Tick::floor(instant("2026-12-02T05:00:00Z"))), date(2026, 12, 2));
}

#[test]
fn a_day_may_begin_in_a_gap_or_twice() {
    // Beirut goes from 00:00 to 01:00.
    let beirut = doctor("Asia/Beirut", date(2026, 3, 29), &[("00:00", "02:00")]);
    assert_eq!(offered(&beirut, &service(60, 60), date(2026, 3, 29)), ["01:00+03:00"]);
    assert_eq!(day(&beirut, date(2026, 3, 29)).start.instant(), instant("2026-03-28T22:00:00Z"));
    // St John's went from 00:01 back to 23:01 of the day before.
    let after = date(2006, 10, 29);
    let johns = doctor("America/St_Johns", after, &[("00:00", "01:00")]);
    assert_eq!(offered(&johns, &service(5, 5), after).first().map(String::as_str), Some("00:05-03:30"));
    let again = Tick::floor(instant("2006-10-29T03:00:00Z"));
    assert_eq!(again.instant().to_zoned(johns.availability.time_zone.clone()).date(), date(2006, 10, 28));
    assert_eq!(local_date(&johns, again), after);
}

#[test]
fn an_offset_with_seconds_offers_nothing() {
    let before = date(1970, 6, 1);
    let monrovia = doctor("Africa/Monrovia", before, &[("09:00", "10:00")]);
    assert!(candidates(&monrovia, &service(30, 5), before).is_empty());
    // 09:00:00 and 09:00:30 there.
    assert_eq!(verdict(&monrovia, &service(30, 5), instant("1970-06-01T09:44:30Z")), Err(Rule::Step));
    assert_eq!(verdict(&monrovia, &service(30, 5), instant("1970-06-01T09:45:00Z")), Err(Rule::Step));
    assert_eq!(verdict(&monrovia, &service(30, 5), instant("1970-06-01T09:44:29Z")), Err(Rule::Hours));
    // The day begins between two ticks, at 00:44:30.
    assert_eq!(day(&monrovia, before).start.instant(), instant("1970-06-01T00:45:00Z"));
    assert_eq!(local_date(&monrovia, Tick::floor(instant("1970-06-01T00:40:00Z"))), date(1970, 5, 31));
}

#[test]
fn off_the_grid_is_off_the_step() {
    let tuesday = date(2026, 12, 1);
    let bogota = doctor("America/Bogota", tuesday, &[("09:00", "10:00")]);
    let cases = [
        ("2026-12-01T14:00:00Z", Ok(())),
        ("2026-12-01T14:00:00.000000001Z", Err(Rule::Step)),
        ("2026-12-01T14:01:00Z", Err(Rule::Step)),
        ("2026-12-01T14:05:00Z", Err(Rule::Step)),
        ("2026-12-01T14:30:00Z", Ok(())),
        ("2026-12-01T14:30:00.000000001Z", Err(Rule::Hours)),
        ("2026-12-01T13:59:59.999999999Z", Err(Rule::Hours)),
        ("2026-12-01T15:00:00Z", Err(Rule::Hours)),
    ];
    for (start, expected) in cases {
        let verdict = verdict(&bogota, &service(30, 30), instant(start));
        assert_eq!(verdict.map(|_| ()), expected, "{start}");
    }
}

#[test]
fn weekly_hours_hold_unless_the_date_has_its_own() {
    let tuesday = date(2026, 12, 1);
    let mut bogota = doctor("America/Bogota", tuesday, &[]);
    let range = LocalRange { from: time("09:00"), to: time("10:00") };
    bogota.availability.weekly = vec![(tuesday.weekday(), range)];
    assert!(candidates(&bogota, &service(30, 30), tuesday).is_empty());
    assert_eq!(verdict(&bogota, &service(30, 30), instant("2026-12-01T14:00:00Z")), Err(Rule::Hours));
    let next = date(2026, 12, 8);
    assert_eq!(offered(&bogota, &service(30, 30), next), ["09:00-05:00", "09:30-05:00"]);
    assert!(candidates(&bogota, &service(30, 30), date(2026, 12, 9)).is_empty());
}

#[test]
fn a_date_comes_before_a_holiday_before_a_season_before_the_week() {
    let monday = date(2026, 11, 2);
    let range = |from: &str, to: &str| LocalRange { from: time(from), to: time(to) };
    let mut bogota = doctor("America/Bogota", date(2026, 1, 1), &[]);
    bogota.availability.weekly = vec![(monday.weekday(), range("09:00", "10:00"))];
    assert_eq!(offered(&bogota, &service(60, 60), monday), ["09:00-05:00"]);

    let weekly = vec![(monday.weekday(), range("14:00", "15:00"))];
    bogota.availability.seasons = vec![Season { from: monday, to: date(2026, 11, 9), weekly }];
    for (day, expected) in [
        (date(2026, 10, 26), "09:00-05:00"),
        (monday, "14:00-05:00"),
        (date(2026, 11, 9), "14:00-05:00"),
        (date(2026, 11, 16), "09:00-05:00"),
    ] {
        assert_eq!(offered(&bogota, &service(60, 60), day), [expected], "{day}");
    }
    // All Saints' Day is kept on the Monday after it.
    bogota.availability.holiday_calendars = vec![HolidayCalendar::named("CO").unwrap()];
    assert!(offered(&bogota, &service(60, 60), monday).is_empty());
    assert_eq!(verdict(&bogota, &service(60, 60), instant("2026-11-02T19:00:00Z")), Err(Rule::Holiday));
    assert_eq!(offered(&bogota, &service(60, 60), date(2026, 11, 9)), ["14:00-05:00"]);

    bogota.availability.overrides = vec![(monday, vec![range("06:00", "07:00")])];
    assert_eq!(offered(&bogota, &service(60, 60), monday), ["06:00-05:00"]);
    assert_eq!(verdict(&bogota, &service(60, 60), instant("2026-11-02T19:00:00Z")), Err(Rule::Hours));
    bogota.availability.overrides = vec![(monday, Vec::new())];
    assert_eq!(verdict(&bogota, &service(60, 60), instant("2026-11-02T19:00:00Z")), Err(Rule::Hours));
}

#[test]
fn the_first_rule_that_blocks_is_told() {
    let tuesday = date(2026, 12, 1);
    let mut bogota = doctor("America/Bogota", tuesday, &[("09:00", "10:00")]);
    let mut visit = Service { min_notice_minutes: 60, horizon_days: 1, ..service(30, 30) };
    let start = instant("2026-12-01T14:00:00Z");
    let at = |now: &str, bogota: &Doctor, visit: &Service| check(bogota, visit, start, instant(now)).map(|_| ());
    let cases = [
        ("2026-11-30T13:59:59Z", Err(Rule::Horizon)),
        ("2026-11-30T14:00:00Z", Ok(())),
        ("2026-12-01T13:00:00Z", Ok(())),
        ("2026-12-01T13:00:00.000000001Z", Err(Rule::Notice)),
        ("2026-12-01T14:00:00Z", Err(Rule::Notice)),
        ("2026-12-01T14:00:00.000000001Z", Err(Rule::Past)),
    ];
    for (now, expected) in cases {
        assert_eq!(at(now, &bogota, &visit), expected, "{now}");
    }
    assert_eq!(check(&bogota, &visit, Timestamp::MAX, start), Err(Rule::Horizon));
    assert_eq!(check(&bogota, &visit, Timestamp::MIN, Timestamp::MIN), Err(Rule::Hours));
    visit.archived = true;
    assert_eq!(at("2027-01-01T00:00:00Z", &bogota, &visit), Err(Rule::Archived));
    assert!(candidates(&bogota, &visit, tuesday).is_empty());
    bogota.approval = Approval::Pending;
    assert_eq!(at("2027-01-01T00:00:00Z", &bogota, &visit), Err(Rule::NotApproved));
    assert!(candidates(&bogota, &service(30, 30), tuesday).is_empty());
}

#[test]
fn a_candidate_tells_its_footprint() {
    let tuesday = date(2026, 12, 1);
    let bogota = doctor("America/Bogota", tuesday, &[("09:00", "09:30")]);
    let visit = Service { buffer_before_minutes: 10, buffer_after_minutes: 5, ..service(30, 30) };
    let start = Tick::floor(instant("2026-12-01T14:00:00Z"));
    let footprint = Tick(start.0 - 2)..Tick(start.0 + 7);
    assert_eq!(candidates(&bogota, &visit, tuesday), [Candidate { start, end: Tick(start.0 + 6), footprint }]);
}

#[test]
fn the_ends_of_time_do_not_panic() {
    for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Madrid"] {
        for date in [Date::MIN, Date::MAX] {
            let doctor = doctor(zone, date, &[("00:00", "23:55")]);
            let _ = candidates(&doctor, &service(5, 5), date);
            let _ = day(&doctor, date);
        }
        for instant in [Timestamp::MIN, Timestamp::MAX] {
            let doctor = doctor(zone, Date::MAX, &[("00:00", "23:55")]);
            let _ = local_date(&doctor, Tick::floor(instant));
            let _ = verdict(&doctor, &service(5, 5), instant);
        }
    }
}

/// Every minute around a date, with the time of that date that it shows for the first time, if it does: asked of the
/// zone for each minute alone.
fn minutes(zone: &TimeZone, date: Date) -> Vec<(Timestamp, Option<Time>)> {
    let noon = date.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
    let minutes = (-40 * 60..40 * 60).map(|minute| noon + SignedDuration::from_mins(minute));
    let shown = |minute: Timestamp| {
        let local = zone.to_datetime(minute);
        let first = local.date() == date && zone.to_ambiguous_timestamp(local).earlier().is_ok_and(|at| at == minute);
        (minute, first.then(|| local.time()))
    };
    minutes.map(shown).collect()
}

/// Every tick at which an appointment of `service` lies inside the range, with whether it is on a step.
fn expected(minutes: &[(Timestamp, Option<Time>)], range: LocalRange, service: &Service) -> BTreeMap<Tick, bool> {
    let is_open = |time: &Option<Time>| time.is_some_and(|time| (range.from..range.to).contains(&time));
    let mut starts = BTreeMap::new();
    for taken in minutes.windows(usize::try_from(service.duration_minutes).unwrap()) {
        if let (Some(tick), true) = (Tick::at(taken[0].0), taken.iter().all(|(_, time)| is_open(time))) {
            let since = taken[0].1.unwrap().duration_since(range.from);
            starts.insert(tick, since.as_mins() % i64::from(service.step_minutes) == 0);
        }
    }
    starts
}

/// A zone and a date, mostly one on which the zone's clock changes or one beside it.
fn zone_and_date() -> impl Strategy<Value = (TimeZone, Date)> {
    let odd = prop_oneof![
        Just("Australia/Lord_Howe"),
        Just("Pacific/Chatham"),
        Just("Pacific/Apia"),
        Just("Pacific/Kwajalein"),
        Just("America/St_Johns"),
        Just("Asia/Kathmandu"),
        Just("Asia/Beirut"),
        Just("Africa/Casablanca"),
        Just("Antarctica/Troll"),
        Just("Europe/Madrid"),
    ];
    let all: Vec<TimeZone> =
        TimeZoneDatabase::bundled().available().filter_map(|name| parse_zone(name.as_str())).collect();
    let zone = prop_oneof![odd.prop_map(|name| parse_zone(name).unwrap()), prop::sample::select(all),];
    let begin = instant("1990-01-01T00:00:00Z").as_second();
    let end = instant("2037-12-31T00:00:00Z").as_second();
    (zone, begin..end, -1_i32..=1, prop::bool::weighted(0.8)).prop_map(|(zone, second, beside, at_change)| {
        let around = timestamp(second);
        let change = zone.following(around).next().map(|change| change.timestamp()).filter(|_| at_change);
        let date = zone.to_datetime(change.unwrap_or(around)).date();
        (zone.clone(), date.checked_add(beside.days()).unwrap())
    })
}

/// Ranges of one day that do not overlap but often touch, mostly in the night, when clocks change.
fn hours() -> impl Strategy<Value = Vec<LocalRange>> {
    let cut = prop_oneof![0_i32..=60, 0_i32..288];
    prop::collection::btree_set(cut, 2..8).prop_flat_map(|cuts| {
        let cuts: Vec<i32> = cuts.into_iter().collect();
        prop::collection::vec(prop::bool::weighted(0.7), cuts.len() - 1).prop_map(move |open| {
            let spans = cuts.windows(2).zip(open).filter(|(_, open)| *open);
            spans.map(|(span, _)| LocalRange { from: of_day(span[0]), to: of_day(span[1]) }).collect()
        })
    })
}

fn of_day(tick: i32) -> Time {
    Time::midnight().checked_add((tick * TICK_MINUTES).minutes()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_is_offered_is_what_the_zone_shows(
        (zone, date) in zone_and_date(), ranges in hours(), duration in 1_i32..=36, step in 1_i32..=24,
        notice in 0_i32..3_000, horizon in 3_i32..90, weekly in any::<bool>(),
    ) {
        let (duration, step) = (duration * TICK_MINUTES, step * TICK_MINUTES);
        let visit = Service { min_notice_minutes: notice, horizon_days: horizon, ..service(duration, step) };
        let minutes = minutes(&zone, date);
        let mut expectation = BTreeMap::new();
        for range in &ranges {
            expectation.extend(expected(&minutes, *range, &visit));
        }
        let mut doctor = open(zone.clone(), date, ranges.clone());
        if weekly {
            doctor.availability.overrides.clear();
            doctor.availability.weekly = ranges.into_iter().map(|range| (date.weekday(), range)).collect();
        }
        let offered = candidates(&doctor, &visit, date);
        let starts: Vec<Tick> = offered.iter().map(|candidate| candidate.start).collect();
        let on_step: Vec<Tick> = expectation.iter().filter(|(_, on_step)| **on_step).map(|(tick, _)| *tick).collect();
        prop_assert_eq!(&starts, &on_step);

        let day = day(&doctor, date);
        for candidate in &offered {
            prop_assert!(day.start <= candidate.start && candidate.end <= day.end);
            let elapsed = candidate.end.instant().duration_since(candidate.start.instant());
            prop_assert_eq!(elapsed, SignedDuration::from_mins(i64::from(duration)));
        }
        for tick in ticks(day) {
            let (from, until) = bookable_window(&visit, tick.instant());
            let expected = match expectation.get(&tick) {
                Some(true) => Ok(tick),
                Some(false) => Err(Rule::Step),
                None => Err(Rule::Hours),
            };
            for now in [from, until] {
                prop_assert_eq!(check(&doctor, &visit, tick.instant(), now), expected, "{} at {}", date, tick.instant());
            }
            let instant = SignedDuration::from_nanos(1);
            let too_early = check(&doctor, &visit, tick.instant(), from - instant);
            prop_assert_eq!(too_early, Err(Rule::Horizon));
            let too_late = check(&doctor, &visit, tick.instant(), until + instant);
            prop_assert_eq!(too_late, Err(if notice == 0 { Rule::Past } else { Rule::Notice }));
        }
    }

    #[test]
    fn days_follow_each_other((zone, date) in zone_and_date()) {
        let doctor = open(zone.clone(), date, Vec::new());
        let (today, tomorrow) = (day(&doctor, date), day(&doctor, date.tomorrow().unwrap()));
        prop_assert_eq!(today.end, tomorrow.start);
        let midnight = DateTime::from(date);
        for tick in ticks(today.clone()) {
            prop_assert_eq!(local_date(&doctor, tick), date);
            prop_assert!(tick != today.start || zone.to_datetime(tick.instant()) >= midnight);
        }
        let before = Tick(today.start.0 - 1);
        prop_assert!(zone.to_datetime(before.instant()) < midnight);
        prop_assert!(local_date(&doctor, before) < date);
    }
}
