//! Who reviews what, how often, and what nobody learns from it.

use cita::clock::Clock;
use cita_protocol::{ErrorCode, Operation};
use serde_json::json;

use super::{Scene, code};
use crate::harness::cast::{admin, receptionist};
use crate::harness::clinic::{Clinic, at, date, key, register, text};
use crate::harness::rest::Rest;
use crate::harness::visits::{set_status, visit};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_reviews_a_visit_that_took_place_once() {
    let scene = Scene::set().await;
    let (patient, doctor) = (&scene.patient, &scene.practice.doctor);
    for status in ["booked", "arrived", "noshow", "cancelled"] {
        set_status(&scene.clinic, &scene.visit, status).await;
        let answer = scene.ask(patient, Operation::ReviewCreate, scene.review(4)).await;
        assert_eq!(answer.code(), code(ErrorCode::NotReviewable), "{status}");
    }
    set_status(&scene.clinic, &scene.visit, "fulfilled").await;
    // Visits of others, and with others, are not there.
    let other = scene.clinic.patient().await;
    let second = scene.clinic.practice().await;
    let mut elsewhere = scene.review(4);
    elsewhere["doctorId"] = json!(second.doctor.id);
    for (who, data) in [(&other, scene.review(4)), (doctor, scene.review(4)), (patient, elsewhere)] {
        assert_eq!(scene.ask(who, Operation::ReviewCreate, data).await.code(), code(ErrorCode::NotFound));
    }
    for (field, value) in [("rating", json!(0)), ("rating", json!(6)), ("text", json!("x".repeat(2_001)))] {
        let mut data = scene.review(4);
        data[field] = value;
        let answer = scene.ask(patient, Operation::ReviewCreate, data).await;
        assert_eq!(answer.code(), code(ErrorCode::ValidationFailed), "{field}");
    }
    // Nor does anybody praise themselves.
    let own = visit(&scene.clinic, &scene.practice, doctor, &at(&date(1), "15:00")).await;
    let praise = json!({ "doctorId": doctor.id, "appointmentId": own, "rating": 5 });
    assert_eq!(scene.ask(doctor, Operation::ReviewCreate, praise).await.code(), code(ErrorCode::NotReviewable));
    assert_eq!((scene.rating().await, scene.shown().await.len()), (json!(null), 0));

    let own_key = key();
    let rest = scene.rest(Some(patient));
    let first = rest.call(Operation::ReviewCreate, &scene.review(4), Some(&own_key)).await;
    let review = first.json();
    assert_eq!(first.header("location"), format!("/v1/reviews/{}", text(&review, "id")));
    let today = Clock.now().in_tz("America/Bogota").unwrap().date().to_string();
    let expected = json!({
        "id": review["id"], "rev": 1, "doctorId": doctor.id, "rating": 4, "text": "Muy amable", "createdOn": today, "mine": true
    });
    assert_eq!(review, expected, "this and nothing else");
    assert_eq!(rest.call(Operation::ReviewCreate, &scene.review(4), Some(&own_key)).await.json(), review);
    let answer = rest.call(Operation::ReviewCreate, &scene.review(1), Some(&own_key)).await;
    // Another body under the key of the first.
    assert_eq!(answer.code(), code(ErrorCode::IdempotencyKeyReused));
    let answer = scene.ask(patient, Operation::ReviewCreate, scene.review(4)).await;
    assert_eq!(answer.code(), code(ErrorCode::AlreadyReviewed));
    assert_eq!(scene.rating().await, json!({ "average": 4.0, "count": 1 }));
    let mut public = expected;
    public.as_object_mut().unwrap().remove("mine");
    assert_eq!(scene.shown().await, [public]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_reviewed_stays_what_it_is() {
    let scene = Scene::set().await;
    let (patient, doctor) = (&scene.patient, &scene.practice.doctor);
    let booking = scene.practice.booking(&at(&date(1), "16:00"));
    let visit = text(&scene.ask(patient, Operation::AppointmentBook, booking).await.json(), "id");
    let review = json!({ "doctorId": doctor.id, "appointmentId": visit, "rating": 5 });
    let moves = [Operation::AppointmentCheckIn, Operation::AppointmentComplete];
    for operation in moves {
        let refused = scene.ask(patient, Operation::ReviewCreate, review.clone()).await;
        assert_eq!(refused.code(), code(ErrorCode::NotReviewable), "before {}", operation.name());
        assert_eq!(scene.ask(doctor, operation, json!({ "id": visit })).await.code(), None);
    }
    // While nobody has reviewed it, a slip can be taken back.
    let undo = json!({ "id": visit });
    assert_eq!(scene.ask(doctor, Operation::AppointmentUndo, undo.clone()).await.code(), None);
    assert_eq!(scene.ask(doctor, Operation::AppointmentComplete, undo.clone()).await.code(), None);
    assert_eq!(scene.ask(patient, Operation::ReviewCreate, review).await.status, 201);
    let refused = scene.ask(doctor, Operation::AppointmentUndo, undo.clone()).await;
    assert_eq!(refused.code(), code(ErrorCode::IllegalTransition));
    let history = scene.rest(Some(patient)).call(Operation::AppointmentHistory, &undo, None).await.json();
    assert_eq!(history["items"].as_array().unwrap().last().unwrap()["action"], "reviewed");
    // What is noted afterwards takes nothing of that away.
    let notes = json!({ "id": visit, "notes": "Control en un mes" });
    assert_eq!(scene.ask(doctor, Operation::AppointmentSetNotes, notes).await.code(), None);
    let refused = scene.ask(doctor, Operation::AppointmentUndo, undo).await;
    assert_eq!(refused.code(), code(ErrorCode::IllegalTransition));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_review_one_visit_at_once_one_succeeds() {
    let scene = Scene::set().await;
    let other = scene.clinic.node().await;
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..8_u32 {
        let url = if racer % 2 == 0 { scene.clinic.url() } else { &other.url };
        let (url, token, data) = (url.to_owned(), scene.patient.token.clone(), scene.review(1 + racer % 5));
        racers.spawn(async move {
            let rest = Rest { url: &url, token: Some(&token) };
            rest.call(Operation::ReviewCreate, &data, Some(&key())).await
        });
    }
    let answers = racers.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 7));
    assert!(lost.iter().all(|answer| answer.code() == code(ErrorCode::AlreadyReviewed)), "{lost:?}");
    let rating = won[0].json()["rating"].as_f64().unwrap();
    assert_eq!(scene.rating().await, json!({ "average": rating, "count": 1 }));
    assert_eq!(scene.shown().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_author_changes_it_and_the_doctor_answers() {
    let scene = Scene::set().await;
    let (patient, doctor) = (&scene.patient, &scene.practice.doctor);
    let id = text(&scene.written(5).await, "id");
    let edit = json!({ "id": id, "rev": 1, "rating": 2, "text": " " });
    let edited = scene.ask(patient, Operation::ReviewUpdate, edit.clone()).await.json();
    assert_eq!((&edited["rev"], &edited["rating"], edited.get("text")), (&json!(2), &json!(2), None));
    assert_eq!(edited["editedOn"], edited["createdOn"]);
    assert_eq!(scene.rating().await, json!({ "average": 2.0, "count": 1 }));
    assert_eq!(scene.ask(patient, Operation::ReviewUpdate, edit).await.code(), code(ErrorCode::StaleRev));
    let stranger = scene.clinic.patient().await;
    let theirs = json!({ "id": id, "rating": 1 });
    for person in [&stranger, doctor] {
        let answer = scene.ask(person, Operation::ReviewUpdate, theirs.clone()).await;
        assert_eq!(answer.code(), code(ErrorCode::NotFound));
    }
    let reply = |text: &str| json!({ "id": id, "text": text });
    let colleague = scene.clinic.practice().await.doctor;
    for person in [patient, &colleague] {
        assert_eq!(scene.ask(person, Operation::ReviewReply, reply("x")).await.code(), code(ErrorCode::NotFound));
    }
    let answered = scene.ask(doctor, Operation::ReviewReply, reply("Gracias")).await.json();
    assert_eq!((&answered["reply"]["text"], answered.get("mine")), (&json!("Gracias"), None));
    assert_eq!(scene.shown().await, [answered]);
    let silent = scene.ask(doctor, Operation::ReviewReply, reply("")).await.json();
    assert_eq!((&silent["rev"], silent.get("reply")), (&json!(4), None));
}

/// A page ends at a review, and its token tells nothing but which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages_the_newest_first() {
    let scene = Scene::set().await;
    let mut written = vec![text(&scene.written(5).await, "id")];
    for time in ["10:00", "11:00", "12:00", "13:00"] {
        let patient = scene.clinic.patient().await;
        let visit = visit(&scene.clinic, &scene.practice, &patient, &at(&date(1), time)).await;
        let data = json!({ "doctorId": scene.practice.doctor.id, "appointmentId": visit, "rating": 3 });
        written.insert(0, text(&scene.ask(&patient, Operation::ReviewCreate, data).await.json(), "id"));
    }
    for page_size in [1, 2, 5] {
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let mut data = json!({ "doctorId": scene.practice.doctor.id, "pageSize": page_size });
            if let Some(token) = &token {
                data["pageToken"] = json!(token);
            }
            let page = scene.rest(None).call(Operation::ReviewList, &data, None).await.json();
            found.extend(page["items"].as_array().unwrap().iter().map(|item| text(item, "id")));
            token = page["nextPageToken"].as_str().map(str::to_owned);
            match &token {
                Some(token) => assert_eq!(Some(token), found.last()),
                None => break,
            }
        }
        assert_eq!(found, written);
    }
    for token in ["x", "7a41c8e0-52b6-8d19-a3f4-0b9d6e27c158"] {
        let data = json!({ "doctorId": scene.practice.doctor.id, "pageToken": token });
        let answer = scene.rest(None).call(Operation::ReviewList, &data, None).await;
        assert_eq!(answer.fields(), ["/pageToken invalid"]);
    }
}

/// Through every door that shows reviews, as everybody but the author and admins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_says_nothing_of_who_was_where() {
    let scene = Scene::set().await;
    let doctor = &scene.practice.doctor;
    let admin = admin(&scene.clinic).await;
    let staff = receptionist(&scene.clinic, &admin, Some(doctor)).await;
    let other = scene.clinic.patient().await;
    let mut live = Watcher::start(scene.clinic.anon().await, &scene.topic(), None).await;
    let mut face = Watcher::start(scene.clinic.anon().await, &format!("doctors/{}", doctor.id), None).await;
    let id = text(&scene.written(3).await, "id");
    let edit = json!({ "id": id, "rating": 4 });
    scene.ask(&scene.patient, Operation::ReviewUpdate, edit).await;
    let mut told = Vec::new();
    let answered = scene.ask(doctor, Operation::ReviewReply, json!({ "id": id, "text": "Gracias" })).await;
    told.push(answered.body);
    let report = json!({ "id": id, "reason": "No es cierto" });
    for person in [&other, doctor, &staff] {
        told.push(scene.ask(person, Operation::ReviewReport, report.clone()).await.body);
    }
    live.until(|view| view.items.get(&id).is_some_and(|item| item["rev"] == 6)).await;
    face.until(|view| view.items[&doctor.id]["rating"]["average"] == 4.0).await;
    // The services are there anyway.
    let mut shown = face.view.items[&doctor.id].clone();
    shown.as_object_mut().unwrap().remove("services");
    told.push(format!("{:?} {shown}", live.view.items));
    let list = json!({ "doctorId": doctor.id });
    let readers = [None, Some(&other), Some(doctor), Some(&staff)];
    for reader in readers {
        let answer = scene.rest(reader).call(Operation::ReviewList, &list, None).await;
        assert_eq!(answer.json()["items"].as_array().unwrap().len(), 1);
        told.push(answer.body);
        let snapshot = match reader {
            Some(person) => Watcher::start(scene.clinic.connect(person).await, &scene.topic(), None).await,
            None => Watcher::start(scene.clinic.anon().await, &scene.topic(), None).await,
        };
        told.push(format!("{:?}", snapshot.view.items));
    }
    // Whom it was reported by is for admins, and who wrote it for nobody.
    let listed = scene.rest(Some(&admin)).call(Operation::AdminListReviews, &json!({}), None).await.body;
    assert!(listed.contains(&other.id) && listed.contains(&doctor.id));
    let start = at(&date(1), "09:00");
    let secret = [
        &scene.visit,
        &scene.patient.id,
        &scene.patient.name,
        &scene.patient.email,
        &start,
        &scene.practice.service,
        "patient",
        "appointment",
    ];
    for text in told.iter().chain([&listed]) {
        assert!(text.contains(&id), "{text}");
        for secret in secret {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(told.iter().all(|text| !text.contains("No es cierto") && !text.contains(&other.id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doctor_who_is_not_shown_is_not_reviewed() {
    use cita::domain::doctor::Approval;
    let scene = Scene::set_in(Clinic::open().await).await;
    let id = text(&scene.written(3).await, "id");
    let late = register(scene.clinic.url(), "patient", "Tarde").await;
    let visit = visit(&scene.clinic, &scene.practice, &late, &at(&date(1), "10:00")).await;
    crate::live::doctor::decide(&scene.clinic, &scene.practice.doctor, Approval::Rejected).await;
    let data = json!({ "doctorId": scene.practice.doctor.id, "appointmentId": visit, "rating": 3 });
    let (own, theirs) = (&scene.patient, &late);
    let not_found = code(ErrorCode::NotFound);
    // The node hears of it a moment later.
    crate::harness::until(async || {
        scene.ask(theirs, Operation::ReviewReport, json!({ "id": id, "reason": "x" })).await.code() == not_found
    })
    .await;
    assert_eq!(scene.ask(theirs, Operation::ReviewCreate, data).await.code(), not_found);
    assert_eq!(scene.ask(own, Operation::ReviewUpdate, json!({ "id": id, "rating": 1 })).await.code(), not_found);
    let list = json!({ "doctorId": scene.practice.doctor.id });
    assert_eq!(scene.rest(Some(own)).call(Operation::ReviewList, &list, None).await.code(), not_found);
}
