//! Rules as people write them, and as nobody should.

use std::time::{Duration, Instant};

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    crate::domain::availability::parse_zone(name).expect("a zone")
}

fn at(zone: &TimeZone, local: DateTime) -> Timestamp {
    instant(zone, local).expect("this time exists")
}

/// Local times of a rule that begins on a Tuesday at 9:00 in Bogotá, as `MM-DD`, or the code and words of the refusal.
fn days(rule: &str) -> Result<Vec<String>, String> {
    let zone = zone("America/Bogota");
    let found = expand(rule, &zone, at(&zone, date(2026, 12, 1).at(9, 0, 0, 0)));
    match found {
        Ok(found) => {
            assert!(found.iter().all(|one| one.local.time() == jiff::civil::time(9, 0, 0, 0)));
            Ok(found.iter().map(|one| one.local.strftime("%m-%d").to_string()).collect())
        }
        Err(violation) => {
            assert_eq!(violation.pointer, "/rrule");
            Err(format!("{}: {}", violation.code, violation.detail))
        }
    }
}

#[test]
fn rules_mean_what_the_rfc_says() {
    for (rule, expected) in [
        ("FREQ=DAILY;COUNT=3", "12-01 12-02 12-03"),
        ("FREQ=DAILY;INTERVAL=10;COUNT=3", "12-01 12-11 12-21"),
        ("freq=weekly;count=3", "12-01 12-08 12-15"),
        ("FREQ=WEEKLY;BYDAY=TU,TH;COUNT=4", "12-01 12-03 12-08 12-10"),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,TU;COUNT=4", "12-01 12-13 12-15 12-27"),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=MO;BYDAY=SU,TU;COUNT=4", "12-01 12-06 12-15 12-20"),
        ("FREQ=MONTHLY;COUNT=3", "12-01 01-01 02-01"),
        ("FREQ=MONTHLY;BYDAY=1TU;COUNT=3", "12-01 01-05 02-02"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1;COUNT=4", "12-01 12-31 01-01 01-29"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,-1;COUNT=4", "12-01 12-31 01-01 01-31"),
        ("FREQ=YEARLY;COUNT=2", "12-01 12-01"),
        ("FREQ=YEARLY;BYMONTH=12,3;BYDAY=1TU;COUNT=3", "12-01 03-02 12-07"),
        ("FREQ=YEARLY;BYYEARDAY=335,1;COUNT=2", "12-01 01-01"),
        ("FREQ=YEARLY;BYWEEKNO=49;BYDAY=TU;COUNT=2", "12-01 12-07"),
        ("FREQ=WEEKLY;UNTIL=20261215", "12-01 12-08 12-15"),
        ("FREQ=WEEKLY;UNTIL=20261215T090000", "12-01 12-08 12-15"),
        ("FREQ=WEEKLY;UNTIL=20261215T085959", "12-01 12-08"),
        ("FREQ=WEEKLY;UNTIL=20261215T140000Z", "12-01 12-08 12-15"),
        ("FREQ=WEEKLY;UNTIL=20261215T135959Z", "12-01 12-08"),
    ] {
        assert_eq!(days(rule).map(|days| days.join(" ")).as_deref(), Ok(expected), "{rule}");
    }
}

#[test]
fn a_rule_that_cannot_be_booked_says_what_to_do() {
    for (rule, expected) in [
        ("FREQ=WEEKLY", format!("required: {ENDLESS}")),
        ("FREQ=DAILY;COUNT=1000000000", format!("too_many: {TOO_MANY}")),
        ("FREQ=DAILY;COUNT=101", format!("too_many: {TOO_MANY}")),
        ("FREQ=DAILY;UNTIL=20270401", format!("too_many: {TOO_MANY}")),
        ("FREQ=YEARLY;COUNT=4", format!("out_of_range: {TOO_FAR}")),
        ("FREQ=WEEKLY;INTERVAL=10;UNTIL=20290101", format!("out_of_range: {TOO_FAR}")),
        ("FREQ=WEEKLY;UNTIL=20261130", "out_of_range: ends before `start`: let UNTIL be later".to_owned()),
        ("FREQ=WEEKLY;UNTIL=20261201T135959Z", "out_of_range: ends before `start`: let UNTIL be later".to_owned()),
        ("FREQ=WEEKLY;BYDAY=WE;COUNT=3", format!("invalid: {NOT_START}")),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31;COUNT=3", format!("invalid: {NEVER}")),
        ("FREQ=WEEKLY;BYDAY=TU;BYSETPOS=3;COUNT=3", format!("invalid: {NEVER}")),
        ("FREQ=SECONDLY;COUNT=3", "invalid: has a FREQ that is not DAILY, WEEKLY, MONTHLY or YEARLY".to_owned()),
        ("FREQ=DAILY;BYHOUR=9,10;COUNT=3", "invalid: names a time of day: that is the one of `start`".to_owned()),
        ("FREQ=DAILY;INTERVAL=0;COUNT=3", "out_of_range: has an INTERVAL that is not 1 to 732".to_owned()),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "invalid: takes COUNT or UNTIL, not both".to_owned()),
        ("FREQ=DAILY;COUNT=0", "invalid: has a COUNT that is not 1 to 100".to_owned()),
        ("FREQ=DAILY;COUNT=3;COUNT=4", "duplicate: names a part twice".to_owned()),
    ] {
        assert_eq!(days(rule), Err(expected), "{rule}");
    }
}

#[test]
fn what_is_no_rule_is_refused() {
    let long = format!("FREQ=YEARLY;COUNT=2;BYYEARDAY=335{}", ",335".repeat(200));
    for rule in [
        "",
        "x",
        "COUNT=3",
        "FREQ=DAILY;COUNT=",
        "FREQ=DAILY;COUNT=+3",
        "FREQ=DAILY;COUNT=99999999999999999999",
        "RRULE:FREQ=DAILY;COUNT=3",
        "DTSTART:20261201T090000\nRRULE:FREQ=DAILY;COUNT=3",
        "FREQ=DAILY;COUNT=3;",
        "FREQ=DAILY;COUNT=3;BYEASTER=1",
        "FREQ=DAILY;COUNT=3;BYDAY=éMO",
        "FREQ=DAILY;COUNT=3;BYDAY=XXTU",
        "FREQ=DAILY;COUNT=3;BYDAY=2TU",
        "FREQ=WEEKLY;COUNT=3;BYDAY=1TU",
        "FREQ=MONTHLY;COUNT=3;BYDAY=0TU",
        "FREQ=MONTHLY;COUNT=3;BYDAY=9TU",
        "FREQ=MONTHLY;COUNT=3;BYMONTHDAY=0",
        "FREQ=MONTHLY;COUNT=3;BYMONTHDAY=32",
        "FREQ=MONTHLY;COUNT=3;BYSETPOS=366;BYDAY=TU",
        "FREQ=YEARLY;COUNT=3;BYSETPOS=367;BYDAY=TU",
        "FREQ=MONTHLY;COUNT=3;BYYEARDAY=1",
        "FREQ=MONTHLY;COUNT=3;BYWEEKNO=1",
        "FREQ=WEEKLY;COUNT=3;BYMONTHDAY=1",
        "FREQ=YEARLY;COUNT=3;BYMONTH=13",
        "FREQ=DAILY;UNTIL=2026-12-31",
        "FREQ=DAILY;UNTIL=20261301",
        "FREQ=DAILY;UNTIL=20261231Z",
        "FREQ=DAILY;UNTIL=20261231T250000",
        "FREQ=DAILY;COUNT=3;WKST=XX",
        &long,
    ] {
        assert!(days(rule).is_err_and(|why| why.starts_with("invalid")), "{rule}: {:?}", days(rule));
    }
}

#[test]
fn nine_stays_nine_across_both_changes_of_the_clock() {
    let zone = zone("Europe/Madrid");
    let first = at(&zone, date(2026, 10, 18).at(9, 0, 0, 0));
    let found = expand("FREQ=WEEKLY;COUNT=30", &zone, first).expect("a rule");
    assert_eq!(found.len(), 30);
    assert!(found.iter().all(|one| one.local.time() == jiff::civil::time(9, 0, 0, 0)));
    let hours: Vec<_> = found
        .windows(2)
        .map(|two| {
            let start = |one: &Occurrence| one.start.expect("nine is never skipped");
            start(&two[1]).duration_since(start(&two[0])).as_hours()
        })
        .collect();
    assert_eq!(hours.iter().filter(|hours| **hours == 169).count(), 1, "the clock goes back in October");
    assert_eq!(hours.iter().filter(|hours| **hours == 167).count(), 1, "and ahead in March");
}

#[test]
fn a_time_that_is_skipped_has_no_instant_and_one_that_is_repeated_the_first() {
    let zone = zone("Europe/Madrid");
    let start = at(&zone, date(2026, 3, 28).at(2, 30, 0, 0));
    let found = expand("FREQ=DAILY;COUNT=3", &zone, start).expect("a rule");
    let starts: Vec<_> = found.iter().map(|one| one.start.map(|at| at.to_string())).collect();
    assert_eq!(starts, [Some("2026-03-28T01:30:00Z".to_owned()), None, Some("2026-03-30T00:30:00Z".to_owned())]);

    let start = at(&zone, date(2026, 10, 24).at(2, 30, 0, 0));
    let found = expand("FREQ=DAILY;COUNT=3", &zone, start).expect("a rule");
    assert_eq!(found[1].start.map(|at| at.to_string()).as_deref(), Some("2026-10-25T00:30:00Z"));
    // A series that begins with the second pass begins where it was asked to.
    let second: Timestamp = "2026-10-25T01:30:00Z".parse().expect("an instant");
    assert_eq!(expand("FREQ=DAILY;COUNT=2", &zone, second).expect("a rule")[0].start, Some(second));
}

/// Rules whose parts are all valid, and whose next occurrence is far away or nowhere.
#[test]
fn a_rule_that_finds_nothing_is_given_up_soon() {
    for rule in [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30,31;COUNT=3",
        "FREQ=WEEKLY;BYMONTH=2;BYDAY=MO;BYSETPOS=2;COUNT=3",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31;COUNT=3",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=31;COUNT=3",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31;COUNT=3",
        "FREQ=YEARLY;BYWEEKNO=1;BYMONTH=6;COUNT=3",
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYMONTH=2;BYSETPOS=366;COUNT=3",
        "FREQ=YEARLY;BYYEARDAY=1;BYMONTH=12;COUNT=3",
    ] {
        let begun = Instant::now();
        assert!(days(rule).is_err(), "{rule}");
        let took = begun.elapsed();
        // Not optimised, and beside other tests.
        assert!(took < Duration::from_secs(2), "{rule}: {took:?}");
    }
}

fn garbage() -> impl Strategy<Value = String> {
    let number = prop_oneof![(-400i64..400).prop_map(|n| n.to_string()), any::<i64>().prop_map(|n| n.to_string())];
    let day = ("[+-]?[0-9]{0,2}", "(MO|TU|WE|TH|FR|SA|SU|XX)").prop_map(|(number, day)| number + &day);
    let value = prop_oneof![
        proptest::collection::vec(number, 1..6).prop_map(|list| list.join(",")),
        proptest::collection::vec(day, 1..6).prop_map(|list| list.join(",")),
        "(YEARLY|MONTHLY|WEEKLY|DAILY|HOURLY)",
        "[0-9]{8}(T[0-9]{6}Z?)?",
        "\\PC{0,12}",
    ];
    let name = "(FREQ|COUNT|UNTIL|INTERVAL|WKST|BYDAY|BYMONTH|BYMONTHDAY|BYYEARDAY|BYWEEKNO|BYSETPOS|BYHOUR|X)";
    let part = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    let frequency = "(FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY);COUNT=[0-9]{1,3})?";
    (frequency, proptest::collection::vec(part, 0..5)).prop_map(|(frequency, parts)| {
        let mut all: Vec<String> = Some(frequency).filter(|text| !text.is_empty()).into_iter().collect();
        all.extend(parts);
        all.join(";")
    })
}

proptest! {
    /// Whatever is written: in order, bounded, the first at the start, each at the same local time, or refused.
    #[test]
    fn no_rule_is_too_much(rule in prop_oneof![garbage(), "\\PC{0,60}"], second in -60_000_000_000i64..250_000_000_000) {
        let zone = zone("America/New_York");
        let start = Timestamp::from_second(second / 300 * 300).expect("an instant");
        if let Ok(found) = expand(&rule, &zone, start) {
            prop_assert!((1..=MOST_OCCURRENCES).contains(&found.len()));
            prop_assert_eq!(found[0].start, Some(start));
            let first = found[0].local;
            prop_assert!(found.windows(2).all(|two| two[0].local < two[1].local));
            prop_assert!(found.iter().all(|one| one.local.time() == first.time()));
            prop_assert!(found.iter().all(|one| one.local <= first.saturating_add(REACH_YEARS.years())));
        }
    }
}
