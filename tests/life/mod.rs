//! The life of an appointment: who moves it from which state to which, until when, by which rules, and what each is told of it.

mod approval;
mod notes;
mod overrides;
mod rules;
mod states;

use cita_protocol::operation::Kind;
use cita_protocol::{ErrorCode, Operation, Problem};
use serde_json::Value;

use crate::harness::clinic::{Clinic, Person, key};

/// What somebody asks, and its data or its problem.
async fn ask(clinic: &Clinic, who: &Person, operation: &str, data: Value) -> Result<Value, Problem> {
    let is_mutation = Operation::named(operation).expect("an operation").kind() == Kind::Mutation;
    let reply = clinic.connect(who).await.request(operation, data, is_mutation.then(key)).await;
    reply.map(|reply| reply.data).map_err(|error| error.problem().unwrap_or_else(|| panic!("{error}")).clone())
}

/// Code and rule of what was refused.
fn why(outcome: Result<Value, Problem>) -> (ErrorCode, Option<String>) {
    let problem = outcome.expect_err("it is refused");
    (problem.code, problem.rule)
}

/// What was done to an appointment, as somebody is told.
async fn actions(clinic: &Clinic, who: &Person, id: &str) -> Vec<String> {
    let history = ask(clinic, who, "appointment.history", serde_json::json!({ "id": id })).await.unwrap();
    let entries = history["items"].as_array().unwrap();
    entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}
