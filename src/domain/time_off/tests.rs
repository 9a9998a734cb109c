//! What a time off covers, and which of its days a tick belongs to.

use jiff::civil::date;
use uuid::Uuid;

use super::super::availability::parse_zone;
use super::super::doctor::{Approval, Availability, Profile, Rating};
use super::super::ids::UserId;
use super::super::tick::ticks;
use super::*;

fn bound(date: Date, time: Option<&str>) -> Bound {
    Bound { date, time: time.map(|time| time.parse().unwrap()) }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn covered(zone: &str, from: Bound, to: Bound) -> Result<(String, String), Vec<String>> {
    let span = span(&parse_zone(zone).unwrap(), from, to, instant("2026-01-01T00:00:00Z"));
    let told = |found: Vec<Violation>| found.into_iter().map(|one| format!("{} {}", one.pointer, one.code)).collect();
    span.map(|span| (span.start.instant().to_string(), span.end.instant().to_string())).map_err(told)
}

fn ok(from: &str, to: &str) -> Result<(String, String), Vec<String>> {
    Ok((from.to_owned(), to.to_owned()))
}

#[test]
fn whole_days_are_whole_whatever_the_clock_does() {
    let (spring, autumn) = (date(2026, 3, 29), date(2026, 10, 25));
    let day = |date| (bound(date, None), bound(date, None));
    let (from, to) = day(spring);
    assert_eq!(covered("Europe/Madrid", from, to), ok("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"));
    let (from, to) = day(autumn);
    assert_eq!(covered("Europe/Madrid", from, to), ok("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"));
    let (from, to) = (bound(date(2026, 12, 1), None), bound(date(2026, 12, 3), None));
    assert_eq!(covered("America/Bogota", from, to), ok("2026-12-01T05:00:00Z", "2026-12-04T05:00:00Z"));
}

#[test]
fn a_skipped_time_is_where_the_clock_goes_on_and_a_repeated_one_is_all_of_it() {
    let (spring, autumn) = (date(2026, 3, 29), date(2026, 10, 25));
    let from_gap = covered("Europe/Madrid", bound(spring, Some("02:30")), bound(spring, Some("04:00")));
    assert_eq!(from_gap, ok("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"));
    let to_gap = covered("Europe/Madrid", bound(spring, Some("01:00")), bound(spring, Some("02:30")));
    assert_eq!(to_gap, ok("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"));
    let twice = covered("Europe/Madrid", bound(autumn, Some("02:15")), bound(autumn, Some("02:30")));
    assert_eq!(twice, ok("2026-10-25T00:15:00Z", "2026-10-25T01:30:00Z"));
}

#[test]
fn what_is_no_time_off_is_refused_where_it_stands() {
    let (monday, tuesday) = (date(2026, 6, 1), date(2026, 6, 2));
    for (from, to, expected) in [
        (bound(tuesday, None), bound(monday, None), "/to invalid"),
        (bound(monday, Some("09:00")), bound(monday, Some("09:00")), "/to invalid"),
        (bound(monday, Some("09:01")), bound(monday, None), "/from/time invalid"),
        (bound(monday, None), bound(tuesday, Some("09:02")), "/to/time invalid"),
        (bound(monday, None), bound(date(2026, 12, 3), None), "/to out_of_range"),
        (bound(date(2025, 12, 1), None), bound(date(2025, 12, 30), None), "/to out_of_range"),
    ] {
        assert_eq!(covered("America/Bogota", from, to), Err(vec![expected.to_owned()]), "{from:?} {to:?}");
    }
    let longest = bound(date(2026, 12, 1), None);
    assert!(covered("America/Bogota", bound(monday, None), longest).is_ok());
    // With an hour more, because the clock goes back once.
    assert!(covered("Europe/Madrid", bound(monday, None), longest).is_ok());
}

fn off(id: u128, from: &str, to: &str) -> TimeOff {
    let tick = |text: &str| Tick::at(instant(text)).unwrap();
    TimeOff { id: TimeOffId(Uuid::from_u128(id)), rev: 1, from: tick(from), to: tick(to), reason: None }
}

#[test]
fn ticks_belong_to_the_day_that_shows_them() {
    let doctor = Doctor {
        id: UserId(Uuid::nil()),
        rev: 1,
        name: String::new(),
        approval: Approval::Approved,
        profile: Profile::default(),
        rating: Rating::default(),
        availability: Availability::closed(parse_zone("America/Bogota").unwrap()),
        services: Vec::new(),
        time_off: vec![
            off(1, "2026-12-01T05:00:00Z", "2026-12-03T05:00:00Z"),
            off(2, "2026-12-02T15:00:00Z", "2026-12-03T06:00:00Z"),
        ],
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let tick = |text: &str| Tick::at(instant(text)).unwrap();
    let all: Vec<Tick> = ticks(tick("2026-12-01T04:00:00Z")..tick("2026-12-03T07:00:00Z")).collect();
    let found = shares(&doctor, &all);
    let told: Vec<_> = found.iter().map(|share| (share.time_off.0.as_u128(), share.date, share.ticks.len())).collect();
    assert_eq!(told, [(1, date(2026, 12, 1), 288), (1, date(2026, 12, 2), 288), (2, date(2026, 12, 3), 12)]);
    assert!(is_off(&doctor, &(tick("2026-12-03T05:55:00Z")..tick("2026-12-03T06:30:00Z"))));
    assert!(!is_off(&doctor, &(tick("2026-12-03T06:00:00Z")..tick("2026-12-03T06:30:00Z"))));
}

#[test]
fn those_that_are_over_give_way() {
    let now = instant("2026-06-01T00:00:00Z");
    let mut all = vec![
        off(1, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        off(2, "2026-05-20T00:00:00Z", "2026-05-21T00:00:00Z"),
    ];
    add(&mut all, off(3, "2026-05-31T00:00:00Z", "2026-06-02T00:00:00Z"), now).unwrap();
    assert_eq!(all.iter().map(|off| off.id.0.as_u128()).collect::<Vec<_>>(), [2, 3], "one is long over");
    for id in 4..=102 {
        add(&mut all, off(id, "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"), now).unwrap();
    }
    assert_eq!(all.len(), MOST);
    assert!(all.iter().all(|off| off.to.instant() > now), "what is over gave way");
    let more = add(&mut all, off(103, "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"), now);
    assert_eq!(more.unwrap_err().code, "too_many");
}
