//! Many who want the same time.

use std::collections::HashMap;

use cita_cli::Connection;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use serde_json::json;

use crate::harness::clinic::{Clinic, at, date, key};
use crate::harness::watch::Watcher;

/// Books one slot over every connection at once. Returns the ids that were booked, and how often each error came.
async fn storm(
    connections: &[Connection],
    booking: &serde_json::Value,
    each: usize,
) -> (Vec<String>, HashMap<ErrorCode, usize>) {
    let attempts = connections.iter().flat_map(|connection| {
        (0..each).map(move |_| connection.request("appointment.book", booking.clone(), Some(key())))
    });
    let (mut booked, mut refused) = (Vec::new(), HashMap::new());
    for outcome in join_all(attempts).await {
        match outcome {
            Ok(reply) => booked.push(reply.data["id"].as_str().unwrap().to_owned()),
            Err(error) => *refused.entry(error.code().expect("an error of the registry")).or_default() += 1,
        }
    }
    (booked, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_bookings_of_one_slot_have_one_winner() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let mut connections = Vec::new();
    for number in 0..20 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        let node = if number % 2 == 0 { clinic.url() } else { &other.url };
        connections.push(crate::harness::clinic::connect(node, Some(&patient.token)).await);
    }
    let (booked, refused) = storm(&connections, &practice.booking(&at(&date(3), "09:00")), 10).await;
    assert_eq!(booked.len(), 1, "one of 200 has it");
    assert_eq!(refused, HashMap::from([(ErrorCode::SlotTaken, 199)]));

    let mut calendar = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    let held: Vec<_> = calendar.until(|_| true).await.items.keys().cloned().collect();
    assert_eq!(held, booked, "the one that was acknowledged is the one that is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_books_once_however_often_it_is_sent() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let booking = practice.booking(&at(&date(3), "10:00"));
    let (one, two) = (clinic.connect(&patient).await, other.connect(Some(&patient)).await);
    let key = key();
    let attempts = (0..20).map(|number| {
        let connection = if number % 2 == 0 { &one } else { &two };
        connection.request("appointment.book", booking.clone(), Some(key.clone()))
    });
    let replies: Vec<_> = join_all(attempts).await.into_iter().map(|reply| reply.unwrap().data).collect();
    assert!(replies.iter().all(|reply| *reply == replies[0]), "the original result, to the byte");

    let mut otherwise = booking.clone();
    otherwise["reason"] = json!("otra cosa");
    let refused = one.request("appointment.book", otherwise, Some(key.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::IdempotencyKeyReused));

    let id = replies[0]["id"].as_str().unwrap();
    one.request("appointment.cancel", json!({ "id": id }), Some(crate::harness::clinic::key())).await.unwrap();
    let again = one.request("appointment.book", booking, Some(key)).await.unwrap();
    assert_eq!(again.data, replies[0], "a success stays the same, whatever became of it since");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_is_not_in_two_places() {
    let clinic = Clinic::open().await;
    let (here, there) = (clinic.practice().await, clinic.practice().await);
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let start = at(&date(2), "11:00");
    connection.request("appointment.book", here.booking(&start), Some(key())).await.unwrap();
    let refused = connection.request("appointment.book", there.booking(&start), Some(key())).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::PatientBusy));
    // Right after is fine: [a, b) and [b, c) touch and do not overlap.
    connection.request("appointment.book", there.booking(&at(&date(2), "11:30")), Some(key())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buffers_belong_to_the_doctor() {
    let clinic = Clinic::open().await;
    let service = json!({
        "name": "Procedimiento", "durationMinutes": 30, "stepMinutes": 15, "bufferBeforeMinutes": 10, "bufferAfterMinutes": 15
    });
    let practice = clinic.practice_with(service).await;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let day = date(2);
    let first = clinic.connect(&one).await;
    first.request("appointment.book", practice.booking(&at(&day, "10:00")), Some(key())).await.unwrap();
    let second = clinic.connect(&two).await;
    // 10:00 takes 9:50 to 10:45, and each of these 10 minutes before and 15 after itself.
    for (time, free) in [("09:00", true), ("09:15", false), ("10:30", false), ("10:45", false), ("11:00", true)] {
        let outcome = second.request("appointment.book", practice.booking(&at(&day, time)), Some(key())).await;
        let code = outcome.as_ref().err().and_then(cita_cli::ClientError::code);
        assert_eq!(code, (!free).then_some(ErrorCode::SlotTaken), "{time}");
        if let Ok(reply) = outcome {
            second.request("appointment.cancel", json!({ "id": reply.data["id"] }), Some(key())).await.unwrap();
        }
    }
}
