//! What every request passes on its way in, and every answer on its way out. One middleware for all of it: each is a box around
//! every request.

use std::future::ready;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::service_fn;
use tracing::Instrument as _;

use super::log::Line;
use super::{Shared, cors, health};

/// Hands a request on, and logs how it ended.
pub async fn pass(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let line = Line::begin(&request, shared.clock);
    let span = line.span();
    let answered = async {
        match health::gate(&shared, &request) {
            Ok(()) => cors::share(&shared.origins, request, next).await,
            Err(closed) => {
                let mut closed = Some(closed.into_response());
                let answer = service_fn(move |_| ready(Ok(closed.take().unwrap_or_default())));
                cors::share(&shared.origins, request, answer).await
            }
        }
    };
    let mut response = answered.instrument(span).await;
    let headers = response.headers_mut();
    // Nothing is kept by a cache unless its handler says so, and nothing is taken for what it is not.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    line.end(&mut response);
    response
}
