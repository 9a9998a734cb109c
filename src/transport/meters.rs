//! What the doors measure: HTTP as such, before anybody knows what is asked for.

use std::sync::LazyLock;

use axum::http::StatusCode;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::live::meters::Counted;

const RESPONSES: &str = "cita_http_responses_total";
const CONNECTIONS: &str = "cita_http_connections";
const CONNECTIONS_LIMIT: &str = "cita_http_connections_limit";
const ACCEPT_FAILURES: &str = "cita_accept_failures_total";
const HANDSHAKE_FAILURES: &str = "cita_tls_handshake_failures_total";
const TURNED_AWAY: &str = "cita_handshakes_refused_total";
const CERTIFICATES: &str = "cita_tls_certificates_total";

/// Says what each name means.
pub fn describe() {
    describe_counter!(RESPONSES, "HTTP responses by the class of their status; `left`: nobody waited for it");
    describe_gauge!(CONNECTIONS, "Open connections, WebSockets and event streams among them");
    describe_gauge!(CONNECTIONS_LIMIT, "How many connections there may be");
    describe_counter!(ACCEPT_FAILURES, "How often connections had to wait, because there were as many as there may be");
    describe_counter!(HANDSHAKE_FAILURES, "TLS handshakes that failed, or took too long");
    describe_counter!(TURNED_AWAY, "WebSockets that were told to come a moment later");
    describe_counter!(CERTIFICATES, "Certificates that were found in the files while running, and taken or refused");
    LazyLock::force(&METERS);
}

static METERS: LazyLock<Meters> = LazyLock::new(|| Meters {
    responses: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(response),
    left: response("left"),
    connections: gauge!(CONNECTIONS),
    accept_failures: counter!(ACCEPT_FAILURES),
    handshake_failed: counter!(HANDSHAKE_FAILURES, "kind" => "failed"),
    handshake_overdue: counter!(HANDSHAKE_FAILURES, "kind" => "timeout"),
    turned_away: counter!(TURNED_AWAY),
    taken: counter!(CERTIFICATES, "outcome" => "taken"),
    refused: counter!(CERTIFICATES, "outcome" => "refused"),
});

struct Meters {
    responses: [Counter; 5],
    left: Counter,
    connections: Gauge,
    accept_failures: Counter,
    handshake_failed: Counter,
    handshake_overdue: Counter,
    turned_away: Counter,
    taken: Counter,
    refused: Counter,
}

fn response(class: &'static str) -> Counter {
    counter!(RESPONSES, "class" => class)
}

/// A request was answered; `None`: its client left before.
pub fn answered(status: Option<StatusCode>) {
    let counter = match status {
        Some(status) => METERS.responses.get(usize::from(status.as_u16() / 100).saturating_sub(1)),
        None => Some(&METERS.left),
    };
    if let Some(counter) = counter {
        counter.increment(1);
    }
}

/// Counts a connection for as long as what is returned lives.
pub fn connected() -> Counted {
    Counted::new(METERS.connections.clone())
}

/// A connection could not be accepted.
pub fn not_accepted() {
    METERS.accept_failures.increment(1);
}

/// A TLS handshake failed, or was overdue.
pub fn no_handshake(overdue: bool) {
    if overdue { &METERS.handshake_overdue } else { &METERS.handshake_failed }.increment(1);
}

/// A WebSocket was told to come later.
pub fn turned_away() {
    METERS.turned_away.increment(1);
}

/// Another certificate was found, and is in use or not.
pub fn certificate(taken: bool) {
    if taken { &METERS.taken } else { &METERS.refused }.increment(1);
}

/// So many connections there may be.
pub fn may_connect(limit: usize) {
    gauge!(CONNECTIONS_LIMIT).set(limit as f64);
}
