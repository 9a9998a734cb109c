//! What browsers let the pages of allowed origins do. Other pages are told nothing, as if there were no CORS here.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, LOCATION, RETRY_AFTER};
use axum::response::Response;
use cita_protocol::{AFTER_HEADER, CURSOR_HEADER, IDEMPOTENCY_KEY_HEADER};
use tower::{Layer as _, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::origins::Origins;
use super::{log, rate, sse};

/// How long a browser remembers what it may do.
const MAX_AGE: Duration = Duration::from_secs(600);

static LAYER: LazyLock<CorsLayer> = LazyLock::new(layer);

/// Answers preflights of allowed origins, and lets them read what they are answered.
pub async fn share<S>(origins: &Origins, request: Request, mut next: S) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let answered = match origins.allow(request.headers()) {
        true => LAYER.layer(next).call(request).await,
        false => next.call(request).await,
    };
    answered.unwrap_or_else(|never| match never {})
}

fn layer() -> CorsLayer {
    let given = [IDEMPOTENCY_KEY_HEADER, AFTER_HEADER].map(HeaderName::from_static);
    let given = given.into_iter().chain([AUTHORIZATION, CONTENT_TYPE, IF_MATCH, sse::LAST_EVENT_ID]);
    let told = [HeaderName::from_static(CURSOR_HEADER), rate::RATE_LIMIT, rate::RATE_LIMIT_POLICY, log::REQUEST_ID];
    let told = told.into_iter().chain([ETAG, LOCATION, RETRY_AFTER]);
    CorsLayer::new()
        // It is only ever asked about origins that are allowed.
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(given.collect::<Vec<_>>())
        .expose_headers(told.collect::<Vec<_>>())
        .max_age(MAX_AGE)
}
