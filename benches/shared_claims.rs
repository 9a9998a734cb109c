//! What it costs that a patient cannot be in two places: `cargo bench --bench shared_claims`.
//!
//! A real appointment is booked, and its document inserted again and again with other ids, under the real indexes, with what
//! the patient takes in `shared` written in different ways. Each way has a database of its own; rounds go through all of them
//! in turn, so that whatever else happens on the machine meets all alike. Everything runs on this machine: only the ratios mean
//! anything.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;

use std::time::Instant;

use cita::error::ClusterName;
use cita::store::appointments::{AppointmentStore, SHARED_INDEX};
use cita::store::cluster::Cluster;
use cita::store::collection::APPOINTMENTS;
use futures::future::join_all;
use harness::clinic::{Clinic, at, database, date, key};
use mongodb::Collection;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, Uuid, doc, spec::BinarySubtype};

const ROUNDS: usize = 15;
/// Tasks that insert one document at a time.
const SINGLY: usize = 16;
const EACH: usize = 60;
/// Batches of a round, one task each, and the documents in one.
const BATCHES: usize = 4;
const BATCH: usize = 64;
/// Half an hour.
const TICKS: i32 = 6;

#[derive(Clone, Copy)]
enum Way {
    Nothing,
    Text,
    Binary,
}

const WAYS: [(Way, &str); 3] = [(Way::Nothing, "nothing"), (Way::Text, "text"), (Way::Binary, "binary")];

impl Way {
    fn write(self, patient: Uuid, first: i32) -> Option<Vec<Bson>> {
        let ticks = first..first + TICKS;
        match self {
            Self::Nothing => None,
            Self::Text => {
                let patient = patient.to_string().replace('-', "");
                Some(ticks.map(|tick| Bson::String(format!("p:{patient}:{tick}"))).collect())
            }
            Self::Binary => Some(ticks.map(|tick| binary(patient, tick)).collect()),
        }
    }
}

fn binary(patient: Uuid, tick: i32) -> Bson {
    let bytes = [&b"p"[..], &patient.bytes(), &tick.to_be_bytes()].concat();
    Bson::Binary(mongodb::bson::Binary { subtype: BinarySubtype::Generic, bytes })
}

struct Place {
    way: Way,
    collection: Collection<RawDocumentBuf>,
    singly: Vec<f64>,
    batched: Vec<f64>,
}

#[tokio::main]
async fn main() {
    let clinic = Clinic::open().await;
    let model = booked(&clinic).await;
    let mut places = Vec::new();
    for (way, name) in WAYS {
        let uri = database(&harness::mongo::shared().await.appointments_uri, &format!("way_{name}"));
        let cluster = Cluster::new(ClusterName::Appointments, &uri).await.unwrap();
        AppointmentStore::new(cluster.clone()).ensure_indexes().await.unwrap();
        places.push(Place { way, collection: cluster.db.collection(APPOINTMENTS), singly: vec![], batched: vec![] });
    }
    for round in 0..=ROUNDS {
        for turn in 0..places.len() {
            let length = places.len();
            let place = &mut places[(turn + round) % length];
            let (singly, batched) = (singly(place, &model).await, batched(place, &model).await);
            // The first round warms up.
            if round > 0 {
                place.singly.push(singly);
                place.batched.push(batched);
            }
        }
    }
    tell(&mut places).await;
    clinic.close().await;
}

async fn booked(clinic: &Clinic) -> Document {
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let booking = practice.booking(&at(&date(3), "09:00"));
    clinic.connect(&patient).await.request("appointment.book", booking, Some(key())).await.expect("a free time");
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap();
    let booked = cluster.db.collection::<Document>(APPOINTMENTS).find_one(doc! {}).await;
    let model = booked.unwrap().unwrap();
    let patient = model.get("patientId").and_then(|id| mongodb::bson::deserialize_from_bson(id.clone()).ok()).unwrap();
    let first = i32::try_from(model.get_datetime("start").unwrap().timestamp_millis() / 300_000).unwrap();
    let as_stored = Bson::Array(Way::Binary.write(patient, first).unwrap());
    assert_eq!(model.get("shared"), Some(&as_stored), "what is measured is what is done");
    model
}

/// The same of another doctor and patient, at another time, as it is sent.
fn another(model: &Document, way: Way) -> RawDocumentBuf {
    let (mut next, patient) = (model.clone(), Uuid::new());
    let first = 6_000_000 + i32::from(patient.bytes()[0]) * 12;
    let minutes = |ticks: i32| DateTime::from_millis(i64::from(ticks) * 300_000);
    next.insert("_id", Uuid::new());
    next.insert("doctorId", Uuid::new());
    next.insert("patientId", patient);
    next.insert("start", minutes(first));
    next.insert("end", minutes(first + TICKS));
    next.insert("claims", (first..first + TICKS).collect::<Vec<i32>>());
    match way.write(patient, first) {
        Some(shared) => drop(next.insert("shared", shared)),
        None => drop(next.remove("shared")),
    }
    RawDocumentBuf::try_from(&next).unwrap()
}

async fn singly(place: &Place, model: &Document) -> f64 {
    let work: Vec<Vec<RawDocumentBuf>> =
        (0..SINGLY).map(|_| (0..EACH).map(|_| another(model, place.way)).collect()).collect();
    let begun = Instant::now();
    join_all(work.into_iter().map(|documents| {
        let collection = place.collection.clone();
        tokio::spawn(async move {
            for document in documents {
                collection.insert_one(document).await.unwrap();
            }
        })
    }))
    .await
    .into_iter()
    .for_each(Result::unwrap);
    (SINGLY * EACH) as f64 / begun.elapsed().as_secs_f64()
}

async fn batched(place: &Place, model: &Document) -> f64 {
    let work: Vec<Vec<RawDocumentBuf>> =
        (0..BATCHES).map(|_| (0..BATCH * 8).map(|_| another(model, place.way)).collect()).collect();
    let begun = Instant::now();
    join_all(work.into_iter().map(|documents| {
        let collection = place.collection.clone();
        tokio::spawn(async move {
            for batch in documents.chunks(BATCH) {
                collection.insert_many(batch).ordered(false).await.unwrap();
            }
        })
    }))
    .await
    .into_iter()
    .for_each(Result::unwrap);
    (BATCHES * BATCH * 8) as f64 / begun.elapsed().as_secs_f64()
}

/// Ratios are taken within each round, then their median: what slows a round down slows all ways down.
async fn tell(places: &mut [Place]) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {ROUNDS} rounds, {SINGLY} tasks singly, {BATCHES} tasks with batches of {BATCH}");
    let base: Vec<(f64, f64)> = places[0].singly.iter().copied().zip(places[0].batched.iter().copied()).collect();
    for ((_, name), place) in WAYS.iter().zip(places) {
        let ratios = |own: &[f64], base: Vec<f64>| spread(own.iter().zip(base).map(|(own, base)| own / base).collect());
        let singly = ratios(&place.singly, base.iter().map(|(rate, _)| *rate).collect());
        let batched = ratios(&place.batched, base.iter().map(|(_, rate)| *rate).collect());
        let (rate, batch_rate) = (spread(place.singly.clone()), spread(place.batched.clone()));
        println!(
            "{name:<8} singly {:6.0}/s, ratio {:.2} ({:.2}–{:.2}); batched {:6.0}/s, ratio {:.2} ({:.2}–{:.2})",
            rate.1, singly.1, singly.0, singly.2, batch_rate.1, batched.1, batched.0, batched.2
        );
        let stats = doc! { "$collStats": { "storageStats": {} } };
        let mut cursor = place.collection.aggregate([stats]).await.unwrap();
        assert!(cursor.advance().await.unwrap());
        let stats = cursor.deserialize_current().unwrap();
        let storage = stats.get_document("storageStats").unwrap();
        let bytes = |document: &Document, field: &str| -> f64 {
            document.get(field).map_or(0.0, |value| match value {
                Bson::Int32(n) => f64::from(*n),
                Bson::Int64(n) => *n as f64,
                Bson::Double(n) => *n,
                _ => 0.0,
            })
        };
        let count = bytes(storage, "count");
        let index = bytes(storage.get_document("indexSizes").unwrap(), SHARED_INDEX);
        println!("         {:.0} bytes a document, {:.0} in the index", bytes(storage, "size") / count, index / count);
    }
}

/// Lower quartile, median, upper quartile.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values[(values.len() - 1) * share / 4];
    (at(1), at(2), at(3))
}
