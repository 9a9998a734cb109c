//! One log line for each request, and the id that finds it.
//!
//! A line holds the template of the route, never the path, the query, a header or a body: they hold personal data.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::{NoContext, Timestamp, Uuid};

use super::{Shared, meters};
use crate::clock::Clock;

/// Names a request in the log and in its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id and logs how it ended. An id that the client brought is not trusted.
pub async fn log(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let id = request_id(shared.clock);
    let mut line = Line { id, method: method(&request), route: route(&request), started: Instant::now(), status: None };
    let mut response = next.run(request).instrument(tracing::info_span!("request", %id)).await;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    line.status = Some(response.status());
    response
}

fn request_id(clock: Clock) -> Uuid {
    let since_epoch = Duration::try_from(clock.now().as_duration()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since_epoch.as_secs(), since_epoch.subsec_nanos()))
}

/// The method, as long as it is one that HTTP defines: a client may send any word.
fn method(request: &Request) -> &'static str {
    match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn route(request: &Request) -> Option<MatchedPath> {
    request.extensions().get().cloned()
}

/// The line, written when the request ends in whatever way.
struct Line {
    id: Uuid,
    method: &'static str,
    route: Option<MatchedPath>,
    started: Instant,
    /// `None`: the client left before it was answered.
    status: Option<StatusCode>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let Self { id, method, ref route, started, status } = *self;
        let route = route.as_ref().map_or("none", MatchedPath::as_str);
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        meters::answered(status);
        let Some(status) = status else {
            tracing::info!(method, route, ms, request = %id, "client left before the answer");
            return;
        };
        let status_code = status.as_u16();
        let is_probe = matches!(route, "/livez" | "/readyz");
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(method, route, status = status_code, ms, request = %id, "request");
            }
            _ if is_probe => tracing::debug!(method, route, status = status_code, ms, request = %id, "request"),
            _ if status.is_server_error() => {
                tracing::warn!(method, route, status = status_code, ms, request = %id, "request");
            }
            _ => tracing::info!(method, route, status = status_code, ms, request = %id, "request"),
        }
    }
}
