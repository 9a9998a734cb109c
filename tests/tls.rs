//! The public door with a certificate of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use reqwest::{Certificate, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::harness::clinic::{Clinic, PASSWORD, PATIENCE, database};
use crate::harness::process::Process;
use crate::harness::rest::address;
use crate::harness::{mongo, until};

/// A certificate for this machine in two files.
struct Identity {
    place: PathBuf,
    trusted: CertificateDer<'static>,
}

impl Identity {
    fn new() -> Self {
        let place = std::env::temp_dir().join(format!("cita-identity-{}", Uuid::new_v4()));
        fs::create_dir(&place).unwrap();
        let mut identity = Self { place, trusted: CertificateDer::from(Vec::new()) };
        identity.renew();
        identity
    }

    fn file(&self, name: &str) -> String {
        self.place.join(name).to_str().unwrap().to_owned()
    }

    /// Puts another certificate in the place of the one before.
    fn renew(&mut self) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(self.file("cert.pem"), made.cert.pem()).unwrap();
        fs::write(self.file("key.pem"), made.signing_key.serialize_pem()).unwrap();
        self.trusted = made.cert.der().clone();
    }

    fn options(&self) -> [String; 4] {
        ["--tls-cert".to_owned(), self.file("cert.pem"), "--tls-key".to_owned(), self.file("key.pem")]
    }

    /// A stream to whoever shows this certificate.
    async fn connect(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let trust = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let trust = trust.with_safe_default_protocol_versions().unwrap();
        let trust = trust.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(trust)).connect("localhost".try_into().unwrap(), stream).await
    }

    fn client(&self) -> reqwest::Client {
        let trusted = Certificate::from_der(&self.trusted).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).pool_max_idle_per_host(0);
        client.build().unwrap()
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.place).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_and_websocket_come_over_tls_and_a_new_certificate_without_a_restart() {
    let mut identity = Identity::new();
    let options = identity.options();
    let clinic = Clinic::open().await;
    let node = clinic.node_with(&options.each_ref().map(String::as_str)).await;
    let (person, address) = (clinic.patient().await, address(&node.url).to_owned());
    let url = format!("https://{address}");

    // A page of this node itself, in development.
    let login = json!({ "email": person.email, "password": PASSWORD, "session": "cookie" }).to_string();
    let login = identity.client().post(format!("{url}/v1/auth/login")).body(login);
    let login = login.header("content-type", "application/json").header("origin", &url).send().await.unwrap();
    assert_eq!(login.status(), StatusCode::OK);
    let cookies: Vec<_> = login.headers().get_all("set-cookie").iter().map(|set| set.to_str().unwrap()).collect();
    assert!(cookies[0].starts_with("__Host-cita_access=") && cookies[0].ends_with("; Secure"), "{cookies:?}");
    assert!(cookies[1].starts_with("__Secure-cita_refresh=") && cookies[1].ends_with("; Secure"), "{cookies:?}");
    let shown = cookies[0].split(';').next().unwrap();
    let me = identity.client().get(format!("{url}/v1/me")).header("cookie", shown).send().await.unwrap();
    assert_eq!(me.status(), StatusCode::OK);

    let stream = identity.connect(&address).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), None, "nobody asked");
    let (mut socket, _) = client_async(format!("wss://{address}/v1/ws"), stream).await.expect("a WebSocket");
    let next = async |socket: &mut tokio_tungstenite::WebSocketStream<_>| -> Value {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    };
    assert_eq!(next(&mut socket).await["type"], "hello");

    // What is not good is left alone, and the next good one is taken; who is connected stays.
    fs::write(identity.file("key.pem"), "no key").unwrap();
    let old = identity.trusted.clone();
    identity.renew();
    until(async || identity.connect(&address).await.is_ok()).await;
    identity.trusted = old;
    assert!(identity.connect(&address).await.is_err(), "the old one is gone");
    let search = json!({ "type": "doctor.search", "id": "1", "data": {} }).to_string();
    socket.send(Message::text(search)).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "reply");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_let_go_within_ten_seconds() {
    let identity = Identity::new();
    let clinic = Clinic::open().await;
    let node = clinic.node_with(&identity.options().each_ref().map(String::as_str)).await;
    let address = address(&node.url);
    let began = Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    identity.connect(address).await.expect("others are greeted meanwhile");
    let _end = tokio::time::timeout(PATIENCE, silent.read_u8()).await.expect("it is closed");
    let took = began.elapsed();
    assert!(took > Duration::from_secs(8) && took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn bad_files_are_named_before_the_start() {
    let identity = Identity::new();
    let good = identity.options();
    fs::write(identity.file("other.pem"), "no key").unwrap();
    let gone = identity.file("gone.pem");
    for (key, complaint) in [
        (identity.file("other.pem").as_str(), "holds no unencrypted private key in PEM"),
        (&gone, "gone.pem cannot be read: No such file"),
        ("", "a certificate and its key go together"),
    ] {
        for word in ["check-config", "serve"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cita"));
            command.args([word, "--log", "off", &good[0], &good[1]]);
            if !key.is_empty() {
                command.args(["--tls-key", key]);
            }
            let output = command.output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(1) && told.contains(complaint), "{complaint} in {told}");
        }
    }
    let checked = Command::new(env!("CARGO_BIN_EXE_cita")).arg("check-config").args(&good).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cita_health_asks_the_server() {
    let (identity, shared, name) = (Identity::new(), mongo::shared().await, format!("t{}", Uuid::new_v4().simple()));
    let (users, appointments) = (database(&shared.users_uri, &name), database(&shared.appointments_uri, &name));
    let options = identity.options();
    let (_node, url) = Process::serve(&users, &appointments, &options.each_ref().map(String::as_str)).await;
    let address = url.strip_prefix("https://").expect("it says that it is encrypted");
    let ask = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cita"));
        let output = command.arg("health").args(words).output().await.unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let encrypted = ["--listen", address, "--tls-cert", &options[1]];
    let (code, told) = ask(&encrypted).await;
    assert!(code == Some(0) && told.starts_with(r#"{"status":"ready""#), "{told}");
    assert_eq!(ask(&[&encrypted[..], &["--live"]].concat()).await, (Some(0), "live\n".to_owned()));
    // A name that was given is one that the certificate has to have, from somebody whom this machine trusts.
    let (code, told) = ask(&["--url", &url]).await;
    assert!(code == Some(1) && told.contains("does not answer"), "{told}");
    let (code, told) = ask(&["--listen", "127.0.0.1:9"]).await;
    assert!(code == Some(1) && told.contains("http://127.0.0.1:9 does not answer"), "{told}");
}
