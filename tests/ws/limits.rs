//! What one connection may use, and that its limits are felt by nobody else.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Practice, at, date, key};
use crate::harness::socket::{Bytes, Heard, Socket, masked};
use crate::harness::until;
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_too_fast_is_told_when_to_go_on() {
    let clinic = Clinic::open_with(&["--ws-rate", "5"]).await;
    let mut fast = Socket::open(clinic.url(), None).await;
    let mut calm = Socket::open(clinic.url(), None).await;
    for number in 0..30 {
        fast.say(&json!({ "type": "doctor.search", "id": number.to_string(), "data": {} }).to_string()).await;
    }
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..30 {
        let answer = fast.answer().await;
        assert!(answer["id"].is_string(), "{answer}");
        if answer["type"] == "reply" {
            *answers.entry("served").or_default() += 1;
        } else {
            assert_eq!((&answer["data"]["code"], &answer["data"]["retryable"]), (&json!("rate_limited"), &json!(true)));
            let wait = answer["data"]["retryAfterMs"].as_u64().expect("when to come back");
            assert!((1..=1_000).contains(&wait), "{wait} ms");
            *answers.entry("refused").or_default() += 1;
        }
    }
    assert!(answers["served"] >= 10, "a burst of twice the rate: {answers:?}");
    assert!(answers["refused"] >= 10, "and no more: {answers:?}");
    calm.assert_usable("the rate of another").await;
    let fast = tokio::sync::Mutex::new(fast);
    until(async || {
        let answer = fast.lock().await.ask(r#"{"type":"doctor.search","id":"x","data":{}}"#).await;
        answer["type"] == "reply"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_nothing_but_nonsense_is_sent_away() {
    let clinic = Clinic::open().await;
    let mut socket = Socket::open(clinic.url(), None).await;
    // A good one in between starts the count anew.
    for _ in 0..600 {
        socket.say("nonsense").await;
        assert_eq!(socket.answer().await["data"]["code"], "malformed_message");
    }
    socket.assert_usable("nonsense").await;
    for number in 0..1_000 {
        socket.say("nonsense").await;
        let answer = socket.answer().await;
        assert_eq!(answer["type"], "error", "{number}");
    }
    assert_eq!(socket.hear().await, Heard::Closed(Some(4200)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_counted_and_given_back() {
    let clinic = Clinic::open_with(&["--ws-subscriptions", "3"]).await;
    let practice = clinic.practice().await;
    let mut socket = Socket::open(clinic.url(), None).await;
    let topic = |day| json!({ "topic": practice.slots(&date(day)) });
    let too_many = Some("too_many_subscriptions".to_owned());
    for day in 1..=3 {
        assert_eq!(socket.request("subscribe", topic(day)).await, None);
    }
    assert_eq!(socket.request("subscribe", topic(4)).await, too_many);
    assert_eq!(socket.request("subscribe", topic(3)).await, None, "the same again takes no more room");
    assert_eq!(socket.request("unsubscribe", topic(4)).await.as_deref(), Some("not_found"));
    assert_eq!(socket.request("unsubscribe", topic(2)).await, None);
    assert_eq!(socket.request("unsubscribe", topic(2)).await.as_deref(), Some("not_found"));
    assert_eq!(socket.request("subscribe", topic(4)).await, None);
    let many = json!({ "topic": "doctors/x/slots/y", "from": date(1), "to": date(63) });
    assert_eq!(socket.request("subscribe", many).await.as_deref(), Some("validation_failed"));
    for wrong in ["", "#", "*", "doctors/*/slots/*/*", "../me/appointments", "me/appointments/", "users", "$share/x"] {
        let code = socket.request("subscribe", json!({ "topic": wrong })).await;
        assert_eq!(code.as_deref(), Some("validation_failed"), "{wrong}");
        let code = socket.request("unsubscribe", json!({ "topic": wrong })).await;
        assert_eq!(code.as_deref(), Some("not_found"), "{wrong}");
    }
    let long = "x".repeat(60_000);
    assert_eq!(socket.request("subscribe", json!({ "topic": long })).await.as_deref(), Some("validation_failed"));
}

/// Asks for snapshots of sixty dates so many times, and on until nothing more is read of who reads nothing.
async fn ask_and_not_read(client: &mut Bytes, practice: &Practice, times: usize) {
    let range = format!("doctors/{}/slots/{}", practice.doctor.id, practice.service);
    let ask = json!({ "type": "subscribe", "data": { "topic": range, "from": date(1), "to": date(60) } }).to_string();
    for _ in 0..times {
        client.write(&masked(0x81, ask.as_bytes())).await;
    }
    let padded = format!(r#"{{"type":"doctor.search","data":{{}}}}{}"#, " ".repeat(60_000));
    client.stall(&masked(0x81, padded.as_bytes())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_closed_and_holds_up_nobody() {
    let clinic = Clinic::open_with(&["--ws-backlog-kb", "2"]).await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let day = date(2);
    let mut witness = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let mut slow = Bytes::open(clinic.url()).await;
    // What it does not read fills what the network takes; then changes have to wait.
    ask_and_not_read(&mut slow, &practice, 40).await;
    let connection = clinic.connect(&patient).await;
    for number in 0..20 {
        let time = format!("{:02}:{:02}", 8 + number / 2, number % 2 * 30);
        let start = at(&day, &time);
        connection.request("appointment.book", practice.booking(&start), Some(key())).await.expect("a free time");
        witness.until(|view| !view.items.contains_key(&start)).await;
    }
    // It reads again, and finds out: what waited for it is not sent.
    assert_eq!(slow.closed().await, Some(4001));
    connection.request("me.get", json!({}), None).await.expect("the others go on");
}

/// Otherwise all that it may ask for at once would lie in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_made_when_there_is_room_for_them() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice_with(json!({ "name": "Control", "durationMinutes": 5, "horizonDays": 366 })).await;
    let patient = clinic.connect(&clinic.patient().await).await;
    let mut deaf = Bytes::open(clinic.url()).await;
    // More than a megabyte each, and as many as are answered at the same time.
    ask_and_not_read(&mut deaf, &practice, 32).await;
    let (day, start) = (practice.slots(&date(2)), at(&date(2), "08:00"));
    patient.request("appointment.book", practice.booking(&start), Some(key())).await.expect("a free time");

    // It reads now. What is made from here on knows of the booking.
    let (mut made_before, mut made) = (0, 0);
    while made < 32 {
        let (_, payload) = deaf.read().await.expect("the connection stays");
        let frame: Value = serde_json::from_slice(&payload).expect("JSON");
        if frame["type"] == "snapshot" && frame["data"]["topic"] == day {
            let items = frame["data"]["items"].as_array().expect("items");
            made_before += usize::from(items.iter().any(|item| item["start"] == start));
            made += 1;
        }
    }
    assert!(made_before < 16, "{made_before} of 32 were made before anybody read them");
}

/// The end of a session is not held up by somebody who does not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_cut_off_when_their_session_ends() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let mut deaf = Bytes::open(clinic.url()).await;
    let renew = json!({ "type": "auth.renew", "data": { "accessToken": patient.token } }).to_string();
    deaf.write(&masked(0x81, renew.as_bytes())).await;
    ask_and_not_read(&mut deaf, &practice, 40).await;

    let ended = std::time::Instant::now();
    clinic.connect(&patient).await.request("auth.logout", json!({}), None).await.expect("the session ends");
    let stream = tokio::sync::Mutex::new(deaf.0);
    until(async || stream.lock().await.try_write(b"x").is_err_and(|error| error.kind() != ErrorKind::WouldBlock)).await;
    assert!(ended.elapsed() < Duration::from_secs(10), "it was waited for: {:?}", ended.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_silent_is_closed_and_who_answers_stays() {
    // Two of them must be longer than a busy machine leaves this test without a turn.
    let clinic = Clinic::open_with(&["--heartbeat-ms", "500"]).await;
    let practice = clinic.practice().await;
    // Registered before anybody has to answer: hashing a password takes a while.
    let patient = clinic.patient().await;
    let mut answers = Watcher::start(clinic.anon().await, &practice.slots(&date(1)), None).await;
    let mut silent = Bytes::open(clinic.url()).await;
    let mut pings = 0;
    let code = loop {
        let (first, payload) = silent.read().await.expect("a close frame before the end");
        if first == 0x88 {
            break u16::from_be_bytes([payload[0], payload[1]]);
        }
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        if frame["type"] == "ping" {
            assert!(!frame["cursor"].as_str().expect("a ping has a cursor").is_empty());
            pings += 1;
        }
    };
    assert_eq!(code, 4002);
    assert!(pings >= 1, "it was asked");

    // Who talks needs no pong.
    let talks = tokio::sync::Mutex::new(Socket::open(clinic.url(), None).await);
    let heard = std::sync::atomic::AtomicUsize::new(0);
    until(async || {
        talks.lock().await.assert_usable("silence").await;
        heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 60
    })
    .await;
    // By now the one who answers has been asked often enough; a booking elsewhere moves its cursor.
    let booking = practice.booking(&at(&date(3), "09:00"));
    let booked = clinic.connect(&patient).await.request("appointment.book", booking, Some(key())).await.unwrap();
    answers.until_cursor(&booked.cursor.unwrap().0).await;
    answers.connection.request("doctor.search", json!({}), None).await.expect("it stays");
}
