//! Errors as HTTP answers them: `application/problem+json` (RFC 9457), the same object as in a WebSocket `error`.

use std::any::Any;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cita_protocol::{ErrorCode, FieldError, Problem};

use super::rate;
use crate::session::limiter::Rate;

/// A problem on its way out.
#[derive(Debug)]
pub struct Refused {
    problem: Box<Problem>,
    /// What is left to the client, where it was counted.
    rate: Option<Rate>,
}

impl Refused {
    /// A problem of a request that was counted.
    #[must_use]
    pub fn limited(problem: Problem, rate: Option<Rate>) -> Self {
        Self { problem: Box::new(problem), rate }
    }

    /// Whether the credentials prove nothing, and will not: another matter than a token that has expired.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.problem.code, ErrorCode::Unauthenticated | ErrorCode::SessionRevoked)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::limited(problem, None)
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Problem::new(code).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = self.problem;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).expect("strings and numbers are JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after(&problem) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(rate) = &self.rate {
            rate::tell(rate, headers);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Whole seconds, rounded up: a client that comes back too early is refused again.
fn retry_after(problem: &Problem) -> Option<u64> {
    let told = problem.retry_after_ms.map(|ms| ms.div_ceil(1000).max(1));
    told.or((problem.code == ErrorCode::Unavailable).then_some(1))
}

/// `validation_failed` for these fields.
#[must_use]
pub fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem { errors, ..Problem::new(ErrorCode::ValidationFailed) }
}

/// An error of one field of the input.
#[must_use]
pub fn field(name: &str, code: &str, detail: impl Into<String>) -> FieldError {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    FieldError { pointer: format!("/{escaped}"), code: code.to_owned(), detail: detail.into() }
}

/// Answers a method that the path does not take; axum adds `Allow`.
pub async fn method_not_allowed() -> Refused {
    ErrorCode::MethodNotAllowed.into()
}

/// Answers a request whose handler panicked.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
pub fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("not a text"), "a handler panicked");
    Refused::from(ErrorCode::Internal).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_when_to_come_back() {
        let limited = Problem { retry_after_ms: Some(1_001), ..Problem::new(ErrorCode::RateLimited) };
        let response = Refused::from(limited).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let unavailable = Refused::from(ErrorCode::Unavailable).into_response();
        assert_eq!(unavailable.headers()[RETRY_AFTER], "1");
        let unauthenticated = Refused::from(ErrorCode::TokenExpired).into_response();
        assert_eq!(unauthenticated.headers()[WWW_AUTHENTICATE], "Bearer");
        assert!(!unauthenticated.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(field("a/b~c", "unknown", "").pointer, "/a~1b~0c");
    }
}
