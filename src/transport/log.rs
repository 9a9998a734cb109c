//! One log line for each request, and the id that finds it.
//!
//! A line holds the template of the route, never the path, the query, a header or a body: they hold personal data.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request};
use axum::http::header::HeaderName;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use super::health::{LIVEZ_PATH, READYZ_PATH};
use super::meters;
use crate::clock::Clock;

/// Names a request in the log and in its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// It names a request and is no secret: the system is not asked for randomness each time.
fn request_id(clock: Clock) -> Uuid {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 10];
    let hashes = [SEED.hash_one((count, false)), SEED.hash_one((count, true))];
    random.iter_mut().zip(hashes.into_iter().flat_map(u64::to_ne_bytes)).for_each(|(to, from)| *to = from);
    let ms = u64::try_from(clock.now().as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
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

/// The line, written when the request ends in whatever way.
pub struct Line {
    id: Uuid,
    method: &'static str,
    route: Option<MatchedPath>,
    started: Instant,
    /// `None`: the client left before it was answered.
    status: Option<StatusCode>,
}

impl Line {
    /// Gives a request its id. One that the client brought is not trusted.
    #[must_use]
    pub fn begin(request: &Request, clock: Clock) -> Self {
        let (id, route) = (request_id(clock), request.extensions().get().cloned());
        Self { id, method: method(request), route, started: Instant::now(), status: None }
    }

    /// What is logged meanwhile tells the id, too.
    #[must_use]
    pub fn span(&self) -> Span {
        tracing::info_span!("request", id = %self.id)
    }

    /// Tells the client the id, and logs how the request ended.
    pub fn end(mut self, response: &mut Response) {
        let mut text = Uuid::encode_buffer();
        if let Ok(value) = HeaderValue::from_str(self.id.hyphenated().encode_lower(&mut text)) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        self.status = Some(response.status());
    }
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
        let is_probe = [LIVEZ_PATH, READYZ_PATH].contains(&route);
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
