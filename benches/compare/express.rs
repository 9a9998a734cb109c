//! The old stack: how it is started, and its people. `benches/peers/express` is the server.

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
    command.current_dir(place::peer("express")).env("MONGO_URL", uri).env("JWT_SECRET", "un secreto de medida");
    // The last argument tells the watchdog of this run that the process is ours.
    command.env("NODE_ENV", "production").arg("server.js").arg(scratch.join("express"));
    Server::start(command, "listening").await
}

async fn post(address: SocketAddr, path: &str, token: &str, body: Value) -> Value {
    let mut wire = Wire::connect(address).await.expect("the server takes connections");
    let headers = format!("authorization: Bearer {token}\r\n");
    let answer = wire.ask("POST", path, &headers, body.to_string().as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

async fn register(address: SocketAddr, role: &str, name: &str) -> String {
    let email = format!("{}@medida.example", Uuid::new_v4().simple());
    let body = json!({ "email": email, "password": "una clave de medida", "name": name, "role": role });
    post(address, "/auth/register", "", body).await["token"].as_str().expect("a token").to_owned()
}

async fn doctor(address: SocketAddr, (opens, closes): (u32, u32), minutes: u32) -> Doctor {
    let token = register(address, "doctor", "Daniel Duarte").await;
    let body = json!({ "timeZone": "America/Bogota", "opens": opens, "closes": closes, "durationMinutes": minutes });
    let made = post(address, "/doctors", &token, body).await;
    Doctor { id: made["id"].as_str().expect("an id").to_owned(), service: String::new() }
}

pub async fn set_up(server: &Server, people: usize) -> Place {
    let address = server.address;
    let all_day = |_| doctor(address, (0, 1_435), VISIT);
    let doctors = stream::iter(0..people).map(all_day).buffered(AT_ONCE).collect().await;
    let watched = doctor(address, (0, 1_435), 5).await;
    let office = |_| doctor(address, (480, 1_080), VISIT);
    let searched: Vec<Doctor> = stream::iter(0..SEARCHED).map(office).buffered(AT_ONCE).collect().await;
    let patient =
        |_| async { Patient { token: register(address, "patient", "Paula Pérez").await, ..Patient::default() } };
    let patients =
        stream::iter(0..people + SEARCHED + BURST_BOOKERS).map(patient).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let (kind, issued, template) = (Kind::Express, Instant::now(), String::new());
    let place = Place { kind, doctors, watched, searched, patients, owner: Patient::default(), issued, template };
    super::booking::fill(&place, address).await;
    place
}

/// Path of a search.
pub fn search(doctor: &Doctor) -> String {
    format!("/doctors/{}/slots?from={}&to={}", doctor.id, place::date(1), place::date(SEARCHED_DAYS))
}
