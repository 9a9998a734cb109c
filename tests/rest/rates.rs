//! How fast somebody may ask: one count for all doors, for each of those who ask.

use cita_protocol::Operation;
use serde_json::json;

use crate::harness::clinic::{Clinic, PRODUCTION, Person};
use crate::harness::rest::{Answer, Rest};
use crate::harness::socket::Socket;

const BEHIND_A_PROXY: [&str; 10] = [
    "--trusted-proxies",
    "127.0.0.1",
    "--rate-read",
    "1",
    "--rate-write",
    "1",
    "--rate-auth",
    "1",
    "--rate-subscribe",
    "1",
];

/// The secret of [`PRODUCTION`], for a node beside one of that.
const SECRET: &[&str] = PRODUCTION.split_at(2).1.split_at(2).0;

/// A read from an address.
async fn read(url: &str, person: Option<&Person>, from: &str) -> Answer {
    let rest = Rest { url, token: person.map(|person| person.token.as_str()) };
    rest.send("GET", "/v1/doctors", &[("x-forwarded-for", from)], None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_much_is_told_when_to_come_back() {
    let clinic = Clinic::open_with(&BEHIND_A_PROXY).await;
    let first = read(clinic.url(), None, "198.51.100.1").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), r#""read";q=10;w=10"#);
    assert_eq!(first.header("ratelimit"), r#""read";r=9;t=1"#);
    let refused = loop {
        let answer = read(clinic.url(), None, "198.51.100.1").await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.code().as_deref()), (429, Some("rate_limited")));
    let wait = refused.json()["retryAfterMs"].as_u64().expect("when");
    assert!((1..=1_000).contains(&wait), "{wait}");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-policy"), r#""read";q=10;w=10"#);
    assert_eq!(refused.header("ratelimit"), r#""read";r=0;t=10"#);
    // It is counted before it is asked who may.
    let me = [("x-forwarded-for", "198.51.100.2")];
    let rest = Rest { url: clinic.url(), token: None };
    let unknown = rest.send("GET", "/v1/me", &me, None).await;
    assert_eq!((unknown.status, unknown.header("ratelimit")), (401, r#""read";r=9;t=1"#));
    // Others go on: other addresses, and whoever is known, who are counted by themselves.
    assert_eq!(read(clinic.url(), None, "198.51.100.3").await.status, 200);
    assert_eq!(read(clinic.url(), None, "198.51.100.1, 198.51.100.4").await.status, 200, "the proxy wrote the last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_doors_are_counted_together() {
    let clinic = Clinic::open_with(&BEHIND_A_PROXY).await;
    let person = clinic.patient().await;
    let bearer = format!("Bearer {}", person.token);
    let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", "198.51.100.1")];
    let mut socket = Socket::open_at(clinic.url(), "/v1/ws", &headers).await.expect("let in");
    assert_eq!(socket.frame().await["data"]["user"]["id"], person.id);
    let mut refused = None;
    for _ in 0..60 {
        refused = refused.or(socket.request("doctor.search", json!({})).await);
    }
    assert_eq!(refused.as_deref(), Some("rate_limited"), "a frame is a request");
    let mut answers = Vec::new();
    for number in 0..6 {
        answers.push(read(clinic.url(), Some(&person), &format!("203.0.113.{number}")).await.status);
    }
    assert!(answers.contains(&429), "wherever they come from: {answers:?}");
    assert_eq!(read(clinic.url(), None, "198.51.100.1").await.status, 200, "nobody else is held up");

    let topic = json!({ "topic": "me/appointments" });
    let mut refused = None;
    for _ in 0..60 {
        refused = refused.or(socket.request("subscribe", topic.clone()).await);
    }
    assert_eq!(refused.as_deref(), Some("rate_limited"));
    let rest = Rest { url: clinic.url(), token: Some(&person.token) };
    let mut stream = rest.send("GET", "/v1/events?topic=x/1&topic=x/2&topic=x/3", &headers[1..], None).await;
    for _ in 0..5 {
        if stream.status == 429 {
            break;
        }
        stream = rest.send("GET", "/v1/events?topic=x/1&topic=x/2&topic=x/3", &headers[1..], None).await;
    }
    assert_eq!(stream.code().as_deref(), Some("rate_limited"), "a stream of events is subscriptions");
    assert_eq!(stream.header("ratelimit-policy"), r#""subscribe";q=10;w=10"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_bounded() {
    let clinic = Clinic::open_with(&BEHIND_A_PROXY).await;
    let person = clinic.patient().await;
    let from = ("x-forwarded-for", "198.51.100.1");
    let mut codes = Vec::new();
    for number in 0..60 {
        let token = format!("bad{number}");
        let guess = Rest { url: clinic.url(), token: Some(&token) };
        codes.push(guess.send("GET", "/v1/doctors", &[from], None).await.code().expect("refused"));
    }
    assert_eq!((codes[0].as_str(), codes.iter().any(|code| code == "rate_limited")), ("unauthenticated", true));
    // The same bucket: log-ins from there, whoever one is besides, and tokens at a handshake.
    let rest = Rest { url: clinic.url(), token: Some(&person.token) };
    let data = json!({ "email": person.email, "password": "not the password" });
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(rest.send("POST", "/v1/auth/login", &[from], Some(&data)).await.code().expect("refused"));
    }
    assert!(codes.iter().any(|code| code == "rate_limited"), "{codes:?}");
    let headers = [from, ("sec-websocket-protocol", "cita.v1, bearer.bad")];
    let mut refused = 0;
    for _ in 0..4 {
        refused += usize::from(Socket::open_at(clinic.url(), "/v1/ws", &headers).await.is_err());
    }
    assert!(refused > 0, "a handshake is refused outright");
    // Who has a good token goes on, from that address too.
    assert_eq!(read(clinic.url(), Some(&person), "198.51.100.1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_not_what_a_client_says() {
    // At a desk, the same machine is given a hundred times as much.
    let clinic = Clinic::open_with(&[SECRET, &["--rate-read", "1"]].concat()).await;
    for forged in ["198.51.100.1", "::1", "nonsense"] {
        assert_eq!(read(clinic.url(), None, forged).await.header("ratelimit-policy"), r#""read";q=1000;w=10"#);
    }
    // In production it is not.
    let strict = clinic.node_with(&[&PRODUCTION[..], &["--rate-read", "1"]].concat()).await;
    assert_eq!(read(&strict.url, None, "::1").await.header("ratelimit-policy"), r#""read";q=10;w=10"#);
    let search = Rest { url: clinic.url(), token: None }.call(Operation::DoctorSearch, &json!({}), None).await;
    assert_eq!(search.code(), None);
}
