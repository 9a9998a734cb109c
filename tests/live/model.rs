//! Random holds, bookings, moves and cancellations by many clients on two nodes, against a model: the calendar never overlaps,
//! what was acknowledged is there, and every watcher ends up with what a fresh snapshot shows.

use std::collections::BTreeMap;

use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Practice, at, connect, date, key, text};
use crate::harness::watch::Watcher;

const CLIENTS: usize = 8;
const ROUNDS: usize = 40;

/// A small generator (SplitMix64), so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// One client's walk: what it was acknowledged last of each of its appointments.
async fn walk(connection: Connection, practice: Practice, services: Vec<String>, seed: u64) -> BTreeMap<String, Value> {
    let mut random = Random(seed);
    let mut mine: BTreeMap<String, Value> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let start = at(&date(2), &format!("{:02}:{:02}", 8 + random.below(4), 15 * random.below(4)));
        let of = |status: &str| -> Vec<String> {
            mine.iter().filter(|(_, item)| item["status"] == status).map(|(id, _)| id.clone()).collect()
        };
        let (open, held) = (of("booked"), of("held"));
        let outcome = match (random.below(7), open.is_empty()) {
            (4, _) if !held.is_empty() => {
                let id = &held[random.below(held.len())];
                connection.request("hold.release", json!({ "id": id }), Some(key())).await
            }
            (5, _) if !held.is_empty() => {
                let hold = &mine[&held[random.below(held.len())]];
                let mut booking = practice.booking(hold["start"].as_str().unwrap());
                booking["serviceId"] = hold["serviceId"].clone();
                if random.below(2) == 0 {
                    booking["holdId"] = hold["id"].clone();
                }
                connection.request("appointment.book", booking, Some(key())).await
            }
            (6, _) => {
                let mut slot = practice.booking(&start);
                slot["serviceId"] = json!(services[random.below(services.len())]);
                connection.request("slot.hold", slot, Some(key())).await
            }
            (0, false) => {
                let id = &open[random.below(open.len())];
                connection.request("appointment.cancel", json!({ "id": id }), Some(key())).await
            }
            (1, false) => {
                let id = &open[random.below(open.len())];
                connection.request("appointment.reschedule", json!({ "id": id, "start": start }), Some(key())).await
            }
            _ => {
                let mut booking = practice.booking(&start);
                booking["serviceId"] = json!(services[random.below(services.len())]);
                connection.request("appointment.book", booking, Some(key())).await
            }
        };
        match outcome {
            // An ended hold is no item any more.
            Ok(reply) if reply.data["status"] == "expired" => drop(mine.remove(&text(&reply.data, "id"))),
            Ok(reply) => drop(mine.insert(text(&reply.data, "id"), reply.data)),
            Err(error) => assert!(is_refusal(&error), "{error}"),
        }
    }
    mine
}

fn is_refusal(error: &ClientError) -> bool {
    matches!(error.code(), Some(ErrorCode::SlotTaken | ErrorCode::PatientBusy | ErrorCode::SlotUnavailable))
}

/// No two booked appointments or holds overlap.
fn assert_no_overlap<'a>(items: impl Iterator<Item = &'a Value>, seed: u64) {
    let mut booked: Vec<(&str, &str)> = items
        .filter(|item| item["status"] == "booked" || item["status"] == "held")
        .map(|item| (item["start"].as_str().unwrap(), item["end"].as_str().unwrap()))
        .collect();
    booked.sort_unstable();
    for pair in booked.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap (seed {seed})");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_never_overlaps_and_every_view_equals_a_fresh_snapshot() {
    let seed = u64::from(std::process::id());
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let other = clinic.node_with(&["--heartbeat-ms", "300"]).await;
    let service = json!({ "name": "Corta", "durationMinutes": 15 });
    let practice = clinic.practice_with(service).await;
    let doctor = clinic.connect(&practice.doctor).await;
    let mut services = vec![practice.service.clone()];
    for (minutes, buffer) in [(30, 0), (45, 15), (60, 5)] {
        let service = json!({
            "doctorId": practice.doctor.id, "name": "Larga", "durationMinutes": minutes, "stepMinutes": 15, "bufferAfterMinutes": buffer
        });
        let reply = doctor.request("service.create", service, Some(key())).await.unwrap();
        services.push(text(&reply.data, "id"));
    }

    let urls = [clinic.url().to_owned(), other.url.clone()];
    let day = date(2);
    let mut watchers = Vec::new();
    for url in &urls {
        let topics = services.iter().map(|service| format!("doctors/{}/slots/{service}/{day}", practice.doctor.id));
        for topic in topics {
            watchers.push((url, None, Watcher::start(connect(url, None).await, &topic, None).await));
        }
        let token = Some(practice.doctor.token.as_str());
        watchers.push((url, token, Watcher::start(connect(url, token).await, &practice.calendar(), None).await));
    }

    let mut walks = Vec::new();
    for number in 0..CLIENTS {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        let connection = connect(&urls[number % 2], Some(&patient.token)).await;
        let (practice, services) = (practice.clone(), services.clone());
        walks.push(tokio::spawn(walk(connection, practice, services, seed + number as u64)));
    }
    let mut acknowledged = BTreeMap::new();
    for walk in walks {
        acknowledged.extend(walk.await.unwrap());
    }

    // One last change, after everything: whoever has seen its cursor has seen all.
    let last = json!({ "id": practice.doctor.id, "bio": "fin" });
    let end = doctor.request("doctor.update", last, Some(key())).await.unwrap().cursor.unwrap().0;
    for (url, token, mut watcher) in watchers {
        watcher.until_cursor(&end).await;
        let fresh = Watcher::start(connect(url, token).await, &watcher.topic, None).await;
        assert_eq!(watcher.view.items, fresh.view.items, "{} at {url} (seed {seed})", watcher.topic);
        if token.is_some() {
            assert_no_overlap(fresh.view.items.values(), seed);
            assert_eq!(
                fresh.view.items, acknowledged,
                "what was acknowledged is there, and nothing else (seed {seed})"
            );
        }
    }
}
