//! Group sessions: several patients at one time of a doctor, each with an appointment of their own and none who knows of the others.

mod contest;
mod holds;
mod life;
mod moves;
mod seats;

use std::collections::BTreeMap;

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita_protocol::operation::Kind;
use cita_protocol::{ErrorCode, Operation, Problem};
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Person, Practice, at, date, key, text};

/// A clinic whose doctor offers a workshop of an hour for so many, and appointments of half an hour.
struct Scene {
    clinic: Clinic,
    workshop: Practice,
    /// Of the same doctor, for one.
    alone: Practice,
}

impl Scene {
    async fn set(capacity: u32) -> Self {
        Self::set_with(json!({ "capacity": capacity }), &[]).await
    }

    async fn set_with(terms: Value, options: &[&str]) -> Self {
        let clinic = Clinic::open_with(options).await;
        let alone = clinic.practice().await;
        let mut service = json!({ "doctorId": alone.doctor.id, "name": "Taller", "durationMinutes": 60,
            "bufferAfterMinutes": 10, "horizonDays": 366 });
        for (field, value) in terms.as_object().unwrap() {
            service[field] = value.clone();
        }
        let service = ask(&clinic, &alone.doctor, "service.create", service).await.unwrap();
        let workshop = Practice { service: text(&service, "id"), ..alone.clone() };
        Self { clinic, workshop, alone }
    }

    async fn ask(&self, who: &Person, operation: &str, data: Value) -> Result<Value, Problem> {
        ask(&self.clinic, who, operation, data).await
    }

    async fn book(&self, who: &Person, start: &str) -> Result<Value, Problem> {
        self.ask(who, "appointment.book", self.workshop.booking(start)).await
    }

    async fn booked(&self, who: &Person, start: &str) -> String {
        text(&self.book(who, start).await.expect("there is a seat"), "id")
    }

    /// What is shown of a service on the day of the workshop: seats left, by start.
    async fn shown(&self, practice: &Practice) -> BTreeMap<String, Value> {
        let search =
            json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": day(), "to": day() });
        let found = self.clinic.anon().await.request("slot.search", search, None).await.unwrap().data;
        let slots = found["slots"].as_array().unwrap();
        slots.iter().map(|slot| (text(slot, "start"), slot["seatsLeft"].clone())).collect()
    }

    /// Seats left of the workshop at a time.
    async fn left(&self, start: &str) -> Option<u64> {
        self.shown(&self.workshop).await.get(start).map(|left| left.as_u64().expect("it is told"))
    }

    /// The documents of group sessions.
    async fn sessions(&self) -> Vec<Document> {
        use futures::TryStreamExt as _;
        let cluster = Cluster::new(ClusterName::Appointments, &self.clinic.appointments_uri).await.unwrap();
        let all = cluster.db.collection::<Document>("appointments");
        all.find(doc! { "kind": "group" }).await.unwrap().try_collect().await.unwrap()
    }
}

/// The day of the workshop.
fn day() -> String {
    date(3)
}

fn nine() -> String {
    at(&day(), "09:00")
}

/// What somebody asks, and its data or its problem.
async fn ask(clinic: &Clinic, who: &Person, operation: &str, data: Value) -> Result<Value, Problem> {
    let is_mutation = Operation::named(operation).expect("an operation").kind() == Kind::Mutation;
    let reply = clinic.connect(who).await.request(operation, data, is_mutation.then(key)).await;
    reply.map(|reply| reply.data).map_err(|error| error.problem().unwrap_or_else(|| panic!("{error}")).clone())
}

fn code(outcome: &Result<Value, Problem>) -> Option<ErrorCode> {
    outcome.as_ref().err().map(|problem| problem.code)
}
