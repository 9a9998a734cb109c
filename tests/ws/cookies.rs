//! The cookie of a browser's session at the WebSocket's handshake, which any page may ask for.

use cita::clock::Clock;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::harness::cast::{login, token_issued};
use crate::harness::clinic::Clinic;
use crate::harness::rest::Rest;
use crate::harness::socket::{Heard, Socket};

const PATH: &str = "/v1/ws";
const APP: &str = "https://app.example.com";
const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "cita.v1");

/// Who one is with these headers; the code with which one is closed; or the code of the refusal.
async fn enter(clinic: &Clinic, headers: &[(&str, &str)]) -> Result<Value, String> {
    match Socket::open_at(clinic.url(), PATH, headers).await {
        Ok(mut socket) => match socket.hear().await {
            Heard::Frame(frame) => Ok(frame["data"]["user"]["id"].clone()),
            Heard::Closed(code) => Err(format!("{}", code.unwrap_or(0))),
        },
        Err(refused) => Err(refused.code().expect("a problem")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_counts_for_pages_of_allowed_origins() {
    let clinic = Clinic::open_with(&["--allowed-origins", APP]).await;
    let person = clinic.patient().await;
    let shown = format!("cita_access={}", person.token);
    let known = Ok(json!(person.id));
    for origin in [APP, clinic.url()] {
        assert_eq!(enter(&clinic, &[PROTOCOL, ("cookie", &shown), ("origin", origin)]).await, known, "{origin}");
        assert_eq!(enter(&clinic, &[("cookie", &shown), ("origin", origin)]).await, known, "{origin}");
    }
    let forbidden = Err("forbidden".to_owned());
    for origin in [
        "null",
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://APP.example.com",
        "https://xn--pp-bja.example.com",
    ] {
        assert_eq!(enter(&clinic, &[PROTOCOL, ("cookie", &shown), ("origin", origin)]).await, forbidden, "{origin}");
        assert_eq!(enter(&clinic, &[("cookie", "cita_access=x"), ("origin", origin)]).await, forbidden, "{origin}");
        // Without a cookie it is nobody, whom nothing is shown that is not everybody's.
        assert_eq!(enter(&clinic, &[PROTOCOL, ("origin", origin)]).await, Ok(Value::Null), "{origin}");
    }
    assert_eq!(enter(&clinic, &[PROTOCOL, ("cookie", &shown)]).await, forbidden, "no browser leaves it out");
    let two = [PROTOCOL, ("cookie", &shown), ("origin", APP), ("origin", APP)];
    assert_eq!(enter(&clinic, &two).await, forbidden);
    let refresh = format!("cita_refresh={}", person.refresh_token);
    assert_eq!(enter(&clinic, &[("cookie", &refresh), ("origin", APP)]).await, Ok(Value::Null), "not for here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_shown_comes_before_the_cookie() {
    let clinic = Clinic::open().await;
    let (one, other) = (clinic.patient().await, clinic.patient().await);
    let shown = format!("cita_access={}", one.token);
    let bearer = format!("Bearer {}", other.token);
    let offered = format!("cita.v1, bearer.{}", other.token);
    let known = Ok(json!(other.id));
    for cookie in [shown.as_str(), "cita_access=bad", "cita_access=a; cita_access=b"] {
        for origin in [clinic.url(), "https://evil.example"] {
            let with = |name, value| [("cookie", cookie), ("origin", origin), (name, value)];
            assert_eq!(enter(&clinic, &with("authorization", &bearer)).await, known);
            assert_eq!(enter(&clinic, &with("sec-websocket-protocol", &offered)).await, known);
            let bad = enter(&clinic, &with("authorization", "Bearer bad")).await;
            assert_eq!(bad, Err("unauthenticated".to_owned()), "the cookie does not mend it");
            let bad = enter(&clinic, &with("sec-websocket-protocol", "cita.v1, bearer.bad")).await;
            assert_eq!(bad, Err("4100".to_owned()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_cookie_closes_with_what_to_do() {
    let clinic = Clinic::open().await;
    let person = clinic.patient().await;
    let now = Clock.now();
    let expired = token_issued(&clinic, &person, now - SignedDuration::from_mins(10)).await;
    let over = login(clinic.url(), &person).await;
    let out = Rest { url: clinic.url(), token: Some(&over.token) }.send("POST", "/v1/auth/logout", &[], None).await;
    assert_eq!(out.code(), None);
    let token = &person.token;
    for (cookie, code) in [
        (format!("cita_access={expired}"), "4100"),
        ("cita_access=".to_owned(), "4100"),
        (format!("cita_access={}", person.refresh_token), "4100"),
        (format!("cita_access={token}; cita_access={token}"), "4100"),
        (format!("cita_access={}", over.token), "4101"),
    ] {
        let entered = enter(&clinic, &[PROTOCOL, ("cookie", &cookie), ("origin", clinic.url())]).await;
        assert_eq!(entered, Err(code.to_owned()), "{cookie:.40}");
    }
}
