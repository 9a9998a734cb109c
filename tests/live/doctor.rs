//! The topic of a doctor, and what becomes of subscriptions when the public may no longer see the doctor.

use cita::domain::doctor::Approval;
use cita::domain::ids::{SessionId, UserId};
use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita::store::doctors::DoctorStore;
use cita::store::idempotency::Request;
use cita_cli::{Connection, Frame};
use cita_protocol::ErrorCode;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::harness::clinic::{Clinic, PATIENCE, Person, connect, date, key};
use crate::harness::watch::Watcher;

fn face(doctor: &Person) -> String {
    format!("doctors/{}", doctor.id)
}

async fn update(connection: &Connection, doctor: &Person, bio: &str) -> String {
    let change = json!({ "id": doctor.id, "bio": bio });
    connection.request("doctor.update", change, Some(key())).await.unwrap().cursor.unwrap().0
}

/// What an admin does: writes the doctor's next revision with another approval.
pub async fn decide(clinic: &Clinic, doctor: &Person, approval: Approval) {
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
    let (store, id) = (DoctorStore::new(cluster), UserId(doctor.id.parse().unwrap()));
    let (stored, _) = store.find(id).await.unwrap().expect("the doctor");
    let mut next = stored.doctor.clone();
    next.approval = approval;
    next.rev += 1;
    let session = SessionId(Uuid::nil());
    let at = next.updated_at;
    let request =
        Request { user: id, session, operation: "test.decide", key: Uuid::new_v4(), fingerprint: [0; 32], at };
    store.replace(&stored, &next, &request).await.unwrap().expect("nobody else changes the doctor");
}

/// The next frame of a kind, beside heartbeats.
async fn next(connection: &Connection, kind: &str) -> Frame {
    let waiting = async {
        loop {
            let frame = connection.next_event().await.expect("the connection stays");
            if frame.kind == kind {
                return frame;
            }
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {kind} in time"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_doctor_shows_is_seen_live_on_every_node() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let (id, topic) = (&practice.doctor.id, face(&practice.doctor));
    let mut visitor = Watcher::start(clinic.anon().await, &topic, None).await;
    let mut elsewhere = Watcher::start(other.connect(None).await, &topic, None).await;
    let doctor = clinic.connect(&practice.doctor).await;
    update(&doctor, &practice.doctor, "Hola").await;
    let service = json!({ "doctorId": id, "name": "Control", "durationMinutes": 20 });
    doctor.request("service.create", service, Some(key())).await.unwrap();
    // Other hours are no other face: they show as slots.
    let hours = json!({ "doctorId": id, "timeZone": "America/Bogota", "weekly": [] });
    doctor.request("availability.set", hours, Some(key())).await.unwrap();
    let zone = json!({ "id": id, "timeZone": "Europe/Madrid", "experienceYears": 7 });
    let last = doctor.request("doctor.update", zone, Some(key())).await.unwrap();

    let mut expected = clinic.anon().await.request("doctor.get", json!({ "id": id }), None).await.unwrap().data;
    expected["services"] =
        doctor.request("service.list", json!({ "doctorId": id }), None).await.unwrap().data["items"].clone();
    assert_eq!((&expected["bio"], expected["services"].as_array().unwrap().len()), (&json!("Hola"), 2));
    for watcher in [&mut visitor, &mut elsewhere] {
        watcher.until(|view| view.items[id]["timeZone"] == "Europe/Madrid").await;
        assert_eq!(watcher.view.items[id], expected);
        assert_eq!((watcher.view.snapshots, watcher.view.changes), (1, 3), "one for each change of the face");
        assert_eq!(watcher.view.cursor, last.cursor.as_ref().unwrap().0);
    }
    let windowed = json!({ "topic": topic, "from": date(1) });
    let refused = visitor.connection.request("subscribe", windowed, None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::ValidationFailed));
    let unknown = json!({ "topic": format!("doctors/{}", Uuid::new_v4()) });
    let refused = visitor.connection.request("subscribe", unknown, None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_is_told_the_present_face_and_only_if_it_is_another() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let other = clinic.node_with(&["--heartbeat-ms", "300"]).await;
    let practice = clinic.practice().await;
    let (id, topic) = (&practice.doctor.id, face(&practice.doctor));
    let doctor = clinic.connect(&practice.doctor).await;
    let cursor = update(&doctor, &practice.doctor, "Uno").await;
    let mut before = Watcher::start(clinic.anon().await, &topic, None).await;
    before.until_cursor(&cursor).await;
    for url in [clinic.url(), other.url.as_str()] {
        let after = before.view.cursor.clone();
        let mut unchanged = Watcher::start(connect(url, None).await, &topic, Some(&after)).await;
        assert!(unchanged.resumed);
        unchanged.view = before.view.clone();
        let seen = unchanged.view.cursor.clone();
        unchanged.until(|view| view.cursor > seen).await;
        assert_eq!(unchanged.view.changes, before.view.changes, "there was nothing to tell");
    }
    update(&doctor, &practice.doctor, "Dos").await;
    let last = update(&doctor, &practice.doctor, "Tres").await;
    for url in [clinic.url(), other.url.as_str()] {
        let mut returned = Watcher::start(connect(url, None).await, &topic, Some(&before.view.cursor)).await;
        assert!(returned.resumed);
        returned.until_cursor(&last).await;
        assert_eq!((returned.view.snapshots, returned.view.changes), (0, 1), "the net of both");
        assert_eq!(returned.view.items[id]["bio"], "Tres");
    }
    let anew = Watcher::start(clinic.anon().await, &topic, Some("garbage")).await;
    assert_eq!((anew.resumed, anew.view.resets, anew.view.snapshots), (false, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_see_a_draft_is_told_that_the_subscription_has_ended() {
    let clinic = Clinic::open_with(&["--ws-subscriptions", "4", "--heartbeat-ms", "300"]).await;
    let other = clinic.node().await;
    let (practice, second) = (clinic.practice().await, clinic.practice().await);
    let topic = face(&practice.doctor);
    let range = format!("doctors/{}/slots/{}", practice.doctor.id, practice.service);
    let patient = clinic.patient().await;
    let strangers = [
        clinic.anon().await,
        clinic.connect(&patient).await,
        clinic.connect(&second.doctor).await,
        other.connect(None).await,
    ];
    for stranger in &strangers {
        stranger.request("subscribe", json!({ "topic": topic }), None).await.unwrap();
        let dates = json!({ "topic": range, "from": date(1), "to": date(2) });
        stranger.request("subscribe", dates, None).await.unwrap();
        stranger.request("subscribe", json!({ "topic": face(&second.doctor) }), None).await.unwrap();
    }
    let mut own = Watcher::start(clinic.connect(&practice.doctor).await, &topic, None).await;
    let mut own_slots = Watcher::start(clinic.connect(&practice.doctor).await, &practice.slots(&date(1)), None).await;
    let admin = crate::harness::cast::admin(&clinic).await;
    let mut office = Watcher::start(clinic.connect(&admin).await, &topic, None).await;

    decide(&clinic, &practice.doctor, Approval::Rejected).await;
    let mut expected = vec![topic.clone(), practice.slots(&date(1)), practice.slots(&date(2))];
    expected.sort();
    for stranger in &strangers {
        let mut ended = Vec::new();
        while ended.len() < 3 {
            let error = next(stranger, "error").await;
            assert_eq!((error.id, &error.data["code"]), (None, &json!("not_found")));
            ended.push(error.data["topic"].as_str().expect("a topic").to_owned());
        }
        ended.sort();
        assert_eq!(ended, expected);
        for gone in [&topic, &range] {
            let refused = stranger.request("unsubscribe", json!({ "topic": gone }), None).await.unwrap_err();
            assert_eq!(refused.code(), Some(ErrorCode::NotFound), "it is forgotten");
            let refused = stranger.request("subscribe", json!({ "topic": topic }), None).await.unwrap_err();
            assert_eq!(refused.code(), Some(ErrorCode::NotFound), "and cannot be had");
        }
        // The room is given back, and the rest of the connection goes on.
        let range = format!("doctors/{}/slots/{}", second.doctor.id, second.service);
        let three = json!({ "topic": range, "from": date(1), "to": date(3) });
        stranger.request("subscribe", three, None).await.expect("three of four are free again");
    }
    let is = |word: &'static str| {
        let id = practice.doctor.id.clone();
        move |view: &crate::harness::watch::View| view.items[&id]["approval"] == word
    };
    own.until(is("rejected")).await;
    office.until(is("rejected")).await;
    own_slots.until(|view| view.items.is_empty()).await;

    decide(&clinic, &practice.doctor, Approval::Approved).await;
    own.until(is("approved")).await;
    own_slots.until(|view| view.items.len() == 20).await;
    let last = update(&clinic.connect(&second.doctor).await, &second.doctor, "Sigue").await;
    for stranger in &strangers {
        let change = loop {
            let frame = next(stranger, "change").await;
            if frame.data["topic"] == Value::String(face(&second.doctor)) {
                break frame;
            }
            assert_ne!(frame.data["topic"], json!(topic), "nothing of what has ended");
        };
        assert_eq!(change.cursor.unwrap().0, last);
        stranger.request("unsubscribe", json!({ "topic": face(&second.doctor) }), None).await.unwrap();
        stranger.request("subscribe", json!({ "topic": topic }), None).await.expect("the doctor is back");
    }
}
