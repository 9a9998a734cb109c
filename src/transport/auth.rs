//! Who calls, and from where: asked once, before any handler under `/v1`.
//!
//! The `Authorization` header decides alone where there is one, good or bad. Otherwise the access cookie does, provided that
//! the page behind the request may use it. A WebSocket's handshake may show a token in between: `ws.rs` looks at its cookie.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use cita_protocol::{ErrorCode, Operation, Problem, WEBSOCKET_PATH};

use super::cookies::{Found, REFRESH_PATH};
use super::input::{Unreadable, single};
use super::problem::Refused;
use super::{Shared, State as Doors};
use crate::domain::access::{Tier, rule_of};
use crate::domain::account::Viewer;
use crate::domain::peer::Peer;
use crate::domain::secret::RefreshToken;
use crate::session::call::{self, CookieChange};

/// Operations below this path open a session: an access cookie that is no longer good must not stand in their way. Those that
/// need a token are the exception.
const AUTH_PATH: &str = "/v1/auth/";
/// Where a browser gets rid of its cookies, whatever has become of the session.
const LOGOUT_PATH: &str = "/v1/auth/logout";

/// What cookies have to do with a request.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    /// The caller was known by one.
    pub known: bool,
    /// What the refresh cookie holds, where it counts.
    pub refresh: Option<RefreshToken>,
}

/// What a request shows to prove who calls.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    Nothing,
    Bearer(&'a str),
    Cookies { access: Option<&'a str>, refresh: Option<&'a str> },
}

/// Who calls, from where, and how they are known. A token that is not good never makes the caller anonymous, and cookies that
/// another page has sent are `forbidden`.
pub struct Caller {
    pub viewer: Viewer,
    pub peer: Peer,
    pub cookies: Cookies,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let by_cookie = !request.headers.contains_key(AUTHORIZATION);
        let leaves = by_cookie && request.uri.path() == LOGOUT_PATH;
        known(request, shared).await.map_err(|refused| match leaves && refused.is_final() {
            true => without_cookies(shared, refused),
            false => refused.into_response(),
        })
    }
}

async fn known(request: &Parts, shared: &Shared) -> Result<Caller, Refused> {
    let peer = peer(shared, request);
    let (viewer, cookies) = match shown(shared, request)? {
        Shown::Nothing => (Viewer::Anonymous, Cookies::default()),
        Shown::Bearer(token) => (viewer(shared, token, peer).await?, Cookies::default()),
        Shown::Cookies { access, refresh } => {
            let viewer = match access {
                Some(token) => viewer(shared, token, peer).await?,
                None => Viewer::Anonymous,
            };
            (viewer, Cookies { known: access.is_some(), refresh: refresh.map(Into::into) })
        }
    };
    Ok(Caller { viewer, peer, cookies })
}

/// The refusal, and the end of cookies that prove nothing any more: whoever logs out wants none. No script could remove them, and
/// a WebSocket's handshake cannot be made without them.
fn without_cookies(doors: &Doors, refused: Refused) -> Response {
    let mut response = refused.into_response();
    for cookie in doors.cookies.write(&CookieChange::Clear) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Where a request comes from.
pub(super) fn peer(doors: &Doors, request: &Parts) -> Peer {
    let connection = request.extensions.get::<ConnectInfo<SocketAddr>>();
    // The accept loop tells it of every connection.
    let connection = connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
    doors.proxies.peer(connection, &request.headers)
}

async fn viewer(doors: &Doors, token: &str, peer: Peer) -> Result<Viewer, Refused> {
    let (rate, viewer) = call::authenticate(doors.services()?, token, peer).await;
    viewer.map_err(|problem| Refused::limited(problem, rate))
}

fn shown<'a>(doors: &Doors, request: &'a Parts) -> Result<Shown<'a>, Problem> {
    let (headers, path) = (&request.headers, request.uri.path());
    if let Some(token) = bearer(headers)? {
        return Ok(Shown::Bearer(token));
    }
    if path == WEBSOCKET_PATH {
        return Ok(Shown::Nothing);
    }
    let takes_access = !path.starts_with(AUTH_PATH) || needs_token(path);
    let access = if takes_access { doors.cookies.access(headers) } else { Found::Nothing };
    let refresh = if path == REFRESH_PATH { doors.cookies.refresh(headers) } else { Found::Nothing };
    if (access, refresh) == (Found::Nothing, Found::Nothing) {
        return Ok(Shown::Nothing);
    }
    if !doors.origins.trust_cookies(&request.method, headers) {
        return Err(untrusted());
    }
    Ok(Shown::Cookies { access: only(access)?, refresh: only(refresh)? })
}

/// Whether an operation at this path, which has no parameters, is protected.
fn needs_token(path: &str) -> bool {
    let at_path = |operation: &&Operation| operation.route().is_some_and(|route| route.path == path);
    let rule = Operation::ALL.iter().find(at_path).and_then(|operation| rule_of(operation.name()));
    rule.is_some_and(|rule| rule.tier == Tier::Protected)
}

/// The answer to cookies that another page may have sent.
#[must_use]
pub fn untrusted() -> Problem {
    let detail = "Cookies count for pages of allowed origins only: see --allowed-origins.";
    Problem::new(ErrorCode::Forbidden).with_detail(detail)
}

fn only(found: Found<'_>) -> Result<Option<&str>, Problem> {
    match found {
        Found::Nothing => Ok(None),
        Found::One(value) => Ok(Some(value)),
        Found::Unclear => Err(Problem::new(ErrorCode::Unauthenticated)),
    }
}

/// The token of the header. An access token has no spaces; what has, or has another scheme, is not one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let unauthenticated = || Problem::new(ErrorCode::Unauthenticated);
    let Some(header) = single(headers, &AUTHORIZATION).map_err(|Unreadable| unauthenticated())? else {
        return Ok(None);
    };
    let (scheme, token) = header.split_once(' ').ok_or_else(unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(unauthenticated());
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer(&headers).map(|token| token.map(str::to_owned)).map_err(|problem| problem.code)
    }

    #[test]
    fn only_one_bearer_token_is_read() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer a.b.c"]), Ok(Some("a.b.c".into())));
        assert_eq!(read(&["bearer a"]), Ok(Some("a".into())));
        for wrong in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer  a"],
            &["Bearer a b"],
            &["Basic a"],
            &["a.b.c"],
            &[""],
            &["Bearer a", "Bearer a"],
            &["Bearer\ta"],
        ] {
            assert_eq!(read(wrong), Err(ErrorCode::Unauthenticated), "{wrong:?}");
        }
    }
}
