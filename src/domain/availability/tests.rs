//! What may be stored: names of zones, hours, services; and that each mistake is told where it stands.

use jiff::civil::date;
use uuid::Uuid;

use super::super::doctor::Terms;
use super::super::ids::ServiceId;
use super::*;

fn range(from: &str, to: &str) -> LocalRange {
    LocalRange { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

fn availability(weekly: &[(Weekday, LocalRange)], overrides: &[(Date, &[LocalRange])]) -> Availability {
    Availability {
        weekly: weekly.to_vec(),
        overrides: overrides.iter().map(|(date, ranges)| (*date, ranges.to_vec())).collect(),
        ..Availability::closed(TimeZone::UTC)
    }
}

fn told(found: Vec<Violation>) -> Vec<String> {
    found.into_iter().map(|violation| format!("{} {}", violation.pointer, violation.code)).collect()
}

#[test]
fn a_zone_is_an_iana_name() {
    let names = [
        "Europe/Madrid",
        "America/Bogota",
        "America/Argentina/ComodRivadavia",
        "Asia/Calcutta",
        "UTC",
        "Etc/UTC",
        "Etc/GMT+3",
        "GMT",
        "EST5EDT",
    ];
    for name in names {
        let zone = parse_zone(name).unwrap_or_else(|| panic!("{name} is a zone"));
        assert_eq!(zone.iana_name(), Some(name));
    }
    let others = [
        "",
        " ",
        "europe/madrid",
        "Europe/madrid",
        "EUROPE/MADRID",
        "utc",
        "Utc",
        "GMT+3",
        "UTC+3",
        "+03:00",
        "Z",
        "EST5EDT,M3.2.0,M11.1.0",
        ":Europe/Madrid",
        "Europe/Madrid ",
        "Europe/Madrid\0",
        "Europe",
        "Mars/Olympus",
        "/usr/share/zoneinfo/Europe/Madrid",
        "../../etc/passwd",
        "posix/Europe/Madrid",
        "Etc/Unknown",
        "Factory",
        "localtime",
        "2026e",
    ];
    for name in others {
        assert!(parse_zone(name).is_none(), "{name:?} is no zone");
    }
    assert!(parse_zone(&"A".repeat(1_000_000)).is_none());
}

#[test]
fn every_bundled_name_is_a_zone() {
    let refused: Vec<String> = TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.as_str().to_owned())
        .filter(|name| parse_zone(name).is_none())
        .collect();
    assert_eq!(refused, ["Factory"]);
}

#[test]
fn hours_are_stored_in_order() {
    let (morning, noon) = (range("09:00", "12:00"), range("12:00", "14:00"));
    let hours = availability(
        &[(Weekday::Sunday, morning), (Weekday::Monday, noon), (Weekday::Monday, morning)],
        &[(date(2026, 12, 2), &[noon, morning]), (date(2026, 12, 1), &[])],
    );
    let stored = validate_availability(hours).unwrap();
    assert_eq!(stored.weekly, [(Weekday::Monday, morning), (Weekday::Monday, noon), (Weekday::Sunday, morning)]);
    assert_eq!(stored.overrides, [(date(2026, 12, 1), vec![]), (date(2026, 12, 2), vec![morning, noon])]);
    assert_eq!(validate_availability(stored.clone()), Ok(stored));
}

#[test]
fn each_mistake_in_the_hours_is_told() {
    let hours = availability(
        &[
            (Weekday::Monday, range("09:00", "17:00")),
            (Weekday::Tuesday, range("10:00", "11:00")),
            (Weekday::Monday, range("10:00", "11:00")),
            (Weekday::Monday, range("16:55", "18:00")),
            (Weekday::Friday, range("10:01", "11:00:01")),
            (Weekday::Friday, range("12:00", "12:00")),
            (Weekday::Friday, range("14:00", "13:00")),
        ],
        &[
            (date(2026, 12, 1), &[]),
            (date(2026, 12, 2), &[range("09:00", "10:00"), range("09:00", "10:00")]),
            (date(2026, 12, 1), &[range("09:00", "09:00:00.000000001")]),
            (date(1969, 12, 31), &[]),
            (date(9999, 1, 1), &[range("09:00", "10:00"); 25]),
        ],
    );
    let expected = [
        "/weekly/2 overlap",
        "/weekly/3 overlap",
        "/weekly/4/from invalid",
        "/weekly/4/to invalid",
        "/weekly/5/to invalid",
        "/weekly/6/to invalid",
        "/overrides/2/date duplicate",
        "/overrides/1/ranges/1 overlap",
        "/overrides/2/ranges/0/to invalid",
        "/overrides/3/date out_of_range",
        "/overrides/4/date out_of_range",
        "/overrides/4/ranges too_many",
    ];
    assert_eq!(told(validate_availability(hours).unwrap_err()), expected);
}

#[test]
fn hours_are_bounded() {
    let day: Vec<LocalRange> = (0..24).map(|hour| range(&format!("{hour:02}:00"), &format!("{hour:02}:55"))).collect();
    let dates: Vec<Date> = date(2026, 1, 1).series(jiff::ToSpan::days(1)).take(MOST_OVERRIDES).collect();
    let week: Vec<(Weekday, LocalRange)> = Weekday::Monday
        .cycle_forward()
        .take(7)
        .flat_map(|weekday| day.iter().map(move |range| (weekday, *range)))
        .collect();
    let mut hours = availability(&week[..MOST_WEEKLY], &[]);
    hours.overrides = dates.iter().map(|date| (*date, day.clone())).collect();
    assert!(validate_availability(hours.clone()).is_ok());

    hours.weekly.push(week[MOST_WEEKLY]);
    hours.overrides.push((date(2030, 1, 1), Vec::new()));
    let expected = ["/weekly too_many", "/overrides too_many"];
    assert_eq!(told(validate_availability(hours.clone()).unwrap_err()), expected);

    hours.overrides.truncate(MOST_OVERRIDES);
    for (_, ranges) in &mut hours.overrides {
        ranges.fill(day[0]);
    }
    assert_eq!(validate_availability(hours).unwrap_err().len(), MOST_VIOLATIONS);
}

#[test]
fn each_mistake_in_the_seasons_is_told() {
    let season = |from: Date, to: Date, weekly: &[(Weekday, LocalRange)]| Season { from, to, weekly: weekly.to_vec() };
    let morning = (Weekday::Monday, range("09:00", "12:00"));
    let (june, july) = (date(2026, 6, 1), date(2026, 7, 1));
    let colombia = HolidayCalendar::named("CO").unwrap();
    let mut hours = Availability {
        seasons: vec![season(july, july, &[]), season(june, date(2026, 6, 30), &[morning])],
        holiday_calendars: vec![HolidayCalendar::named("US-CA").unwrap(), colombia],
        ..availability(&[], &[])
    };
    let stored = validate_availability(hours.clone()).unwrap();
    assert_eq!(stored.seasons, [hours.seasons[1].clone(), hours.seasons[0].clone()]);
    assert_eq!(stored.holiday_calendars.iter().map(|calendar| calendar.id()).collect::<Vec<_>>(), ["CO", "US-CA"]);

    hours.seasons = vec![
        season(june, july, &[morning, (Weekday::Monday, range("11:00", "13:00"))]),
        season(july, june, &[(Weekday::Tuesday, range("09:01", "10:00"))]),
        season(july, july, &[]),
        season(date(1, 1, 1), date(1, 1, 2), &[]),
    ];
    hours.holiday_calendars = vec![colombia; MOST_CALENDARS];
    let found = told(validate_availability(hours.clone()).unwrap_err());
    for expected in [
        "/seasons/0/weekly/1 overlap",
        "/seasons/1/to invalid",
        "/seasons/1/weekly/0/from invalid",
        "/seasons/2 overlap",
        "/seasons/3/from out_of_range",
        "/seasons/3/to out_of_range",
        "/holidayCalendars/4 duplicate",
    ] {
        assert!(found.iter().any(|told| told == expected), "{expected} of {found:?}");
    }
    let day = |index: i32| june.checked_add(jiff::Span::new().days(2 * index)).unwrap();
    hours.seasons = (0..=20).map(|index| season(day(index), day(index), &[])).collect();
    hours.holiday_calendars = vec![colombia; MOST_CALENDARS + 1];
    let found = told(validate_availability(hours.clone()).unwrap_err());
    assert_eq!(found[..2], ["/seasons too_many", "/holidayCalendars too_many"]);
    hours.holiday_calendars.clear();
    hours.seasons.truncate(MOST_SEASONS);
    assert!(validate_availability(hours.clone()).is_ok());
    hours.seasons[0].weekly = vec![morning; MOST_SEASON_RANGES + 1];
    assert_eq!(told(validate_availability(hours).unwrap_err()), ["/seasons too_many"]);
}

fn service() -> Service {
    Service {
        id: ServiceId(Uuid::nil()),
        rev: 1,
        name: "Visit".to_owned(),
        duration_minutes: 30,
        step_minutes: 30,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        price: Some((0, "COP".to_owned())),
        min_notice_minutes: 1,
        horizon_days: 90,
        terms: Terms::default(),
        archived: false,
    }
}

#[test]
fn a_service_keeps_its_bounds() {
    assert_eq!(validate_service(&service()), Ok(()));
    let longest = Service { duration_minutes: 720, step_minutes: 720, buffer_before_minutes: 240, ..service() };
    assert_eq!(validate_service(&longest), Ok(()));
    let longest = Service { min_notice_minutes: 43_200, horizon_days: 366, name: "ñ".repeat(100), ..service() };
    assert_eq!(validate_service(&longest), Ok(()));

    let wrong = Service {
        name: "ñ".repeat(101),
        duration_minutes: 725,
        step_minutes: 0,
        buffer_before_minutes: -5,
        buffer_after_minutes: 7,
        min_notice_minutes: 43_201,
        horizon_days: i32::MAX,
        price: Some((-1, "cop".to_owned())),
        ..service()
    };
    let expected = [
        "/name out_of_range",
        "/durationMinutes out_of_range",
        "/stepMinutes out_of_range",
        "/bufferBeforeMinutes out_of_range",
        "/bufferAfterMinutes invalid",
        "/minNoticeMinutes out_of_range",
        "/horizonDays out_of_range",
        "/price/amountMinor out_of_range",
        "/price/currency invalid",
    ];
    assert_eq!(told(validate_service(&wrong).unwrap_err()), expected);
    let blank = Service { name: " \t".to_owned(), ..service() };
    assert_eq!(told(validate_service(&blank).unwrap_err()), ["/name invalid"]);
    let unnamed = Service { name: String::new(), ..service() };
    assert_eq!(told(validate_service(&unnamed).unwrap_err()), ["/name out_of_range"]);
}
