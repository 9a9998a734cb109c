//! `GET /metrics`, on a listener of its own: what is measured is for those who run the server, and asks for no token.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

/// Writes what was measured in Prometheus' text format.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The one route.
pub fn router(render: Render) -> Router {
    Router::new().route("/metrics", get(move || answer(render.clone())))
}

async fn answer(render: Render) -> Response {
    // Some thousands of lines: beside those who serve.
    match tokio::task::spawn_blocking(move || render()).await {
        Ok(text) => {
            let headers: [(HeaderName, _); 2] =
                [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
            (headers, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
