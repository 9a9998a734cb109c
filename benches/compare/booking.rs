//! Somebody who books, at whichever server; many of them at once; and what that costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use mongodb::Collection;
use mongodb::bson::{Bson, DateTime, Document, Uuid, spec::BinarySubtype};

use super::machine;
use super::parse;
use super::place::{Diary, Doctor, Kind, Place, SEARCHED_DAYS, Stage, instant, watched_tick};
use super::wire::Wire;

/// Before the clock starts.
const WARM_UP: Duration = Duration::from_millis(700);
/// Connections of a client that is alone: it has one request under way, and goes through as many patients, whose days would be
/// full otherwise.
const PATIENTS_OF_ONE: usize = 16;

/// After which an idle connection is not relied upon.
const IDLE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Booked,
    Taken,
}

/// A patient with a connection of their own.
pub struct Booker {
    kind: Kind,
    /// At Cita: over REST instead of its WebSocket.
    is_rest: bool,
    address: SocketAddr,
    wire: Wire,
    headers: String,
    said: u64,
    run: Uuid,
    used: Instant,
}

impl Booker {
    pub async fn open(kind: Kind, address: SocketAddr, token: &str) -> Self {
        let headers = match kind {
            Kind::Cita => String::new(),
            Kind::Express => format!("authorization: Bearer {token}\r\n"),
            Kind::Parse => parse::headers(token),
            Kind::Limits | Kind::Broadcast => String::new(),
        };
        let wire = match kind {
            Kind::Cita => cita_socket(address, token).await,
            _ => Wire::connect(address).await.expect("the server takes connections"),
        };
        Self { kind, is_rest: false, address, wire, headers, said: 0, run: Uuid::new(), used: Instant::now() }
    }

    /// The same at Cita's other door.
    pub async fn open_rest(address: SocketAddr, token: &str) -> Self {
        let wire = Wire::connect(address).await.expect("the server takes connections");
        let headers = format!("authorization: Bearer {token}\r\n");
        let (kind, used) = (Kind::Cita, Instant::now());
        Self { kind, is_rest: true, address, wire, headers, said: 0, run: Uuid::new(), used }
    }

    /// Connects again where a server of HTTP closes what has been idle for some seconds, as Node's does after five.
    pub async fn freshen(&mut self) {
        if self.kind != Kind::Cita && self.used.elapsed() > IDLE {
            self.wire = Wire::connect(self.address).await.expect("the server takes connections");
            self.used = Instant::now();
        }
    }

    /// Asks for a time, and waits for the answer.
    ///
    /// # Panics
    /// When it is neither a yes nor a no.
    pub async fn book(&mut self, doctor: &Doctor, start: &str) -> Outcome {
        match self.kind {
            Kind::Cita if self.is_rest => self.book_by_rest(doctor, start).await,
            Kind::Cita => self.book_at_cita(doctor, start).await,
            Kind::Express => {
                let body = format!(r#"{{"doctorId":"{}","start":"{start}"}}"#, doctor.id);
                self.post("/appointments", &body).await
            }
            Kind::Parse => {
                let (doctor, iso) = (&doctor.id, start.replace('Z', ".000Z"));
                let body = format!(r#"{{"doctor":"{doctor}","start":{{"__type":"Date","iso":"{iso}"}}}}"#);
                self.post("/parse/classes/Appointment", &body).await
            }
            Kind::Limits => self.post("/insert", start).await,
            Kind::Broadcast => self.post("/publish", &change(start)).await,
        }
    }

    async fn post(&mut self, path: &str, body: &str) -> Outcome {
        let answer = self.wire.ask("POST", path, &self.headers, body.as_bytes()).await.expect("an answer");
        self.used = Instant::now();
        match answer.status {
            201 => Outcome::Booked,
            409 => Outcome::Taken,
            400 if answer.text().contains("slot_taken") => Outcome::Taken,
            status => panic!("{path} answered {status}: {}", answer.text()),
        }
    }

    async fn book_by_rest(&mut self, doctor: &Doctor, start: &str) -> Outcome {
        self.said += 1;
        let headers = format!("{}idempotency-key: {}-{}\r\n", self.headers, self.run, self.said);
        let (doctor, service) = (&doctor.id, &doctor.service);
        let body = format!(r#"{{"doctorId":"{doctor}","serviceId":"{service}","start":"{start}"}}"#);
        let answer = self.wire.ask("POST", "/v1/appointments", &headers, body.as_bytes()).await.expect("an answer");
        match answer.status {
            201 => Outcome::Booked,
            409 if answer.text().contains("slot_taken") => Outcome::Taken,
            status => panic!("answered {status}: {}", answer.text()),
        }
    }

    async fn book_at_cita(&mut self, doctor: &Doctor, start: &str) -> Outcome {
        self.said += 1;
        let (number, run) = (self.said, self.run);
        let frame = format!(
            r#"{{"type":"appointment.book","id":"{number}","key":"{run}-{number}","data":{{"doctorId":"{}","serviceId":"{}","start":"{start}"}}}}"#,
            doctor.id, doctor.service
        );
        self.wire.say(&frame).await.expect("the server listens");
        loop {
            let frame = self.wire.hear().await.expect("an answer");
            match kind_of(&frame) {
                b"reply" => return Outcome::Booked,
                b"ping" => pong(&mut self.wire).await,
                b"error" => {
                    let text = String::from_utf8_lossy(&frame);
                    assert!(text.contains(r#""code":"slot_taken""#), "not booked at {start}: {text}");
                    return Outcome::Taken;
                }
                _ => {}
            }
        }
    }
}

/// As many bytes as Cita's frame has.
fn change(start: &str) -> String {
    let topic = "doctors/0193a7c2-51e0-7d34-9b1f-6f0d2c4a8e11/slots/4be1c0a7-93d2-8f06-a1c4-7d5e20b9f318/2026-12-01";
    let cursor = "15c1a70d36b0ed2e00000001f0000000000000000521a";
    format!(
        r#"{{"type":"change","cursor":"{cursor}","data":{{"topic":"{topic}","timeZone":"America/Bogota","upserted":[],"removed":["{start}"]}}}}"#
    )
}

/// The type of a frame of Cita, which stands first.
pub fn kind_of(frame: &[u8]) -> &[u8] {
    let rest = frame.strip_prefix(br#"{"type":""#).unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

pub async fn pong(wire: &mut Wire) {
    wire.say(r#"{"type":"pong","data":{}}"#).await.expect("the server listens");
}

/// A connection to Cita past `hello`. A server that admits no more just now is asked again when it says so.
pub async fn cita_socket(address: SocketAddr, token: &str) -> Wire {
    let headers = format!("sec-websocket-protocol: cita.v1\r\nauthorization: Bearer {token}\r\n");
    let begun = Instant::now();
    loop {
        let mut wire = Wire::connect(address).await.expect("the server takes connections");
        let answer = wire.upgrade("/v1/ws", &headers).await.expect("an answer");
        match answer.status {
            101 => {
                let hello = wire.hear().await.expect("hello");
                assert_eq!(kind_of(&hello), b"hello");
                return wire;
            }
            429 | 503 if begun.elapsed() < Duration::from_secs(60) => {
                tokio::time::sleep(Duration::from_secs(answer.retry_after.unwrap_or(1))).await;
            }
            status => panic!("no handshake: {status} {}", answer.text()),
        }
    }
}

/// Books every second slot of the doctors who are searched, each with a patient of its own.
pub async fn fill(place: &Place, address: SocketAddr) {
    let patients = &place.patients[place.doctors.len()..];
    join_all(place.searched.iter().zip(patients).map(async |(doctor, patient)| {
        let mut booker = Booker::open(place.kind, address, &patient.token).await;
        for slot in (0..SEARCHED_DAYS * 20).step_by(2) {
            let start = instant(1 + slot / 20, 480 + slot % 20 * 30);
            assert_eq!(booker.book(doctor, &start).await, Outcome::Booked, "at {start}");
        }
    }))
    .await;
}

/// Who asks for one thing after another, as fast as they are answered.
pub enum Client {
    Bookers { bookers: Vec<(usize, Booker)>, doctors: Arc<Vec<Doctor>>, diary: Arc<Diary>, turn: usize },
    Inserter { collection: Collection<Document>, model: Arc<Document>, doctor: i32, turn: i32 },
    Getter { wire: Wire, method: &'static str, path: String, headers: String, body: String },
}

impl Client {
    /// A number of clients at a server, with its patients shared out.
    pub async fn bookers(stage: &Stage<'_>, diary: &Arc<Diary>, clients: usize, is_rest: bool) -> Vec<Self> {
        let (place, address) = (&stage.place, stage.server.address);
        let people = place.doctors.len();
        let doctors = Arc::new(place.doctors.clone());
        let of_each = (people / clients).clamp(1, PATIENTS_OF_ONE);
        let mut made = Vec::new();
        for client in 0..clients {
            let patients = (0..of_each).map(|n| (client + n * clients) % people);
            let open = |patient: usize| async move {
                let token = &place.patients[patient].token;
                match is_rest {
                    true => (patient, Booker::open_rest(address, token).await),
                    false => (patient, Booker::open(place.kind, address, token).await),
                }
            };
            let bookers = stream::iter(patients).map(open).buffered(8).collect().await;
            made.push(Self::Bookers { bookers, doctors: doctors.clone(), diary: diary.clone(), turn: 0 });
        }
        made
    }

    /// Does one thing.
    pub async fn go(&mut self) {
        match self {
            Self::Bookers { bookers, doctors, diary, turn } => {
                *turn += 1;
                let next = *turn % bookers.len();
                let (patient, booker) = &mut bookers[next];
                let (doctor, start) = diary.visit(*patient);
                let outcome = booker.book(&doctors[doctor], &start).await;
                assert_eq!(outcome, Outcome::Booked, "nobody else was given {start}");
            }
            Self::Inserter { collection, model, doctor, turn } => {
                *turn += 1;
                let next = another(model, *doctor, *turn);
                collection.insert_one(next).await.expect("it is inserted");
            }
            Self::Getter { wire, method, path, headers, body } => {
                let answer = wire.ask(method, path, headers, body.as_bytes()).await.expect("an answer");
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            }
        }
    }
}

/// The same of another doctor and patient, at another time, under the same indexes.
pub fn another(model: &Document, doctor: i32, turn: i32) -> Document {
    let (mut next, patient) = (model.clone(), Uuid::new());
    let ticks = model.get_array("claims").map_or(6, Vec::len) as i32;
    let first = 6_000_000 + turn * ticks;
    let minutes = |tick: i32| DateTime::from_millis(i64::from(tick) * 300_000);
    let mut id = Uuid::new().bytes();
    id[..4].copy_from_slice(&doctor.to_be_bytes());
    next.insert("_id", Uuid::new());
    next.insert("doctorId", Uuid::from_bytes(id));
    next.insert("patientId", patient);
    next.insert("start", minutes(first));
    next.insert("end", minutes(first + ticks));
    next.insert("claims", (first..first + ticks).collect::<Vec<i32>>());
    let shared = (first..first + ticks).map(|tick| {
        let bytes = [&b"p"[..], &patient.bytes(), &tick.to_be_bytes()].concat();
        Bson::Binary(mongodb::bson::Binary { subtype: BinarySubtype::Generic, bytes })
    });
    if model.contains_key("shared") {
        next.insert("shared", shared.collect::<Vec<_>>());
    }
    next
}

/// What many clients achieved.
pub struct Driven {
    pub per_second: f64,
    /// In milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Seconds of processor time for each thousand.
    pub server_cpu: f64,
    pub mongod_cpu: f64,
}

/// Lets clients work for a while.
pub async fn drive(clients: Vec<Client>, length: Duration, server: Option<u32>, mongods: &[u32]) -> Driven {
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let work = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return latencies;
                }
                client.go().await;
                let answered = Instant::now();
                if answered >= begin && answered < end {
                    latencies.push(answered - asked);
                }
            }
        })
    });
    let work: Vec<_> = work.collect();
    let server: Vec<u32> = server.into_iter().collect();
    let used = || (machine::cpu_seconds(&server), machine::cpu_seconds(mongods));
    tokio::time::sleep_until(begin.into()).await;
    let before = used();
    tokio::time::sleep_until(end.into()).await;
    let after = used();
    let mut latencies = Vec::new();
    for work in work {
        latencies.extend(work.await.expect("a client works to the end"));
    }
    latencies.sort_unstable();
    let thousands = latencies.len() as f64 / 1e3;
    Driven {
        per_second: latencies.len() as f64 / length.as_secs_f64(),
        p50: quantile(&latencies, 0.5),
        p99: quantile(&latencies, 0.99),
        server_cpu: (after.0 - before.0) / thousands,
        mongod_cpu: (after.1 - before.1) / thousands,
    }
}

/// Of sorted times, in milliseconds.
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(f64::NAN, |time| machine::millis(*time))
}

/// A slot of the doctor who is watched, and how to tell it.
pub fn watched_start(slot: u32) -> String {
    let tick = i64::from(watched_tick() + slot);
    jiff::Timestamp::from_second(tick * 300).expect("a time of our century").to_string()
}

/// The body that a search is asked with.
pub fn search_client(kind: Kind, wire: Wire, doctor: &Doctor) -> Client {
    let (method, path, headers, body) = match kind {
        Kind::Cita => ("GET", super::cita::search(doctor, 1, SEARCHED_DAYS), String::new(), String::new()),
        Kind::Express => ("GET", super::express::search(doctor), String::new(), String::new()),
        Kind::Parse => ("POST", "/parse/functions/freeSlots".to_owned(), parse::headers(""), parse::search(doctor)),
        Kind::Limits | Kind::Broadcast => ("GET", "/bytes".to_owned(), String::new(), String::new()),
    };
    Client::Getter { wire, method, path, headers, body }
}
