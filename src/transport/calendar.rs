//! `GET /v1/calendar/{secret}.ics`: a calendar feed. The secret in the path is its only credential: calendar programs send no other.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cita_protocol::{ErrorCode, Problem};

use super::dashboard::names;
use super::problem::Refused;
use super::{Shared, auth, rate};
use crate::session::call;

/// Answers with the calendar, or with 304 where the program has it as it is.
///
/// # Errors
/// `not_found` for whatever does not work; `rate_limited`, `unavailable`.
pub async fn serve(
    State(shared): State<Shared>,
    file: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refused> {
    let file = file.as_ref().map_or("", |Path(file)| file);
    let secret = file.strip_suffix(".ics").ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
    let (parts, _) = request.into_parts();
    let services = shared.services()?;
    let (rate, calendar) = call::calendar(services, auth::peer(&shared, &parts), &secret.into()).await;
    let call::Calendar { text, tag } = calendar.map_err(|problem| Refused::limited(problem, Some(rate)))?;
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes"));
    rate::tell(&rate, &mut headers);
    if names(&parts.headers, IF_NONE_MATCH, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
    Ok((headers, text).into_response())
}
