//! A booked appointment as Cita writes it, and many like it: to measure what MongoDB does with them.

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita::store::collection::APPOINTMENTS;
use futures::future::join_all;
use mongodb::Collection;
use mongodb::bson::{Binary, Bson, DateTime, Document, RawDocumentBuf, Uuid, doc, spec::BinarySubtype};

use super::harness::clinic::{Clinic, at, date, key};

/// Documents of a batch.
pub const BATCH: usize = 64;
/// Half an hour.
const TICKS: i32 = 6;

/// Books an appointment, and reads its document.
pub async fn booked(clinic: &Clinic) -> Document {
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let booking = practice.booking(&at(&date(3), "09:00"));
    clinic.connect(&patient).await.request("appointment.book", booking, Some(key())).await.expect("a free time");
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap();
    let booked = cluster.db.collection::<Document>(APPOINTMENTS).find_one(doc! {}).await;
    let booked = booked.unwrap().unwrap();
    let patient = booked.get("patientId").and_then(|id| mongodb::bson::deserialize_from_bson(id.clone()).ok()).unwrap();
    let first = i32::try_from(booked.get_datetime("start").unwrap().timestamp_millis() / 300_000).unwrap();
    assert_eq!(booked.get("shared"), Some(&shared(patient, first).into()), "what is measured is what is done");
    booked
}

/// The same of another doctor and patient, who is told with the first tick, at another time.
pub fn another(model: &Document) -> (Document, Uuid, i32) {
    let (mut next, patient) = (model.clone(), Uuid::new());
    let first = 6_000_000 + i32::from(patient.bytes()[0]) * 12;
    let minutes = |ticks: i32| DateTime::from_millis(i64::from(ticks) * 300_000);
    next.insert("_id", Uuid::new());
    next.insert("doctorId", Uuid::new());
    next.insert("patientId", patient);
    next.insert("start", minutes(first));
    next.insert("end", minutes(first + TICKS));
    next.insert("claims", (first..first + TICKS).collect::<Vec<i32>>());
    next.insert("shared", shared(patient, first));
    (next, patient, first)
}

/// The ticks of an appointment.
pub fn ticks(first: i32) -> std::ops::Range<i32> {
    first..first + TICKS
}

/// What a patient takes, as it is stored.
fn shared(patient: Uuid, first: i32) -> Vec<Bson> {
    let claim = |tick: i32| {
        let bytes = [&b"p"[..], &patient.bytes(), &tick.to_be_bytes()].concat();
        Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes })
    };
    ticks(first).map(claim).collect()
}

/// Inserts what each of several tasks has, a batch after the other.
pub async fn insert(collection: &Collection<RawDocumentBuf>, work: Vec<Vec<RawDocumentBuf>>) {
    let tasks = work.into_iter().map(|documents| {
        let collection = collection.clone();
        tokio::spawn(async move {
            for batch in documents.chunks(BATCH) {
                collection.insert_many(batch).ordered(false).await.unwrap();
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
}

/// Lower quartile, median, upper quartile.
pub fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values[(values.len() - 1) * share / 4];
    (at(1), at(2), at(3))
}
