//! The stream of changes breaks, or tells what cannot be read.

use cita_cli::ClientError;
use cita_protocol::ErrorCode;
use futures::TryStreamExt as _;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;
use uuid::Uuid;

use super::bookers::{Bookers, DAYS};
use super::follower::{Follower, Servers};
use crate::harness::clinic::{Clinic, at, connect, database, date, key, practice_at, register, simple_service};
use crate::harness::eventually;
use crate::harness::mongo::shared;
use crate::harness::process::Process;
use crate::harness::watch::end_of;

pub(super) fn id(uuid: &str) -> mongodb::bson::Uuid {
    mongodb::bson::Uuid::parse_str(uuid).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_not_skipped_and_stops_nobody_else() {
    let (shared, name) = (shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let (mut server, url) = Process::serve(&users, &appointments, &["--heartbeat-ms", "200"]).await;
    let (hurt, unhurt) = (practice_at(&url, simple_service()).await, practice_at(&url, simple_service()).await);
    let patient = register(&url, "patient", "Paula Pérez").await;
    let servers = Servers::new(&[&url]);
    let follower = Follower::start(&servers, Some(&unhurt.doctor.token), &unhurt.calendar()).await;
    let slots = Follower::start(&servers, None, &unhurt.slots(&date(2))).await;

    let client = Client::with_uri_str(&shared.appointments_uri).await.unwrap();
    let behind = client.database(&name).collection::<Document>("appointments");
    let start = mongodb::bson::DateTime::parse_rfc3339_str(at(&date(2), "09:00")).unwrap();
    let poison = doc! { "_id": id(&hurt.service), "doctorId": id(&hurt.doctor.id), "start": start, "claims": [1, 2], "rev": "?" };
    behind.insert_one(&poison).await.unwrap();
    for follower in [&follower, &slots] {
        let seen = follower.until(|seen| !seen.ends.is_empty() && seen.view.snapshots == 2).await;
        assert_eq!((seen.ends, seen.anew), (vec![Some(4003)], 1), "told that it cannot be continued");
    }
    // Once: what cannot be read is not read again and again.
    assert_eq!(follower.until_pinged(6).await.ends.len(), 1);
    assert!(server.is_running());
    let output = server.output();
    let alarms = output.lines().filter(|line| line.contains("ERROR") && line.contains("change stream lost")).count();
    assert_eq!(alarms, 1, "{output}");
    assert!(output.contains(&format!("appointments {}", hurt.service)), "it names the document: {output}");

    // The calendar that holds it: a clean error, which repeating does not mend, and nothing is written.
    let connection = connect(&url, Some(&patient.token)).await;
    let search = json!({ "doctorId": hurt.doctor.id, "serviceId": hurt.service, "from": date(2), "to": date(2) });
    let refused = connection.request("slot.search", &search, None).await.unwrap_err();
    assert_internal(&refused);
    let booking = hurt.booking(&at(&date(2), "11:00"));
    let refused = connection.request("appointment.book", &booking, Some(key())).await.unwrap_err();
    assert_internal(&refused);
    let doctor = connect(&url, Some(&hurt.doctor.token)).await;
    let refused = doctor.request("subscribe", json!({ "topic": hurt.calendar() }), None).await.unwrap_err();
    assert_internal(&refused);
    assert_eq!(behind.count_documents(doc! { "doctorId": id(&hurt.doctor.id) }).await.unwrap(), 1);

    // Everybody else's works on.
    let start = at(&date(2), "11:00");
    let booked = connection.request("appointment.book", unhurt.booking(&start), Some(key())).await.unwrap().data;
    follower.until(|seen| seen.view.items.values().any(|item| *item == booked)).await;
    slots.until(|seen| !seen.view.items.contains_key(&start)).await;

    // Mended by hand, which is behind Cita's back as well: everything is told anew, and works.
    behind.delete_one(doc! { "_id": id(&hurt.service) }).await.unwrap();
    follower.until(|seen| seen.ends.len() == 2 && seen.view.snapshots == 3).await;
    let found = connect(&url, None).await.request("slot.search", &search, None).await.unwrap().data;
    assert_eq!(found["slots"].as_array().unwrap().len(), 20);
    let connection = connect(&url, Some(&patient.token)).await;
    let refused = connection.request("appointment.book", &booking, Some(key())).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::PatientBusy), "the doctor is free, the patient is not");
}

fn assert_internal(error: &ClientError) {
    let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
    assert_eq!((problem.code, problem.status, problem.retryable), (ErrorCode::Internal, 500, false), "{problem:?}");
    let text = serde_json::to_string(problem).unwrap();
    for internal in ["rev", "invalid type", "document", "Bson", "mongo"] {
        assert!(!text.contains(internal), "{internal} in {text}");
    }
}

/// The change streams that are open on a database.
pub(super) async fn streams(client: &Client, name: &str) -> Vec<i64> {
    let namespace = format!("{name}.$cmd.aggregate");
    let pipeline = [
        doc! { "$currentOp": { "allUsers": true, "idleCursors": true } },
        doc! { "$match": { "ns": &namespace, "cursor.cursorId": { "$exists": true } } },
    ];
    let found = client.database("admin").aggregate(pipeline).await.unwrap().try_collect::<Vec<Document>>().await;
    let cursor = |op: Document| op.get_document("cursor").ok().and_then(|cursor| cursor.get_i64("cursorId").ok());
    found.unwrap().into_iter().filter_map(cursor).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_cursor_is_killed_goes_on_where_it_was() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let practice = clinic.practice().await;
    let servers = Servers::new(&[clinic.url()]);
    let mut followers = vec![Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await];
    for days in 1..=DAYS {
        followers.push(Follower::start(&servers, None, &practice.slots(&date(days))).await);
    }
    let bookers = Bookers::start(&servers, &practice, 4).await;
    let client = Client::with_uri_str(&clinic.appointments_uri).await.unwrap();
    let database = client.default_database().unwrap();
    for _ in 0..5 {
        bookers.until_acknowledged(30).await;
        let before = eventually(async || streams(&client, database.name()).await.first().copied()).await;
        let kill = doc! { "killCursors": "$cmd.aggregate", "cursors": [before] };
        let killed = database.run_command(kill).await.unwrap();
        assert_eq!(killed.get_array("cursorsKilled").unwrap(), &[Bson::from(before)]);
        let is_another = async || streams(&client, database.name()).await.iter().any(|cursor| *cursor != before);
        crate::harness::until(is_another).await;
    }
    bookers.until_acknowledged(30).await;
    for follower in &followers {
        assert_eq!(follower.seen().ends, vec![], "nobody notices");
    }
    bookers.finish_and_check(followers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_ended_by_hand_is_closed_although_the_stream_cannot_tell() {
    let clinic = Clinic::open().await;
    let (ended, other) = (clinic.patient().await, clinic.patient().await);
    let (socket, unhurt) = (clinic.connect(&ended).await, clinic.connect(&other).await);
    let client = Client::with_uri_str(&clinic.users_uri).await.unwrap();
    let sessions = client.default_database().unwrap().collection::<Document>("sessions");
    // An update, where Cita only replaces: the stream starts anew, after it.
    let revoked = doc! { "$set": { "revokedAt": mongodb::bson::DateTime::now() } };
    assert_eq!(sessions.update_one(doc! { "userId": id(&ended.id) }, revoked).await.unwrap().modified_count, 1);
    let end = end_of(&socket).await;
    assert!(matches!(end, ClientError::Closed { code: Some(4101), .. }), "{end:?}");
    unhurt.request("me.get", json!({}), None).await.expect("nobody else is touched");
}
