//! The accept loop on a real socket, with bytes written by hand.

use std::sync::Arc;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

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
    start_with(None).await
}

async fn start_with(tls: Option<Arc<Tls>>) -> Running {
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
    let short = Duration::from_millis(300);
    let limits = Limits { head_timeout: short, handshake_timeout: short, ..Limits::default() };
    tokio::spawn(serve(listener, tls, router, limits, shutdown.clone(), tasks.clone()));
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
    let limits = Limits::default();
    assert!(limits.head_timeout.max(limits.handshake_timeout) <= Duration::from_secs(10), "shorter here, to be quick");
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

/// A server with a certificate, and what its clients trust.
async fn start_encrypted() -> (Running, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(vec!["citas.example".to_owned()]).expect("a certificate");
    let place = std::env::temp_dir().join(format!("cita-server-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&place).expect("a directory");
    let (cert, key) = (place.join("cert.pem"), place.join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).expect("a file");
    std::fs::write(&key, pair.signing_key.serialize_pem()).expect("a file");
    let tls = Tls::open(&cert, &key).expect("a good pair");
    std::fs::remove_dir_all(place).expect("the files were read");
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trust = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let trust = trust.expect("versions").with_root_certificates(roots).with_no_client_auth();
    (start_with(Some(Arc::new(tls))).await, TlsConnector::from(Arc::new(trust)))
}

async fn get_encrypted(server: &Running, trust: &TlsConnector) -> String {
    let stream = TcpStream::connect(server.address).await.expect("the server listens");
    let name = "citas.example".try_into().expect("a name");
    let mut stream = trust.connect(name, stream).await.expect("a handshake");
    stream.write_all(&get_with("")).await.expect("it is taken");
    let mut answer = String::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.expect("the server closes");
    read.expect("with a farewell");
    answer
}

#[tokio::test]
async fn a_slow_handshake_is_cut_and_keeps_nobody_waiting() {
    let (server, trust) = start_encrypted().await;
    let began = Instant::now();
    let mut slow = Vec::new();
    // Nothing at all; a part of a hello; HTTP without TLS, which is refused at once.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        for _ in 0..20 {
            slow.push(write(&server, bytes).await);
        }
    }
    assert!(get_encrypted(&server, &trust).await.starts_with("HTTP/1.1 200"), "others are served meanwhile");
    for stream in slow {
        let answer = read(stream).await;
        assert!(!answer.contains("HTTP"), "{answer}");
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    // After the handshake the head has its time, as it has without TLS.
    let stream = TcpStream::connect(server.address).await.expect("the server listens");
    let mut idle = trust.connect("citas.example".try_into().expect("a name"), stream).await.expect("a handshake");
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(4), idle.read_to_end(&mut rest)).await.expect("the server closes");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let (server, trust) = start_encrypted().await;
    let _silent = write(&server, b"").await;
    assert!(get_encrypted(&server, &trust).await.starts_with("HTTP/1.1 200"));
    server.shutdown.cancel();
    server.tasks.close();
    timeout(Duration::from_secs(2), server.tasks.wait()).await.expect("every connection has ended");
}

#[tokio::test]
async fn no_more_are_let_in_than_there_are_places() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let limits = Limits { connections: 2, ..Limits::default() };
    let router = Router::new().route("/", get(|| async { "ok" }));
    tokio::spawn(serve(listener, None, router, limits, CancellationToken::new(), TaskTracker::new()));
    let connect = async || TcpStream::connect(address).await.expect("the operating system takes it");
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is taken");
        timeout(Duration::from_millis(300), stream.read_u8()).await.map(|byte| byte.expect("an answer"))
    };
    let (mut first, mut second, mut third) = (connect().await, connect().await, connect().await);
    assert_eq!((ask(&mut first).await, ask(&mut second).await), (Ok(b'H'), Ok(b'H')));
    ask(&mut third).await.expect_err("it waits");
    drop(first);
    let answered = timeout(Duration::from_secs(5), third.read_u8()).await.expect("it is let in");
    assert_eq!(answered.expect("an answer"), b'H');
}
