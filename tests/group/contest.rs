//! Many who want the same session.

use std::collections::{BTreeSet, HashMap};

use cita::clock::Clock;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::{Scene, day, nine};
use crate::harness::cast::token_issued;
use crate::harness::clinic::{Person, connect, key, text};
use crate::harness::watch::Watcher;

/// Two hundred patients on two nodes after ten seats, while everybody watches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_of_two_hundred_have_a_seat() {
    let scene = Scene::set_with(json!({ "capacity": 10 }), &["--heartbeat-ms", "300"]).await;
    let other = scene.clinic.node_with(&["--heartbeat-ms", "300"]).await;
    let mut watchers = Vec::new();
    for url in [scene.clinic.url(), &other.url] {
        for topic in [scene.workshop.slots(&day()), scene.alone.slots(&day()), scene.workshop.calendar()] {
            let connection = connect(url, Some(&scene.workshop.doctor.token)).await;
            watchers.push(Watcher::start(connection, &topic, None).await);
        }
    }
    let before = watchers[0].view.clone();
    let mut people = Vec::new();
    for number in 0..200 {
        let id = Uuid::new_v4().to_string();
        let (name, email) = (format!("Paciente {number}"), format!("{id}@prueba.example"));
        let mut person = Person { id, name, email, token: String::new(), refresh_token: String::new() };
        person.token = token_issued(&scene.clinic, &person, Clock.now()).await;
        let node = if number % 2 == 0 { scene.clinic.url() } else { &other.url };
        people.push((node, person));
    }
    // At once: one after the other, the first might be taken for dead before the last is there.
    let connected =
        people.into_iter().map(|(node, person)| async move { (connect(node, Some(&person.token)).await, person) });
    let connections = join_all(connected).await;
    let booking = scene.workshop.booking(&nine());
    let outcomes =
        connections.iter().map(|(connection, _)| connection.request("appointment.book", booking.clone(), Some(key())));
    let (mut booked, mut refused): (Vec<_>, HashMap<ErrorCode, usize>) = (Vec::new(), HashMap::new());
    for outcome in join_all(outcomes).await {
        match outcome {
            Ok(reply) => booked.push(reply.data),
            Err(error) => *refused.entry(error.code().unwrap_or_else(|| panic!("{error}"))).or_default() += 1,
        }
    }
    assert_eq!((booked.len(), refused), (10, HashMap::from([(ErrorCode::SlotTaken, 190)])));
    let patients: BTreeSet<String> = booked.iter().map(|item| text(item, "patientId")).collect();
    assert_eq!(patients.len(), 10, "one seat each");

    let doctor = scene.clinic.connect(&scene.workshop.doctor).await;
    let last = json!({ "id": scene.workshop.doctor.id, "bio": "fin" });
    let end = doctor.request("doctor.update", last, Some(key())).await.unwrap().cursor.unwrap().0;
    let held: BTreeSet<String> = booked.iter().map(|item| text(item, "id")).collect();
    for mut watcher in watchers {
        let told = watcher.until_cursor(&end).await;
        assert_eq!((told.snapshots, told.resets), (1, 0));
        let fresh = Watcher::start(scene.clinic.connect(&scene.workshop.doctor).await, &watcher.topic, None).await;
        assert_eq!(watcher.view.items, fresh.view.items, "{}", watcher.topic);
        if watcher.topic == scene.workshop.calendar() {
            assert_eq!(watcher.view.items.keys().cloned().collect::<BTreeSet<_>>(), held);
            assert_eq!(watcher.view.changes, 10, "each is told once");
        } else {
            assert!(!watcher.view.items.contains_key(&nine()));
        }
        if watcher.topic == scene.workshop.slots(&day()) {
            assert_eq!(watcher.view.changes, 10, "each seat is told, and the last that there is none");
        }
    }
    // Who was away all the time is told the net of it.
    let mut back = Watcher::start(scene.clinic.anon().await, &scene.workshop.slots(&day()), Some(&before.cursor)).await;
    if back.resumed {
        back.view = before;
        back.until_cursor(&end).await;
        assert!(!back.view.items.contains_key(&nine()));
    }
    let sessions = scene.sessions().await;
    assert_eq!((sessions.len(), sessions[0].get_array("seats").unwrap().len()), (1, 10));
    let text = format!("{sessions:?}");
    assert!(!text.contains("Paciente") && patients.iter().all(|id| !text.contains(id)), "it names nobody");
}

/// Who comes and who goes, at once: no seat is given twice, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coming_and_going_keeps_the_count() {
    let scene = Scene::set(3).await;
    let other = scene.clinic.node().await;
    let mut connections = Vec::new();
    for number in 0..12 {
        let id = Uuid::new_v4().to_string();
        let email = format!("{id}@prueba.example");
        let mut person =
            Person { id, name: "Pepe".to_owned(), email, token: String::new(), refresh_token: String::new() };
        person.token = token_issued(&scene.clinic, &person, Clock.now()).await;
        let node = if number % 2 == 0 { scene.clinic.url() } else { &other.url };
        connections.push(connect(node, Some(&person.token)).await);
    }
    let mut calendar =
        Watcher::start(scene.clinic.connect(&scene.workshop.doctor).await, &scene.workshop.calendar(), None).await;
    let walks = join_all(connections.iter().map(async |connection| {
        let mut kept = None;
        for _ in 0..8 {
            kept = match kept {
                None => {
                    match connection.request("appointment.book", scene.workshop.booking(&nine()), Some(key())).await {
                        Ok(reply) => Some(text(&reply.data, "id")),
                        Err(error) => {
                            assert_eq!(error.code(), Some(ErrorCode::SlotTaken), "{error}");
                            None
                        }
                    }
                }
                Some(id) => {
                    let cancelled = connection.request("appointment.cancel", json!({ "id": id }), Some(key())).await;
                    assert_eq!(cancelled.expect("it is open").data["status"], "cancelled");
                    None
                }
            };
        }
        kept
    }))
    .await;
    let kept: BTreeSet<String> = walks.into_iter().flatten().collect();
    assert!(kept.len() <= 3, "{kept:?}");
    let open = |items: &std::collections::BTreeMap<String, serde_json::Value>| {
        items.iter().filter(|(_, item)| item["status"] == "booked").map(|(id, _)| id.clone()).collect::<BTreeSet<_>>()
    };
    let seen = calendar.until(|view| open(&view.items) == kept).await.items.clone();
    let fresh =
        Watcher::start(scene.clinic.connect(&scene.workshop.doctor).await, &scene.workshop.calendar(), None).await;
    assert_eq!(open(&fresh.view.items), open(&seen));
    assert_eq!(scene.left(&nine()).await, Some(3 - kept.len() as u64).filter(|left| *left > 0));
}
