//! What of a booking costs MongoDB how much: `cargo bench --bench booking_cost`, on Linux.
//!
//! A real appointment is booked, and its document inserted again and again with other ids, as Cita does under load, in batches of
//! 64, two at a time. Each way leaves something out: an index, or a part of the document. Counted is the processor time of mongod for
//! each document. Rounds go through all ways in turn, and compare within a round.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

mod booked;
#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;

use booked::{BATCH, another, booked, insert, spread};
use cita::error::ClusterName;
use cita::store::appointments::AppointmentStore;
use cita::store::cluster::Cluster;
use cita::store::collection::APPOINTMENTS;
use harness::clinic::{Clinic, database};
use mongodb::Collection;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, Uuid, doc};

const ROUNDS: usize = 9;
const TASKS: usize = 2;
/// Batches of a round and task.
const BATCHES: usize = 24;

/// What is left out or written differently, by name: indexes, and what becomes of a document.
type Way = (&'static str, &'static [&'static str], fn(&mut Document));

const WAYS: [Way; 12] = [
    ("as it is", &[], |_| {}),
    ("without doctor_start", &["doctor_start"], |_| {}),
    ("without patient_start", &["patient_start"], |_| {}),
    ("without the partial indexes that it is not in", &["resource_start", "series", "held_until"], |_| {}),
    ("without shared_claims", &["shared_claims"], |_| {}),
    ("without doctor_claims", &["doctor_claims"], |_| {}),
    (
        "without any but _id",
        &["doctor_start", "patient_start", "resource_start", "series", "held_until", "shared_claims", "doctor_claims"],
        |_| {},
    ),
    ("without history", &[], |document| drop(document.remove("history"))),
    ("without keys", &[], |document| drop(document.remove("keys"))),
    ("without the outcome in keys", &[], |document| {
        if let Some(Bson::Document(first)) = document.get_array_mut("keys").unwrap().first_mut() {
            first.remove("outcome");
        }
    }),
    ("names of two letters", &[], |document| *document = short(document)),
    ("ids in order", &[], |document| {
        let mut id = document
            .get("_id")
            .and_then(|id| mongodb::bson::deserialize_from_bson::<Uuid>(id.clone()).ok())
            .unwrap()
            .bytes();
        let millis = u64::try_from(DateTime::now().timestamp_millis()).unwrap();
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        document.insert("_id", Uuid::from_bytes(id));
    }),
];

/// With all fields that no index has under names of two letters.
fn short(document: &Document) -> Document {
    let kept =
        ["_id", "doctorId", "patientId", "start", "claims", "shared", "status", "resources", "seriesId", "expiresAt"];
    let rename = |(number, (name, value)): (usize, (&String, &Bson))| {
        let value = match value {
            Bson::Document(inner) => Bson::Document(short(inner)),
            Bson::Array(items) if name == "history" || name == "keys" => items
                .iter()
                .map(|item| item.as_document().map_or(item.clone(), |item| short(item).into()))
                .collect::<Vec<_>>()
                .into(),
            other => other.clone(),
        };
        let short = format!("f{}", char::from_digit(u32::try_from(number).unwrap(), 36).unwrap());
        (if kept.contains(&name.as_str()) { name.clone() } else { short }, value)
    };
    document.iter().enumerate().map(rename).collect()
}

struct Place {
    way: Way,
    collection: Collection<RawDocumentBuf>,
    micros: Vec<f64>,
    bytes: usize,
}

#[tokio::main]
async fn main() {
    let clinic = Clinic::open().await;
    let model = booked(&clinic).await;
    let mut places = Vec::new();
    for (number, way) in WAYS.into_iter().enumerate() {
        let uri = database(&harness::mongo::shared().await.appointments_uri, &format!("way_{number}"));
        let cluster = Cluster::new(ClusterName::Appointments, &uri).await.unwrap();
        AppointmentStore::new(cluster.clone()).ensure_indexes().await.unwrap();
        let collection = cluster.db.collection(APPOINTMENTS);
        for index in way.1 {
            collection.drop_index(*index).await.unwrap();
        }
        let bytes = changed(&model, way.2).as_bytes().len();
        places.push(Place { way, collection, micros: Vec::new(), bytes });
    }
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap();
    let status = cluster.db.run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let pid = status.get_i64("pid").unwrap();
    for round in 0..=ROUNDS {
        for turn in 0..places.len() {
            let length = places.len();
            let place = &mut places[(turn + round) % length];
            let micros = micros(place, &model, pid).await;
            // The first round warms up.
            if round > 0 {
                place.micros.push(micros);
            }
        }
    }
    let base = places[0].micros.clone();
    for place in &places {
        let ratios = place.micros.iter().zip(&base).map(|(own, base)| own / base).collect();
        let (micros, ratio) = (spread(place.micros.clone()), spread(ratios));
        println!(
            "{:<46} {:5} bytes, {:6.1} µs a document, ratio {:.2} ({:.2}–{:.2})",
            place.way.0, place.bytes, micros.1, ratio.1, ratio.0, ratio.2
        );
    }
    clinic.close().await;
}

fn changed(model: &Document, change: fn(&mut Document)) -> RawDocumentBuf {
    let (mut next, ..) = another(model);
    change(&mut next);
    RawDocumentBuf::try_from(&next).unwrap()
}

/// Microseconds of mongod for each document.
async fn micros(place: &Place, model: &Document, pid: i64) -> f64 {
    let document = || changed(model, place.way.2);
    let work = (0..TASKS).map(|_| (0..BATCHES * BATCH).map(|_| document()).collect()).collect();
    let before = cpu_ticks(pid);
    insert(&place.collection, work).await;
    (cpu_ticks(pid) - before) * 1e4 / (TASKS * BATCHES * BATCH) as f64
}

/// Hundredths of a second of processor time that a process has used.
fn cpu_ticks(pid: i64) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
}
