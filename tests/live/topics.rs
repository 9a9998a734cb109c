//! What each topic shows, and to whom.

use std::collections::BTreeMap;

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, at, date, key, text};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_is_seen_by_everybody_at_once_on_every_node() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let mut visitor = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let mut elsewhere = Watcher::start(other.connect(None).await, &practice.slots(&day), None).await;
    let mut doctor = Watcher::start(other.connect(Some(&practice.doctor)).await, &practice.calendar(), None).await;
    let mut mine = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    assert_eq!(visitor.view.items.len(), 20, "8:00 to 18:00 in steps of 30 minutes");
    assert!(visitor.view.items.contains_key(&start));

    let connection = clinic.connect(&patient).await;
    let booked = connection.request("appointment.book", practice.booking(&start), Some(key())).await.unwrap().data;
    let id = text(&booked, "id");
    visitor.until(|view| !view.items.contains_key(&start)).await;
    elsewhere.until(|view| !view.items.contains_key(&start)).await;
    assert_eq!(doctor.until(|view| view.items.contains_key(&id)).await.items[&id], booked);
    assert_eq!(mine.until(|view| view.items.contains_key(&id)).await.items[&id], booked);

    let later = at(&day, "09:30");
    let moved = json!({ "id": id, "rev": 1, "start": later });
    let moved = connection.request("appointment.reschedule", moved, Some(key())).await.unwrap().data;
    assert_eq!((moved["rev"].as_u64(), text(&moved, "id")), (Some(2), id.clone()), "the same appointment");
    let swapped =
        |view: &crate::harness::watch::View| view.items.contains_key(&start) && !view.items.contains_key(&later);
    visitor.until(swapped).await;
    elsewhere.until(swapped).await;
    doctor.until(|view| view.items[&id] == moved).await;

    connection.request("appointment.cancel", json!({ "id": id }), Some(key())).await.unwrap();
    visitor.until(|view| view.items.len() == 20).await;
    elsewhere.until(|view| view.items.len() == 20).await;
    mine.until(|view| view.statuses()[id.as_str()] == "cancelled").await;
    assert_eq!((visitor.view.snapshots, visitor.view.changes), (1, 3), "each commit once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_say_nothing_of_who_took_them() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let day = date(3);
    let visitor = clinic.anon().await;
    visitor.request("subscribe", json!({ "topic": practice.slots(&day) }), None).await.unwrap();
    let booking = practice.booking(&at(&day, "09:00"));
    clinic.connect(&patient).await.request("appointment.book", booking, Some(key())).await.unwrap();
    let mut frames = String::new();
    loop {
        let frame = visitor.next_event().await.unwrap();
        frames.push_str(&serde_json::to_string(&frame).unwrap());
        if frame.kind == "change" {
            break;
        }
    }
    for secret in [patient.id.as_str(), patient.name.as_str(), "reason", "patient"] {
        assert!(!frames.contains(secret), "{secret} in {frames}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_dates_is_one_topic_a_date() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let visitor = clinic.anon().await;
    let range = format!("doctors/{}/slots/{}", practice.doctor.id, practice.service);
    let request = json!({ "topic": range, "from": date(1), "to": date(7) });
    let reply = visitor.request("subscribe", request, None).await.unwrap();
    assert_eq!(reply.data, json!({ "topic": range, "resumed": false }));
    let (mut topics, mut cursors) = (BTreeMap::new(), Vec::new());
    while topics.len() < 7 {
        let frame = visitor.next_event().await.unwrap();
        if frame.kind == "snapshot" {
            topics.insert(text(&frame.data, "topic"), frame.data["items"].as_array().unwrap().len());
            cursors.push(frame.cursor);
        }
    }
    let expected: BTreeMap<String, usize> = (1..=7).map(|days| (practice.slots(&date(days)), 20)).collect();
    assert_eq!(topics, expected);
    assert!(cursors.windows(2).all(|pair| pair[0] == pair[1]), "all true at one point");

    visitor.request("unsubscribe", json!({ "topic": range }), None).await.unwrap();
    let refused = visitor.request("unsubscribe", json!({ "topic": range }), None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_hours_are_seen_as_other_slots() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let day = date(4);
    let mut visitor = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let connection = clinic.connect(&practice.doctor).await;
    let request = json!({ "doctorId": practice.doctor.id });
    let mut hours = connection.request("availability.get", request, None).await.unwrap().data;
    let fields = hours.as_object_mut().unwrap();
    fields.remove("rev");
    fields["overrides"] = json!([{ "date": day, "ranges": [{ "from": "17:00", "to": "19:00" }] }]);
    connection.request("availability.set", &hours, Some(key())).await.unwrap();
    let wanted: Vec<String> = ["17:00", "17:30", "18:00", "18:30"].map(|time| at(&day, time)).to_vec();
    visitor.until(|view| view.items.keys().eq(&wanted)).await;

    // In another zone the date is another day: forget it, and see it anew.
    hours["timeZone"] = json!("Europe/Madrid");
    connection.request("availability.set", &hours, Some(key())).await.unwrap();
    visitor.until(|view| view.resets == 1 && view.snapshots == 2).await;
    assert_eq!((visitor.view.items.len(), visitor.view.zone.as_str()), (4, "Europe/Madrid"));

    let archive = json!({ "doctorId": practice.doctor.id, "id": practice.service });
    connection.request("service.archive", archive, Some(key())).await.unwrap();
    visitor.until(|view| view.items.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_watches_what_is_not_theirs() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (patient, colleague) = (clinic.patient().await, clinic.person("doctor", "Otra Doctora").await);
    let calendar = json!({ "topic": practice.calendar() });
    let unknown = format!("doctors/{}/slots/{}/{}", uuid::Uuid::new_v4(), practice.service, date(1));
    let cases: [(Option<&_>, Value, ErrorCode); 10] = [
        (None, calendar.clone(), ErrorCode::Unauthenticated),
        (None, json!({ "topic": "me/appointments" }), ErrorCode::Unauthenticated),
        (None, json!({ "topic": "me/sessions" }), ErrorCode::Unauthenticated),
        (Some(&patient), json!({ "topic": "me/sessions", "from": date(0) }), ErrorCode::ValidationFailed),
        (Some(&patient), calendar.clone(), ErrorCode::Forbidden),
        (Some(&colleague), calendar, ErrorCode::Forbidden),
        (None, json!({ "topic": unknown }), ErrorCode::NotFound),
        (None, json!({ "topic": "doctors/*/appointments" }), ErrorCode::ValidationFailed),
        (None, json!({ "topic": practice.slots(&date(-30)) }), ErrorCode::ValidationFailed),
        (
            Some(&practice.doctor),
            json!({ "topic": practice.calendar(), "from": date(0), "to": date(92) }),
            ErrorCode::ValidationFailed,
        ),
    ];
    for (who, request, code) in cases {
        let connection = match who {
            Some(person) => clinic.connect(person).await,
            None => clinic.anon().await,
        };
        let refused = connection.request("subscribe", &request, None).await.unwrap_err();
        assert_eq!(refused.code(), Some(code), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_topics_are_refused_and_the_connection_stays() {
    let clinic = Clinic::open_with(&["--ws-subscriptions", "5"]).await;
    let practice = clinic.practice().await;
    let visitor = clinic.anon().await;
    let range = format!("doctors/{}/slots/{}", practice.doctor.id, practice.service);
    let six = json!({ "topic": range, "from": date(1), "to": date(6) });
    let refused = visitor.request("subscribe", six, None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::TooManySubscriptions));
    let five = json!({ "topic": range, "from": date(1), "to": date(5) });
    visitor.request("subscribe", &five, None).await.unwrap();
    visitor.request("subscribe", five, None).await.expect("the same again takes no more room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_just_offered_can_be_booked() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (doctor, patient) = (clinic.connect(&practice.doctor).await, clinic.connect(&clinic.patient().await).await);
    for hour in 8..18 {
        let service = json!({ "doctorId": practice.doctor.id, "name": format!("A las {hour}"), "durationMinutes": 30 });
        let service = doctor.request("service.create", service, Some(key())).await.unwrap().data;
        let mut booking = practice.booking(&at(&date(2), &format!("{hour:02}:00")));
        booking["serviceId"] = service["id"].clone();
        patient.request("appointment.book", booking, Some(key())).await.expect("the node knows what it acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_window_takes_the_place_of_the_first() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let practice = clinic.practice().await;
    let patient = clinic.connect(&clinic.patient().await).await;
    let doctor = clinic.connect(&practice.doctor).await;
    for day in [2, 5] {
        let window = json!({ "topic": practice.calendar(), "from": date(day), "to": date(day) });
        doctor.request("subscribe", window, None).await.unwrap();
    }
    patient.request("appointment.book", practice.booking(&at(&date(2), "09:00")), Some(key())).await.unwrap();
    let seen =
        patient.request("appointment.book", practice.booking(&at(&date(5), "09:00")), Some(key())).await.unwrap();
    let mut changes = Vec::new();
    while changes.is_empty() {
        let frame = doctor.next_event().await.unwrap();
        if frame.kind == "change" {
            changes.extend(frame.data["upserted"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        }
    }
    assert_eq!(changes, vec![seen.data["id"].clone()], "only the second window is watched");
    // A request that is refused leaves the subscription as it is.
    let refused = json!({ "topic": practice.calendar(), "from": date(9), "to": date(1) });
    doctor.request("subscribe", refused, None).await.unwrap_err();
    let next =
        patient.request("appointment.book", practice.booking(&at(&date(5), "10:00")), Some(key())).await.unwrap();
    loop {
        let frame = doctor.next_event().await.unwrap();
        if frame.kind == "change" {
            assert_eq!(frame.data["upserted"][0]["id"], next.data["id"]);
            break;
        }
    }
}
