//! What the stream of changes tells besides changes: that it cannot go on, that something does not fit into an event, and that
//! somebody has renamed or dropped what the data lies in.

use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use mongodb::{Client, Database};
use serde_json::json;
use uuid::Uuid;

use super::follower::{Follower, Seen, Servers};
use super::reply::behind_proxy;
use super::stream::{id, streams};
use crate::harness::clinic::{
    Clinic, PASSWORD, Practice, at, connect, database, date, key, practice_at, register, simple_service, text,
};
use crate::harness::members::Members;
use crate::harness::mongo::{private, shared};
use crate::harness::process::Process;
use crate::harness::proxy::Fault;
use crate::harness::watch::{Watcher, end_of};
use crate::harness::{eventually, until};

/// A node as a process, on databases that the test may spoil.
struct Spoilt {
    uris: (String, String),
    name: String,
    server: Process,
    url: String,
    practice: Practice,
    patient: Connection,
    appointments: Database,
}

impl Spoilt {
    async fn open() -> Self {
        let shared = shared().await;
        Self::open_on(&shared.users_uri, &shared.appointments_uri).await
    }

    async fn open_on(users: &str, appointments: &str) -> Self {
        let name = format!("t{}", Uuid::new_v4().simple());
        let uris = (database(users, &name), database(appointments, &name));
        let (server, url) = Process::serve(&uris.0, &uris.1, &["--heartbeat-ms", "200"]).await;
        let practice = practice_at(&url, simple_service()).await;
        let patient = connect(&url, Some(&register(&url, "patient", "Paula Pérez").await.token)).await;
        let appointments = Client::with_uri_str(appointments).await.unwrap().database(&name);
        Self { uris, name, server, url, practice, patient, appointments }
    }

    async fn follow_calendar(&self) -> Follower {
        Follower::start(&Servers::new(&[&self.url]), Some(&self.practice.doctor.token), &self.practice.calendar()).await
    }

    /// Books, and returns the id.
    async fn book(&self, time: &str) -> Result<String, ClientError> {
        let booking = self.practice.booking(&at(&date(2), time));
        let booked = self.patient.request("appointment.book", booking, Some(key())).await?;
        Ok(booked.data["id"].as_str().unwrap().to_owned())
    }

    async fn rename(&self, from: &str, to: &str) {
        let from = format!("{}.{from}", self.name);
        let to = format!("{}.{to}", self.name);
        let command = doc! { "renameCollection": from, "to": to, "dropTarget": true };
        self.appointments.client().database("admin").run_command(command).await.unwrap();
    }

    async fn has_its_indexes(&self) -> bool {
        let names = self.appointments.collection::<Document>("appointments").list_index_names().await;
        names.is_ok_and(|names| {
            ["doctor_claims", "shared_claims"].iter().all(|name| names.iter().any(|one| one == name))
        })
    }

    /// The stream was lost so many times, and is open again.
    fn has_begun_anew(&self, times: usize) -> bool {
        let output = self.server.output();
        let opened =
            output.lines().filter(|line| line.contains("change stream open") && line.contains("=appointments"));
        self.alarms() == times && opened.count() == times + 1
    }

    fn alarms(&self) -> usize {
        let output = self.server.output();
        output.lines().filter(|line| line.contains("ERROR") && line.contains("change stream lost")).count()
    }

    async fn is_ready(&self) -> bool {
        reqwest::get(format!("{}/readyz", self.url)).await.is_ok_and(|ready| ready.status() == 200)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_cannot_go_on_everything_is_told_anew_once() {
    let (clinic, proxy) = behind_proxy().await;
    let practice = clinic.practice().await;
    let patient = clinic.connect(&clinic.patient().await).await;
    let servers = Servers::new(&[clinic.url()]);
    let follower = Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await;
    // The history is lost, the oplog has overtaken the cursor, an event does not fit, a token is not one, none of them known.
    for (number, code) in [286, 136, 10_334, 260, 280, 99_999].into_iter().enumerate() {
        proxy.disturb("getMore", Fault::Fail(code), 1);
        // The reply that is lost is the one that would tell of this booking.
        proxy.until_disturbed(1).await;
        let booking = practice.booking(&at(&date(2), &format!("{:02}:00", 8 + number)));
        let booked = patient.request("appointment.book", booking, Some(key())).await.unwrap().data;
        let seen = follower.until(|seen| seen.view.items.values().any(|item| *item == booked)).await;
        // Told anew, or, where it was written after the stream was opened again, told of it: that follows at once.
        let told = (seen.ends.len(), seen.ends.last(), seen.anew, seen.view.snapshots);
        assert_eq!(told, (number + 1, Some(&Some(4003)), number + 1, number + 2), "{code}");
    }
    // The same where it is resumed: it does not try the token again and again.
    let name = clinic.appointments_uri.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let client = Client::with_uri_str(&shared().await.appointments_uri).await.unwrap();
    proxy.disturb("$changeStream", Fault::Fail(286), 1);
    let open = eventually(async || Some(streams(&client, &name).await).filter(|open| !open.is_empty())).await;
    let kill = doc! { "killCursors": "$cmd.aggregate", "cursors": open };
    client.database(&name).run_command(kill).await.unwrap();
    let seen = follower.until(|seen| seen.ends.len() == 7).await;
    assert_eq!(seen.ends[6], Some(4003));
    assert_eq!(follower.until_pinged(3).await.ends.len(), 7, "once");
    let booked =
        patient.request("appointment.book", practice.booking(&at(&date(2), "15:00")), Some(key())).await.unwrap().data;
    follower.until(|seen| seen.view.items.len() == 7 && seen.view.items.values().any(|item| *item == booked)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_document_that_there_can_be_stops_nobody() {
    const LARGEST: usize = 16 * 1024 * 1024;
    // Other tests need their part of the oplog.
    let clusters = private().await;
    let spoilt = Spoilt::open_on(&clusters.users.uri(), &clusters.appointments.uri()).await;
    let follower = spoilt.follow_calendar().await;
    let other = practice_at(&spoilt.url, simple_service()).await;
    let behind = spoilt.appointments.collection::<Document>("appointments");
    // What does not travel, and what does.
    for field in ["history", "filler"] {
        let fill = |bytes| Binary { subtype: BinarySubtype::Generic, bytes: vec![7; bytes] };
        let mut large =
            doc! { "_id": id(&Uuid::new_v4().to_string()), "doctorId": id(&other.doctor.id), "rev": 1, field: fill(0) };
        let rest = LARGEST - mongodb::bson::serialize_to_vec(&large).unwrap().len();
        large.insert(field, fill(rest));
        let before = spoilt.alarms();
        behind.insert_one(&large).await.unwrap();
        until(async || spoilt.has_begun_anew(before + 1)).await;
        let only_it = doc! { "_id": large.get("_id").unwrap() };
        behind.update_one(only_it, doc! { "$set": { "rev": 2 } }).await.unwrap();
        until(async || spoilt.has_begun_anew(before + 2)).await;
    }
    let booked = spoilt.book("09:00").await.expect("the others go on");
    follower.until(|seen| seen.view.items.contains_key(&booked)).await;
    until(async || spoilt.is_ready().await).await;
    drop(spoilt);
    clusters.stop().await;
}

/// Its cursor is overtaken, and its position is in no oplog any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_slept_longer_than_the_oplog_reaches_tells_everything_anew_once() {
    // What no checkpoint has written is not given up.
    let members = Members::start(1, &["--oplogSize", "5", "--syncdelay", "1"]).await;
    let spoilt = Spoilt::open_on(&shared().await.users_uri, &members.uri()).await;
    let awake = Clinic::open_on(&spoilt.uris.0, &spoilt.uris.1, &[]).await;
    let follower = spoilt.follow_calendar().await;
    let before = spoilt.book("09:00").await.expect("the time is free");
    follower.until(|seen| seen.view.items.contains_key(&before)).await;

    spoilt.server.signal("STOP").await;
    let patient = awake.connect(&awake.patient().await).await;
    let mut booked = Vec::new();
    for time in ["10:00", "11:00"] {
        let booking = spoilt.practice.booking(&at(&date(2), time));
        booked.push(patient.request("appointment.book", booking, Some(key())).await.unwrap().data);
    }
    let client = spoilt.appointments.client();
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let time = |entry: Option<Document>| entry.expect("it is never empty").get_timestamp("ts").expect("each has one");
    let latest = time(oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.unwrap());
    let noise = client.database("noise").collection::<Document>("noise");
    let large = Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 1024 * 1024] };
    until(async || {
        noise.insert_one(doc! { "of": &large }).await.unwrap();
        time(oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await.unwrap()) > latest
    })
    .await;
    spoilt.server.signal("CONT").await;

    let all = |seen: &Seen| booked.iter().all(|booked| seen.view.items.values().any(|item| item == booked));
    let seen = follower.until(all).await;
    assert_eq!(seen.anew, 1);
    until(async || spoilt.is_ready().await).await;
    let booking = spoilt.practice.booking(&at(&date(2), "12:00"));
    let after = patient.request("appointment.book", booking, Some(key())).await.unwrap().data;
    let seen = follower.until(|seen| seen.view.items.values().any(|item| *item == after)).await;
    assert_eq!((seen.anew, spoilt.alarms()), (1, 1), "once, and it does not try its position again");
    awake.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_renames_what_is_not_watched_hurts_nobody() {
    let spoilt = Spoilt::open().await;
    let follower = spoilt.follow_calendar().await;
    spoilt.appointments.collection("something").insert_one(doc! { "of": "others" }).await.unwrap();
    spoilt.rename("something", "anything").await;
    spoilt.appointments.collection::<Document>("anything").drop().await.unwrap();
    let booked = spoilt.book("09:00").await.unwrap();
    let seen = follower.until(|seen| seen.view.items.contains_key(&booked)).await;
    assert_eq!((seen.ends, seen.anew, spoilt.alarms()), (vec![], 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_renamed_or_dropped_is_mended_and_told_anew() {
    let spoilt = Spoilt::open().await;
    let follower = spoilt.follow_calendar().await;
    let first = spoilt.book("09:00").await.unwrap();
    follower.until(|seen| seen.view.items.contains_key(&first)).await;

    // Renamed away: whatever is written from then on meets the indexes again.
    spoilt.rename("appointments", "aside").await;
    follower.until(|seen| seen.ends == [Some(4003)] && seen.view.snapshots == 2).await;
    assert!(spoilt.has_its_indexes().await && spoilt.alarms() == 1, "{}", spoilt.server.output());
    let second = spoilt.book("09:00").await.expect("nothing is there any more");
    let refused = spoilt.book("09:00").await.unwrap_err();
    assert!(matches!(refused.code(), Some(ErrorCode::SlotTaken | ErrorCode::PatientBusy)), "{refused}");
    let seen = follower.until(|seen| seen.view.items.contains_key(&second)).await;
    assert_eq!(seen.view.items.len(), 1);

    // Put back, in its place.
    spoilt.rename("aside", "appointments").await;
    let seen = follower.until(|seen| seen.ends.len() == 2 && seen.view.snapshots == 3).await;
    assert!(seen.view.items.contains_key(&first) && seen.view.items.len() == 1);

    // Without its index, and with it again.
    spoilt.appointments.collection::<Document>("appointments").drop_index("doctor_claims").await.unwrap();
    follower.until(|seen| seen.ends.len() == 3 && seen.view.snapshots == 4).await;
    assert!(spoilt.has_its_indexes().await);

    spoilt.appointments.collection::<Document>("appointments").drop().await.unwrap();
    let seen = follower.until(|seen| seen.ends.len() == 4 && seen.view.snapshots == 5).await;
    assert!(seen.view.items.is_empty() && spoilt.has_its_indexes().await);
    until(async || spoilt.is_ready().await).await;
    assert_eq!(spoilt.alarms(), 4, "{}", spoilt.server.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_get_their_indexes_again_though_their_documents_are_not_watched() {
    let spoilt = Spoilt::open().await;
    let client = Client::with_uri_str(&spoilt.uris.0).await.unwrap();
    let users = client.database(&spoilt.name).collection::<Document>("users");
    let has_index = async || users.list_index_names().await.is_ok_and(|names| names.iter().any(|name| name == "email"));
    let has_begun_anew = |times: usize| {
        let output = spoilt.server.output();
        let opened = output.lines().filter(|line| line.contains("change stream open") && line.contains("=users"));
        spoilt.alarms() == times && opened.count() == times + 1
    };
    users.insert_one(doc! { "_id": 1, "email": "a" }).await.unwrap();
    users.update_one(doc! { "_id": 1 }, doc! { "$set": { "email": "b" } }).await.unwrap();
    users.delete_one(doc! { "_id": 1 }).await.unwrap();
    users.drop_index("email").await.unwrap();
    until(async || has_begun_anew(1) && has_index().await).await;
    users.drop().await.unwrap();
    until(async || has_begun_anew(2) && has_index().await).await;
    until(async || spoilt.is_ready().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_mended_ends_the_node_and_is_said() {
    let mut spoilt = Spoilt::open().await;
    let watching = connect(&spoilt.url, Some(&spoilt.practice.doctor.token)).await;
    watching.request("subscribe", json!({ "topic": spoilt.practice.calendar() }), None).await.unwrap();
    let overlapping = [1, 2].map(|id| doc! { "_id": id, "doctorId": 7, "claims": [7, 8] });
    spoilt.appointments.collection("strange").insert_many(overlapping).await.unwrap();
    spoilt.rename("strange", "appointments").await;
    let end = end_of(&watching).await;
    assert!(matches!(end, ClientError::Closed { code: Some(4000..4100), .. }), "{end:?}");
    assert_eq!(spoilt.server.ended().await.code(), Some(1));
    let output = spoilt.server.output();
    for words in ["cita: the appointments cluster cannot be used", "doctor_claims", "resolve the duplicates"] {
        assert!(output.contains(words), "{words} in {output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_database_ends_the_node_and_the_next_one_begins_anew() {
    for (cluster, sentence) in [("appointments", "its database is another one"), ("users", "its signing keys are gone")]
    {
        let mut spoilt = Spoilt::open().await;
        let uri = if cluster == "users" { &spoilt.uris.0 } else { &spoilt.uris.1 };
        Client::with_uri_str(uri).await.unwrap().database(&spoilt.name).drop().await.unwrap();
        assert_eq!(spoilt.server.ended().await.code(), Some(1));
        let output = spoilt.server.output();
        let complaint = format!("cita: the {cluster} cluster cannot be used: {sentence}");
        assert!(output.contains(&complaint) && !output.contains("panic"), "{output}");
        // It reads of the drop again, which no longer matters.
        let (mut server, url) = Process::serve(&spoilt.uris.0, &spoilt.uris.1, &[]).await;
        practice_at(&url, simple_service()).await;
        until(async || reqwest::get(format!("{url}/readyz")).await.is_ok_and(|ready| ready.status() == 200)).await;
        assert!(server.is_running(), "{}", server.output());
    }
}

/// What it told since the backup never happened, and MongoDB takes its position all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_state_that_is_restored_ends_the_node_and_its_cursors() {
    let mut members = Members::start(1, &["--oplogSize", "16"]).await;
    let mut spoilt = Spoilt::open_on(&shared().await.users_uri, &members.uri()).await;
    let servers = Servers::new(&[&spoilt.url]);
    let token = spoilt.practice.doctor.token.clone();
    let follower = Follower::start(&servers, Some(&token), &spoilt.practice.calendar()).await;
    let kept = spoilt.book("09:00").await.expect("the time is free");
    let backup = members.back_up(0).await;
    let (again, booking) = (key(), spoilt.practice.booking(&at(&date(2), "10:00")));
    let book = async || spoilt.patient.request("appointment.book", booking.clone(), Some(again.clone())).await.ok();
    let lost = text(&eventually(book).await.data, "id");
    let seen = follower.until(|seen| seen.view.items.contains_key(&lost)).await;
    assert_eq!((seen.view.items.len(), seen.anew), (2, 0), "a database that only started again is the same one");

    members.restore(0, &backup).await;
    assert_eq!(spoilt.server.ended().await.code(), Some(1));
    assert!(spoilt.server.output().contains("an earlier state was restored"), "{}", spoilt.server.output());
    let (mut next, url) = Process::serve(&spoilt.uris.0, &spoilt.uris.1, &[]).await;
    servers.replace(&url);
    let seen = follower.until(|seen| seen.anew == 1 && seen.view.snapshots == 2).await;
    assert!(seen.view.items.keys().eq([&kept]), "{:?}", seen.view.items.keys());

    // Nothing was told since these two started, but they began with something; whichever notices first hides it from none.
    let (mut beside, _) = Process::serve(&spoilt.uris.0, &spoilt.uris.1, &[]).await;
    members.restore(0, &backup).await;
    assert_eq!((next.ended().await.code(), beside.ended().await.code()), (Some(1), Some(1)));
}

/// By hand, of what nobody but the person at the console knows the reason: told anew, and no more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_last_and_is_deleted_ends_nobody() {
    let spoilt = Spoilt::open().await;
    let follower = spoilt.follow_calendar().await;
    let booked = spoilt.book("09:00").await.expect("the time is free");
    follower.until(|seen| seen.view.items.contains_key(&booked)).await;
    let only_it = doc! { "_id": id(&booked) };
    spoilt.appointments.collection::<Document>("appointments").delete_one(only_it).await.unwrap();
    follower.until(|seen| seen.anew == 1 && seen.view.snapshots == 2).await;
    let open = eventually(async || {
        Some(streams(spoilt.appointments.client(), &spoilt.name).await).filter(|open| !open.is_empty())
    })
    .await;
    let kill = doc! { "killCursors": "$cmd.aggregate", "cursors": open };
    spoilt.appointments.run_command(kill).await.unwrap();
    let next = eventually(async || spoilt.book("10:00").await.ok()).await;
    let seen = follower.until(|seen| seen.view.items.contains_key(&next)).await;
    assert_eq!((seen.anew, spoilt.is_ready().await), (1, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_an_earlier_state_of_the_accounts() {
    let mut members = Members::start(1, &["--oplogSize", "16"]).await;
    let mut spoilt = Spoilt::open_on(&members.uri(), &shared().await.appointments_uri).await;
    let calendar = spoilt.follow_calendar().await;
    let backup = members.back_up(0).await;
    let doctor = &spoilt.practice.doctor;
    let sessions = Follower::start(&Servers::new(&[&spoilt.url]), Some(&doctor.token), "me/sessions").await;
    let login = json!({ "email": doctor.email, "password": PASSWORD });
    let nobody = connect(&spoilt.url, None).await;
    eventually(async || nobody.request("auth.login", login.clone(), None).await.ok()).await;
    sessions.until(|seen| seen.view.items.len() >= 2).await;

    members.restore(0, &backup).await;
    assert_eq!(spoilt.server.ended().await.code(), Some(1));
    let (_next, url) = Process::serve(&spoilt.uris.0, &spoilt.uris.1, &[]).await;
    let (after, doctor) = (calendar.seen().view.cursor, connect(&url, Some(&spoilt.practice.doctor.token)).await);
    assert!(!Watcher::start(doctor, &calendar.topic, Some(&after)).await.resumed, "its history has ended");
}
