//! The server's process is killed, asked to stop, interrupted.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cita_cli::ClientError;
use cita_protocol::frame::CloseCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bookers::{Bookers, DAYS};
use super::follower::{Follower, Servers};
use crate::harness::clinic::{at, connect, database, date, key, practice_at, register, simple_service, text};
use crate::harness::mongo::{scratch_dir, shared};
use crate::harness::process::Process;
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::until;
use crate::harness::watch::end_of;

/// What a stopping server may take beyond the time that it gives to what is under way.
const MARGIN: Duration = Duration::from_secs(5);

/// Fresh databases on the shared replica sets.
async fn databases() -> (String, String) {
    let (shared, name) = (shared().await, format!("t{}", Uuid::new_v4().simple()));
    (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_in_the_middle_of_bookings() {
    let (users, appointments) = databases().await;
    let options = &["--heartbeat-ms", "300", "--log", "warn"];
    let (mut first, url) = Process::serve(&users, &appointments, options).await;
    let practice = practice_at(&url, simple_service()).await;
    let servers = Servers::new(&[&url]);
    let mut followers = Vec::new();
    followers.push(Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await);
    for days in 1..=DAYS {
        followers.push(Follower::start(&servers, None, &practice.slots(&date(days))).await);
    }
    let bookers = Bookers::start(&servers, &practice, 6).await;
    bookers.until_acknowledged(100).await;
    first.signal("KILL").await;
    first.ended().await;

    let (second, url) = Process::serve(&users, &appointments, options).await;
    servers.replace(&url);
    bookers.until_acknowledged(100).await;
    for follower in &followers {
        let seen = follower.until(|seen| !seen.ends.is_empty() && seen.pings > 0).await;
        assert_eq!((seen.ends, seen.anew), (vec![None], 0), "{} goes on where it was", follower.topic);
    }
    let log = bookers.finish_and_check(followers).await;
    assert!(log.unknown > 0, "something was under way when the server was killed");
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_stop_finishes_and_says_goodbye() {
    let (users, _) = databases().await;
    let proxy = Proxy::to(&shared().await.appointments_uri).await;
    let appointments = proxy.uri(&format!("t{}", Uuid::new_v4().simple()));
    let (mut server, url) = Process::serve(&users, &appointments, &[]).await;
    let practice = practice_at(&url, simple_service()).await;
    let (one, two) = (register(&url, "patient", "Uno").await, register(&url, "patient", "Dos").await);
    let socket = connect(&url, Some(&one.token)).await;
    socket.request("subscribe", json!({ "topic": "me/appointments" }), None).await.unwrap();
    let topic = practice.slots(&date(2));
    let events = reqwest::get(format!("{url}/v1/events?topic={topic}")).await.unwrap();
    assert_eq!(events.status(), 200);

    // One booking at each door is under way: written, and not answered yet.
    proxy.disturb("insert", Fault::HoldReply, 2);
    let over_rest = reqwest::Client::new().post(format!("{url}/v1/appointments")).bearer_auth(&two.token);
    let over_rest = over_rest.header("Idempotency-Key", key()).json(&practice.booking(&at(&date(2), "10:00")));
    let over_rest = tokio::spawn(over_rest.send());
    let book = socket.request("appointment.book", practice.booking(&at(&date(2), "09:00")), Some(key()));
    let stop = async {
        proxy.until_disturbed(2).await;
        let began = Instant::now();
        server.signal("TERM").await;
        let frame = loop {
            let frame = socket.next_event().await.expect("it stays open while it waits for an answer");
            if frame.kind == "goAway" {
                break frame;
            }
        };
        assert!(frame.data["reconnectAfterMs"].as_u64().is_some());
        // Whoever comes now has to go elsewhere.
        let late = reqwest::get(format!("{url}/livez")).await.unwrap_err();
        assert!(late.is_connect(), "{late:?}");
        proxy.calm();
        began
    };
    let (booked, began) = tokio::join!(book, stop);
    assert_eq!(booked.expect("what is under way is answered").data["status"], "booked");
    let over_rest = over_rest.await.unwrap().expect("what is under way is answered");
    assert_eq!(over_rest.status(), 201);
    let end = end_of(&socket).await;
    let drained = CloseCode::Drain.code();
    assert!(matches!(end, ClientError::Closed { code: Some(code), .. } if code == drained), "{end:?}");
    let told = events.text().await.expect("the stream ends in order");
    assert!(told.contains("event: snapshot") && told.contains("event: goAway"), "{told}");
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{}", server.output());
    assert!(began.elapsed() < MARGIN, "nothing was under way any more: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_wait_for_ever_for_what_is_under_way() {
    let (users, _) = databases().await;
    let proxy = Proxy::to(&shared().await.appointments_uri).await;
    let appointments = proxy.uri(&format!("t{}", Uuid::new_v4().simple()));
    let (mut server, url) = Process::serve(&users, &appointments, &["--drain-seconds", "2"]).await;
    let practice = practice_at(&url, simple_service()).await;
    let patient = register(&url, "patient", "Uno").await;
    let socket = connect(&url, Some(&patient.token)).await;
    proxy.disturb("insert", Fault::HoldReply, 1);
    let book = socket.request("appointment.book", practice.booking(&at(&date(2), "09:00")), Some(key()));
    let stop = async {
        proxy.until_disturbed(1).await;
        let began = Instant::now();
        server.signal("TERM").await;
        let status = server.ended().await;
        (status, began.elapsed())
    };
    let (booked, (status, took)) = tokio::join!(book, stop);
    assert_eq!(status.code(), Some(0), "{}", server.output());
    assert!((Duration::from_secs(2)..Duration::from_secs(2) + MARGIN).contains(&took), "{took:?}");
    assert!(
        matches!(booked, Err(ClientError::Closed { code: Some(4000), .. })),
        "the outcome is not known: {booked:?}"
    );
}

/// Names of the demo's doctors, with their ids.
async fn doctors(url: &str) -> Vec<(String, String)> {
    let reply: Value = reqwest::get(format!("{url}/v1/doctors")).await.unwrap().json().await.unwrap();
    reply["items"].as_array().unwrap().iter().map(|doctor| (text(doctor, "name"), text(doctor, "id"))).collect()
}

/// Processes that have a directory in their arguments.
fn processes_on(dir: &Path) -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(dir.to_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_server_takes_its_database_along_and_finds_its_data_again() {
    let dir = scratch_dir();
    let arguments = ["--data-dir", dir.to_str().unwrap(), "--demo"];
    let mut server = Process::start(&arguments).await;
    let found = doctors(&server.serving().await).await;
    assert_eq!(found.len(), 12);
    assert_eq!(processes_on(&dir).len(), 3, "the server and its two databases");
    server.signal("INT").await;
    let began = Instant::now();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.output());
    assert!(began.elapsed() < MARGIN * 2, "{:?}", began.elapsed());
    assert_eq!(processes_on(&dir), Vec::<String>::new());
    let log = server.output();
    let told = |words: &str| log.lines().any(|line| line.contains(" INFO ") && line.contains(words));
    assert!(told(r#"route="/v1/doctors" status=200"#) && told("stopping"), "the log has everything: {log}");

    let began = Instant::now();
    let mut server = Process::start(&arguments).await;
    let again = doctors(&server.serving().await).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(again, found);
    server.signal("INT").await;
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_interrupted_while_it_starts_leaves_nothing_behind() {
    let dir = scratch_dir();
    let arguments = ["--data-dir", dir.to_str().unwrap()];
    // Itself, the first of its databases, the second one.
    for processes in 1..=3 {
        let mut server = Process::start(&arguments).await;
        server.listening().await;
        until(async || processes_on(&dir).len() >= processes).await;
        server.signal("INT").await;
        assert_eq!(server.ended().await.code(), Some(0), "{}", server.output());
        assert_eq!(processes_on(&dir), Vec::<String>::new());
    }
    let mut server = Process::start(&arguments).await;
    practice_at(&server.serving().await, simple_service()).await;
    server.signal("INT").await;
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.output());
}
