//! `/livez` and `/readyz`, and the gate that holds everything else back until the node has been ready once.

use axum::Json;
use axum::extract::{Request, State as Extract};
use axum::http::{Method, StatusCode};
use cita_protocol::{Outcome, Problem};

use super::problem::Refused;
use super::{Shared, State};
use crate::health::{Report, Status};

/// Path of the first question.
pub const LIVEZ_PATH: &str = "/livez";
/// Path of the second.
pub const READYZ_PATH: &str = "/readyz";

/// The process runs.
pub async fn livez() -> StatusCode {
    StatusCode::OK
}

/// Whether requests should be sent here, and which part is away.
pub async fn readyz(Extract(shared): Extract<Shared>) -> (StatusCode, Json<Report>) {
    let report = shared.readiness.report();
    let status = match report.status {
        Status::Ready => StatusCode::OK,
        Status::Starting | Status::Degraded | Status::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report))
}

/// Lets requests through once both clusters have been ready; the two above from the first moment.
///
/// # Errors
/// `unavailable` until then.
pub fn gate(state: &State, request: &Request) -> Result<(), Refused> {
    match state.services() {
        Err(problem) if ![LIVEZ_PATH, READYZ_PATH].contains(&request.uri().path()) => {
            // What changes nothing is a GET; of everything else it is known that it has changed nothing.
            let outcome = (request.method() != Method::GET).then_some(Outcome::NotApplied);
            Err(Problem { outcome, ..problem }.into())
        }
        _ => Ok(()),
    }
}
