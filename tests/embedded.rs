//! The embedded MongoDB: data outlives restarts, a taken port and a killed predecessor are no obstacle, an owner is.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use cita::embedded::{EmbeddedError, ReplicaSet, find_mongod};
use mongodb::Client;
use mongodb::bson::{Document, doc};

use crate::harness::mongo::{mongod, private, scratch_dir, shared};
use crate::harness::until;

async fn write(uri: &str, id: i32) {
    let client = Client::with_uri_str(uri).await.unwrap();
    client.database("test").collection("notes").insert_one(doc! { "_id": id }).await.unwrap();
    client.shutdown().immediate(true).await;
}

async fn read(uri: &str) -> Vec<i32> {
    let client = Client::with_uri_str(uri).await.unwrap();
    let notes = client.database("test").collection::<Document>("notes");
    let mut found = notes.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    let mut ids = Vec::new();
    while found.advance().await.unwrap() {
        ids.push(found.current().get_i32("_id").unwrap());
    }
    drop(found);
    client.shutdown().immediate(true).await;
    ids
}

async fn start(dir: &Path) -> Result<ReplicaSet, EmbeddedError> {
    ReplicaSet::start(mongod().await, "users", dir).await
}

#[tokio::test]
async fn a_second_start_finds_the_data_on_the_same_port() {
    let dir = scratch_dir();
    let first = start(&dir).await.unwrap();
    let uri = first.uri();
    write(&uri, 1).await;
    first.stop().await;

    let second = start(&dir).await.unwrap();
    assert_eq!(second.uri(), uri);
    assert_eq!(read(&uri).await, [1]);
    second.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_left_to_its_owner() {
    let dir = scratch_dir();
    let first = start(&dir).await.unwrap();
    let port = first.port();
    write(&first.uri(), 1).await;
    first.stop().await;

    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || other.incoming().for_each(drop));
    let second = start(&dir).await.unwrap();
    assert_ne!(second.port(), port);
    assert_eq!(read(&second.uri()).await, [1]);
    write(&second.uri(), 2).await;
    let moved = second.port();
    second.stop().await;

    let third = start(&dir).await.unwrap();
    assert_eq!(third.port(), moved);
    assert_eq!(read(&third.uri()).await, [1, 2]);
    third.stop().await;
}

#[tokio::test]
async fn a_port_taken_by_another_replica_set_of_the_same_name_is_left_to_it() {
    let dir = scratch_dir();
    let first = start(&dir).await.unwrap();
    let port = first.port();
    write(&first.uri(), 1).await;
    first.stop().await;

    let other_dir = scratch_dir();
    std::fs::create_dir_all(&other_dir).unwrap();
    std::fs::write(other_dir.join("port"), port.to_string()).unwrap();
    let other = start(&other_dir).await.unwrap();
    assert_eq!(other.port(), port);

    let second = start(&dir).await.unwrap();
    assert_ne!(second.port(), port);
    assert_eq!(read(&second.uri()).await, [1]);
    assert!(read(&other.uri()).await.is_empty());
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_and_restart() {
    let mut clusters = private().await;
    let uri = clusters.appointments.uri();
    write(&uri, 1).await;
    let before = clusters.appointments.pid();
    clusters.appointments.kill().await;
    clusters.appointments.restart().await.unwrap();
    assert_ne!(clusters.appointments.pid(), before);
    assert_eq!(clusters.appointments.uri(), uri);
    assert_eq!(read(&uri).await, [1]);
    clusters.stop().await;
}

#[tokio::test]
async fn a_mongod_that_a_killed_cita_left_behind_is_replaced() {
    let dir = scratch_dir();
    let first = start(&dir).await.unwrap();
    write(&first.uri(), 1).await;
    let port = first.port();
    first.stop().await;

    // What remains after kill -9 of Cita: mongod with our arguments in our directory, and nobody who owns it.
    let dir = dir.canonicalize().unwrap();
    let mut orphan = Command::new(mongod().await)
        .args(["--replSet", "users", "--bind_ip", "127.0.0.1", "--nounixsocket", "--port", &port.to_string()])
        .arg("--dbpath")
        .arg(dir.join("db"))
        .current_dir(&dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(async || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await;

    let second = start(&dir).await.unwrap();
    orphan.wait().unwrap();
    assert_eq!(second.port(), port);
    assert_eq!(read(&second.uri()).await, [1]);
    second.stop().await;
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_its_owner_unharmed() {
    let dir = scratch_dir();
    let first = start(&dir).await.unwrap();
    let second = start(&dir).await.unwrap_err();
    assert!(matches!(second, EmbeddedError::InUse { .. }), "{second}");
    write(&first.uri(), 1).await;
    first.stop().await;
}

#[tokio::test]
async fn a_mongod_that_does_not_start_says_why() {
    let dir = scratch_dir();
    let first = start(&dir).await.unwrap();
    first.stop().await;
    std::fs::write(dir.join("db/WiredTiger.turtle"), "damaged").unwrap();
    let refused = start(&dir).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::Exited { .. }), "{refused}");
    assert!(refused.to_string().contains("mongod.log"), "{refused}");
    assert!(refused.to_string().contains("WiredTiger"), "{refused}");
}

#[tokio::test]
async fn a_restart_on_a_port_that_was_taken_says_so() {
    let mut set = start(&scratch_dir()).await.unwrap();
    set.kill().await;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, set.port())).unwrap();
    std::thread::spawn(move || other.incoming().for_each(drop));
    let refused = set.restart().await.unwrap_err();
    assert!(refused.to_string().contains("Address already in use"), "{refused}");
}

#[tokio::test]
async fn a_wrong_cita_mongod_is_named() {
    let wrong = Path::new("/nonexistent/mongod");
    let refused = find_mongod(Some(wrong), &scratch_dir()).await.unwrap_err();
    assert!(refused.to_string().contains("CITA_MONGOD"), "{refused}");
}

#[tokio::test]
async fn the_shared_replica_sets_take_transactions_and_are_two() {
    let mongo = shared().await;
    assert_ne!(mongo.users_uri, mongo.appointments_uri);
    for uri in [&mongo.users_uri, &mongo.appointments_uri] {
        let client = Client::with_uri_str(uri).await.unwrap();
        let database = client.database("embedded_shared");
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        database.collection("notes").insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
        session.commit_transaction().await.unwrap();
        drop(session);
        database.drop().await.unwrap();
        client.shutdown().immediate(true).await;
    }
}
