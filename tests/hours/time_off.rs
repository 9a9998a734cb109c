//! Time off takes what is free, keeps what is booked, and lets nothing in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cita::domain::entry::TimeOffDay;
use cita::error::ClusterName;
use cita::store::appointments::AppointmentStore;
use cita::store::cluster::Cluster;
use cita::store::documents::TimeOffDoc;
use cita::store::together::{Changes, Together};
use cita_cli::Connection;
use cita_protocol::ErrorCode;
use futures::TryStreamExt as _;
use futures::future::join_all;
use mongodb::bson::doc;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{ask, claimed, starts, tick};
use crate::harness::cast::{admin, receptionist};
use crate::harness::clinic::{Clinic, Practice, at, connect, date, key, text};
use crate::harness::watch::Watcher;

fn days(practice: &Practice, from: i32, to: i32) -> Value {
    json!({ "doctorId": practice.doctor.id, "from": { "date": date(from) }, "to": { "date": date(to) } })
}

/// Ticks of some local dates of Bogotá, both included.
fn span(from: i32, to: i32) -> std::ops::Range<i32> {
    tick(&at(&date(from), "00:00"))..tick(&at(&date(to + 1), "00:00"))
}

/// What takes the ticks of a span: how many are time off, and how many are not. All are taken.
async fn taken(clinic: &Clinic, practice: &Practice, span: std::ops::Range<i32>) -> (usize, usize) {
    let claimed = claimed(clinic, practice).await;
    let free: Vec<i32> = span.clone().filter(|tick| !claimed.contains_key(tick)).collect();
    assert!(free.is_empty(), "{} ticks of the time off are free", free.len());
    let off = span.clone().filter(|tick| claimed[tick]).count();
    (off, span.len() - off)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_offered_within_and_what_was_booked_is_told() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let admin = admin(&clinic).await;
    let staff = receptionist(&clinic, &admin, Some(&practice.doctor)).await;
    let patient = clinic.patient().await;
    let mut watcher = Watcher::start(clinic.anon().await, &practice.slots(&date(3)), None).await;
    let booked = ask(&clinic, &patient, "appointment.book", practice.booking(&at(&date(4), "10:00"))).await.unwrap();

    let mut request = days(&practice, 3, 4);
    request["reason"] = json!("Congreso");
    let (connection, own) = (clinic.connect(&staff).await, key());
    let made = connection.request("timeOff.create", &request, Some(own.clone())).await.unwrap();
    assert_eq!(made.data["from"], at(&date(3), "00:00"));
    assert_eq!(made.data["to"], at(&date(5), "00:00"));
    assert_eq!(made.data["timeZone"], "America/Bogota");
    let outside = made.data["outside"].as_array().unwrap();
    assert_eq!(outside.len(), 1);
    assert_eq!((&outside[0]["appointment"]["id"], &outside[0]["rule"]), (&booked["id"], &json!("time_off")));
    assert_eq!(outside[0]["alternatives"].as_array().unwrap().len(), 5);
    watcher.until(|view| view.items.is_empty()).await;
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (2 * 288 - 6, 6));

    // Asked again, it is what it was; asked otherwise, it is refused.
    let again = connection.request("timeOff.create", &request, Some(own.clone())).await.unwrap();
    assert_eq!(again.data["id"], made.data["id"]);
    let other = connection.request("timeOff.create", days(&practice, 8, 8), Some(own)).await.unwrap_err();
    assert_eq!(other.code(), Some(ErrorCode::IdempotencyKeyReused));
    let list = ask(&clinic, &practice.doctor, "timeOff.list", json!({ "doctorId": practice.doctor.id })).await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["reason"]), (&made.data["id"], &json!("Congreso")));

    let booking = practice.booking(&at(&date(3), "09:00"));
    let refused = ask(&clinic, &patient, "appointment.book", booking.clone()).await.unwrap_err();
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("time_off")));
    // Not even by the practice, with a reason: the time is taken.
    let mut exception = booking.clone();
    exception["patientId"] = json!(patient.id);
    exception["override"] = json!({ "reason": "Urgencia" });
    let refused = ask(&clinic, &practice.doctor, "appointment.book", exception.clone()).await.unwrap_err();
    assert_eq!(refused.rule.as_deref(), Some("time_off"));
    // Whatever else is against it.
    exception["start"] = json!(at(&date(3), "20:00"));
    let refused = ask(&clinic, &practice.doctor, "appointment.book", exception.clone()).await.unwrap_err();
    assert_eq!(refused.rule.as_deref(), Some("time_off"), "out of hours as well");
    let strict = json!({ "doctorId": practice.doctor.id, "name": "Con aviso", "durationMinutes": 30, "minNoticeMinutes": 14_400 });
    let strict = ask(&clinic, &practice.doctor, "service.create", strict).await.unwrap();
    exception["serviceId"] = strict["id"].clone();
    let refused = ask(&clinic, &practice.doctor, "appointment.book", exception).await.unwrap_err();
    assert_eq!(refused.rule.as_deref(), Some("time_off"), "too late as well");

    let id = text(&made.data, "id");
    let stale = json!({ "doctorId": practice.doctor.id, "id": id, "rev": 7 });
    assert_eq!(ask(&clinic, &staff, "timeOff.delete", stale).await.unwrap_err().code, ErrorCode::StaleRev);
    let delete = json!({ "doctorId": practice.doctor.id, "id": id, "rev": 1 });
    let own = key();
    for _ in 0..2 {
        connection.request("timeOff.delete", &delete, Some(own.clone())).await.expect("asked again, it is done");
    }
    assert_eq!(ask(&clinic, &staff, "timeOff.delete", delete).await.unwrap_err().code, ErrorCode::NotFound);
    watcher.until(|view| view.items.len() == 20).await;
    assert_eq!(claimed(&clinic, &practice).await.len(), 6, "the appointment is all that is left");
    ask(&clinic, &patient, "appointment.book", booking).await.unwrap();
    let fresh = Watcher::start(clinic.anon().await, &practice.slots(&date(3)), None).await;
    watcher.until(|view| view.items == fresh.view.items).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_of_a_day_are_off_and_buffers_stay_out_of_them() {
    let clinic = Clinic::open().await;
    let service =
        json!({ "name": "Procedimiento", "durationMinutes": 30, "bufferAfterMinutes": 15, "horizonDays": 90 });
    let practice = clinic.practice_with(service).await;
    let request = json!({ "doctorId": practice.doctor.id, "from": { "date": date(3), "time": "10:00" },
        "to": { "date": date(3), "time": "11:10" } });
    ask(&clinic, &practice.doctor, "timeOff.create", request).await.unwrap();
    let found = starts(&clinic, &practice, &date(3)).await;
    // 9:30 would need until 10:15.
    for (time, offered) in [("09:00", true), ("09:30", false), ("10:00", false), ("11:00", false), ("11:30", true)] {
        assert_eq!(found.contains(&at(&date(3), time)), offered, "{time}");
    }
    for (from, to, pointer) in [
        (json!({ "date": date(5) }), json!({ "date": date(4) }), "/to"),
        (json!({ "date": date(5), "time": "10:01" }), json!({ "date": date(5) }), "/from/time"),
        (json!({ "date": date(5) }), json!({ "date": date(200) }), "/to"),
        (json!({ "date": date(-5) }), json!({ "date": date(-3) }), "/to"),
        (json!([date(5)]), json!({ "date": date(5) }), "/from"),
        (json!({ "date": date(5), "zone": "UTC" }), json!({ "date": date(5) }), "/from/zone"),
    ] {
        let request = json!({ "doctorId": practice.doctor.id, "from": from, "to": to });
        let refused = ask(&clinic, &practice.doctor, "timeOff.create", request.clone()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ValidationFailed, "{request}");
        assert!(refused.errors.iter().any(|error| error.pointer == pointer), "{request}: {:?}", refused.errors);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_within_is_taken_over_at_once() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let asked = json!({ "doctorId": practice.doctor.id, "name": "Procedimiento", "durationMinutes": 30,
        "horizonDays": 366, "requiresApproval": true });
    let asked = ask(&clinic, &practice.doctor, "service.create", asked).await.unwrap();
    let patient = clinic.patient().await;
    let book = async |time: &str, service: &str| {
        let booking = json!({ "doctorId": practice.doctor.id, "serviceId": service, "start": at(&date(3), time) });
        text(&ask(&clinic, &patient, "appointment.book", booking).await.unwrap(), "id")
    };
    let (cancelled, moved) = (book("09:00", &practice.service).await, book("10:00", &practice.service).await);
    let declined = book("11:00", &text(&asked, "id")).await;
    let mut series = practice.booking(&at(&date(2), "12:00"));
    series["rrule"] = json!("FREQ=DAILY;COUNT=3");
    let series = text(&ask(&clinic, &patient, "series.book", series).await.unwrap(), "id");
    let gone = clinic.person("patient", "Una Persona que se va").await;
    ask(&clinic, &gone, "appointment.book", practice.booking(&at(&date(4), "15:00"))).await.unwrap();

    let mut watchers = Vec::new();
    for url in [clinic.url(), &other.url] {
        for day in [3, 4] {
            watchers.push(Watcher::start(connect(url, None).await, &practice.slots(&date(day)), None).await);
        }
    }
    let made = ask(&clinic, &practice.doctor, "timeOff.create", days(&practice, 3, 4)).await.unwrap();
    assert_eq!(made["outside"].as_array().unwrap().len(), 6);
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (576 - 36, 36));

    // Each door that frees time, on the other node: nothing is free in between or afterwards.
    let (mine, theirs) = (other.connect(Some(&patient)).await, other.connect(Some(&practice.doctor)).await);
    let to = json!({ "id": moved, "start": at(&date(5), "10:00") });
    mine.request("appointment.cancel", json!({ "id": cancelled }), Some(key())).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (576 - 30, 30));
    mine.request("appointment.reschedule", to, Some(key())).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (576 - 24, 24));
    theirs.request("appointment.decline", json!({ "id": declined }), Some(key())).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (576 - 18, 18));
    mine.request("series.cancel", json!({ "id": series }), Some(key())).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (576 - 6, 6));
    let leaving = clinic.connect(&gone).await;
    leaving.request("me.delete", json!({}), Some(key())).await.unwrap();
    let mut calendar = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    let erased = at(&date(4), "15:00");
    calendar.until(|view| view.items.values().any(|one| one["start"] == *erased && one["status"] == "cancelled")).await;
    assert_eq!(taken(&clinic, &practice, span(3, 4)).await, (576, 0));

    let bio = json!({ "id": practice.doctor.id, "bio": "fin" });
    let end = theirs.request("doctor.update", bio, Some(key())).await.unwrap().cursor.unwrap().0;
    for mut watcher in watchers {
        assert!(watcher.until_cursor(&end).await.items.is_empty(), "{} shows nothing", watcher.topic);
        assert!(watcher.view.changes <= 1, "nothing came up in between on {}", watcher.topic);
    }
    let id = text(&made, "id");
    ask(&clinic, &practice.doctor, "timeOff.delete", json!({ "doctorId": practice.doctor.id, "id": id }))
        .await
        .unwrap();
    assert_eq!(starts(&clinic, &practice, &date(3)).await.len(), 20, "all of it is free again");
}

/// However a hold ends but by booking, its time goes to the time off that began meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_give_up_within_is_taken_over() {
    let clinic = Clinic::open_with(&["--hold-seconds", "20"]).await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let slot = |time: &str| practice.booking(&at(&date(3), time));
    let released = ask(&clinic, &patient, "slot.hold", slot("09:00")).await.unwrap();
    ask(&clinic, &patient, "slot.hold", slot("10:00")).await.unwrap();
    let mut calendar = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    calendar.until(|view| view.items.len() == 2).await;
    ask(&clinic, &practice.doctor, "timeOff.create", days(&practice, 3, 3)).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 3)).await, (288 - 12, 12));
    ask(&clinic, &patient, "hold.release", json!({ "id": released["id"] })).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 3)).await, (288 - 6, 6));
    // The sweeper ends the other one, which is seen in the calendar.
    calendar.until(|view| view.items.is_empty()).await;
    assert_eq!(taken(&clinic, &practice, span(3, 3)).await, (288, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_time_off_covers_stays_off() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let first = ask(&clinic, &practice.doctor, "timeOff.create", days(&practice, 3, 4)).await.unwrap();
    let second = ask(&clinic, &practice.doctor, "timeOff.create", days(&practice, 4, 5)).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 5)).await, (864, 0));
    let delete = |made: &Value| json!({ "doctorId": practice.doctor.id, "id": made["id"] });
    ask(&clinic, &practice.doctor, "timeOff.delete", delete(&first)).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(4, 5)).await, (576, 0));
    assert_eq!(claimed(&clinic, &practice).await.len(), 576);
    assert_eq!(starts(&clinic, &practice, &date(3)).await.len(), 20);
    assert_eq!(starts(&clinic, &practice, &date(4)).await.len(), 0);
    ask(&clinic, &practice.doctor, "timeOff.delete", delete(&second)).await.unwrap();
    assert!(claimed(&clinic, &practice).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_year_is_one_time_off_and_its_tasks_have_times_beyond_it() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    ask(&clinic, &patient, "appointment.book", practice.booking(&at(&date(4), "10:00"))).await.unwrap();
    let made = ask(&clinic, &practice.doctor, "timeOff.create", days(&practice, 3, 186)).await.unwrap();
    assert_eq!(taken(&clinic, &practice, span(3, 186)).await, (184 * 288 - 6, 6));
    let alternatives = made["outside"][0]["alternatives"].as_array().unwrap();
    assert!(
        alternatives.len() == 5
            && alternatives.iter().all(|slot| slot["start"].as_str() < Some(&at(&date(3), "00:00"))
                || slot["start"].as_str() >= Some(&at(&date(187), "00:00")))
    );
    let delete = json!({ "doctorId": practice.doctor.id, "id": made["id"] });
    ask(&clinic, &practice.doctor, "timeOff.delete", delete).await.unwrap();
    assert_eq!(claimed(&clinic, &practice).await.len(), 6);
}

/// Whoever gives up time within a time off may learn too late that it is gone: then nobody takes the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_while_a_time_off_ends_is_free() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let doctors = [clinic.connect(&practice.doctor).await, connect(&other.url, Some(&practice.doctor.token)).await];
    let patient = clinic.patient().await;
    let patients = connect(&other.url, Some(&patient.token)).await;
    for round in 0..12 {
        let mut booked = Vec::new();
        // The whole of it: no day has anything of it yet.
        for time in ["09:00", "09:30", "10:00"] {
            let reply = patients.request("appointment.book", practice.booking(&at(&date(3), time)), Some(key())).await;
            booked.push(reply.unwrap().data["id"].clone());
        }
        let bound = |time: &str| json!({ "date": date(3), "time": time });
        let off = json!({ "doctorId": practice.doctor.id, "from": bound("09:00"), "to": bound(["10:30", "12:00"][round % 2]) });
        let made = doctors[0].request("timeOff.create", off, Some(key())).await.unwrap();
        let end = json!({ "doctorId": practice.doctor.id, "id": made.data["id"] });
        let end = doctors[round / 2 % 2].request("timeOff.delete", end, Some(key()));
        let cancelled =
            booked.iter().map(|id| patients.request("appointment.cancel", json!({ "id": id }), Some(key())));
        let (ended, cancelled) = tokio::join!(end, join_all(cancelled));
        ended.unwrap();
        cancelled.into_iter().for_each(|one| drop(one.unwrap()));
        assert!(
            claimed(&clinic, &practice).await.is_empty(),
            "round {round}: time is taken by a time off that is gone"
        );
    }
}

/// The same with a node that has not heard of the end at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_off_that_has_ended_takes_nothing_over() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let made = ask(&clinic, &practice.doctor, "timeOff.create", days(&practice, 3, 3)).await.unwrap();
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
    let documents = cluster.db.collection::<TimeOffDoc>("appointments");
    let days = async || -> Vec<TimeOffDay> {
        let found: Vec<TimeOffDoc> =
            documents.find(doc! { "kind": "timeOff" }).await.unwrap().try_collect().await.unwrap();
        found.iter().map(|day| day.to_domain().unwrap()).collect()
    };
    let before = days().await;
    assert_eq!(before.len(), 1);
    let delete = json!({ "doctorId": practice.doctor.id, "id": made["id"] });
    ask(&clinic, &practice.doctor, "timeOff.delete", delete).await.unwrap();
    let ended = days().await;
    assert!(ended.len() == 5 && ended.iter().all(|day| day.ended && day.claims.is_empty()), "{ended:?}");
    // By another zone, the same time may belong to the date before or after.
    for late in ended {
        let late = TimeOffDay { rev: 1, claims: before[0].claims.clone(), ended: false, ..late };
        let store = AppointmentStore::new(cluster.clone());
        let written = store.write_together(Changes::default().taken(vec![late])).await.unwrap();
        assert!(matches!(written, Together::Done(_)), "{written:?}");
        assert!(claimed(&clinic, &practice).await.is_empty());
    }
}

/// Books what it can of three days, until it has asked once more after the time off was acknowledged. Returns what it was
/// acknowledged, each with whether it had asked after that.
async fn booker(
    connection: Connection,
    practice: Practice,
    number: usize,
    closed: Arc<AtomicBool>,
    booked: mpsc::UnboundedSender<()>,
) -> Vec<(String, bool)> {
    let mut acknowledged = Vec::new();
    for attempt in 0.. {
        let place = (number * 7 + attempt * 11) % 60;
        let time = format!("{:02}:{:02}", 8 + place % 20 / 2, place % 2 * 30);
        let start = at(&date(3 + i32::try_from(place / 20).unwrap()), &time);
        let late = closed.load(Ordering::SeqCst);
        match connection.request("appointment.book", practice.booking(&start), Some(key())).await {
            Ok(reply) => {
                acknowledged.push((text(&reply.data, "start"), late));
                let _nobody_waits_any_more = booked.send(());
                if attempt % 3 == 1 {
                    let cancel = json!({ "id": reply.data["id"] });
                    connection.request("appointment.cancel", cancel, Some(key())).await.unwrap();
                    acknowledged.pop();
                }
            }
            Err(error) => {
                let code = error.code().expect("an error of the registry");
                let expected = [ErrorCode::SlotTaken, ErrorCode::SlotUnavailable, ErrorCode::PatientBusy];
                assert!(expected.contains(&code), "{error}");
            }
        }
        if late {
            break;
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_bookers_get_nothing_into_a_time_off_once_it_is_acknowledged() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let other = clinic.node_with(&["--heartbeat-ms", "300"]).await;
    let practice = clinic.practice().await;
    let urls = [clinic.url().to_owned(), other.url.clone()];
    let mut watchers = Vec::new();
    for url in &urls {
        for day in 3..6 {
            watchers.push((url, Watcher::start(connect(url, None).await, &practice.slots(&date(day)), None).await));
        }
    }
    let (closed, (sender, mut booked)) = (Arc::new(AtomicBool::new(false)), mpsc::unbounded_channel());
    let mut bookers = Vec::new();
    for number in 0..30 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        let connection = connect(&urls[number % 2], Some(&patient.token)).await;
        bookers.push((connection, number));
    }
    let bookers: Vec<_> = bookers
        .into_iter()
        .map(|(connection, number)| {
            tokio::spawn(booker(connection, practice.clone(), number, closed.clone(), sender.clone()))
        })
        .collect();
    // In the middle of it: what each books first is kept.
    for _ in 0..10 {
        booked.recv().await.unwrap();
    }
    let doctor = clinic.connect(&practice.doctor).await;
    let made = doctor.request("timeOff.create", days(&practice, 3, 5), Some(key())).await.unwrap();
    closed.store(true, Ordering::SeqCst);
    let mut before = BTreeSet::new();
    for outcome in join_all(bookers).await {
        for (start, late) in outcome.unwrap() {
            assert!(!late, "{start} was booked after the acknowledgement");
            assert!(before.insert(start));
        }
    }
    let (_, appointments) = taken(&clinic, &practice, span(3, 5)).await;
    assert_eq!(appointments, before.len() * 6, "what is not off was booked before");
    assert!(made.data["outside"].as_array().unwrap().len() >= 10);

    let bio = json!({ "id": practice.doctor.id, "bio": "fin" });
    let end = doctor.request("doctor.update", bio, Some(key())).await.unwrap().cursor.unwrap().0;
    for (url, mut watcher) in watchers {
        assert!(watcher.until_cursor(&end).await.items.is_empty(), "{} at {url}", watcher.topic);
        let fresh = Watcher::start(connect(url, None).await, &watcher.topic, None).await;
        assert_eq!(watcher.view.items, fresh.view.items, "{} at {url}", watcher.topic);
    }
    let tasks =
        ask(&clinic, &practice.doctor, "appointment.listOutside", json!({ "doctorId": practice.doctor.id })).await;
    assert_eq!(tasks.unwrap()["items"].as_array().unwrap().len(), before.len());
}
