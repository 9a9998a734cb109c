//! What searching for free time costs: `cargo bench --bench slot_search`.
//!
//! (a) 62 days of a doctor with 2,000 future appointments; (b) the first available of 500 doctors. Each through REST and as the pure
//! function on a calendar in memory, beside the bare reads that a search on the database would need before it could compute anything.
//! All are measured in turn, so that they meet the same machine. It runs everything on this one, databases and client included, so only
//! the ratios mean anything. Prints a table, and writes it to `benches/results/slot-search.json`.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;
#[path = "compare/machine.rs"]
#[expect(dead_code, reason = "it is made for what measures processes")]
mod machine;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cita::clock::Clock;
use cita::domain::doctor::{Approval, Doctor, Profile, Service};
use cita::domain::ids::UserId;
use cita::domain::slots;
use cita::domain::tick::Tick;
use cita::error::ClusterName;
use cita::store::appointments::AppointmentStore;
use cita::store::cluster::Cluster;
use cita::store::doctors::DoctorStore;
use cita::views::calendar::{Calendar, Occupancy};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use harness::clinic::{Clinic, Person, Practice, at, connect, date, key};
use harness::until;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Bson, Document, RawDocumentBuf, Uuid as BsonUuid, doc};
use serde_json::{Value, json};
use uuid::Uuid;

const APPOINTMENTS: usize = 2_000;
const DAYS: i32 = 62;
const DOCTORS: usize = 500;
/// Of each of them, from tomorrow on: their first days are full.
const TAKEN: usize = 40;
const ROUNDS: usize = 200;
const WARM_UP: usize = 20;
/// Reads at the same time, where one is made for each doctor.
const READS: usize = 16;
const SPECIALITY: &str = "Cardiología";

/// What is measured, in the order of the table, each beside what it is compared with.
const ROWS: [(&str, &str); 13] = [
    ("a: 62 days through REST", "a: bare read of the claims"),
    ("a: 62 days through REST, of a known patient", "a: bare read of the claims"),
    ("a: pure function, 62 days", "a: bare read of the claims"),
    ("a: the same, each start looked up", "a: bare read of the claims"),
    ("a: bare read of the claims", ""),
    ("b: doctor.search sort=available through REST", "b: one bare $in read"),
    ("b: slot.searchDoctors by speciality through REST", "b: one bare $in read"),
    ("b: slot.searchDoctors of 30 named doctors, a week", "b: one bare $in read"),
    ("b: pure function, the first of 500", "b: one bare $in read"),
    ("b: the same, each start looked up", "b: one bare $in read"),
    ("b: bare read of the doctors' rules", ""),
    ("b: one bare $in read", ""),
    ("b: 500 bare reads, 16 at a time", ""),
];

struct Stage {
    clinic: Clinic,
    patient: Person,
    busy: Practice,
    doctors: Vec<Uuid>,
    cluster: Cluster,
    http: reqwest::Client,
    calendar: Calendar,
    calendars: Vec<Calendar>,
}

#[tokio::main]
async fn main() {
    let begun = Instant::now();
    let stage = Stage::set().await;
    println!("set up in {:.0} s", begun.elapsed().as_secs_f64());
    let mut samples: Vec<Vec<Duration>> = vec![Vec::new(); ROWS.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (index, (name, _)) in ROWS.iter().enumerate() {
            let taken = stage.measure(name).await;
            if round >= WARM_UP {
                samples[index].push(taken);
            }
        }
    }
    samples.iter_mut().for_each(|samples| samples.sort_unstable());
    report(&samples);
    stage.clinic.close().await;
}

impl Stage {
    async fn set() -> Self {
        let clinic = Clinic::open().await;
        let service = json!({ "name": "Consulta", "durationMinutes": 15, "horizonDays": 90 });
        let busy = clinic.practice_with(service).await;
        let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
        let (patient, other) = (clinic.patient().await, clinic.person("patient", "Rosa Roa").await);
        let connection = connect(clinic.url(), Some(&other.token)).await;
        connection.request("appointment.book", busy.booking(&at(&date(1), "08:00")), Some(key())).await.unwrap();
        let appointments = cluster.db.collection::<Document>("appointments");
        let model = appointments.find_one(doc! {}).await.unwrap().expect("one was booked");

        // Every day but every fifth of its 40 quarters of an hour.
        let starts = (0..DAYS).flat_map(|day| (0..40).filter(|n| n % 5 != 4).map(move |n| (day + 1, n * 15)));
        let taken: Vec<Document> = starts.skip(1).take(APPOINTMENTS - 1).map(|at| copy(&model, None, at, 15)).collect();
        assert_eq!(taken.len() + 1, APPOINTMENTS.min(DAYS as usize * 32));
        appointments.insert_many(taken).await.unwrap();
        let doctors = copies_of(&cluster, &busy, &model).await;

        let calendars = join_all(doctors.iter().map(|id| load(&cluster, *id))).await;
        let calendar = load(&cluster, busy.doctor.id.parse().unwrap()).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let stage = Self { clinic, patient, busy, doctors, cluster, http, calendar, calendars };
        // The node has seen it all.
        let expected = stage.calendar_search(Way::Swept);
        until(async || stage.get(&stage.search(), None).await["slots"].as_array().map(Vec::len) == Some(expected))
            .await;
        stage
    }

    async fn measure(&self, name: &str) -> Duration {
        let begun = Instant::now();
        match name {
            "a: 62 days through REST" => drop(self.get(&self.search(), None).await),
            "a: 62 days through REST, of a known patient" => {
                drop(self.get(&self.search(), Some(&self.patient.token)).await);
            }
            "a: pure function, 62 days" => drop(black_box(self.calendar_search(Way::Swept))),
            "a: the same, each start looked up" => drop(black_box(self.calendar_search(Way::LookedUp))),
            "a: bare read of the claims" => self.read_claims(doc! { "doctorId": id(&self.busy.doctor.id) }).await,
            "b: doctor.search sort=available through REST" => {
                drop(self.get(&format!("/v1/doctors?sort=available&specialisation={SPECIALITY}"), None).await);
            }
            "b: slot.searchDoctors by speciality through REST" => {
                let window = format!("from={}&to={}", date(0), date(DAYS - 1));
                drop(self.get(&format!("/v1/slots?specialisation={SPECIALITY}&{window}"), None).await);
            }
            "b: slot.searchDoctors of 30 named doctors, a week" => {
                let ids: Vec<String> = self.doctors.iter().take(30).map(Uuid::to_string).collect();
                let path = format!("/v1/slots?doctorIds={}&from={}&to={}", ids.join(","), date(0), date(6));
                drop(self.get(&path, None).await);
            }
            "b: pure function, the first of 500" => drop(black_box(self.first(Way::Swept))),
            "b: the same, each start looked up" => drop(black_box(self.first(Way::LookedUp))),
            "b: bare read of the doctors' rules" => self.read_rules().await,
            "b: one bare $in read" => {
                let ids: Vec<BsonUuid> = self.doctors.iter().map(|id| BsonUuid::from_bytes(id.into_bytes())).collect();
                self.read_claims(doc! { "doctorId": { "$in": ids } }).await;
            }
            "b: 500 bare reads, 16 at a time" => {
                let reads = self
                    .doctors
                    .iter()
                    .map(|doctor| self.read_claims(doc! { "doctorId": BsonUuid::from_bytes(doctor.into_bytes()) }));
                futures::stream::iter(reads).buffer_unordered(READS).collect::<()>().await;
            }
            other => panic!("{other}"),
        }
        begun.elapsed()
    }

    fn search(&self) -> String {
        let (doctor, service) = (&self.busy.doctor.id, &self.busy.service);
        format!("/v1/doctors/{doctor}/slots?serviceId={service}&from={}&to={}", date(1), date(DAYS))
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Value {
        let mut request = self.http.get(format!("{}{path}", self.clinic.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json().await.expect("JSON")
    }

    /// The times that are left on 62 dates.
    fn calendar_search(&self, way: Way) -> usize {
        let service = &self.calendar.doctor.services[0];
        let now = Clock.now();
        let today = self.calendar.doctor.availability.time_zone.to_datetime(now).date();
        let dates = (1..=DAYS).map(|days| today.saturating_add(jiff::Span::new().days(days)));
        dates.map(|date| free(&self.calendar, service, date, now, way).len()).sum()
    }

    /// Who has the earliest time.
    fn first(&self, way: Way) -> Option<Tick> {
        let now = Clock.now();
        let firsts = self.calendars.iter().filter_map(|calendar| {
            let service = &calendar.doctor.services[0];
            let today = calendar.doctor.availability.time_zone.to_datetime(now).date();
            let mut dates = (0..DAYS).map(|days| today.saturating_add(jiff::Span::new().days(days)));
            dates.find_map(|date| free(calendar, service, date, now, way).first().copied())
        });
        firsts.min()
    }

    async fn read_claims(&self, mut of: Document) {
        let (from, to) = (Clock.now(), Clock.now() + SignedDuration::from_hours(24 * i64::from(DAYS)));
        let date = |at: Timestamp| mongodb::bson::DateTime::from_millis(at.as_millisecond());
        of.insert("start", doc! { "$gte": date(from), "$lt": date(to) });
        of.insert("claims", doc! { "$exists": true });
        let appointments = self.cluster.db.collection::<RawDocumentBuf>("appointments");
        let found = appointments.find(of);
        let found: Vec<RawDocumentBuf> =
            found.projection(doc! { "_id": 0, "claims": 1, "doctorId": 1 }).await.unwrap().try_collect().await.unwrap();
        assert!(!found.is_empty());
        black_box(found);
    }

    async fn read_rules(&self) {
        let doctors = self.cluster.db.collection::<RawDocumentBuf>("doctors");
        let found = doctors.find(doc! { "listing.facets": { "$all": ["s:cardiologia"] } });
        let found = found.projection(doc! { "listing": 0, "history": 0, "keys": 0 });
        let found: Vec<RawDocumentBuf> = found.await.unwrap().try_collect().await.unwrap();
        assert_eq!(found.len(), DOCTORS);
        black_box(found);
    }
}

/// How it is found out what has a start.
#[derive(Clone, Copy)]
enum Way {
    /// By one sweep over the date, as the server does.
    Swept,
    /// For each start of its own.
    LookedUp,
}

/// The free starts of a date that can be booked now.
fn free(calendar: &Calendar, service: &Service, date: Date, now: Timestamp, way: Way) -> Vec<Tick> {
    let is_bookable = |start: Tick| {
        let (from, until) = slots::bookable_window(service, start.instant());
        (from..=until).contains(&now)
    };
    let free: Vec<Tick> = match way {
        Way::Swept => {
            let free = calendar.offered(service, date).filter(|(_, occupancy)| *occupancy == Occupancy::Free);
            free.map(|(candidate, _)| candidate.start).collect()
        }
        Way::LookedUp => {
            let candidates = slots::candidates(&calendar.doctor, service, date).into_iter();
            let free = candidates.filter(|one| calendar.occupancy(one.footprint.clone()) == Occupancy::Free);
            free.map(|candidate| candidate.start).collect()
        }
    };
    free.into_iter().filter(|start| is_bookable(*start)).collect()
}

/// Doctors like another, with their first days full; written as they would be at their registration and bookings.
async fn copies_of(cluster: &Cluster, practice: &Practice, appointment: &Document) -> Vec<Uuid> {
    let store = DoctorStore::new(cluster.clone());
    let original = UserId(practice.doctor.id.parse().unwrap());
    let (stored, _) = store.find(original).await.unwrap().expect("it is there");
    let ids: Vec<Uuid> = (0..DOCTORS).map(|_| Uuid::new_v4()).collect();
    for (number, id) in ids.iter().enumerate() {
        let mut services = stored.doctor.services.clone();
        services.iter_mut().for_each(|service| service.id.0 = Uuid::new_v4());
        let profile = Profile { specialisation: Some(SPECIALITY.to_owned()), ..stored.doctor.profile.clone() };
        let doctor = Doctor {
            id: UserId(*id),
            name: format!("Doctora {number:03}"),
            approval: Approval::Approved,
            profile,
            services,
            ..stored.doctor.clone()
        };
        store.insert_if_absent(&doctor).await.unwrap();
    }
    let taken = ids.iter().flat_map(|id| {
        (0..TAKEN).map(|n| copy(appointment, Some(*id), (n as i32 / 20, 30 * (n as i32 % 20)), 30)).collect::<Vec<_>>()
    });
    let taken: Vec<Document> = taken.collect();
    for some in taken.chunks(2_000) {
        cluster.db.collection::<Document>("appointments").insert_many(some).await.unwrap();
    }
    ids
}

/// An appointment at another time: days from today, and minutes from eight o'clock.
fn copy(model: &Document, doctor: Option<Uuid>, (day, minutes): (i32, i32), length: i64) -> Document {
    let start: Timestamp = at(&date(day), "08:00").parse().unwrap();
    let start = start + SignedDuration::from_mins(i64::from(minutes));
    let end = start + SignedDuration::from_mins(length);
    let mut copy = model.clone();
    let time = |at: Timestamp| mongodb::bson::DateTime::from_millis(at.as_millisecond());
    let first = i32::try_from(start.as_second() / 300).unwrap();
    let ticks: Vec<i32> = (first..first + i32::try_from(length / 5).unwrap()).collect();
    copy.insert("_id", BsonUuid::new());
    copy.insert("start", time(start));
    copy.insert("end", time(end));
    copy.insert("patientId", BsonUuid::new());
    copy.insert("claims", ticks.iter().map(|tick| Bson::Int32(*tick)).collect::<Vec<_>>());
    // Nobody looks for these patients.
    copy.remove("shared");
    copy.insert("keys", Vec::<Bson>::new());
    if let Some(doctor) = doctor {
        copy.insert("doctorId", BsonUuid::from_bytes(doctor.into_bytes()));
        copy.insert("bucket", i32::from(UserId(doctor).bucket()));
    }
    copy
}

async fn load(cluster: &Cluster, doctor: Uuid) -> Calendar {
    let store = AppointmentStore::new(cluster.clone());
    let (at, doctor, entries) = store.calendar(UserId(doctor), Clock.now()).await.unwrap().expect("it is there");
    Calendar::new(at, doctor, entries)
}

fn id(text: &str) -> BsonUuid {
    BsonUuid::parse_str(text).unwrap()
}

/// Prints the table and writes it down.
fn report(samples: &[Vec<Duration>]) {
    let at = |index: usize, share: f64| {
        let of = &samples[index];
        of[((of.len() as f64 * share) as usize).min(of.len() - 1)].as_secs_f64() * 1e3
    };
    let machine = machine::description();
    println!("{machine}");
    println!("{ROUNDS} rounds in turn; milliseconds\n");
    println!("{:<52} {:>9} {:>9}   ratio p50  ratio p99", "", "p50", "p99");
    let mut rows = Vec::new();
    for (index, (name, beside)) in ROWS.iter().enumerate() {
        let (p50, p99) = (at(index, 0.5), at(index, 0.99));
        let base = ROWS.iter().position(|(other, _)| other == beside);
        let ratios = base.map(|base| (p50 / at(base, 0.5), p99 / at(base, 0.99)));
        let shown = ratios.map(|(p50, p99)| format!("{p50:>9.3}  {p99:>9.3}")).unwrap_or_default();
        println!("{name:<52} {p50:>9.3} {p99:>9.3}   {shown}");
        let ratios = ratios.map(|(p50, p99)| json!({ "beside": beside, "p50": p50, "p99": p99 }));
        rows.push(json!({ "what": name, "p50Ms": p50, "p99Ms": p99, "ratio": ratios }));
    }
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results");
    std::fs::create_dir_all(directory).unwrap();
    let result = json!({
        "bench": "slot_search", "at": Clock.now().to_string(), "machine": machine, "rounds": ROUNDS,
        "appointments": APPOINTMENTS, "days": DAYS, "doctors": DOCTORS, "rows": rows
    });
    let text = serde_json::to_string_pretty(&result).unwrap();
    std::fs::write(format!("{directory}/slot-search.json"), text + "\n").unwrap();
}
