//! Who calls, from the `Authorization` header, and from where: asked once, before any handler under `/v1`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use cita_protocol::{ErrorCode, Problem};

use super::input::{Unreadable, single};
use super::problem::Refused;
use super::{Shared, State as Doors};
use crate::domain::account::Viewer;
use crate::domain::peer::Peer;
use crate::session::call;

/// Finds the viewer and the peer and leaves them in the request's extensions.
///
/// # Errors
/// A token that is not good: it never makes the caller anonymous.
pub async fn authenticate(State(shared): State<Shared>, mut request: Request, next: Next) -> Result<Response, Refused> {
    let peer = peer(&request);
    let viewer = viewer(&shared, request.headers(), peer).await?;
    request.extensions_mut().insert(viewer);
    request.extensions_mut().insert(peer);
    Ok(next.run(request).await)
}

fn peer(request: &Request) -> Peer {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // The accept loop tells it of every connection.
    Peer(connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip()))
}

async fn viewer(doors: &Doors, headers: &HeaderMap, peer: Peer) -> Result<Viewer, Problem> {
    match bearer(headers)? {
        None => Ok(Viewer::Anonymous),
        Some(token) => call::authenticate(doors.services()?, token, peer).await,
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
