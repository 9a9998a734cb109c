//! Joining, leaving, and the ways to answer an offer.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Booked, Waiter, ask, code, standing, wish};
use crate::harness::cast::{admin, receptionist};
use crate::harness::clinic::{Clinic, at, date, key, text};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_says_what_is_wanted() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let mine = clinic.connect(&patient).await;
    let mut asked = wish(&practice, &date(2), &date(9));
    asked["times"] = json!({ "from": "08:30", "to": "12:00" });
    asked["weekdays"] = json!(["monday", "friday"]);
    let joined = ask(&mine, "waitlist.join", &asked).await.unwrap();
    for field in ["doctorId", "serviceId", "from", "to", "times", "weekdays"] {
        assert_eq!(joined[field], asked[field], "{field}");
    }
    assert_eq!((&joined["status"], &joined["rev"]), (&json!("waiting"), &json!(1)));
    assert_eq!((&joined["patientId"], &joined["timeZone"]), (&json!(patient.id), &json!("America/Bogota")));
    for field in ["offer", "passed", "missed", "place"] {
        assert!(joined.get(field).is_none(), "{field} is nothing that anybody is told");
    }
    let with = |field: &str, value: Value| {
        let mut other = asked.clone();
        other[field] = value;
        other
    };
    for (bad, expected) in [
        (with("to", json!(date(1))), ErrorCode::ValidationFailed),
        (with("to", json!(date(100))), ErrorCode::ValidationFailed),
        (with("times", json!({ "from": "12:00", "to": "08:30" })), ErrorCode::ValidationFailed),
        (with("weekdays", json!(["monday", "monday"])), ErrorCode::ValidationFailed),
        (with("doctorId", json!(Uuid::new_v4())), ErrorCode::NotFound),
        (with("serviceId", json!(Uuid::new_v4())), ErrorCode::NotFound),
        (with("patientId", json!(practice.doctor.id)), ErrorCode::Forbidden),
    ] {
        assert_eq!(code(&ask(&mine, "waitlist.join", &bad).await), Some(expected), "{bad}");
    }
    // What is wrong in itself comes before who may ask for it.
    let mut bad = with("patientId", json!(practice.doctor.id));
    bad["times"] = json!({ "from": "12:00", "to": "08:30" });
    assert_eq!(code(&ask(&mine, "waitlist.join", &bad).await), Some(ErrorCode::ValidationFailed));
    // Ten at a time.
    for _ in 0..9 {
        ask(&mine, "waitlist.join", &asked).await.unwrap();
    }
    let refused = ask(&mine, "waitlist.join", &asked).await.unwrap_err();
    let cita_cli::ClientError::Problem(problem) = &refused else { panic!("{refused}") };
    assert_eq!((problem.code, problem.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("waitlist")));
    let left = ask(&mine, "waitlist.leave", &json!({ "id": joined["id"], "rev": 1 })).await.unwrap();
    assert_eq!((&left["status"], &left["rev"]), (&json!("left"), &json!(2)));
    ask(&mine, "waitlist.join", &asked).await.unwrap();
    // Pages, the oldest first.
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    while seen.len() < 11 {
        let mut page = json!({ "pageSize": 4 });
        if !token.is_null() {
            page["pageToken"] = token;
        }
        let page = mine.request("waitlist.list", page, None).await.unwrap().data;
        seen.extend(page["items"].as_array().unwrap().iter().map(|entry| text(entry, "id")));
        token = page["nextPageToken"].clone();
        assert_eq!(token.is_null(), seen.len() == 11);
    }
    assert_eq!(seen[0], text(&joined, "id"));

    let doctor = clinic.connect(&practice.doctor).await;
    let archived = json!({ "doctorId": practice.doctor.id, "id": practice.service });
    ask(&doctor, "service.archive", &archived).await.unwrap();
    let refused = ask(&clinic.connect(&clinic.patient().await).await, "waitlist.join", &asked).await;
    assert_eq!(code(&refused), Some(ErrorCode::SlotUnavailable));
}

/// Who has no offer can answer none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_must_be_an_offer_to_answer() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let waiter = Waiter::join(&clinic, &wish(&practice, &date(3), &date(3))).await;
    for verb in ["accept", "pass"] {
        assert_eq!(code(&waiter.answer(verb).await), Some(ErrorCode::HoldExpired), "{verb}");
    }
    let booked = Booked::at(&clinic, &practice, &at(&date(3), "09:00")).await;
    booked.cancel().await;
    for verb in ["accept", "pass", "leave"] {
        let stale = json!({ "id": waiter.entry, "rev": 1 });
        let stale = ask(&waiter.connection, &format!("waitlist.{verb}"), &stale).await;
        assert_eq!(code(&stale), Some(ErrorCode::StaleRev), "{verb}");
    }
    let stranger = clinic.connect(&clinic.patient().await).await;
    for verb in ["accept", "pass", "leave"] {
        let outcome = ask(&stranger, &format!("waitlist.{verb}"), &json!({ "id": waiter.entry })).await;
        assert_eq!(code(&outcome), Some(ErrorCode::NotFound), "{verb}");
    }
    let hold = text(&waiter.look().await["offer"], "holdId");
    assert_eq!(code(&ask(&stranger, "appointment.get", &json!({ "id": hold })).await), Some(ErrorCode::NotFound));
    waiter.answer("leave").await.unwrap();
    for verb in ["accept", "pass", "leave"] {
        assert_eq!(code(&waiter.answer(verb).await), Some(ErrorCode::IllegalTransition), "{verb}");
    }
}

/// Leaving with an open offer hands it on; nobody left, and it is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_hands_on_what_they_were_offered() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let second = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let mut slots = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    booked.cancel().await;
    assert_eq!(first.answer("leave").await.unwrap()["status"], "left");
    assert_eq!(second.standing().await, ("offered".to_owned(), Some(start.clone())));
    slots
        .until(|view| {
            assert_ne!(standing(&view.items, &start), "free");
            view.changes == 2
        })
        .await;
    second.answer("leave").await.unwrap();
    slots.until(|view| standing(&view.items, &start) == "free").await;
}

/// A hold is a hold: booking over it accepts, releasing it passes, holding it again changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offer_is_a_hold_of_the_patient() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let day = date(3);
    for round in 0..3 {
        let start = at(&day, &format!("{:02}:00", 9 + round));
        let booked = Booked::at(&clinic, &practice, &start).await;
        let waiter = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        booked.cancel().await;
        let hold = text(&waiter.look().await["offer"], "holdId");
        // Nobody is told who gave it up.
        let history = waiter.connection.request("appointment.history", json!({ "id": hold }), None).await.unwrap().data;
        let entry = &history["items"][0];
        assert_eq!((&entry["action"], &entry["by"]), (&json!("offered"), &json!(waiter.person.id)));
        let held = ask(&waiter.connection, "slot.hold", &practice.booking(&start)).await.unwrap();
        assert_eq!(held["id"], hold);
        // One's own three holds are left.
        for half_hour in 0..3 {
            let other = practice.booking(&at(&date(20 + round), &format!("{:02}:30", 8 + half_hour)));
            ask(&waiter.connection, "slot.hold", &other).await.unwrap();
        }
        if round == 2 {
            ask(&waiter.connection, "hold.release", &json!({ "id": hold })).await.unwrap();
            assert_eq!(waiter.standing().await, ("waiting".to_owned(), None));
            continue;
        }
        let mut booking = practice.booking(&start);
        if round == 1 {
            booking["holdId"] = json!(hold);
        }
        let appointment = ask(&waiter.connection, "appointment.book", &booking).await.unwrap();
        assert_eq!((&appointment["id"], &appointment["status"]), (&json!(hold), &json!("booked")));
        let entry = waiter.look().await;
        assert_eq!((&entry["status"], &entry["appointmentId"]), (&json!("fulfilled"), &json!(hold)));
    }
}

/// The desk answers for those who call, in the calendars that it acts for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_practice_acts_for_a_patient() {
    let clinic = Clinic::open().await;
    let service =
        json!({ "name": "Con aprobación", "durationMinutes": 30, "horizonDays": 366, "requiresApproval": true });
    let practice = crate::harness::clinic::practice_at(clinic.url(), service).await;
    let admin = admin(&clinic).await;
    let staff = receptionist(&clinic, &admin, Some(&practice.doctor)).await;
    let (desk, patient) = (clinic.connect(&staff).await, clinic.patient().await);
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let mut asked = wish(&practice, &day, &day);
    assert_eq!(code(&ask(&desk, "waitlist.join", &asked).await), Some(ErrorCode::ValidationFailed), "for whom?");
    asked["patientId"] = json!(patient.id);
    let entry = ask(&desk, "waitlist.join", &asked).await.unwrap();
    assert_eq!((&entry["patientId"], &entry["patientName"]), (&json!(patient.id), &json!(patient.name)));
    let by_patient = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;

    // A request that is declined is given up as well.
    let request = Booked::at(&clinic, &practice, &start).await;
    ask(&desk, "appointment.decline", &json!({ "id": request.id })).await.unwrap();
    let listed = desk
        .request("waitlist.list", json!({ "doctorId": practice.doctor.id, "status": "offered" }), None)
        .await
        .unwrap()
        .data;
    assert_eq!(listed["items"][0]["id"], entry["id"]);
    let appointment = ask(&desk, "waitlist.accept", &json!({ "id": entry["id"] })).await.unwrap();
    assert_eq!((&appointment["status"], &appointment["patientId"]), (&json!("booked"), &json!(patient.id)));

    // A patient asks.
    Booked::at(&clinic, &practice, &at(&day, "10:00")).await.cancel().await;
    let appointment = by_patient.answer("accept").await.unwrap();
    assert_eq!(appointment["status"], "pending");
    assert_eq!(by_patient.standing().await.0, "fulfilled");
}

/// Somebody who leaves for good waits for nothing, and the one behind them is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_waits_no_more() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let second = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    booked.cancel().await;
    let export = first.connection.request("me.export", json!({}), None).await.unwrap().data;
    assert_eq!(export["waitlist"]["items"][0]["id"], first.entry);
    let mut own = second.watch(clinic.url()).await;
    first.connection.request("me.delete", json!({}), Some(key())).await.unwrap();
    own.until(|view| view.statuses()[&*second.entry] == "offered").await;
    let doctor = clinic.connect(&practice.doctor).await;
    let listed = doctor.request("waitlist.list", json!({}), None).await.unwrap().data;
    let entry = listed["items"].as_array().unwrap().iter().find(|entry| entry["id"] == first.entry).unwrap();
    assert_eq!((&entry["status"], &entry["patientName"]), (&json!("left"), &json!("")));
    assert_ne!(entry["patientId"], first.person.id);

    // What somebody had booked goes to those who wait, too.
    let (later, leaver) = (at(&date(6), "09:00"), clinic.patient().await);
    let leaving = clinic.connect(&leaver).await;
    ask(&leaving, "appointment.book", &practice.booking(&later)).await.unwrap();
    let third = Waiter::join(&clinic, &wish(&practice, &date(6), &date(6))).await;
    let mut own = third.watch(clinic.url()).await;
    leaving.request("me.delete", json!({}), Some(key())).await.unwrap();
    own.until(|view| view.items.values().any(|item| item["offer"]["start"] == later)).await;
}
