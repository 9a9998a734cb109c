//! `/livez` and `/readyz`, and the gate that holds everything else back until the node has been ready once.

use axum::Json;
use axum::extract::{MatchedPath, Request, State as Extract};
use axum::http::{Method, StatusCode};
use cita_protocol::{Outcome, Problem};

use super::dashboard::{ASSETS_PATH, START_PATH};
use super::problem::Refused;
use super::{Shared, State};
use crate::health::{Report, Status};

/// Path of the first question.
pub const LIVEZ_PATH: &str = "/livez";
/// Path of the second.
pub const READYZ_PATH: &str = "/readyz";
/// What needs no database.
const UNGATED: [&str; 4] = [LIVEZ_PATH, READYZ_PATH, START_PATH, ASSETS_PATH];

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

/// Lets requests through once both clusters have been ready, and from the first moment what needs none.
///
/// # Errors
/// `unavailable` until then.
pub fn gate(state: &State, request: &Request) -> Result<(), Refused> {
    // What no route takes is the dashboard's, which asks by itself.
    let is_open = |path: &MatchedPath| UNGATED.contains(&path.as_str());
    match check(state, request.method()) {
        Err(closed) if !request.extensions().get::<MatchedPath>().is_none_or(is_open) => Err(closed.into()),
        _ => Ok(()),
    }
}

/// Whether both clusters have been ready.
///
/// # Errors
/// `unavailable` until then.
pub fn check(state: &State, method: &Method) -> Result<(), Problem> {
    // What changes nothing is a GET; of everything else it is known that it has changed nothing.
    let outcome = (method != Method::GET).then_some(Outcome::NotApplied);
    state.services().map(|_| ()).map_err(|problem| Problem { outcome, ..problem })
}
