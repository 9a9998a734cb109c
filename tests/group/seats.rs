//! Seats are booked and given up, each seen by whom it concerns.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{Scene, code, day, nine};
use crate::harness::clinic::{at, key, text};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_shared_and_full_when_its_seats_are_taken() {
    let scene = Scene::set(2).await;
    let (one, two, three) = (scene.clinic.patient().await, scene.clinic.patient().await, scene.clinic.patient().await);
    let mut workshop = Watcher::start(scene.clinic.anon().await, &scene.workshop.slots(&day()), None).await;
    let mut alone = Watcher::start(scene.clinic.anon().await, &scene.alone.slots(&day()), None).await;
    let doctor = scene.clinic.connect(&scene.workshop.doctor).await;
    let mut calendar = Watcher::start(doctor, &scene.workshop.calendar(), None).await;
    let mut mine = Watcher::start(scene.clinic.connect(&one).await, "me/appointments", None).await;
    assert_eq!(workshop.view.items[&nine()]["seatsLeft"], 2);
    assert!(alone.view.items.contains_key(&at(&day(), "10:00")));

    let first = scene.book(&one, &nine()).await.unwrap();
    assert_eq!((&first["status"], &first["end"]), (&json!("booked"), &json!(at(&day(), "10:00"))));
    workshop.until(|view| view.items[&nine()]["seatsLeft"] == 1).await;
    assert_eq!(workshop.view.items[&nine()]["status"], "free");
    // The hour and its buffer of 10 minutes are the doctor's, for everything else.
    alone.until(|view| !view.items.contains_key(&nine()) && !view.items.contains_key(&at(&day(), "10:00"))).await;
    assert!(alone.view.items.contains_key(&at(&day(), "08:30")) && alone.view.items.contains_key(&at(&day(), "10:30")));
    assert_eq!(
        code(&scene.ask(&two, "appointment.book", scene.alone.booking(&nine())).await),
        Some(ErrorCode::SlotTaken)
    );
    assert_eq!(code(&scene.book(&one, &nine()).await), Some(ErrorCode::PatientBusy), "nobody sits on two chairs");

    let second = scene.book(&two, &nine()).await.unwrap();
    workshop.until(|view| !view.items.contains_key(&nine())).await;
    assert_eq!(scene.left(&nine()).await, None);
    let refused = scene.book(&three, &nine()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::SlotTaken);
    assert_eq!(refused.alternatives.unwrap().len(), 5);

    // Each has their own appointment, and nobody learns of the others.
    calendar.until(|view| view.items.len() == 2).await;
    mine.until(|view| view.items.len() == 1).await;
    assert_eq!(mine.view.items[&text(&first, "id")], first);
    for (who, own, other) in [(&one, &first, &second), (&two, &second, &first)] {
        assert_eq!(&scene.ask(who, "appointment.get", json!({ "id": own["id"] })).await.unwrap(), own);
        for operation in ["appointment.get", "appointment.history", "appointment.cancel"] {
            let asked = scene.ask(who, operation, json!({ "id": other["id"] })).await;
            assert_eq!(code(&asked), Some(ErrorCode::NotFound), "{operation}");
        }
        let listed = scene.ask(who, "appointment.list", json!({})).await.unwrap();
        assert_eq!(listed["items"], json!([own]));
    }
    let listed = scene.ask(&scene.workshop.doctor, "appointment.list", json!({})).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    // Who leaves makes room; with the last one the time is free for everything.
    scene.ask(&one, "appointment.cancel", json!({ "id": first["id"], "reason": "No puedo" })).await.unwrap();
    workshop.until(|view| view.items.get(&nine()).is_some_and(|slot| slot["seatsLeft"] == 1)).await;
    assert!(!scene.shown(&scene.alone).await.contains_key(&nine()));
    scene.ask(&two, "appointment.cancel", json!({ "id": second["id"] })).await.unwrap();
    workshop.until(|view| view.items[&nine()]["seatsLeft"] == 2).await;
    alone.until(|view| view.items.contains_key(&nine()) && view.items.contains_key(&at(&day(), "10:00"))).await;
    calendar.until(|view| view.items.values().all(|item| item["status"] == "cancelled")).await;
    assert_eq!(
        code(&scene.ask(&one, "appointment.cancel", json!({ "id": first["id"] })).await),
        Some(ErrorCode::IllegalTransition)
    );

    // The session begins anew, in the document that there was.
    let again = scene.book(&three, &nine()).await.unwrap();
    calendar.until(|view| view.items.contains_key(&text(&again, "id"))).await;
    assert_eq!((scene.left(&nine()).await, scene.sessions().await.len()), (Some(1), 1));
    for mut watcher in [workshop, alone, calendar, mine] {
        let last =
            scene.ask(&scene.workshop.doctor, "doctor.update", json!({ "id": scene.workshop.doctor.id, "bio": key() }));
        last.await.unwrap();
        let who = if watcher.topic == "me/appointments" { &one } else { &scene.workshop.doctor };
        let fresh = Watcher::start(scene.clinic.connect(who).await, &watcher.topic, None).await;
        assert_eq!(watcher.until(|view| view.items == fresh.view.items).await.items, fresh.view.items);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_meets_itself() {
    let scene = Scene::set(2).await;
    let (one, two) = (scene.clinic.patient().await, scene.clinic.patient().await);
    let connection = scene.clinic.connect(&one).await;
    let (book, cancel) = (key(), key());
    let booking = scene.workshop.booking(&nine());
    let first = connection.request("appointment.book", &booking, Some(book.clone())).await.unwrap().data;
    assert_eq!(connection.request("appointment.book", &booking, Some(book.clone())).await.unwrap().data, first);
    scene.booked(&two, &nine()).await;
    let full = connection.request("appointment.book", &booking, Some(book.clone())).await.unwrap().data;
    assert_eq!(full, first, "also once there is no seat left");
    let cancelling = json!({ "id": first["id"] });
    let cancelled = connection.request("appointment.cancel", &cancelling, Some(cancel.clone())).await.unwrap().data;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(connection.request("appointment.cancel", &cancelling, Some(cancel)).await.unwrap().data, cancelled);
    assert_eq!(connection.request("appointment.book", &booking, Some(book.clone())).await.unwrap().data, first);
    // Another body under the key: another session, or no session at all.
    for other in [scene.workshop.booking(&at(&day(), "11:00")), scene.alone.booking(&at(&day(), "14:00"))] {
        let refused = connection.request("appointment.book", other, Some(book.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::IdempotencyKeyReused));
    }
    assert_eq!((scene.left(&nine()).await, scene.left(&at(&day(), "11:00")).await), (Some(1), Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_count_sessions_and_not_patients() {
    let scene = Scene::set_with(json!({ "capacity": 3, "dailyLimit": 1 }), &[]).await;
    let mut people = Vec::new();
    for _ in 0..4 {
        people.push(scene.clinic.patient().await);
    }
    for person in &people[..2] {
        scene.booked(person, &nine()).await;
    }
    // The session of the day is the one that there is.
    assert_eq!(scene.shown(&scene.workshop).await.into_iter().collect::<Vec<_>>(), [(nine(), json!(1))]);
    let eleven = at(&day(), "11:00");
    let refused = scene.book(&people[2], &eleven).await.unwrap_err();
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("daily_limit")));
    let explain = |start: &str| json!({ "doctorId": scene.workshop.doctor.id, "serviceId": scene.workshop.service, "start": start });
    let told = scene.ask(&people[2], "slot.explain", explain(&eleven)).await.unwrap();
    assert_eq!((&told["bookable"], &told["rule"]), (&json!(false), &json!("daily_limit")));
    let told = scene.ask(&people[2], "slot.explain", explain(&nine())).await.unwrap();
    assert_eq!(told["bookable"], true);
    let told = scene.ask(&people[0], "slot.explain", explain(&nine())).await.unwrap();
    assert_eq!(told["code"], "patient_busy");
    let third = scene.booked(&people[2], &nine()).await;
    let told = scene.ask(&people[3], "slot.explain", explain(&nine())).await.unwrap();
    assert_eq!((&told["code"], &told["takenBy"]), (&json!("slot_taken"), &Value::Null));
    let told = scene.ask(&scene.workshop.doctor, "slot.explain", explain(&nine())).await.unwrap();
    let takers = told["takenBy"].as_array().unwrap();
    assert!(takers.len() == 3 && takers.contains(&json!(third)), "the appointments, for the practice: {told}");
    // A second session, by way of exception: the limit is set aside, and that is in the history.
    let mut exception = scene.workshop.booking(&eleven);
    exception["patientId"] = json!(people[3].id);
    exception["override"] = json!({ "reason": "Grupo de emergencia" });
    let made = scene.ask(&scene.workshop.doctor, "appointment.book", exception).await.unwrap();
    let history = scene.ask(&scene.workshop.doctor, "appointment.history", json!({ "id": made["id"] })).await.unwrap();
    assert_eq!(history["items"][0]["override"]["rule"], "daily_limit", "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_capacity_holds_for_whoever_comes() {
    let scene = Scene::set(3).await;
    let mut people = Vec::new();
    for _ in 0..4 {
        people.push(scene.clinic.patient().await);
    }
    for person in &people[..3] {
        scene.booked(person, &nine()).await;
    }
    let capacity = |capacity: u32| json!({ "doctorId": scene.workshop.doctor.id, "id": scene.workshop.service, "capacity": capacity });
    let doctor = &scene.workshop.doctor;
    scene.ask(doctor, "service.update", capacity(2)).await.unwrap();
    let listed = scene.ask(doctor, "appointment.list", json!({ "status": "booked" })).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3, "whoever is booked stays");
    assert_eq!((scene.left(&nine()).await, scene.left(&at(&day(), "11:00")).await), (None, Some(2)));
    scene.ask(doctor, "service.update", capacity(4)).await.unwrap();
    scene.booked(&people[3], &nine()).await;
    // For one alone: a session that there is stays as it is, and takes nobody in.
    scene.ask(doctor, "service.update", capacity(1)).await.unwrap();
    let other = scene.clinic.patient().await;
    assert_eq!(code(&scene.book(&other, &nine()).await), Some(ErrorCode::SlotTaken));
    let eleven = at(&day(), "11:00");
    scene.booked(&other, &eleven).await;
    scene.ask(doctor, "service.update", capacity(4)).await.unwrap();
    assert_eq!(code(&scene.book(&people[0], &eleven).await), Some(ErrorCode::SlotTaken), "it is one patient's");
    assert_eq!(scene.left(&eleven).await, None);
    let id = scene.sessions().await[0].get("_id").map(|id| match id {
        mongodb::bson::Bson::Binary(id) => uuid::Uuid::from_slice(&id.bytes).unwrap().to_string(),
        other => panic!("{other}"),
    });
    let session = scene.ask(doctor, "appointment.get", json!({ "id": id })).await;
    assert_eq!(code(&session), Some(ErrorCode::NotFound), "a session is no appointment");
}
