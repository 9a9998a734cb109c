//! The dashboard as it is served: its pages, its files, and what the browser is told about them.

use std::sync::Arc;

use bytes::Bytes;
use cita::clock::Clock;
use cita::transport::cookies::CookieNames;
use cita::transport::dashboard::Files;
use cita::transport::forwarded::TrustedProxies;
use cita::transport::origins::Origins;
use cita::transport::{State, routes, server};
use reqwest::header::HeaderMap;
use rust_embed::RustEmbed;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

use crate::harness::clinic::{Clinic, PASSWORD, PRODUCTION};
use crate::harness::rest::{Rest, address, client, raw};
use crate::harness::socket::{Heard, Socket};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const SCRIPT: &str = "/assets/index-DiwrgTda.js";

/// Files like those that a build leaves.
#[derive(RustEmbed)]
#[folder = "tests/rest/dist"]
struct Fixture;

/// The doors of a node that has not reached its databases: the dashboard needs none.
struct Starting {
    url: String,
    _stop: DropGuard,
}

async fn starting(files: Files) -> Starting {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origins = Origins::new(&["https://other.example".parse().unwrap()], None, Some(address.port()), false);
    let mut state = State::new(Clock, CookieNames::new(false), origins, TrustedProxies::default());
    state.dashboard.files = files;
    let (limits, shutdown, tasks) = (state.limits.clone(), state.shutdown.clone(), state.tasks.clone());
    let stop = shutdown.clone().drop_guard();
    tokio::spawn(server::serve(listener, None, routes::router(Arc::new(state)), limits, shutdown, tasks));
    Starting { url: format!("http://{address}"), _stop: stop }
}

/// An answer whose body need not be text.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        assert!(self.headers.get_all(name).iter().count() < 2, "{name} is there twice");
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn send(node: &Starting, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = client().request(method.parse().unwrap(), format!("{}{path}", node.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: response.bytes().await.unwrap() }
}

async fn get(node: &Starting, path: &str, headers: &[(&str, &str)]) -> Got {
    send(node, "GET", path, headers).await
}

fn fixture(path: &str) -> Bytes {
    Bytes::from(Fixture::get(path).unwrap_or_else(|| panic!("{path} is no fixture")).data.into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_of_the_dashboard_is_its_page() {
    let node = starting(Fixture::get).await;
    let page = fixture("index.html");
    for path in ["/", "/doctors", "/doctors/01a2036b-c0a8/es", "/verify-email", "/reset-password?x", "/v1x", "/a.b"] {
        let got = get(&node, path, &[HTML]).await;
        assert_eq!((got.status, got.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(got.body, page, "{path}");
        let head = send(&node, "HEAD", path, &[HTML]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), page.len().to_string(), "{path}");
        assert_eq!(head.header("etag"), got.header("etag"), "{path}");
    }
    assert_eq!(get(&node, "/", &[]).await.body, page, "whatever it is asked for with");
    // What asks for no page is not given one. The node is starting: what is not a file is not known yet.
    for accept in ["*/*", "application/json", "text/html;q=0", "image/avif,image/webp,*/*"] {
        let got = get(&node, "/doctors", &[("accept", accept)]).await;
        assert_eq!((got.status, got.header("content-type")), (503, "application/problem+json"), "{accept}");
    }
    for path in ["/v1/nowhere", "/docs/", "/assets/nowhere.js", "/assets/", "/.well-known/x", "/openapi.json"] {
        let got = get(&node, path, &[HTML]).await;
        assert_eq!((got.status, got.header("content-type")), (503, "application/problem+json"), "{path}");
    }
    assert_eq!(send(&node, "POST", "/doctors", &[HTML]).await.status, 503);
    assert_eq!(send(&node, "POST", "/", &[HTML]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_the_api_is_answered_by_it() {
    let clinic = Clinic::open().await;
    let rest = Rest { url: clinic.url(), token: None };
    for path in
        ["/v1", "/v1/", "/v1/nowhere", "/docs/nowhere", "/.well-known/x", "/livez/", "/readyz/x", "/assets/x.js"]
    {
        let answer = rest.send("GET", path, &[HTML], None).await;
        assert_eq!(answer.code().as_deref(), Some("not_found"), "{path}");
    }
    for (method, path) in [("GET", "/nowhere"), ("HEAD", "/nowhere"), ("POST", "/nowhere"), ("DELETE", "/sw.js")] {
        let answer = rest.send(method, path, &[], None).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, "application/problem+json"), "{method}");
    }
    assert_eq!(rest.send("POST", "/", &[], None).await.code().as_deref(), Some("method_not_allowed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_told_what_a_page_may_do() {
    let node = starting(Fixture::get).await;
    let port = node.url.rsplit(':').next().unwrap();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self' ws://localhost:{port} ws://127.0.0.1:{port}; manifest-src 'self'; worker-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // A worker has the policy of its script.
    for path in ["/", "/doctors", "/sw.js", SCRIPT] {
        let got = get(&node, path, &[HTML]).await;
        for (name, value) in [
            ("content-security-policy", policy.as_str()),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(got.header(name), value, "{path}");
        }
        assert!(got.header("permissions-policy").contains("camera=()"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_what_it_is_and_asked_for_again_only_when_it_may_change() {
    let node = starting(Fixture::get).await;
    let (hashed, other) = ("public, max-age=31536000, immutable", "no-cache");
    for (path, cache, content_type) in [
        ("/", other, "text/html; charset=utf-8"),
        ("/index.html", other, "text/html; charset=utf-8"),
        ("/sw.js", other, "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", other, "application/manifest+json"),
        ("/icon.svg", other, "image/svg+xml"),
        ("/icon-192.png", other, "image/png"),
        (SCRIPT, hashed, "text/javascript; charset=utf-8"),
    ] {
        let got = get(&node, path, &[]).await;
        assert_eq!((got.status, got.header("content-type")), (200, content_type), "{path}");
        assert_eq!((got.header("cache-control"), got.header("vary")), (cache, "accept-encoding"), "{path}");
        let tag = got.header("etag").to_owned();
        assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{path}: a strong tag: {tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get(&node, path, &[("if-none-match", &known)]).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{path} {known}");
            assert_eq!((again.header("etag"), again.header("cache-control")), (tag.as_str(), cache), "{path}");
        }
        assert_eq!(get(&node, path, &[("if-none-match", "\"other\"")]).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_packed_is_sent_packed_to_those_who_unpack_it() {
    let node = starting(Fixture::get).await;
    for (path, file) in [("/", "index.html"), ("/doctors", "index.html"), (SCRIPT, &SCRIPT[1..])] {
        let plain = get(&node, path, &[HTML]).await;
        let mut tags = vec![plain.header("etag").to_owned()];
        for (accepted, coding, ending) in [
            ("gzip, deflate, br, zstd", "br", ".br"),
            ("br;q=0.1, gzip", "br", ".br"),
            ("gzip, br;q=0", "gzip", ".gz"),
            ("GZIP", "gzip", ".gz"),
            ("identity", "", ""),
            ("deflate, zstd", "", ""),
        ] {
            let got = get(&node, path, &[HTML, ("accept-encoding", accepted)]).await;
            assert_eq!((got.status, got.header("content-encoding")), (200, coding), "{path} {accepted}");
            assert_eq!(got.header("content-type"), plain.header("content-type"), "{path} {accepted}");
            assert_eq!(got.header("vary"), "accept-encoding");
            assert_eq!(got.body, fixture(&format!("{file}{ending}")), "{path} {accepted}");
            tags.push(got.header("etag").to_owned());
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 3, "one for each coding: {tags:?}");
    }
    let icon = get(&node, "/icon.svg", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(icon.header("content-encoding"), "", "it is not packed");
    assert_eq!(icon.body, fixture("icon.svg"));
    for packed in ["/index.html.br", "/assets/index-DiwrgTda.js.gz", "/assets/index-DiwrgTda.js.br"] {
        assert_eq!(get(&node, packed, &[]).await.status, 503, "{packed} is no file of its own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outside_of_its_directory_is_read() {
    let node = starting(Fixture::get).await;
    for path in [
        "/../../../Cargo.toml",
        "/assets/../../../../Cargo.toml",
        "/assets/../index.html",
        "/..%2f..%2f..%2fCargo.toml",
        "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/Cargo.toml",
        "/assets/..%5c..%5c..%5c..%5cCargo.toml",
        "/assets/..\\..\\..\\..\\Cargo.toml",
        "//etc/passwd",
        "/assets//etc/passwd",
        "/assets//index-DiwrgTda.js",
        "/./sw.js",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address(&node.url));
        let answer = raw(&node.url, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_build_the_page_says_how_to_make_one() {
    let node = starting(|_| None).await;
    for path in ["/", "/doctors"] {
        let got = get(&node, path, &[HTML]).await;
        assert_eq!((got.status, got.header("content-type")), (404, "text/plain; charset=utf-8"), "{path}");
        assert_eq!(got.header("cache-control"), "no-store", "{path}");
        let text = String::from_utf8(got.body.to_vec()).unwrap();
        assert!(text.contains("cargo xtask up") && text.contains("/docs/"), "{text}");
    }
    assert_eq!(get(&node, SCRIPT, &[HTML]).await.status, 503);
}

/// Who logs in on a page of this origin, with a cookie and over the WebSocket.
async fn uses(clinic: &Clinic, origin: &str) {
    let rest = Rest { url: clinic.url(), token: None };
    let person = clinic.patient().await;
    let data = json!({ "email": person.email, "password": PASSWORD, "session": "cookie" });
    let begun = rest.send("POST", "/v1/auth/login", &[("origin", origin)], Some(&data)).await;
    assert_eq!(begun.code(), None, "{origin}: {begun:?}");
    let cookies = begun.headers.get_all("set-cookie").iter();
    let cookies: Vec<_> = cookies.map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect();
    let (shown, known) = (cookies.join("; "), Some(json!(person.id)));
    let token = begun.json()["accessToken"].as_str().unwrap().to_owned();
    let bearer = format!("cita.v1, bearer.{token}");
    for protocols in ["cita.v1", &bearer] {
        let headers = [("origin", origin), ("cookie", shown.as_str()), ("sec-websocket-protocol", protocols)];
        let mut socket = Socket::open_at(clinic.url(), "/v1/ws", &headers).await.expect("a handshake");
        let Heard::Frame(hello) = socket.hear().await else { panic!("{origin} {protocols}: closed") };
        assert_eq!(hello["data"]["user"].get("id").cloned(), known, "{origin} {protocols}");
    }
    let fresh = rest.send("POST", "/v1/auth/refresh", &[("origin", origin), ("cookie", &shown)], None).await;
    assert_eq!(fresh.code(), None, "{origin}: {fresh:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_pages_need_not_be_named() {
    let clinic = Clinic::open_with(&["--public-url", "http://192.0.2.7:9000/"]).await;
    let port = clinic.url().rsplit(':').next().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        uses(&clinic, &format!("http://{host}:{port}")).await;
    }
    uses(&clinic, "http://192.0.2.7:9000").await;
    let production = Clinic::open_with(&PRODUCTION).await;
    uses(&production, "https://citas.prueba.example").await;
    let page = Rest { url: production.url(), token: None }.send("GET", "/", &[], None).await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("connect-src 'self' wss://citas.prueba.example;"), "{policy}");
}
