//! Log-in elsewhere: what a token of another issuer opens here, what it does not, and that it ends like any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cita::clock::Clock;
use cita_protocol::Operation;
use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, key, text};
use crate::harness::process::Process;
use crate::harness::rest::Rest;
use crate::harness::socket::{Heard, Socket};
use crate::harness::until;

const ISSUER: &str = "https://login.example/realm";
const AUDIENCE: &str = "cita-prueba";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Another issuer, with a server for its keys.
struct Issuer {
    url: String,
    fetches: Arc<AtomicUsize>,
    /// What it answers.
    set: Arc<Mutex<String>>,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    async fn open() -> Self {
        let (fetches, set) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (counted, answered) = (fetches.clone(), set.clone());
        let answer = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let set = answered.lock().clone();
            async move { set }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/keys", get(answer))).await });
        let issuer = Self {
            url,
            fetches,
            set,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            ed: Ed25519KeyPair::generate().expect("a key"),
        };
        issuer.publish(&issuer.keys());
        issuer
    }

    fn publish(&self, keys: &[Value]) {
        *self.set.lock() = json!({ "keys": keys }).to_string();
    }

    fn keys(&self) -> Vec<Value> {
        let rsa = self.rsa.public_key();
        let n = b64(rsa.modulus().big_endian_without_leading_zero());
        let e = b64(rsa.exponent().big_endian_without_leading_zero());
        let point = self.ec.public_key().as_ref();
        vec![
            json!({ "kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": n, "e": e, "x5t": "ignored" }),
            json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..]) }),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key()) }),
            json!({ "kty": "oct", "kid": "oct", "k": b64("a secret that everybody knows now"), "alg": "HS256" }),
            json!({ "kty": "RSA", "kid": "enc", "use": "enc", "n": n, "e": e }),
            json!({ "kty": "RSA", "kid": "rs512", "alg": "RS512", "n": n, "e": e }),
            json!({ "kty": "unheard of" }),
            json!("no key"),
        ]
    }

    fn options(&self) -> [&str; 6] {
        ["--external-issuer", ISSUER, "--external-jwks-url", &self.url, "--external-audience", AUDIENCE]
    }

    /// A token of any content, with a true signature of what the header names.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let (bytes, random) = (message.as_bytes(), SystemRandom::new());
        let signature = match header["alg"].as_str().unwrap_or_default() {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("signed");
                signature
            }
            "RS512" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&signature::RSA_PKCS1_SHA512, &random, bytes, &mut signature).expect("signed");
                signature
            }
            "ES256" => self.ec.sign(&random, bytes).expect("signed").as_ref().to_vec(),
            "HS256" => {
                let secret: &[u8] = match header["kid"].as_str() {
                    Some("oct") => b"a secret that everybody knows now",
                    Some("ed") => self.ed.public_key().as_ref(),
                    _ => self.rsa.public_key().as_ref(),
                };
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes).as_ref().to_vec()
            }
            "none" => Vec::new(),
            _ => self.ed.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", b64(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&header("EdDSA", "ed"), claims)
    }
}

fn header(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "typ": "JWT", "kid": kid })
}

/// Good claims of somebody.
fn claims(subject: &str) -> Value {
    let now = Clock.now().as_second();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "sid": format!("s-{subject}"), "iat": now, "exp": now + 600,
        "email": format!("{subject}@fuera.example"), "email_verified": true, "name": "Inés de Fuera", "scope": "openid",
    })
}

fn with(mut object: Value, field: &str, value: Option<Value>) -> Value {
    match value {
        Some(value) => object[field] = value,
        None => drop(object.as_object_mut().expect("an object").remove(field)),
    }
    object
}

async fn me(url: &str, token: &str) -> Result<Value, String> {
    let answer = Rest { url, token: Some(token) }.call(Operation::MeGet, &json!({}), None).await;
    answer.code().map_or_else(|| Ok(answer.json()), Err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_token_opens_an_account_of_its_own() {
    let issuer = Issuer::open().await;
    let clinic = Clinic::open_with(&issuer.options()).await;
    let other = clinic.node_with(&issuer.options()).await;
    for (alg, kid) in [("RS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        let token = issuer.sign(&header(alg, kid), &claims(kid));
        // Both nodes meet the person for the first time, several times at once.
        let answers = join_all((0..8).map(|number| {
            let url = if number % 2 == 0 { clinic.url() } else { &other.url };
            me(url, &token)
        }));
        let answers = answers.await;
        let user = answers[0].clone().unwrap_or_else(|code| panic!("{alg}: {code}"));
        assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&user)), "{alg}: one account: {answers:?}");
        assert_eq!((&user["role"], &user["name"]), (&json!("patient"), &json!("Inés de Fuera")));
        assert_eq!(user["email"], format!("{kid}@fuera.example"));
        // Another token, another session, another address: the same person.
        let later = with(with(claims(kid), "sid", Some(json!("other"))), "email", Some(json!("x@fuera.example")));
        let typed = json!({ "alg": alg, "typ": "at+jwt", "kid": kid });
        assert_eq!(me(&other.url, &issuer.sign(&typed, &later)).await, Ok(user));
    }
    let listed = with(claims("list"), "aud", Some(json!(["other", AUDIENCE])));
    assert!(me(clinic.url(), &issuer.token(&listed)).await.is_ok(), "one audience among several");
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 2, "once a node");
    // It is a user like any other, and our own tokens are as good as before.
    let practice = clinic.practice().await;
    let (ada, start) =
        (issuer.token(&claims("ada")), crate::harness::clinic::at(&crate::harness::clinic::date(2), "09:00"));
    let booked = Rest { url: &other.url, token: Some(&ada) };
    let booked = booked.call(Operation::AppointmentBook, &practice.booking(&start), Some(&key())).await;
    assert_eq!((booked.status, &booked.json()["patientId"]), (201, &me(clinic.url(), &ada).await.unwrap()["id"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_else_is_refused() {
    let issuer = Issuer::open().await;
    let clinic = Clinic::open_with(&issuer.options()).await;
    let url = clinic.url();
    let code = async |token: &str| me(url, token).await.err();
    let now = Clock.now().as_second();
    assert_eq!(code(&issuer.token(&claims("good"))).await, None);
    let unauthenticated = Some("unauthenticated".to_owned());
    for (field, values) in [
        ("aud", vec![json!("other"), json!(["other"]), json!([]), json!(null), json!(7), json!("Cita-prueba")]),
        ("iss", vec![json!("https://login.example/realm/"), json!("cita"), json!(null), json!([ISSUER])]),
        ("sub", vec![json!(""), json!(null), json!(1), json!(["x"]), json!("x".repeat(256))]),
        ("sid", vec![json!(""), json!(7), json!("x".repeat(256))]),
        (
            "exp",
            vec![json!(null), json!(format!("{}", now + 60)), json!(now as f64 + 60.5), json!(now + 3_700), json!(-1)],
        ),
        ("iat", vec![json!(null), json!("1"), json!(now + 120), json!(now as f64 + 0.5), json!(now - 86_400)]),
        ("nbf", vec![json!(null), json!("1"), json!(now + 120), json!(now as f64)]),
        ("email_verified", vec![json!("true")]),
    ] {
        let absent = (!matches!(field, "nbf" | "sid" | "email_verified")).then_some(None);
        for value in values.into_iter().map(Some).chain(absent) {
            let token = issuer.token(&with(claims("good"), field, value.clone()));
            assert_eq!(code(&token).await, unauthenticated, "{field} {value:?}");
        }
    }
    let over = with(with(claims("good"), "iat", Some(json!(now - 600))), "exp", Some(json!(now)));
    assert_eq!(code(&issuer.token(&over)).await.as_deref(), Some("token_expired"), "to the second");

    let good = claims("good");
    for (alg, kid) in [
        ("none", "rsa"),
        ("none", "ed"),
        ("HS256", "rsa"),
        ("HS256", "ed"),
        ("HS256", "oct"),
        ("RS256", "ed"),
        ("EdDSA", "rsa"),
        ("ES256", "rsa"),
        ("RS256", "enc"),
        ("RS512", "rsa"),
        ("RS512", "rs512"),
        ("eddsa", "ed"),
    ] {
        assert_eq!(code(&issuer.sign(&header(alg, kid), &good)).await, unauthenticated, "{alg} {kid}");
    }
    for (field, value) in [
        ("typ", json!("id_token")),
        ("typ", json!(null)),
        ("jku", json!(issuer.url)),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("x5u", json!(issuer.url)),
        ("cty", json!("JWT")),
        ("kid", json!(1)),
        ("jwk", issuer.keys()[2].clone()),
    ] {
        let header = with(header("EdDSA", "ed"), field, Some(value));
        assert_eq!(code(&issuer.sign(&header, &good)).await, unauthenticated, "{header}");
    }
    let token = issuer.token(&good);
    let cut = token.rsplit_once('.').expect("parts").0;
    for bad in [
        format!("{cut}."),
        cut.to_owned(),
        format!("{token}.x"),
        format!("{token}="),
        format!("{cut}.{}", "A".repeat(86)),
    ] {
        assert_eq!(code(&bad).await, unauthenticated, "{bad}");
    }
    let long = issuer.token(&with(good, "padding", Some(json!("x".repeat(9_000)))));
    assert_eq!(code(&long).await, unauthenticated);
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_keys_cause_one_fetch() {
    let issuer = Issuer::open().await;
    let clinic = Clinic::open_with(&issuer.options()).await;
    let url = clinic.url();
    let flood = (0..60).map(|number| {
        let token = issuer.sign(&header("EdDSA", &format!("k{number}")), &claims("flood"));
        async move { me(url, &token).await }
    });
    for answer in join_all(flood).await {
        assert_eq!(answer, Err("unauthenticated".to_owned()));
    }
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1, "within the floor");
    assert!(me(url, &issuer.token(&claims("known"))).await.is_ok());

    // Sets that are no sets, or too large: whoever needs a key is told to come back.
    for set in [
        "x".to_owned(),
        json!({ "keys": {} }).to_string(),
        json!({ "keys": vec![issuer.keys()[2].clone(); 65] }).to_string(),
        json!({ "keys": issuer.keys(), "padding": "x".repeat(64 * 1024) }).to_string(),
    ] {
        let broken = Issuer::open().await;
        *broken.set.lock() = set;
        let node = clinic.node_with(&broken.options()).await;
        assert_eq!(me(&node.url, &broken.token(&claims("x"))).await, Err("unavailable".to_owned()));
        assert_eq!(me(&node.url, &clinic.patient().await.token).await.err(), None, "our own need none of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_opens_nobodys_account() {
    let issuer = Issuer::open().await;
    let clinic = Clinic::open_with(&issuer.options()).await;
    let local = clinic.patient().await;
    for (field, value) in [
        ("email", Some(json!(local.email))),
        ("email", Some(json!(local.email.to_uppercase()))),
        ("email", Some(json!("no address"))),
        ("email", None),
        ("email_verified", Some(json!(false))),
        ("email_verified", None),
    ] {
        let token = issuer.token(&with(claims("intruder"), field, value.clone()));
        assert_eq!(me(clinic.url(), &token).await, Err("forbidden".to_owned()), "{field} {value:?}");
    }
    // Nor does a password open the account of somebody who logs in elsewhere.
    let outsider = me(clinic.url(), &issuer.token(&claims("out"))).await.unwrap();
    for password in ["", "x", "nobody", "una clave de prueba"] {
        let login = json!({ "email": outsider["email"], "password": password });
        let refused = Rest { url: clinic.url(), token: None }.call(Operation::AuthLogin, &login, None).await;
        assert_eq!(refused.code().as_deref(), Some("unauthenticated"));
    }
    // Nor are they sent a link for a password.
    let office = crate::harness::office::Office::of(&clinic).await;
    for email in [outsider["email"].as_str().unwrap(), &local.email] {
        office.accounts.request_reset(email).await.expect("the same answer");
    }
    assert_eq!(office.mail().await.to, local.email);
    assert!(office.is_quiet().await);
    let export = Rest { url: clinic.url(), token: Some(&issuer.token(&claims("out"))) };
    let export = export.call(Operation::MeExport, &json!({}), None).await.json();
    assert_eq!(export["external"]["subject"], "out", "{export}");
    assert_eq!(export["external"]["issuer"], claims("out")["iss"]);
    let nameless = with(claims("sin.nombre"), "name", None);
    assert_eq!(me(clinic.url(), &issuer.token(&nameless)).await.unwrap()["name"], "sin.nombre");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_sessions_end_like_any_other() {
    let issuer = Issuer::open().await;
    let clinic = Clinic::open_with(&issuer.options()).await;
    let other = clinic.node_with(&issuer.options()).await;
    let here = issuer.token(&claims("ada"));
    let there = issuer.token(&with(claims("ada"), "sid", Some(json!("other device"))));
    let mut socket = Socket::open(&other.url, Some(&there)).await;
    assert!(me(clinic.url(), &here).await.is_ok());
    let rest = Rest { url: clinic.url(), token: Some(&here) };
    let list = async || {
        let list = rest.call(Operation::SessionList, &json!({}), None).await.json();
        list["items"].as_array().expect("a list").clone()
    };
    let sessions = list().await;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let theirs = sessions.iter().find(|session| session["current"] == false).expect("the other one");
    // A later token of the same session lives longer, and its session with it.
    let later = with(claims("ada"), "exp", Some(json!(Clock.now().as_second() + 1_200)));
    assert!(me(&other.url, &issuer.token(&later)).await.is_ok());
    let mine = list().await.into_iter().find(|session| session["current"] == true).expect("one's own");
    assert_eq!(mine["rev"], 2);

    let revoke = json!({ "id": text(theirs, "id") });
    assert_eq!(rest.call(Operation::SessionRevoke, &revoke, Some(&key())).await.status, 200);
    assert_eq!(socket.closed().await, Some(4101));
    let revoked = Err("session_revoked".to_owned());
    for url in [clinic.url(), &other.url] {
        assert_eq!(me(url, &there).await, revoked);
    }
    // A new token of the session that was ended is no way back, on a node that has just started neither.
    let again = with(with(claims("ada"), "sid", Some(json!("other device"))), "jti", Some(json!("new")));
    let late = clinic.node_with(&issuer.options()).await;
    for url in [&other.url, &late.url] {
        assert_eq!(me(url, &issuer.token(&again)).await, revoked);
    }
    assert_eq!(rest.call(Operation::AuthLogout, &json!({}), None).await.status, 200);
    assert_eq!(me(clinic.url(), &here).await, revoked);
    until(async || me(&other.url, &here).await == revoked).await;
    let mut turned_away =
        Socket::open_at(&late.url, "/v1/ws", &[("sec-websocket-protocol", &format!("cita.v1, bearer.{here}"))])
            .await
            .expect("the handshake is taken");
    assert_eq!(turned_away.hear().await, Heard::Closed(Some(4101)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_configured_issuer_stops_the_start() {
    for (arguments, complaint) in [
        (vec!["--external-issuer", "x"], "--external-jwks-url"),
        (vec!["--external-audience", "x"], "--external-issuer"),
        (vec!["--external-jwks-url", "https://x.example"], "--external-audience"),
    ] {
        let mut server = Process::start(&arguments).await;
        assert!(!server.ended().await.success());
        assert!(server.output().contains(complaint), "{}", server.output());
    }
    for (issuer, url, complaint) in [
        ("x", "http://login.example/keys", "https://"),
        ("x", "ftp://127.0.0.1/keys", "https://"),
        ("x", "keys", "no URL"),
        ("", "https://login.example/keys", "must not be empty"),
        ("cita", "https://login.example/keys", "two names"),
    ] {
        let arguments = ["--external-issuer", issuer, "--external-jwks-url", url, "--external-audience", "x"];
        let mut server = Process::start(&arguments).await;
        assert!(!server.ended().await.success());
        assert!(server.output().contains(complaint), "{}", server.output());
    }
}

/// Another token of the same log-in does not bring back somebody who has just left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_left_is_not_brought_back_by_a_token_from_before() {
    let issuer = Issuer::open().await;
    let clinic = Clinic::open_with(&issuer.options()).await;
    let url = clinic.url();
    let (first, second) = (claims("ada"), with(claims("ada"), "sid", Some(json!("other device"))));
    let (first, second) = (issuer.token(&first), issuer.token(&second));
    assert!(me(url, &first).await.is_ok());
    let rest = Rest { url, token: Some(&first) };
    assert_eq!(rest.call(Operation::MeDelete, &json!({}), Some(&key())).await.code(), None);
    assert_eq!(me(url, &second).await, Err("unauthenticated".to_owned()));
}
