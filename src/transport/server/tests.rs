//! The accept loop on a real socket, with bytes written by hand.

use std::sync::Arc;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::*;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// `/slow` has been asked.
    asked: Arc<Notify>,
    /// Lets `/slow` answer.
    go: Arc<Notify>,
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&go));
    let slow = move || async move {
        tell.notify_one();
        wait.notified().await;
        "slow"
    };
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    let router = Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/peer", get(peer))
        .route("/slow", get(slow))
        .route("/echo", post(|body: String| async { body }));
    let limits = Limits { head_timeout: Duration::from_millis(300), ..Limits::default() };
    tokio::spawn(serve(listener, router, limits, shutdown.clone(), tasks.clone()));
    Running { address, shutdown, tasks, asked, go }
}

async fn write(server: &Running, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("the server listens");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    stream
}

async fn read(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn status(server: &Running, bytes: &[u8]) -> String {
    let answer = read(write(server, bytes).await).await;
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}

fn get_with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

#[tokio::test]
async fn heads_are_limited() {
    let server = start().await;
    assert_eq!(status(&server, &get_with("")).await, "200");
    assert_eq!(status(&server, &get_with(&"A: b\r\n".repeat(99))).await, "431");
    assert_eq!(status(&server, &get_with(&format!("A: {}\r\n", "b".repeat(450_000)))).await, "431");
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000));
    let refused = status(&server, long_path.as_bytes()).await;
    assert!(matches!(refused.as_str(), "414" | "431"), "{refused}");
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = start().await;
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    ] {
        let found = status(&server, bytes).await;
        assert!(found == "400" || found == "closed", "{found}: {}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_slow_head_is_cut_and_an_idle_connection_too() {
    let server = start().await;
    let started = Instant::now();
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        read(write(&server, bytes).await).await;
    }
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn the_peer_is_known() {
    let server = start().await;
    let answer = read(write(&server, b"GET /peer HTTP/1.0\r\n\r\n").await).await;
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn what_is_in_flight_finishes() {
    let server = start().await;
    let idle = write(&server, b"").await;
    let slow = write(&server, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.asked.notified().await;
    // The answer can only come after the stop.
    server.shutdown.cancel();
    assert_eq!(read(idle).await, "");
    server.tasks.close();
    assert_eq!(server.tasks.len(), 1);
    server.go.notify_one();
    assert!(read(slow).await.ends_with("slow"));
    timeout(Duration::from_secs(5), server.tasks.wait()).await.expect("every connection has ended");
    assert!(TcpStream::connect(server.address).await.is_err());
}
