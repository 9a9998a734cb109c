//! A lean client: HTTP/1.1 requests one after the other, and the client's side of a WebSocket, over one socket of the
//! system. The load generator shares the machine with what it measures; libraries that do more would measure themselves, and
//! five thousand of their sockets would need more memory than the servers.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest frame that is believed.
const LONGEST: u64 = 16 * 1024 * 1024;

pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Seconds that the server asks to wait.
    pub retry_after: Option<u64>,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// One request and its answer. `headers` are whole lines.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}").into_bytes();
        if !body.is_empty() {
            request.extend(format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()).bytes());
        }
        request.extend(b"\r\n");
        request.extend(body);
        self.stream.write_all(&request).await?;
        self.answer().await
    }

    /// Becomes a WebSocket when the answer's status is 101.
    pub async fn upgrade(&mut self, path: &str, headers: &str) -> io::Result<Answer> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let length = loop {
            match self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.fill().await?,
            }
        };
        let head = self.buffer.split_to(length);
        let head = std::str::from_utf8(&head).map_err(invalid)?;
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| invalid("no status"))?;
        let header = |name: &str| {
            let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            lines.find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        if header("transfer-encoding").is_some() {
            return Err(invalid("an answer in chunks, which this client does not read"));
        }
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(Answer { status, retry_after, body: self.buffer.split_to(length).freeze() })
    }

    /// Sends a text message. It is masked with zeros, which is a mask like others.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(0x81, text.as_bytes()).await
    }

    async fn send(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        frame.push(first);
        match u16::try_from(payload.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | short as u8),
            Ok(long) => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await
    }

    /// The next text message; pings of the protocol are answered.
    ///
    /// # Errors
    /// Also when the server has closed, with its code.
    pub async fn hear(&mut self) -> io::Result<Bytes> {
        loop {
            let (first, payload) = self.frame().await?;
            match first {
                0x81 => return Ok(payload),
                0x89 => self.send(0x8a, &payload).await?,
                0x8a => {}
                0x88 => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, format!("closed with {code:?}")));
                }
                other => return Err(invalid(format!("a frame that begins with {other:#x}"))),
            }
        }
    }

    async fn frame(&mut self) -> io::Result<(u8, Bytes)> {
        loop {
            let (at, length) = match self.buffer.get(1) {
                Some(126) => (4, self.buffer.get(2..4).map(|mut length| u64::from(length.get_u16()))),
                Some(127) => (10, self.buffer.get(2..10).map(|mut length| length.get_u64())),
                Some(short @ 0..126) => (2, Some(u64::from(*short))),
                Some(_) => return Err(invalid("a masked frame of a server")),
                None => (2, None),
            };
            match length {
                Some(long) if long > LONGEST => return Err(invalid("a frame beyond reason")),
                Some(length) if self.buffer.len() as u64 >= at + length => {
                    let first = self.buffer[0];
                    self.buffer.advance(at as usize);
                    return Ok((first, self.buffer.split_to(length as usize).freeze()));
                }
                _ => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.buffer.capacity() - self.buffer.len() < 1_024 {
            self.buffer.reserve(4_096);
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The same in the runtime that calls this: a socket is watched by the one that it was opened in.
    pub fn moved(self) -> io::Result<Self> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        Ok(Self { stream, buffer: self.buffer })
    }

    /// Gives memory back that a long message needed.
    pub fn shrink(&mut self) {
        self.buffer = BytesMut::from(&self.buffer[..]);
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
