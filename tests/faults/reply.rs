//! The database has done it, and its answer is lost, late, or never comes.

use std::time::{Duration, Instant};

use cita_cli::{ClientError, Connection};
use cita_protocol::{ErrorCode, Outcome};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::follower::{Follower, Servers};
use crate::harness::clinic::{Clinic, Practice, at, database, date, key};
use crate::harness::eventually;
use crate::harness::mongo::shared;
use crate::harness::proxy::{Fault, Proxy};

/// A clinic whose appointments lie behind a proxy.
pub(super) async fn behind_proxy() -> (Clinic, Proxy) {
    let (shared, name) = (shared().await, format!("t{}", Uuid::new_v4().simple()));
    let proxy = Proxy::to(&shared.appointments_uri).await;
    let users = database(&shared.users_uri, &name);
    (Clinic::open_on(&users, &proxy.uri(&name), &["--heartbeat-ms", "300"]).await, proxy)
}

/// The appointments of a patient, in order of their start.
async fn listed(connection: &Connection) -> Vec<Value> {
    let reply = connection.request("appointment.list", json!({}), None).await.unwrap();
    reply.data["items"].as_array().unwrap().clone()
}

fn booking(practice: &Practice, number: usize) -> Value {
    practice.booking(&at(&date(2), &format!("{:02}:00", 8 + number)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_acknowledged_once() {
    let (clinic, proxy) = behind_proxy().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let connection = clinic.connect(&patient).await;
    let servers = Servers::new(&[clinic.url()]);
    let follower = Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await;
    // The driver repeats a write once by itself; beyond that the server does.
    let mut expected = Vec::new();
    for (number, (fault, times)) in
        [(Fault::LoseReply, 1), (Fault::LoseReply, 2), (Fault::LoseReply, 3), (Fault::Refuse, 1), (Fault::Refuse, 3)]
            .into_iter()
            .enumerate()
    {
        proxy.disturb("insert", fault, times);
        let key = key();
        let booked = connection.request("appointment.book", booking(&practice, number), Some(key.clone())).await;
        let booked = booked.unwrap_or_else(|error| panic!("{fault:?} {times}: {error}")).data;
        assert_eq!(proxy.disturbed(), times, "{fault:?}");
        proxy.calm();
        let again = connection.request("appointment.book", booking(&practice, number), Some(key)).await.unwrap().data;
        assert_eq!(again, booked, "{fault:?} {times}");
        expected.push(booked);
        assert_eq!(listed(&connection).await, expected, "{fault:?} {times}");
    }
    // The same for a change of what is there.
    for (number, times) in [(0, 1), (1, 2), (2, 3)] {
        proxy.disturb("update", Fault::LoseReply, times);
        let (move_it, key) = (json!({ "id": expected[number]["id"], "start": at(&date(3), "08:00") }), key());
        let moved = connection.request("appointment.reschedule", &move_it, Some(key.clone())).await;
        let moved = moved.unwrap_or_else(|error| panic!("{times}: {error}")).data;
        assert_eq!((proxy.disturbed(), moved["rev"].as_u64()), (times, Some(2)));
        proxy.calm();
        let again = connection.request("appointment.reschedule", &move_it, Some(key)).await.unwrap().data;
        assert_eq!(again, moved);
        let cancel = json!({ "id": moved["id"], "rev": 2 });
        expected[number] =
            connection.request("appointment.cancel", cancel, Some(crate::harness::clinic::key())).await.unwrap().data;
    }
    let by_id =
        |items: &[Value]| items.iter().map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone())).collect();
    let seen = follower.until(|seen| seen.view.items == by_id(&expected)).await;
    assert_eq!(seen.anew, 0);
    clinic.close().await;
}

/// Of many who travel together nobody is told of another's booking, and nobody books twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_many_whose_answer_is_lost_is_acknowledged_to_each_once() {
    const MANY: usize = 20;
    let (clinic, proxy) = behind_proxy().await;
    let practice = clinic.practice().await;
    let mut connections = Vec::new();
    for _ in 0..MANY {
        connections.push(clinic.connect(&clinic.patient().await).await);
    }
    for (day, fault) in [(2, Fault::LoseReply), (3, Fault::Refuse), (4, Fault::LoseReply)] {
        // The first two commands are of one or two; the others wait for these, and travel together.
        proxy.disturb("insert", fault, 6);
        let starts = (0..MANY).map(|number| at(&date(day), &format!("{:02}:{:02}", 8 + number / 2, number % 2 * 30)));
        let asked = connections.iter().zip(starts).map(async |(connection, start)| {
            let (asked, key) = (practice.booking(&start), key());
            let booked = connection.request("appointment.book", &asked, Some(key.clone())).await;
            let booked = booked.unwrap_or_else(|error| panic!("{fault:?} {start}: {error}")).data;
            assert_eq!(booked["start"], start);
            let again = connection.request("appointment.book", &asked, Some(key)).await.unwrap().data;
            assert_eq!(again, booked, "{fault:?} {start}");
            let of_day = listed(connection).await.into_iter().filter(|item| item["start"] == start);
            assert_eq!(of_day.collect::<Vec<_>>(), [booked], "{fault:?} {start}");
        });
        join_all(asked).await;
        assert!(proxy.disturbed() > 3, "{fault:?}: more than the first two commands, or these twice");
        proxy.calm();
    }
    clinic.close().await;
}

/// How long a hold lasts stays what was said the first time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_whose_answer_is_lost_is_acknowledged_once() {
    let (clinic, proxy) = behind_proxy().await;
    let practice = clinic.practice().await;
    for (number, (command, fault, times)) in [
        ("update", Fault::LoseReply, 1),
        ("update", Fault::LoseReply, 3),
        ("update", Fault::Refuse, 2),
        // It is taken, and how long it lasts cannot be read.
        ("find", Fault::LoseReply, 2),
    ]
    .into_iter()
    .enumerate()
    {
        let connection = clinic.connect(&clinic.patient().await).await;
        connection.request("appointment.list", json!({}), None).await.unwrap();
        proxy.disturb(command, fault, times);
        let key = key();
        let held = connection.request("slot.hold", booking(&practice, number), Some(key.clone())).await;
        let held = held.unwrap_or_else(|error| panic!("{command} {fault:?} {times}: {error}")).data;
        assert_eq!(proxy.disturbed(), times, "{command} {fault:?}");
        proxy.calm();
        let again = connection.request("slot.hold", booking(&practice, number), Some(key)).await.unwrap().data;
        assert_eq!(again, held, "{command} {fault:?} {times}");
        let booked =
            connection.request("appointment.book", booking(&practice, number), Some(crate::harness::clinic::key()));
        assert_eq!(booked.await.unwrap().data["id"], held["id"], "it is the one that is there");
    }
    clinic.close().await;
}

/// Where it cannot be read whether a time is taken, the write tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_fails_refuses_nobody() {
    let (clinic, proxy) = behind_proxy().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let (one, two) = (clinic.connect(&patient).await, clinic.connect(&clinic.patient().await).await);
    let first = one.request("appointment.book", booking(&practice, 0), Some(key())).await.unwrap().data;
    proxy.disturb("find", Fault::Refuse, usize::MAX);
    let taken = two.request("appointment.book", booking(&practice, 0), Some(key())).await.unwrap_err();
    assert_eq!(taken.code(), Some(ErrorCode::SlotTaken));
    assert!(proxy.disturbed() > 1, "the driver asks twice");
    proxy.calm();
    one.request("appointment.cancel", json!({ "id": first["id"] }), Some(key())).await.unwrap();
    // It seems taken for a moment yet.
    proxy.disturb("find", Fault::LoseReply, usize::MAX);
    let booked = two.request("appointment.book", booking(&practice, 0), Some(key())).await.unwrap().data;
    assert_eq!(booked["status"], "booked");
    proxy.calm();
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_stays_unknown_is_learnt_with_the_same_key() {
    let (clinic, proxy) = behind_proxy().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let (one, two) = (clinic.connect(&patient).await, clinic.connect(&patient).await);
    let cases = [("insert", Fault::LoseReply, Outcome::Unknown), ("insert", Fault::HoldReply, Outcome::Unknown)];
    for (number, (command, fault, outcome)) in cases.into_iter().enumerate() {
        proxy.disturb(command, fault, usize::MAX);
        let (key, began) = (key(), Instant::now());
        let failed = one.request("appointment.book", booking(&practice, number), Some(key.clone())).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(12), "{fault:?}: {:?}", began.elapsed());
        let ClientError::Problem(problem) = failed else { panic!("{failed}") };
        assert_eq!((problem.code, problem.outcome), (ErrorCode::Unavailable, Some(outcome)), "{fault:?}");
        proxy.calm();
        let done = two.request("appointment.book", booking(&practice, number), Some(key.clone())).await.unwrap();
        let again = one.request("appointment.book", booking(&practice, number), Some(key)).await.unwrap();
        assert_eq!(again.data, done.data, "{fault:?}");
        let there = listed(&one).await;
        assert_eq!((there.len(), &there[number]), (number + 1, &done.data), "{fault:?}");
    }
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_is_waited_for_and_others_are_not_held_up() {
    const STALL: Duration = Duration::from_secs(3);
    let (clinic, proxy) = behind_proxy().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let (slow, quick) = (clinic.connect(&patient).await, clinic.connect(&clinic.patient().await).await);
    proxy.disturb("insert", Fault::HoldReply, 1);
    let began = Instant::now();
    let held = slow.request("appointment.book", booking(&practice, 0), Some(key()));
    let others = async {
        proxy.until_disturbed(1).await;
        quick.request("appointment.book", booking(&practice, 1), Some(key())).await.unwrap();
        let taken = quick.request("appointment.book", booking(&practice, 0), Some(key())).await.unwrap_err();
        assert_eq!(taken.code(), Some(ErrorCode::SlotTaken), "it is decided, though not answered");
        assert!(began.elapsed() < STALL / 2, "{:?}", began.elapsed());
        eventually(async || (began.elapsed() > STALL).then_some(())).await;
        proxy.calm();
    };
    let (held, ()) = tokio::join!(held, others);
    assert_eq!(held.unwrap().data["status"], "booked");
    assert_eq!(listed(&slow).await.len(), 1);
    clinic.close().await;
}
