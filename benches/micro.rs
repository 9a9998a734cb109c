//! The parts that everything live goes through, by themselves: `cargo bench --bench micro`.
//!
//! Free slots of a doctor with half of the month taken, the decoding of a change, and what it does to a calendar and to a
//! topic. The documents are those of a real clinic, booked and read back.
#![expect(clippy::unwrap_used, reason = "a measurement that fails, fails")]

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "it is made for the tests")]
mod harness;

use std::hint::black_box;
use std::sync::Arc;

use cita::clock::Clock;
use cita::domain::change::{Change, Commit, Position};
use cita::domain::doctor::Service;
use cita::domain::entry::Entry;
use cita::domain::ids::UserId;
use cita::error::ClusterName;
use cita::live::project;
use cita::live::topic::Topic;
use cita::store::appointments::AppointmentStore;
use cita::store::cluster::Cluster;
use cita::store::documents::EntryDoc;
use cita::views::calendar::Calendar;
use criterion::{BatchSize, Criterion};
use harness::clinic::{Clinic, at, connect, date, key};
use jiff::civil::Date;
use jiff::{SignedDuration, Span};
use mongodb::bson::{RawDocumentBuf, doc};
use serde_json::json;

const DAYS: i32 = 30;
/// Slots of a day.
const DAILY: i32 = 20;

/// A clinic as it is in memory, and the last booking as it is in the database.
struct Prepared {
    before: Calendar,
    after: Calendar,
    entry: Entry,
    written: RawDocumentBuf,
}

async fn prepare() -> Prepared {
    let clinic = Clinic::open().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let connection = connect(clinic.url(), Some(&patient.token)).await;
    let book = async |day: i32, slot: i32| {
        let time = format!("{:02}:{:02}", 8 + slot / 2, slot % 2 * 30);
        let booking = practice.booking(&at(&date(day), &time));
        connection.request("appointment.book", booking, Some(key())).await.expect("a free time")
    };
    for day in 1..=DAYS {
        for slot in (0..DAILY).step_by(2) {
            book(day, slot).await;
        }
    }
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap();
    let doctor = UserId(practice.doctor.id.parse().unwrap());
    let load = async || {
        let store = AppointmentStore::new(cluster.clone());
        let (at, doctor, entries) = store.calendar(doctor, Clock.now()).await.unwrap().expect("it is there");
        Calendar::new(at, doctor, entries)
    };
    let before = load().await;
    let last = book(10, 1).await.data;
    let after = load().await;
    let id = mongodb::bson::Uuid::parse_str(last["id"].as_str().unwrap()).unwrap();
    let found = cluster.db.collection::<RawDocumentBuf>("appointments").find_one(doc! { "_id": id }).await;
    let written = found.unwrap().expect("it was booked");
    let entry = EntryDoc::read(&written).unwrap().to_domain().unwrap();
    connection.request("appointment.get", json!({ "id": last["id"] }), None).await.expect("it is there");
    clinic.close().await;
    Prepared { before, after, entry, written }
}

fn month(calendar: &Calendar) -> Vec<Date> {
    let today = calendar.doctor.availability.time_zone.to_datetime(Clock.now()).date();
    (1..=DAYS).map(|days| today.saturating_add(Span::new().days(days))).collect()
}

fn slots(criterion: &mut Criterion, prepared: &Prepared) {
    let (calendar, service): (&Calendar, &Service) = (&prepared.before, &prepared.before.doctor.services[0]);
    let dates = month(calendar);
    criterion.bench_function("slots/a day", |bencher| {
        bencher.iter(|| project::open_slots(black_box(calendar), service, dates[9]).len());
    });
    criterion.bench_function("slots/30 days", |bencher| {
        let of = |date: &Date| project::open_slots(black_box(calendar), service, *date).len();
        bencher.iter(|| dates.iter().map(of).sum::<usize>());
    });
}

fn decoding(criterion: &mut Criterion, prepared: &Prepared) {
    criterion.bench_function("decode/an appointment", |bencher| {
        bencher.iter(|| EntryDoc::read(black_box(&prepared.written)).unwrap().to_domain().unwrap());
    });
}

fn projection(criterion: &mut Criterion, prepared: &Prepared) {
    let Prepared { before, after, entry, .. } = prepared;
    let (service, date) = (&before.doctor.services[0], month(before)[9]);
    let at = Position(u64::MAX);
    let commit =
        Arc::new(Commit { at, changes: vec![Change::Entry(entry.clone())], bytes: prepared.written.as_bytes().len() });
    criterion.bench_function("project/apply a commit to a calendar", |bencher| {
        bencher.iter_batched(
            || before.clone(),
            |mut calendar| calendar.apply(black_box(&commit)),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("project/slots of a date, the difference", |bencher| {
        let slots = |calendar: &Calendar| Some(project::open_slots(calendar, service, date));
        bencher
            .iter(|| project::difference(before.doctor.zone_name(), slots(black_box(before)), slots(black_box(after))));
    });
    criterion.bench_function("project/slots of a date, the net", |bencher| {
        bencher.iter(|| {
            let touched = project::touched(after, [black_box(&commit)]);
            project::net(after, service, date, &touched)
        });
    });
    let window = (Clock.now(), Clock.now() + SignedDuration::from_hours(24 * 40));
    let topic = Topic::Calendar { doctor: before.doctor.id, window };
    criterion.bench_function("project/a doctor's appointments", |bencher| {
        bencher.iter(|| project::appointments(&topic, black_box(&commit), window.0));
    });
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let prepared = runtime.block_on(prepare());
    let mut criterion = Criterion::default().configure_from_args();
    slots(&mut criterion, &prepared);
    decoding(&mut criterion, &prepared);
    projection(&mut criterion, &prepared);
    criterion.final_summary();
}
