//! Opens the socket: HTTP upgrade, credentials, then the server's `hello`.

use std::time::Duration;

use cita_protocol::frame::{Hello, ServerFrame};
use cita_protocol::{Problem, SUBPROTOCOL};
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::decode;
use crate::address::websocket_url;
use crate::error::ClientError;

/// Time for TCP, upgrade and `hello` together.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Tungstenite's 128 KiB per socket would be most of a client's memory.
const READ_BUFFER: usize = 8 * 1024;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects and waits for `hello`.
pub(super) async fn open(base: &str, token: Option<&str>) -> Result<(Socket, Hello), ClientError> {
    let url = websocket_url(base)?;
    let request = upgrade_request(&url, token)?;
    tokio::time::timeout(TIMEOUT, upgrade_and_greet(&url, request)).await.unwrap_or_else(|_| {
        Err(ClientError::Unreachable { url, reason: format!("no answer within {} s", TIMEOUT.as_secs()) })
    })
}

fn upgrade_request(url: &str, token: Option<&str>) -> Result<Request, ClientError> {
    let mut request =
        url.into_client_request().map_err(|error| ClientError::Address(format!("`{url}` cannot be used: {error}")))?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| ClientError::Address("the access token holds characters that no header can carry".into()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

async fn upgrade_and_greet(url: &str, request: Request) -> Result<(Socket, Hello), ClientError> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let (mut socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), true)
        .await
        .map_err(|error| upgrade_error(url, error))?;
    let hello = greeting(&mut socket).await?;
    Ok((socket, hello))
}

fn upgrade_error(url: &str, error: Error) -> ClientError {
    match error {
        Error::Http(response) => ClientError::Refused {
            status: response.status().as_u16(),
            problem: response.body().as_deref().and_then(problem_in),
        },
        Error::Protocol(reason) => ClientError::Protocol(format!("{url} does not speak {SUBPROTOCOL}: {reason}")),
        other => ClientError::Unreachable { url: url.to_owned(), reason: other.to_string() },
    }
}

/// What came with the response's head is all there is to read; a body cut short counts as none.
fn problem_in(body: &[u8]) -> Option<Box<Problem>> {
    serde_json::from_slice(body).ok()
}

/// Reads `hello`, or the close that a browser would get in its place.
async fn greeting(socket: &mut Socket) -> Result<Hello, ClientError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return parse_hello(&text),
            Some(Ok(Message::Close(close))) => return Err(super::driver::closed(close)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) => return Err(not_hello()),
            Some(Err(error)) => return Err(ClientError::lost(error)),
            None => return Err(ClientError::lost("closed before hello")),
        }
    }
}

fn parse_hello(text: &str) -> Result<Hello, ClientError> {
    let frame: ServerFrame<Value> = serde_json::from_str(text).map_err(|_| not_hello())?;
    match frame.kind.as_str() {
        "hello" => decode("hello", frame.data),
        "error" => Err(ClientError::Problem(decode("error", frame.data)?)),
        _ => Err(not_hello()),
    }
}

fn not_hello() -> ClientError {
    ClientError::Protocol(format!("the server's first frame is not the hello of {SUBPROTOCOL}"))
}
