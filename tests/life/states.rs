//! Every state, every move, everybody.

use cita_protocol::Operation as O;
use serde_json::{Value, json};

use crate::harness::cast::{Caller, Cast};
use crate::harness::clinic::key;
use crate::harness::rest::Rest;

const STATES: [&str; 6] = ["pending", "booked", "arrived", "fulfilled", "noshow", "cancelled"];
const MOVES: [O; 9] = [
    O::AppointmentApprove,
    O::AppointmentDecline,
    O::AppointmentCheckIn,
    O::AppointmentComplete,
    O::AppointmentNoShow,
    O::AppointmentUndo,
    O::AppointmentReschedule,
    O::AppointmentCancel,
    O::AppointmentSetNotes,
];
const CALLERS: [Caller; 7] = [
    Caller::Patient,
    Caller::Doctor,
    Caller::Staff,
    Caller::Admin,
    Caller::OtherPatient,
    Caller::OtherDoctor,
    Caller::OtherStaff,
];

/// The state that a move leads to, by the words of the issue.
fn leads_to(state: &'static str, to: O) -> Option<&'static str> {
    match (to, state) {
        (O::AppointmentApprove, "pending") => Some("booked"),
        (O::AppointmentDecline, "pending") => Some("cancelled"),
        (O::AppointmentCheckIn, "booked") => Some("arrived"),
        (O::AppointmentComplete, "arrived") => Some("fulfilled"),
        (O::AppointmentNoShow, "booked") => Some("noshow"),
        (O::AppointmentUndo, "arrived" | "noshow") => Some("booked"),
        (O::AppointmentUndo, "fulfilled") => Some("arrived"),
        (O::AppointmentReschedule, "pending" | "booked") => Some(state),
        (O::AppointmentCancel, "pending" | "booked" | "arrived") => Some("cancelled"),
        (O::AppointmentSetNotes, _) => Some(state),
        _ => None,
    }
}

/// What keeps a caller from a move, whatever the state.
fn refused(to: O, caller: Caller) -> Option<&'static str> {
    match (caller, to) {
        (Caller::OtherPatient | Caller::OtherDoctor | Caller::OtherStaff, _) => Some("not_found"),
        (Caller::Patient, O::AppointmentReschedule | O::AppointmentCancel) | (Caller::Doctor, _) => None,
        (Caller::Patient, _) | (_, O::AppointmentSetNotes) => Some("forbidden"),
        _ => None,
    }
}

/// A new appointment of the patient in a state.
async fn appointment_in(cast: &Cast, state: &str) -> String {
    match state {
        "pending" => cast.request().await,
        "booked" => cast.appointment().await,
        "arrived" => cast.appointment_after(&["checkIn"]).await,
        "fulfilled" => cast.appointment_after(&["checkIn", "complete"]).await,
        "noshow" => cast.appointment_after(&["noShow"]).await,
        "cancelled" => cast.appointment_after(&["cancel"]).await,
        other => panic!("{other}"),
    }
}

fn input(cast: &Cast, id: &str, to: O) -> Value {
    match to {
        O::AppointmentReschedule => json!({ "id": id, "start": cast.free_time() }),
        O::AppointmentSetNotes => json!({ "id": id, "notes": "Reposo" }),
        _ => json!({ "id": id }),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_move_from_every_state_by_everybody() {
    let cast = Cast::meet().await;
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for state in STATES {
        // What is refused changes nothing, so that all of it may be asked of one.
        let unmoved = appointment_in(&cast, state).await;
        for to in MOVES {
            for caller in CALLERS {
                let expected = match (refused(to, caller), leads_to(state, to)) {
                    (Some(code), _) => Err(code.to_owned()),
                    (None, None) => Err("illegal_transition".to_owned()),
                    (None, Some(next)) => Ok(next.to_owned()),
                };
                let id = match expected {
                    Ok(_) => appointment_in(&cast, state).await,
                    Err(_) => unmoved.clone(),
                };
                let token = cast.person(caller).map(|person| person.token.as_str());
                let rest = Rest { url: cast.clinic.url(), token };
                let answer = rest.call(to, &input(&cast, &id, to), Some(&key())).await;
                let found = match answer.code() {
                    Some(code) => Err(code),
                    None => Ok(answer.json()["status"].as_str().unwrap().to_owned()),
                };
                if found != expected {
                    wrong.push(format!("{} of {state} by {caller:?}: {found:?}, not {expected:?}", to.name()));
                }
                cells += 1;
            }
        }
        let doctor = Rest { url: cast.clinic.url(), token: Some(&cast.practice.doctor.token) };
        let after = doctor.call(O::AppointmentGet, &json!({ "id": unmoved }), None).await.json();
        assert_eq!(after["status"], state, "what was refused was not done");
    }
    assert!(wrong.is_empty(), "{} of {cells}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_move_is_in_the_history_and_only_the_latest_is_undone() {
    let cast = Cast::meet().await;
    let id = cast.request().await;
    let staff = Rest { url: cast.clinic.url(), token: Some(&cast.staff.token) };
    let mut rev = 1;
    for (to, status) in [
        (O::AppointmentApprove, Ok("booked")),
        (O::AppointmentNoShow, Ok("noshow")),
        (O::AppointmentUndo, Ok("booked")),
        (O::AppointmentUndo, Err("illegal_transition")),
        (O::AppointmentCheckIn, Ok("arrived")),
        (O::AppointmentComplete, Ok("fulfilled")),
        (O::AppointmentUndo, Ok("arrived")),
        (O::AppointmentUndo, Err("illegal_transition")),
        (O::AppointmentComplete, Ok("fulfilled")),
    ] {
        let answer = staff.call(to, &json!({ "id": id, "rev": rev }), Some(&key())).await;
        match status {
            Ok(status) => {
                assert_eq!(answer.code(), None, "{}: {answer:?}", to.name());
                rev += 1;
                let moved = answer.json();
                assert_eq!((&moved["status"], &moved["rev"]), (&json!(status), &json!(rev)), "{}", to.name());
                let stale = staff.call(to, &json!({ "id": id, "rev": rev - 1 }), Some(&key())).await;
                assert_eq!(stale.code().as_deref(), Some("stale_rev"), "{}", to.name());
            }
            Err(code) => assert_eq!(answer.code().as_deref(), Some(code), "{}", to.name()),
        }
    }
    let history = staff.call(O::AppointmentHistory, &json!({ "id": id }), None).await.json();
    let entries = history["items"].as_array().unwrap();
    let told: Vec<(&str, u64)> =
        entries.iter().map(|entry| (entry["action"].as_str().unwrap(), entry["rev"].as_u64().unwrap())).collect();
    let expected = ["requested", "approved", "noShow", "undone", "checkedIn", "completed", "undone", "completed"]
        .into_iter()
        .zip(1..);
    assert_eq!(told, expected.collect::<Vec<_>>());
    assert!(entries[1..].iter().all(|entry| entry["by"] == json!(cast.staff.id)), "{entries:?}");
    assert_eq!(entries[0]["by"], json!(cast.patient.id));
}
