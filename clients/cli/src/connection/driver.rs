//! The task that owns the socket: writes requests, hands out replies and events, answers pings, notices silence.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::handshake::Socket;
use super::{Frame, Reply, decode};
use crate::error::ClientError;

const PONG: &str = r#"{"type":"pong","data":{}}"#;
/// A server that does not take a frame for this long is lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for a late ping beyond two missed ones.
const SILENCE_GRACE: Duration = Duration::from_secs(5);
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A request on its way, and who waits for its reply.
pub(super) struct Outgoing {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) reply: oneshot::Sender<Result<Reply, ClientError>>,
}

pub(super) struct Driver {
    socket: Socket,
    requests: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<Frame>,
    waiting: HashMap<String, oneshot::Sender<Result<Reply, ClientError>>>,
    silence: Duration,
}

impl Driver {
    pub(super) fn new(
        socket: Socket,
        requests: mpsc::Receiver<Outgoing>,
        events: mpsc::Sender<Frame>,
        heartbeat: Duration,
    ) -> Self {
        Self {
            socket,
            requests,
            events,
            waiting: HashMap::new(),
            silence: heartbeat.saturating_mul(2).saturating_add(SILENCE_GRACE),
        }
    }

    /// Runs until the connection ends, and leaves the reason in `end` before anybody learns that it did.
    pub(super) async fn run(mut self, end: Arc<OnceLock<ClientError>>) {
        let reason = self.serve().await;
        let _ = end.set(reason);
        self.requests.close();
        self.waiting.clear();
        drop(self.events);
        // Sends what tungstenite still owes: our close frame, or the answer to the server's.
        let _ = timeout(CLOSE_TIMEOUT, async {
            let _ = self.socket.close(None).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        })
        .await;
    }

    async fn serve(&mut self) -> ClientError {
        let mut deadline = Instant::now() + self.silence;
        loop {
            let step = tokio::select! {
                request = self.requests.recv() => self.send(request).await,
                message = self.socket.next() => {
                    deadline = Instant::now() + self.silence;
                    self.receive(message).await
                }
                () = sleep_until(deadline) => Err(ClientError::lost("the server fell silent")),
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    async fn send(&mut self, request: Option<Outgoing>) -> Result<(), ClientError> {
        let Some(Outgoing { id, text, reply }) = request else {
            return Err(ClientError::lost("closed by this client"));
        };
        self.waiting.insert(id, reply);
        self.write(text).await
    }

    async fn write(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), ClientError> {
        match timeout(WRITE_TIMEOUT, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            // The read side tells why: a close frame may be on its way.
            Ok(Err(Error::Io(_) | Error::AlreadyClosed | Error::ConnectionClosed)) => Ok(()),
            Ok(Err(error)) => Err(ClientError::lost(error)),
            Err(_) => Err(ClientError::lost("the server takes no more frames")),
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), ClientError> {
        match message {
            Some(Ok(Message::Text(text))) => {
                let frame = serde_json::from_str(&text)
                    .map_err(|error| ClientError::Protocol(format!("the server sent a bad frame: {error}")))?;
                self.handle(frame).await
            }
            Some(Ok(Message::Close(close))) => Err(closed(close)),
            Some(Ok(Message::Binary(_))) => Err(ClientError::Protocol("the server sent a binary message".into())),
            // Tungstenite answers protocol pings itself.
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(ClientError::lost(error)),
            None => Err(ClientError::lost("the stream ended")),
        }
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), ClientError> {
        match (frame.kind.as_str(), &frame.id) {
            ("reply" | "error", Some(_)) => {
                self.answer(frame);
                Ok(())
            }
            ("ping", _) => {
                self.offer_ping(frame);
                self.write(PONG).await
            }
            _ => self.events.try_send(frame).map_err(|_| ClientError::Overflow),
        }
    }

    fn answer(&mut self, frame: Frame) {
        let waiting = frame.id.and_then(|id| self.waiting.remove(&id));
        let result = if frame.kind == "reply" {
            Ok(Reply { data: frame.data, cursor: frame.cursor })
        } else {
            Err(decode("error", frame.data).map_or_else(|error| error, ClientError::Problem))
        };
        // Nobody waits for it any longer after a timeout.
        if let Some(waiting) = waiting {
            let _ = waiting.send(result);
        }
    }

    /// Pings may fill half of the queue, so that a connection used for requests alone does not overflow.
    fn offer_ping(&self, frame: Frame) {
        if self.events.capacity() > self.events.max_capacity() / 2 {
            let _ = self.events.try_send(frame);
        }
    }
}

/// The error that a close frame means.
pub(super) fn closed(close: Option<CloseFrame>) -> ClientError {
    match close {
        Some(frame) => ClientError::Closed { code: Some(frame.code.into()), reason: frame.reason.to_string() },
        None => ClientError::lost("closed without a code"),
    }
}
