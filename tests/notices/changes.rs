//! Each change is told to whom it concerns, and to nobody else.

use serde_json::json;

use super::{Stage, ask};
use crate::harness::cast::{admin, receptionist};
use crate::harness::clinic::{at, date, simple_service};
use crate::harness::until;

const NOTES: &str = "Nota privada del doctor";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_an_appointment_is_told_to_both_sides() {
    let stage = Stage::set(simple_service()).await;
    let (spool, patient, doctor) = (&stage.spool, &stage.patient, &stage.practice.doctor);
    stage.ask(doctor, "me.update", json!({ "locale": "en", "timeZone": "Europe/Madrid" })).await;
    let booked = stage.book(&at(&date(30), "09:00")).await;
    let id = &booked["id"];
    let confirmation = spool.latest(patient, 1).await;
    for words in ["Su cita está reservada.", "Con: Daniel Duarte\n", "Servicio: Consulta\n", "09:00 (America/Bogota)\n"]
    {
        assert!(confirmation.contains(words), "{words} in {confirmation}");
    }
    assert!(confirmation.contains("/account\n"), "where to turn it off: {confirmation}");
    let news = spool.latest(doctor, 1).await;
    for words in ["A patient has booked an appointment", "Patient: Paula Pérez\n", "(Europe/Madrid); at the practice "]
    {
        assert!(news.contains(words), "{words} in {news}");
    }

    stage.ask(doctor, "appointment.setNotes", json!({ "id": id, "notes": NOTES })).await;
    stage.ask(doctor, "appointment.reschedule", json!({ "id": id, "start": at(&date(31), "10:00") })).await;
    let moved = spool.latest(patient, 2).await;
    assert!(moved.contains("Su cita cambió de hora."), "{moved}");
    assert!(moved.contains("10:00 (America/Bogota)\nAntes: ") && moved.contains("09:00 (America/Bogota)\n"), "{moved}");
    stage.ask(patient, "appointment.reschedule", json!({ "id": id, "start": at(&date(31), "11:00") })).await;
    assert!(spool.latest(doctor, 2).await.contains("A patient has moved their appointment."));
    stage.ask(patient, "appointment.cancel", json!({ "id": id, "reason": "Se me cruzó un viaje" })).await;
    let cancelled = spool.latest(doctor, 3).await;
    assert!(cancelled.contains("A patient has cancelled their appointment."), "{cancelled}");

    let second = stage.book(&at(&date(32), "09:00")).await;
    spool.letters(patient, 3).await;
    stage.ask(doctor, "appointment.cancel", json!({ "id": second["id"], "reason": "Se dañó el equipo" })).await;
    let cancelled = spool.latest(patient, 4).await;
    assert!(cancelled.contains("Su cita fue cancelada.") && cancelled.contains("Motivo:\n> Se dañó el equipo\n"));
    stage.databases.told().await;
    let (to_patient, to_doctor) = (spool.letters_to(patient), spool.letters_to(doctor));
    assert_eq!((to_patient.len(), to_doctor.len()), (4, 4), "{to_patient:#?} {to_doctor:#?}");
    for letter in to_patient.iter().chain(&to_doctor) {
        assert!(!letter.text.contains(NOTES), "{letter:?}");
        let same = to_patient.iter().chain(&to_doctor).filter(|other| other.id == letter.id).count();
        assert_eq!(same, 1, "each has a name of its own: {letter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_told_to_the_doctor_and_its_answer_to_the_patient() {
    let mut service = simple_service();
    service["requiresApproval"] = json!(true);
    let stage = Stage::set(service).await;
    let (spool, patient, doctor) = (&stage.spool, &stage.patient, &stage.practice.doctor);
    let admin = admin(&stage.clinic).await;
    let reception = receptionist(&stage.clinic, &admin, Some(doctor)).await;
    let first = stage.book(&at(&date(30), "09:00")).await;
    assert!(spool.latest(doctor, 1).await.contains("Un paciente pide lo siguiente."));
    stage.ask(&reception, "appointment.approve", json!({ "id": first["id"] })).await;
    assert!(spool.latest(patient, 1).await.contains("El consultorio confirmó la cita que usted pidió."));
    let second = stage.book(&at(&date(30), "10:00")).await;
    spool.letters(doctor, 2).await;
    stage.ask(&reception, "appointment.decline", json!({ "id": second["id"], "reason": "Ese día no" })).await;
    let declined = spool.latest(patient, 2).await;
    assert!(declined.contains("no pudo aceptar") && declined.contains("> Ese día no\n"), "{declined}");
    // A hold is nobody's news, nor is what becomes of it by itself.
    let hold = stage.ask(patient, "slot.hold", stage.practice.booking(&at(&date(30), "11:00"))).await;
    stage.ask(patient, "hold.release", json!({ "id": hold["id"] })).await;
    stage.databases.told().await;
    assert_eq!((spool.letters_to(patient).len(), spool.letters_to(doctor).len()), (2, 2));
    assert!(spool.letters_to(&reception).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_one_mail() {
    let stage = Stage::set(simple_service()).await;
    let (spool, patient, doctor) = (&stage.spool, &stage.patient, &stage.practice.doctor);
    let mut series = stage.practice.booking(&at(&date(30), "09:00"));
    series["rrule"] = json!("FREQ=DAILY;COUNT=5");
    let booked = stage.ask(patient, "series.book", series).await;
    let confirmation = spool.latest(patient, 1).await;
    assert!(confirmation.contains("Sus citas están reservadas."), "{confirmation}");
    assert_eq!(confirmation.matches("Fecha y hora: ").count(), 5, "{confirmation}");
    assert!(spool.latest(doctor, 1).await.contains("Un paciente reservó varias citas con usted."));
    stage.ask(doctor, "series.cancel", json!({ "id": booked["id"], "reason": "Vacaciones" })).await;
    let cancelled = spool.latest(patient, 2).await;
    assert!(cancelled.contains("Sus citas fueron canceladas.") && cancelled.contains("> Vacaciones\n"), "{cancelled}");
    stage.databases.told().await;
    assert_eq!((spool.letters_to(patient).len(), spool.letters_to(doctor).len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_is_told_to_whoever_waits() {
    let stage = Stage::set(simple_service()).await;
    let (day, start) = (date(30), at(&date(30), "09:00"));
    let (waiter, silent) = (stage.clinic.patient().await, stage.clinic.patient().await);
    for person in [&waiter, &silent] {
        stage.databases.verify(person).await;
    }
    stage.choose(&silent, json!({ "offers": false })).await;
    let booked = stage.book(&start).await;
    let wish =
        json!({ "doctorId": stage.practice.doctor.id, "serviceId": stage.practice.service, "from": day, "to": day });
    let silents = stage.ask(&silent, "waitlist.join", wish.clone()).await;
    let entry = stage.ask(&waiter, "waitlist.join", wish).await;
    stage.ask(&stage.patient, "appointment.cancel", json!({ "id": booked["id"] })).await;
    // It is offered to whoever has waited longest, and goes to the next.
    stage.databases.told().await;
    assert!(stage.spool.letters_to(&silent).is_empty(), "they do not want to be told");
    stage.ask(&silent, "waitlist.pass", json!({ "id": silents["id"] })).await;
    let offer = stage.spool.latest(&waiter, 1).await;
    assert!(offer.contains("Se guarda para usted.") && offer.contains("Responda hasta: "), "{offer}");
    stage.ask(&waiter, "waitlist.accept", json!({ "id": entry["id"] })).await;
    assert!(stage.spool.latest(&waiter, 2).await.contains("Su cita está reservada."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_want_it_or_cannot_be_written_to_is_not_told() {
    let stage = Stage::set(simple_service()).await;
    let (spool, doctor) = (&stage.spool, &stage.practice.doctor);
    let admin = admin(&stage.clinic).await;
    let (unverified, disabled, gone) =
        (stage.clinic.patient().await, stage.clinic.patient().await, stage.clinic.patient().await);
    for person in [&disabled, &gone] {
        stage.databases.verify(person).await;
    }
    stage.choose(&stage.patient, json!({ "changes": false })).await;
    stage.choose(doctor, json!({ "changes": false })).await;
    let mut ids = Vec::new();
    for (person, time) in [(&stage.patient, "09:00"), (&unverified, "10:00"), (&disabled, "11:00"), (&gone, "12:00")] {
        let mut booking = stage.practice.booking(&at(&date(30), time));
        booking["patientId"] = json!(person.id);
        ids.push(stage.ask(doctor, "appointment.book", booking).await["id"].clone());
    }
    stage.databases.told().await;
    spool.letters(&gone, 1).await;
    spool.letters(&disabled, 1).await;
    stage.ask(&admin, "admin.updateUser", json!({ "id": disabled.id, "disabled": true })).await;
    stage.ask(doctor, "appointment.cancel", json!({ "id": ids[2] })).await;
    assert!(stage.databases.reminder(ids[0].as_str().unwrap()).await.is_some(), "they did not turn this off");
    assert!(stage.databases.reminder(ids[1].as_str().unwrap()).await.is_none(), "nobody would read it");
    let reminder = stage.databases.reminder(ids[3].as_str().unwrap()).await.expect("they are reminded");
    let mut fields: Vec<_> = reminder.keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["_id", "due", "start"], "it names nobody");

    // Whoever leaves takes their appointments with them, and so what was kept for these.
    stage.choose(doctor, json!({ "changes": true })).await;
    ask(stage.clinic.url(), &gone, "me.delete", json!({})).await.unwrap();
    until(async || stage.databases.reminder(ids[3].as_str().unwrap()).await.is_none()).await;
    let news = spool.latest(doctor, 1).await;
    assert!(news.contains("/practice\n"), "the page of a doctor: {news}");
    assert!(news.contains("Un paciente canceló su cita.") && !news.contains("Paciente: "), "{news}");
    stage.databases.told().await;
    assert_eq!((spool.letters_to(&gone).len(), spool.letters_to(&disabled).len()), (1, 1));
    for person in [&stage.patient, &unverified] {
        assert!(spool.letters_to(person).is_empty());
    }
}
