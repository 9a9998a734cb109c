//! What a doctor notes is read by that doctor.

use serde_json::{Value, json};

use super::{actions, ask, why};
use crate::harness::cast::Cast;
use crate::harness::clinic::{Person, date};
use crate::harness::rest::Rest;
use crate::harness::socket::Socket;
use cita_protocol::{ErrorCode, Operation};

const SECRET: &str = "Sospecha de zoster";

/// Somebody who watches, and every frame that they were sent.
struct Eavesdropper {
    who: String,
    socket: Socket,
    heard: String,
}

impl Eavesdropper {
    async fn at(cast: &Cast, who: &Person, topic: &str) -> Self {
        let mut socket = Socket::open(cast.clinic.url(), Some(&who.token)).await;
        let request = json!({ "type": "subscribe", "id": "s", "data": { "topic": topic } });
        socket.say(&request.to_string()).await;
        let mut watcher = Self { who: format!("{} at {topic}", who.name), socket, heard: String::new() };
        watcher.until(|frame| frame["type"] == "snapshot").await;
        watcher
    }

    /// Listens until there is such a frame.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) {
        loop {
            let frame = self.socket.frame().await;
            self.heard.push_str(&frame.to_string());
            if wanted(&frame) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_are_told_to_their_doctor_alone() {
    let cast = Cast::meet().await;
    let (clinic, doctor) = (&cast.clinic, &cast.practice.doctor);
    let id = cast.appointment().await;
    let calendar = cast.practice.calendar();
    let mut watchers = Vec::new();
    for (who, topic) in [
        (doctor, calendar.as_str()),
        (&cast.staff, &calendar),
        (&cast.admin, &calendar),
        (&cast.patient, "me/appointments"),
        (doctor, "me/appointments"),
    ] {
        watchers.push(Eavesdropper::at(&cast, who, topic).await);
    }

    let set = json!({ "id": id, "rev": 1, "notes": SECRET });
    let noted = ask(clinic, doctor, "appointment.setNotes", set).await.unwrap();
    assert_eq!((&noted["notes"], &noted["rev"]), (&json!(SECRET), &json!(2)));
    let own = ask(clinic, doctor, "appointment.get", json!({ "id": id })).await.unwrap();
    assert_eq!(own, noted);
    let arrived = ask(clinic, doctor, "appointment.checkIn", json!({ "id": id })).await.unwrap();
    assert_eq!(arrived["notes"], json!(SECRET), "a reply to that doctor");

    // Replies to others, lists of everybody, histories.
    let mut told = Vec::new();
    for who in [&cast.staff, &cast.admin, &cast.patient] {
        for (operation, data) in [
            ("appointment.get", json!({ "id": id })),
            ("appointment.history", json!({ "id": id })),
            ("me.export", json!({})),
        ] {
            told.push(ask(clinic, who, operation, data).await.unwrap());
        }
        assert_eq!(actions(clinic, who, &id).await, ["booked", "checkedIn"], "{}", who.name);
    }
    for who in [doctor, &cast.staff, &cast.admin] {
        let list = json!({ "doctorId": doctor.id });
        told.push(ask(clinic, who, "appointment.list", list).await.unwrap());
    }
    told.push(ask(clinic, doctor, "appointment.history", json!({ "id": id })).await.unwrap());
    told.push(ask(clinic, &cast.patient, "appointment.list", json!({})).await.unwrap());
    told.push(ask(clinic, &cast.staff, "appointment.complete", json!({ "id": id })).await.unwrap());
    assert!(told.iter().all(|reply| !reply.to_string().contains(SECRET)), "{told:#?}");
    assert_eq!(actions(clinic, doctor, &id).await, ["booked", "noted", "checkedIn", "completed"]);

    // What was pushed, and what those are given who come now.
    for watcher in
        watchers.iter_mut().filter(|watcher| !watcher.who.starts_with(&doctor.name) || watcher.who.contains("doctors/"))
    {
        watcher.until(|frame| frame["data"]["upserted"][0]["rev"] == json!(4)).await;
    }
    for (who, topic) in [(doctor, calendar.as_str()), (&cast.staff, &calendar), (&cast.patient, "me/appointments")] {
        watchers.push(Eavesdropper::at(&cast, who, topic).await);
    }
    for watcher in &watchers {
        assert!(!watcher.heard.contains(SECRET) && !watcher.heard.contains("\"notes\""), "{}", watcher.who);
    }

    let export = ask(clinic, doctor, "me.export", json!({})).await.unwrap();
    assert_eq!(export["appointments"]["items"][0]["appointment"]["notes"], json!(SECRET), "the doctor's own words");

    let none = ask(clinic, doctor, "appointment.setNotes", json!({ "id": id, "notes": "" })).await.unwrap();
    assert_eq!((none.get("notes"), &none["status"]), (None, &json!("fulfilled")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_are_limited_and_written_once_a_key() {
    let cast = Cast::meet().await;
    let id = cast.appointment().await;
    let doctor = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
    let set = |notes: &str| json!({ "id": id, "notes": notes });
    let (long, longer) = ("ñ".repeat(4_000), "ñ".repeat(4_001));
    let refused = doctor.call(Operation::AppointmentSetNotes, &set(&longer), Some("k")).await;
    assert_eq!(refused.fields(), ["/notes too_long"]);
    let refused = doctor.call(Operation::AppointmentSetNotes, &json!({ "id": id }), Some("k")).await;
    assert_eq!(refused.fields(), ["/notes required"]);
    let first = doctor.call(Operation::AppointmentSetNotes, &set(&long), Some("k")).await;
    assert_eq!((first.code(), first.json()["rev"].as_u64()), (None, Some(2)));
    let again = doctor.call(Operation::AppointmentSetNotes, &set(&long), Some("k")).await;
    assert_eq!(again.json(), first.json());
    let other = doctor.call(Operation::AppointmentSetNotes, &set("Otra cosa"), Some("k")).await;
    assert_eq!(other.code().as_deref(), Some("idempotency_key_reused"));
    assert_eq!(why(ask(&cast.clinic, &cast.patient, "appointment.setNotes", set("Yo")).await).0, ErrorCode::Forbidden);
    let list = json!({ "from": crate::harness::clinic::at(&date(0), "00:00") });
    assert!(doctor.call(Operation::AppointmentList, &list, None).await.json()["items"][0].get("notes").is_none());
}
