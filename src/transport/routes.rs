//! Every route, on one screen.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use cita_protocol::{CALENDAR_PATH, EVENTS_PATH, WEBSOCKET_PATH};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::shape::Door;
use super::{Shared, calendar, dashboard, docs, front, health, jwks, problem, rest, sse, ws};

/// The whole server.
pub fn router(shared: Shared) -> Router {
    operations()
        .route(WEBSOCKET_PATH, get(ws::upgrade))
        .route(EVENTS_PATH, get(sse::events))
        .route(CALENDAR_PATH, get(calendar::serve))
        .route(jwks::JWKS_PATH, get(jwks::keys))
        .merge(docs::routes())
        .route(dashboard::START_PATH, get(dashboard::serve))
        .route(dashboard::ASSETS_PATH, get(dashboard::serve))
        .fallback(dashboard::serve)
        .route(health::LIVEZ_PATH, get(health::livez))
        .route(health::READYZ_PATH, get(health::readyz))
        .method_not_allowed_fallback(problem::method_not_allowed)
        // As one: each layer of a router is a box around every request.
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(shared.clone(), front::pass))
                .layer(CatchPanicLayer::custom(problem::panicked)),
        )
        .with_state(shared)
}

/// The REST door of every operation that has one.
fn operations() -> Router<Shared> {
    Door::all().into_iter().fold(Router::new(), |router, door| router.route(door.route.path, rest::route(door)))
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
