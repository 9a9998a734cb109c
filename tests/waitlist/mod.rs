//! Waitlists, through the doors: what is given up goes to those who wait, and is never free in between.

mod answers;
mod live;
mod matching;
mod offers;
mod races;

use std::collections::BTreeMap;

use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Node, Person, Practice, connect, key, text};
use crate::harness::watch::Watcher;

async fn ask(connection: &Connection, operation: &str, data: &Value) -> Result<Value, ClientError> {
    connection.request(operation, data.clone(), Some(key())).await.map(|reply| reply.data)
}

fn code(outcome: &Result<Value, ClientError>) -> Option<ErrorCode> {
    outcome.as_ref().err().and_then(ClientError::code)
}

/// How a slot stands: `free`, `held`, or nothing for what is taken.
fn standing<'a>(items: &'a BTreeMap<String, Value>, start: &str) -> &'a str {
    items.get(start).map_or("", |slot| slot["status"].as_str().unwrap())
}

/// Waits for a service on some dates.
fn wish(practice: &Practice, from: &str, to: &str) -> Value {
    json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": from, "to": to })
}

/// Somebody who waits for a doctor.
struct Waiter {
    person: Person,
    connection: Connection,
    entry: String,
}

impl Waiter {
    async fn join(clinic: &Clinic, wish: &Value) -> Self {
        let person = clinic.patient().await;
        let connection = clinic.connect(&person).await;
        let entry = text(&ask(&connection, "waitlist.join", wish).await.expect("everybody may wait"), "id");
        Self { person, connection, entry }
    }

    /// What they wait for, watched at a node.
    async fn watch(&self, url: &str) -> Watcher {
        Watcher::start(connect(url, Some(&self.person.token)).await, "me/waitlist", None).await
    }

    /// The entry as the list has it.
    async fn look(&self) -> Value {
        let listed = self.connection.request("waitlist.list", json!({}), None).await.expect("a list").data;
        let items = listed["items"].as_array().expect("items");
        items.iter().find(|item| item["id"] == self.entry).expect("their own").clone()
    }

    async fn answer(&self, verb: &str) -> Result<Value, ClientError> {
        ask(&self.connection, &format!("waitlist.{verb}"), &json!({ "id": self.entry })).await
    }

    /// The status of the entry, and the start that is offered.
    async fn standing(&self) -> (String, Option<String>) {
        let entry = self.look().await;
        (text(&entry, "status"), entry["offer"]["start"].as_str().map(str::to_owned))
    }
}

/// An appointment of somebody who will give it up.
struct Booked {
    connection: Connection,
    id: String,
}

impl Booked {
    async fn at(clinic: &Clinic, practice: &Practice, start: &str) -> Self {
        let connection = clinic.connect(&clinic.patient().await).await;
        let booked = ask(&connection, "appointment.book", &practice.booking(start)).await.expect("a free time");
        Self { connection, id: text(&booked, "id") }
    }

    async fn cancel(&self) -> Value {
        ask(&self.connection, "appointment.cancel", &json!({ "id": self.id })).await.expect("it can be cancelled")
    }
}

/// Two nodes on the same clusters.
async fn two_nodes(options: &[&str]) -> (Clinic, Node) {
    let clinic = Clinic::open_with(options).await;
    let other = clinic.node_with(options).await;
    (clinic, other)
}
