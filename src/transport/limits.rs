//! What HTTP may use: every limit of the doors, in one place.

use std::time::Duration;

use tokio::sync::Semaphore;

/// Limits of the HTTP server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at the same time; more wait until one ends.
    pub connections: usize,
    /// Until the head of a request has arrived, and how long an idle connection is kept.
    pub head_timeout: Duration,
    /// Until a TLS handshake is over.
    pub handshake_timeout: Duration,
    /// Bytes of a request's head: 431 above. The number of headers is limited by hyper, to 100.
    pub head_bytes: usize,
    /// Bytes of a body: 413 above. The same as for a WebSocket message.
    pub body_bytes: usize,
    /// Until the whole body has arrived: 408 later.
    pub body_timeout: Duration,
    /// Until an operation has its answer: 503 later. More than the services take at most, so that it is never seen.
    pub answer_timeout: Duration,
    /// How long a client may take no byte of what it asked for before its connection is cut.
    pub write_timeout: Duration,
    /// Topics of one event stream.
    pub stream_topics: usize,
    /// From the stop of the node until a stream that has not ended by itself is cut.
    pub stream_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Semaphore::MAX_PERMITS,
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            body_bytes: 64 * 1024,
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            stream_topics: 32,
            stream_grace: Duration::from_secs(2),
        }
    }
}
