//! A doctor who goes to another zone says what moves.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{ask, claimed, hours, tick};
use crate::harness::clinic::{Clinic, Person, Practice, at, date, key, text};
use crate::harness::watch::Watcher;

async fn book(clinic: &Clinic, practice: &Practice, patient: &Person, time: &str) -> String {
    let booking = practice.booking(&at(&date(3), time));
    text(&ask(clinic, patient, "appointment.book", booking).await.unwrap(), "id")
}

fn to_caracas(practice: &Practice, appointments: Option<&str>) -> Value {
    // An hour ahead of Bogotá all year.
    let mut fields = json!({ "timeZone": "America/Caracas" });
    if let Some(keep) = appointments {
        fields["appointments"] = json!(keep);
    }
    hours(practice, fields)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_zone_is_asked_what_moves() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (patient, doctor) = (clinic.patient().await, &practice.doctor);
    // With nothing ahead nobody is asked.
    for zone in ["America/Caracas", "America/Bogota"] {
        ask(&clinic, doctor, "doctor.update", json!({ "id": doctor.id, "timeZone": zone })).await.unwrap();
    }
    let ids = [book(&clinic, &practice, &patient, "08:00").await, book(&clinic, &practice, &patient, "14:00").await];
    let profile = json!({ "id": doctor.id, "timeZone": "America/Caracas" });
    for (operation, data) in [("availability.set", to_caracas(&practice, None)), ("doctor.update", profile.clone())] {
        let refused = ask(&clinic, doctor, operation, data).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ValidationFailed);
        let [error] = &refused.errors[..] else { panic!("{refused:?}") };
        assert_eq!((&*error.pointer, &*error.code), ("/appointments", "required"));
        assert!(error.detail.starts_with("2 appointments"), "{}", error.detail);
    }
    // The same zone asks nothing.
    ask(&clinic, doctor, "doctor.update", json!({ "id": doctor.id, "timeZone": "America/Bogota" })).await.unwrap();

    let mut keep = profile;
    keep["appointments"] = json!("keepInstants");
    let kept = ask(&clinic, doctor, "doctor.update", keep).await.unwrap();
    assert_eq!(kept["timeZone"], "America/Caracas");
    assert_eq!(kept.get("outside"), None, "8:00 is 9:00 there, and 14:00 is 15:00");
    for (id, time) in ids.iter().zip(["08:00", "14:00"]) {
        let found = ask(&clinic, &patient, "appointment.get", json!({ "id": id })).await.unwrap();
        assert_eq!((&found["start"], &found["rev"]), (&json!(at(&date(3), time)), &json!(1)));
    }
    // And back: as they were, and moved once more, with the zone that they are in.
    let back = json!({ "id": doctor.id, "timeZone": "America/Bogota", "appointments": "keepInstants" });
    ask(&clinic, doctor, "doctor.update", back).await.unwrap();
    let narrow = json!({ "timeZone": "America/Caracas", "appointments": "keepInstants",
        "overrides": [{ "date": date(3), "ranges": [{ "from": "09:00", "to": "12:00" }] }] });
    let set = ask(&clinic, doctor, "availability.set", hours(&practice, narrow)).await.unwrap();
    let outside = set["outside"].as_array().unwrap();
    assert_eq!(outside.len(), 1, "9:00 there is open, 15:00 is not");
    assert_eq!(outside[0]["appointment"]["id"], ids[1]);
    let to = json!({ "id": ids[1], "start": outside[0]["alternatives"][0]["start"] });
    let moved = ask(&clinic, &patient, "appointment.reschedule", to).await.unwrap();
    assert_eq!(moved["timeZone"], "America/Caracas");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appointments_move_along_whoever_stands_in_their_way_among_themselves() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (patient, doctor) = (clinic.patient().await, &practice.doctor);
    let times = ["08:00", "08:30", "09:00", "09:30", "10:00", "10:30", "11:00", "17:30"];
    let mut ids = Vec::new();
    for time in times {
        ids.push(book(&clinic, &practice, &patient, time).await);
    }
    let mut mine = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    let mut slots = Watcher::start(clinic.anon().await, &practice.slots(&date(3)), None).await;
    let start = |view: &crate::harness::watch::View, id: &String| view.items[id]["start"].as_str().unwrap().to_owned();
    let hour_off = |time: &str, hours: i64| {
        let instant: jiff::Timestamp = at(&date(3), time).parse().unwrap();
        (instant + jiff::SignedDuration::from_hours(hours)).to_string()
    };
    let connection = clinic.connect(doctor).await;
    for (zone, hours_off) in [("America/Caracas", -1), ("America/Bogota", 0), ("Pacific/Galapagos", 1)] {
        let own = key();
        let set = hours(&practice, json!({ "timeZone": zone, "appointments": "keepLocalTimes" }));
        let done = connection.request("availability.set", &set, Some(own.clone())).await.unwrap();
        assert_eq!(done.data["outside"], json!([]), "they are at the same hours as before");
        // Asked again, nothing moves again.
        connection.request("availability.set", &set, Some(own)).await.unwrap();
        mine.until(|view| ids.iter().all(|id| view.items[id]["timeZone"] == zone)).await;
        for (id, time) in ids.iter().zip(times) {
            assert_eq!(start(&mine.view, id), hour_off(time, hours_off), "{time} in {zone}");
        }
        let expected: Vec<i32> =
            times.iter().flat_map(|time| (0..6).map(|n| tick(&hour_off(time, hours_off)) + n)).collect();
        assert_eq!(claimed(&clinic, &practice).await.into_keys().collect::<Vec<_>>(), expected);
    }
    assert!(mine.view.items.values().all(|item| item["rev"] == 4));
    let fresh = Watcher::start(clinic.anon().await, &practice.slots(&date(3)), None).await;
    slots.until(|view| view.items == fresh.view.items).await;
    let history = ask(&clinic, &patient, "appointment.history", json!({ "id": ids[0] })).await.unwrap();
    assert_eq!(history["items"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_way_is_told_and_nothing_moves() {
    let clinic = Clinic::open().await;
    let (practice, elsewhere) = (clinic.practice().await, clinic.practice().await);
    let (patient, doctor) = (clinic.patient().await, &practice.doctor);
    let id = book(&clinic, &practice, &patient, "12:00").await;
    let theirs = book(&clinic, &elsewhere, &patient, "11:00").await;
    let conflict = async || {
        let refused = ask(&clinic, doctor, "availability.set", to_caracas(&practice, Some("keepLocalTimes"))).await;
        let refused = refused.unwrap_err();
        let [error] = &refused.errors[..] else { panic!("{refused:?}") };
        (error.pointer.clone(), error.code.clone())
    };
    assert_eq!(conflict().await, ("/appointments".to_owned(), "conflict".to_owned()));
    ask(&clinic, &patient, "appointment.cancel", json!({ "id": theirs })).await.unwrap();
    // Time off is where it is; what it took is in the way of those that would move into it.
    let off = json!({ "doctorId": doctor.id, "from": { "date": date(3), "time": "10:30" },
        "to": { "date": date(3), "time": "12:00" } });
    let off = ask(&clinic, doctor, "timeOff.create", off).await.unwrap();
    assert_eq!(conflict().await, ("/appointments".to_owned(), "conflict".to_owned()));
    let found = ask(&clinic, &patient, "appointment.get", json!({ "id": id })).await.unwrap();
    assert_eq!((&found["start"], &found["rev"]), (&json!(at(&date(3), "12:00")), &json!(1)));
    let hours = ask(&clinic, doctor, "availability.get", json!({ "doctorId": doctor.id })).await.unwrap();
    assert_eq!(hours["timeZone"], "America/Bogota");
    let gone = json!({ "doctorId": doctor.id, "id": off["id"] });
    ask(&clinic, doctor, "timeOff.delete", gone).await.unwrap();
    ask(&clinic, doctor, "availability.set", to_caracas(&practice, Some("keepLocalTimes"))).await.unwrap();
    let found = ask(&clinic, &patient, "appointment.get", json!({ "id": id })).await.unwrap();
    assert_eq!((&found["start"], &found["timeZone"]), (&json!(at(&date(3), "11:00")), &json!("America/Caracas")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_booked_in_another_zone_is_answered_again_as_it_was() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.connect(&clinic.patient().await).await;
    let (booking, own) = (practice.booking(&at(&date(3), "12:00")), key());
    let booked = patient.request("appointment.book", &booking, Some(own.clone())).await.unwrap().data;
    ask(&clinic, &practice.doctor, "availability.set", to_caracas(&practice, Some("keepLocalTimes"))).await.unwrap();
    let again = patient.request("appointment.book", &booking, Some(own)).await.unwrap().data;
    assert_eq!(again, booked, "though it has moved since");
}
