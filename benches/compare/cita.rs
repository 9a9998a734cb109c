//! Cita as it is run for the public: the released binary in production mode, in a process of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use super::live::BURST_BOOKERS;
use super::place::{self, Doctor, Kind, Patient, Place, SEARCHED, SEARCHED_DAYS, VISIT, World};
use super::server::Server;
use super::wire::Wire;

const SECRET: &str = "un secreto de medida, largo y variado";
const PASSWORD: &str = "una clave de medida";
/// Everybody comes from one address here, and does the work of thousands: nothing else is configured otherwise than for
/// the public.
pub const RAISED: [&str; 12] = [
    "--rate-read",
    "1000000",
    "--rate-write",
    "1000000",
    "--rate-auth",
    "1000000",
    "--rate-subscribe",
    "1000000",
    "--ws-rate",
    "1000000",
    "--ws-handshakes",
    "1000000",
];
/// Requests of the preparation at the same time.
const AT_ONCE: usize = 16;
/// Access tokens live ten minutes; they are renewed before a measurement when they are older than this.
const FRESH: Duration = Duration::from_secs(120);

pub fn command(world: &World, appointments_uri: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cita"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--mode", "production", "--secret", SECRET]);
    command.args(["--users-uri", &world.users_uri, "--appointments-uri", appointments_uri]);
    command.args(["--smtp-url", "smtp://127.0.0.1:9", "--mail-from", "citas@medida.example"]);
    command.args(["--public-url", "https://citas.medida.example", "--data-dir"]).arg(&world.scratch);
    command.args(RAISED);
    command
}

pub async fn start(world: &World, appointments_uri: &str) -> Server {
    Server::start(command(world, appointments_uri), "Cita serves at").await
}

/// The same with `/metrics`, and its address.
pub async fn start_measured(world: &World, appointments_uri: &str) -> (Server, SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let metrics = free.expect("a free port");
    let mut command = command(world, appointments_uri);
    command.arg("--metrics-listen").arg(metrics.to_string());
    (Server::start(command, "Cita serves at").await, metrics)
}

/// As `start`, with the traces of one in a hundred, which go to a collector.
pub async fn start_traced(world: &World, appointments_uri: &str, collector: SocketAddr) -> Server {
    let mut command = command(world, appointments_uri);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
    command.envs([("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")]);
    Server::start(command, "Cita serves at").await
}

/// One request of the REST interface.
async fn rest(address: SocketAddr, method: &str, path: &str, token: &str, body: Value) -> Value {
    let mut wire = Wire::connect(address).await.expect("the server takes connections");
    let mut headers = format!("idempotency-key: {}\r\n", Uuid::new_v4());
    if !token.is_empty() {
        headers += &format!("authorization: Bearer {token}\r\n");
    }
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = wire.ask(method, path, &headers, &body).await.expect("an answer");
    assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text, and not {value}")).to_owned()
}

async fn register(address: SocketAddr, role: &str, name: &str) -> (String, Patient) {
    let email = format!("{}@medida.example", Uuid::new_v4().simple());
    let body = json!({ "email": email, "password": PASSWORD, "name": name, "role": role });
    let reply = rest(address, "POST", "/v1/auth/register", "", body).await;
    (text(&reply["user"]["id"]), Patient { token: text(&reply["accessToken"]), refresh: text(&reply["refreshToken"]) })
}

/// The first admin comes by the command that every installation has.
async fn admin(world: &World, address: SocketAddr) -> String {
    let email = "admin@medida.example";
    let mut command = Command::new(env!("CARGO_BIN_EXE_cita"));
    command.args(["create-admin", "--users-uri", &world.users_uri, "--email", email, "--secret", SECRET]);
    let output = command.output().await.expect("the command runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let token = told.split("#token=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
    let reset = json!({ "token": token, "password": PASSWORD });
    rest(address, "POST", "/v1/auth/reset-password", "", reset).await;
    let reply = rest(address, "POST", "/v1/auth/login", "", json!({ "email": email, "password": PASSWORD })).await;
    text(&reply["accessToken"])
}

async fn doctor(address: SocketAddr, admin: &str, hours: (&str, &str), minutes: u32) -> (Doctor, Patient) {
    let (id, owner) = register(address, "doctor", "Daniel Duarte").await;
    let token = &owner.token;
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let weekly = days.map(|day| json!({ "weekday": day, "from": hours.0, "to": hours.1 }));
    let availability = json!({ "timeZone": "America/Bogota", "weekly": weekly, "overrides": [] });
    rest(address, "PUT", &format!("/v1/doctors/{id}/availability"), token, availability).await;
    let service = json!({ "name": "Consulta", "durationMinutes": minutes, "horizonDays": 366 });
    let service = rest(address, "POST", &format!("/v1/doctors/{id}/services"), token, service).await;
    let approval = json!({ "approval": "approved" });
    rest(address, "PUT", &format!("/v1/admin/doctors/{id}/approval"), admin, approval).await;
    (Doctor { id, service: text(&service["id"]) }, owner)
}

pub async fn set_up(world: &World, server: &Server, people: usize) -> Place {
    let (address, issued) = (server.address, Instant::now());
    let admin = &admin(world, address).await;
    let all_day = |_| async { doctor(address, admin, ("00:00", "23:55"), VISIT).await.0 };
    let doctors = stream::iter(0..people).map(all_day).buffered(AT_ONCE).collect().await;
    let (watched, owner) = doctor(address, admin, ("00:00", "23:55"), 5).await;
    let office = |_| async { doctor(address, admin, ("08:00", "18:00"), VISIT).await.0 };
    let searched: Vec<Doctor> = stream::iter(0..SEARCHED).map(office).buffered(AT_ONCE).collect().await;
    let patient = |_| async { register(address, "patient", "Paula Pérez").await.1 };
    let patients =
        stream::iter(0..people + SEARCHED + BURST_BOOKERS).map(patient).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let (kind, template) = (Kind::Cita, String::new());
    let place = Place { kind, doctors, watched, searched, patients, owner, issued, template };
    super::booking::fill(&place, address).await;
    place
}

/// New access tokens where they are about to end.
pub async fn refresh(place: &mut Place, address: SocketAddr) {
    if place.issued.elapsed() < FRESH {
        return;
    }
    let renew = |patient: Patient| async move {
        let reply = rest(address, "POST", "/v1/auth/refresh", "", json!({ "refreshToken": patient.refresh })).await;
        Patient { token: text(&reply["accessToken"]), refresh: text(&reply["refreshToken"]) }
    };
    place.issued = Instant::now();
    place.owner = renew(place.owner.clone()).await;
    place.patients = stream::iter(place.patients.clone()).map(renew).buffered(AT_ONCE).collect().await;
}

/// Path of a search.
pub fn search(doctor: &Doctor, from: u32, days: u32) -> String {
    let (id, service) = (&doctor.id, &doctor.service);
    format!("/v1/doctors/{id}/slots?serviceId={service}&from={}&to={}", place::date(from), place::date(from + days - 1))
}

/// Every calendar is in memory, as it is in a server that has run for a while.
pub async fn warm(place: &Place, address: SocketAddr) {
    let doctors = place.doctors.iter().chain([&place.watched]).chain(&place.searched);
    let look = |doctor: &Doctor| {
        let path = search(doctor, 1, SEARCHED_DAYS);
        async move { rest(address, "GET", &path, "", Value::Null).await }
    };
    stream::iter(doctors).map(look).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
}
