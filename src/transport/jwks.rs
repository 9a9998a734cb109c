//! `GET /.well-known/jwks.json`: the public keys of the access tokens (RFC 7517, RFC 8037), for others who verify them.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::problem::Refused;
use crate::session::call;

/// Path of the document.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Answers with the keys.
///
/// # Errors
/// `unavailable` while the server is starting.
pub async fn keys(State(shared): State<Shared>) -> Result<Response, Refused> {
    let document = call::public_keys(shared.services()?);
    // A key is published two minutes before it signs: whoever keeps a copy for one has it in time.
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=60")];
    Ok((headers, document).into_response())
}
