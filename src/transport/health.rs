//! `/livez` and `/readyz`, and the gate that holds everything else back until the node has been ready once.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use cita_protocol::{Outcome, Problem};

use super::Shared;
use super::problem::Refused;
use crate::health::{Report, Status};

/// The process runs.
pub async fn livez() -> StatusCode {
    StatusCode::OK
}

/// Whether requests should be sent here, and which part is away.
pub async fn readyz(State(shared): State<Shared>) -> (StatusCode, Json<Report>) {
    let report = shared.readiness.report();
    let status = match report.status {
        Status::Ready => StatusCode::OK,
        Status::Starting | Status::Degraded | Status::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report))
}

/// Lets requests through once both clusters have been ready.
///
/// # Errors
/// `unavailable` until then.
pub async fn gate(State(shared): State<Shared>, request: Request, next: Next) -> Result<Response, Refused> {
    check(&shared, request.method())?;
    Ok(next.run(request).await)
}

/// Whether the gate is open.
///
/// # Errors
/// `unavailable` until then.
pub fn check(shared: &Shared, method: &Method) -> Result<(), Problem> {
    // What changes nothing is a GET; of everything else it is known that it has changed nothing.
    let outcome = (method != Method::GET).then_some(Outcome::NotApplied);
    shared.services().map(|_| ()).map_err(|problem| Problem { outcome, ..problem })
}
