//! What waits to be sent on one connection: bounded, drained in one go, closed with a reason rather than cut short.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::frame::Frame;

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

    /// Whether what waits is not sent any more: the right to it is gone, or it would not be taken.
    const fn takes_the_rest(self) -> bool {
        matches!(self, Self::SessionRevoked | Self::TokenInvalid | Self::SlowConsumer)
    }

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
    /// Where frames can be written at once, without waking up whoever serves the connection. It ends with the connection, whoever
    /// has something to answer later.
    socket: OnceLock<Weak<TcpStream>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Batch,
    /// Somebody is writing what they have taken; what comes meanwhile is seen when they give it back.
    is_lent: bool,
    ending: Option<Ending>,
}

/// Frames in their order, the first of which may have been written in part.
#[derive(Debug, Default)]
pub struct Batch {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that have been written.
    written: usize,
    bytes: usize,
    /// Bytes of pushed changes among them: what makes a slow consumer.
    pushed: usize,
}

impl Batch {
    fn add(&mut self, frame: Frame, pushed: bool) {
        let cost = cost(&frame);
        self.bytes += cost;
        self.pushed += if pushed { cost } else { 0 };
        self.frames.push_back(frame);
    }

    /// Puts what came before in front again.
    fn prepend(&mut self, mut before: Self) {
        // All was written: neither is its room kept.
        if before.is_empty() {
            return;
        }
        self.bytes += before.bytes;
        self.pushed += before.pushed;
        self.written = before.written;
        before.frames.append(&mut self.frames);
        self.frames = before.frames;
    }

    /// Keeps what has been written in part: whatever is sent next comes after the end of a frame. So does what the WebSocket says
    /// itself.
    fn drop_unwritten(&mut self) {
        let mut begun = self.written > 0;
        self.frames.retain(|frame| std::mem::take(&mut begun) || frame.is_control());
        self.pushed = 0;
        self.bytes = self.frames.iter().map(cost).sum();
    }

    /// Whether all of it has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// What is to be written next, as far as there is room in `slices`.
    #[must_use]
    pub fn slices<'a, 'b>(&'a self, slices: &'b mut [IoSlice<'a>]) -> &'b [IoSlice<'a>] {
        let mut skip = self.written;
        let mut used = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame.wire()[std::mem::take(&mut skip)..]);
            used += 1;
        }
        &slices[..used]
    }

    /// So many bytes have been written. Tells whether a frame was finished with them.
    pub fn advance(&mut self, bytes: usize) -> bool {
        let before = self.frames.len();
        self.written += bytes;
        while let Some(frame) = self.frames.front().filter(|frame| frame.wire().len() <= self.written) {
            self.written -= frame.wire().len();
            self.bytes -= cost(frame);
            self.frames.pop_front();
        }
        self.pushed = self.pushed.min(self.bytes);
        self.frames.len() < before
    }
}

/// Bytes of memory that a frame takes in a queue: a flood of small ones is one too.
fn cost(frame: &Frame) -> usize {
    frame.wire().len() + size_of::<Frame>()
}

/// What waits, in the hands of whoever writes it. What is left of it goes back.
#[derive(Debug)]
pub struct Lent<'a> {
    outbox: &'a Outbox,
    pub batch: Batch,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut queue = self.outbox.queue.lock();
        queue.is_lent = false;
        queue.waiting.prepend(std::mem::take(&mut self.batch));
        if queue.ending.is_some_and(Ending::takes_the_rest) {
            queue.waiting.drop_unwritten();
        }
        if !queue.waiting.is_empty() || queue.ending.is_some() {
            self.outbox.filled.notify_one();
        }
    }
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
            socket: OnceLock::new(),
        }
    }

    /// From now on frames go straight to a socket when nothing waits before them.
    pub fn attach(&self, socket: &Arc<TcpStream>) {
        self.socket.get_or_init(|| Arc::downgrade(socket));
    }

    /// The socket that frames may be written to.
    #[must_use]
    pub fn socket(&self) -> Option<Arc<TcpStream>> {
        self.socket.get().and_then(Weak::upgrade)
    }

    /// Queues what the client asked for.
    pub fn send(&self, frame: Frame) {
        self.queue(frame, false);
        self.filled.notify_one();
    }

    /// Queues a change, or ends the connection when too much waits already. Returns whether it is for the caller to have it
    /// written, by [`super::writer`].
    #[must_use]
    pub fn push(&self, frame: Frame) -> bool {
        self.queue_first(frame, true)
    }

    /// Queues an answer. Returns whether it is for the caller to have it written, by [`super::writer`].
    #[must_use]
    pub fn answer(&self, frame: Frame) -> bool {
        self.queue_first(frame, false)
    }

    fn queue_first(&self, frame: Frame, pushed: bool) -> bool {
        let is_first = self.queue(frame, pushed);
        let is_direct = self.socket.get().is_some();
        if !is_direct {
            self.filled.notify_one();
        }
        is_first && is_direct
    }

    /// Queues what the WebSocket itself says, after whatever waits and even after the end.
    pub fn control(&self, frame: Frame) {
        let mut queue = self.queue.lock();
        queue.waiting.add(frame, false);
        drop(queue);
        self.filled.notify_one();
    }

    /// Whether nothing was there before.
    fn queue(&self, frame: Frame, pushed: bool) -> bool {
        let mut queue = self.queue.lock();
        if queue.ending.is_some() {
            return false;
        }
        if pushed && queue.waiting.pushed + cost(&frame) > self.limit {
            queue.waiting.drop_unwritten();
            queue.ending = Some(Ending::SlowConsumer);
            drop(queue);
            self.wake_all();
            return false;
        }
        let is_first = queue.waiting.is_empty() && !queue.is_lent;
        queue.waiting.add(frame, pushed);
        is_first
    }

    fn wake_all(&self) {
        self.filled.notify_one();
        self.emptied.notify_waiters();
        self.broken_off.notify_waiters();
    }

    /// Ends the connection after what is queued; the first reason stands.
    pub fn end(&self, ending: Ending) {
        let mut queue = self.queue.lock();
        // What a revoked or expired session has not been sent yet, it may no longer see.
        if ending.takes_the_rest() {
            queue.waiting.drop_unwritten();
        }
        queue.ending.get_or_insert(ending);
        drop(queue);
        self.wake_all();
    }

    /// Waits until what is being sent must not be sent to its end: the right to it is gone, or the client is too slow.
    pub async fn broken_off(&self) -> Ending {
        loop {
            let broken_off = self.broken_off.notified();
            match self.ending() {
                Some(ending) if ending.takes_the_rest() => return ending,
                _ => broken_off.await,
            }
        }
    }

    /// Ends the connection with one last frame, in the place of everything that waits.
    pub fn end_with(&self, last: Frame, ending: Ending) {
        let mut queue = self.queue.lock();
        if queue.ending.is_none() {
            queue.waiting.drop_unwritten();
            queue.waiting.add(last, false);
            queue.ending = Some(ending);
        }
        drop(queue);
        self.wake_all();
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
        let mut lent = self.lend().await?;
        Ok(std::mem::take(&mut lent.batch).frames)
    }

    /// As [`Outbox::take`], for somebody who may not get all of it written.
    ///
    /// # Errors
    /// Why the connection ends.
    pub async fn lend(&self) -> Result<Lent<'_>, Ending> {
        loop {
            if let Some(lent) = self.try_lend() {
                return Ok(lent);
            }
            {
                let queue = self.queue.lock();
                if let Some(ending) = queue.ending.filter(|_| queue.waiting.is_empty() && !queue.is_lent) {
                    return Err(ending);
                }
            }
            self.filled.notified().await;
        }
    }

    /// Takes what waits, unless nothing does or somebody else is writing.
    #[must_use]
    pub fn try_lend(&self) -> Option<Lent<'_>> {
        let mut queue = self.queue.lock();
        if queue.is_lent || queue.waiting.is_empty() {
            return None;
        }
        queue.is_lent = true;
        let batch = std::mem::take(&mut queue.waiting);
        drop(queue);
        if batch.bytes >= self.limit {
            self.emptied.notify_waiters();
        }
        Some(Lent { outbox: self, batch })
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().waiting.bytes
    }

    /// Waits until less than the limit is queued, before more is asked for.
    pub async fn has_room(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let queue = self.queue.lock();
                if queue.waiting.bytes < self.limit || queue.ending.is_some() {
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
    async fn a_full_queue_ends_with_a_reason() {
        let outbox = Outbox::new(200);
        let frame = Frame::new("change", None, None, "{}");
        assert!(!outbox.push(frame.clone()), "there is no socket");
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Ok(1));
        for _ in 0..10 {
            assert!(!outbox.push(frame.clone()), "there is no socket");
        }
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Err(Ending::SlowConsumer));
    }

    #[tokio::test]
    async fn a_last_frame_takes_the_place_of_what_waits_and_comes_before_the_end() {
        let outbox = Outbox::new(200);
        assert!(!outbox.push(Frame::new("change", None, None, "{}")));
        outbox.end_with(Frame::new("reply", None, None, "{}"), Ending::SessionRevoked);
        outbox.end_with(Frame::new("error", None, None, "{}"), Ending::Drain);
        let kinds = outbox.take().await.map(|frames| frames.iter().map(|frame| frame.kind).collect::<Vec<_>>());
        assert_eq!(kinds, Ok(vec!["reply"]));
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Err(Ending::SessionRevoked));
    }

    #[tokio::test]
    async fn what_was_queued_is_sent_before_the_end_unless_the_right_is_gone() {
        let frame = Frame::new("change", None, None, "{}");
        let drained = Outbox::new(200);
        drained.send(frame.clone());
        drained.end(Ending::Drain);
        assert_eq!(drained.take().await.map(|frames| frames.len()), Ok(1));
        assert_eq!(drained.take().await.map(|frames| frames.len()), Err(Ending::Drain));
        let revoked = Outbox::new(200);
        revoked.send(frame);
        revoked.end(Ending::SessionRevoked);
        revoked.end(Ending::Drain);
        assert_eq!(revoked.take().await.map(|frames| frames.len()), Err(Ending::SessionRevoked));
    }

    #[tokio::test]
    async fn a_flood_of_small_frames_is_one_and_its_room_is_given_back() {
        let outbox = Outbox::new(10_000);
        let pong = Frame::control(bytes::Bytes::from_static(&[0x8a, 0]));
        for _ in 0..100 {
            outbox.control(pong.clone());
        }
        assert!(outbox.waiting() > 100 * size_of::<Frame>());
        let mut room = std::pin::pin!(outbox.has_room());
        for _ in 0..100 {
            outbox.control(pong.clone());
        }
        assert!(futures::poll!(&mut room).is_pending(), "as much waits as may");
        let mut lent = outbox.lend().await.expect("frames");
        assert!(futures::poll!(&mut room).is_ready());
        assert!(lent.batch.advance(200 * 2), "all are written");
        drop(lent);
        assert_eq!((outbox.waiting(), outbox.queue.lock().waiting.frames.capacity()), (0, 0));
    }

    #[tokio::test]
    async fn what_is_cut_keeps_the_frame_that_was_begun_and_the_close() {
        let outbox = Outbox::new(10_000);
        let close = Frame::control(bytes::Bytes::from_static(&[0x88, 0]));
        (0..3).for_each(|_| outbox.send(Frame::new("reply", None, None, "{}")));
        let mut lent = outbox.lend().await.expect("frames");
        assert!(!lent.batch.advance(1), "one is begun");
        outbox.end(Ending::SessionRevoked);
        outbox.control(close);
        drop(lent);
        let kinds = outbox.take().await.map(|frames| frames.iter().map(|frame| frame.kind).collect::<Vec<_>>());
        assert_eq!(kinds, Ok(vec!["reply", "control"]));
        assert_eq!(outbox.take().await.map(|frames| frames.len()), Err(Ending::SessionRevoked));
    }
}
