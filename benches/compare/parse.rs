//! parse-server with LiveQuery: how it is started, and its people. `benches/peers/parse` is the server.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use super::live::BURST_BOOKERS;
use super::place::{self, Doctor, Kind, Patient, Place, SEARCHED, SEARCHED_DAYS, VISIT};
use super::server::Server;
use super::wire::Wire;

const AT_ONCE: usize = 16;

pub async fn start(uri: &str, scratch: &Path) -> Server {
    let mut command = Command::new("node");
    command.current_dir(place::peer("parse")).env("MONGO_URL", uri).env("MASTER_KEY", "la llave de medida");
    // As little as the others write.
    command.env("PARSE_SERVER_LOGS_FOLDER", "null");
    // The last argument tells the watchdog of this run that the process is ours.
    command.env("NODE_ENV", "production").arg("server.js").arg(scratch.join("parse"));
    Server::start(command, "listening").await
}

/// The headers of a request of somebody.
pub fn headers(token: &str) -> String {
    match token {
        "" => "x-parse-application-id: bench\r\n".to_owned(),
        token => format!("x-parse-application-id: bench\r\nx-parse-session-token: {token}\r\n"),
    }
}

async fn post(address: SocketAddr, path: &str, token: &str, body: Value) -> Value {
    let mut wire = Wire::connect(address).await.expect("the server takes connections");
    let answer = wire.ask("POST", path, &headers(token), body.to_string().as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Without a password: how long it takes to hash one is not measured.
async fn patient(address: SocketAddr) -> Patient {
    let body = json!({ "authData": { "anonymous": { "id": Uuid::new_v4() } } });
    let user = post(address, "/parse/users", "", body).await;
    Patient { token: user["sessionToken"].as_str().expect("a session").to_owned(), ..Patient::default() }
}

pub async fn set_up(server: &Server, people: usize) -> Place {
    let address = server.address;
    let patients = stream::iter(0..people + SEARCHED + BURST_BOOKERS).map(|_| patient(address)).buffered(AT_ONCE);
    let patients: Vec<Patient> = patients.collect().await;
    let token = &patients[0].token;
    let doctor = async |(opens, closes): (u32, u32), minutes: u32| {
        let body = json!({ "name": "Daniel Duarte", "opens": opens, "closes": closes, "durationMinutes": minutes });
        let made = post(address, "/parse/classes/Doctor", token, body).await;
        let id = made["objectId"].as_str().expect("an id").to_owned();
        Doctor { id, service: String::new() }
    };
    let mut doctors = Vec::new();
    for _ in 0..people {
        doctors.push(doctor((0, 1_435), VISIT).await);
    }
    let watched = doctor((0, 1_435), 5).await;
    let mut searched = Vec::new();
    for _ in 0..SEARCHED {
        searched.push(doctor((480, 1_080), VISIT).await);
    }
    let (kind, issued, template) = (Kind::Parse, Instant::now(), String::new());
    let place = Place { kind, doctors, watched, searched, patients, owner: Patient::default(), issued, template };
    super::booking::fill(&place, address).await;
    place
}

/// Body of a search.
pub fn search(doctor: &Doctor) -> String {
    json!({ "doctor": doctor.id, "from": place::date(1), "to": place::date(SEARCHED_DAYS) }).to_string()
}
