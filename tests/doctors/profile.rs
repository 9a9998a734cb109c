//! What a doctor says of themselves, and what their document remembers of who changed it.

use cita::domain::history::HISTORY_LIMIT;
use cita::domain::ids::{AppointmentId, UserId};
use cita::store::appointments::AppointmentStore;
use cita::store::doctors::DoctorStore;
use cita_protocol::Operation;
use serde_json::{Value, json};

use super::cluster;
use crate::harness::cast::login;
use crate::harness::clinic::{Clinic, at, date, key, text};
use crate::harness::rest::{Rest, check_output};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_set_and_cleared_field_by_field() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let rest = Rest { url: clinic.url(), token: Some(&practice.doctor.token) };
    let id = &practice.doctor.id;
    let update = async |change: Value| {
        let mut data = change;
        data["id"] = json!(id);
        let answer = rest.call(Operation::DoctorUpdate, &data, Some(&key())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        check_output(Operation::DoctorUpdate, &answer.json());
        answer.json()
    };
    let whole = json!({
        "specialisation": "Cardiología", "qualifications": ["Médico", "Cardiólogo"], "experienceYears": 0, "bio": "Hola",
        "photoUrl": "https://Fotos.Example/d.jpg", "price": { "amountMinor": 0, "currency": "COP" },
        "languages": ["es-CO"], "address": "Calle 1", "timeZone": "Europe/Madrid",
    });
    let before = update(json!({})).await;
    let after = update(whole.clone()).await;
    for (field, value) in whole.as_object().unwrap() {
        let kept = if field == "photoUrl" { &json!("https://fotos.example/d.jpg") } else { value };
        assert_eq!(&after[field], kept, "{field}");
    }
    assert_eq!((&after["approval"], &after["name"]), (&json!("approved"), &before["name"]));
    assert!(after.get("rating").is_none(), "nobody has said anything");
    let hours = rest.call(Operation::AvailabilityGet, &json!({ "doctorId": id }), None).await.json();
    assert_eq!((&hours["timeZone"], &hours["rev"]), (&json!("Europe/Madrid"), &json!(3)));
    assert_eq!(update(json!({})).await["experienceYears"], 0, "what is not named stays");

    let cleared = update(json!({
        "specialisation": "", "qualifications": [], "bio": "", "photoUrl": "", "languages": [], "address": "",
        "timeZone": "America/Bogota", "clear": ["price", "experienceYears"],
    }));
    let cleared = cleared.await;
    let fields = |value: &Value| {
        let mut fields = value.as_object().unwrap().clone();
        fields.remove("rev");
        fields
    };
    assert_eq!(fields(&cleared), fields(&before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_with_a_mistake_is_refused_and_says_each() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let rest = Rest { url: clinic.url(), token: Some(&practice.doctor.token) };
    for (change, fields) in [
        (
            json!({ "qualifications": vec!["x"; 21], "experienceYears": 81, "photoUrl": "http://fotos.example/d.jpg" }),
            vec!["/experienceYears out_of_range", "/qualifications too_many", "/photoUrl invalid"],
        ),
        (
            json!({ "qualifications": ["a", "", "x\ny", "x".repeat(201)] }),
            vec!["/qualifications/1 required", "/qualifications/2 invalid", "/qualifications/3 too_long"],
        ),
        (
            json!({ "price": { "amountMinor": -1, "currency": "cop" } }),
            vec!["/price/amountMinor out_of_range", "/price/currency invalid"],
        ),
        (json!({ "photoUrl": "https://ana:clave@fotos.example/" }), vec!["/photoUrl invalid"]),
        (json!({ "photoUrl": format!("https://f.example/{}", "x".repeat(500)) }), vec!["/photoUrl invalid"]),
        (json!({ "timeZone": "Bogota" }), vec!["/timeZone invalid"]),
        (json!({ "experienceYears": -1 }), vec!["/experienceYears invalid"]),
        (json!({ "experienceYears": 3, "clear": ["experienceYears"] }), vec!["/clear invalid"]),
        (json!({ "clear": ["name"] }), vec!["/clear/0 invalid"]),
        (json!({ "approval": "approved" }), vec!["/approval unknown"]),
        (json!({ "rating": { "average": 5, "count": 9 } }), vec!["/rating unknown"]),
        (json!({ "name": "Otra" }), vec!["/name unknown"]),
        (json!({ "staff": [] }), vec!["/staff unknown"]),
    ] {
        let mut data = change;
        data["id"] = json!(practice.doctor.id);
        let answer = rest.call(Operation::DoctorUpdate, &data, Some(&key())).await;
        assert_eq!(answer.code().as_deref(), Some("validation_failed"), "{data}");
        assert_eq!(answer.fields(), fields, "{data}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_tells_who_did_what_from_which_session() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let again = login(clinic.url(), &practice.doctor).await;
    let (first, second) = (clinic.connect(&practice.doctor).await, clinic.connect(&again).await);
    let id = UserId(practice.doctor.id.parse().unwrap());
    let update = json!({ "id": practice.doctor.id, "bio": "x" });
    second.request("doctor.update", &update, Some(key())).await.unwrap();
    let store = DoctorStore::new(cluster(&clinic).await);
    let (stored, _) = store.find(id).await.unwrap().expect("the doctor");
    let history = stored.doctor.history;
    let told: Vec<_> = history.iter().map(|entry| (entry.rev, entry.action.as_str())).collect();
    assert_eq!(told, [(2, "availability.set"), (3, "service.create"), (4, "doctor.update")]);
    assert!(history.iter().all(|entry| entry.by.user == id));
    assert_eq!(history[0].by.session, history[1].by.session);
    assert_ne!(history[1].by.session, history[2].by.session, "another log-in");
    assert_eq!(stored.doctor.staff, []);

    let booking = practice.booking(&at(&date(2), "09:00"));
    let booking = {
        let mut booking = booking;
        booking["patientId"] = json!(clinic.patient().await.id);
        booking
    };
    let booked = first.request("appointment.book", booking, Some(key())).await.unwrap().data;
    second.request("appointment.cancel", json!({ "id": booked["id"] }), Some(key())).await.unwrap();
    let appointments = AppointmentStore::new(cluster(&clinic).await);
    let appointment = AppointmentId(text(&booked, "id").parse().unwrap());
    let (stored, _) = appointments.find(appointment).await.unwrap().expect("the appointment");
    let by: Vec<_> = stored.appointment.history.iter().map(|entry| entry.by).collect();
    assert_eq!(by, [history[0].by, history[2].by]);

    for _ in 0..HISTORY_LIMIT {
        first.request("doctor.update", &update, Some(key())).await.unwrap();
    }
    let (stored, _) = store.find(id).await.unwrap().expect("the doctor");
    let revs: Vec<_> = stored.doctor.history.iter().map(|entry| entry.rev).collect();
    assert_eq!(
        (revs.len(), revs[0], revs[99]),
        (HISTORY_LIMIT, 2, stored.doctor.rev),
        "the first stays, the latest too"
    );
    let visitor = clinic.anon().await;
    let seen = visitor.request("doctor.get", json!({ "id": practice.doctor.id }), None).await.unwrap().data;
    assert!(["staff", "history", "listing"].iter().all(|field| seen.get(field).is_none()), "{seen}");
}
