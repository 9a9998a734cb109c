//! `GET /v1/ws`: the handshake, and a socket's two directions. What is said over it is for the session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State as Extract;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use cita_protocol::frame::CloseCode;
use cita_protocol::{BEARER_SUBPROTOCOL_PREFIX, ErrorCode, Problem, SUBPROTOCOL};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::cookies::Found;
use super::problem::Refused;
use super::{Shared, State, auth, meters};
use crate::domain::account::Viewer;
use crate::domain::peer::Peer;
use crate::live::outbox::{Ending, Frame, Outbox};
use crate::live::subscriptions::SUBSCRIPTION_BYTES;
use crate::session::connection::Session;
use crate::session::{Limits, call};

/// What a socket reads at once. The default of 128 KiB would be most of what an idle connection costs.
const READ_BUFFER: usize = 1024;
const WRITE_BUFFER: usize = 16 * 1024;
/// A client that does not take one frame in this time is too slow.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);
/// How long a client has to answer a close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What a socket may take at all its bounds at once, in bytes: what is being read, requests that are not answered yet, what waits
/// to be sent and what is being sent (changes, and of replies as much), and subscriptions. TLS has buffers of its own.
#[must_use]
pub const fn most_bytes(limits: &Limits) -> usize {
    let reading = READ_BUFFER + limits.message_bytes;
    let asked = limits.in_flight * limits.message_bytes;
    let (waiting, sending) = (2 * limits.backlog_bytes, 2 * limits.backlog_bytes + WRITE_BUFFER);
    reading + asked + waiting + sending + limits.subscriptions * SUBSCRIPTION_BYTES
}

/// Who connects, or which frame closes the socket right after the handshake: a browser cannot read a refused one.
type Credentials = Result<Viewer, Ending>;

/// Answers the handshake.
pub async fn upgrade(
    Extract(state): Extract<Shared>,
    Extension(viewer): Extension<Viewer>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(ErrorCode::MalformedMessage).with_detail(format!("No WebSocket handshake: {rejection}."))
    })?;
    let offered = subprotocols(&headers);
    if !offered.is_empty() && !offered.contains(&SUBPROTOCOL) {
        let detail = format!("Offer the subprotocol {SUBPROTOCOL}.");
        return Err(Problem::new(ErrorCode::MalformedMessage).with_detail(detail).into());
    }
    let credentials = credentials(&state, viewer, peer, &offered, &headers).await?;
    let (rate, admitted) = state.services()?.limiter.check_handshake(credentials.as_ref().ok(), peer);
    admitted.map_err(|problem| Refused::limited(problem, Some(rate)))?;
    // After their own limits: nobody takes the places of all the others.
    state.services()?.admission.admit().inspect_err(|_| meters::turned_away())?;
    let (limits, tasks) = (state.services()?.limits, state.tasks.clone());
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes);
    Ok(upgrade.on_upgrade(move |socket| {
        tasks.track_future(async move {
            match credentials {
                Ok(viewer) => serve(&state, socket, viewer, peer).await,
                Err(ending) => turn_away(socket, ending).await,
            }
        })
    }))
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

async fn turn_away(mut socket: WebSocket, ending: Ending) {
    let _gone_or_told = timeout(CLOSE_PATIENCE, socket.send(close_frame(ending))).await;
    let _answered_or_not =
        timeout(CLOSE_PATIENCE, async { while socket.next().await.is_some_and(|frame| frame.is_ok()) {} }).await;
}

async fn serve(state: &State, socket: WebSocket, viewer: Viewer, peer: Peer) {
    let Ok(services) = state.services() else { return };
    let began = Instant::now();
    let user = viewer.user();
    let session = Session::open(services, viewer, peer);
    let (mut sink, mut stream) = socket.split();
    let ending = tokio::select! {
        ending = write(&mut sink, session.outbox()) => ending,
        () = read(&mut stream, &session) => Ending::Gone,
        // These only say that the connection is to end; the writer tells the client.
        never = async {
            tokio::join!(session.keep(), session.drain_on(&state.shutdown, &state.cut));
            std::future::pending::<Ending>().await
        } => never,
    };
    session.close();
    if ending != Ending::Gone {
        finish(&mut stream).await;
    }
    let seconds = began.elapsed().as_secs();
    let user = user.map(tracing::field::display);
    tracing::info!(connection = session.number(), user, ?ending, seconds, "websocket closed");
}

/// Sends what waits, all at once, until the connection is to end.
async fn write(sink: &mut SplitSink<WebSocket, Message>, outbox: &Outbox) -> Ending {
    loop {
        match outbox.take().await {
            Ok(frames) => {
                let sent = tokio::select! {
                    sent = send(sink, frames) => sent,
                    ending = outbox.broken_off() => Err(ending),
                };
                if let Err(ending) = sent {
                    outbox.end(ending);
                    return say_goodbye(sink, ending).await;
                }
            }
            Err(ending) => return say_goodbye(sink, ending).await,
        }
    }
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, frames: VecDeque<Frame>) -> Result<(), Ending> {
    for frame in frames {
        // Frames are made of strings: this cannot fail, and a frame that is none would not be sent.
        if let Ok(text) = Utf8Bytes::try_from(frame.text()) {
            patiently(sink.feed(Message::Text(text))).await?;
        }
    }
    patiently(sink.flush()).await
}

async fn patiently(sending: impl Future<Output = Result<(), axum::Error>>) -> Result<(), Ending> {
    match timeout(WRITE_PATIENCE, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Gone),
        Err(_) => Err(Ending::SlowConsumer),
    }
}

async fn say_goodbye(sink: &mut SplitSink<WebSocket, Message>, ending: Ending) -> Ending {
    if ending != Ending::Gone {
        let _gone_or_told = timeout(CLOSE_PATIENCE, sink.send(close_frame(ending))).await;
    }
    ending
}

/// Hands on what comes, until the client leaves. A frame that breaks the rules ends the connection through the outbox.
async fn read(stream: &mut SplitStream<WebSocket>, session: &Arc<Session>) {
    let ending = loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => session.receive(&text).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => session.heard(),
            Some(Ok(Message::Binary(_))) => break Ending::Binary,
            Some(Ok(Message::Close(_))) => return finish(stream).await,
            None => return,
            Some(Err(error)) => match broken(error) {
                Some(ending) => break ending,
                None => return,
            },
        }
    };
    session.outbox().end(ending);
    std::future::pending().await
}

/// Reads until the connection ends: that is how a close frame is answered, or its answer awaited.
async fn finish(stream: &mut SplitStream<WebSocket>) {
    let end = async { while stream.next().await.is_some_and(|frame| frame.is_ok()) {} };
    let _ended_or_not = timeout(CLOSE_PATIENCE, end).await;
}

/// What a client did wrong; `None` when it has just gone.
fn broken(error: axum::Error) -> Option<Ending> {
    match error.into_inner().downcast_ref::<WsError>()? {
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
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
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
