//! How much a client may still ask for, as HTTP tells it: the two headers of draft-ietf-httpapi-ratelimit-headers-10.

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};

use crate::session::limiter::{Rate, WINDOW_SECONDS};

/// What may be asked for in a window.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it, and in how many seconds all of it is there again.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Tells what is left.
pub fn tell(rate: &Rate, headers: &mut HeaderMap) {
    let name = rate.class.name();
    let policy = format!(r#""{name}";q={};w={WINDOW_SECONDS}"#, rate.burst());
    let left = format!(r#""{name}";r={};t={}"#, rate.remaining, rate.seconds_to_full());
    for (header, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(header, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::limiter::Class;

    #[test]
    fn headers_are_those_of_the_draft() {
        let mut headers = HeaderMap::new();
        tell(&Rate { class: Class::Read, per_second: 200, remaining: 1_999 }, &mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], r#""read";q=2000;w=10"#);
        assert_eq!(headers[RATE_LIMIT], r#""read";r=1999;t=1"#);
    }
}
