//! Times that are none, that are not offered, and those that a change of the clock makes or takes.

use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::cast::Cast;
use crate::harness::clinic::{Clinic, at, date, key, text};
use crate::harness::rest::{Answer, Rest};

async fn book(rest: &Rest<'_>, booking: &Value, start: &str) -> Answer {
    let mut booking = booking.clone();
    booking["start"] = json!(start);
    rest.call(Operation::AppointmentBook, &booking, Some(&key())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_instant_is_refused() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.patient.token) };
    let booking = cast.practice.booking("");
    let day = date(2);
    let good = at(&day, "09:00");
    let long = format!("{day}T14:00:00.{}Z", "0".repeat(10_000));
    let mut wrong: Vec<String> = [
        "",
        "now",
        "0",
        "1796133600",
        "2027-02-29T14:00:00Z",
        "2027-13-01T14:00:00Z",
        "2027-00-10T14:00:00Z",
        "2027-01-32T14:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2027-01-05T14:00:00-00:00:01",
        "-000001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "+010000-01-01T00:00:00Z",
        "+292277026-12-04T15:30:07Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31t23:59:60z",
        "20161231T235960Z",
        "2027-01-05T24:00:00Z",
        "2027-01-05T25:00:00Z",
        "2027-01-05T14:60:00Z",
        "2027-01-05T14:00:00+25:00",
        "2027-W01-2T14:00:00Z",
        "2027-005T14:00:00Z",
        "Tue, 05 Jan 2027 14:00:00 GMT",
        "{\"$date\":\"2027-01-05T14:00:00Z\"}",
    ]
    .map(str::to_owned)
    .to_vec();
    wrong.push(long);
    // The right time in other words: local without an offset, a zone in brackets, shortened, spelled oddly.
    wrong.extend(
        [
            "T14:00:00",
            "T14:00Z",
            "T14Z",
            "T14:00:00[America/Bogota]",
            "T14:00:00Z[UTC]",
            "",
            "T14:00:00 Z",
            "T14:00:00Z ",
        ]
        .map(|rest| format!("{day}{rest}")),
    );
    wrong.push(format!(" {good}"));
    wrong.push(good.replace([':', '-'], ""));
    wrong.push(format!("+00{good}"));
    wrong.push(good.replace('T', "%20"));
    for start in &wrong {
        let refused = book(&rest, &booking, start).await;
        assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{start:.60}: {refused:?}");
        assert_eq!(refused.fields(), ["/start invalid"], "{start:.60}");
        let list = rest.call(Operation::AppointmentList, &json!({ "from": start }), None).await;
        assert_eq!(list.fields(), ["/from invalid"], "{start:.60}");
    }
    // An offset is another word for the same instant.
    let offset = format!("{day}T09:00:00-05:00");
    assert_eq!(book(&rest, &booking, &offset).await.json()["start"], good);
    for (from, to) in [
        ("2027-02-29", "2027-03-01"),
        ("2027-1-1", "2027-01-02"),
        ("20270101", "20270102"),
        ("2027-01-01T00:00:00Z", "2027-01-02"),
        ("0000-01-01", "0000-01-02"),
        ("9999-01-01", "9999-01-02"),
        ("+12027-01-01", "+12027-01-02"),
        ("today", "tomorrow"),
        ("", ""),
        ("2027-01-02", "2027-01-01"),
        ("2027-01-01", "2027-03-04"),
        ("2027-01-01", "2099-01-01"),
    ] {
        let search =
            json!({ "doctorId": cast.practice.doctor.id, "serviceId": cast.practice.service, "from": from, "to": to });
        let refused = rest.call(Operation::SlotSearch, &search, None).await;
        assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{from} {to}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_offered_says_by_which_rule() {
    let clinic = Clinic::open().await;
    let service = json!({ "name": "Consulta", "durationMinutes": 30, "minNoticeMinutes": 2_880, "horizonDays": 10 });
    let practice = clinic.practice_with(service).await;
    let patient = clinic.patient().await;
    let rest = Rest { url: clinic.url(), token: Some(&patient.token) };
    let booking = practice.booking("");
    let good = at(&date(4), "09:00");
    for (start, rule) in [
        (at(&date(-1), "09:00"), "past"),
        ("1970-01-01T14:00:00Z".to_owned(), "past"),
        (at(&date(1), "09:00"), "notice"),
        (at(&date(12), "09:00"), "horizon"),
        ("9998-01-05T14:00:00Z".to_owned(), "horizon"),
        ("9999-12-30T14:00:00Z".to_owned(), "horizon"),
        (at(&date(4), "07:30"), "hours"),
        (at(&date(4), "17:45"), "hours"),
        (at(&date(4), "18:00"), "hours"),
        (at(&date(4), "00:00"), "hours"),
        (at(&date(4), "09:10"), "step"),
        (at(&date(4), "09:01"), "step"),
        (at(&date(4), "09:00:01"), "step"),
        (good.replace('Z', ".000000001Z"), "step"),
    ] {
        let refused = book(&rest, &booking, &start).await;
        assert_eq!(refused.code().as_deref(), Some("slot_unavailable"), "{start}: {refused:?}");
        assert_eq!(refused.json()["rule"], rule, "{start}");
    }
    let booked = book(&rest, &booking, &good).await.json();
    assert_eq!((&booked["start"], &booked["timeZone"]), (&json!(good), &json!("America/Bogota")));
    // The last of the day ends with it, and neighbours touch.
    for time in ["17:30", "09:30", "08:30"] {
        assert_eq!(book(&rest, &booking, &at(&date(4), time)).await.code(), None, "{time}");
    }
    let moved = json!({ "id": booked["id"], "start": at(&date(1), "09:00") });
    let moved = rest.call(Operation::AppointmentReschedule, &moved, Some(&key())).await;
    assert_eq!(moved.json()["rule"], "notice");
    let doctor = Rest { url: clinic.url(), token: Some(&practice.doctor.token) };
    let archive = json!({ "doctorId": practice.doctor.id, "id": practice.service });
    doctor.call(Operation::ServiceArchive, &archive, Some(&key())).await;
    assert_eq!(book(&rest, &booking, &at(&date(5), "09:00")).await.json()["rule"], "archived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_that_are_none_are_refused() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let doctor = &cast.practice.doctor.id;
    let read = || async { rest.call(Operation::AvailabilityGet, &json!({ "doctorId": doctor }), None).await.json() };
    let before = read().await;
    let week = |from: &str, to: &str| json!([{ "weekday": "monday", "from": from, "to": to }]);
    let day = |date: &str, from: &str, to: &str| json!([{ "date": date, "ranges": [{ "from": from, "to": to }] }]);
    let zone = "America/Bogota";
    let (none, twice) =
        (json!([]), json!([{ "date": "2027-01-01", "ranges": [] }, { "date": "2027-01-01", "ranges": [] }]));
    let many: Value = (0..101).map(|_| json!({ "weekday": "monday", "from": "08:00", "to": "09:00" })).collect();
    let mut cases: Vec<(&str, Value, Value)> = vec![
        (zone, many, none.clone()),
        (zone, none.clone(), twice),
        (zone, json!([{ "weekday": "monday" }]), none.clone()),
        (zone, json!([{ "weekday": "Monday", "from": "08:00", "to": "09:00" }]), none.clone()),
        (zone, json!([{ "weekday": 1, "from": "08:00", "to": "09:00" }]), none.clone()),
        (zone, json!([["monday", "08:00", "09:00"]]), none.clone()),
        (zone, json!([week("08:00", "10:00")[0], week("09:00", "11:00")[0]]), none.clone()),
    ];
    for (from, to) in [
        ("08:00", "08:00"),
        ("09:00", "08:00"),
        ("22:00", "02:00"),
        ("08:00", "24:00"),
        ("08:01", "09:00"),
        ("08:00", "09:03"),
        ("8:00", "9:00"),
        ("08:00:00", "09:00:00"),
        ("08.00", "09.00"),
        ("0800", "0900"),
        ("T0800", "T0900"),
        ("25:00", "26:00"),
        ("08:60", "09:00"),
        ("-1:00", "09:00"),
        ("", ""),
        ("08:00Z", "09:00Z"),
        ("٠٨:٠٠", "09:00"),
    ] {
        cases.push((zone, week(from, to), none.clone()));
        cases.push((zone, none.clone(), day("2027-01-01", from, to)));
    }
    for date in ["2027-02-29", "2027-13-01", "0000-01-01", "9999-01-01", "2027-1-1", "20270101", "", "monday"] {
        cases.push((zone, none.clone(), day(date, "08:00", "09:00")));
    }
    for zone in [
        "",
        "Bogota",
        "america/bogota",
        "GMT+3X",
        "+05:00",
        "-05",
        "EST5EDT4,M3.2.0,M11.1.0",
        "../../etc/passwd",
        "Factory",
        "Etc/Unknown",
        "local",
        "America/Bogota ",
        "America/Bogota\0",
    ] {
        cases.push((zone, week("08:00", "09:00"), none.clone()));
    }
    for (zone, weekly, overrides) in cases {
        let data = json!({ "doctorId": doctor, "timeZone": zone, "weekly": weekly, "overrides": overrides });
        let refused = rest.call(Operation::AvailabilitySet, &data, Some(&key())).await;
        assert_eq!(refused.code().as_deref(), Some("validation_failed"), "{data:.200}: {refused:?}");
    }
    assert_eq!(read().await, before);
}

/// In Madrid 2:30 does not exist on the last Sunday of March, and comes twice on the last one of October.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_clock_neither_makes_nor_takes_time() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice_with(json!({ "name": "Noche", "durationMinutes": 30, "horizonDays": 366 })).await;
    let doctor = Rest { url: clinic.url(), token: Some(&practice.doctor.token) };
    let patient = clinic.patient().await;
    let rest = Rest { url: clinic.url(), token: Some(&patient.token) };
    let tomorrow: jiff::civil::Date = date(1).parse().unwrap();
    // The next one, which lies within the horizon.
    let last_sunday = |month: i8| {
        let of_year = |year: i16| {
            let day = jiff::civil::date(year, month, 31);
            day.saturating_sub(jiff::Span::new().days(day.weekday().to_sunday_zero_offset()))
        };
        let soon = of_year(tomorrow.year());
        if soon > tomorrow { soon } else { of_year(tomorrow.year() + 1) }.to_string()
    };
    let (spring, autumn) = (last_sunday(3), last_sunday(10));
    let weekly = json!([{ "weekday": "sunday", "from": "01:00", "to": "04:00" }]);
    let hours =
        json!({ "doctorId": practice.doctor.id, "timeZone": "Europe/Madrid", "weekly": weekly, "overrides": [] });
    assert_eq!(doctor.call(Operation::AvailabilitySet, &hours, Some(&key())).await.code(), None);
    let starts = async |day: &str| {
        let search = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": day, "to": day });
        let found = rest.call(Operation::SlotSearch, &search, None).await.json();
        found["slots"].as_array().unwrap().iter().map(|slot| text(slot, "start")).collect::<Vec<_>>()
    };
    let at = |day: &str, times: &[&str]| times.iter().map(|time| format!("{day}T{time}:00Z")).collect::<Vec<_>>();
    // 1:00 and 1:30, then the clock goes from 2:00 to 3:00.
    assert_eq!(starts(&spring).await, at(&spring, &["00:00", "00:30", "01:00", "01:30"]));
    // 2:00 and 2:30 are offered once, the first time that they are shown.
    let before = autumn.parse::<jiff::civil::Date>().unwrap().yesterday().unwrap().to_string();
    let expected = [at(&before, &["23:00", "23:30"]), at(&autumn, &["00:00", "00:30", "02:00", "02:30"])].concat();
    assert_eq!(starts(&autumn).await, expected);

    let booking = practice.booking("");
    let first = book(&rest, &booking, &format!("{autumn}T02:30:00+02:00")).await;
    assert_eq!(first.json()["start"], format!("{autumn}T00:30:00Z"), "{first:?}");
    let second = book(&rest, &booking, &format!("{autumn}T02:30:00+01:00")).await;
    assert_eq!(second.json()["rule"], "hours", "an hour later, which is not offered");
    // Half an hour is half an hour, across the change as well.
    let across = book(&rest, &booking, &format!("{spring}T00:30:00Z")).await.json();
    assert_eq!((&across["end"], &across["timeZone"]), (&json!(format!("{spring}T01:00:00Z")), &json!("Europe/Madrid")));
}
