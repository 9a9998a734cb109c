//! Many who write, change, hide and restore at once: the rating is what the published reviews make it, on every screen.

use cita_cli::Connection;
use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::Scene;
use crate::harness::cast::admin;
use crate::harness::clinic::{Clinic, at, connect, date, key, text};
use crate::harness::visits::visit;
use crate::harness::watch::Watcher;

const PATIENTS: u32 = 20;
const ROUNDS: u32 = 4;

struct Author {
    connection: Connection,
    admin: Connection,
    review: Value,
    /// Different for everybody, and the same in each run.
    seed: u32,
}

/// Writes a review, then changes, hides and restores it at random.
async fn write_and_change(mut author: Author) {
    let review = std::mem::take(&mut author.review);
    let written = author.connection.request("review.create", review, Some(key())).await.expect("a review");
    let id = text(&written.data, "id");
    for round in 0..ROUNDS {
        author.seed = author.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let dice = author.seed >> 16;
        let outcome = match dice % 4 {
            0 => author.admin.request("admin.hideReview", json!({ "id": id, "reason": "azar" }), Some(key())).await,
            1 => author.admin.request("admin.restoreReview", json!({ "id": id, "reason": "azar" }), Some(key())).await,
            _ => {
                let edit = json!({ "id": id, "rating": 1 + (dice / 4 + round) % 5 });
                author.connection.request("review.update", edit, Some(key())).await
            }
        };
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rating_is_exact_whoever_writes_at_the_same_time() {
    let scene = Scene::set_in(Clinic::open_with(&["--heartbeat-ms", "300", "--rate-write", "100000"]).await).await;
    let other = scene.clinic.node().await;
    let moderator = admin(&scene.clinic).await;
    let doctor = &scene.practice.doctor;
    let face = format!("doctors/{}", doctor.id);
    let mut faces = Vec::new();
    let mut lists = Vec::new();
    for url in [scene.clinic.url(), &other.url] {
        faces.push(Watcher::start(connect(url, None).await, &face, None).await);
        lists.push(Watcher::start(connect(url, None).await, &scene.topic(), None).await);
    }
    let mut authors = Vec::new();
    for number in 0..PATIENTS {
        let url = if number % 2 == 0 { scene.clinic.url() } else { &other.url };
        let patient = scene.clinic.patient().await;
        let start = at(&date(2), &format!("{:02}:{:02}", 8 + number / 2, number % 2 * 30));
        let visit = visit(&scene.clinic, &scene.practice, &patient, &start).await;
        authors.push(Author {
            connection: connect(url, Some(&patient.token)).await,
            admin: connect(url, Some(&moderator.token)).await,
            review: json!({ "doctorId": doctor.id, "appointmentId": visit, "rating": 1 + number % 5 }),
            seed: number,
        });
    }
    let mut writing = tokio::task::JoinSet::new();
    for author in authors {
        writing.spawn(write_and_change(author));
    }
    while let Some(written) = writing.join_next().await {
        written.expect("nothing is refused");
    }

    let shown = scene.shown().await;
    let sum: u64 = shown.iter().map(|review| review["rating"].as_u64().unwrap()).sum();
    let count = shown.len();
    assert!(count > 0 && count < usize::try_from(PATIENTS).unwrap() + 1);
    let average = (sum as f64 / count as f64 * 100.0).round() / 100.0;
    let expected = json!({ "average": average, "count": count });
    assert_eq!(scene.rating().await, expected);
    for face in &mut faces {
        face.until(|view| view.items[&doctor.id]["rating"] == expected).await;
    }
    let own = scene.clinic.connect(doctor).await;
    let update = json!({ "id": doctor.id, "bio": "Fin" });
    let last =
        own.request("doctor.update", update, Some(key())).await.expect("a last change").cursor.expect("a cursor").0;
    for list in &mut lists {
        list.until_cursor(&last).await;
        let expected = shown.iter().map(|review| (text(review, "id"), review.clone())).collect();
        assert_eq!(list.view.items, expected, "snapshot and changes are a fresh snapshot");
    }
}

/// Two who change one review at once: one after the other, or told that it has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_two_change_at_once_counts_once() {
    let scene = Scene::set().await;
    let moderator = admin(&scene.clinic).await;
    let id = text(&scene.written(5).await, "id");
    let (own, office) = (scene.clinic.connect(&scene.patient).await, scene.clinic.connect(&moderator).await);
    for round in 0..10_u32 {
        let edit = json!({ "id": id, "rating": 1 + round % 5 });
        let name = if round % 2 == 0 { "admin.hideReview" } else { "admin.restoreReview" };
        let decision = json!({ "id": id, "reason": "azar" });
        let (edited, decided) =
            tokio::join!(own.request("review.update", edit, Some(key())), office.request(name, decision, Some(key())));
        edited.expect("the author may");
        decided.expect("the admin may");
    }
    let stale = own.request("review.update", json!({ "id": id, "rev": 3, "rating": 1 }), Some(key())).await;
    assert_eq!(stale.unwrap_err().code(), Some(ErrorCode::StaleRev));
    assert_eq!(scene.rating().await, json!({ "average": 5.0, "count": 1 }));
}
