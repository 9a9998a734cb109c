//! REST: one handler for every operation that has a route.

use std::error::Error;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::path::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use cita_protocol::operation::{Kind, Method};
use cita_protocol::{CURSOR_HEADER, ErrorCode, Operation, Outcome, Problem};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::auth::Caller;
use super::input::{self, Pairs, Unreadable};
use super::limits::Limits;
use super::problem::Refused;
use super::shape::Door;
use super::{Shared, json, rate};
use crate::session::call::{self, Answer, SessionCookies};
use crate::session::meters;
use crate::spans;

/// Headers that an answer may have by the time that it is sent, so that their table does not have to grow.
const ANSWER_HEADERS: usize = 12;

/// The route of an operation.
pub fn route(door: Door) -> MethodRouter<Shared> {
    let filter = match door.route.method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    };
    let door = Arc::new(door);
    on(filter, move |State(shared), caller, path, request| answer(door, shared, caller, path, request))
}

async fn answer(
    door: Arc<Door>,
    shared: Shared,
    caller: Caller,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Refused> {
    // A path that is not UTF-8 names nothing that there is.
    let path = path.map_err(|_| ErrorCode::NotFound)?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (head, body) = request.into_parts();
    let key = input::idempotency_key(&door, &head.headers)?;
    let body = match door.route.method {
        Method::Get => Map::new(),
        Method::Post | Method::Put | Method::Patch | Method::Delete => {
            read_body(&head.headers, body, &shared.limits).await?
        }
    };
    let input = input::merge(&door, path, query(&head.uri)?, &head.headers, body)?;
    let data = Value::Object(input).to_string();
    let Caller { viewer, peer, cookies } = caller;
    let (services, operation) = (shared.services()?.clone(), door.operation);
    let foreign = shared.origins.is_foreign(&head.headers);
    // What changes something does so in a task of its own, as over the WebSocket: it is finished, whether or not the client listens.
    let span = spans::operation(operation.name(), meters::Door::Rest.as_str());
    let call = async move {
        let cookies = SessionCookies::Http { foreign, known: cookies.known, refresh: cookies.refresh.as_ref() };
        let request = call::Request { operation, key: key.as_deref(), data: &data, peer, cookies };
        call::call(&services, &viewer, request).await
    };
    let call = call.instrument(span);
    let answered = match operation.kind() {
        Kind::Read => timeout(shared.limits.answer_timeout, call).await,
        Kind::Mutation | Kind::Connection => {
            let done = timeout(shared.limits.answer_timeout, tokio::spawn(call)).await;
            done.map(|done| done.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic())))
        }
    };
    let (left, answer) = answered.map_err(|_| overdue(operation.kind()))?;
    let mut answer = answer.map_err(|problem| Refused::limited(problem, Some(left)))?;
    let cookies = answer.cookies.take().map(|change| shared.cookies.write(&change)).unwrap_or_default();
    let mut response = reply(&door, &head.uri, answer);
    rate::tell(&left, response.headers_mut());
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The fields of the query.
///
/// # Errors
/// `malformed_message`.
pub fn query(uri: &Uri) -> Result<Pairs, Problem> {
    let Query(pairs) = Query::try_from_uri(uri).map_err(|_| Problem::new(ErrorCode::MalformedMessage))?;
    Ok(pairs)
}

/// The services end by themselves before; what they do when they do not is not known.
fn overdue(kind: Kind) -> Problem {
    let outcome = match kind {
        Kind::Mutation => Some(Outcome::Unknown),
        Kind::Read | Kind::Connection => None,
    };
    Problem { outcome, ..Problem::new(ErrorCode::Unavailable) }
}

/// The body as an object; no body is an empty one.
async fn read_body(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Map<String, Value>, Problem> {
    if body.is_end_stream() {
        return Ok(Map::new());
    }
    if !is_plain_json(headers) {
        return Err(Problem::new(ErrorCode::UnsupportedMediaType));
    }
    let bytes = collect(body, limits).await?;
    if bytes.is_empty() { Ok(Map::new()) } else { json::object(&bytes) }
}

async fn collect(body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ErrorCode::MessageTooLarge);
    if body.size_hint().lower() > limits.body_bytes as u64 {
        return Err(too_large());
    }
    let bytes = timeout(limits.body_timeout, axum::body::to_bytes(body, limits.body_bytes)).await;
    let bytes = bytes.map_err(|_| Problem::new(ErrorCode::RequestTimeout))?;
    bytes.map_err(|error| match error.source() {
        Some(source) if source.is::<LengthLimitError>() => too_large(),
        _ => Problem::new(ErrorCode::MalformedMessage).with_detail("the body could not be read"),
    })
}

/// `application/json` in UTF-8, not compressed.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let coding = input::single(headers, &CONTENT_ENCODING);
    let plain = coding.is_ok_and(|coding| coding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity")));
    let json = match input::single(headers, &CONTENT_TYPE) {
        Ok(Some(media_type)) => is_json(media_type),
        Ok(None) | Err(Unreadable) => false,
    };
    plain && json
}

fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    json && parts.all(utf8)
}

fn reply(door: &Door, uri: &Uri, answer: Answer) -> Response {
    let status = StatusCode::from_u16(door.route.status).unwrap_or(StatusCode::OK);
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(cursor) = answer.cursor {
        set(&mut headers, HeaderName::from_static(CURSOR_HEADER), &cursor);
    }
    if let (StatusCode::CREATED, Some(created)) = (status, &answer.created) {
        set(&mut headers, LOCATION, &location(door, uri, created));
    }
    if door.returns_rev
        && let Ok(Revised { rev }) = serde_json::from_slice(&answer.data)
    {
        set(&mut headers, ETAG, &format!("\"{rev}\""));
    }
    (status, headers, answer.data).into_response()
}

#[derive(Deserialize)]
struct Revised {
    rev: u32,
}

/// Where what was created can be read; an account is read by its owner alone.
fn location(door: &Door, uri: &Uri, created: &str) -> String {
    match (door.operation, door.operation.kind()) {
        // It is read as what it will become.
        (Operation::SlotHold, _) => format!("/v1/appointments/{created}"),
        // It is made under its doctor, and lives on its own.
        (Operation::ReviewCreate, _) => format!("/v1/reviews/{created}"),
        // Its address is another one than the one that it is made at.
        (Operation::CalendarFeedCreate, _) => created.to_owned(),
        (_, Kind::Connection) => "/v1/me".to_owned(),
        (_, Kind::Read | Kind::Mutation) => format!("{}/{created}", uri.path()),
    }
}

/// Sets a header whose value is ours: ids and cursors are ASCII, so that none is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_in_utf_8() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json ; profile=x",
        ] {
            assert!(is_json(good), "{good}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/jsonp",
            "application/problem+json",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/html, application/json",
        ] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }

    #[test]
    fn compressed_bodies_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(is_plain_json(&headers));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        assert!(is_plain_json(&headers));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!is_plain_json(&headers));
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        let limits = Limits { body_bytes: 8, body_timeout: std::time::Duration::from_millis(10), ..Limits::default() };
        let code = async |body: Body| collect(body, &limits).await.map_err(|problem| problem.code);
        assert_eq!(code(Body::from("12345678")).await, Ok("12345678".into()));
        assert_eq!(code(Body::from("123456789")).await, Err(ErrorCode::MessageTooLarge));
        let parts = |count| futures::stream::iter((0..count).map(|_| Ok::<_, std::io::Error>("1234")));
        assert_eq!(code(Body::from_stream(parts(2))).await, Ok("12341234".into()));
        assert_eq!(code(Body::from_stream(parts(3))).await, Err(ErrorCode::MessageTooLarge));
        let stalled = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(code(Body::from_stream(stalled)).await, Err(ErrorCode::RequestTimeout));
        let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("broken"))]);
        assert_eq!(code(Body::from_stream(broken)).await, Err(ErrorCode::MalformedMessage));
    }

    #[test]
    fn a_reply_tells_where_and_which_revision() {
        let headers = |operation, data: &'static str| {
            let door = Door::of(operation).expect("an operation of REST");
            let answer =
                Answer { data: data.into(), cursor: Some("1c".into()), created: Some("x".into()), cookies: None };
            let response = reply(&door, &Uri::from_static("/v1/appointments?q"), answer);
            let text =
                |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            (response.status().as_u16(), text("location"), text("etag"), text(CURSOR_HEADER))
        };
        let (location, etag) = (Some("/v1/appointments/x".to_owned()), Some("\"4\"".to_owned()));
        let cursor = Some("1c".to_owned());
        assert_eq!(
            headers(Operation::AppointmentBook, r#"{"id":"x","rev":4}"#),
            (201, location, etag.clone(), cursor.clone())
        );
        assert_eq!(headers(Operation::AppointmentGet, r#"{"id":"x","rev":4}"#), (200, None, etag, cursor.clone()));
        assert_eq!(headers(Operation::AppointmentList, r#"{"items":[]}"#), (200, None, None, cursor.clone()));
        assert_eq!(headers(Operation::AuthRegister, "{}"), (201, Some("/v1/me".to_owned()), None, cursor));
    }
}
