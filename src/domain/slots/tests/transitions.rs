//! Every change of the clock from 2000 to 2040 in zones that do it in different ways, none left to chance.

use std::iter;

use jiff::tz::AmbiguousOffset;

use super::*;

/// Half an hour, over midnight, by politics, in the middle of Ramadan, whole days skipped, standard time in summer, and the plain.
const ZONES: [&str; 36] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Windhoek",
    "America/Argentina/Buenos_Aires",
    "America/Asuncion",
    "America/Bogota",
    "America/Caracas",
    "America/Havana",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/Montevideo",
    "America/New_York",
    "America/Nuuk",
    "America/Punta_Arenas",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Volgograd",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Fakaofo",
];

/// Where a clock changes: the instant, and the local times just before it and just after it.
struct Change {
    at: Timestamp,
    from: DateTime,
    to: DateTime,
}

fn changes(zone: &TimeZone) -> Vec<Change> {
    let (begin, end) = (instant("2000-01-01T00:00:00Z"), instant("2041-01-01T00:00:00Z"));
    let changes = zone.following(begin).map(|change| change.timestamp()).take_while(|at| *at < end);
    let change = |at: Timestamp| {
        let before = zone.to_offset(at - SignedDuration::from_secs(1));
        Change { at, from: before.to_datetime(at), to: zone.to_datetime(at) }
    };
    // Some change a name or a law, and no clock.
    changes.map(change).filter(|change| change.from != change.to).collect()
}

/// Every minute around a change: its local time, if it is shown for the first time.
fn minutes_around(zone: &TimeZone, change: &Change) -> Vec<(Timestamp, Option<DateTime>)> {
    let minutes = (-6 * 60..6 * 60).map(|minute| change.at + SignedDuration::from_mins(minute));
    let shown = |minute: Timestamp| {
        let local = zone.to_datetime(minute);
        let first = zone.to_ambiguous_timestamp(local).earlier().is_ok_and(|at| at == minute);
        (minute, first.then_some(local))
    };
    minutes.map(shown).collect()
}

/// The dates around a change, each with its hours: from 3 hours before the earlier local time to 3 hours after the later one.
fn open_days(change: &Change) -> Vec<(Date, LocalRange)> {
    let grid = |time: DateTime| {
        time.checked_sub(i64::from(time.minute() % 5).minutes()).unwrap().with().second(0).subsec_nanosecond(0).build()
    };
    let begin = grid(change.from.min(change.to).checked_sub(3.hours()).unwrap()).unwrap();
    let end = grid(change.from.max(change.to).checked_add(3.hours()).unwrap()).unwrap();
    let days = begin.date().series(1.day()).take_while(|date| *date <= end.date());
    let day = |date: Date| {
        let from = if date == begin.date() { begin.time() } else { Time::midnight() };
        let to = if date == end.date() { end.time() } else { time("23:55") };
        (date, LocalRange { from, to })
    };
    days.map(day).filter(|(_, range)| range.from < range.to).collect()
}

/// The hours of a date as one range, and as two that touch at the change or in the middle.
fn layouts(range: LocalRange, change: &Change) -> Vec<Vec<LocalRange>> {
    let mut cuts: Vec<Time> = [change.from, change.to].into_iter().map(DateTime::time).collect();
    cuts.push(range.from.checked_add(95.minutes()).unwrap_or(range.to));
    cuts.retain(|cut| range.from < *cut && *cut < range.to && cut.minute() % 5 == 0 && cut.second() == 0);
    let two = |cut: Time| vec![LocalRange { to: cut, ..range }, LocalRange { from: cut, ..range }];
    iter::once(vec![range]).chain(cuts.into_iter().map(two)).collect()
}

/// Every start that the minutes allow: each minute of the appointment is open and shown for the first time, and its start is a
/// whole number of steps from the beginning of its range.
fn starts_by_minutes(
    minutes: &[(Timestamp, Option<DateTime>)],
    date: Date,
    ranges: &[LocalRange],
    service: &Service,
) -> Vec<Tick> {
    let length = usize::try_from(service.duration_minutes).unwrap();
    let mut starts = Vec::new();
    for range in ranges {
        let is_open = |shown: &Option<DateTime>| {
            shown.is_some_and(|local| local.date() == date && (range.from..range.to).contains(&local.time()))
        };
        for taken in minutes.windows(length) {
            let Some(tick) = Tick::at(taken[0].0) else { continue };
            if taken.iter().all(|(_, shown)| is_open(shown)) {
                let since = taken[0].1.unwrap().time().duration_since(range.from).as_mins();
                starts.extend((since % i64::from(service.step_minutes) == 0).then_some(tick));
            }
        }
    }
    starts.sort_unstable();
    starts
}

/// What is promised of each start, said once more without the minutes.
fn assert_honest(doctor: &Doctor, service: &Service, date: Date, offered: &[Candidate]) {
    let zone = &doctor.availability.time_zone;
    let mut shown = Vec::new();
    for candidate in offered {
        let (start, end) = (candidate.start.instant(), candidate.end.instant());
        let local = zone.to_datetime(start);
        let found = zone.to_ambiguous_timestamp(local);
        assert!(!matches!(found.offset(), AmbiguousOffset::Gap { .. }), "{local} does not exist");
        assert_eq!(found.earlier().unwrap(), start, "{local}, the first time");
        assert_eq!(end.duration_since(start), SignedDuration::from_mins(i64::from(service.duration_minutes)));
        assert_eq!(local_date(doctor, candidate.start), date);
        shown.push(local);
    }
    assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "no local time is offered twice: {shown:?}");
}

/// The days from two before a change to two after it follow each other, and no tick is in none of them.
fn assert_tiled(doctor: &Doctor, change: &Change) {
    let mut date = change.from.date().min(change.to.date()).checked_sub(2.days()).unwrap();
    let last = change.from.date().max(change.to.date()).checked_add(2.days()).unwrap();
    let mut reached = day(doctor, date).start;
    while date <= last {
        let today = day(doctor, date);
        assert_eq!(today.start, reached, "{date} begins where the day before ends");
        let sample = ticks(today.clone()).step_by(7).chain([today.start, Tick(today.end.0 - 1)]);
        sample.filter(|tick| today.contains(tick)).for_each(|tick| assert_eq!(local_date(doctor, tick), date));
        reached = today.end;
        date = date.tomorrow().unwrap();
    }
}

#[test]
fn every_change_of_the_clock_from_2000_to_2040_neither_makes_nor_takes_time() {
    let services = [service(30, 30), service(5, 5), service(60, 20), service(90, 60)];
    let (mut seen, mut quiet) = (0, Vec::new());
    for name in ZONES {
        let zone = parse_zone(name).unwrap();
        let changes = changes(&zone);
        if changes.is_empty() {
            quiet.push(name);
        }
        for change in &changes {
            let minutes = minutes_around(&zone, change);
            for (date, range) in open_days(change) {
                for ranges in layouts(range, change) {
                    let doctor = open(zone.clone(), date, ranges.clone());
                    for visit in &services {
                        let offered = candidates(&doctor, visit, date);
                        let starts: Vec<Tick> = offered.iter().map(|candidate| candidate.start).collect();
                        let expected = starts_by_minutes(&minutes, date, &ranges, visit);
                        assert_eq!(starts, expected, "{name} at {}: {date} {ranges:?}", change.at);
                        assert_honest(&doctor, visit, date, &offered);
                    }
                }
            }
            assert_tiled(&open(zone.clone(), change.to.date(), Vec::new()), change);
        }
        seen += changes.len();
    }
    assert!(seen > 1_500, "{seen} changes");
    assert_eq!(quiet, ["America/Bogota", "Asia/Kathmandu"], "those that never change are there to be plain");
}
