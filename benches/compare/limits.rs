//! What there is without a product around it, in the process layout of one: this program, started once more as a server. A bare
//! WebSocket broadcast, a route that answers with bytes that are ready, one `insert_one`, and a raw change stream.

use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::serve::ListenerExt as _;
use mongodb::Client;
use mongodb::Collection;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, doc};
use parking_lot::RwLock;
use tokio::process::Command;
use tokio::sync::broadcast;

use super::booking::another;
use super::place;
use super::server::Server;

/// Argument that makes this program such a server.
pub const SERVE: &str = "--serve-limits";
/// Frames that may wait for one subscriber.
const WAITING: usize = 1_024;

struct Shared {
    frames: broadcast::Sender<Utf8Bytes>,
    bytes: RwLock<Bytes>,
    collection: Collection<Document>,
    model: OnceLock<Document>,
    turn: AtomicI32,
}

type Limits = Arc<Shared>;

pub async fn start(uri: &str, scratch: &Path) -> Server {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg(SERVE).arg(uri).arg(scratch.join("limits"));
    Server::start(command, "listening").await
}

/// Serves until it is killed.
pub async fn serve(uri: &str) {
    let client = Client::with_uri_str(place::pooled(uri)).await.expect("a good URI");
    let database = client.default_database().expect("the URI names a database");
    let shared = Arc::new(Shared {
        frames: broadcast::Sender::new(WAITING),
        bytes: RwLock::default(),
        collection: database.collection("appointments"),
        model: OnceLock::new(),
        turn: AtomicI32::new(0),
    });
    tokio::spawn(follow(shared.clone()));
    let routes = Router::new()
        .route("/broadcast", get(subscribe))
        .route("/publish", post(publish))
        .route("/bytes", get(async |State(shared): State<Limits>| shared.bytes.read().clone()))
        .route("/bytes", put(async |State(shared): State<Limits>, body: Bytes| *shared.bytes.write() = body))
        .route("/model", put(set_model))
        .route("/insert", post(insert))
        .with_state(shared);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("listening http://{}", listener.local_addr().expect("an address"));
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket takes its options"));
    axum::serve(listener, routes).await.expect("it serves");
}

async fn subscribe(State(shared): State<Limits>, upgrade: WebSocketUpgrade) -> Response {
    let mut frames = shared.frames.subscribe();
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Ok(frame) = frames.recv().await {
            if socket.send(Message::Text(frame)).await.is_err() {
                return;
            }
        }
    })
}

async fn publish(State(shared): State<Limits>, body: Bytes) -> StatusCode {
    match Utf8Bytes::try_from(body) {
        Ok(frame) => {
            let _nobody_or_told = shared.frames.send(frame);
            StatusCode::CREATED
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

async fn set_model(State(shared): State<Limits>, body: Bytes) -> StatusCode {
    let model = RawDocumentBuf::from_bytes(body.to_vec()).ok().and_then(|raw| Document::try_from(raw).ok());
    match model.map(|model| shared.model.set(model)) {
        Some(Ok(())) => StatusCode::CREATED,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Inserts the model with the start that the body tells.
async fn insert(State(shared): State<Limits>, body: String) -> StatusCode {
    let (Some(model), Ok(start)) = (shared.model.get(), body.parse::<jiff::Timestamp>()) else {
        return StatusCode::BAD_REQUEST;
    };
    let collection = shared.collection.clone();
    let mut next = another(model, 0, shared.turn.fetch_add(1, Ordering::Relaxed));
    next.insert("start", DateTime::from_millis(start.as_millisecond()));
    match collection.insert_one(next).await {
        Ok(_) => StatusCode::CREATED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Tells each change as soon as the stream has it.
async fn follow(shared: Limits) -> Result<Infallible, mongodb::error::Error> {
    let only = doc! { "$project": { "fullDocument.start": 1 } };
    let stream = shared.collection.watch().pipeline([only]).await?;
    let mut stream = stream.with_type::<RawDocumentBuf>();
    loop {
        let Some(event) = stream.next_if_any().await? else { continue };
        let document = event.get_document("fullDocument");
        let start = document.ok().and_then(|document| document.get_datetime("start").ok());
        let start = start.and_then(|start| jiff::Timestamp::from_millisecond(start.timestamp_millis()).ok());
        if let Some(start) = start {
            let _nobody_or_told = shared.frames.send(format!(r#"{{"start":"{start}"}}"#).into());
        }
    }
}
