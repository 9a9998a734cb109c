//! What waits to be sent on one connection: bounded, drained in one go, closed with a reason rather than cut short.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A frame, serialised once and shared by everyone who gets it.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: &'static str,
    text: Bytes,
    cursor: Range<usize>,
    data: Range<usize>,
}

impl Frame {
    /// A frame of JSON parts. `id` and `data` are JSON texts, `cursor` needs no escaping.
    #[must_use]
    pub fn new(kind: &'static str, id: Option<&str>, cursor: Option<&str>, data: &str) -> Self {
        let mut text = String::with_capacity(data.len() + 128);
        text.push_str(r#"{"type":""#);
        text.push_str(kind);
        text.push('"');
        if let Some(id) = id {
            text.push_str(r#","id":"#);
            text.push_str(id);
        }
        let mut cursor_at = 0..0;
        if let Some(cursor) = cursor {
            text.push_str(r#","cursor":""#);
            cursor_at = text.len()..text.len() + cursor.len();
            text.push_str(cursor);
            text.push('"');
        }
        text.push_str(r#","data":"#);
        let data_at = text.len()..text.len() + data.len();
        text.push_str(data);
        text.push('}');
        Self { kind, text: Bytes::from(text), cursor: cursor_at, data: data_at }
    }

    /// Bytes of the whole frame.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no frame is empty")]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The whole frame as JSON.
    #[must_use]
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// The frame's cursor, where it has one.
    #[must_use]
    pub fn cursor(&self) -> Option<Bytes> {
        (!self.cursor.is_empty()).then(|| self.text.slice(self.cursor.clone()))
    }

    /// The frame's data as JSON.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.text.slice(self.data.clone())
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The server stops.
    Drain,
    /// What waits to be sent has passed the limit, or was not taken in time.
    SlowConsumer,
    /// The client has said nothing for too long.
    Silent,
    /// The stream of changes cannot be continued: reconnect, and be told.
    Lost,
    /// The token has ended or is not valid.
    TokenInvalid,
    /// The session was ended.
    SessionRevoked,
    /// The client has ended its own session, and is told so before the connection ends.
    LoggedOut,
    /// Too many bad messages.
    Violation,
    /// A binary message.
    Binary,
    /// A text message that is not UTF-8.
    NotUtf8,
    /// Frames that RFC 6455 does not allow.
    Protocol,
    /// A message over the limit.
    TooLarge,
    /// The client has left; nothing more is sent.
    Gone,
}

impl Ending {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Drain,
        Self::SlowConsumer,
        Self::Silent,
        Self::Lost,
        Self::TokenInvalid,
        Self::SessionRevoked,
        Self::LoggedOut,
        Self::Violation,
        Self::Binary,
        Self::NotUtf8,
        Self::Protocol,
        Self::TooLarge,
        Self::Gone,
    ];

    /// Its name in measurements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::SlowConsumer => "slow_consumer",
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::TokenInvalid => "token_invalid",
            Self::SessionRevoked => "session_revoked",
            Self::LoggedOut => "logged_out",
            Self::Violation => "violation",
            Self::Binary => "binary",
            Self::NotUtf8 => "not_utf8",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Gone => "gone",
        }
    }
}

/// The queue of one connection.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    emptied: Notify,
    broken_off: Notify,
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Bytes of pushed changes among them: what makes a slow consumer.
    pushed: usize,
    ending: Option<Ending>,
}

impl Outbox {
    /// An empty queue; more than `limit` bytes of waiting changes end the connection.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            broken_off: Notify::new(),
            limit,
        }
    }

    /// Queues what the client asked for.
    pub fn send(&self, frame: Frame) {
        self.queue(frame, false);
    }

    /// Queues a change, or ends the connection when too much waits already.
    pub fn push(&self, frame: Frame) {
        self.queue(frame, true);
    }

    fn queue(&self, frame: Frame, pushed: bool) {
        let mut queue = self.queue.lock();
        if queue.ending.is_some() {
            return;
        }
        let length = frame.text.len();
        if pushed && queue.pushed + length > self.limit {
            *queue = Queue { ending: Some(Ending::SlowConsumer), ..Queue::default() };
            self.broken_off.notify_waiters();
        } else {
            queue.bytes += length;
            queue.pushed += if pushed { length } else { 0 };
            queue.frames.push_back(frame);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Ends the connection after what is queued; the first reason stands.
    pub fn end(&self, ending: Ending) {
        let mut queue = self.queue.lock();
        // What a revoked or expired session has not been sent yet, it may no longer see.
        if matches!(ending, Ending::SessionRevoked | Ending::TokenInvalid) {
            queue.frames.clear();
        }
        queue.ending.get_or_insert(ending);
        drop(queue);
        self.filled.notify_one();
        self.emptied.notify_waiters();
        self.broken_off.notify_waiters();
    }

    /// Waits until what is being sent must not be sent to its end: the right to it is gone, or the client is too slow.
    pub async fn broken_off(&self) -> Ending {
        loop {
            let broken_off = self.broken_off.notified();
            let ending = self.queue.lock().ending;
            match ending {
                Some(ending @ (Ending::SessionRevoked | Ending::TokenInvalid | Ending::SlowConsumer)) => return ending,
                _ => broken_off.await,
            }
        }
    }

    /// Ends the connection with one last frame, in the place of everything that waits.
    pub fn end_with(&self, last: Frame, ending: Ending) {
        let mut queue = self.queue.lock();
        if queue.ending.is_none() {
            *queue = Queue { bytes: last.text.len(), frames: [last].into(), pushed: 0, ending: Some(ending) };
        }
        drop(queue);
        self.filled.notify_one();
        self.emptied.notify_waiters();
    }

    /// Whether the connection is to end.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.queue.lock().ending
    }

    /// Waits for something to send and takes all of it. `Err` once nothing is left and the connection is to end.
    ///
    /// # Errors
    /// Why the connection ends.
    pub async fn take(&self) -> Result<VecDeque<Frame>, Ending> {
        loop {
            {
                let mut queue = self.queue.lock();
                if !queue.frames.is_empty() {
                    (queue.bytes, queue.pushed) = (0, 0);
                    let frames = std::mem::take(&mut queue.frames);
                    drop(queue);
                    self.emptied.notify_waiters();
                    return Ok(frames);
                }
                if let Some(ending) = queue.ending {
                    return Err(ending);
                }
            }
            self.filled.notified().await;
        }
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Waits until less than the limit is queued, before more is asked for.
    pub async fn has_room(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let queue = self.queue.lock();
                if queue.bytes < self.limit || queue.ending.is_some() {
                    return;
                }
            }
            emptied.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_shows_its_parts() {
        let frame = Frame::new("change", None, Some("1ab"), r#"{"topic":"t"}"#);
        assert_eq!(frame.text(), r#"{"type":"change","cursor":"1ab","data":{"topic":"t"}}"#);
        assert_eq!(frame.cursor().as_deref(), Some(b"1ab".as_slice()));
        assert_eq!(frame.data(), r#"{"topic":"t"}"#);
        let reply = Frame::new("reply", Some(r#""7""#), None, "{}");
        assert_eq!(reply.text(), r#"{"type":"reply","id":"7","data":{}}"#);
        assert_eq!(reply.cursor(), None);
    }

    #[tokio::test]
    async fn a_full_queue_ends_with_a_reason() {
        let outbox = Outbox::new(100);
        let frame = Frame::new("change", None, None, "{}");
        outbox.push(frame.clone());
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Ok(1));
        for _ in 0..10 {
            outbox.push(frame.clone());
        }
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Err(Ending::SlowConsumer));
    }

    #[tokio::test]
    async fn a_last_frame_takes_the_place_of_what_waits_and_comes_before_the_end() {
        let outbox = Outbox::new(100);
        outbox.push(Frame::new("change", None, None, "{}"));
        outbox.end_with(Frame::new("reply", None, None, "{}"), Ending::SessionRevoked);
        outbox.end_with(Frame::new("error", None, None, "{}"), Ending::Drain);
        let kinds = outbox.take().await.map(|frames| frames.iter().map(|frame| frame.kind).collect::<Vec<_>>());
        assert_eq!(kinds, Ok(vec!["reply"]));
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Err(Ending::SessionRevoked));
    }

    #[tokio::test]
    async fn what_was_queued_is_sent_before_the_end_unless_the_right_is_gone() {
        let frame = Frame::new("change", None, None, "{}");
        let drained = Outbox::new(100);
        drained.send(frame.clone());
        drained.end(Ending::Drain);
        assert_eq!(drained.take().await.map(|frames| frames.len()), Ok(1));
        assert_eq!(drained.take().await.map(|frames| frames.len()), Err(Ending::Drain));
        let revoked = Outbox::new(100);
        revoked.send(frame);
        revoked.end(Ending::SessionRevoked);
        revoked.end(Ending::Drain);
        assert_eq!(revoked.take().await.map(|frames| frames.len()), Err(Ending::SessionRevoked));
    }
}
