//! The keys that sign access tokens: another one takes over without anybody noticing, or at once where it must, outsiders
//! can verify what they sign, and the database does not give them away.

use cita::administration;
use cita::app::StartError;
use cita::clock::Clock;
use cita::config::{Cli, Command};
use cita::domain::secret::ServerSecret;
use cita::error::ClusterName;
use cita::service::keys::{Rotation, rotate};
use cita::service::vault::Vault;
use cita::store::cluster::Cluster;
use cita::store::signing_keys::{self, PrivateKey};
use cita_cli::ClientError;
use cita_protocol::Operation;
use clap::Parser as _;
use jiff::SignedDuration;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::harness::cast::login;
use crate::harness::clinic::{Clinic, PATIENCE, PRODUCTION, Person, connect, database, register};
use crate::harness::mongo::{scratch_dir, shared};
use crate::harness::process::Process;
use crate::harness::rest::{Rest, client};
use crate::harness::socket::Socket;
use crate::harness::until;

const SECRET: &str = "a secret of the tests, long enough";

async fn users_of(clinic: &Clinic) -> Cluster {
    Cluster::new(ClusterName::Users, &clinic.users_uri).await.expect("a good address")
}

/// `cita rotate-keys` with these arguments.
async fn rotate_keys(arguments: &[&str]) -> Rotation {
    try_to_rotate(arguments).await.expect("a new key")
}

async fn try_to_rotate(arguments: &[&str]) -> Result<Rotation, StartError> {
    let cli = Cli::try_parse_from(["cita", "rotate-keys"].iter().chain(arguments)).expect("understood");
    let Some(Command::RotateKeys(options)) = cli.command else { panic!("it is a command") };
    administration::rotate_keys(&options).await
}

async fn key_set(url: &str) -> Value {
    let response = client().get(format!("{url}/.well-known/jwks.json")).send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "public, max-age=60");
    response.json().await.expect("JSON")
}

fn names(set: &Value) -> Vec<&str> {
    set["keys"].as_array().expect("a list").iter().map(|key| key["kid"].as_str().expect("a name")).collect()
}

fn kid(person: &Person) -> String {
    decode_header(&person.token).expect("a JWT").kid.expect("a key")
}

async fn me(url: &str, token: &str) -> Option<String> {
    Rest { url, token: Some(token) }.call(Operation::MeGet, &json!({}), None).await.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_takes_over_without_anybody_noticing() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let nodes = [clinic.url(), &other.url];
    let before = clinic.patient().await;
    let mut socket = Socket::open(&other.url, Some(&before.token)).await;
    // As `cita rotate-keys` does, two minutes ago: by now it signs.
    let (users, open) = (users_of(&clinic).await, Vault::new(None).expect("no key"));
    let ago = Clock.now() - SignedDuration::from_mins(2);
    let rotated = rotate(&users, &open, false, ago).await.expect("a new key");
    for url in nodes {
        until(async || names(&key_set(url).await).contains(&rotated.kid.as_str())).await;
        assert_eq!(kid(&login(url, &before).await), rotated.kid);
    }
    let after = login(clinic.url(), &before).await;
    for url in nodes {
        for token in [&before.token, &after.token] {
            assert_eq!(me(url, token).await, None);
        }
        assert_eq!(names(&key_set(url).await), [&kid(&before), &rotated.kid]);
    }
    socket.assert_usable("a rotation").await;

    // One that is to sign in two minutes is known at once, and does not sign yet.
    let next = rotate_keys(&["--users-uri", &clinic.users_uri]).await;
    assert!(next.signs_from > Clock.now() + SignedDuration::from_secs(100));
    for url in nodes {
        until(async || names(&key_set(url).await).contains(&next.kid.as_str())).await;
        assert_eq!(kid(&login(url, &before).await), rotated.kid);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compromised_keys_are_believed_no_more() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let before = clinic.patient().await;
    let connections = [clinic.connect(&before).await, other.connect(Some(&before)).await];
    let rotated = rotate_keys(&["--users-uri", &clinic.users_uri, "--compromised"]).await;
    for connection in &connections {
        // Opened with a token that a thief may have made.
        let ended = tokio::time::timeout(PATIENCE, connection.next_event()).await.expect("in time");
        assert!(matches!(ended, Err(ClientError::Closed { code: Some(4100), .. })), "{ended:?}");
    }
    for url in [clinic.url(), &other.url] {
        until(async || me(url, &before.token).await.as_deref() == Some("token_expired")).await;
        assert_eq!(names(&key_set(url).await), [&rotated.kid]);
    }
    let refused =
        Socket::open_at(&other.url, "/v1/ws", &[("authorization", &format!("Bearer {}", before.token))]).await;
    assert_eq!(refused.expect_err("refused").code().as_deref(), Some("token_expired"));
    // Everybody refreshes, and nobody logs in.
    let refresh = json!({ "refreshToken": before.refresh_token });
    let fresh = Rest { url: &other.url, token: None }.call(Operation::AuthRefresh, &refresh, None).await.json();
    let token = fresh["accessToken"].as_str().expect("a token");
    assert_eq!(decode_header(token).expect("a JWT").kid.as_ref(), Some(&rotated.kid));
    for url in [clinic.url(), &other.url] {
        assert_eq!(me(url, token).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_verifies_a_token() {
    let clinic = Clinic::open_with(&["--issuer", "https://cita.example"]).await;
    let person = clinic.patient().await;
    let set: JwkSet = serde_json::from_value(key_set(clinic.url()).await).expect("a JWK set");
    let jwk = set.find(&kid(&person)).expect("its key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["cita"]);
    validation.set_issuer(&["https://cita.example"]);
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    let claims = decode::<Value>(&person.token, &key, &validation).expect("it is good").claims;
    assert_eq!(claims["sub"], person.id);
    let raw = key_set(clinic.url()).await;
    let key = &raw["keys"][0];
    assert_eq!(key["kty"], "OKP");
    assert_eq!((&key["crv"], &key["use"], &key["alg"]), (&json!("Ed25519"), &json!("sig"), &json!("EdDSA")));
    assert!(key.get("d").is_none() && key.as_object().expect("an object").len() == 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_does_not_give_the_keys_away() {
    let clinic = Clinic::open_with(&["--secret", SECRET]).await;
    let other = clinic.node_with(&["--secret", SECRET]).await;
    let person = clinic.patient().await;
    assert_eq!(me(&other.url, &person.token).await, None);
    let rotated = rotate_keys(&["--users-uri", &clinic.users_uri, "--secret", SECRET, "--compromised"]).await;
    until(async || names(&key_set(&other.url).await) == [&rotated.kid]).await;
    assert_eq!(kid(&login(&other.url, &person).await), rotated.kid);

    let users = users_of(&clinic).await;
    let keys = signing_keys::all(&users).await.expect("the keys");
    assert!(keys.len() == 2 && keys.iter().all(|key| matches!(key.private_key, PrivateKey::Sealed(_))));
    let documents = users.db.collection::<Document>("signingKeys");
    assert_eq!(documents.count_documents(doc! { "protection": "aes-256-gcm" }).await.expect("a count"), 2);
    // A PKCS#8 private key says in its first bytes that it is one.
    let stored = documents.find_one(doc! {}).await.expect("read").expect("a key");
    let bytes = stored.get_binary_generic("privateKey").expect("bytes");
    assert!(!bytes.windows(5).any(|part| part == [0x06, 0x03, 0x2B, 0x65, 0x70]), "the identifier of Ed25519");

    let appointments = &clinic.appointments_uri;
    for secret in ["--secret another secret, just as long as the first", ""] {
        let mut arguments = vec!["--users-uri", &clinic.users_uri, "--appointments-uri", appointments];
        arguments.extend(secret.split_once(' ').into_iter().flat_map(|(option, value)| [option, value]));
        let mut server = Process::start(&arguments).await;
        assert!(!server.ended().await.success());
        let output = server.output();
        assert!(output.contains(&rotated.kid) && output.contains("CITA_SECRET"), "{output}");
        assert!(!output.contains("just as long"), "{output}");
    }
    // The way out of a lost secret.
    let new = "another secret, just as long as the first";
    rotate_keys(&["--users-uri", &clinic.users_uri, "--secret", new, "--compromised"]).await;
    let node = clinic.node_with(&["--secret", new]).await;
    assert_eq!(me(&node.url, &login(&node.url, &person).await.token).await, None);
}

/// A key that no node could open would end all log-ins two minutes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_secret_makes_no_key() {
    let shared = shared().await;
    let uri = database(&shared.users_uri, &format!("t{}", uuid::Uuid::new_v4().simple()));
    let first = rotate_keys(&["--users-uri", &uri, "--secret", SECRET]).await;
    let wrong = "a secret of the tests, long enougH";
    for (options, words) in [
        (&["--secret", wrong][..], first.kid.as_str()),
        (&[], "give the CITA_SECRET that the servers have"),
        (&["--compromised"], "give the CITA_SECRET that the servers have"),
    ] {
        let refused = try_to_rotate(&[&["--users-uri", &uri], options].concat()).await;
        let told = refused.expect_err("it is refused").to_string();
        assert!(told.contains(words) && told.contains("CITA_SECRET") && !told.contains(wrong), "{told}");
    }
    // From a file it is the same secret.
    let file = scratch_dir().with_extension("secret");
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    let second = rotate_keys(&["--users-uri", &uri, "--secret-file", file.to_str().expect("a path")]).await;
    std::fs::remove_file(&file).expect("it was written");
    let users = Cluster::new(ClusterName::Users, &uri).await.expect("a good address");
    let keys = signing_keys::all(&users).await.expect("the keys");
    assert_eq!(keys.iter().map(|key| &key.kid).collect::<Vec<_>>(), [&first.kid, &second.kid]);
    assert!(keys.iter().all(|key| matches!(key.private_key, PrivateKey::Sealed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_is_not_served_with_a_key_from_before_the_secret() {
    let clinic = Clinic::open().await;
    let uris = (&clinic.users_uri, &clinic.appointments_uri);
    let plain = kid(&clinic.patient().await);
    let arguments = [&["--users-uri", uris.0, "--appointments-uri", uris.1], &PRODUCTION[..]].concat();
    let mut server = Process::start(&arguments).await;
    assert!(!server.ended().await.success());
    let output = server.output();
    assert!(output.contains(&plain) && output.contains("run `cita rotate-keys`"), "{output}");
    // At a desk it is said, and it goes on.
    let (desk, _) = Process::serve(uris.0, uris.1, &["--secret", PRODUCTION[3]]).await;
    assert!(desk.output().contains("the signing key is not encrypted"), "{}", desk.output());
    rotate_keys(&["--users-uri", uris.0, "--secret", PRODUCTION[3]]).await;
    let (_server, url) = Process::serve(uris.0, uris.1, &PRODUCTION).await;
    assert_eq!(names(&key_set(&url).await).len(), 2, "the one from before still signs for two minutes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_secret_is_refused_and_not_repeated() {
    let mut server = Process::start(&["--secret", "hunter2 is too short"]).await;
    assert!(!server.ended().await.success());
    let output = server.output();
    assert!(output.contains("fewer than 32 characters") && !output.contains("hunter2"), "{output}");
    let secret = ServerSecret::from(SECRET);
    assert!(!format!("{secret:?}").contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_accounts_have_their_keys_rotated_with_and_without_a_server() {
    let dir = scratch_dir();
    let dir = dir.to_str().expect("a path");
    let mongod = crate::harness::mongo::mongod().await.to_str().expect("a path");
    let arguments = ["--data-dir", dir, "--mongod", mongod, "--compromised"];
    let first = rotate_keys(&arguments).await;
    let mut server = Process::start(&["--data-dir", dir]).await;
    let url = server.serving().await;
    let person = register(&url, "patient", "Paula Pérez").await;
    assert_eq!(kid(&person), first.kid);

    let second = rotate_keys(&arguments).await;
    until(async || me(&url, &person.token).await.as_deref() == Some("token_expired")).await;
    assert_eq!(kid(&login(&url, &person).await), second.kid, "the server's own mongod was asked");
    connect(&url, None).await.request("doctor.search", json!({}), None).await.expect("it goes on");
    server.signal("TERM").await;
    assert!(server.ended().await.success());
    let third = rotate_keys(&arguments).await;
    assert_ne!(third.kid, second.kid);
}

/// Several who rotate at once make several keys, each with a number of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_at_the_same_time_all_count() {
    let shared = shared().await;
    let uri = database(&shared.users_uri, &format!("t{}", uuid::Uuid::new_v4().simple()));
    let rotations = (0..4).map(async |_| rotate_keys(&["--users-uri", &uri]).await.kid);
    let mut made = futures::future::join_all(rotations).await;
    let users = Cluster::new(ClusterName::Users, &uri).await.expect("a good address");
    let keys = signing_keys::all(&users).await.expect("the keys");
    assert_eq!(keys.iter().map(|key| key.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let mut kept: Vec<String> = keys.into_iter().map(|key| key.kid).collect();
    made.sort();
    kept.sort();
    assert_eq!(made, kept);
}
