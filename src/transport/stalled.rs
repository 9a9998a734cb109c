//! A connection that is cut when its client takes nothing for too long: otherwise it would hold what waits for it, and
//! the server could not stop, for as long as the client likes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use crate::live::meters::Counted;

/// A stream whose writes fail with `TimedOut` when none of their bytes is taken within the limit.
#[derive(Debug)]
pub struct Stalling<T> {
    inner: T,
    limit: Duration,
    /// Runs from the first write that had to wait until one succeeds.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Given back when the connection ends, whoever has it by then.
    place: Place,
}

/// The place of one connection among all.
#[derive(Debug, Default)]
pub struct Place {
    pub counted: Option<Counted>,
    pub permit: Option<OwnedSemaphorePermit>,
}

impl<T> Stalling<T> {
    /// A stream with a limit.
    pub fn new(inner: T, limit: Duration, place: Place) -> Self {
        Self { inner, limit, waiting: None, place }
    }

    /// The stream itself, for somebody with limits of their own, and its place.
    pub fn into_parts(self) -> (T, Place) {
        (self.inner, self.place)
    }

    fn bounded<R>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stalling<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stalling<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bounded(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.bounded(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bounded(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_cut() {
        let (near, mut far) = duplex(4);
        let mut near = Stalling::new(near, Duration::from_millis(20), Place::default());
        near.write_all(b"1234").await.expect("room for four");
        let error = near.write_all(b"5").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut taken = [0; 4];
        far.read_exact(&mut taken).await.expect("four bytes");
        near.write_all(b"5").await.expect("room again");
    }

    #[tokio::test]
    async fn a_slow_reader_is_not() {
        let (near, mut far) = duplex(1);
        let mut near = Stalling::new(near, Duration::from_secs(1), Place::default());
        let reading = async {
            for _ in 0..5 {
                sleep(Duration::from_millis(300)).await;
                far.read_u8().await.expect("a byte");
            }
        };
        let (written, ()) = tokio::join!(near.write_all(b"12345"), reading);
        written.expect("each byte in time");
    }
}
