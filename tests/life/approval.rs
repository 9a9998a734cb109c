//! Requests: seen by both sides at once, and decided once.

use cita_cli::Connection;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{actions, ask};
use crate::harness::cast::{Cast, admin, receptionist};
use crate::harness::clinic::{Clinic, Person, Practice, at, connect, date, key, text};
use crate::harness::watch::Watcher;

/// Appointments of 30 minutes that the practice has to approve.
fn by_request() -> Value {
    json!({ "name": "Procedimiento", "durationMinutes": 30, "horizonDays": 366, "requiresApproval": true })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_owns_its_time_until_it_is_declined() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice_with(by_request()).await;
    let (patient, rival) = (clinic.patient().await, clinic.person("patient", "Otro Paciente").await);
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let mut visitor = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let mut calendar = Watcher::start(other.connect(Some(&practice.doctor)).await, &practice.calendar(), None).await;
    let mut mine = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;

    let asked = ask(&clinic, &patient, "appointment.book", practice.booking(&start)).await.unwrap();
    let id = text(&asked, "id");
    assert_eq!(asked["status"], "pending");
    visitor.until(|view| !view.items.contains_key(&start)).await;
    assert_eq!(calendar.until(|view| view.items.contains_key(&id)).await.items[&id], asked);
    assert_eq!(mine.until(|view| view.items.contains_key(&id)).await.items[&id], asked);
    let late = ask(&clinic, &rival, "appointment.book", practice.booking(&start)).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::SlotTaken, "it is asked for, and so taken");

    let approved = ask(&clinic, &practice.doctor, "appointment.approve", json!({ "id": id, "rev": 1 })).await.unwrap();
    assert_eq!((&approved["status"], &approved["rev"]), (&json!("booked"), &json!(2)));
    assert_eq!(calendar.until(|view| view.statuses()[id.as_str()] == "booked").await.items[&id], approved);
    assert_eq!(mine.until(|view| view.statuses()[id.as_str()] == "booked").await.items[&id], approved);
    assert!(!visitor.view.items.contains_key(&start));
    let late = ask(&clinic, &rival, "appointment.book", practice.booking(&start)).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::SlotTaken);

    let later = at(&day, "10:00");
    let second = ask(&clinic, &patient, "appointment.book", practice.booking(&later)).await.unwrap();
    let second = text(&second, "id");
    visitor.until(|view| !view.items.contains_key(&later)).await;
    let no = json!({ "id": second, "reason": "Ese día no" });
    let declined = ask(&clinic, &practice.doctor, "appointment.decline", no).await.unwrap();
    assert_eq!((&declined["status"], &declined["cancelReason"]), (&json!("cancelled"), &json!("Ese día no")));
    visitor.until(|view| view.items.contains_key(&later)).await;
    assert_eq!(
        mine.until(|view| view.statuses().get(second.as_str()) == Some(&"cancelled")).await.items[&second],
        declined
    );
    calendar.until(|view| view.statuses().get(second.as_str()) == Some(&"cancelled")).await;
    ask(&clinic, &rival, "appointment.book", practice.booking(&later)).await.expect("the time is free");
    assert_eq!(actions(&clinic, &patient, &id).await, ["requested", "approved"]);
    assert_eq!(actions(&clinic, &patient, &second).await, ["requested", "declined"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_acts_for_the_practice_need_not_ask() {
    let cast = Cast::meet().await;
    let doctor = &cast.practice.doctor;
    let mut service = by_request();
    service["doctorId"] = json!(doctor.id);
    let service = ask(&cast.clinic, doctor, "service.create", service).await.unwrap();
    let book = |patient: Value| {
        let mut booking = json!({ "doctorId": doctor.id, "serviceId": service["id"], "start": cast.free_time() });
        booking.as_object_mut().unwrap().extend(patient.as_object().unwrap().clone());
        booking
    };
    let for_patient = json!({ "patientId": cast.patient.id });
    for (who, patient, status) in [
        (doctor, for_patient.clone(), "booked"),
        (&cast.staff, for_patient.clone(), "booked"),
        (&cast.admin, for_patient.clone(), "booked"),
        (&cast.staff, json!({ "walkIn": { "name": "Rosa" } }), "booked"),
        (&cast.patient, for_patient, "pending"),
        (&cast.patient, json!({}), "pending"),
        (&cast.other_doctor, json!({}), "pending"),
        (&cast.other_staff, json!({}), "pending"),
    ] {
        let booked = ask(&cast.clinic, who, "appointment.book", book(patient.clone())).await.unwrap();
        assert_eq!(booked["status"], status, "{patient} by {}", who.name);
    }
}

/// Eight who decide one request at the same moment, on two nodes.
struct Panel {
    racers: Vec<(Connection, &'static str)>,
}

impl Panel {
    async fn meet(clinic: &Clinic, url: &str, practice: &Practice, patient: &Person, verbs: [&'static str; 8]) -> Self {
        let admin = admin(clinic).await;
        let staff = receptionist(clinic, &admin, Some(&practice.doctor)).await;
        let mut racers = Vec::new();
        for (number, verb) in verbs.into_iter().enumerate() {
            let who = match verb {
                "cancel" => patient,
                _ => [&practice.doctor, &staff, &admin][number % 3],
            };
            let node = if number % 2 == 0 { clinic.url() } else { url };
            racers.push((connect(node, Some(&who.token)).await, verb));
        }
        Self { racers }
    }

    /// The verb of the one who won, and the codes of the others.
    async fn race(&self, data: &Value) -> (&'static str, Vec<ErrorCode>) {
        let attempts = self.racers.iter().map(|(connection, verb)| async move {
            (*verb, connection.request(&format!("appointment.{verb}"), data, Some(key())).await)
        });
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        for (verb, outcome) in join_all(attempts).await {
            match outcome {
                Ok(_) => won.push(verb),
                Err(error) => lost.push(error.code().unwrap_or_else(|| panic!("{error}"))),
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        (won[0], lost)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_eight_decides_a_request() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice_with(by_request()).await;
    let (patient, rival) = (clinic.patient().await, clinic.person("patient", "Otro Paciente").await);
    let mut calendar = Watcher::start(other.connect(Some(&practice.doctor)).await, &practice.calendar(), None).await;
    let all = ["approve", "decline", "cancel", "approve", "decline", "cancel", "approve", "decline"];
    let practice_only = ["approve", "decline", "approve", "decline", "decline", "approve", "decline", "approve"];
    for (verbs, with_rev) in [(all, true), (practice_only, false)] {
        let panel = Panel::meet(&clinic, &other.url, &practice, &patient, verbs).await;
        for round in 0..5 {
            let start = at(&date(3 + round), if with_rev { "09:00" } else { "11:00" });
            let asked = ask(&clinic, &patient, "appointment.book", practice.booking(&start)).await.unwrap();
            let id = text(&asked, "id");
            let mut data = json!({ "id": id });
            if with_rev {
                data["rev"] = json!(1);
            }
            let (winner, lost) = panel.race(&data).await;
            // Without a revision one may also have lost by finding it decided.
            let code = if with_rev { ErrorCode::StaleRev } else { ErrorCode::IllegalTransition };
            assert!(lost.iter().all(|lost| *lost == code), "{lost:?}");
            let (action, status) = match winner {
                "approve" => ("approved", "booked"),
                "decline" => ("declined", "cancelled"),
                _ => ("cancelled", "cancelled"),
            };
            assert_eq!(actions(&clinic, &patient, &id).await, ["requested", action], "no revision without its entry");
            let view = calendar.until(|view| view.items.get(&id).is_some_and(|item| item["rev"] == json!(2))).await;
            assert_eq!(view.statuses()[id.as_str()], status);
            let next = ask(&clinic, &rival, "appointment.book", practice.booking(&start)).await;
            match status {
                "booked" => assert_eq!(next.unwrap_err().code, ErrorCode::SlotTaken, "kept"),
                _ => assert_eq!(next.unwrap()["status"], "pending", "freed"),
            }
        }
    }
}
