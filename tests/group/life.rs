//! What becomes of a seat: the life of an appointment, reviews, and leaving for good.

use cita::clock::Clock;
use cita_protocol::ErrorCode;
use mongodb::bson::{Document, doc};
use serde_json::json;

use super::{Scene, code, nine};
use crate::harness::clinic::{at, date, text};
use crate::harness::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_seat_has_a_life_of_its_own() {
    let scene = Scene::set_with(json!({ "capacity": 3, "requiresApproval": true }), &[]).await;
    let doctor = &scene.workshop.doctor;
    let (one, two, three) = (scene.clinic.patient().await, scene.clinic.patient().await, scene.clinic.patient().await);
    let (first, second) = (scene.booked(&one, &nine()).await, scene.booked(&two, &nine()).await);
    let third = scene.booked(&three, &nine()).await;
    assert_eq!(scene.left(&nine()).await, None, "a request has its seat");
    let act = async |verb: &str, id: &str| scene.ask(doctor, &format!("appointment.{verb}"), json!({ "id": id })).await;
    assert_eq!(act("approve", &first).await.unwrap()["status"], "booked");
    assert_eq!(act("decline", &third).await.unwrap()["status"], "cancelled");
    assert_eq!(scene.left(&nine()).await, Some(1));
    assert_eq!(act("approve", &second).await.unwrap()["status"], "booked");
    let notes = json!({ "id": first, "notes": "Llega tarde\nsiempre", "rev": 2 });
    assert_eq!(scene.ask(doctor, "appointment.setNotes", notes.clone()).await.unwrap()["rev"], 3);
    assert_eq!(code(&scene.ask(doctor, "appointment.setNotes", notes).await), Some(ErrorCode::StaleRev));
    // What others do is no other revision of this one.
    assert_eq!(act("checkIn", &second).await.unwrap()["rev"], 3);
    assert_eq!(act("checkIn", &first).await.unwrap()["rev"], 4);
    assert_eq!(act("complete", &first).await.unwrap()["status"], "fulfilled");
    assert_eq!(act("undo", &second).await.unwrap()["status"], "booked");
    assert_eq!(act("noShow", &second).await.unwrap()["status"], "noshow");
    assert_eq!(scene.left(&nine()).await, Some(1), "who came and who did not keep their seats");

    let history = scene.ask(&one, "appointment.history", json!({ "id": first })).await.unwrap();
    let actions: Vec<&str> =
        history["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["requested", "approved", "checkedIn", "completed"]);

    let review = |id: &str| json!({ "doctorId": doctor.id, "appointmentId": id, "rating": 5 });
    assert_eq!(scene.ask(&one, "review.create", review(&first)).await.unwrap()["rating"], 5);
    assert_eq!(code(&scene.ask(&one, "review.create", review(&first)).await), Some(ErrorCode::AlreadyReviewed));
    assert_eq!(code(&scene.ask(&two, "review.create", review(&second)).await), Some(ErrorCode::NotReviewable));
    assert_eq!(code(&scene.ask(&two, "review.create", review(&first)).await), Some(ErrorCode::NotFound));
    assert_eq!(scene.ask(doctor, "doctor.get", json!({ "id": doctor.id })).await.unwrap()["rating"]["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_for_good_takes_their_seat_along() {
    let scene = Scene::set(2).await;
    let office = Office::of(&scene.clinic).await;
    let one = scene.clinic.person("patient", "Zenobia Quintanilla").await;
    let two = scene.clinic.patient().await;
    let (past, coming) = (at(&date(4), "09:00"), nine());
    let visit = scene.booked(&one, &past).await;
    let ahead = scene.booked(&one, &coming).await;
    let other = scene.booked(&two, &coming).await;
    for verb in ["appointment.checkIn", "appointment.complete"] {
        scene.ask(&scene.workshop.doctor, verb, json!({ "id": visit })).await.unwrap();
    }
    let exported = scene.ask(&one, "me.export", json!({})).await.unwrap();
    let ids: Vec<String> = exported["appointments"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["appointment"], "id"))
        .collect();
    assert_eq!(ids, [ahead.clone(), visit.clone()]);

    scene.ask(&one, "me.delete", json!({})).await.unwrap();
    office.erasure.erase_closed(Clock.now()).await.unwrap();
    assert_eq!(scene.left(&coming).await, Some(1), "the seat is free");
    let kept = scene.ask(&two, "appointment.get", json!({ "id": other })).await.unwrap();
    assert_eq!((&kept["status"], &kept["rev"]), (&json!("booked"), &json!(1)));
    let seen = scene.ask(&scene.workshop.doctor, "appointment.get", json!({ "id": visit })).await.unwrap();
    assert_eq!((&seen["status"], &seen["patientName"]), (&json!("fulfilled"), &json!("")));
    let all = office.appointments.db.collection::<Document>("appointments");
    let id = mongodb::bson::Uuid::parse_str(&one.id).unwrap();
    assert_eq!(all.count_documents(doc! { "$or": [{ "patientId": id }, { "seats.heldBy": id }] }).await.unwrap(), 0);

    // With the doctor go the sessions that are to come.
    scene.ask(&scene.workshop.doctor, "me.delete", json!({})).await.unwrap();
    office.erasure.erase_closed(Clock.now()).await.unwrap();
    let cancelled = scene.ask(&two, "appointment.get", json!({ "id": other })).await.unwrap();
    assert_eq!(cancelled["status"], "cancelled");
    let open = scene.sessions().await.into_iter().filter(|session| session.contains_key("claims")).count();
    assert_eq!(open, 1, "that of the visit that took place");
}
