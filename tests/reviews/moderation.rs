//! Reports, hiding and restoring, and what is left of people who leave.

use cita::clock::Clock;
use cita_protocol::{ErrorCode, Operation};
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{Scene, code};
use crate::harness::cast::{admin, login};
use crate::harness::clinic::{Person, text};
use crate::harness::office::Office;
use crate::harness::until;

async fn moderated(scene: &Scene, admin: &Person, data: Value) -> Vec<Value> {
    let listed = scene.rest(Some(admin)).call(Operation::AdminListReviews, &data, None).await.json();
    listed["items"].as_array().unwrap_or_else(|| panic!("{listed}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_is_hidden_with_a_reason_and_restored_with_another() {
    let scene = Scene::set().await;
    let (admin, reader) = (admin(&scene.clinic).await, scene.clinic.patient().await);
    let id = text(&scene.written(1).await, "id");
    let reported = json!({ "reported": true, "status": "published", "doctorId": scene.practice.doctor.id });
    assert!(moderated(&scene, &admin, reported.clone()).await.is_empty());
    for reason in ["No me gusta", "Nombra a mi hermana"] {
        let report = json!({ "id": id, "reason": reason });
        assert_eq!(scene.ask(&reader, Operation::ReviewReport, report).await.code(), None);
    }
    let found = moderated(&scene, &admin, reported).await;
    assert_eq!(found.len(), 1);
    let reports = found[0]["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "one for each user, the latest");
    assert_eq!((&reports[0]["by"], &reports[0]["reason"]), (&json!(reader.id), &json!("Nombra a mi hermana")));

    let decide = |reason: &str| json!({ "id": id, "reason": reason });
    let stale = json!({ "id": id, "rev": 1, "reason": "x" });
    assert_eq!(scene.ask(&admin, Operation::AdminHideReview, stale).await.code(), code(ErrorCode::StaleRev));
    let hidden = scene.ask(&admin, Operation::AdminHideReview, decide("Nombra a terceros")).await.json();
    assert_eq!((&hidden["status"], &hidden["hiddenReason"]), (&json!("hidden"), &json!("Nombra a terceros")));
    assert_eq!(hidden["reports"], json!([]), "settled");
    let again = scene.ask(&admin, Operation::AdminHideReview, decide("De nuevo")).await.json();
    assert_eq!((scene.shown().await.len(), scene.rating().await), (0, json!(null)), "once, not twice");
    // It is there for its author alone, who is told why and may change it.
    for person in [&reader, &scene.practice.doctor] {
        let report = json!({ "id": id, "reason": "x" });
        assert_eq!(scene.ask(person, Operation::ReviewReport, report).await.code(), code(ErrorCode::NotFound));
    }
    let reply = json!({ "id": id, "text": "x" });
    assert_eq!(
        scene.ask(&scene.practice.doctor, Operation::ReviewReply, reply).await.code(),
        code(ErrorCode::NotFound)
    );
    let edit = json!({ "id": id, "rev": again["rev"], "text": "Sin nombres", "rating": 3 });
    let edited = scene.ask(&scene.patient, Operation::ReviewUpdate, edit).await.json();
    assert_eq!((&edited["hiddenReason"], &edited["mine"]), (&json!("De nuevo"), &json!(true)));
    assert_eq!(scene.rating().await, json!(null), "what is hidden does not count");
    let export = scene.rest(Some(&scene.practice.doctor)).call(Operation::MeExport, &json!({}), None).await.json();
    assert!(!export.to_string().contains("Sin nombres"), "not to its doctor either");

    assert_eq!(moderated(&scene, &admin, json!({ "status": "hidden" })).await.len(), 1);
    let restored = scene.ask(&admin, Operation::AdminRestoreReview, decide("Ya no nombra a nadie")).await.json();
    assert_eq!((&restored["status"], restored.get("hiddenReason")), (&json!("published"), None));
    let events: Vec<_> = restored["history"].as_array().unwrap().iter().map(|event| event["action"].clone()).collect();
    assert_eq!(events, ["written", "hidden", "hidden", "edited", "restored"]);
    let last = restored["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["by"], &last["reason"]), (&json!(admin.id), &json!("Ya no nombra a nadie")));
    assert_eq!(restored["history"][0].get("by"), None, "who wrote it is told to nobody");
    assert_eq!(scene.rating().await, json!({ "average": 3.0, "count": 1 }));
    assert_eq!(scene.shown().await[0]["text"], "Sin nombres");

    let entries = json!({ "userId": admin.id, "pageSize": 100 });
    let entries = scene.rest(Some(&admin)).call(Operation::AdminListAudit, &entries, None).await.json();
    let mut noted: Vec<_> =
        entries["items"].as_array().unwrap().iter().filter(|entry| entry["object"] == json!(id)).collect();
    noted.reverse();
    let noted: Vec<_> =
        noted.iter().map(|entry| (entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap())).collect();
    assert_eq!(noted.last(), Some(&("admin.restoreReview", "asked")));
    assert_eq!(noted.len(), 4, "the stale one too: it was asked for");
}

/// Everything that the collection holds, as text.
async fn everything(office: &Office) -> String {
    let reviews = office.appointments.db.collection::<Document>("reviews");
    let found: Vec<Document> = reviews.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    serde_json::to_string(&found).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_has_left_is_found_in_reviews() {
    let scene = Scene::set().await;
    let office = Office::of(&scene.clinic).await;
    let (reader, doctor) = (scene.clinic.patient().await, &scene.practice.doctor);
    let id = text(&scene.written(4).await, "id");
    let report = json!({ "id": id, "reason": "Motivo secreto" });
    scene.ask(&reader, Operation::ReviewReport, report).await;
    scene.ask(doctor, Operation::ReviewReply, json!({ "id": id, "text": "Respuesta pública" })).await;

    let export = async |person: &Person| {
        let answer = scene.rest(Some(person)).call(Operation::MeExport, &json!({}), None).await.json();
        crate::harness::rest::check_output(Operation::MeExport, &answer);
        (answer["reviews"]["items"].clone(), answer["reviewReports"]["items"].clone())
    };
    let (own, none) = export(&scene.patient).await;
    assert_eq!((&own[0]["text"], &own[0]["mine"], none), (&json!("Muy amable"), &json!(true), json!([])));
    let (answered, _) = export(doctor).await;
    assert_eq!((&answered[0]["reply"]["text"], answered[0].get("mine")), (&json!("Respuesta pública"), None));
    let (none, reports) = export(&reader).await;
    assert_eq!((none, &reports[0]["reason"]), (json!([]), &json!("Motivo secreto")));
    assert_eq!(reports[0]["reviewId"], json!(id));

    let leave = async |person: &Person| {
        let spare = login(scene.clinic.url(), person).await;
        assert_eq!(scene.ask(&spare, Operation::MeDelete, json!({})).await.code(), None);
    };
    leave(&reader).await;
    until(async || !everything(&office).await.contains("Motivo secreto")).await;
    leave(&scene.patient).await;
    let bytes = |person: &Person| {
        let id = mongodb::bson::Uuid::parse_str(&person.id).unwrap();
        serde_json::to_string(&mongodb::bson::Bson::from(id)).unwrap()
    };
    until(async || !everything(&office).await.contains("Muy amable")).await;
    let left = everything(&office).await;
    assert!(left.contains("Respuesta pública"));
    for person in [&reader, &scene.patient] {
        assert!(!left.contains(&bytes(person)), "{left}");
    }
    assert_eq!(scene.rating().await, json!({ "average": 4.0, "count": 1 }), "the rating stays exact");
    let shown = scene.shown().await;
    assert_eq!((&shown[0]["rating"], shown[0].get("text")), (&json!(4), None));
    leave(doctor).await;
    until(async || !everything(&office).await.contains("Respuesta pública")).await;
    // Nothing is left to be done, or it would never end.
    let later = Clock.now() + cita::views::revocations::RETENTION + jiff::SignedDuration::from_mins(1);
    office.erasure.erase_closed(later).await.unwrap();
}
