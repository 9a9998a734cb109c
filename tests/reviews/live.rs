//! The topic of a doctor's reviews: snapshot, changes, coming back, and its end.

use cita::domain::doctor::Approval;
use cita_protocol::{ErrorCode, Operation};
use serde_json::{Value, json};

use super::Scene;
use crate::harness::cast::admin;
use crate::harness::clinic::{Person, at, connect, date, key, text};
use crate::harness::visits::visit;
use crate::harness::watch::Watcher;
use crate::live::doctor::decide;

/// Another patient's review.
async fn another(scene: &Scene, time: &str) -> (Person, Value) {
    let patient = scene.clinic.patient().await;
    let visit = visit(&scene.clinic, &scene.practice, &patient, &at(&date(2), time)).await;
    let data = json!({ "doctorId": scene.practice.doctor.id, "appointmentId": visit, "rating": 3 });
    let written = scene.ask(&patient, Operation::ReviewCreate, data).await.json();
    (patient, written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_are_seen_live_and_by_those_who_come_back() {
    let scene = Scene::set().await;
    let other = scene.clinic.node_with(&["--heartbeat-ms", "300"]).await;
    let moderator = admin(&scene.clinic).await;
    let first = text(&scene.written(4).await, "id");
    let topic = scene.topic();
    let mut here = Watcher::start(scene.clinic.anon().await, &topic, None).await;
    let mut there = Watcher::start(other.connect(None).await, &topic, None).await;
    assert_eq!(here.view.items.keys().collect::<Vec<_>>(), [&first]);
    assert_eq!(here.view.items[&first].get("mine"), None);
    let seen = here.view.cursor.clone();

    let (_, second) = another(&scene, "08:00").await;
    let second = text(&second, "id");
    scene.ask(&scene.practice.doctor, Operation::ReviewReply, json!({ "id": first, "text": "Gracias" })).await;
    for watcher in [&mut here, &mut there] {
        watcher.until(|view| view.items.contains_key(&second) && view.items[&first]["rev"] == 2).await;
    }
    let decision = json!({ "id": second, "reason": "No" });
    scene.ask(&moderator, Operation::AdminHideReview, decision.clone()).await;
    for watcher in [&mut here, &mut there] {
        watcher.until(|view| !view.items.contains_key(&second)).await;
    }
    let hidden = here.view.cursor.clone();
    // What happens to a hidden review is nobody's business.
    scene.ask(&moderator, Operation::AdminHideReview, decision.clone()).await;
    let restored = scene.rest(Some(&moderator)).call(Operation::AdminRestoreReview, &decision, Some(&key())).await;
    let last = restored.header("cita-cursor").to_owned();
    for watcher in [&mut here, &mut there] {
        watcher.until_cursor(&last).await;
    }
    let fresh = Watcher::start(scene.clinic.anon().await, &topic, None).await;
    assert_eq!(fresh.view.items, here.view.items, "snapshot and changes are a fresh snapshot");
    assert_eq!(fresh.view.items, there.view.items);
    let shown = scene.shown().await;
    assert_eq!(
        shown.iter().map(|review| (text(review, "id"), review.clone())).collect::<std::collections::BTreeMap<_, _>>(),
        fresh.view.items
    );

    for url in [scene.clinic.url(), &other.url] {
        for after in [&seen, &hidden] {
            let mut returned = Watcher::start(connect(url, None).await, &topic, Some(after)).await;
            assert!(returned.resumed);
            if after == &seen {
                returned.view.items.insert(first.clone(), json!({}));
            } else {
                returned.view.items.insert(first.clone(), fresh.view.items[&first].clone());
            }
            returned.until_cursor(&last).await;
            assert_eq!(returned.view.items, fresh.view.items);
            assert_eq!((returned.view.snapshots, returned.view.resets), (0, 0));
        }
    }
    let anew = Watcher::start(scene.clinic.anon().await, &topic, Some("garbage")).await;
    assert_eq!((anew.resumed, anew.view.resets, anew.view.snapshots), (false, 1, 1));
    let windowed = json!({ "topic": topic, "from": date(1) });
    let refused = here.connection.request("subscribe", windowed, None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::ValidationFailed));
}

/// A snapshot holds the newest hundred. It is taken while others write: none is lost between it and what follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_subscribes_while_others_write_misses_none() {
    let scene = Scene::set().await;
    let mut authors = Vec::new();
    for number in 0..20 {
        let patient = scene.clinic.patient().await;
        let time = format!("{:02}:{:02}", 8 + number / 2, number % 2 * 30);
        let visit = visit(&scene.clinic, &scene.practice, &patient, &at(&date(3), &time)).await;
        let data = json!({ "doctorId": scene.practice.doctor.id, "appointmentId": visit, "rating": 1 + number % 5 });
        authors.push((scene.clinic.connect(&patient).await, data));
    }
    let mut watchers = Vec::new();
    let mut writing = tokio::task::JoinSet::new();
    for (connection, data) in authors {
        writing
            .spawn(async move { connection.request("review.create", data, Some(key())).await.expect("a review").data });
        watchers.push(Watcher::start(scene.clinic.anon().await, &scene.topic(), None).await);
    }
    let written = writing.join_all().await;
    for watcher in &mut watchers {
        watcher.until(|view| view.items.len() == 20).await;
        assert!(written.iter().all(|review| watcher.view.items[&text(review, "id")]["rating"] == review["rating"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reviews_of_a_doctor_who_is_not_shown_end() {
    let scene = Scene::set().await;
    let id = text(&scene.written(4).await, "id");
    let topic = scene.topic();
    let stranger = scene.clinic.anon().await;
    stranger.request("subscribe", json!({ "topic": topic }), None).await.unwrap();
    let mut own = Watcher::start(scene.clinic.connect(&scene.practice.doctor).await, &topic, None).await;
    decide(&scene.clinic, &scene.practice.doctor, Approval::Rejected).await;
    loop {
        let frame = stranger.next_event().await.expect("the connection stays");
        if frame.kind == "error" {
            assert_eq!((&frame.data["code"], &frame.data["topic"]), (&json!("not_found"), &json!(topic)));
            break;
        }
    }
    let refused = stranger.request("subscribe", json!({ "topic": topic }), None).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NotFound));
    let reply = json!({ "id": id, "text": "Sigo aquí" });
    assert_eq!(scene.ask(&scene.practice.doctor, Operation::ReviewReply, reply).await.code(), None);
    own.until(|view| view.items[&id]["reply"]["text"] == "Sigo aquí").await;
    decide(&scene.clinic, &scene.practice.doctor, Approval::Approved).await;
    let mut back = Watcher::start(scene.clinic.anon().await, &topic, None).await;
    back.until(|view| view.items[&id]["rev"] == 2).await;
}
