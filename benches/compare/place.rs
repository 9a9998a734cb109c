//! Where something is measured: who is compared, the clinic that each of them serves, and its databases.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::{Client, Collection};

use super::harness::mongo;
use super::server::Server;
use super::{cita, express, limits, machine, parse};

/// Minutes of a visit.
pub const VISIT: u32 = 30;
/// Visits that fit into a day, from 0:00 to 23:55.
const VISITS_A_DAY: u32 = 47;
/// Slots of five minutes that fit into a day of the doctor who is watched.
pub const WATCHED_SLOTS: u32 = 287;
/// Days from today to the date that is watched.
pub const WATCHED_DAY: u32 = 10;
/// Days of a search.
pub const SEARCHED_DAYS: u32 = 30;
/// Doctors who are searched.
pub const SEARCHED: usize = 8;

/// Over which it is looked whether the databases are at rest, and the processor time that they use then at most, in seconds: a tick.
const LOOK: Duration = Duration::from_millis(200);
const RESTING: f64 = 0.0101;
/// How long is waited for it.
const MOST_REST: Duration = Duration::from_secs(15);

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Cita,
    Express,
    Parse,
    /// What the same machine does without a product around it: one insert, and a raw change stream.
    Limits,
    /// A bare WebSocket broadcast, with nothing behind it.
    Broadcast,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cita => "cita",
            Self::Express => "express",
            Self::Parse => "parse",
            Self::Limits => "raw",
            Self::Broadcast => "broadcast",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Doctor {
    pub id: String,
    /// Empty where there are no services.
    pub service: String,
}

#[derive(Clone, Debug, Default)]
pub struct Patient {
    pub token: String,
    pub refresh: String,
}

/// A clinic as it was set up, in a database that is copied for each measurement.
pub struct Place {
    pub kind: Kind,
    pub doctors: Vec<Doctor>,
    /// Open all day, in steps of five minutes.
    pub watched: Doctor,
    /// Open from eight to six, with every second slot of the next month taken.
    pub searched: Vec<Doctor>,
    /// Those who book with the doctors, one for each of the searched, and those who book with who is watched: nobody is in two places.
    pub patients: Vec<Patient>,
    /// The doctor who is watched.
    pub owner: Patient,
    pub issued: Instant,
    pub template: String,
}

/// A server on a copy of its clinic.
pub struct Stage<'a> {
    pub server: Server,
    pub place: &'a mut Place,
    /// Processes of MongoDB that work for it.
    pub mongods: Vec<u32>,
    pub database: String,
}

/// The databases, and what the servers are started with.
pub struct World {
    pub users_uri: String,
    pub appointments_uri: String,
    users: Client,
    pub appointments: Client,
    users_mongod: u32,
    pub appointments_mongod: u32,
    pub scratch: PathBuf,
    copies: AtomicU32,
}

impl World {
    pub async fn open() -> Self {
        let shared = mongo::shared().await;
        let users = Client::with_uri_str(&shared.users_uri).await.expect("a good URI");
        let appointments = Client::with_uri_str(pooled(&shared.appointments_uri)).await.expect("a good URI");
        let scratch = mongo::scratch_dir();
        std::fs::create_dir_all(&scratch).expect("the temporary directory can be written");
        Self {
            users_uri: uri(&shared.users_uri, "bench_users"),
            appointments_uri: shared.appointments_uri.clone(),
            users_mongod: pid_of(&users).await,
            appointments_mongod: pid_of(&appointments).await,
            users,
            appointments,
            scratch,
            copies: AtomicU32::new(0),
        }
    }

    /// Registers everybody of one who is compared, over its public protocol.
    pub async fn set_up(&self, kind: Kind, people: usize) -> Place {
        let template = format!("bench_{}", kind.name());
        let server = self.start(kind, &template).await;
        let mut place = match kind {
            Kind::Cita => cita::set_up(self, &server, people).await,
            Kind::Express => express::set_up(&server, people).await,
            Kind::Parse => parse::set_up(&server, people).await,
            Kind::Limits | Kind::Broadcast => unreachable!("the limits have no clinic"),
        };
        place.template = template;
        server.kill().await;
        place
    }

    /// Starts a server on a copy of the clinic, ready to be measured.
    pub async fn stage<'a>(&self, place: &'a mut Place) -> Stage<'a> {
        let database = self.copy(place, false).await;
        self.stage_on(place, database).await
    }

    /// The same with the appointments of the doctors who are searched.
    pub async fn stage_with_appointments<'a>(&self, place: &'a mut Place) -> Stage<'a> {
        let database = self.copy(place, true).await;
        self.stage_on(place, database).await
    }

    /// Cita with its measurements on, and where these are read.
    pub async fn stage_measured<'a>(&self, place: &'a mut Place) -> (Stage<'a>, SocketAddr) {
        let database = self.copy(place, false).await;
        let (server, metrics) = cita::start_measured(self, &uri(&self.appointments_uri, &database)).await;
        (self.stage_with(place, database, server).await, metrics)
    }

    /// Cita with its traces on.
    pub async fn stage_traced<'a>(&self, place: &'a mut Place, collector: SocketAddr) -> Stage<'a> {
        let database = self.copy(place, false).await;
        let server = cita::start_traced(self, &uri(&self.appointments_uri, &database), collector).await;
        self.stage_with(place, database, server).await
    }

    async fn stage_on<'a>(&self, place: &'a mut Place, database: String) -> Stage<'a> {
        let server = self.start(place.kind, &database).await;
        self.stage_with(place, database, server).await
    }

    async fn stage_with<'a>(&self, place: &'a mut Place, database: String, server: Server) -> Stage<'a> {
        if place.kind == Kind::Cita {
            cita::refresh(place, server.address).await;
            cita::warm(place, server.address).await;
        }
        self.at_rest().await;
        Stage { mongods: self.mongods(place.kind), server, place, database }
    }

    /// Waits until the databases have written down what came before, the databases that were dropped and copied among it, and do
    /// nothing of their own accord: otherwise whoever is measured next pays for it.
    pub async fn at_rest(&self) {
        for client in [&self.users, &self.appointments] {
            client.database("admin").run_command(doc! { "fsync": 1 }).await.expect("a checkpoint is written");
        }
        let (begun, mongods) = (Instant::now(), self.mongods(Kind::Cita));
        loop {
            let before = machine::cpu_seconds(&mongods);
            tokio::time::sleep(LOOK).await;
            if machine::cpu_seconds(&mongods) - before <= RESTING {
                return;
            }
            if begun.elapsed() > MOST_REST {
                return eprintln!("MongoDB has not come to rest within {} s", MOST_REST.as_secs());
            }
        }
    }

    /// A fresh database with what the clinic began with; with its appointments only where these are searched. Indexes are made by
    /// the server when it starts. Plain inserts: a server that starts looks at the last minute of changes, and `$out` would leave
    /// it a rename, which no clinic has.
    async fn copy(&self, place: &Place, with_appointments: bool) -> String {
        let name = format!("{}_{}", place.template, self.copies.fetch_add(1, Ordering::Relaxed));
        let (from, to) = (self.appointments.database(&place.template), self.appointments.database(&name));
        for collection in from.list_collection_names().await.expect("collections are listed") {
            let is_needed = with_appointments || !collection.to_lowercase().starts_with("appointment");
            let found = from.collection::<RawDocumentBuf>(&collection).find(doc! {}).await.expect("it is read");
            let documents: Vec<RawDocumentBuf> = found.try_collect().await.expect("it is read");
            if is_needed && !documents.is_empty() {
                let copied = to.collection::<RawDocumentBuf>(&collection).insert_many(documents).await;
                copied.expect("a collection is copied");
            }
        }
        name
    }

    pub async fn drop_database(&self, name: &str) {
        self.appointments.database(name).drop().await.expect("a database is dropped");
    }

    pub async fn start(&self, kind: Kind, database: &str) -> Server {
        let appointments = uri(&self.appointments_uri, database);
        match kind {
            Kind::Cita => cita::start(self, &appointments).await,
            Kind::Express => express::start(&appointments, &self.scratch).await,
            Kind::Parse => parse::start(&appointments, &self.scratch).await,
            Kind::Limits | Kind::Broadcast => limits::start(&appointments, &self.scratch).await,
        }
    }

    pub fn mongods(&self, kind: Kind) -> Vec<u32> {
        match kind {
            Kind::Cita => vec![self.users_mongod, self.appointments_mongod],
            _ => vec![self.appointments_mongod],
        }
    }

    /// Documents that the appointments' MongoDB was asked to insert since it began.
    pub async fn inserts(&self) -> i64 {
        let status = self.appointments.database("admin").run_command(doc! { "serverStatus": 1 }).await;
        let status = status.expect("MongoDB tells its status");
        number(status.get_document("opcounters").ok().and_then(|counters| counters.get("insert")))
    }

    /// An appointment as Cita has written it.
    pub async fn model(&self) -> Document {
        let written = self.appointments.database("bench_cita").collection::<Document>("appointments");
        written.find_one(doc! { "status": "booked" }).await.expect("it is read").expect("one was booked")
    }

    /// An empty collection with the same indexes.
    pub async fn raw(&self) -> Collection<Document> {
        let name = format!("bench_raw_{}", self.copies.fetch_add(1, Ordering::Relaxed));
        let written = self.appointments.database("bench_cita").collection::<Document>("appointments");
        let raw = self.appointments.database(&name).collection::<Document>("appointments");
        let mut indexes = written.list_indexes().await.expect("indexes are listed");
        while let Some(index) = indexes.next().await {
            let mut index = index.expect("an index");
            if !index.keys.contains_key("_id") || index.keys.len() > 1 {
                index.options.iter_mut().for_each(|options| options.version = None);
                raw.create_index(index).await.expect("an index is made");
            }
        }
        self.at_rest().await;
        raw
    }
}

impl Stage<'_> {
    /// Ends the server and forgets its database.
    pub async fn close(self, world: &World) {
        self.server.kill().await;
        world.drop_database(&self.database).await;
    }
}

async fn pid_of(client: &Client) -> u32 {
    let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await.expect("MongoDB answers");
    u32::try_from(number(status.get("pid"))).expect("a process id")
}

fn number(value: Option<&Bson>) -> i64 {
    match value {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    }
}

/// The same servers, another database.
pub fn uri(of: &str, database: &str) -> String {
    of.replacen("/?", &format!("/{database}?"), 1)
}

/// As many connections as there are clients at once.
pub fn pooled(uri: &str) -> String {
    format!("{uri}&maxPoolSize=256&maxConnecting=16")
}

/// Where the peers' packages are.
pub fn peer(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name);
    assert!(
        directory.join("node_modules").is_dir(),
        "the packages of a peer are missing: (cd benches/peers/{name} && npm ci), or leave peers out with --without-peers"
    );
    directory
}

/// Midnight in Bogotá some days ahead. It is 5 hours behind UTC all year.
fn midnight(days: u32) -> Timestamp {
    let hours = i64::from(days) * 24;
    let today = (cita_now() - SignedDuration::from_hours(5)).as_second().div_euclid(86_400) * 86_400;
    Timestamp::from_second(today).expect("a time") + SignedDuration::from_hours(hours + 5)
}

fn cita_now() -> Timestamp {
    ::cita::clock::Clock.now()
}

/// The local date some days ahead.
pub fn date(days: u32) -> String {
    (midnight(days) - SignedDuration::from_hours(5)).to_string()[..10].to_owned()
}

/// An instant some minutes into a day.
pub fn instant(days: u32, minutes: u32) -> String {
    (midnight(days) + SignedDuration::from_mins(i64::from(minutes))).to_string()
}

/// Minutes since 1970, in fives: of the first slot that is watched.
pub fn watched_tick() -> u32 {
    u32::try_from(midnight(WATCHED_DAY).as_second() / 300).expect("a time of our century")
}

/// Who visits whom when, so that nobody is in two places: each patient goes through the slots, and beside whom they
/// stand is at another doctor at that time.
pub struct Diary {
    next: Vec<AtomicU32>,
}

impl Diary {
    pub fn new(people: usize) -> Self {
        Self { next: (0..people).map(|_| AtomicU32::new(0)).collect() }
    }

    /// The number of a doctor, and a time that nobody else is given.
    pub fn visit(&self, patient: usize) -> (usize, String) {
        let slot = self.next[patient].fetch_add(1, Ordering::Relaxed);
        let doctor = (patient + slot as usize) % self.next.len();
        (doctor, visit_at(slot))
    }
}

/// The instant of a slot of half an hour.
pub fn visit_at(slot: u32) -> String {
    instant(2 + slot / VISITS_A_DAY, slot % VISITS_A_DAY * VISIT)
}
