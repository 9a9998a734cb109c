//! One WebSocket to a server: requests matched to replies, everything else in order as events.
//!
//! A task owns the socket, so that requests, events and pings do not wait for each other. It never reconnects: how to
//! go on depends on the token and the cursors, which belong to the caller.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cita_protocol::auth::Access;
use cita_protocol::frame::{ClientFrame, Hello, ServerFrame};
use cita_protocol::topic::{SubscribeReply, SubscribeRequest};
use cita_protocol::{Cursor, Operation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::ClientError;

mod driver;
mod handshake;

use driver::{Driver, Outgoing};

/// Events that may wait to be read; a caller that lets more pile up loses the connection, not the events.
const EVENT_QUEUE: usize = 1024;
/// Requests that may wait to be written.
const REQUEST_QUEUE: usize = 64;
/// Longer than a server lets a mutation try (unknown outcomes included), so that its own verdict arrives first.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// A frame from the server.
pub type Frame = ServerFrame<Value>;

/// Answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub data: Value,
    /// Position of the commit, in replies to mutations.
    pub cursor: Option<Cursor>,
}

/// An open connection. Every method takes `&self`: any number of requests and one reader of events can be under way.
#[derive(Debug)]
pub struct Connection {
    hello: Hello,
    outgoing: mpsc::Sender<Outgoing>,
    events: Mutex<mpsc::Receiver<Frame>>,
    end: Arc<OnceLock<ClientError>>,
    last_id: AtomicU64,
    task: JoinHandle<()>,
}

impl Connection {
    /// Connects to `http://host:port` or `ws://host:port`, anonymously without a token, and waits for `hello`.
    pub async fn connect(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let (socket, hello) = handshake::open(url, token).await?;
        let (outgoing, requests) = mpsc::channel(REQUEST_QUEUE);
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let end = Arc::new(OnceLock::new());
        let heartbeat = Duration::from_millis(hello.heartbeat_ms);
        let driver = Driver::new(socket, requests, sender, heartbeat);
        let task = tokio::spawn(driver.run(Arc::clone(&end)));
        Ok(Self { hello, outgoing, events: Mutex::new(events), end, last_id: AtomicU64::new(0), task })
    }

    /// The server's first frame.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Whether the connection began without credentials.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.hello.access == Access::Anonymous
    }

    /// Sends a request and waits for its reply. `key` is the idempotency key of a mutation.
    pub async fn request(
        &self,
        operation: &str,
        data: impl Serialize,
        key: Option<String>,
    ) -> Result<Reply, ClientError> {
        let id = (self.last_id.fetch_add(1, Ordering::Relaxed) + 1).to_string();
        let frame = ClientFrame { id: Some(id.clone()), kind: operation.to_owned(), key, data };
        let text = serde_json::to_string(&frame)
            .map_err(|error| ClientError::Protocol(format!("request is not JSON: {error}")))?;
        let (reply, replied) = oneshot::channel();
        let outgoing = Outgoing { id, text, reply };
        let exchange = async {
            // Both fail only when the task is gone, which leaves its reason behind first.
            self.outgoing.send(outgoing).await.map_err(|_| self.ended())?;
            replied.await.map_err(|_| self.ended())?
        };
        tokio::time::timeout(REPLY_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { operation: operation.to_owned() }))
    }

    /// The same with the operation's own types.
    pub async fn call<T: DeserializeOwned>(
        &self,
        operation: Operation,
        data: impl Serialize,
        key: Option<String>,
    ) -> Result<T, ClientError> {
        let reply = self.request(operation.name(), data, key).await?;
        decode(operation.name(), reply.data)
    }

    /// Subscribes to a topic; its frames follow as events.
    pub async fn subscribe(&self, request: &SubscribeRequest) -> Result<SubscribeReply, ClientError> {
        self.call(Operation::Subscribe, request, None).await
    }

    /// The next frame that is not a reply, in the order of the server. Pings are answered already and are given for
    /// their cursor; those that nobody reads may be left out.
    pub async fn next_event(&self) -> Result<Frame, ClientError> {
        let next = self.events.lock().await.recv().await;
        next.ok_or_else(|| self.ended())
    }

    /// Why the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<ClientError> {
        self.end.get().cloned()
    }

    /// Closes in good order. Dropping a connection does the same without waiting.
    pub async fn close(self) {
        drop(self.outgoing);
        // The task ends by itself and its panic, if any, was printed.
        let _ = self.task.await;
    }

    /// Cuts the connection without a close frame, as a lost network does.
    pub fn abort(self) {
        self.task.abort();
    }

    fn ended(&self) -> ClientError {
        self.end().unwrap_or_else(|| ClientError::lost("the connection was cut"))
    }
}

/// Reads the `data` of a frame or reply named `kind`.
pub fn decode<T: DeserializeOwned>(kind: &str, data: Value) -> Result<T, ClientError> {
    serde_json::from_value(data).map_err(|error| {
        ClientError::Protocol(format!(
            "this client does not understand the server's {kind} ({error}): is it older than the server?"
        ))
    })
}

#[cfg(test)]
mod tests;
