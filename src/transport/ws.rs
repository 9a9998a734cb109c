//! `GET /v1/ws`: the handshake, and a socket's two directions. What is said over it is for the session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use cita_protocol::frame::CloseCode;
use cita_protocol::{BEARER_SUBPROTOCOL_PREFIX, ErrorCode, Problem, SUBPROTOCOL};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::auth::Caller;
use super::cookies::Found;
use super::problem::Refused;
use super::socket::{Ear, SharedSocket};
use super::stalled::Stalling;
use super::{Shared, State, auth, meters};
use crate::domain::account::Viewer;
use crate::domain::peer::Peer;
use crate::live::outbox::{Ending, Outbox};
use crate::live::subscriptions::SUBSCRIPTION_BYTES;
use crate::live::writer::{write, write_rest};
use crate::session::connection::Session;
use crate::session::{Limits, call};

/// What a socket reads at once. The default of 128 KiB would be most of what an idle connection costs.
const READ_BUFFER: usize = 1024;
/// How long a client has to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A WebSocket that reads from the client and writes to the outbox.
type Socket<R> = WebSocketStream<Ear<R>>;

/// What a socket may take at all its bounds at once, in bytes: what is being read, requests that are not answered yet, what waits
/// to be sent and what is being sent (changes, and of replies as much), and subscriptions. TLS has buffers of its own.
#[must_use]
pub const fn most_bytes(limits: &Limits) -> usize {
    let reading = READ_BUFFER + limits.message_bytes;
    let asked = limits.in_flight * limits.message_bytes;
    let (waiting, sending) = (2 * limits.backlog_bytes, 2 * limits.backlog_bytes);
    reading + asked + waiting + sending + limits.subscriptions * SUBSCRIPTION_BYTES
}

/// Who connects, or which frame closes the socket right after the handshake: a browser cannot read a refused one.
type Credentials = Result<Viewer, Ending>;

/// Answers the handshake.
pub async fn upgrade(
    Extract(state): Extract<Shared>,
    Caller { viewer, peer, .. }: Caller,
    mut request: Request,
) -> Result<Response, Refused> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let head = Request::from_parts(head, ());
    let mut response = create_response(&head).map_err(|error| {
        Problem::new(ErrorCode::MalformedMessage).with_detail(format!("No WebSocket handshake: {error}."))
    })?;
    let offered = subprotocols(head.headers());
    if !offered.is_empty() {
        if !offered.contains(&SUBPROTOCOL) {
            let detail = format!("Offer the subprotocol {SUBPROTOCOL}.");
            return Err(Problem::new(ErrorCode::MalformedMessage).with_detail(detail).into());
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let credentials = credentials(&state, viewer, peer, &offered, head.headers()).await?;
    let (rate, admitted) = state.services()?.limiter.check_handshake(credentials.as_ref().ok(), peer);
    admitted.map_err(|problem| Refused::limited(problem, Some(rate)))?;
    // After their own limits: nobody takes the places of all the others.
    state.services()?.admission.admit().inspect_err(|_| meters::turned_away())?;
    let limit = Some(state.services()?.limits.message_bytes);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // What it says by itself it says at once.
        .write_buffer_size(0)
        .max_message_size(limit)
        .max_frame_size(limit);
    let tasks = state.tasks.clone();
    tasks.spawn(open(state, upgrade, config, credentials, peer));
    Ok(response.map(|()| Body::empty()))
}

/// The first that is found counts: the header, which made `viewer`, then the subprotocol, then the cookie, then nobody.
async fn credentials(
    state: &State,
    viewer: Viewer,
    peer: Peer,
    offered: &[&str],
    headers: &HeaderMap,
) -> Result<Credentials, Refused> {
    if viewer != Viewer::Anonymous {
        return Ok(Ok(viewer));
    }
    let token = match offered.iter().find_map(|offer| offer.strip_prefix(BEARER_SUBPROTOCOL_PREFIX)) {
        Some(token) => token,
        None => match state.cookies.access(headers) {
            Found::Nothing => return Ok(Ok(Viewer::Anonymous)),
            _ if !state.origins.allow(headers) => return Err(auth::untrusted().into()),
            Found::Unclear => return Ok(Err(Ending::TokenInvalid)),
            Found::One(token) => token,
        },
    };
    let (rate, viewer) = call::authenticate(state.services()?, token, peer).await;
    match viewer {
        Ok(viewer) => Ok(Ok(viewer)),
        Err(problem) => match problem.code {
            ErrorCode::SessionRevoked => Ok(Err(Ending::SessionRevoked)),
            ErrorCode::TokenExpired | ErrorCode::Unauthenticated => Ok(Err(Ending::TokenInvalid)),
            _ => Err(Refused::limited(problem, rate)),
        },
    }
}

fn subprotocols(headers: &HeaderMap) -> Vec<&str> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|offer| !offer.is_empty()).collect()
}

/// Serves a socket, once it is one.
async fn open(
    state: Shared,
    upgrade: OnUpgrade,
    config: WebSocketConfig,
    credentials: Credentials,
    peer: Peer,
) -> Option<()> {
    // Fails only for a client that has gone.
    let upgraded = upgrade.await.ok()?;
    match upgraded.downcast::<TokioIo<Stalling<TcpStream>>>() {
        Ok(Parts { io, read_buf, .. }) => {
            let (socket, place) = io.into_inner().into_parts();
            let socket = Arc::new(socket);
            let (read, write) = (SharedSocket(socket.clone()), SharedSocket(socket.clone()));
            let line = Line { write, read, early: read_buf, config };
            serve(&state, line, Some(socket), credentials, peer).await;
            drop(place);
        }
        Err(upgraded) => {
            let (read, write) = tokio::io::split(TokioIo::new(upgraded));
            serve(&state, Line { write, read, early: Bytes::new(), config }, None, credentials, peer).await;
        }
    }
    Some(())
}

/// The two directions of a socket.
struct Line<R, W> {
    read: R,
    write: W,
    /// What came right behind the handshake.
    early: Bytes,
    config: WebSocketConfig,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Line<R, W> {
    async fn socket(self, outbox: &Arc<Outbox>) -> (Socket<R>, W) {
        let ear = Ear { read: self.read, outbox: outbox.clone() };
        let config = Some(self.config);
        // A copy: it is a piece of the buffer that HTTP was read into, all 8 KiB of which would stay with the connection.
        let early = self.early.to_vec();
        (WebSocketStream::from_partially_read(ear, early, Role::Server, config).await, self.write)
    }
}

async fn serve(
    state: &State,
    line: Line<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    direct: Option<Arc<TcpStream>>,
    credentials: Credentials,
    peer: Peer,
) {
    let Ok(services) = state.services() else { return };
    let viewer = match credentials {
        Ok(viewer) => viewer,
        Err(ending) => {
            let outbox = Arc::new(Outbox::new(0));
            outbox.end(ending);
            let (mut socket, mut sink) = line.socket(&outbox).await;
            return say_goodbye(&mut socket, &mut sink, &outbox, ending).await;
        }
    };
    let began = Instant::now();
    let user = viewer.user();
    let session = Session::open(services, viewer, peer);
    let outbox = session.outbox();
    if let Some(direct) = &direct {
        outbox.attach(direct);
    }
    let (mut socket, mut sink) = line.socket(outbox).await;
    let ending = tokio::select! {
        ending = write(&mut sink, outbox) => ending,
        () = read(&mut socket, &session) => Ending::Gone,
        // These only say that the connection is to end; the writer tells the client.
        never = async {
            tokio::join!(session.keep(), session.drain_on(&state.shutdown, &state.cut));
            std::future::pending::<Ending>().await
        } => never,
    };
    session.close();
    say_goodbye(&mut socket, &mut sink, outbox, ending).await;
    let seconds = began.elapsed().as_secs();
    let user = user.map(tracing::field::display);
    tracing::info!(connection = session.number(), user, ?ending, seconds, "websocket closed");
}

/// Closes the connection in order: a close frame after whatever has begun, and the client's answer to it.
async fn say_goodbye<R: AsyncRead + Unpin>(
    socket: &mut Socket<R>,
    sink: &mut (impl AsyncWrite + Unpin),
    outbox: &Outbox,
    ending: Ending,
) {
    if ending == Ending::Gone {
        // Where it was the client who has closed, its close is answered.
        let _gone_or_told = timeout(CLOSE_PATIENCE, write_rest(sink, outbox)).await;
        return;
    }
    // Both go to the outbox, which takes everything.
    let _closing = socket.send(close_frame(ending)).await;
    let told = async {
        write_rest(sink, outbox).await?;
        finish(socket).await;
        write_rest(sink, outbox).await
    };
    let _told_or_not = timeout(CLOSE_PATIENCE, told).await;
}

/// Hands on what comes, until the client leaves. A frame that breaks the rules ends the connection through the outbox.
async fn read<R: AsyncRead + Unpin>(socket: &mut Socket<R>, session: &Arc<Session>) {
    let ending = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => session.receive(&text).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => session.heard(),
            Some(Ok(Message::Binary(_))) => break Ending::Binary,
            Some(Ok(Message::Close(_))) => return finish(socket).await,
            Some(Ok(Message::Frame(_))) => {}
            None => return,
            Some(Err(error)) => match broken(&error) {
                Some(ending) => break ending,
                None => return,
            },
        }
        // Whatever it was may have an answer: a flood waits until that is taken.
        session.outbox().has_room().await;
    };
    session.outbox().end(ending);
    std::future::pending().await
}

/// Reads until the connection ends: that is how a close frame is answered, or its answer awaited.
async fn finish<R: AsyncRead + Unpin>(socket: &mut Socket<R>) {
    let end = async { while socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
    let _ended_or_not = timeout(CLOSE_PATIENCE, end).await;
}

/// What a client did wrong; `None` when it has just gone.
fn broken(error: &WsError) -> Option<Ending> {
    match error {
        WsError::Capacity(_) => Some(Ending::TooLarge),
        WsError::Utf8(_) => Some(Ending::NotUtf8),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(_) => Some(Ending::Protocol),
        _ => None,
    }
}

fn close_frame(ending: Ending) -> Message {
    let (code, reason) = match close_code(ending) {
        Some(code) => (code.code(), code.reason()),
        None => (1000, ""),
    };
    Message::Close(Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) }))
}

fn close_code(ending: Ending) -> Option<CloseCode> {
    Some(match ending {
        Ending::Drain => CloseCode::Drain,
        Ending::SlowConsumer => CloseCode::SlowConsumer,
        Ending::Silent => CloseCode::Silent,
        Ending::Lost => CloseCode::Lost,
        Ending::TokenInvalid => CloseCode::TokenInvalid,
        Ending::SessionRevoked | Ending::LoggedOut => CloseCode::SessionRevoked,
        Ending::Violation => CloseCode::Violation,
        Ending::Binary => CloseCode::Binary,
        Ending::NotUtf8 => CloseCode::NotUtf8,
        Ending::Protocol => CloseCode::Protocol,
        Ending::TooLarge => CloseCode::TooLarge,
        Ending::Gone => return None,
    })
}
