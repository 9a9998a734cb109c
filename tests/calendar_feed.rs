//! Calendar feeds: what whoever has the address reads, and who does not.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cita_protocol::Operation;
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, deserialize_from_slice, doc};
use serde_json::{Value, json};

use crate::harness::cast::admin;
use crate::harness::clinic::{Clinic, PASSWORD, Person, at, date, key, text};
use crate::harness::process::Process;
use crate::harness::rest::{Answer, Rest};

async fn call(clinic: &Clinic, person: &Person, operation: Operation, data: Value, key: &str) -> Answer {
    Rest { url: clinic.url(), token: Some(&person.token) }.call(operation, &data, Some(key)).await
}

/// Makes an address, and returns its path.
async fn create(clinic: &Clinic, person: &Person) -> String {
    let answer = call(clinic, person, Operation::CalendarFeedCreate, json!({}), &key()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    path(clinic, &answer)
}

fn path(clinic: &Clinic, created: &Answer) -> String {
    let url = text(&created.json(), "url");
    assert_eq!(created.header("location"), url);
    url.strip_prefix(clinic.url()).expect("it is an address of this server").to_owned()
}

/// As a calendar program asks: without credentials.
async fn read(clinic: &Clinic, path: &str, headers: &[(&str, &str)]) -> Answer {
    Rest { url: clinic.url(), token: None }.send("GET", path, headers, None).await
}

/// The events by their UID, each as its properties.
fn events(calendar: &Answer) -> BTreeMap<String, BTreeMap<String, String>> {
    assert_eq!((calendar.status, calendar.header("content-type")), (200, "text/calendar; charset=utf-8"));
    assert!(calendar.body.starts_with("BEGIN:VCALENDAR\r\n") && calendar.body.ends_with("END:VCALENDAR\r\n"));
    // The library counts the space of a folded line in or not.
    assert!(calendar.body.split("\r\n").all(|line| line.len() <= 76), "lines are folded: {}", calendar.body);
    assert!(!calendar.body.replace("\r\n", "").contains(['\r', '\n']));
    let unfolded = calendar.body.replace("\r\n ", "");
    let mut found = BTreeMap::new();
    for event in unfolded.split("BEGIN:VEVENT\r\n").skip(1) {
        let (event, _) = event.split_once("END:VEVENT").expect("it ends");
        let properties = event.lines().map(|line| line.split_once(':').expect("a property has a value"));
        let properties: BTreeMap<_, _> = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert!(found.insert(properties["UID"].clone(), properties).is_none(), "a UID is there once");
    }
    found
}

fn property<'a>(events: &'a BTreeMap<String, BTreeMap<String, String>>, id: &str, name: &str) -> &'a str {
    events[id].get(name).map_or("", String::as_str)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_what_stands_and_nobody_elses() {
    let clinic = Clinic::open().await;
    let service = json!({ "name": "Consulta; control, «largo»\\", "durationMinutes": 30, "horizonDays": 366 });
    let practice = clinic.practice_with(service).await;
    let (paula, other) = (clinic.patient().await, clinic.person("patient", "Óscar").await);
    let (hers, doctors) = (create(&clinic, &paula).await, create(&clinic, &practice.doctor).await);
    assert!(events(&read(&clinic, &hers, &[]).await).is_empty());

    let book = async |person: &Person, time: &str| {
        let booking = practice.booking(&at(&date(2), time));
        text(&call(&clinic, person, Operation::AppointmentBook, booking, &key()).await.json(), "id")
    };
    let (stands, moved, cancelled) =
        (book(&paula, "09:00").await, book(&paula, "10:00").await, book(&paula, "11:00").await);
    let others = book(&other, "12:00").await;
    let hold = practice.booking(&at(&date(2), "13:00"));
    assert_eq!(call(&clinic, &paula, Operation::SlotHold, hold, &key()).await.status, 201);
    let to = json!({ "id": moved, "start": at(&date(3), "10:30") });
    assert_eq!(call(&clinic, &paula, Operation::AppointmentReschedule, to, &key()).await.status, 200);
    let gone = json!({ "id": cancelled });
    assert_eq!(call(&clinic, &paula, Operation::AppointmentCancel, gone, &key()).await.status, 200);

    let seen = events(&read(&clinic, &hers, &[]).await);
    assert!(seen.keys().eq(std::collections::BTreeSet::from([&stands, &moved])), "{seen:#?}");
    let stamp = |instant: String| instant.replace(['-', ':'], "");
    assert_eq!(property(&seen, &moved, "DTSTART"), stamp(at(&date(3), "10:30")));
    assert_eq!(property(&seen, &moved, "DTEND"), stamp(at(&date(3), "11:00")));
    assert_eq!((property(&seen, &moved, "SEQUENCE"), property(&seen, &stands, "SEQUENCE")), ("1", "0"));
    assert_eq!(property(&seen, &stands, "STATUS"), "CONFIRMED");
    assert_eq!(property(&seen, &stands, "SUMMARY"), r"Consulta\; control\, «largo»\\ · Daniel Duarte");

    let seen = events(&read(&clinic, &doctors, &[]).await);
    assert!(seen.keys().eq(std::collections::BTreeSet::from([&stands, &moved, &others])), "{seen:#?}");
    assert_eq!(property(&seen, &others, "SUMMARY"), r"Óscar · Consulta\; control\, «largo»\\");

    // Who is their own patient has it once.
    let own = book(&practice.doctor, "15:00").await;
    assert_eq!(property(&events(&read(&clinic, &doctors, &[]).await), &own, "STATUS"), "CONFIRMED");
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_approval_is_tentative_and_reasons_are_not_told() {
    let clinic = Clinic::open().await;
    let service = json!({ "name": "Consulta", "durationMinutes": 30, "requiresApproval": true });
    let practice = clinic.practice_with(service).await;
    let patient = clinic.patient().await;
    let path = create(&clinic, &practice.doctor).await;
    let mut booking = practice.booking(&at(&date(2), "09:00"));
    booking["reason"] = json!("un secreto");
    let id = text(&call(&clinic, &patient, Operation::AppointmentBook, booking, &key()).await.json(), "id");
    let calendar = read(&clinic, &path, &[]).await;
    assert!(!calendar.body.contains("secreto"));
    assert_eq!(property(&events(&calendar), &id, "STATUS"), "TENTATIVE");

    // A program that has it as it is need not read it again.
    let tag = calendar.header("etag").to_owned();
    assert_eq!(calendar.header("cache-control"), "private, no-cache");
    let again = read(&clinic, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag.as_str()));
    let approve = json!({ "id": id });
    assert_eq!(call(&clinic, &practice.doctor, Operation::AppointmentApprove, approve, &key()).await.status, 200);
    let changed = read(&clinic, &path, &[("if-none-match", &tag)]).await;
    assert_eq!(property(&events(&changed), &id, "STATUS"), "CONFIRMED");
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_works_until_it_ends() {
    let clinic = Clinic::open().await;
    let patient = clinic.patient().await;
    let works = async |path: &str| {
        let answer = read(&clinic, path, &[]).await;
        assert!(answer.status == 200 || answer.code().as_deref() == Some("not_found"), "{answer:?}");
        answer.status == 200
    };
    let since = async || {
        let me = Rest { url: clinic.url(), token: Some(&patient.token) }.call(Operation::MeGet, &json!({}), None).await;
        me.json()["calendarFeedAt"].as_str().map(str::to_owned)
    };
    assert_eq!(since().await, None);
    let same = key();
    let created = call(&clinic, &patient, Operation::CalendarFeedCreate, json!({}), &same).await;
    let first = path(&clinic, &created);
    assert_eq!(since().await.unwrap(), text(&created.json(), "createdAt"));
    // Whoever did not hear the answer asks again.
    let again = call(&clinic, &patient, Operation::CalendarFeedCreate, json!({}), &same).await;
    assert_eq!(again.json(), created.json());
    assert!(works(&first).await);

    let second = create(&clinic, &patient).await;
    assert!(!works(&first).await && works(&second).await, "another one takes its place");
    let late = call(&clinic, &patient, Operation::CalendarFeedCreate, json!({}), &same).await;
    assert_eq!(late.code().as_deref(), Some("not_found"), "there is nothing left to tell");

    let revoke = async |key: &str| call(&clinic, &patient, Operation::CalendarFeedRevoke, json!({}), key).await.code();
    let revoked = key();
    assert_eq!((revoke(&revoked).await, revoke(&key()).await), (None, None));
    assert!(!works(&second).await);
    assert_eq!(since().await, None);
    let next = create(&clinic, &patient).await;
    assert_eq!(revoke(&revoked).await, None);
    assert!(works(&next).await, "a repetition ends none that was made since");

    // What somebody who knew the old password may have made ends with it.
    let third = create(&clinic, &patient).await;
    let password = json!({ "currentPassword": PASSWORD, "newPassword": "otra clave de prueba" });
    assert_eq!(call(&clinic, &patient, Operation::MeUpdate, password, &key()).await.code(), None);
    assert!(!works(&third).await);

    let fourth = create(&clinic, &patient).await;
    let disable = json!({ "id": patient.id, "disabled": true });
    let admin = admin(&clinic).await;
    assert_eq!(call(&clinic, &admin, Operation::AdminUpdateUser, disable, &key()).await.code(), None);
    assert!(!works(&fourth).await, "whoever is shut out is shut out here");
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_address_is_not_found() {
    let clinic = Clinic::open().await;
    let (patient, other) = (clinic.patient().await, clinic.patient().await);
    let (path, others) = (create(&clinic, &patient).await, create(&clinic, &other).await);
    let secret = path.strip_prefix("/v1/calendar/").unwrap().strip_suffix(".ics").unwrap();
    let others = others.strip_prefix("/v1/calendar/").unwrap().strip_suffix(".ics").unwrap();
    let mut wrong: Vec<String> = (0..secret.len())
        .map(|place| {
            let other = if secret.as_bytes()[place] == b'A' { 'B' } else { 'A' };
            format!("{}{other}{}.ics", &secret[..place], &secret[place + 1..])
        })
        .collect();
    // Whose it is, with the secret of another.
    wrong.push(format!("{}{}.ics", &secret[..21], &others[21..]));
    wrong.extend([secret.to_owned(), format!("{secret}.ICS"), format!("{secret}=.ics"), format!("{secret}%00.ics")]);
    wrong.extend([
        ".ics".to_owned(),
        "%2e%2e.ics".to_owned(),
        "%FF.ics".to_owned(),
        format!("{}.ics", "A".repeat(4_000)),
    ]);
    let mut bodies = std::collections::BTreeSet::new();
    for file in wrong {
        let answer = read(&clinic, &format!("/v1/calendar/{file}"), &[]).await;
        assert_eq!(answer.code().as_deref(), Some("not_found"), "{file}");
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1, "nothing is told apart: {bodies:?}");
    assert_eq!(read(&clinic, &path, &[]).await.status, 200);
    clinic.close().await;
}

/// Nor with what the document remembers of who made it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_alone_makes_no_address() {
    let clinic = Clinic::open().await;
    let patient = clinic.patient().await;
    let path = create(&clinic, &patient).await;
    let secret = path.strip_prefix("/v1/calendar/").unwrap().strip_suffix(".ics").unwrap();
    let secret = URL_SAFE_NO_PAD.decode(secret).unwrap();
    let users = Client::with_uri_str(&clinic.users_uri).await.unwrap().default_database().unwrap();
    let document =
        users.collection::<RawDocumentBuf>("users").find_one(doc! { "email": &patient.email }).await.unwrap();
    let bytes = document.unwrap().into_bytes();
    assert!(!bytes.windows(16).any(|part| part == &secret[16..]));
    let document: Document = deserialize_from_slice(&bytes).unwrap();
    let key = document.get_document("calendarFeed").unwrap().get_binary_generic("key").unwrap();
    let deriving = hmac::Key::new(hmac::HMAC_SHA256, key);
    for part in (0..bytes.len()).flat_map(|from| [16, 32, 36].map(|length| bytes.get(from..from + length))).flatten() {
        assert_ne!(&hmac::sign(&deriving, part).as_ref()[..16], &secret[16..], "{part:02x?}");
    }
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_secret_is_in_no_log() {
    let shared = crate::harness::mongo::shared().await;
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let database = |uri| crate::harness::clinic::database(uri, &name);
    let (users, appointments) = (database(&shared.users_uri), database(&shared.appointments_uri));
    let (server, url) = Process::serve(&users, &appointments, &["--log", "trace"]).await;
    let patient = crate::harness::clinic::register(&url, "patient", "Paula").await;
    let rest = Rest { url: &url, token: Some(&patient.token) };
    let created = rest.call(Operation::CalendarFeedCreate, &json!({}), Some(&key())).await;
    let path = text(&created.json(), "url").strip_prefix(&url).unwrap().to_owned();
    assert_eq!(rest.send("GET", &path, &[], None).await.status, 200);
    assert_eq!(rest.send("GET", &format!("{path}x"), &[], None).await.status, 404);
    let secret = path.rsplit('/').next().unwrap().trim_end_matches(".ics").to_owned();
    crate::harness::until(async || server.output().matches("/v1/calendar/").count() >= 2).await;
    assert!(!server.output().contains(&secret), "{}", server.output());
}
