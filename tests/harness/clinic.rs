//! A clinic for one test: its own databases, one or more Cita nodes on them, and the people in it.

use std::time::Duration;

use cita::app::App;
use cita::config::{Cli, Config};
use cita_cli::Connection;
use clap::Parser as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::mongo;

/// Longest that anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Fresh databases and the nodes that serve them.
pub struct Clinic {
    pub users_uri: String,
    pub appointments_uri: String,
    first: Option<Node>,
}

/// A Cita node, in this process.
pub struct Node {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// Somebody with an account and an access token.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub email: String,
    pub token: String,
    pub refresh_token: String,
}

/// A doctor with one service and hours from 8:00 to 18:00 every day, in Bogotá.
#[derive(Clone, Debug)]
pub struct Practice {
    pub doctor: Person,
    pub service: String,
}

/// Password of everybody in a test.
pub const PASSWORD: &str = "una clave de prueba";

/// Options of a clinic for the public. Nobody is at the other end of its mail.
pub const PRODUCTION: [&str; 10] = [
    "--mode",
    "production",
    "--secret",
    "un secreto de prueba, largo y variado",
    "--smtp-url",
    "smtp://127.0.0.1:9",
    "--mail-from",
    "citas@prueba.example",
    "--public-url",
    "https://citas.prueba.example",
];

impl Clinic {
    /// A clinic with one node on databases of its own.
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same, with options of `cita serve` for the node.
    pub async fn open_with(options: &[&str]) -> Self {
        let shared = mongo::shared().await;
        let name = format!("t{}", Uuid::new_v4().simple());
        let mut clinic = Self::on(&database(&shared.users_uri, &name), &database(&shared.appointments_uri, &name));
        clinic.first = Some(clinic.node_with(options).await);
        clinic
    }

    /// A clinic with one node on given databases.
    pub async fn open_on(users_uri: &str, appointments_uri: &str, options: &[&str]) -> Self {
        let mut clinic = Self::on(users_uri, appointments_uri);
        clinic.first = Some(clinic.node_with(options).await);
        clinic
    }

    /// A clinic on given databases, without a node yet.
    pub fn on(users_uri: &str, appointments_uri: &str) -> Self {
        Self { users_uri: users_uri.to_owned(), appointments_uri: appointments_uri.to_owned(), first: None }
    }

    /// Another node on the same databases.
    pub async fn node(&self) -> Node {
        self.node_with(&[]).await
    }

    /// Another node on the same databases, with options.
    pub async fn node_with(&self, options: &[&str]) -> Node {
        Node::start(config(&self.users_uri, &self.appointments_uri, options)).await
    }

    /// Address of the first node.
    pub fn url(&self) -> &str {
        &self.first.as_ref().expect("a clinic that was opened has a node").url
    }

    /// Takes the first node, to stop it.
    pub fn take_node(&mut self) -> Node {
        self.first.take().expect("a clinic that was opened has a node")
    }

    /// Stops the first node.
    pub async fn close(mut self) {
        self.take_node().stop().await;
    }

    /// A connection without credentials.
    pub async fn anon(&self) -> Connection {
        connect(self.url(), None).await
    }

    /// Registers somebody.
    pub async fn person(&self, role: &str, name: &str) -> Person {
        register(self.url(), role, name).await
    }

    /// Registers a patient.
    pub async fn patient(&self) -> Person {
        self.person("patient", "Paula Pérez").await
    }

    /// A connection of somebody.
    pub async fn connect(&self, person: &Person) -> Connection {
        connect(self.url(), Some(&person.token)).await
    }

    /// A doctor with appointments of 30 minutes.
    pub async fn practice(&self) -> Practice {
        practice_at(self.url(), simple_service()).await
    }

    /// A doctor with a given service.
    pub async fn practice_with(&self, service: Value) -> Practice {
        practice_at(self.url(), service).await
    }
}

impl Practice {
    /// Input of `appointment.book`.
    pub fn booking(&self, start: &str) -> Value {
        json!({ "doctorId": self.doctor.id, "serviceId": self.service, "start": start })
    }

    /// Name of the topic of the slots of a date.
    pub fn slots(&self, date: &str) -> String {
        format!("doctors/{}/slots/{}/{date}", self.doctor.id, self.service)
    }

    /// Name of the topic of the doctor's appointments.
    pub fn calendar(&self) -> String {
        format!("doctors/{}/appointments", self.doctor.id)
    }
}

impl Node {
    async fn start(config: Config) -> Self {
        let stop = CancellationToken::new();
        let app = App::bind(config).await.expect("a free port");
        let url = format!("http://{}", app.address().expect("an address"));
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let token = stop.clone();
        let running = tokio::spawn(async move {
            let served = app.run(token, move |_| ready.send(()).expect("the test waits for this")).await;
            served.expect("the node runs and stops");
        });
        tokio::time::timeout(PATIENCE, is_ready).await.expect("the node is ready in time").expect("the node starts");
        Self { url, stop, running: Some(running) }
    }

    /// A connection of somebody, or of nobody.
    pub async fn connect(&self, person: Option<&Person>) -> Connection {
        connect(&self.url, person.map(|person| person.token.as_str())).await
    }

    /// Begins to stop the node, as SIGTERM does.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the node and waits until it has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let running = self.running.take().expect("it stops once");
        tokio::time::timeout(PATIENCE, running).await.expect("the node stops in time").expect("the node stops well");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Options of `cita serve` as the command line reads them.
pub fn config(users_uri: &str, appointments_uri: &str, options: &[&str]) -> Config {
    let base = [
        "cita",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "off",
        "--users-uri",
        users_uri,
        "--appointments-uri",
        appointments_uri,
    ];
    Cli::try_parse_from(base.iter().chain(options)).expect("options are understood").serve
}

/// The same servers, another database.
pub fn database(uri: &str, name: &str) -> String {
    uri.replacen("/?", &format!("/{name}?"), 1)
}

/// A connection to a node.
pub async fn connect(url: &str, token: Option<&str>) -> Connection {
    Connection::connect(url, token).await.expect("the node takes the connection")
}

/// Registers somebody with an address of their own.
pub async fn register(url: &str, role: &str, name: &str) -> Person {
    let email = format!("{}@prueba.example", Uuid::new_v4().simple());
    let connection = connect(url, None).await;
    let data = json!({ "email": email, "password": PASSWORD, "name": name, "role": role });
    let reply = connection.request("auth.register", data, None).await.expect("the account is made");
    Person {
        id: text(&reply.data["user"], "id"),
        name: name.to_owned(),
        email,
        token: text(&reply.data, "accessToken"),
        refresh_token: text(&reply.data, "refreshToken"),
    }
}

/// Appointments of 30 minutes.
pub fn simple_service() -> Value {
    json!({ "name": "Consulta", "durationMinutes": 30, "horizonDays": 366 })
}

/// A doctor with a given service, registered at a node.
pub async fn practice_at(url: &str, service: Value) -> Practice {
    let doctor = register(url, "doctor", "Daniel Duarte").await;
    let connection = connect(url, Some(&doctor.token)).await;
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let weekly: Vec<Value> = days.iter().map(|day| json!({ "weekday": day, "from": "08:00", "to": "18:00" })).collect();
    let hours = json!({ "doctorId": doctor.id, "timeZone": "America/Bogota", "weekly": weekly, "overrides": [] });
    connection.request("availability.set", hours, Some(key())).await.expect("hours are set");
    let mut service = service;
    service["doctorId"] = json!(doctor.id);
    let reply = connection.request("service.create", service, Some(key())).await.expect("a service is made");
    Practice { service: text(&reply.data, "id"), doctor }
}

/// A fresh idempotency key.
pub fn key() -> String {
    Uuid::new_v4().to_string()
}

/// A field that holds text.
pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is text in {value}")).to_owned()
}

/// A field that holds an instant. Texts of instants cannot be compared: a fraction ends where it is nothing but zeros.
pub fn time(value: &Value, field: &str) -> jiff::Timestamp {
    text(value, field).parse().unwrap_or_else(|error| panic!("{field} is an instant in {value}: {error}"))
}

/// A date some days ahead, in Bogotá.
pub fn date(days_ahead: i32) -> String {
    let now = cita::clock::Clock.now().in_tz("America/Bogota").expect("the zone is known");
    now.date().saturating_add(jiff::Span::new().days(days_ahead)).to_string()
}

/// An instant of a date in Bogotá, which is 5 hours behind UTC all year.
pub fn at(date: &str, time: &str) -> String {
    let local: jiff::civil::DateTime = format!("{date}T{time}").parse().expect("a local time");
    local.in_tz("America/Bogota").expect("the zone is known").timestamp().to_string()
}
