//! Who is let in, as whom, and who is turned away how.

use std::time::{Duration, Instant};

use cita::clock::Clock;
use cita_cli::ClientError;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::harness::cast::{login, token_issued};
use crate::harness::clinic::{Clinic, key};
use crate::harness::rest::Answer;
use crate::harness::socket::{Heard, Socket};

/// Headers, who one is with them, and what is echoed.
type Way<'a> = (&'a [(&'a str, &'a str)], &'a Value, Option<&'a str>);

const PATH: &str = "/v1/ws";

/// Opens a socket with headers; gives its `hello` with the subprotocol, or the code with which it was closed.
async fn hello(clinic: &Clinic, headers: &[(&str, &str)]) -> Result<(Value, Option<String>), Option<u16>> {
    let mut socket = Socket::open_at(clinic.url(), PATH, headers).await.expect("the handshake is taken");
    match socket.hear().await {
        Heard::Frame(frame) => {
            assert_eq!(frame["type"], "hello");
            Ok((frame["data"].clone(), socket.protocol))
        }
        Heard::Closed(code) => Err(code),
    }
}

async fn refusal(clinic: &Clinic, headers: &[(&str, &str)]) -> Answer {
    Socket::open_at(clinic.url(), PATH, headers).await.expect_err("the handshake is refused")
}

fn changed(token: &str, segment: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let flipped = if parts[segment].as_bytes()[10] == b'A' { "B" } else { "A" };
    parts[segment].replace_range(10..11, flipped);
    parts.join(".")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_ways_in() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "12345", "--ws-rate", "77", "--ws-subscriptions", "9"]).await;
    let person = clinic.patient().await;
    let bearer = format!("Bearer {}", person.token);
    let offered = format!("cita.v1, bearer.{}", person.token);
    let only = "cita.v1";
    let user = json!({ "id": person.id, "role": "patient", "name": person.name });
    let (nobody, other) = (Value::Null, clinic.person("doctor", "Otra").await);
    let wrong = format!("cita.v1, bearer.{}", other.token);
    let cases: &[Way<'_>] = &[
        (&[], &nobody, None),
        (&[("sec-websocket-protocol", only)], &nobody, Some(only)),
        (&[("sec-websocket-protocol", "other.v9, cita.v1")], &nobody, Some(only)),
        (&[("authorization", &bearer)], &user, None),
        (&[("authorization", &bearer), ("sec-websocket-protocol", only)], &user, Some(only)),
        (&[("sec-websocket-protocol", &offered)], &user, Some(only)),
        // The header is found first.
        (&[("authorization", &bearer), ("sec-websocket-protocol", &wrong)], &user, Some(only)),
    ];
    for (headers, user, protocol) in cases {
        let (data, echoed) = hello(&clinic, headers).await.expect("let in");
        assert_eq!(data["user"], **user, "{headers:?}");
        let access = if user.is_null() { "anonymous" } else { "user" };
        assert_eq!((&data["access"], echoed.as_deref()), (&json!(access), *protocol), "{headers:?}");
        assert_eq!(data.get("expiresAt").is_some(), !user.is_null());
        assert_eq!(data["heartbeatMs"], 12_345);
        let limits =
            json!({ "maxMessageBytes": 65_536, "messagesPerSecond": 77, "maxSubscriptions": 9, "maxInFlight": 32 });
        assert_eq!(data["limits"], limits);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_never_anonymous() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let now = Clock.now();
    let good = token_issued(&clinic, &person, now).await;
    hello(&clinic, &[("authorization", &format!("Bearer {good}"))]).await.expect("what is made as below is good");
    let expired = token_issued(&clinic, &person, now - SignedDuration::from_mins(10)).await;
    let early = token_issued(&clinic, &person, now + SignedDuration::from_mins(10)).await;
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let over = login(clinic.url(), &person).await;
    clinic.connect(&over).await.request("auth.logout", json!({}), None).await.expect("logged out");
    let cases = [
        (expired, "token_expired", 4100),
        (early, "unauthenticated", 4100),
        (changed(&good, 0), "unauthenticated", 4100),
        (changed(&good, 1), "unauthenticated", 4100),
        (changed(&good, 2), "unauthenticated", 4100),
        (unsigned, "unauthenticated", 4100),
        (person.refresh_token.clone(), "unauthenticated", 4100),
        ("x".to_owned(), "unauthenticated", 4100),
        ("x".repeat(5_000), "unauthenticated", 4100),
        (over.token, "session_revoked", 4101),
    ];
    for (token, code, close) in cases {
        let refused = refusal(&clinic, &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(refused.code().as_deref(), Some(code), "{token:.60}");
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"));
        let offered = [("sec-websocket-protocol", format!("cita.v1, bearer.{token}"))];
        let offered = offered.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(hello(&clinic, &offered).await, Err(Some(close)), "{token:.60}");
    }
    for header in ["Bearer", "Basic eDp5", "bearer  x", "x"] {
        let refused = refusal(&clinic, &[("authorization", header)]).await;
        assert_eq!(refused.code().as_deref(), Some("unauthenticated"), "{header}");
    }
    let twice = format!("Bearer {good}");
    let refused = refusal(&clinic, &[("authorization", &twice), ("authorization", &twice)]).await;
    assert_eq!(refused.code().as_deref(), Some("unauthenticated"), "which of the two?");
    // An empty one is a bad one.
    assert_eq!(hello(&clinic, &[("sec-websocket-protocol", "cita.v1, bearer.")]).await, Err(Some(4100)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_this_protocol_is_spoken() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let bearer = format!("bearer.{}", person.token);
    for offered in ["other.v1", "cita.v2", "CITA.V1", "cita.v1x", &bearer] {
        let refused = refusal(&clinic, &[("sec-websocket-protocol", offered)]).await;
        assert_eq!(refused.code().as_deref(), Some("malformed_message"), "{offered:.20}");
    }
    // A token in the URL is no credential, whatever it is called.
    for name in ["token", "access_token", "bearer", "authorization"] {
        let path = format!("{PATH}?{name}={}", person.token);
        let mut socket = Socket::open_at(clinic.url(), &path, &[]).await.expect("the handshake is taken");
        assert_eq!(socket.frame().await["data"]["access"], "anonymous", "{name}");
    }
    let client = crate::harness::rest::client();
    let plain = client.get(format!("{}{PATH}", clinic.url())).send().await.unwrap();
    assert_eq!(plain.status().as_u16(), 400, "no handshake");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_session_closes_its_connections_everywhere() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let (person, practice) = (clinic.patient().await, clinic.practice().await);
    let elsewhere = login(clinic.url(), &person).await;
    let mut open = Vec::new();
    for url in [clinic.url(), &other.url, &other.url] {
        let mut socket = Socket::open(url, Some(&person.token)).await;
        assert_eq!(socket.request("subscribe", json!({ "topic": "me/appointments" })).await, None);
        assert_eq!(socket.answer_of("snapshot").await["data"]["items"], json!([]));
        open.push(socket);
    }
    let mut stays = Socket::open(&other.url, Some(&elsewhere.token)).await;
    let began = Instant::now();
    let out = clinic.connect(&person).await;
    match out.request("auth.logout", json!({}), None).await {
        Ok(reply) => assert_eq!(reply.data, json!({})),
        Err(error) => panic!("the one who asked is answered: {error}"),
    }
    for socket in &mut open {
        assert_eq!(socket.closed().await, Some(4101));
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}: within a second, and what this machine adds",
        began.elapsed()
    );
    assert!(matches!(out.next_event().await, Err(ClientError::Closed { code: Some(4101), .. })));
    stays.assert_usable("the end of another session").await;
    // Nothing of what comes later is told to who is gone; who has a session left is served.
    let booked = practice.booking(&crate::harness::clinic::at(&crate::harness::clinic::date(2), "09:00"));
    other
        .connect(Some(&elsewhere))
        .await
        .request("appointment.book", booked, Some(key()))
        .await
        .expect("still logged in");
}
