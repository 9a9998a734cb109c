//! The connection against a socket of this process that speaks the real frames.

use cita_protocol::frame::CloseCode;
use cita_protocol::{ErrorCode, Problem};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::retry::Verdict;

type ServerSocket = WebSocketStream<TcpStream>;

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Accepts one client and gives its `Authorization` header.
async fn accept(listener: &TcpListener) -> (ServerSocket, Option<String>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut authorization = None;
    let callback = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(request.uri().path(), "/v1/ws");
        let headers = request.headers();
        assert_eq!(headers["sec-websocket-protocol"], "cita.v1");
        authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let echoed = HeaderValue::from_static("cita.v1");
        response.headers_mut().insert("sec-websocket-protocol", echoed);
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.unwrap();
    (socket, authorization)
}

async fn tell(socket: &mut ServerSocket, frame: Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

async fn hear(socket: &mut ServerSocket) -> Value {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

fn hello() -> Value {
    json!({"type": "hello", "data": {
        "connectionId": "c", "access": "anonymous", "heartbeatMs": 15000, "serverTime": "2026-12-01T14:00:00Z",
        "limits": {"maxMessageBytes": 65536, "messagesPerSecond": 50, "maxSubscriptions": 100, "maxInFlight": 32}
    }})
}

/// A connection and the server's end of it.
async fn connected() -> (Connection, ServerSocket) {
    let (listener, url) = listen().await;
    let server = async {
        let (mut socket, _) = accept(&listener).await;
        tell(&mut socket, hello()).await;
        socket
    };
    let (connection, socket) = tokio::join!(Connection::connect(&url, None), server);
    (connection.unwrap(), socket)
}

#[tokio::test]
async fn the_token_travels_in_the_header_and_hello_is_kept() {
    let (listener, url) = listen().await;
    let server = async {
        let (mut socket, authorization) = accept(&listener).await;
        tell(&mut socket, hello()).await;
        authorization
    };
    let (connection, authorization) = tokio::join!(Connection::connect(&url, Some("jwt")), server);
    assert_eq!(authorization.as_deref(), Some("Bearer jwt"));
    assert_eq!(connection.unwrap().hello().heartbeat_ms, 15000);
}

#[tokio::test]
async fn a_refused_handshake_carries_status_and_problem() {
    let (listener, url) = listen().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let body = serde_json::to_string(&Problem::new(ErrorCode::TokenExpired)).unwrap();
        let head = format!(
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    };
    let (refused, ()) = tokio::join!(Connection::connect(&url, Some("old")), server);
    let error = refused.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 401, .. }));
    assert_eq!(error.code(), Some(ErrorCode::TokenExpired));
    assert_eq!(error.verdict(), Verdict::NewToken);
}

#[tokio::test]
async fn a_close_in_place_of_hello_is_told_with_its_code() {
    let (listener, url) = listen().await;
    let server = async {
        let (mut socket, _) = accept(&listener).await;
        close(&mut socket, CloseCode::TokenInvalid).await;
    };
    let (refused, ()) = tokio::join!(Connection::connect(&url, None), server);
    let error = refused.unwrap_err();
    assert!(matches!(error, ClientError::Closed { code: Some(4100), .. }));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = Connection::connect(&url, None).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

async fn close(socket: &mut ServerSocket, code: CloseCode) {
    let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
    socket.close(Some(frame)).await.unwrap();
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order() {
    let (connection, mut socket) = connected().await;
    let server = async {
        let first = hear(&mut socket).await;
        let second = hear(&mut socket).await;
        assert_eq!(first["key"], "k1");
        assert!(second.get("key").is_none());
        for request in [second, first] {
            tell(&mut socket, json!({"type": "reply", "id": request["id"], "cursor": "c", "data": request["type"]}))
                .await;
        }
    };
    let (one, two, ()) = tokio::join!(
        connection.request("one", json!({}), Some("k1".into())),
        connection.request("two", json!({}), None),
        server
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.data, one.cursor), (json!("one"), Some("c".into())));
    assert_eq!(two.data, json!("two"));
}

#[tokio::test]
async fn an_error_reply_is_the_problem_and_the_connection_stays() {
    let (connection, mut socket) = connected().await;
    let server = async {
        for _ in 0..2 {
            let request = hear(&mut socket).await;
            let problem = Problem::new(ErrorCode::SlotTaken);
            tell(&mut socket, json!({"type": "error", "id": request["id"], "data": problem})).await;
        }
    };
    let client = async {
        for _ in 0..2 {
            let error = connection.request("appointment.book", json!({}), None).await.unwrap_err();
            assert_eq!(error.code(), Some(ErrorCode::SlotTaken));
        }
    };
    tokio::join!(client, server);
}

#[tokio::test]
async fn events_keep_their_order_and_pings_are_answered() {
    let (connection, mut socket) = connected().await;
    tell(&mut socket, json!({"type": "snapshot", "cursor": "1", "data": {"topic": "t", "items": []}})).await;
    tell(&mut socket, json!({"type": "ping", "cursor": "2", "data": {}})).await;
    tell(&mut socket, json!({"type": "fromTheFuture", "data": {"a": 1}, "more": true})).await;
    assert_eq!(hear(&mut socket).await, json!({"type": "pong", "data": {}}));
    for kind in ["snapshot", "ping", "fromTheFuture"] {
        assert_eq!(connection.next_event().await.unwrap().kind, kind);
    }
}

#[tokio::test]
async fn the_close_code_reaches_whoever_waits() {
    let (connection, mut socket) = connected().await;
    let server = async {
        hear(&mut socket).await;
        close(&mut socket, CloseCode::Drain).await;
    };
    let (request, event, ()) =
        tokio::join!(connection.request("me.get", json!({}), None), connection.next_event(), server);
    for error in [request.unwrap_err(), event.unwrap_err(), connection.end().unwrap()] {
        assert!(matches!(error, ClientError::Closed { code: Some(4000), .. }), "{error}");
        assert_eq!(error.verdict(), Verdict::Resume);
    }
    let later = connection.request("me.get", json!({}), None).await;
    assert!(matches!(later.unwrap_err(), ClientError::Closed { code: Some(4000), .. }));
}

#[tokio::test]
async fn unread_pings_never_cost_the_connection_and_unread_changes_do() {
    let (connection, mut socket) = connected().await;
    let change = json!({"type": "change", "cursor": "1", "data": {}});
    for _ in 0..2 * EVENT_QUEUE {
        tell(&mut socket, json!({"type": "ping", "cursor": "1", "data": {}})).await;
        hear(&mut socket).await;
    }
    assert!(connection.end().is_none());
    for _ in 0..EVENT_QUEUE {
        if socket.send(Message::text(change.to_string())).await.is_err() {
            break;
        }
    }
    let end = loop {
        if let Err(end) = connection.next_event().await {
            break end;
        }
    };
    assert!(matches!(end, ClientError::Overflow), "{end}");
}

#[tokio::test]
async fn closing_says_goodbye() {
    let (connection, mut socket) = connected().await;
    let server = async {
        let message = socket.next().await.unwrap().unwrap();
        assert!(message.is_close());
        while let Some(Ok(_)) = socket.next().await {}
    };
    tokio::join!(connection.close(), server);
}
