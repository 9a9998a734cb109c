//! The two ends of a WebSocket: what is read goes through the library, what is written goes through the outbox.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::live::frame::Frame;
use crate::live::outbox::Outbox;

/// A socket in several hands: one reads, one writes, and what is pushed is written by whoever pushes.
#[derive(Debug)]
pub struct SharedSocket(pub Arc<TcpStream>);

impl AsyncRead for SharedSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl SharedSocket {
    fn write(&self, cx: &mut Context<'_>, write: impl Fn(&TcpStream) -> io::Result<usize>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for SharedSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |socket| socket.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |socket| socket.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// It ends with the last who holds it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the WebSocket library reads from, and where it says what it has to say by itself: pongs, and its close. It writes whole
/// frames, and flushes each, so that none comes in the middle of another.
#[derive(Debug)]
pub struct Ear<R> {
    pub read: R,
    pub outbox: Arc<Outbox>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Ear<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl<R: Unpin> AsyncWrite for Ear<R> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.control(Frame::control(Bytes::copy_from_slice(buf)));
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures::StreamExt as _;
    use tokio::net::{TcpListener, TcpSocket};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::live::outbox::Ending;
    use crate::live::writer::{write, write_now, write_rest, write_soon};

    /// A server's side whose buffers hold little, and its client's.
    async fn narrow() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_send_buffer_size(4 * 1024).expect("a socket takes its options");
        let address = listener.local_addr().expect("an address");
        let (server, client) = tokio::join!(socket.connect(address), listener.accept());
        (Arc::new(server.expect("it connects")), client.expect("it is accepted").0)
    }

    fn numbered(number: usize) -> Frame {
        // Of all lengths: most fit into the buffers with others, some do not by themselves.
        let padding = "x".repeat(number * 7_919 % if number.is_multiple_of(10) { 90_000 } else { 900 });
        Frame::new("change", None, None, &format!(r#"[{number},"{padding}"]"#))
    }

    fn number_of(text: &str) -> usize {
        let frame: serde_json::Value = serde_json::from_str(text).expect("JSON");
        frame["data"][0].as_u64().and_then(|number| number.try_into().ok()).expect("a number")
    }

    /// Pushed frames, answers, and what the library says itself, from two sides at once, to a client that takes them slowly.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn frames_stay_whole_and_in_order_whoever_writes_them() {
        const FRAMES: usize = 2_000;
        let (server, client) = narrow().await;
        let outbox = Arc::new(Outbox::new(16 * 1024 * 1024));
        outbox.attach(&server);
        let writing = tokio::spawn({
            let (outbox, mut sink) = (outbox.clone(), SharedSocket(server));
            async move { write(&mut sink, &outbox).await }
        });
        tokio::spawn(async move {
            for number in 0..FRAMES {
                match number % 5 {
                    0 => outbox.send(numbered(number)),
                    1 if outbox.answer(numbered(number)) => write_now(&outbox),
                    1 => {}
                    _ if outbox.push(numbered(number)) => write_soon(vec![outbox.clone()]),
                    _ => {}
                }
                if number % 7 == 0 {
                    outbox.control(Frame::control(Bytes::from_static(&[0x8a, 1, b'7'])));
                }
                tokio::task::yield_now().await;
            }
            outbox.end(Ending::Drain);
        });
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let (mut next, mut pongs) = (0, 0);
        while next < FRAMES {
            match client.next().await.expect("the connection stays").expect("a whole frame") {
                Message::Text(text) => {
                    assert_eq!(number_of(&text), next);
                    next += 1;
                }
                Message::Pong(data) => {
                    assert_eq!(data, b"7"[..]);
                    pongs += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pongs, FRAMES.div_ceil(7));
        assert_eq!(writing.await.expect("it ends"), Ending::Drain);
    }

    /// What has been begun is sent to its end, so that a close frame behind it can be read.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_is_cut_ends_with_a_whole_frame() {
        let (server, client) = narrow().await;
        let outbox = Arc::new(Outbox::new(3 * 1024 * 1024));
        outbox.attach(&server);
        let mut sink = SharedSocket(server);
        let large = |number| Frame::new("change", None, None, &format!(r#"[{number},"{}"]"#, "x".repeat(1024 * 1024)));
        // More than is taken on the way: the first is written in part.
        assert!(outbox.push(large(0)));
        write_now(&outbox);
        assert!(!outbox.push(large(1)), "the first is not yet written");
        assert!(!outbox.push(large(2)) && !outbox.push(large(3)), "too much waits");
        assert_eq!(outbox.ending(), Some(Ending::SlowConsumer));
        outbox.control(Frame::control(Bytes::from_static(&[0x88, 2, 0x03, 0xf5])));
        let reading = tokio::spawn(async move {
            let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
            let mut frames = Vec::new();
            while let Some(Ok(frame)) = client.next().await {
                frames.push(frame);
            }
            frames
        });
        write_rest(&mut sink, &outbox).await.expect("the client reads");
        drop((sink, outbox));
        let frames = reading.await.expect("it reads to the end");
        let [Message::Text(text), Message::Close(Some(close))] = frames.as_slice() else { panic!("{frames:?}") };
        assert_eq!((number_of(text), u16::from(close.code)), (0, 1013));
    }
}
