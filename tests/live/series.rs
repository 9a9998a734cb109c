//! Recurring appointments: whole or not at all, whoever else books, and as one change for those who watch.

use std::collections::BTreeSet;

use cita_cli::{ClientError, Connection};
use cita_protocol::{ErrorCode, Problem};
use futures::future::join;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Practice, at, date, key, text};
use crate::harness::rest::{Rest, client};
use crate::harness::watch::Watcher;

fn series(practice: &Practice, start: &str, rrule: &str) -> Value {
    let mut series = practice.booking(start);
    series["rrule"] = json!(rrule);
    series
}

async fn book(connection: &Connection, data: &Value) -> Result<Value, ClientError> {
    connection.request("series.book", data, Some(key())).await.map(|reply| reply.data)
}

fn starts(booked: &Value) -> Vec<&str> {
    let appointments = booked["appointments"].as_array().expect("appointments are a list");
    appointments.iter().map(|one| one["start"].as_str().expect("a start")).collect()
}

fn ids(booked: &Value) -> BTreeSet<String> {
    let appointments = booked["appointments"].as_array().expect("appointments are a list");
    appointments.iter().map(|one| text(one, "id")).collect()
}

fn problem(outcome: Result<Value, ClientError>) -> Problem {
    outcome.expect_err("it is refused").problem().expect("a problem").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_says_what_booking_then_does() {
    let clinic = Clinic::open().await;
    let (practice, elsewhere) = (clinic.practice().await, clinic.practice().await);
    let (patient, other) = (clinic.patient().await, clinic.person("patient", "Otra Persona").await);
    let (mine, theirs) = (clinic.connect(&patient).await, clinic.connect(&other).await);
    let days: Vec<String> = (0..5).map(|week| date(3 + 7 * week)).collect();
    // The second is taken, the third is a holiday, on the fourth the patient is elsewhere.
    theirs.request("appointment.book", practice.booking(&at(&days[1], "09:00")), Some(key())).await.unwrap();
    mine.request("appointment.book", elsewhere.booking(&at(&days[3], "09:15")), Some(key())).await.unwrap_err();
    mine.request("appointment.book", elsewhere.booking(&at(&days[3], "09:00")), Some(key())).await.unwrap();
    let doctor = clinic.connect(&practice.doctor).await;
    let mut hours =
        doctor.request("availability.get", json!({ "doctorId": practice.doctor.id }), None).await.unwrap().data;
    let hours = json!({ "doctorId": practice.doctor.id, "timeZone": "America/Bogota", "weekly": hours["weekly"].take(),
        "overrides": [{ "date": days[2], "ranges": [] }] });
    doctor.request("availability.set", hours, Some(key())).await.unwrap();

    let data = series(&practice, &at(&days[0], "09:00"), "FREQ=WEEKLY;COUNT=5");
    let preview = mine.request("series.preview", &data, None).await.unwrap().data;
    assert_eq!(preview["timeZone"], "America/Bogota");
    let found = preview["occurrences"].as_array().unwrap();
    let statuses: Vec<_> = found.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["free", "taken", "unavailable", "busy", "free"]);
    assert_eq!(found[2]["rule"], "hours");
    assert_eq!(found[1]["localStart"], format!("{}T09:00:00", days[1]));
    assert!(found[1]["alternatives"].as_array().is_some_and(|near| !near.is_empty()));
    let starts_of = |status: &str| -> Vec<Value> {
        found.iter().filter(|one| one["status"] == status).map(|one| one["start"].clone()).collect()
    };

    // All of them: refused for the same reasons, and nothing is booked.
    let refused = problem(book(&mine, &data).await);
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("hours")));
    assert_eq!(refused.occurrences.len(), 1, "the rules are asked before the times of others");
    let mut offered = data.clone();
    offered["only"] = json!([&found[0]["start"], &found[1]["start"], &found[3]["start"]]);
    let refused = problem(book(&mine, &offered).await);
    assert_eq!(refused.code, ErrorCode::SlotTaken);
    assert!(refused.alternatives.is_some_and(|near| !near.is_empty()));
    assert_eq!(json!(refused.occurrences), json!([&found[1], &found[3]]), "as the preview has them");
    offered["only"] = json!(starts_of("busy"));
    assert_eq!(problem(book(&mine, &offered).await).code, ErrorCode::PatientBusy);
    let list = json!({ "doctorId": practice.doctor.id, "patientId": patient.id });
    let booked = mine.request("appointment.list", &list, None).await.unwrap().data;
    assert_eq!(booked["items"], json!([]), "nothing of it is there");

    // One by one, each comes to what its verdict says.
    for one in found {
        let outcome =
            mine.request("appointment.book", practice.booking(one["start"].as_str().unwrap()), Some(key())).await;
        let expected = match one["status"].as_str().unwrap() {
            "free" => None,
            "taken" => Some(ErrorCode::SlotTaken),
            "busy" => Some(ErrorCode::PatientBusy),
            _ => Some(ErrorCode::SlotUnavailable),
        };
        assert_eq!(outcome.as_ref().err().and_then(ClientError::code), expected, "{one}");
        if let Ok(reply) = outcome {
            mine.request("appointment.cancel", json!({ "id": reply.data["id"] }), Some(key())).await.unwrap();
        }
    }

    // Those that are free.
    let mut free = data.clone();
    free["only"] = json!(starts_of("free"));
    let booked = book(&mine, &free).await.unwrap();
    assert_eq!(json!(starts(&booked)), free["only"]);
    assert_eq!(booked["rrule"], "FREQ=WEEKLY;COUNT=5");
    for one in booked["appointments"].as_array().unwrap() {
        assert_eq!(one["seriesId"], booked["id"]);
        let single = mine.request("appointment.get", json!({ "id": one["id"] }), None).await.unwrap();
        assert_eq!(single.data, *one, "an appointment like any other");
    }
    let again = mine.request("series.get", json!({ "id": booked["id"] }), None).await.unwrap();
    assert_eq!(again.data, booked);
}

/// Somebody books one of the times of a series at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_there_whole_or_not_at_all() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let (patient, rival) = (clinic.patient().await, clinic.person("patient", "Rival").await);
    let (mine, theirs) = (clinic.connect(&patient).await, other.connect(Some(&rival)).await);
    let mut calendar = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    let mut own = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    let (mut acknowledged, mut won, mut last) = (BTreeSet::new(), 0, String::new());
    for round in 0..8 {
        let time = format!("{:02}:00", 8 + round);
        let data = series(&practice, &at(&date(3), &time), "FREQ=DAILY;COUNT=20");
        let one = async {
            // Sooner or later than the other, who has more to write.
            for _ in 0..round / 2 {
                theirs.request("me.get", json!({}), None).await.unwrap();
            }
            let booking = practice.booking(&at(&date(12), &time));
            theirs.request("appointment.book", booking, Some(key())).await
        };
        let (a, b) = join(mine.request("series.book", &data, Some(key())), one).await;
        match (a, b) {
            (Ok(a), Err(b)) => {
                assert_eq!(b.code(), Some(ErrorCode::SlotTaken));
                assert_eq!(ids(&a.data).len(), 20);
                acknowledged.extend(ids(&a.data));
                won += 1;
                last = a.cursor.unwrap().0;
            }
            (Err(a), Ok(b)) => {
                let problem = a.problem().expect("a problem").clone();
                assert_eq!(problem.code, ErrorCode::SlotTaken);
                let lost: Vec<_> = problem.occurrences.iter().map(|one| one.start.clone().unwrap().0).collect();
                assert_eq!(lost, [at(&date(12), &time)], "it is said which one was lost");
                acknowledged.insert(text(&b.data, "id"));
                last = b.cursor.unwrap().0;
            }
            (a, b) => panic!("{a:?} and {b:?}"),
        }
    }
    let seen = calendar.until_cursor(&last).await;
    // The window ends after a month, so all of them are in it.
    assert_eq!(seen.items.keys().cloned().collect::<BTreeSet<_>>(), acknowledged, "what was acknowledged is there");
    assert_eq!(seen.changes, 8, "one change for each, series or not");
    let seen = own.until_cursor(&last).await;
    assert_eq!((seen.items.len(), seen.changes), (20 * won, won), "nothing of a series that lost was ever shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_series_that_overlap_one_is_booked() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let (one, two) = (clinic.patient().await, clinic.person("patient", "Rival").await);
    let (mine, theirs) = (clinic.connect(&one).await, other.connect(Some(&two)).await);
    for round in 0..6 {
        let time = format!("{:02}:30", 8 + round);
        // They meet in the last of the one, which is the first of the other, or the other way round.
        let first = series(&practice, &at(&date(2), &time), "FREQ=DAILY;COUNT=12");
        let second = series(&practice, &at(&date(13), &time), "FREQ=DAILY;COUNT=12");
        let (first, second) = if round % 2 == 0 { (first, second) } else { (second, first) };
        let (a, b) = join(book(&mine, &first), book(&theirs, &second)).await;
        let (won, lost) = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            (a, b) => panic!("one of them: {a:?} and {b:?}"),
        };
        assert_eq!(starts(&won).len(), 12);
        assert_eq!(lost.code(), Some(ErrorCode::SlotTaken));
    }
    let doctor = clinic.connect(&practice.doctor).await;
    let list = json!({ "doctorId": practice.doctor.id, "pageSize": 100 });
    let all = doctor.request("appointment.list", &list, None).await.unwrap().data;
    assert_eq!(all["items"].as_array().unwrap().len(), 6 * 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_moves_over_its_own_times_in_one_change() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let booked = book(&connection, &series(&practice, &at(&date(3), "09:00"), "FREQ=DAILY;COUNT=5")).await.unwrap();
    let mut calendar = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    let mut left = Watcher::start(clinic.anon().await, &practice.slots(&date(3)), None).await;

    // By a day, by twenty minutes back, and back to where it was.
    let day = |from: i32, time: &str| (from..from + 5).map(|day| at(&date(day), time)).collect::<Vec<_>>();
    for (rev, start, expected) in [
        (2, at(&date(4), "09:00"), day(4, "09:00")),
        (3, at(&date(4), "08:30"), day(4, "08:30")),
        (4, at(&date(3), "09:00"), day(3, "09:00")),
    ] {
        let data = json!({ "id": booked["id"], "start": start });
        let key = key();
        let moved = connection.request("series.reschedule", &data, Some(key.clone())).await.unwrap();
        assert_eq!(starts(&moved.data), expected);
        assert_eq!(ids(&moved.data), ids(&booked), "they stay who they are");
        assert!(moved.data["appointments"].as_array().unwrap().iter().all(|one| one["rev"] == rev));
        let seen = calendar.until_cursor(&moved.cursor.unwrap().0).await;
        assert_eq!(seen.changes, rev - 1, "one change");
        assert!(seen.items.values().all(|one| one["rev"] == rev));
        let again = connection.request("series.reschedule", &data, Some(key)).await.unwrap();
        assert_eq!(again.data, moved.data, "the original result");
    }
    let free = &left.until(|view| view.changes == 2).await.items;
    assert!(!free.contains_key(&at(&date(3), "09:00")), "gone, free, and gone again");

    // Whole or not at all, here as well: somebody has the last time.
    let rival = clinic.connect(&clinic.person("patient", "Rival").await).await;
    rival.request("appointment.book", practice.booking(&at(&date(9), "11:00")), Some(key())).await.unwrap();
    let data = json!({ "id": booked["id"], "start": at(&date(5), "11:00") });
    let refused = connection.request("series.reschedule", &data, Some(key())).await.map(|reply| reply.data);
    let refused = problem(refused);
    assert_eq!(refused.code, ErrorCode::SlotTaken);
    let lost: Vec<_> = refused.occurrences.iter().map(|one| one.start.clone().unwrap().0).collect();
    assert_eq!(lost, [at(&date(9), "11:00")], "its own times are not in its way");
    let data = json!({ "id": booked["id"], "start": at(&date(5), "17:45") });
    let refused = connection.request("series.reschedule", &data, Some(key())).await.map(|reply| reply.data);
    let refused = problem(refused);
    assert_eq!((refused.code, refused.occurrences.len()), (ErrorCode::SlotUnavailable, 5));
    let now = connection.request("series.get", json!({ "id": booked["id"] }), None).await.unwrap().data;
    assert_eq!(starts(&now), day(3, "09:00"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_and_those_that_follow_are_moved_and_cancelled() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let booking = series(&practice, &at(&date(3), "09:00"), "FREQ=DAILY;COUNT=5");
    let book_key = key();
    let booked = connection.request("series.book", &booking, Some(book_key.clone())).await.unwrap().data;
    let id = |place: usize| booked["appointments"][place]["id"].clone();
    // One of them, as any appointment.
    connection.request("appointment.cancel", json!({ "id": id(3) }), Some(key())).await.unwrap();

    let data = json!({ "id": booked["id"], "from": id(2), "start": at(&date(5), "10:00") });
    let moved = connection.request("series.reschedule", data, Some(key())).await.unwrap().data;
    assert_eq!(starts(&moved), [at(&date(5), "10:00"), at(&date(7), "10:00")], "the one that was cancelled stays");

    let mut own = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    let data = json!({ "id": booked["id"], "from": id(1), "reason": "Viaje" });
    let cancel_key = key();
    let cancelled = connection.request("series.cancel", &data, Some(cancel_key.clone())).await.unwrap();
    assert_eq!(cancelled.data["appointments"].as_array().unwrap().len(), 3);
    assert!(cancelled.data["appointments"].as_array().unwrap().iter().all(|one| one["cancelReason"] == "Viaje"));
    let seen = own.until_cursor(&cancelled.cursor.unwrap().0).await;
    assert_eq!(seen.changes, 1);
    let open: Vec<_> = seen.items.values().filter(|one| one["status"] == "booked").map(|one| &one["id"]).collect();
    assert_eq!(open, [&id(0)], "the first one stays");

    let again = connection.request("series.cancel", &data, Some(cancel_key.clone())).await.unwrap();
    assert_eq!(again.data, cancelled.data, "the original result");
    let mut otherwise = data.clone();
    otherwise["reason"] = json!("otra cosa");
    let reused = connection.request("series.cancel", otherwise, Some(cancel_key)).await.unwrap_err();
    assert_eq!(reused.code(), Some(ErrorCode::IdempotencyKeyReused));
    let none = connection.request("series.cancel", &data, Some(key())).await.unwrap_err();
    assert_eq!(none.code(), Some(ErrorCode::IllegalTransition), "none is left");
    let again = connection.request("series.book", &booking, Some(book_key.clone())).await.unwrap();
    assert_eq!(again.data, booked, "a success stays the same, whatever became of it since");
    let mut otherwise = booking.clone();
    otherwise["only"] = json!([at(&date(3), "09:00")]);
    let reused = connection.request("series.book", otherwise, Some(book_key)).await.unwrap_err();
    assert_eq!(reused.code(), Some(ErrorCode::IdempotencyKeyReused));
    // All that is left.
    let data = json!({ "id": booked["id"] });
    assert_eq!(
        connection.request("series.cancel", data, Some(key())).await.unwrap().data["appointments"][0]["id"],
        id(0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_books_one_series_however_often_it_is_sent() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let (one, two) = (clinic.connect(&patient).await, other.connect(Some(&patient)).await);
    let (data, key) = (series(&practice, &at(&date(3), "09:00"), "FREQ=WEEKLY;COUNT=10"), key());
    let attempts = (0..8).map(|number| {
        let connection = if number % 2 == 0 { &one } else { &two };
        connection.request("series.book", data.clone(), Some(key.clone()))
    });
    let replies: Vec<_> =
        futures::future::join_all(attempts).await.into_iter().map(|reply| reply.unwrap().data).collect();
    assert!(replies.iter().all(|reply| *reply == replies[0]), "the original result, to the byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_in_the_morning_stays_nine_in_the_morning() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let doctor = clinic.connect(&practice.doctor).await;
    let weekly: Vec<Value> = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        .iter()
        .map(|day| json!({ "weekday": day, "from": "00:00", "to": "18:00" }))
        .collect();
    let hours =
        json!({ "doctorId": practice.doctor.id, "timeZone": "Europe/Madrid", "weekly": weekly, "overrides": [] });
    doctor.request("availability.set", hours, Some(key())).await.unwrap();
    let connection = clinic.connect(&clinic.patient().await).await;
    let local: jiff::civil::DateTime = format!("{}T09:00", date(3)).parse().unwrap();
    let start = local.in_tz("Europe/Madrid").unwrap().timestamp().to_string();
    // Fifty weeks: the clock changes twice.
    let data = series(&practice, &start, "FREQ=WEEKLY;INTERVAL=5;COUNT=11");
    let booked = book(&connection, &data).await.unwrap();
    let zoned = |start: &str| start.parse::<jiff::Timestamp>().unwrap().in_tz("Europe/Madrid").unwrap();
    assert!(starts(&booked).iter().all(|start| zoned(start).time() == jiff::civil::time(9, 0, 0, 0)));
    let offsets: BTreeSet<_> = starts(&booked).iter().map(|start| zoned(start).offset().seconds()).collect();
    assert_eq!(offsets.len(), 2, "in winter and in summer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_nobody_can_keep_is_refused_at_every_door() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let start = at(&date(3), "09:00");
    for rrule in [
        "",
        "FREQ=WEEKLY",
        "FREQ=DAILY;COUNT=1000000000",
        "FREQ=SECONDLY;COUNT=10",
        "FREQ=DAILY;UNTIL=20200101",
        "FREQ=DAILY;COUNT=5;BYSETPOS=366;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=DAILY;INTERVAL=0;COUNT=5",
        &"FREQ=DAILY;COUNT=5;".repeat(1_000),
    ] {
        let data = series(&practice, &start, rrule);
        for operation in ["series.preview", "series.book"] {
            let key = (operation == "series.book").then(key);
            let refused = problem(connection.request(operation, &data, key).await.map(|reply| reply.data));
            assert_eq!(refused.code, ErrorCode::ValidationFailed, "{rrule}");
            assert_eq!(refused.errors[0].pointer, "/rrule");
        }
    }
    let mut wrong = series(&practice, &start, "FREQ=WEEKLY;COUNT=3");
    for (only, pointer) in [(json!([]), "/only"), (json!([at(&date(4), "09:00")]), "/only/0")] {
        wrong["only"] = only;
        assert_eq!(problem(book(&connection, &wrong).await).errors[0].pointer, pointer);
    }

    // Over REST: in the query for the trial, in the body for the booking.
    let url = format!(
        "{}/v1/series/preview?doctorId={}&serviceId={}&start={start}&rrule=FREQ%3DWEEKLY%3BCOUNT%3D3",
        clinic.url(),
        practice.doctor.id,
        practice.service
    );
    let tried = client().get(url).bearer_auth(&patient.token).send().await.unwrap();
    assert_eq!(tried.status(), 200);
    let tried: Value = tried.json().await.unwrap();
    assert_eq!(tried["occurrences"].as_array().unwrap().len(), 3);
    let rest = Rest { url: clinic.url(), token: Some(&patient.token) };
    let data = series(&practice, &start, "FREQ=WEEKLY;COUNT=3");
    let booked = rest.send("POST", "/v1/series", &[("idempotency-key", "k")], Some(&data)).await;
    assert_eq!(booked.status, 201);
    let path = format!("/v1/series/{}", text(&booked.json(), "id"));
    assert_eq!(booked.headers["location"].to_str().unwrap(), path);
    assert_eq!(rest.send("GET", &path, &[], None).await.json(), booked.json());
    let from = text(&booked.json()["appointments"][1], "id");
    let cancelled =
        rest.send("DELETE", &format!("{path}?from={from}&reason=Viaje"), &[("idempotency-key", "l")], None).await;
    assert_eq!(cancelled.json()["appointments"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_a_service_hold_for_all_of_a_series() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let service =
        json!({ "name": "Terapia", "durationMinutes": 30, "horizonDays": 366, "dailyLimit": 1, "weeklyLimit": 2 });
    let practice = clinic.practice_with(service).await;
    let (patient, rival) = (clinic.patient().await, clinic.person("patient", "Rival").await);
    let (mine, theirs) = (clinic.connect(&patient).await, other.connect(Some(&rival)).await);
    let day = |from: i32, week: i32| date(from + 7 * week);
    // The first Monday of the week after next.
    let monday = (8..15).find(|ahead| {
        let date: jiff::civil::Date = date(*ahead).parse().expect("a date");
        date.weekday() == jiff::civil::Weekday::Monday
    });
    let monday = monday.expect("a week has one");

    // Three days of one week: the third is one too many.
    let data = series(&practice, &at(&day(monday, 0), "09:00"), "FREQ=DAILY;COUNT=3");
    let preview = mine.request("series.preview", &data, None).await.unwrap().data;
    let rules: Vec<_> = preview["occurrences"].as_array().unwrap().iter().map(|one| one["rule"].as_str()).collect();
    assert_eq!(rules, [None, None, Some("weekly_limit")]);
    let refused = problem(book(&mine, &data).await);
    assert_eq!((refused.rule.as_deref(), refused.occurrences.len()), (Some("weekly_limit"), 1));

    // Two a week, as many as there may be, moved by a day and by a week over their own places.
    let data = series(&practice, &at(&day(monday, 0), "09:00"), "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=6");
    let booked = book(&mine, &data).await.unwrap();
    for (ahead, week) in [(1, 0), (1, 1), (0, 1), (0, 0)] {
        let start = at(&day(monday + ahead, week), "10:00");
        let moved = mine.request("series.reschedule", json!({ "id": booked["id"], "start": start }), Some(key())).await;
        assert_eq!(starts(&moved.unwrap().data)[0], start);
    }
    let single = practice.booking(&at(&day(monday + 4, 2), "09:00"));
    let full = theirs.request("appointment.book", &single, Some(key())).await.unwrap_err();
    assert_eq!(full.problem().and_then(|problem| problem.rule.as_deref()), Some("weekly_limit"));
    mine.request("series.cancel", json!({ "id": booked["id"] }), Some(key())).await.unwrap();

    // Two who want one place a day, at different times.
    for week in 0..4 {
        let mut data = [("11:00", &mine), ("15:00", &theirs)].map(|(time, by)| {
            (series(&practice, &at(&day(monday, 3 + 2 * week), time), "FREQ=WEEKLY;BYDAY=MO,TU;COUNT=4"), by)
        });
        data.rotate_left(usize::try_from(week % 2).unwrap());
        let (a, b) = join(book(data[0].1, &data[0].0), book(data[1].1, &data[1].0)).await;
        let (won, lost) = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            (a, b) => panic!("one of them: {a:?} and {b:?}"),
        };
        assert_eq!(starts(&won).len(), 4);
        let lost = problem(Err(lost));
        assert_eq!((lost.code, lost.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("daily_limit")));
    }
}

/// What a service asks for a single appointment, it asks for each of a series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_terms_of_a_service_hold_for_all_of_a_series() {
    let clinic = Clinic::open().await;
    let service = json!({
        "name": "Terapia", "durationMinutes": 30, "horizonDays": 90, "requiresApproval": true, "patients": "known",
        "cancelCutoffMinutes": 3 * 24 * 60, "rescheduleCutoffMinutes": 3 * 24 * 60
    });
    let practice = clinic.practice_with(service).await;
    let patient = clinic.patient().await;
    let (mine, doctor) = (clinic.connect(&patient).await, clinic.connect(&practice.doctor).await);
    let mut data = series(&practice, &at(&date(2), "09:00"), "FREQ=DAILY;COUNT=3");
    let refused = problem(book(&mine, &data).await);
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("patients")));
    let preview = mine.request("series.preview", &data, None).await.unwrap().data;
    for one in preview["occurrences"].as_array().unwrap() {
        assert_eq!((&one["status"], &one["rule"]), (&json!("unavailable"), &json!("patients")));
    }
    // The practice is bound too, as for a single appointment that it gives no reason for.
    data["patientId"] = json!(patient.id);
    assert_eq!(problem(book(&doctor, &data).await).rule.as_deref(), Some("patients"));

    let mut first = practice.booking(&at(&date(1), "09:00"));
    (first["patientId"], first["override"]) = (json!(patient.id), json!({ "reason": "Primera visita" }));
    let first = doctor.request("appointment.book", first, Some(key())).await.unwrap().data;
    for verb in ["checkIn", "complete"] {
        let visit = json!({ "id": first["id"] });
        doctor.request(&format!("appointment.{verb}"), visit, Some(key())).await.unwrap();
    }
    data.as_object_mut().unwrap().remove("patientId");
    let booked = book(&mine, &data).await.unwrap();
    assert!(booked["appointments"].as_array().unwrap().iter().all(|one| one["status"] == "pending"));

    for one in ids(&booked) {
        doctor.request("appointment.approve", json!({ "id": one }), Some(key())).await.unwrap();
    }
    // The first of them is too near for the patient, not for the practice.
    let cancel = json!({ "id": booked["id"] });
    let late = mine.request("series.cancel", &cancel, Some(key())).await.map(|reply| reply.data);
    let late = problem(late);
    assert_eq!((late.code, late.rule.as_deref()), (ErrorCode::IllegalTransition, Some("cutoff")));
    let last = json!({ "id": booked["id"], "from": booked["appointments"][2]["id"] });
    let ended = mine.request("series.cancel", &last, Some(key())).await.unwrap().data;
    assert_eq!(ids(&ended).len(), 1);
    let rest = doctor.request("series.cancel", &cancel, Some(key())).await.unwrap().data;
    assert_eq!(ids(&rest).len(), 2);

    // What nobody has answered can be taken back at any time, and not be moved.
    let asked_for = book(&mine, &data).await.unwrap();
    let later = json!({ "id": asked_for["id"], "start": at(&date(9), "09:00") });
    let late = problem(mine.request("series.reschedule", &later, Some(key())).await.map(|reply| reply.data));
    assert_eq!((late.code, late.rule.as_deref()), (ErrorCode::IllegalTransition, Some("cutoff")));
    let back = json!({ "id": asked_for["id"] });
    assert_eq!(ids(&mine.request("series.cancel", &back, Some(key())).await.unwrap().data).len(), 3);
}
