//! Server-sent events: the same topics for those who only listen.

use cita::domain::doctor::Approval;
use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::cast::token_issued;
use crate::harness::clinic::{Clinic, Practice, at, date, key};
use crate::harness::events::Events;
use crate::harness::rest::{Rest, escaped};
use crate::live::doctor::decide;

fn topics(topics: &[&str]) -> String {
    topics.iter().map(|topic| format!("topic={}", escaped(topic))).collect::<Vec<_>>().join("&")
}

async fn book(clinic: &Clinic, practice: &Practice, token: &str, start: &str) -> Value {
    let rest = Rest { url: clinic.url(), token: Some(token) };
    let booked = rest.call(Operation::AppointmentBook, &practice.booking(start), Some(&key())).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    booked.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_told_from_its_snapshot_on_and_resumed() {
    let clinic = Clinic::open().await;
    let (practice, patient, day) = (clinic.practice().await, clinic.patient().await, date(2));
    let query = topics(&[&practice.slots(&day)]);
    let mut events = Events::open(clinic.url(), &query, None, None).await;
    let reply = events.next().await.unwrap();
    assert_eq!(
        (reply.kind.as_str(), &reply.data),
        ("reply", &json!({ "topic": practice.slots(&day), "resumed": false }))
    );
    let snapshot = events.next().await.unwrap();
    assert_eq!((snapshot.kind.as_str(), snapshot.data["items"].as_array().unwrap().len()), ("snapshot", 20));
    assert!(snapshot.id.is_some());
    let (one, two) = (at(&day, "09:00"), at(&day, "10:00"));
    book(&clinic, &practice, &patient.token, &one).await;
    let change = events.of("change").await;
    assert_eq!((&change.data["removed"], &change.data["upserted"]), (&json!([one]), &json!([])));
    let last = change.id.expect("a change carries an id");
    drop(events);

    book(&clinic, &practice, &patient.token, &two).await;
    // The header is later than the query, which a browser repeats as it was.
    for (query, header) in [
        (query.clone(), Some(last.as_str())),
        (format!("{query}&after={last}"), None),
        (format!("{query}&after=x"), Some(last.as_str())),
    ] {
        let mut again = Events::open(clinic.url(), &query, None, header).await;
        assert_eq!(again.next().await.unwrap().data["resumed"], true);
        assert_eq!(again.next().await.unwrap().data["removed"], json!([two]), "what was missed, and nothing before it");
    }
    // On another node, too.
    let other = clinic.node().await;
    let mut elsewhere = Events::open(&other.url, &query, None, Some(&last)).await;
    let reply = elsewhere.next().await.unwrap();
    if reply.data["resumed"] == true {
        assert_eq!(elsewhere.next().await.unwrap().data["removed"], json!([two]));
    } else {
        assert_eq!(elsewhere.next().await.unwrap().kind, "reset");
        assert_eq!(elsewhere.of("snapshot").await.data["items"].as_array().unwrap().len(), 18);
    }
    for garbage in [
        "x",
        "0",
        "-1",
        "1e9",
        "{}",
        "%00",
        "AAAA",
        &last.to_uppercase(),
        &last[..last.len() - 1],
        &format!("{last}0"),
        &"9".repeat(5_000),
    ] {
        let mut again = Events::open(clinic.url(), &query, None, Some(garbage)).await;
        let reply = again.next().await.unwrap();
        if reply.data["resumed"] == true {
            // Case may carry no meaning in a cursor; then it is the same one.
            assert!(garbage.eq_ignore_ascii_case(&last), "{garbage:.40}");
            continue;
        }
        assert_eq!(again.next().await.unwrap().kind, "reset", "{garbage:.40}");
        assert_eq!(again.next().await.unwrap().data["items"].as_array().unwrap().len(), 18, "{garbage:.40}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_topics_share_the_id_of_their_pings() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let (practice, patient, day) = (clinic.practice().await, clinic.patient().await, date(2));
    let query = topics(&[&practice.slots(&day), "me/appointments"]);
    let token = Some(patient.token.as_str());
    let mut events = Events::open(clinic.url(), &query, token, None).await;
    let start = at(&day, "09:00");
    let (mut booked, mut changed, mut pinged) = (None, Vec::new(), None);
    while changed.len() < 2 || pinged.is_none() {
        let event = events.next().await.unwrap();
        assert_eq!(event.id.is_some(), event.kind == "ping", "{event:?}");
        match event.kind.as_str() {
            "ping" if booked.is_none() => booked = Some(book(&clinic, &practice, &patient.token, &start).await),
            "ping" if changed.len() == 2 => pinged = event.id,
            "change" => changed.push(event.data["topic"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }
    changed.sort();
    assert_eq!(changed, [practice.slots(&day), "me/appointments".to_owned()]);
    drop(events);
    let later = at(&day, "11:00");
    let second = book(&clinic, &practice, &patient.token, &later).await;
    let mut again = Events::open(clinic.url(), &query, token, pinged.as_deref()).await;
    let (mut resumed, mut told) = (0, Vec::new());
    while told.len() < 2 {
        let event = again.next().await.unwrap();
        match event.kind.as_str() {
            "reply" => resumed += usize::from(event.data["resumed"] == true),
            "change" => told.push(event.data),
            "ping" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(resumed, 2);
    for change in told {
        match change["topic"].as_str().unwrap() {
            "me/appointments" => {
                assert_eq!(change["upserted"], json!([second]), "what was missed, and nothing before it")
            }
            _ => assert_eq!(change["removed"], json!([later])),
        }
    }
    // A range is several topics: no event but a ping has an id.
    let range = format!(
        "topic={}&from={day}&to={}",
        escaped(&format!("doctors/{}/slots/{}", practice.doctor.id, practice.service)),
        date(4)
    );
    let mut events = Events::open(clinic.url(), &range, None, None).await;
    let mut snapshots = 0;
    while snapshots < 3 {
        let event = events.next().await.unwrap();
        assert_eq!(event.id.is_some(), event.kind == "ping", "{event:?}");
        snapshots += usize::from(event.kind == "snapshot");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_refused_before_the_stream_begins() {
    let clinic = Clinic::open().await;
    let (practice, patient) = (clinic.practice().await, clinic.patient().await);
    let expired = token_issued(&clinic, &patient, "2026-01-01T00:00:00Z".parse().unwrap()).await;
    let slots = practice.slots(&date(1));
    let many: Vec<_> = (0..33).map(|number| format!("doctors/x/slots/y/{number}")).collect();
    let many = topics(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let (public, calendar, mine) = (topics(&[&slots]), topics(&[&practice.calendar()]), topics(&["me/appointments"]));
    let stranger = Some(patient.token.as_str());
    for (query, token, code) in [
        (mine.clone(), None, "unauthenticated"),
        (calendar.clone(), None, "unauthenticated"),
        (calendar.clone(), stranger, "forbidden"),
        (topics(&[&slots, &practice.calendar()]), stranger, "forbidden"),
        (public.clone(), Some("x"), "unauthenticated"),
        (public.clone(), Some(expired.as_str()), "token_expired"),
        (format!("{mine}&token={}", patient.token), None, "validation_failed"),
        (format!("{public}&{public}"), None, "validation_failed"),
        (format!("{public}&from={}", date(1)), None, "validation_failed"),
        (topics(&["doctors/*/appointments"]), stranger, "validation_failed"),
        (topics(&[""]), None, "validation_failed"),
        (many, None, "validation_failed"),
        (topics(&[&slots.replace(&practice.service, &practice.doctor.id)]), None, "not_found"),
    ] {
        let rest = Rest { url: clinic.url(), token };
        let refused = rest.send("GET", &format!("/v1/events?{query}"), &[], None).await;
        assert_eq!(refused.code().as_deref(), Some(code), "{query:.100}: {refused:?}");
    }
    // Which of several topics it was is told, so that the others can be asked for without it.
    let rest = Rest { url: clinic.url(), token: stranger };
    let refused = rest.send("GET", &format!("/v1/events?{}", topics(&[&slots, &practice.calendar()])), &[], None).await;
    assert_eq!(refused.json()["topic"], practice.calendar());
    let mut own = Events::open(clinic.url(), &calendar, Some(&practice.doctor.token), None).await;
    assert_eq!(own.of("snapshot").await.data["items"], json!([]));
    let mut mine = Events::open(clinic.url(), &mine, stranger, None).await;
    assert_eq!(mine.of("snapshot").await.data["items"], json!([]));
    // The end of the session ends the stream, and nothing else.
    let out = Rest { url: clinic.url(), token: stranger }.call(Operation::AuthLogout, &json!({}), None).await;
    assert_eq!(out.status, 200);
    while mine.next().await.is_some() {}
    book(&clinic, &practice, &clinic.patient().await.token, &at(&date(1), "09:00")).await;
    own.of("change").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_client_and_with_its_node() {
    let mut clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let query = topics(&[&practice.slots(&date(1))]);
    let (mut gone, mut stays) =
        (Events::open(clinic.url(), &query, None, None).await, Events::open(clinic.url(), &query, None, None).await);
    gone.of("snapshot").await;
    stays.of("snapshot").await;
    drop(gone);
    let node = clinic.take_node();
    node.begin_stop();
    stays.of("goAway").await;
    while stays.next().await.is_some() {}
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_has_ended_is_told_and_the_last_one_ends_the_stream() {
    let clinic = Clinic::open().await;
    let (first, second) = (clinic.practice().await, clinic.practice().await);
    let (one, two) = (format!("doctors/{}", first.doctor.id), format!("doctors/{}", second.doctor.id));
    let mut only = Events::open(clinic.url(), &topics(&[&one]), None, None).await;
    let mut both = Events::open(clinic.url(), &topics(&[&one, &two]), None, None).await;
    for _ in 0..2 {
        both.of("snapshot").await;
    }
    only.of("snapshot").await;
    decide(&clinic, &first.doctor, Approval::Pending).await;
    for events in [&mut only, &mut both] {
        let error = events.of("error").await;
        assert_eq!((&error.data["code"], &error.data["topic"]), (&json!("not_found"), &json!(one)));
    }
    assert!(only.next().await.is_none(), "there is nothing left to tell");
    let rest = Rest { url: clinic.url(), token: Some(&second.doctor.token) };
    let change = json!({ "id": second.doctor.id, "bio": "Sigue" });
    rest.call(Operation::DoctorUpdate, &change, Some(&key())).await;
    assert_eq!(both.of("change").await.data["topic"], json!(two));
    decide(&clinic, &second.doctor, Approval::Pending).await;
    assert_eq!(both.of("error").await.data["topic"], json!(two));
    assert!(both.next().await.is_none());
}
