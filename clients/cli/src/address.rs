//! Addresses: from what a person types to the URL of the WebSocket.

use cita_protocol::WEBSOCKET_PATH;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::error::ClientError;

/// The WebSocket of a server given as `http://host:port` or `ws://host:port`, with or without `/v1/ws`.
pub fn websocket_url(base: &str) -> Result<String, ClientError> {
    let refuse = |why: &str| ClientError::Address(format!("`{base}` {why}"));
    let uri: Uri = base.trim().parse().map_err(|_| refuse("is not a URL: write it as http://host:port"))?;
    match uri.scheme_str() {
        Some("http" | "ws") => {}
        Some("https" | "wss") => {
            return Err(refuse(
                "needs TLS, which this client does not speak: use http:// (through a tunnel where needed)",
            ));
        }
        _ => return Err(refuse("must start with http:// or ws://")),
    }
    let authority = uri
        .authority()
        .filter(|a| !a.as_str().contains('@'))
        .ok_or_else(|| refuse("must name a host and no credentials"))?;
    if uri.query().is_some() {
        return Err(refuse("must not carry a query"));
    }
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix(WEBSOCKET_PATH).unwrap_or(path);
    Ok(format!("ws://{authority}{path}{WEBSOCKET_PATH}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_ws_lead_to_the_same_socket() {
        let expected = "ws://127.0.0.1:8080/v1/ws";
        for base in
            ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "ws://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/ws"]
        {
            assert_eq!(websocket_url(base).unwrap(), expected, "{base}");
        }
        assert_eq!(websocket_url("http://host/clinic/").unwrap(), "ws://host/clinic/v1/ws");
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        for base in [
            "",
            "127.0.0.1:8080",
            "https://host",
            "ftp://host",
            "http://user:word@host",
            "http://host?token=1",
            "not a url",
        ] {
            let error = websocket_url(base).unwrap_err();
            assert!(matches!(error, ClientError::Address(_)), "{base}: {error}");
        }
    }
}
