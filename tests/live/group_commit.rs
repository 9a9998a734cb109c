//! Bookings that are sent together: whoever they travel with, each comes to what it would have come to alone.

use std::collections::{BTreeMap, BTreeSet};

use cita::domain::appointment::{Appointment, Booking, Held, HoldPlace};
use cita::domain::ids::AppointmentId;
use cita::domain::refusal::Refusal;
use cita::domain::tick::Tick;
use cita::error::{ClusterName, Error};
use cita::store::appointments::{AppointmentStore, Holding, Inserted};
use cita::store::cluster::Cluster;
use cita::store::together::Changes;
use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use futures::TryStreamExt as _;
use futures::future::join_all;
use jiff::SignedDuration;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde_json::json;
use uuid::Uuid;

use super::holds::{Desk, request};
use crate::harness::clinic::{Clinic, Person, at, connect, date, key};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What the database has been asked since it was told to write it down.
struct Profile(Collection<Document>);

impl Profile {
    async fn of(clinic: &Clinic) -> Self {
        let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
        cluster.db.run_command(doc! { "profile": 2 }).await.unwrap();
        Self(cluster.db.collection("system.profile"))
    }

    /// How many of such operations there were on appointments.
    async fn count(&self, mut filter: Document) -> u64 {
        filter.insert("ns", doc! { "$regex": "\\.appointments$" });
        self.0.count_documents(filter).await.unwrap()
    }

    /// How many documents were inserted, and how many were refused.
    async fn inserts(&self) -> (i64, u64) {
        let mut inserts = self.0.find(doc! { "op": "insert", "ns": { "$regex": "\\.appointments$" } }).await.unwrap();
        let mut inserted = 0;
        while let Some(insert) = inserts.try_next().await.unwrap() {
            inserted +=
                insert.get("ninserted").and_then(|count| count.as_i64().or(count.as_i32().map(i64::from))).unwrap_or(0);
        }
        (inserted, self.count(doc! { "op": "insert", "errCode": { "$exists": true } }).await)
    }
}

/// Twenty patients, with a connection each.
async fn crowd(clinic: &Clinic) -> Vec<Connection> {
    let mut connections = Vec::new();
    for number in 0..20 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        connections.push(connect(clinic.url(), Some(&patient.token)).await);
    }
    connections
}

/// One of those who want a time gets it, and whoever sends the winner's request again is answered as the winner. Others book with another
/// doctor meanwhile. The database is asked to write it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_after_one_time_cost_one_insert() {
    let clinic = Clinic::open().await;
    let (practice, other) = (clinic.practice().await, clinic.practice().await);
    let (connections, aside) = (crowd(&clinic).await, clinic.connect(&clinic.patient().await).await);
    let profile = Profile::of(&clinic).await;
    let booking = practice.booking(&at(&date(3), "09:00"));
    let keys: Vec<String> = (0..25).map(|_| key()).collect();
    // Each key of each patient twice.
    let attempts = connections.iter().enumerate().flat_map(|(place, connection)| {
        let (booking, keys) = (&booking, &keys);
        (0..50).map(move |number| async move {
            let key = &keys[number % 25];
            ((place, key), connection.request("appointment.book", booking.clone(), Some(key.clone())).await)
        })
    });
    let aside = async {
        for number in 0..20 {
            let booking = other.booking(&at(&date(2 + number / 10), &format!("{:02}:00", 8 + number % 10)));
            aside.request("appointment.book", booking, Some(key())).await.expect("another doctor's time is free");
        }
    };
    let (outcomes, ()) = tokio::join!(join_all(attempts), aside);
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    assert_eq!((won.len(), won[0].0), (2, won[1].0), "one request, and its repetition");
    assert_eq!(won[0].1.as_ref().unwrap().data, won[1].1.as_ref().unwrap().data);
    let is_taken = |error: &ClientError| error.code() == Some(ErrorCode::SlotTaken);
    assert!(lost.iter().all(|(_, outcome)| outcome.as_ref().is_err_and(is_taken)));
    assert_eq!(profile.inserts().await, (21, 0), "inserted, and refused");
    let walked = profile.count(doc! { "planSummary": "COLLSCAN" }).await;
    assert_eq!(walked, 0, "nobody is looked for by walking");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_want_to_hold_one_time_cost_one_write() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let connections = crowd(&clinic).await;
    let profile = Profile::of(&clinic).await;
    let slot = practice.booking(&at(&date(3), "09:00"));
    let attempts = connections.iter().enumerate().flat_map(|(place, connection)| {
        let slot = &slot;
        (0..50).map(move |_| async move { (place, connection.request("slot.hold", slot.clone(), Some(key())).await) })
    });
    let outcomes = join_all(attempts).await;
    let won: Vec<_> =
        outcomes.iter().filter_map(|(place, outcome)| Some((*place, &outcome.as_ref().ok()?.data))).collect();
    // Whoever has it gets it as often as they ask.
    assert_eq!(won.len(), 50);
    assert!(won.iter().all(|one| *one == won[0]), "{won:?}");
    let is_taken = |error: &ClientError| error.code() == Some(ErrorCode::SlotTaken);
    assert_eq!(outcomes.iter().filter(|(_, outcome)| outcome.as_ref().is_err_and(is_taken)).count(), 950);
    assert_eq!(profile.count(doc! { "op": { "$in": ["update", "insert"] } }).await, 1);
}

/// Many who hold times of their own at once: each gets their own, for as long as they all do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_are_taken_together_are_told_their_own_end() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let connections = crowd(&clinic).await;
    let held = join_all(connections.iter().zip(0..).map(|(connection, number)| {
        let slot = practice.booking(&at(&date(3 + number / 10), &format!("{:02}:00", 8 + number % 10)));
        async move { connection.request("slot.hold", slot, Some(key())).await.expect("a free time").data }
    }))
    .await;
    let stored: Collection<Document> =
        Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap().db.collection("appointments");
    let ends: BTreeSet<_> = held.iter().map(|hold| hold["expiresAt"].as_str().unwrap().to_owned()).collect();
    for hold in &held {
        let id = mongodb::bson::Uuid::parse_str(hold["id"].as_str().unwrap()).unwrap();
        let document = stored.find_one(doc! { "_id": id }).await.unwrap().expect("it is there");
        let until: jiff::Timestamp = hold["expiresAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(document.get_datetime("expiresAt").unwrap().timestamp_millis(), until.as_millisecond());
    }
    assert!(ends.len() < held.len(), "some went together: {ends:?}");
}

/// Two want to change each of twenty appointments at once: one of them does, and the other one hears that it has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_are_sent_together_are_each_guarded() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (connections, doctor) = (crowd(&clinic).await, clinic.connect(&practice.doctor).await);
    let booked = join_all(connections.iter().zip(0..).map(|(connection, number)| {
        let booking = practice.booking(&at(&date(3 + number / 10), &format!("{:02}:00", 8 + number % 10)));
        async move { connection.request("appointment.book", booking, Some(key())).await.expect("a free time").data }
    }))
    .await;
    let cancelled = join_all(booked.iter().zip(&connections).flat_map(|(appointment, patient)| {
        let cancel = json!({ "id": appointment["id"], "rev": 1 });
        [patient, &doctor].map(|connection| connection.request("appointment.cancel", cancel.clone(), Some(key())))
    }))
    .await;
    for both in cancelled.chunks(2) {
        let (done, lost): (Vec<_>, Vec<_>) = both.iter().partition(|outcome| outcome.is_ok());
        assert_eq!((done.len(), lost.len()), (1, 1));
        assert_eq!(done[0].as_ref().unwrap().data["rev"], 2);
        assert_eq!(lost[0].as_ref().unwrap_err().code(), Some(ErrorCode::StaleRev));
    }
}

/// Its collection was dropped between the read and the write, and is made anew by the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_what_is_gone_is_not_acknowledged() {
    let clinic = Clinic::open().await;
    let (practice, patient, desk) = (clinic.practice().await, clinic.patient().await, Desk::of(&clinic).await);
    let booking = desk.booking(&practice, &patient, &at(&date(3), "09:00")).await;
    let (appointment, by) = (booking.as_booking().into_appointment(), booking.as_booking().by);
    let booked = desk.store.insert(&appointment, &request(&patient), false).await.unwrap();
    assert!(matches!(booked, Inserted::Done(_)), "{booked:?}");
    let (current, _) = desk.store.find(appointment.id).await.unwrap().expect("it is there");
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.unwrap();
    let stored: Collection<Document> = cluster.db.collection("appointments");
    stored.delete_one(doc! { "_id": mongodb::bson::Uuid::from_bytes(*appointment.id.0.as_bytes()) }).await.unwrap();
    let cancelled = current.appointment.cancelled(None, by, cita::clock::Clock.now()).unwrap();
    let changes = Changes::default().appointment(&current, &cancelled, &request(&patient));
    let outcome = desk.store.write_together(changes).await;
    let unknown = Some(cita::error::Outcome::Unknown);
    assert!(matches!(outcome, Err(Error::Unavailable { outcome, .. }) if outcome == unknown), "{outcome:?}");
}

/// What was asked of the store, and what it came to.
struct Asked {
    appointment: Appointment,
    outcome: Outcome,
}

/// The same of bookings and holds.
#[derive(Debug)]
enum Outcome {
    Done,
    Exists,
    PlaceTaken,
    Refused(Refusal),
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
                let booking = Booking { id: AppointmentId(Uuid::new_v4()), start, ..booking };
                let place = HoldPlace::Own(u8::try_from(random(3)).unwrap());
                let appointment = match random(3) {
                    0 => booking.clone().into_hold(Held { by: booking.patient_id, until: jiff::Timestamp::MAX, place }),
                    _ => booking.into_appointment(),
                };
                (appointment, *patient)
            }));
        }
        let asked = wanted.into_iter().enumerate().map(|(place, (appointment, patient))| {
            let (store, seems_taken) = (&desks[place % 2].store, place % 5 == 0);
            async move {
                let request = request(patient);
                let outcome = match appointment.held {
                    Some(_) => match store.hold(&appointment, HOUR, &request, seems_taken).await.unwrap() {
                        Holding::Done(stored, _) => {
                            assert_eq!(stored.appointment.id, appointment.id);
                            Outcome::Done
                        }
                        Holding::Exists => Outcome::Exists,
                        Holding::PlaceTaken => Outcome::PlaceTaken,
                        Holding::Refused(refusal) => Outcome::Refused(refusal),
                        other => panic!("{other:?}"),
                    },
                    None => match store.insert(&appointment, &request, seems_taken).await.unwrap() {
                        Inserted::Done(_) => Outcome::Done,
                        Inserted::Exists => Outcome::Exists,
                        Inserted::Refused(refusal) => Outcome::Refused(refusal),
                        other => panic!("{other:?}"),
                    },
                };
                Asked { appointment, outcome }
            }
        });
        let asked = join_all(asked).await;
        for Asked { appointment, outcome } in &asked {
            if let Outcome::Done = outcome {
                assert!(there.insert(appointment.id, appointment.clone()).is_none(), "it is there once");
            }
        }
        for Asked { appointment, outcome } in &asked {
            let meets = |one: &&Appointment| one.id != appointment.id;
            let others = || there.values().filter(meets);
            let taken =
                others().any(|one| one.doctor_id == appointment.doctor_id && overlap(&one.claims, &appointment.claims));
            let busy = others().any(|one| {
                let times = one.held.is_none() && one.start < appointment.end && appointment.start < one.end;
                one.patient_id == appointment.patient_id && times
            });
            let busy = busy && appointment.held.is_none();
            let placed = others().any(|one| {
                let place = |hold: &Appointment| hold.held.map(|held| (held.by, held.place));
                appointment.held.is_some() && place(one) == place(appointment)
            });
            match outcome {
                Outcome::Done => assert!(!taken && !busy && !placed, "{} overlaps", appointment.id),
                Outcome::Exists => assert!(there.contains_key(&appointment.id)),
                Outcome::PlaceTaken => assert!(placed, "nobody held with {:?}", appointment.held),
                Outcome::Refused(Refusal::SlotTaken { .. }) => assert!(taken, "nobody had {}", appointment.start),
                Outcome::Refused(Refusal::PatientBusy) => assert!(busy, "nobody was busy at {}", appointment.start),
                Outcome::Refused(other) => panic!("{other:?}"),
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
