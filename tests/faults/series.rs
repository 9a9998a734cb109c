//! A series whose transaction is disturbed: it is there once and whole, or not at all.

use cita_protocol::{ErrorCode, Outcome};
use serde_json::{Value, json};

use super::reply::behind_proxy;
use crate::harness::clinic::{at, date, key};
use crate::harness::proxy::Fault;
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_whose_answer_is_lost_is_booked_once() {
    let (clinic, proxy) = behind_proxy().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let connection = clinic.connect(&patient).await;
    let mut own = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    let mut booked: Vec<Value> = Vec::new();
    // The driver sends a commit again by itself, and so does the store; beyond that the whole begins anew, and meets itself.
    for (number, (command, fault, times)) in [
        ("insert", Fault::LoseReply, 1),
        ("insert", Fault::LoseReply, 3),
        ("insert", Fault::Refuse, 2),
        ("commitTransaction", Fault::LoseReply, 1),
        ("commitTransaction", Fault::LoseReply, 4),
        ("commitTransaction", Fault::LoseReply, 6),
        ("commitTransaction", Fault::Refuse, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let mut data = practice.booking(&at(&date(2), &format!("{:02}:00", 8 + number)));
        data["rrule"] = json!("FREQ=DAILY;COUNT=5");
        proxy.disturb(command, fault, times);
        let key = key();
        let done = connection.request("series.book", &data, Some(key.clone())).await;
        let done = done.unwrap_or_else(|error| panic!("{command} {fault:?} {times}: {error}"));
        assert_eq!(proxy.disturbed(), times, "{command} {fault:?}");
        proxy.calm();
        let again = connection.request("series.book", &data, Some(key)).await.unwrap();
        assert_eq!(again.data, done.data, "{command} {fault:?} {times}");
        booked.push(done.data);
        let seen = own.until_cursor(&again.cursor.unwrap().0).await;
        assert_eq!((seen.items.len(), seen.changes), (5 * booked.len(), booked.len()), "{command} {fault:?} {times}");
    }
    // The same for a move and for a cancellation.
    for (number, (command, times)) in
        [("update", 1), ("commitTransaction", 1), ("commitTransaction", 6)].into_iter().enumerate()
    {
        let id = &booked[number]["id"];
        for (operation, data) in [
            ("series.reschedule", json!({ "id": id, "start": at(&date(3), &format!("{:02}:00", 8 + number)) })),
            ("series.cancel", json!({ "id": id })),
        ] {
            proxy.disturb(command, Fault::LoseReply, times);
            let key = key();
            let done = connection.request(operation, &data, Some(key.clone())).await;
            let done = done.unwrap_or_else(|error| panic!("{operation} {command} {times}: {error}")).data;
            assert_eq!(proxy.disturbed(), times, "{operation} {command}");
            proxy.calm();
            assert_eq!(done["appointments"].as_array().unwrap().len(), 5);
            let again = connection.request(operation, &data, Some(key)).await.unwrap().data;
            assert_eq!(again, done, "{operation} {command} {times}");
        }
    }
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_of_unknown_outcome_is_learnt_with_the_same_key() {
    let (clinic, proxy) = behind_proxy().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let connection = clinic.connect(&patient).await;
    let mut data = practice.booking(&at(&date(2), "09:00"));
    data["rrule"] = json!("FREQ=DAILY;COUNT=5");
    let key = key();
    // What was never committed was not done; what was not answered may have been.
    for (command, fault, outcome) in
        [("insert", Fault::LoseReply, Outcome::NotApplied), ("commitTransaction", Fault::HoldReply, Outcome::Unknown)]
    {
        proxy.disturb(command, fault, usize::MAX);
        let failed = connection.request("series.book", &data, Some(key.clone())).await.unwrap_err();
        let problem = failed.problem().expect("a problem");
        assert_eq!((problem.code, problem.outcome), (ErrorCode::Unavailable, Some(outcome)), "{command}");
        proxy.calm();
    }
    let done = connection.request("series.book", &data, Some(key.clone())).await.unwrap().data;
    let again = connection.request("series.book", &data, Some(key)).await.unwrap().data;
    assert_eq!((again, done["appointments"].as_array().unwrap().len()), (done.clone(), 5));
    let all = connection.request("appointment.list", json!({}), None).await.unwrap().data;
    assert_eq!(all["items"], done["appointments"], "once");
    clinic.close().await;
}
