//! Public holidays and seasons, from the list of calendars to the last screen.

use cita_protocol::{ErrorCode, Operation};
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{ask, hours, starts};
use crate::harness::clinic::{Clinic, at, date, key};
use crate::harness::rest::Rest;
use crate::harness::watch::Watcher;

/// The next public holiday of Colombia that lies at least two days ahead.
async fn next_holiday(clinic: &Clinic) -> Date {
    let soon: Date = date(2).parse().unwrap();
    for year in [soon.year(), soon.year() + 1] {
        let data = json!({ "id": "CO", "year": year });
        let found = clinic.anon().await.request("holidayCalendar.get", data, None).await.unwrap().data;
        let dates = found["holidays"].as_array().unwrap().iter().map(|day| day["date"].as_str().unwrap());
        if let Some(date) = dates.map(|date| date.parse().unwrap()).find(|date: &Date| *date >= soon) {
            return date;
        }
    }
    panic!("Colombia has holidays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_can_look_at_the_calendars() {
    let clinic = Clinic::open().await;
    let rest = Rest { url: clinic.url(), token: None };
    let list = rest.call(Operation::HolidayCalendarList, &json!({}), None).await.json();
    let colombia = list["items"].as_array().unwrap().iter().find(|item| item["id"] == "CO").unwrap();
    assert_eq!(colombia["names"], json!({ "en": "Colombia", "es": "Colombia" }));
    let of = async |id: &str, year: Value| {
        rest.call(Operation::HolidayCalendarGet, &json!({ "id": id, "year": year }), None).await
    };
    let year = of("CO", json!(2026)).await.json();
    assert_eq!((&year["id"], &year["year"]), (&json!("CO"), &json!(2026)));
    let named = |date: &str| {
        let days = year["holidays"].as_array().unwrap();
        days.iter().find(|day| day["date"] == date).map(|day| day["names"]["es"].as_str().unwrap().to_owned())
    };
    assert_eq!(named("2026-07-20").as_deref(), Some("Día de la Independencia"));
    assert_eq!(named("2026-11-02").as_deref(), Some("Día de Todos los Santos (observado)"));
    assert_eq!(named("2026-04-03").as_deref(), Some("Viernes Santo"));
    assert_eq!(of("XX", json!(2026)).await.code().as_deref(), Some("not_found"));
    for year in [json!(2019), json!(2041), json!(0), json!(4_000_000_000_u32)] {
        assert_eq!(of("CO", year.clone()).await.code().as_deref(), Some("validation_failed"), "{year}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holiday_is_closed_unless_the_doctor_opens_it() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let holiday = next_holiday(&clinic).await.to_string();
    let mut watcher = Watcher::start(clinic.anon().await, &practice.slots(&holiday), None).await;
    assert_eq!(watcher.view.items.len(), 20);

    let chosen = hours(&practice, json!({ "holidayCalendars": ["US-CA", "CO"] }));
    let set = ask(&clinic, &practice.doctor, "availability.set", chosen).await.unwrap();
    assert_eq!(set["holidayCalendars"], json!(["CO", "US-CA"]));
    watcher.until(|view| view.items.is_empty()).await;
    assert_eq!(starts(&clinic, &practice, &holiday).await, Vec::<String>::new());
    let booking = practice.booking(&at(&holiday, "09:00"));
    let refused = ask(&clinic, &patient, "appointment.book", booking.clone()).await.unwrap_err();
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("holiday")));

    let open = json!({ "holidayCalendars": ["CO"], "overrides": [{ "date": holiday, "ranges": [{ "from": "09:00", "to": "10:00" }] }] });
    ask(&clinic, &practice.doctor, "availability.set", hours(&practice, open)).await.unwrap();
    watcher.until(|view| view.items.len() == 2).await;
    ask(&clinic, &patient, "appointment.book", booking).await.unwrap();
    let fresh = Watcher::start(clinic.anon().await, &practice.slots(&holiday), None).await;
    watcher.until(|view| view.items == fresh.view.items).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_season_has_hours_of_its_own() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let first: Date = date(10).parse().unwrap();
    let last = first.checked_add(6.days()).unwrap();
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let weekly: Vec<_> = days.iter().map(|day| json!({ "weekday": day, "from": "07:00", "to": "08:00" })).collect();
    let season = json!([{ "from": first.to_string(), "to": last.to_string(), "weekly": weekly }]);
    let set = ask(&clinic, &practice.doctor, "availability.set", hours(&practice, json!({ "seasons": season }))).await;
    assert_eq!(set.unwrap()["seasons"], season);
    for (day, count) in [(9, 20), (10, 2), (16, 2), (17, 20)] {
        let day = date(day);
        let found = starts(&clinic, &practice, &day).await;
        assert_eq!(found.len(), count, "{day}");
        assert_eq!(found[0], at(&day, if count == 2 { "07:00" } else { "08:00" }));
    }
    let kept = ask(&clinic, &practice.doctor, "availability.get", json!({ "doctorId": practice.doctor.id })).await;
    assert_eq!(kept.unwrap()["seasons"], season);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_season_and_no_calendar_is_refused_where_it_stands() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let connection = clinic.connect(&practice.doctor).await;
    let season = |from: &str, to: &str| json!({ "from": from, "to": to, "weekly": [] });
    for (fields, pointer) in [
        (json!({ "holidayCalendars": ["CO", "XX"] }), "/holidayCalendars/1"),
        (json!({ "holidayCalendars": ["co"] }), "/holidayCalendars/0"),
        (json!({ "holidayCalendars": ["CO", "CO"] }), "/holidayCalendars/1"),
        (json!({ "holidayCalendars": ["CO", "VE", "EC", "PE", "BR", "PA"] }), "/holidayCalendars"),
        (json!({ "holidayCalendars": [["CO"]] }), "/holidayCalendars/0"),
        (json!({ "seasons": [season("2027-02-01", "2027-01-01")] }), "/seasons/0/to"),
        (json!({ "seasons": [season("2027-01-01", "2027-02-01"), season("2027-02-01", "2027-02-01")] }), "/seasons/1"),
        (json!({ "seasons": [season("2027-02-30", "2027-03-01")] }), "/seasons/0/from"),
        (json!({ "seasons": [["2027-02-01", "2027-03-01", []]] }), "/seasons/0"),
        (
            json!({ "seasons": [{ "from": "2027-01-01", "to": "2027-02-01", "weekly": [
            { "weekday": "monday", "from": "10:00", "to": "09:00" }] }] }),
            "/seasons/0/weekly/0/to",
        ),
    ] {
        let refused = connection.request("availability.set", hours(&practice, fields.clone()), Some(key())).await;
        let refused = refused.unwrap_err();
        let problem = refused.problem().expect("a problem");
        assert_eq!(problem.code, ErrorCode::ValidationFailed, "{fields}");
        assert!(problem.errors.iter().any(|error| error.pointer == pointer), "{fields}: {:?}", problem.errors);
    }
}
