//! Every route, on one screen.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use cita_protocol::{EVENTS_PATH, WEBSOCKET_PATH};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::shape::Door;
use super::{Shared, auth, cors, dashboard, docs, health, jwks, log, problem, rest, sse, ws};

/// The whole server.
pub fn router(shared: Shared) -> Router {
    operations()
        .route(WEBSOCKET_PATH, get(ws::upgrade))
        .route(EVENTS_PATH, get(sse::events))
        .layer(from_fn_with_state(shared.clone(), auth::authenticate))
        .route(jwks::JWKS_PATH, get(jwks::keys))
        .merge(docs::routes())
        .layer(from_fn_with_state(shared.clone(), health::gate))
        // Below the gate: these answer from the first moment.
        .route("/", get(dashboard::serve))
        .route("/assets/{*file}", get(dashboard::serve))
        .fallback(dashboard::serve)
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .method_not_allowed_fallback(problem::method_not_allowed)
        // As one: each layer of a router is a box around every request.
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(shared.clone(), log::log))
                // Nothing is kept by a cache unless its handler says so, and nothing is taken for what it is not.
                .layer(default_header(CACHE_CONTROL, "no-store"))
                .layer(default_header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .layer(from_fn_with_state(shared.clone(), cors::share))
                .layer(CatchPanicLayer::custom(problem::panicked)),
        )
        .with_state(shared)
}

/// The REST door of every operation that has one.
fn operations() -> Router<Shared> {
    Door::all().into_iter().fold(Router::new(), |router, door| router.route(door.route.path, rest::route(door)))
}

fn default_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// axum panics when two operations name the parameters of one path differently.
    #[test]
    fn the_table_has_no_conflicts() {
        let _: Router<Shared> = operations();
    }
}
