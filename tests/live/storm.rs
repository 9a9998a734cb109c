//! Everybody comes back at once: let in at a rate, told when to come, and told what they missed without a question to the database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use futures::StreamExt as _;
use futures::future::join_all;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, at, connect, date, key};
use crate::harness::watch::Watcher;
use crate::harness::{Patience, until};

/// Comes until let in, as told. Returns how often it was told to wait.
async fn come(url: &str) -> (Connection, usize) {
    let mut refused = 0;
    loop {
        match Connection::connect(url, None).await {
            Ok(connection) => return (connection, refused),
            Err(ClientError::Refused { status: 503, problem: Some(problem) }) => {
                assert_eq!((problem.code, problem.retryable), (ErrorCode::Unavailable, true));
                let due =
                    Instant::now() + Duration::from_millis(problem.retry_after_ms.expect("it is told when to come"));
                let mut patience = Patience::default();
                while Instant::now() < due {
                    patience.rest().await;
                }
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_many_is_told_when_to_come_and_rest_goes_on() {
    let clinic = Clinic::open_with(&["--ws-handshakes", "20"]).await;
    let practice = clinic.practice().await;
    let began = Instant::now();
    let storm = join_all((0..100).map(|_| come(clinic.url())));
    let rest = async {
        let http = reqwest::Client::new();
        // Within the storm, which lasts four seconds.
        while began.elapsed() < Duration::from_secs(2) {
            for path in ["/readyz", "/v1/doctors", &format!("/v1/doctors/{}", practice.doctor.id)] {
                let asked = Instant::now();
                let answer = http.get(format!("{}{path}", clinic.url())).send().await.unwrap();
                assert_eq!(answer.status(), 200, "{path}");
                assert!(asked.elapsed() < Duration::from_secs(2), "{path} took {:?}", asked.elapsed());
            }
        }
        http
    };
    let (came, http) = tokio::join!(storm, rest);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(20), "20 a second: {took:?}");
    let told: BTreeMap<usize, usize> = came.iter().fold(BTreeMap::new(), |mut told, (_, refused)| {
        *told.entry(*refused).or_default() += 1;
        told
    });
    assert!(told[&0] >= 20 && told.keys().all(|times| *times <= 4), "{told:?}");

    // As HTTP has it: in whole seconds, and more exactly in the body.
    let knock = || {
        let request =
            http.get(format!("{}/v1/ws", clinic.url())).header("connection", "upgrade").header("upgrade", "websocket");
        request.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send()
    };
    let answers = join_all((0..60).map(|_| knock())).await;
    let refused =
        answers.into_iter().map(Result::unwrap).find(|answer| answer.status() == 503).expect("60 are too many");
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "unavailable");
    assert!(problem["retryAfterMs"].as_u64().unwrap() > 0, "{problem}");
}

async fn profiled(uri: &str) -> Database {
    let database = Client::with_uri_str(uri).await.unwrap().default_database().unwrap();
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    database
}

/// How many commands the database was asked since it is profiled, but for those that follow its changes.
async fn asked(database: &Database) -> u64 {
    let filter = doc! { "op": { "$in": ["query", "command", "insert", "update"] }, "command.getMore": { "$exists": false },
    "ns": { "$not": { "$regex": "system.profile" } } };
    database.collection::<Document>("system.profile").count_documents(filter).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_costs_no_question_to_the_database() {
    const CLIENTS: u64 = 300;
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let other = clinic.node().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let topics = [practice.slots(&date(2)), practice.calendar()];
    let mut watcher = Watcher::start(clinic.connect(&practice.doctor).await, &topics[0], None).await;
    watcher.until(|view| view.snapshots == 1).await;
    let known = watcher.view.cursor.clone();
    let booking = practice.booking(&at(&date(2), "09:00"));
    clinic.connect(&patient).await.request("appointment.book", booking, Some(key())).await.unwrap();

    // The other node has seen the booking, and reads the calendar once.
    let first = connect(&other.url, None).await;
    let search =
        json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date(2), "to": date(2) });
    until(async || {
        let found = first.request("slot.search", &search, None).await.unwrap().data;
        found["slots"].as_array().unwrap().len() == 19
    })
    .await;
    let (users, appointments) = (profiled(&clinic.users_uri).await, profiled(&clinic.appointments_uri).await);
    let come_back = |number: u64| {
        let (token, topics, known, url) = (&practice.doctor.token, &topics, &known, &other.url);
        async move {
            let connection = connect(url, Some(token)).await;
            for topic in topics {
                let request = json!({ "topic": topic, "after": known });
                let reply = connection.request("subscribe", request, None).await.unwrap();
                assert_eq!(reply.data["resumed"], true, "{number} {topic}");
            }
            connection
        }
    };
    let back: Vec<Connection> = futures::stream::iter(0..CLIENTS).map(come_back).buffer_unordered(50).collect().await;
    let asked = asked(&users).await + asked(&appointments).await;
    // What both nodes ask anyway: each cluster for a sign of life, and for holds that have run out, each second.
    assert!(asked < CLIENTS / 3, "{asked} commands for {CLIENTS} clients");
    drop(back);
}
