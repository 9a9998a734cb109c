//! What it costs that a patient cannot be in two places: `cargo bench --bench shared_claims`.
//!
//! A real appointment is booked, and its document inserted again and again with other ids, under the real indexes, with what
//! the patient takes in `shared` written in different ways. Each way has a database of its own; rounds go through all of them
//! in turn, so that whatever else happens on the machine meets all alike. Everything runs on this machine: only the ratios mean
//! anything.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

mod booked;
#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;

use std::time::Instant;

use booked::{BATCH, another, booked, insert, spread, ticks};
use cita::error::ClusterName;
use cita::store::appointments::{AppointmentStore, SHARED_INDEX};
use cita::store::cluster::Cluster;
use cita::store::collection::APPOINTMENTS;
use futures::future::join_all;
use harness::clinic::{Clinic, database};
use mongodb::Collection;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

const ROUNDS: usize = 15;
/// Tasks that insert one document at a time.
const SINGLY: usize = 16;
const EACH: usize = 60;
/// Tasks of a round that insert batches.
const BATCHES: usize = 4;

#[derive(Clone, Copy)]
enum Way {
    Nothing,
    Text,
    Binary,
}

const WAYS: [(Way, &str); 3] = [(Way::Nothing, "nothing"), (Way::Text, "text"), (Way::Binary, "binary")];

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

fn written(model: &Document, way: Way) -> RawDocumentBuf {
    let (mut next, patient, first) = another(model);
    match way {
        Way::Nothing => drop(next.remove("shared")),
        Way::Text => {
            let patient = patient.to_string().replace('-', "");
            let claims = ticks(first).map(|tick| format!("p:{patient}:{tick}"));
            next.insert("shared", claims.collect::<Vec<_>>());
        }
        Way::Binary => {}
    }
    RawDocumentBuf::try_from(&next).unwrap()
}

async fn singly(place: &Place, model: &Document) -> f64 {
    let work: Vec<Vec<RawDocumentBuf>> =
        (0..SINGLY).map(|_| (0..EACH).map(|_| written(model, place.way)).collect()).collect();
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
    let work = (0..BATCHES).map(|_| (0..BATCH * 8).map(|_| written(model, place.way)).collect()).collect();
    let begun = Instant::now();
    insert(&place.collection, work).await;
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
