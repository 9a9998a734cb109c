//! What is shown is what books: search, explanation and booking agree on every instant; and who has the first time.

mod doctors;
mod worlds;

use std::collections::BTreeSet;

use cita_protocol::ErrorCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, at, date, key, text};

/// Every fifth minute of a day, a minute off the grid now and then, and instants that are past or too far ahead.
fn instants(day: &str) -> Vec<String> {
    let midnight: Timestamp = at(day, "00:00").parse().unwrap();
    let mut instants: Vec<Timestamp> = (0..288).map(|n| midnight + SignedDuration::from_mins(5 * n)).collect();
    instants.extend((0..24).map(|hour| midnight + SignedDuration::from_mins(60 * hour + 7)));
    instants.push(midnight - SignedDuration::from_hours(24 * 30));
    instants.push(midnight + SignedDuration::from_hours(24 * 300 + 10));
    instants.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_search_shows_books_and_what_it_does_not_is_refused_for_the_reason_that_is_explained() {
    let clinic = Clinic::open().await;
    let service = json!({
        "name": "Consulta", "durationMinutes": 40, "stepMinutes": 25, "bufferAfterMinutes": 10, "horizonDays": 60, "dailyLimit": 6
    });
    let practice = clinic.practice_with(service).await;
    let day = date(4);
    let (patient, rival) = (clinic.patient().await, clinic.person("patient", "Rival Ruiz").await);
    let (patient, rival) = (clinic.connect(&patient).await, clinic.connect(&rival).await);
    let mut cursor = None;
    for time in ["08:00", "09:15", "15:30"] {
        let booked = rival.request("appointment.book", practice.booking(&at(&day, time)), Some(key())).await.unwrap();
        cursor = booked.cursor;
    }
    // Elsewhere at the same time: the patient cannot be in two places.
    let elsewhere = clinic.practice().await;
    let other = patient.request("appointment.book", elsewhere.booking(&at(&day, "12:00")), Some(key())).await.unwrap();
    let after = other.cursor.max(cursor).unwrap();

    let search = json!({
        "doctorId": practice.doctor.id, "serviceId": practice.service, "from": day, "to": day, "after": after
    });
    let found = patient.request("slot.search", search, None).await.unwrap();
    let shown: BTreeSet<String> = found.data["slots"].as_array().unwrap().iter().map(|s| text(s, "start")).collect();
    assert!(shown.len() > 5, "{shown:?}");
    let mut rules = BTreeSet::new();
    for start in instants(&day) {
        let explain = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "start": start });
        let explained = patient.request("slot.explain", explain, None).await.unwrap().data;
        let outcome = patient.request("appointment.book", practice.booking(&start), Some(key())).await;
        assert_eq!(explained["bookable"] == true, outcome.is_ok(), "{start}: {explained} but {outcome:?}");
        match outcome {
            Ok(booked) => {
                assert!(shown.contains(&start), "{start} was not shown");
                let cancel = json!({ "id": booked.data["id"] });
                patient.request("appointment.cancel", cancel, Some(key())).await.unwrap();
            }
            Err(error) => {
                let problem = error.problem().expect("a problem");
                assert_eq!(explained["code"], problem.code.as_str(), "{start}");
                assert_eq!(explained["rule"].as_str(), problem.rule.as_deref(), "{start}");
                // A patient is told of a conflict of their own, and sees the time nevertheless.
                assert!(!shown.contains(&start) || problem.code == ErrorCode::PatientBusy, "{start}: {problem:?}");
                assert_eq!(explained.get("takenBy"), None, "what takes a time is not for patients");
                rules.insert(problem.rule.clone().unwrap_or_else(|| problem.code.as_str().to_owned()));
            }
        }
    }
    let expected = ["horizon", "hours", "past", "patient_busy", "slot_taken", "step"].map(str::to_owned);
    assert_eq!(rules, BTreeSet::from(expected));

    let doctor = clinic.connect(&practice.doctor).await;
    let explain = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "start": at(&day, "08:00") });
    let explained = doctor.request("slot.explain", explain, None).await.unwrap().data;
    assert_eq!(explained["takenBy"].as_array().map(Vec::len), Some(1), "the doctor is told what it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctors_are_sorted_by_their_first_time_page_by_page() {
    let clinic = Clinic::open().await;
    let mut practices = Vec::new();
    for _ in 0..5 {
        let practice = clinic.practice().await;
        let doctor = clinic.connect(&practice.doctor).await;
        let profile = json!({ "id": practice.doctor.id, "specialisation": "Cardiología" });
        doctor.request("doctor.update", profile, Some(key())).await.unwrap();
        practices.push((practice, doctor));
    }
    // The third has the day after tomorrow, the fourth nothing at all, the others what is left of today or tomorrow.
    for (index, days) in [(2, Some([0, 1])), (3, None)] {
        let (practice, doctor) = &practices[index];
        let closed = |day: i32| json!({ "date": date(day), "ranges": [] });
        let hours = match days {
            Some(days) => json!({ "overrides": days.map(closed), "weekly": every_day() }),
            None => json!({ "overrides": [], "weekly": [] }),
        };
        let mut input = json!({ "doctorId": practice.doctor.id, "timeZone": "America/Bogota" });
        input.as_object_mut().unwrap().extend(hours.as_object().unwrap().clone());
        doctor.request("availability.set", input, Some(key())).await.unwrap();
    }
    let anon = clinic.anon().await;
    let (mut found, mut token): (Vec<Value>, Option<Value>) = (Vec::new(), None);
    loop {
        let mut search = json!({ "specialisation": "Cardiología", "sort": "available", "pageSize": 2 });
        if let Some(token) = token {
            search["pageToken"] = token;
        }
        let page = anon.request("doctor.search", search, None).await.unwrap().data;
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        token = page.get("nextPageToken").cloned();
        if token.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 5);
    let firsts: Vec<Option<&str>> = found.iter().map(|doctor| doctor["firstSlot"]["start"].as_str()).collect();
    assert!(firsts[..4].iter().all(Option::is_some) && firsts[..4].is_sorted(), "{firsts:?}");
    assert_eq!((found[3]["id"].as_str(), firsts[4]), (Some(practices[2].0.doctor.id.as_str()), None));
    let first = &found[0];
    let booking = json!({
        "doctorId": first["id"], "serviceId": first["firstSlot"]["serviceId"], "start": first["firstSlot"]["start"]
    });
    let patient = clinic.connect(&clinic.patient().await).await;
    patient.request("appointment.book", booking, Some(key())).await.expect("what is shown books");
}

fn every_day() -> Value {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    days.iter().map(|day| json!({ "weekday": day, "from": "08:00", "to": "18:00" })).collect()
}
