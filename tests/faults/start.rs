//! Starting where something is missing, wrong or in the way.

use std::net::TcpListener;

use cita_cli::Connection;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{IndexModel, bson};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::clinic::{connect, database, practice_at, simple_service};
use crate::harness::mongo::{private, shared};
use crate::harness::process::Process;
use crate::harness::rest::address;
use crate::harness::until;

async fn get(url: &str, path: &str) -> reqwest::Response {
    reqwest::get(format!("{url}{path}")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_its_databases() {
    let mut clusters = private().await;
    let (users, appointments) = (clusters.users.uri(), clusters.appointments.uri());
    clusters.users.kill().await;
    clusters.appointments.kill().await;
    let mut server = Process::start(&["--users-uri", &users, "--appointments-uri", &appointments, "--demo"]).await;
    let url = server.listening().await;

    assert_eq!(get(&url, "/livez").await.status(), 200);
    let ready = get(&url, "/readyz").await;
    assert_eq!(ready.status(), 503);
    let expected = json!({ "status": "starting", "clusters": { "users": "down", "appointments": "down" } });
    assert_eq!(ready.json::<Value>().await.unwrap(), expected);
    for path in ["/v1/doctors", "/v1/me", "/v1/events?topic=x", "/docs", "/openapi.json", "/nowhere"] {
        let refused = get(&url, path).await;
        assert_eq!(
            (refused.status().as_u16(), refused.headers()["content-type"].to_str().unwrap()),
            (503, "application/problem+json"),
            "{path}"
        );
        assert!(refused.headers().contains_key("retry-after"), "{path}");
        assert_eq!(refused.json::<Value>().await.unwrap()["code"], "unavailable", "{path}");
    }
    // The dashboard, or how to build it: whoever is early gets a page that connects by itself.
    let page = get(&url, "/").await;
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/"), "{page:?}");
    Connection::connect(&url, None).await.expect_err("there is no WebSocket yet");

    // One comes up and goes away again, before the other is there.
    clusters.users.restart().await.unwrap();
    let report = async || get(&url, "/readyz").await.json::<Value>().await.unwrap();
    until(async || report().await["clusters"]["users"] != "down").await;
    assert_eq!(report().await["status"], "starting");
    clusters.users.kill().await;
    until(async || report().await["clusters"]["users"] == "down").await;
    clusters.appointments.restart().await.unwrap();
    until(async || report().await["clusters"]["appointments"] != "down").await;
    server.told("went away, still trying").await;
    assert!(server.is_running(), "{}", server.output());
    clusters.users.restart().await.unwrap();
    assert_eq!(server.serving().await, url, "it becomes ready by itself");
    assert_eq!(get(&url, "/readyz").await.status(), 200);
    practice_at(&url, simple_service()).await;
    let complaints = server.output().matches("not reachable yet, still trying cluster=appointments").count();
    assert_eq!(complaints, 1, "told once, however long it takes: {}", server.output());
    clusters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_differs_stops_the_start() {
    let (shared, name) = (shared().await, format!("t{}", Uuid::new_v4().simple()));
    let client = Client::with_uri_str(&shared.appointments_uri).await.unwrap();
    let appointments = client.database(&name).collection::<Document>("appointments");
    let options = IndexOptions::builder().name("doctor_claims".to_owned()).build();
    let index = IndexModel::builder().keys(doc! { "doctorId": 1, "claims": 1 }).options(options).build();
    appointments.create_index(index).await.unwrap();

    let uris = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let arguments = ["--users-uri", &uris.0, "--appointments-uri", &uris.1];
    let mut server = Process::start(&arguments).await;
    assert_eq!(server.ended().await.code(), Some(1));
    let output = server.output();
    for words in ["cita: the appointments cluster cannot be used", "doctor_claims", "drop the one that differs"] {
        assert!(output.contains(words), "{words} in {output}");
    }

    // So do duplicates, under an index that is yet to be made.
    appointments.drop_indexes().await.unwrap();
    let doctor = bson::Uuid::new();
    let overlapping = [1, 2].map(|id| doc! { "_id": id, "doctorId": doctor, "claims": [7, 8] });
    appointments.insert_many(overlapping).await.unwrap();
    let mut server = Process::start(&arguments).await;
    assert_eq!(server.ended().await.code(), Some(1));
    assert!(server.output().contains("resolve the duplicates"), "{}", server.output());

    appointments.delete_many(doc! {}).await.unwrap();
    let server = Process::start(&arguments).await;
    server.serving().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_command_line_is_said() {
    for one in ["--users-uri", "--appointments-uri"] {
        let mut server = Process::start(&[one, "mongodb://127.0.0.1:1/"]).await;
        assert_eq!(server.ended().await.code(), Some(1));
        let output = server.output();
        let other = if one == "--users-uri" { "--appointments-uri" } else { "--users-uri" };
        assert!(output.contains(&format!("{one} is given alone: give {other}")), "{output}");
    }
    let not_a_uri = ["--users-uri", "mysql://geheim@127.0.0.1", "--appointments-uri", "mongodb://127.0.0.1:1/"];
    let mut server = Process::start(&not_a_uri).await;
    assert_eq!(server.ended().await.code(), Some(1));
    let output = server.output();
    assert!(output.contains("the URI of the users cluster is not usable"), "{output}");
    assert!(!output.contains("geheim"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let uri = "mongodb://127.0.0.1:1/";
    let mut server = Process::start_on(&address, &["--users-uri", uri, "--appointments-uri", uri]).await;
    assert_eq!(server.ended().await.code(), Some(1));
    let output = server.output();
    for words in [address.as_str(), "in use", "--listen"] {
        assert!(output.contains(words), "{words} in {output}");
    }
}

/// Connections that say nothing take up places of clients, and not the file descriptors that MongoDB needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_knocks_takes_no_database_away() {
    let (databases, name) = (shared().await, format!("t{}", Uuid::new_v4().simple()));
    let users = database(&databases.users_uri, &name);
    let appointments = database(&databases.appointments_uri, &name);
    let arguments = ["--users-uri", &users, "--appointments-uri", &appointments];
    // 208 of them for clients.
    let node = Process::start_with_descriptors(400, &arguments).await;
    let url = node.serving().await;
    let practice = practice_at(&url, simple_service()).await;
    let doctor = connect(&url, Some(&practice.doctor.token)).await;
    let mut knocking = Vec::new();
    for _ in 0..300 {
        knocking.push(tokio::net::TcpStream::connect(address(&url)).await.unwrap());
    }
    node.told("as many connections as there may be").await;
    for _ in 0..20 {
        doctor.request("me.get", json!({}), None).await.expect("the accounts are there");
        doctor.request("appointment.list", json!({}), None).await.expect("the appointments are there");
    }
    drop(knocking);
    until(async || reqwest::get(format!("{url}/readyz")).await.is_ok_and(|ready| ready.status() == 200)).await;
    for trouble in ["Too many open files", "away", "interrupted"] {
        assert!(!node.output().contains(trouble), "{}", node.output());
    }
}
