//! The practice may set rules aside, with a reason. What is taken stays taken.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{ask, why};
use crate::harness::cast::Cast;
use crate::harness::clinic::{at, date, text};

const REASON: &str = "Dolor agudo, se atiende hoy";

/// A booking of the patient at a time, as an exception.
fn exception(cast: &Cast, start: &str) -> Value {
    let mut booking = cast.practice.booking(start);
    booking["patientId"] = json!(cast.patient.id);
    booking["override"] = json!({ "reason": REASON });
    booking
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_books_against_the_rules_and_says_so() {
    let cast = Cast::meet().await;
    let clinic = &cast.clinic;
    for (who, start, rule) in [
        (&cast.staff, at(&date(2), "21:00"), "hours"),
        (&cast.practice.doctor, at(&date(2), "10:05"), "step"),
        (&cast.admin, at(&date(500), "10:00"), "horizon"),
        (&cast.staff, at(&date(0), "00:00"), "past"),
    ] {
        let mut plain = exception(&cast, &start);
        plain.as_object_mut().unwrap().remove("override");
        let refused = why(ask(clinic, who, "appointment.book", plain).await);
        assert_eq!(refused, (ErrorCode::SlotUnavailable, Some(rule.to_owned())), "{start}");
        let booked = ask(clinic, who, "appointment.book", exception(&cast, &start)).await.unwrap();
        assert_eq!((&booked["status"], &booked["start"]), (&json!("booked"), &json!(start)));
        let history = json!({ "id": booked["id"] });
        for reader in [&cast.practice.doctor, &cast.staff, &cast.admin] {
            let told = ask(clinic, reader, "appointment.history", history.clone()).await.unwrap();
            let entry = &told["items"][0];
            assert_eq!(entry["override"], json!({ "rule": rule, "reason": REASON }), "{}", reader.name);
            assert_eq!(entry["by"], json!(who.id));
        }
        let told = ask(clinic, &cast.patient, "appointment.history", history).await.unwrap();
        assert!(!told.to_string().contains("override"), "{told}");
    }
    let export = ask(clinic, &cast.patient, "me.export", json!({})).await.unwrap();
    assert!(!export.to_string().contains(REASON), "what the practice told itself");
    let export = ask(clinic, &cast.practice.doctor, "me.export", json!({})).await.unwrap();
    assert_eq!(export.to_string().matches(REASON).count(), 4);

    let plain = ask(clinic, &cast.staff, "appointment.book", exception(&cast, &cast.free_time())).await.unwrap();
    let told = ask(clinic, &cast.staff, "appointment.history", json!({ "id": plain["id"] })).await.unwrap();
    assert_eq!(told["items"][0].get("override"), None, "no rule was in the way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_override_can_do() {
    let cast = Cast::meet().await;
    let clinic = &cast.clinic;
    let staff = &cast.staff;
    let unavailable = |rule: &str| (ErrorCode::SlotUnavailable, Some(rule.to_owned()));
    for (start, refused) in [
        (at(&date(2), "10:02"), unavailable("step")),
        (at(&date(-2), "10:00"), unavailable("past")),
        (at(&date(366 * 6), "10:00"), unavailable("horizon")),
    ] {
        assert_eq!(why(ask(clinic, staff, "appointment.book", exception(&cast, &start)).await), refused, "{start}");
    }

    // A taken time stays taken, by an appointment as by an exception, and the patient is in one place.
    let taken = cast.free_time();
    let mut booking = cast.practice.booking(&taken);
    booking["patientId"] = json!(cast.other_patient.id);
    ask(clinic, staff, "appointment.book", booking).await.unwrap();
    assert_eq!(why(ask(clinic, staff, "appointment.book", exception(&cast, &taken)).await).0, ErrorCode::SlotTaken);
    let night = at(&date(2), "22:00");
    let first = ask(clinic, staff, "appointment.book", exception(&cast, &night)).await.unwrap();
    let mut second = exception(&cast, &at(&date(2), "22:15"));
    second["patientId"] = json!(cast.other_patient.id);
    assert_eq!(why(ask(clinic, staff, "appointment.book", second).await).0, ErrorCode::SlotTaken);
    let service = json!({ "doctorId": cast.other_doctor.id, "name": "Otra", "durationMinutes": 30 });
    let service = ask(clinic, &cast.other_doctor, "service.create", service).await.unwrap();
    let mut elsewhere = exception(&cast, &night);
    elsewhere["doctorId"] = json!(cast.other_doctor.id);
    elsewhere["serviceId"] = service["id"].clone();
    assert_eq!(
        why(ask(clinic, &cast.other_doctor, "appointment.book", elsewhere).await).0,
        ErrorCode::PatientBusy,
        "nobody is in two places"
    );

    // Not for patients, not without a reason, not without a right.
    let mut own = cast.practice.booking(&at(&date(2), "20:00"));
    own["override"] = json!({ "reason": REASON });
    assert_eq!(why(ask(clinic, &cast.patient, "appointment.book", own).await).0, ErrorCode::Forbidden);
    let id = text(&first, "id");
    let to = json!({ "id": id, "start": at(&date(2), "20:00"), "override": { "reason": REASON } });
    for (who, code) in [(&cast.patient, ErrorCode::Forbidden), (&cast.other_staff, ErrorCode::NotFound)] {
        assert_eq!(why(ask(clinic, who, "appointment.reschedule", to.clone()).await).0, code, "{}", who.name);
    }
    for reason in [json!(""), json!("  "), json!("x".repeat(501))] {
        let mut booking = exception(&cast, &at(&date(2), "20:00"));
        booking["override"]["reason"] = reason.clone();
        let problem = ask(clinic, staff, "appointment.book", booking).await.unwrap_err();
        assert_eq!((problem.code, &*problem.errors[0].pointer), (ErrorCode::ValidationFailed, "/override/reason"));
    }

    let archive = json!({ "doctorId": cast.practice.doctor.id, "id": cast.practice.service });
    ask(clinic, &cast.practice.doctor, "service.archive", archive).await.unwrap();
    let late = ask(clinic, staff, "appointment.book", exception(&cast, &at(&date(2), "20:00"))).await;
    assert_eq!(why(late), unavailable("archived"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_moves_against_the_rules() {
    let cast = Cast::meet().await;
    let clinic = &cast.clinic;
    let id = cast.appointment().await;
    let taken = cast.free_time();
    let mut booking = cast.practice.booking(&taken);
    booking["patientId"] = json!(cast.other_patient.id);
    ask(clinic, &cast.staff, "appointment.book", booking).await.unwrap();
    let to = |start: &str| json!({ "id": id, "start": start, "override": { "reason": REASON } });
    assert_eq!(why(ask(clinic, &cast.staff, "appointment.reschedule", to(&taken)).await).0, ErrorCode::SlotTaken);
    let night = at(&date(2), "19:30");
    let moved = ask(clinic, &cast.staff, "appointment.reschedule", to(&night)).await.unwrap();
    assert_eq!((&moved["start"], &moved["rev"]), (&json!(night), &json!(2)));
    let told = ask(clinic, &cast.staff, "appointment.history", json!({ "id": id })).await.unwrap();
    assert_eq!(told["items"][1]["override"], json!({ "rule": "hours", "reason": REASON }));
}
