//! The end of a token, and the one that takes its place.

use cita::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::cast::{login, token_issued};
use crate::harness::clinic::{Clinic, at, date, key};
use crate::harness::socket::Socket;

/// A token of somebody that ends in so many milliseconds, or a second earlier.
async fn token_for(clinic: &Clinic, person: &crate::harness::clinic::Person, milliseconds: i64) -> String {
    let lifetime = SignedDuration::from_mins(10);
    token_issued(clinic, person, Clock.now() - lifetime + SignedDuration::from_millis(milliseconds)).await
}

fn renew(token: &str) -> Value {
    json!({ "accessToken": token })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_becomes_a_users_and_stays_theirs() {
    let clinic = Clinic::open().await;
    let (person, other, practice) = (clinic.patient().await, clinic.patient().await, clinic.practice().await);
    let mut socket = Socket::open(clinic.url(), None).await;
    let day = date(2);
    assert_eq!(socket.request("subscribe", json!({ "topic": practice.slots(&day) })).await, None);
    assert_eq!(socket.request("me.get", json!({})).await.as_deref(), Some("unauthenticated"));

    let answer =
        socket.ask(&json!({ "type": "auth.renew", "id": "1", "data": renew(&person.token) }).to_string()).await;
    assert_eq!(answer["data"]["access"], "user");
    assert_eq!(answer["data"]["user"], json!({ "id": person.id, "role": "patient", "name": person.name }));
    assert!(answer["data"]["expiresAt"].as_str().unwrap().parse::<Timestamp>().unwrap() > Clock.now());
    let me = socket.ask(r#"{"type":"me.get","id":"2","data":{}}"#).await;
    assert_eq!(me["data"]["id"], person.id);

    let expired = token_for(&clinic, &person, 0).await;
    for (token, code) in [
        (other.token.as_str(), "forbidden"),
        (expired.as_str(), "token_expired"),
        (person.refresh_token.as_str(), "unauthenticated"),
        ("", "unauthenticated"),
        ("x", "unauthenticated"),
    ] {
        assert_eq!(socket.request("auth.renew", renew(token)).await.as_deref(), Some(code), "{token:.40}");
        let me = socket.ask(r#"{"type":"me.get","id":"2","data":{}}"#).await;
        assert_eq!(me["data"]["id"], person.id, "it stays who it was");
    }

    // The subscription from before is kept, through another session of the same user as well.
    let fresh = login(clinic.url(), &person).await;
    assert_eq!(socket.request("auth.renew", renew(&fresh.token)).await, None);
    let start = at(&day, "09:00");
    let booked = json!({ "type": "appointment.book", "id": "3", "key": key(), "data": practice.booking(&start) });
    assert_eq!(socket.request("subscribe", json!({ "topic": "me/appointments" })).await, None);
    socket.say(&booked.to_string()).await;
    let (mut changed, mut replied) = (Vec::new(), false);
    while changed.len() < 2 || !replied {
        let frame = socket.frame().await;
        match frame["type"].as_str().unwrap() {
            "change" => changed.push(frame["data"]["topic"].as_str().unwrap().to_owned()),
            "reply" => replied = frame["data"]["status"] == "booked",
            "snapshot" => {}
            other => panic!("{other}"),
        }
    }
    changed.sort();
    assert_eq!(changed, [practice.slots(&day), "me/appointments".to_owned()]);

    // The session that it left has no say over it any more; the one that it has does.
    clinic.connect(&person).await.request("auth.logout", json!({}), None).await.expect("logged out");
    socket.assert_usable("the end of a session that it has left").await;
    let refused = socket.request("auth.renew", renew(&person.token)).await;
    assert_eq!(refused.as_deref(), Some("session_revoked"));
    socket.assert_usable("a token that was refused").await;
    clinic.connect(&fresh).await.request("auth.logout", json!({}), None).await.expect("logged out");
    assert_eq!(socket.closed().await, Some(4101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ends_ends_the_connection() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let token = token_for(&clinic, &person, 2_500).await;
    let (mut ends, mut renews) =
        (Socket::open(clinic.url(), Some(&token)).await, Socket::open(clinic.url(), Some(&token)).await);
    let told = renews.frame().await;
    assert_eq!(told["type"], "authExpiring");
    for socket in [&mut ends, &mut renews] {
        assert_eq!(socket.request("subscribe", json!({ "topic": "me/appointments" })).await, None);
    }
    let end: Timestamp = told["data"]["expiresAt"].as_str().unwrap().parse().unwrap();
    assert!(end.duration_since(Clock.now()) < SignedDuration::from_secs(60));
    assert_eq!(renews.request("auth.renew", renew(&person.token)).await, None);
    assert_eq!(ends.closed().await, Some(4100));
    assert!(Clock.now() >= end, "not a moment early");
    renews.assert_usable("the end of its first token").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_late_is_told_at_once_and_once() {
    // Two of them must be longer than a busy machine leaves this test without a turn.
    let clinic = Clinic::open_with(&["--heartbeat-ms", "500"]).await;
    let person = clinic.patient().await;
    let token = token_for(&clinic, &person, 50_000).await;
    let mut socket = Socket::open(clinic.url(), Some(&token)).await;
    let (mut told, mut pings) = (0, 0);
    while pings < 4 {
        let frame = socket.frame().await;
        match frame["type"].as_str().unwrap() {
            "authExpiring" => told += 1,
            "ping" => {
                pings += 1;
                socket.say(r#"{"type":"pong","data":{}}"#).await;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(told, 1);
}
