//! Daily and weekly limits of a service: exact under many bookers, and seen live on every date that they concern.

use std::collections::BTreeMap;

use cita_cli::Connection;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use jiff::civil::{Date, Weekday};
use serde_json::json;

use crate::harness::clinic::{Clinic, Practice, at, connect, date, key, text};
use crate::harness::watch::Watcher;

/// Patients on both nodes.
async fn patients(clinic: &Clinic, urls: &[&str], many: usize) -> Vec<Connection> {
    let mut connections = Vec::new();
    for number in 0..many {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        connections.push(connect(urls[number % urls.len()], Some(&patient.token)).await);
    }
    connections
}

/// Each books another time at once. Returns the ids that were booked, and how often each rule refused.
async fn scramble(
    connections: &[Connection],
    practice: &Practice,
    starts: &[String],
) -> (Vec<String>, BTreeMap<String, usize>) {
    let attempts = connections
        .iter()
        .zip(starts)
        .map(|(connection, start)| connection.request("appointment.book", practice.booking(start), Some(key())));
    let (mut booked, mut rules) = (Vec::new(), BTreeMap::new());
    for outcome in join_all(attempts).await {
        match outcome {
            Ok(reply) => booked.push(text(&reply.data, "id")),
            Err(error) => {
                assert_eq!(error.code(), Some(ErrorCode::SlotUnavailable), "{error}");
                let rule = error.problem().and_then(|problem| problem.rule.clone()).expect("a rule");
                *rules.entry(rule).or_default() += 1;
            }
        }
    }
    (booked, rules)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daily_limit_is_exact_and_its_date_is_empty_until_somebody_leaves() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic
        .practice_with(json!({ "name": "Procedimiento", "durationMinutes": 30, "horizonDays": 90, "dailyLimit": 3 }))
        .await;
    let day = date(3);
    let mut watcher = Watcher::start(connect(&other.url, None).await, &practice.slots(&day), None).await;
    assert_eq!(watcher.until(|view| view.snapshots == 1).await.items.len(), 20);
    let connections = patients(&clinic, &[clinic.url(), &other.url], 12).await;
    let starts: Vec<String> = (0..12).map(|n| at(&day, &format!("{:02}:{:02}", 8 + n / 2, n % 2 * 30))).collect();
    let (booked, rules) = scramble(&connections, &practice, &starts).await;
    assert_eq!((booked.len(), rules), (3, BTreeMap::from([("daily_limit".to_owned(), 9)])));
    watcher.until(|view| view.items.is_empty()).await;

    let doctor = clinic.connect(&practice.doctor).await;
    doctor.request("appointment.cancel", json!({ "id": booked[0] }), Some(key())).await.unwrap();
    watcher.until(|view| view.items.len() == 18).await;
    // Within the limit still, after a move on the same date.
    let moved = json!({ "id": booked[1], "start": at(&day, "17:00") });
    doctor.request("appointment.reschedule", moved, Some(key())).await.unwrap();
    let last = &watcher.until(|view| !view.items.contains_key(&at(&day, "17:00"))).await.items;
    let fresh = Watcher::start(connect(clinic.url(), None).await, &practice.slots(&day), None).await;
    assert_eq!(*last, fresh.view.items);
    let late = connections[11].request("appointment.book", practice.booking(&at(&day, "16:00")), Some(key())).await;
    assert!(late.is_ok(), "the place that was left is given again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weekly_limit_closes_the_whole_week_and_no_other() {
    let clinic = Clinic::open().await;
    let service = json!({ "name": "Terapia", "durationMinutes": 60, "horizonDays": 90, "weeklyLimit": 2 });
    let practice = clinic.practice_with(service).await;
    let tomorrow: Date = date(1).parse().unwrap();
    let monday = tomorrow.nth_weekday(1, Weekday::Monday).unwrap();
    let days: Vec<String> = [0, 2, 6, 7].map(|days| (monday + jiff::Span::new().days(days)).to_string()).to_vec();
    let mut watchers = Vec::new();
    for day in &days {
        watchers.push(Watcher::start(clinic.anon().await, &practice.slots(day), None).await);
    }
    let connections = patients(&clinic, &[clinic.url()], 6).await;
    let starts: Vec<String> = (0..6).map(|n| at(&days[n % 3], &format!("{:02}:00", 9 + n))).collect();
    let (booked, rules) = scramble(&connections, &practice, &starts).await;
    assert_eq!((booked.len(), rules), (2, BTreeMap::from([("weekly_limit".to_owned(), 4)])));
    let next_week = watchers.pop().unwrap();
    for watcher in &mut watchers {
        watcher.until(|view| view.items.is_empty()).await;
    }
    assert_eq!(next_week.view.items.len(), 10);
    let doctor = clinic.connect(&practice.doctor).await;
    let moved = json!({ "id": booked[0], "start": at(&days[3], "08:00") });
    doctor.request("appointment.reschedule", moved, Some(key())).await.unwrap();
    for watcher in &mut watchers {
        watcher.until(|view| view.items.len() >= 9).await;
    }
}
