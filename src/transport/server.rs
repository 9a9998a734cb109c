//! The accept loop. axum's own has no time-out for the head of a request and does not limit its size.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::limits::Limits;
use super::meters;
use super::stalled::{Place, Stalling};
use super::tls::Tls;

/// After an error that is not the client's, such as no file descriptors left: others may be closed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often it is said that there are no places left.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Serves, over TLS where there is a certificate, until `shutdown`, then returns at once. Connections finish what they are at, in `tasks`, and take nothing new;
/// the caller says how long it waits for them.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
    tasks: TaskTracker,
) {
    let builder = builder(&limits);
    let mut door = Door { listener, places: Arc::new(Semaphore::new(limits.connections)), told: None };
    while let Some(accepted) = shutdown.run_until_cancelled(door.accept()).await {
        match accepted {
            Ok((stream, peer, place)) => {
                let place = Place { counted: Some(meters::connected()), permit: Some(place) };
                let stream = Stalling::new(quick(stream), limits.write_timeout, place);
                let (builder, router, shutdown) = (builder.clone(), router.clone(), shutdown.clone());
                match &tls {
                    None => tasks.spawn(connection(builder, stream, peer, router, shutdown)),
                    Some(tls) => {
                        let greeting = handshake(tls.acceptor(), stream, limits.handshake_timeout);
                        tasks.spawn(async move {
                            // Nothing is under way before it: a stop does not wait for it.
                            if let Some(Some(stream)) = shutdown.run_until_cancelled(greeting).await {
                                connection(builder, stream, peer, router, shutdown).await;
                            }
                        })
                    }
                };
            }
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                meters::not_accepted();
                tracing::error!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Lets in no more than there are places for. Who has to wait does so in the operating system.
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    /// When it was last said that there are none.
    told: Option<Instant>,
}

impl Door {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                meters::not_accepted();
                self.complain();
                self.places.clone().acquire_owned().await.map_err(io::Error::other)?
            }
        };
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, place))
    }

    fn complain(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() > COMPLAIN_EVERY) {
            self.told = Some(Instant::now());
            tracing::error!("as many connections as there may be: others wait until one ends (raise `ulimit -n`)");
        }
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(8 * 1024) * 2);
    builder
}

/// Small frames go out at once. A socket for which this fails is gone, which the first read tells.
fn quick(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

/// Errors of `accept` that are about one client who has left already.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The TLS handshake, which a client has to finish in time.
async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: TlsAcceptor,
    stream: S,
    limit: Duration,
) -> Option<TlsStream<S>> {
    match timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            meters::no_handshake(false);
            tracing::debug!(%error, "no TLS handshake");
            None
        }
        Err(_) => {
            meters::no_handshake(true);
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    builder: http1::Builder,
    stream: S,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // What the client did wrong or the network broke; the peer's address is personal data.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;
