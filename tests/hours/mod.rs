//! When a doctor receives patients: seasons and public holidays, time off, another zone, and what becomes of appointments.

mod holidays;
mod outside;
mod time_off;
mod zone;

use std::collections::BTreeMap;

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita_protocol::operation::Kind;
use cita_protocol::{Operation, Problem};
use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, Uuid, doc};
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Person, Practice, key};

/// What somebody asks, and its data or its problem.
async fn ask(clinic: &Clinic, who: &Person, operation: &str, data: Value) -> Result<Value, Problem> {
    let is_mutation = Operation::named(operation).expect("an operation").kind() == Kind::Mutation;
    let reply = clinic.connect(who).await.request(operation, data, is_mutation.then(key)).await;
    reply.map(|reply| reply.data).map_err(|error| error.problem().unwrap_or_else(|| panic!("{error}")).clone())
}

/// The hours of a practice with some fields in the place of its own: 8 to 18 in Bogotá on every day.
fn hours(practice: &Practice, fields: Value) -> Value {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let weekly: Vec<_> = days.iter().map(|day| json!({ "weekday": day, "from": "08:00", "to": "18:00" })).collect();
    let mut hours = json!({ "doctorId": practice.doctor.id, "timeZone": "America/Bogota", "weekly": weekly });
    hours.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    hours
}

/// Starts of the slots of a date.
async fn starts(clinic: &Clinic, practice: &Practice, date: &str) -> Vec<String> {
    let search = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date, "to": date });
    let found = clinic.anon().await.request("slot.search", search, None).await.unwrap().data;
    found["slots"].as_array().unwrap().iter().map(|slot| slot["start"].as_str().unwrap().to_owned()).collect()
}

/// Every tick that anything takes of a doctor, with whether it is time off: as the database has it.
async fn claimed(clinic: &Clinic, practice: &Practice) -> BTreeMap<i32, bool> {
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
    let doctor = Uuid::parse_str(&practice.doctor.id).unwrap();
    let documents: Vec<Document> = cluster
        .db
        .collection::<Document>("appointments")
        .find(doc! { "doctorId": doctor, "claims": { "$exists": true } })
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let mut claimed = BTreeMap::new();
    for document in documents {
        for claim in document.get_array("claims").unwrap() {
            if let Bson::Int32(tick) = claim {
                assert!(claimed.insert(*tick, document.contains_key("kind")).is_none(), "{tick} is taken twice");
            }
        }
    }
    claimed
}

/// The tick of an instant.
fn tick(instant: &str) -> i32 {
    i32::try_from(instant.parse::<jiff::Timestamp>().unwrap().as_second() / 300).unwrap()
}
