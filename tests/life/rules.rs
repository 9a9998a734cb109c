//! What a service asks of its patients: to call off in time, and to be new or known.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{ask, why};
use crate::harness::cast::Cast;
use crate::harness::clinic::{Person, at, date, text};
use crate::harness::watch::Watcher;

/// A service of the cast's doctor.
async fn service(cast: &Cast, fields: Value) -> String {
    let mut service = json!({ "doctorId": cast.practice.doctor.id, "name": "Especial", "durationMinutes": 30,
        "horizonDays": 366 });
    service.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    text(&ask(&cast.clinic, &cast.practice.doctor, "service.create", service).await.unwrap(), "id")
}

fn booking(cast: &Cast, service: &str, start: &str, patient: &Person) -> Value {
    json!({ "doctorId": cast.practice.doctor.id, "serviceId": service, "start": start, "patientId": patient.id })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_calls_off_and_moves_in_time() {
    const DAY: i64 = 24 * 60;
    let cast = Cast::meet().await;
    let (clinic, doctor, patient) = (&cast.clinic, &cast.practice.doctor, &cast.patient);
    let service = service(&cast, json!({ "cancelCutoffMinutes": 3 * DAY, "rescheduleCutoffMinutes": 6 * DAY })).await;
    let book = async |day: i32| {
        let booking = booking(&cast, &service, &at(&date(day), "09:00"), patient);
        text(&ask(clinic, patient, "appointment.book", booking).await.unwrap(), "id")
    };
    let (soon, later, last) = (book(2).await, book(5).await, book(20).await);
    let too_late = || (ErrorCode::IllegalTransition, Some("cutoff".to_owned()));
    let to = |id: &str, day: i32| json!({ "id": id, "start": at(&date(day), "10:00") });

    assert_eq!(why(ask(clinic, patient, "appointment.cancel", json!({ "id": soon })).await), too_late());
    assert_eq!(why(ask(clinic, patient, "appointment.reschedule", to(&soon, 30)).await), too_late());
    assert_eq!(why(ask(clinic, patient, "appointment.reschedule", to(&later, 30)).await), too_late());
    let moved = ask(clinic, patient, "appointment.reschedule", to(&last, 21)).await.unwrap();
    assert_eq!(moved["rev"], json!(2), "in time");
    ask(clinic, patient, "appointment.cancel", json!({ "id": later })).await.expect("in time");
    let ended = why(ask(clinic, patient, "appointment.cancel", json!({ "id": later })).await);
    assert_eq!(ended, (ErrorCode::IllegalTransition, None), "the state comes first");

    // The practice is not bound, and the rules are those of now.
    ask(clinic, &cast.staff, "appointment.reschedule", to(&soon, 1)).await.expect("the desk moves it");
    let change = json!({ "doctorId": doctor.id, "id": service, "cancelCutoffMinutes": 30 * DAY });
    ask(clinic, doctor, "service.update", change).await.unwrap();
    assert_eq!(why(ask(clinic, patient, "appointment.cancel", json!({ "id": last })).await), too_late());
    for (who, id) in [(doctor, &last), (&cast.staff, &soon)] {
        let cancelled = ask(clinic, who, "appointment.cancel", json!({ "id": id })).await.unwrap();
        assert_eq!(cancelled["status"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_for_new_patients_or_for_known_ones() {
    let cast = Cast::meet().await;
    let (clinic, staff) = (&cast.clinic, &cast.staff);
    let (first_visit, control) =
        (service(&cast, json!({ "patients": "new" })).await, service(&cast, json!({ "patients": "known" })).await);
    let visited = cast.appointment_after(&["checkIn", "complete"]).await;
    let missed = cast.appointment_after(&["noShow"]).await;
    let (known, new) = (&cast.patient, &cast.other_patient);
    let wrong = (ErrorCode::SlotUnavailable, Some("patients".to_owned()));
    for (service, patient, allowed) in
        [(&first_visit, new, true), (&first_visit, known, false), (&control, new, false), (&control, known, true)]
    {
        for who in [patient, staff] {
            let booking = booking(&cast, service, &cast.free_time(), patient);
            match ask(clinic, who, "appointment.book", booking).await {
                Ok(_) => assert!(allowed, "{} by {}", patient.name, who.name),
                refused => assert_eq!((why(refused), allowed), (wrong.clone(), false), "{}", patient.name),
            }
        }
    }
    for (patient, service, bookable) in
        [(known, &control, true), (known, &first_visit, false), (new, &control, false), (staff, &control, true)]
    {
        let slot = json!({ "doctorId": cast.practice.doctor.id, "serviceId": service, "start": cast.free_time() });
        let explained = ask(clinic, patient, "slot.explain", slot).await.unwrap();
        assert_eq!(explained["bookable"], json!(bookable), "{explained}");
        assert_eq!(explained.get("rule").and_then(Value::as_str), (!bookable).then_some("patients"), "{explained}");
    }
    let walk_in = |service: &str| {
        let mut booking = booking(&cast, service, &cast.free_time(), new);
        booking.as_object_mut().unwrap().remove("patientId");
        booking["walkIn"] = json!({ "name": "Rosa de la Calle" });
        booking
    };
    ask(clinic, staff, "appointment.book", walk_in(&first_visit)).await.expect("who walks in is new");
    assert_eq!(why(ask(clinic, staff, "appointment.book", walk_in(&control)).await), wrong);
    let mut exception = walk_in(&control);
    exception["override"] = json!({ "reason": "La conocemos de antes" });
    let booked = ask(clinic, staff, "appointment.book", exception).await.unwrap();
    let told = ask(clinic, staff, "appointment.history", json!({ "id": booked["id"] })).await.unwrap();
    assert_eq!(told["items"][0]["override"], json!({ "rule": "patients", "reason": "La conocemos de antes" }));

    // A visit that is taken back is none; one that was missed never was.
    ask(clinic, staff, "appointment.undo", json!({ "id": visited })).await.unwrap();
    let control_of = |patient: &Person| booking(&cast, &control, &cast.free_time(), patient);
    assert_eq!(why(ask(clinic, known, "appointment.book", control_of(known)).await), wrong, "{missed} does not count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_goes_beyond_a_limit() {
    let cast = Cast::meet().await;
    let (clinic, staff) = (&cast.clinic, &cast.staff);
    let limited = service(&cast, json!({ "dailyLimit": 1 })).await;
    let at_time = |time: &str| booking(&cast, &limited, &at(&date(9), time), &cast.patient);
    ask(clinic, staff, "appointment.book", at_time("09:00")).await.unwrap();
    let reached = (ErrorCode::SlotUnavailable, Some("daily_limit".to_owned()));
    assert_eq!(why(ask(clinic, staff, "appointment.book", at_time("10:00")).await), reached);
    let mut exception = at_time("10:00");
    exception["override"] = json!({ "reason": "Una más" });
    let second = ask(clinic, staff, "appointment.book", exception).await.unwrap();
    let other = ask(clinic, staff, "appointment.book", booking(&cast, &limited, &at(&date(8), "09:00"), &cast.patient));
    let moved = json!({ "id": other.await.unwrap()["id"], "start": at(&date(9), "11:00") });
    assert_eq!(why(ask(clinic, staff, "appointment.reschedule", moved.clone()).await), reached);
    let mut exception = moved;
    exception["override"] = json!({ "reason": "Y otra" });
    let third = ask(clinic, staff, "appointment.reschedule", exception).await.unwrap();
    for (appointment, entry, reason) in [(second, 0, "Una más"), (third, 1, "Y otra")] {
        let told = ask(clinic, staff, "appointment.history", json!({ "id": appointment["id"] })).await.unwrap();
        assert_eq!(told["items"][entry]["override"], json!({ "rule": "daily_limit", "reason": reason }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_was_higher_counts_what_is_there() {
    let cast = Cast::meet().await;
    let (clinic, staff, doctor) = (&cast.clinic, &cast.staff, &cast.practice.doctor);
    let limited = service(&cast, json!({ "dailyLimit": 3 })).await;
    let at_time = |time: &str| booking(&cast, &limited, &at(&date(9), time), &cast.patient);
    let book = async |time: &str| text(&ask(clinic, staff, "appointment.book", at_time(time)).await.unwrap(), "id");
    let (first, second, third) = (book("09:00").await, book("10:00").await, book("11:00").await);
    let lower = json!({ "doctorId": doctor.id, "id": limited, "dailyLimit": 1 });
    ask(clinic, doctor, "service.update", lower).await.unwrap();
    let day = json!({ "doctorId": doctor.id, "serviceId": limited, "from": date(9), "to": date(9) });
    let reached = (ErrorCode::SlotUnavailable, Some("daily_limit".to_owned()));
    for gone in [&first, &third] {
        ask(clinic, staff, "appointment.cancel", json!({ "id": gone })).await.unwrap();
        let found = ask(clinic, staff, "slot.search", day.clone()).await.unwrap();
        assert_eq!(found["slots"], json!([]), "there is one at least");
        assert_eq!(why(ask(clinic, staff, "appointment.book", at_time("14:00")).await), reached);
    }
    ask(clinic, staff, "appointment.cancel", json!({ "id": second })).await.unwrap();
    ask(clinic, staff, "appointment.book", at_time("14:00")).await.expect("the one that there may be");
}

/// Every session counts: those from before there was a limit, and those that an override put beyond it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_counts_what_has_no_place_in_it() {
    let cast = Cast::meet().await;
    let (clinic, staff, doctor) = (&cast.clinic, &cast.staff, &cast.practice.doctor);
    let service = service(&cast, json!({})).await;
    let topic = format!("doctors/{}/slots/{service}/{}", doctor.id, date(9));
    let mut watcher = Watcher::start(clinic.anon().await, &topic, None).await;
    let at_time = |time: &str| booking(&cast, &service, &at(&date(9), time), &cast.patient);
    let book = async |time: &str| ask(clinic, staff, "appointment.book", at_time(time)).await;
    let reached = (ErrorCode::SlotUnavailable, Some("daily_limit".to_owned()));
    let day = json!({ "doctorId": doctor.id, "serviceId": service, "from": date(9), "to": date(9) });
    let offered =
        async || ask(clinic, staff, "slot.search", day.clone()).await.unwrap()["slots"].as_array().unwrap().len();

    let first = book("09:00").await.unwrap();
    let second = book("10:00").await.unwrap();
    let limit = json!({ "doctorId": doctor.id, "id": service, "dailyLimit": 3 });
    ask(clinic, doctor, "service.update", limit).await.unwrap();
    book("11:00").await.expect("the third");
    assert_eq!(why(book("12:00").await), reached);
    assert_eq!(offered().await, 0);
    watcher.until(|view| view.items.is_empty()).await;

    // Within the date it may be moved, since that makes it no more.
    let moved = json!({ "id": first["id"], "start": at(&date(9), "13:00") });
    ask(clinic, staff, "appointment.reschedule", moved).await.expect("a move within the date");
    let mut exception = at_time("12:00");
    exception["override"] = json!({ "reason": "Una más" });
    let fourth = ask(clinic, staff, "appointment.book", exception).await.unwrap();
    ask(clinic, staff, "appointment.cancel", json!({ "id": second["id"] })).await.unwrap();
    assert_eq!(why(book("10:00").await), reached, "the one beyond it counts as well");
    assert_eq!(offered().await, 0);
    ask(clinic, staff, "appointment.cancel", json!({ "id": fourth["id"] })).await.unwrap();
    watcher.until(|view| view.items.contains_key(&at(&date(9), "10:00"))).await;
    assert!(offered().await > 0);
    book("10:00").await.expect("there are two");
    assert_eq!(why(book("12:00").await), reached);
    watcher.until(|view| view.items.is_empty()).await;
}
