//! Bookings that are sent together: whoever they travel with, each comes to what it would have come to alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cita::domain::appointment::{Appointment, Booking};
use cita::domain::ids::AppointmentId;
use cita::domain::refusal::Refusal;
use cita::domain::tick::Tick;
use cita::error::ClusterName;
use cita::store::appointments::{AppointmentStore, Inserted};
use cita::store::cluster::Cluster;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use mongodb::bson::{Document, doc};
use uuid::Uuid;

use super::holds::{Desk, request};
use crate::harness::clinic::{Clinic, Person, at, connect, date, key};

/// The inserts that the database has executed since they are counted.
async fn inserts(cluster: &Cluster) -> u64 {
    let profile = cluster.db.collection::<Document>("system.profile");
    profile.count_documents(doc! { "op": "insert", "ns": { "$regex": "\\.appointments$" } }).await.unwrap()
}

/// Every attempt of the first ones is one insert or none; those who ask later see it taken, and wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_after_one_time_cost_few_inserts() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let mut connections = Vec::new();
    for number in 0..20 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        connections.push(connect(clinic.url(), Some(&patient.token)).await);
    }
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
    cluster.db.run_command(doc! { "profile": 2 }).await.unwrap();
    let booking = practice.booking(&at(&date(3), "09:00"));
    let attempts = connections.iter().flat_map(|connection| {
        let booking = &booking;
        (0..50).map(move |_| connection.request("appointment.book", booking.clone(), Some(key())))
    });
    let mut outcomes: HashMap<Option<ErrorCode>, usize> = HashMap::new();
    for outcome in join_all(attempts).await {
        let code = outcome.err().map(|error| error.code().expect("an error of the registry"));
        *outcomes.entry(code).or_default() += 1;
    }
    assert_eq!(outcomes, HashMap::from([(None, 1), (Some(ErrorCode::SlotTaken), 999)]));
    let inserts = inserts(&cluster).await;
    println!("{inserts} inserts");
    assert!(inserts < 200, "{inserts} inserts");
}

/// What was asked of the store, and what it came to.
struct Asked {
    appointment: Appointment,
    outcome: Inserted,
}

/// Any mix of times, patients and repetitions, on two nodes at once: what is there does not overlap, is what was acknowledged, and
/// whoever was refused wanted what somebody got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_travels_together_gets_what_they_would_have_got_alone() {
    let clinic = Clinic::open().await;
    let (practices, desks) =
        ([clinic.practice().await, clinic.practice().await], [Desk::of(&clinic).await, Desk::of(&clinic).await]);
    let mut patients: Vec<Person> = Vec::new();
    for number in 0..6 {
        patients.push(clinic.person("patient", &format!("Paciente {number}")).await);
    }
    let mut owned = Vec::new();
    for practice in &practices {
        for patient in &patients {
            owned.push((desks[0].booking(practice, patient, &at(&date(3), "08:00")).await, patient));
        }
    }
    let mut state = u64::from(std::process::id());
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut there: BTreeMap<AppointmentId, Appointment> = BTreeMap::new();
    for round in 0..8 {
        let mut wanted: Vec<(Appointment, &Person)> = Vec::new();
        for _ in 0..60 {
            let again = wanted.get(usize::try_from(random(400)).unwrap()).cloned();
            wanted.push(again.unwrap_or_else(|| {
                let (owned, patient) = &owned[usize::try_from(random(12)).unwrap()];
                let booking = owned.as_booking();
                // Off the grid of starts, as if services of any length were mixed.
                let start = Tick(booking.start.0 + i32::try_from(round * 40 + random(40)).unwrap());
                let id = AppointmentId(Uuid::new_v4());
                (Booking { id, start, ..booking }.into_appointment(), *patient)
            }));
        }
        let asked = wanted.into_iter().enumerate().map(|(place, (appointment, patient))| {
            let (store, seems_taken) = (&desks[place % 2].store, place % 5 == 0);
            async move {
                let outcome = store.insert(&appointment, &request(patient), seems_taken).await.unwrap();
                Asked { appointment, outcome }
            }
        });
        let asked = join_all(asked).await;
        for Asked { appointment, outcome } in &asked {
            if let Inserted::Done(_) = outcome {
                assert!(there.insert(appointment.id, appointment.clone()).is_none(), "it is there once");
            }
        }
        for Asked { appointment, outcome } in &asked {
            let meets = |one: &&Appointment| one.id != appointment.id;
            let others = || there.values().filter(meets);
            let taken =
                others().any(|one| one.doctor_id == appointment.doctor_id && overlap(&one.claims, &appointment.claims));
            let busy = others().any(|one| {
                one.patient_id == appointment.patient_id && one.start < appointment.end && appointment.start < one.end
            });
            match outcome {
                Inserted::Done(_) => assert!(!taken && !busy, "{} overlaps", appointment.id),
                Inserted::Exists => assert!(there.contains_key(&appointment.id)),
                Inserted::Refused(Refusal::SlotTaken { .. }) => assert!(taken, "nobody had {}", appointment.start),
                Inserted::Refused(Refusal::PatientBusy) => assert!(busy, "nobody was busy at {}", appointment.start),
                other => panic!("{other:?}"),
            }
        }
    }
    let stored: BTreeSet<AppointmentId> = stored(&desks[0].store, &practices.map(|practice| practice.doctor)).await;
    assert_eq!(stored, there.into_keys().collect());
}

fn overlap(one: &[Tick], other: &[Tick]) -> bool {
    one.iter().any(|tick| other.contains(tick))
}

async fn stored(store: &AppointmentStore, doctors: &[Person]) -> BTreeSet<AppointmentId> {
    let mut ids = BTreeSet::new();
    for doctor in doctors {
        let window = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX);
        let doctor = cita::domain::ids::UserId(doctor.id.parse().unwrap());
        ids.extend(store.snapshot_of_doctor(doctor, window).await.unwrap().1.into_iter().map(|one| one.id));
    }
    ids
}
