//! One of the two clusters is away for a while: what needs it says so, everything else works, and all is well afterwards
//! without a restart.

use std::time::{Duration, Instant};

use cita_cli::{ClientError, Reply};
use cita_protocol::{ErrorCode, Outcome};
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, PASSWORD, at, connect, database, date, key};
use crate::harness::mongo::private;
use crate::harness::until;
use crate::harness::watch::Watcher;

/// The longest that a client waits for an answer while a cluster is away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// Status and body of `/readyz`.
async fn readyz(url: &str) -> (u16, Value) {
    let response = reqwest::get(format!("{url}/readyz")).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn until_ready(url: &str) {
    until(async || readyz(url).await.0 == 200).await;
}

/// What was known of a refused mutation, which must have been refused as unavailable.
fn unavailable(result: Result<Reply, ClientError>) -> Option<Outcome> {
    match result {
        Err(ClientError::Problem(problem)) => {
            assert_eq!((problem.code, problem.status, problem.retryable), (ErrorCode::Unavailable, 503, true));
            problem.outcome
        }
        other => panic!("not unavailable: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_users_cluster_those_who_are_logged_in_go_on() {
    let mut clusters = private().await;
    let (users, appointments) = (clusters.users.uri(), clusters.appointments.uri());
    let clinic = Clinic::open_on(&database(&users, "cita"), &database(&appointments, "cita"), &[]).await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let open = clinic.connect(&patient).await;
    clusters.users.kill().await;

    let expected = json!({ "users": "down", "appointments": "up" });
    until(async || readyz(clinic.url()).await == (503, json!({ "status": "degraded", "clusters": expected }))).await;
    let visitor = clinic.anon().await;
    let login = json!({ "email": patient.email, "password": PASSWORD });
    let register = json!({ "email": "nueva@prueba.example", "password": PASSWORD, "name": "Nora Nueva" });
    let refresh = json!({ "refreshToken": patient.refresh_token });
    let over_rest = reqwest::Client::new().post(format!("{}/v1/auth/login", clinic.url())).json(&login).send();
    let began = Instant::now();
    let (login, register, refresh, over_rest) = tokio::join!(
        visitor.request("auth.login", &login, None),
        visitor.request("auth.register", &register, None),
        visitor.request("auth.refresh", &refresh, None),
        over_rest,
    );
    assert_eq!(unavailable(login), Some(Outcome::NotApplied));
    assert_eq!(unavailable(register), Some(Outcome::NotApplied));
    assert_eq!(unavailable(refresh), Some(Outcome::NotApplied));
    let over_rest = over_rest.unwrap();
    assert_eq!((over_rest.status().as_u16(), over_rest.headers().contains_key("retry-after")), (503, true));
    assert!(began.elapsed() < ANSWERED_WITHIN, "{:?}", began.elapsed());

    // An open connection, and a new one with the same token.
    let new = clinic.connect(&patient).await;
    for (connection, time) in [(&open, "09:00"), (&new, "10:00")] {
        let booking = practice.booking(&at(&date(2), time));
        connection.request("appointment.book", booking, Some(key())).await.expect("it needs no users cluster");
    }
    let search =
        json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date(2), "to": date(2) });
    let found = visitor.request("slot.search", search, None).await.unwrap().data;
    assert_eq!(found["slots"].as_array().unwrap().len(), 18);

    clusters.users.restart().await.unwrap();
    until_ready(clinic.url()).await;
    let login = json!({ "email": patient.email, "password": PASSWORD });
    visitor.request("auth.login", login, None).await.expect("it is back");
    visitor
        .request("auth.refresh", json!({ "refreshToken": patient.refresh_token }), None)
        .await
        .expect("not used yet");
    clinic.close().await;
    clusters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_appointments_cluster_people_log_in_and_look() {
    let mut clusters = private().await;
    let (users, appointments) = (clusters.users.uri(), clusters.appointments.uri());
    let options = &["--heartbeat-ms", "300"];
    let clinic = Clinic::open_on(&database(&users, "cita"), &database(&appointments, "cita"), options).await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let connection = clinic.connect(&patient).await;
    let booked = practice.booking(&at(&date(2), "09:00"));
    let booked = connection.request("appointment.book", booked, Some(key())).await.unwrap().data;
    let topic = practice.slots(&date(2));
    let mut watcher = Watcher::start(clinic.anon().await, &topic, None).await;
    let search =
        json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date(2), "to": date(2) });
    connection.request("slot.search", &search, None).await.unwrap();
    clusters.appointments.kill().await;

    let expected = json!({ "users": "up", "appointments": "down" });
    until(async || readyz(clinic.url()).await == (503, json!({ "status": "degraded", "clusters": expected }))).await;
    let visitor = clinic.anon().await;
    let login = json!({ "email": patient.email, "password": PASSWORD });
    visitor.request("auth.login", login, None).await.expect("it needs no appointments cluster");
    let found = visitor.request("slot.search", &search, None).await.expect("it is in memory").data;
    assert_eq!(found["slots"].as_array().unwrap().len(), 19);

    let booking = practice.booking(&at(&date(2), "10:00"));
    let (moved, away) = (json!({ "id": booked["id"], "start": at(&date(2), "11:00") }), json!({ "id": booked["id"] }));
    let profile = json!({ "id": practice.doctor.id, "bio": "…" });
    let (own_key, doctor) = (key(), clinic.connect(&practice.doctor).await);
    let began = Instant::now();
    let (book, reschedule, cancel, update, list) = tokio::join!(
        connection.request("appointment.book", &booking, Some(own_key.clone())),
        connection.request("appointment.reschedule", moved, Some(key())),
        connection.request("appointment.cancel", away, Some(key())),
        doctor.request("doctor.update", profile, Some(key())),
        connection.request("appointment.list", json!({}), None),
    );
    assert_eq!(unavailable(book), Some(Outcome::NotApplied));
    assert_eq!(unavailable(reschedule), Some(Outcome::NotApplied));
    assert_eq!(unavailable(cancel), Some(Outcome::NotApplied));
    assert_eq!(unavailable(update), Some(Outcome::NotApplied));
    assert_eq!(unavailable(list), None, "it changes nothing");
    assert!(began.elapsed() < ANSWERED_WITHIN, "{:?}", began.elapsed());

    clusters.appointments.restart().await.unwrap();
    until_ready(clinic.url()).await;
    let reply = connection.request("appointment.book", &booking, Some(own_key)).await.expect("it is back");
    watcher.until(|view| view.items.len() == 18).await;
    let mut fresh = Watcher::start(connect(clinic.url(), None).await, &topic, None).await;
    assert_eq!(fresh.until(|view| view.snapshots == 1).await.items, watcher.view.items);
    assert_eq!((watcher.view.snapshots, watcher.view.changes), (1, 1), "the socket stayed, and missed nothing");
    assert_eq!(reply.data["status"], "booked");
    clinic.close().await;
    clusters.stop().await;
}
