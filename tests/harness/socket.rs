//! A WebSocket without a client library's manners: it sends what it is told, and answers nothing by itself.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::clinic::PATIENCE;
use super::rest::{Answer, address, check_frame};

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Frame(Value),
    /// With the code of the close frame, if there was one.
    Closed(Option<u16>),
}

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The subprotocol that the server echoed.
    pub protocol: Option<String>,
}

impl Socket {
    /// Opens a socket at a path with headers.
    ///
    /// # Errors
    /// The answer of a server that refuses the handshake.
    pub async fn open_at(url: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        let mut request = format!("ws://{}{path}", address(url)).into_client_request().expect("a good request");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header's name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        match timeout(PATIENCE, connect_async(request)).await.expect("an answer in time") {
            Ok((stream, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|value| value.to_str().unwrap().to_owned());
                Ok(Self { stream, protocol })
            }
            Err(Error::Http(response)) => {
                let (head, body) = response.into_parts();
                let mut body = body.unwrap_or_default();
                body.truncate(body.iter().rposition(|byte| *byte == b'}').map_or(0, |end| end + 1));
                let body = String::from_utf8(body).expect("text");
                Err(Answer { status: head.status.as_u16(), headers: head.headers, body })
            }
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    /// Opens a socket, past `hello`.
    pub async fn open(url: &str, token: Option<&str>) -> Self {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("sec-websocket-protocol", "cita.v1")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let mut socket = Self::open_at(url, "/v1/ws", &headers).await.expect("the handshake is taken");
        assert_eq!(socket.frame().await["type"], "hello");
        socket
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Message) {
        timeout(PATIENCE, self.stream.send(message)).await.expect("sent in time").expect("the socket is open");
    }

    /// Sends a text message.
    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// The next frame, which must be as the schema has it, or the end.
    pub async fn hear(&mut self) -> Heard {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("the server says something in time") {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text).expect("a frame is JSON");
                    check_frame(&frame);
                    return Heard::Frame(frame);
                }
                Some(Ok(Message::Close(close))) => return Heard::Closed(close.map(|close| close.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("unexpected {other:?}"),
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            Heard::Closed(code) => panic!("closed with {code:?}"),
        }
    }

    /// Sends text, and gives the next reply or error.
    pub async fn ask(&mut self, text: &str) -> Value {
        self.say(text).await;
        self.answer().await
    }

    /// The next reply or error.
    pub async fn answer(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "reply" || frame["type"] == "error" {
                return frame;
            }
        }
    }

    /// The next frame of a kind.
    pub async fn answer_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Sends a request, and gives the code of its error, or `None`.
    pub async fn request(&mut self, kind: &str, data: Value) -> Option<String> {
        let answer = self.ask(&json!({ "type": kind, "id": "r", "data": data }).to_string()).await;
        assert_eq!(answer["id"], "r", "{answer}");
        answer["data"]["code"].as_str().map(str::to_owned)
    }

    /// Asserts that the connection is of use.
    pub async fn assert_usable(&mut self, after: &str) {
        let answer = self.ask(r#"{"type":"doctor.search","id":"good","data":{}}"#).await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("reply"), &json!("good")), "after {after}: {answer}");
    }

    /// Reads on until the end.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Heard::Closed(code) = self.hear().await {
                return code;
            }
        }
    }
}

/// A socket of bytes, past the handshake.
pub struct Bytes(pub TcpStream);

impl Bytes {
    /// Opens one.
    pub async fn open(url: &str) -> Self {
        let mut stream = TcpStream::connect(address(url)).await.expect("the node listens");
        let head = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                    Sec-WebSocket-Protocol: cita.v1\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("the request is sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect("an answer"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        Self(stream)
    }

    /// Writes bytes as they are. The server may be gone before it has read all.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.0.write_all(bytes)).await.expect("written in time");
    }

    /// Writes the same bytes again and again, until the server has read none of them for a while.
    pub async fn stall(&mut self, bytes: &[u8]) {
        for _ in 0..1_000 {
            if timeout(Duration::from_secs(1), self.0.write_all(bytes)).await.is_err() {
                return;
            }
        }
        panic!("the server reads on");
    }

    /// The next frame: its first byte and its payload. `None`: the connection has ended.
    pub async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(PATIENCE, self.try_read()).await.expect("the server says something in time").ok()
    }

    async fn try_read(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await?;
        let length = match self.0.read_u8().await? {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a frame in memory")];
        self.0.read_exact(&mut payload).await?;
        Ok((first, payload))
    }

    /// Reads on until the close frame, and gives its code. `None`: the connection ended without one.
    pub async fn closed(&mut self) -> Option<u16> {
        while let Some((first, payload)) = self.read().await {
            if first == 0x88 {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
        None
    }
}

/// A frame of a client, masked with zeros.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        long @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
        longer => {
            frame.push(0x80 | 127);
            frame.extend((longer as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
