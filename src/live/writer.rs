//! Writes what waits to the sockets. What is pushed goes out from the side of whoever pushes, without waking up each connection:
//! for one that is idle that is a lock and a system call. Where a socket takes no more, the connection itself goes on.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::outbox::{Batch, Ending, Outbox};

/// A client that does not take one frame in this time is too slow.
const PATIENCE: Duration = Duration::from_secs(20);
/// Frames written with one system call.
const SLICES: usize = 16;
/// Connections that are written to before other tasks have their turn: whoever watches something else waits for no more than these.
const TURN: usize = 32;

/// Has what waits in idle connections written, by as many tasks as there are workers.
pub fn write_soon(outboxes: Vec<Arc<Outbox>>) {
    if outboxes.is_empty() {
        return;
    }
    let tasks = outboxes.len().div_ceil(TURN).min(Handle::current().metrics().num_workers());
    let shared = Arc::new((outboxes, AtomicUsize::new(0)));
    for _ in 0..tasks {
        let shared = shared.clone();
        tokio::spawn(async move {
            let (outboxes, next) = &*shared;
            while let Some(rest) =
                outboxes.get(next.fetch_add(TURN, Ordering::Relaxed)..).filter(|rest| !rest.is_empty())
            {
                rest.iter().take(TURN).for_each(|outbox| write_now(outbox));
                tokio::task::yield_now().await;
            }
        });
    }
}

/// Writes what waits as far as the socket takes it.
pub fn write_now(outbox: &Outbox) {
    let (Some(socket), Some(mut lent)) = (outbox.socket(), outbox.try_lend()) else { return };
    let written = write_batch(&mut lent.batch, |slices| socket.try_write_vectored(slices));
    drop(lent);
    // The rest, if there is any, is for the connection, which has been told by the return of what was lent.
    if written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
        outbox.end(Ending::Gone);
    }
}

fn write_batch(batch: &mut Batch, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
    while !batch.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let written = write(batch.slices(&mut slices))?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        batch.advance(written);
    }
    Ok(())
}

/// Sends what waits, all at once, until the connection is to end.
pub async fn write(sink: &mut (impl AsyncWrite + Unpin), outbox: &Outbox) -> Ending {
    loop {
        let mut lent = match outbox.lend().await {
            Ok(lent) => lent,
            Err(ending) => return ending,
        };
        let sent = tokio::select! {
            biased;
            sent = send(sink, &mut lent.batch) => sent,
            ending = outbox.broken_off() => Err(ending),
        };
        drop(lent);
        if let Err(ending) = sent {
            outbox.end(ending);
            return ending;
        }
    }
}

/// Sends what is left of a connection that has been ended.
///
/// # Errors
/// The client has gone.
pub async fn write_rest(sink: &mut (impl AsyncWrite + Unpin), outbox: &Outbox) -> Result<(), Ending> {
    // Somebody else may be writing still.
    while let Ok(mut lent) = outbox.lend().await {
        send(sink, &mut lent.batch).await?;
    }
    Ok(())
}

async fn send(sink: &mut (impl AsyncWrite + Unpin), batch: &mut Batch) -> Result<(), Ending> {
    while !batch.is_empty() {
        patiently(write_a_frame(sink, batch)).await?;
    }
    patiently(sink.flush()).await
}

/// Writes until another frame, at least, is done with.
async fn write_a_frame(sink: &mut (impl AsyncWrite + Unpin), batch: &mut Batch) -> io::Result<()> {
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let slices = batch.slices(&mut slices);
        let written = poll_fn(|cx| Pin::new(&mut *sink).poll_write_vectored(cx, slices)).await?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        if batch.advance(written) {
            return Ok(());
        }
    }
}

async fn patiently(sending: impl Future<Output = io::Result<()>>) -> Result<(), Ending> {
    tokio::select! {
        biased;
        sent = sending => sent.map_err(|_| Ending::Gone),
        // Made when it is needed, which is rare.
        () = async { sleep(PATIENCE).await } => Err(Ending::SlowConsumer),
    }
}
