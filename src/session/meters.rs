//! What sessions measure: requests by operation, door and outcome, and connections by who is behind them.

use std::sync::{OnceLock, Weak};
use std::time::Duration;

use cita_protocol::{ErrorCode, Operation, Problem};
use dashmap::DashMap;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::domain::account::{Role, Viewer};
use crate::live::hub::SubscriberId;
use crate::live::meters::Counted;
use crate::live::outbox::{Ending, Outbox};
use crate::spans;

const REQUESTS: &str = "cita_requests_total";
const SECONDS: &str = "cita_request_seconds";
const BAD_MESSAGES: &str = "cita_bad_messages_total";
const CONNECTIONS: &str = "cita_connections";
const OPENED: &str = "cita_connections_opened_total";
const CLOSED: &str = "cita_connections_closed_total";
const WAITING: &str = "cita_outbox_waiting_bytes";
const LARGEST: &str = "cita_outbox_largest_bytes";

/// Which way a request or connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    WebSocket,
    Rest,
    /// A stream of server-sent events.
    Sse,
}

impl Door {
    const ALL: [Self; 3] = [Self::WebSocket, Self::Rest, Self::Sse];

    /// Its name in measurements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Rest => "rest",
            Self::Sse => "sse",
        }
    }
}

/// Says what each name means.
pub fn describe() {
    describe_counter!(REQUESTS, "Operations, by their outcome: `ok`, or the code of the error");
    describe_histogram!(SECONDS, Unit::Seconds, "From a request to its answer");
    describe_counter!(BAD_MESSAGES, "WebSocket messages that were no request, or too many, by the code of the error");
    describe_gauge!(CONNECTIONS, "Open WebSockets and event streams");
    describe_counter!(OPENED, "Connections that were opened");
    describe_counter!(CLOSED, "Connections that have ended, by why");
    describe_gauge!(WAITING, Unit::Bytes, "Bytes that wait to be taken by clients, of all connections");
    describe_gauge!(LARGEST, Unit::Bytes, "Bytes that wait for the connection with the most");
}

/// The meters of all sessions.
pub struct Meters {
    /// Made when first needed: most operations come through one door.
    operations: [[OnceLock<OfOperation>; Operation::ALL.len()]; Door::ALL.len()],
    opened: [Counter; Door::ALL.len()],
    open: DashMap<SubscriberId, Weak<Outbox>>,
    waiting: Gauge,
    largest: Gauge,
}

struct OfOperation {
    ok: Counter,
    seconds: Histogram,
}

impl Default for Meters {
    fn default() -> Self {
        for door in [Door::WebSocket, Door::Sse] {
            for ending in Ending::ALL {
                closed(door, ending).increment(0);
            }
            for tier in Role::ALL.map(Role::as_str).into_iter().chain([ANONYMOUS]) {
                connections(door, tier).increment(0.0);
            }
        }
        counter!(BAD_MESSAGES, "code" => ErrorCode::MalformedMessage.as_str()).increment(0);
        Self {
            operations: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            opened: Door::ALL.map(|door| counter!(OPENED, "door" => door.as_str())),
            open: DashMap::new(),
            waiting: gauge!(WAITING),
            largest: gauge!(LARGEST),
        }
    }
}

impl Meters {
    /// A request was answered.
    pub fn answered<T>(&self, operation: Operation, door: Door, took: Duration, answer: &Result<T, Problem>) {
        let (name, door_name) = (operation.name(), door.as_str());
        let meters = self.operations[door as usize][operation as usize].get_or_init(|| OfOperation {
            ok: counter!(REQUESTS, "operation" => name, "door" => door_name, "outcome" => "ok"),
            seconds: histogram!(SECONDS, "operation" => name, "door" => door_name),
        });
        meters.seconds.record(took);
        match answer {
            Ok(_) => {
                spans::outcome("ok");
                meters.ok.increment(1);
            }
            Err(problem) => {
                let outcome = problem.code.as_str();
                spans::outcome(outcome);
                counter!(REQUESTS, "operation" => name, "door" => door_name, "outcome" => outcome).increment(1);
            }
        }
    }

    /// A message was no request.
    pub fn bad_message(&self, code: ErrorCode) {
        counter!(BAD_MESSAGES, "code" => code.as_str()).increment(1);
    }

    /// A connection was opened.
    pub fn opened(&self, door: Door, id: SubscriberId, outbox: Weak<Outbox>) {
        self.opened[door as usize].increment(1);
        self.open.insert(id, outbox);
    }

    /// A connection has ended.
    pub fn closed(&self, door: Door, id: SubscriberId, ending: Ending) {
        closed(door, ending).increment(1);
        self.open.remove(&id);
    }

    /// Sets the gauges of what waits to be sent.
    pub fn tell(&self) {
        let (mut sum, mut largest) = (0, 0);
        for outbox in self.open.iter().filter_map(|entry| entry.value().upgrade()) {
            let waiting = outbox.waiting();
            sum += waiting;
            largest = largest.max(waiting);
        }
        self.waiting.set(sum as f64);
        self.largest.set(largest as f64);
    }
}

const ANONYMOUS: &str = "anonymous";

/// Counts a connection among those of its tier, for as long as what is returned lives.
pub fn count(door: Door, viewer: &Viewer) -> Counted {
    Counted::new(connections(door, viewer.role().map_or(ANONYMOUS, Role::as_str)))
}

fn connections(door: Door, tier: &'static str) -> Gauge {
    gauge!(CONNECTIONS, "door" => door.as_str(), "tier" => tier)
}

fn closed(door: Door, ending: Ending) -> Counter {
    counter!(CLOSED, "door" => door.as_str(), "ending" => ending.as_str())
}
