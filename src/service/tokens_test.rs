//! Access tokens under attack: every manipulation is refused, whatever it is signed with.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;
use crate::domain::notifications::Notifications;

const ISSUER: &str = "https://cita.example";

struct Bench {
    key: SigningKey,
    /// PKCS#8.
    private_key: Vec<u8>,
    ring: KeyRing,
    user: User,
    session: SessionId,
    now: Timestamp,
}

fn vault() -> Vault {
    Vault::new(None).expect("no key")
}

fn key(seq: i32, signs_from: Timestamp) -> SigningKey {
    generate_key(seq, signs_from, &vault()).expect("randomness")
}

fn ring(keys: &[&SigningKey]) -> KeyRing {
    KeyRing::new(&keys.iter().copied().cloned().collect::<Vec<_>>(), &vault())
}

impl Bench {
    fn new() -> Self {
        let now = Timestamp::from_second(1_764_600_000).expect("in range");
        let key = key(1, now);
        let user = User {
            id: UserId(Uuid::from_u128(0xA)),
            rev: 1,
            role: Role::Doctor,
            name: "Ana \"☀\" Ruiz".to_owned(),
            email: "ana@example.com".to_owned(),
            email_verified: true,
            pending_email: None,
            locale: None,
            time_zone: None,
            notifications: Notifications::default(),
            calendar_feed: None,
            created_at: now,
            external: None,
        };
        Self {
            ring: ring(&[&key]),
            private_key: vault().open(&key).expect("it is kept as it is"),
            key,
            user,
            session: SessionId(Uuid::from_u128(0xB)),
            now,
        }
    }

    fn token(&self) -> String {
        let (token, _) = self.ring.issue(ISSUER, &self.user, self.session, self.now).expect("signs");
        token.expose().to_owned()
    }

    fn verify(&self, token: &str) -> Result<Identity, Fault> {
        self.ring.verify(ISSUER, token, self.now)
    }

    fn header(&self) -> Value {
        json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": self.key.kid })
    }

    fn claims(&self) -> Value {
        let now = self.now.as_second();
        json!({
            "iss": ISSUER, "aud": "cita", "sub": self.user.id.to_string(), "sid": self.session.to_string(),
            "iat": now, "nbf": now, "exp": now + 600, "role": "doctor", "name": "Ana",
        })
    }

    /// A token of any content with a true signature of the true key.
    fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let key = EncodingKey::from_ed_der(&self.private_key);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).expect("signs");
        format!("{message}.{signature}")
    }

    /// What is said to true claims but for one, which `None` leaves out.
    fn with_claim(&self, name: &str, value: Option<Value>) -> Result<Identity, Fault> {
        self.verify(&self.signed(&self.header().to_string(), &replaced(self.claims(), name, value)))
    }

    /// What is said to a true header but for one parameter.
    fn with_header(&self, name: &str, value: Option<Value>) -> Result<Identity, Fault> {
        self.verify(&self.signed(&replaced(self.header(), name, value), &self.claims().to_string()))
    }
}

fn replaced(mut object: Value, name: &str, value: Option<Value>) -> String {
    let fields = object.as_object_mut().expect("an object");
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.shift_remove(name),
    };
    object.to_string()
}

#[test]
fn a_token_says_who_calls() {
    let bench = Bench::new();
    let (token, expires_at) = bench.ring.issue(ISSUER, &bench.user, bench.session, bench.now).expect("signs");
    let identity = bench.verify(token.expose()).expect("verifies");
    assert_eq!((identity.user, identity.session, identity.role), (bench.user.id, bench.session, Role::Doctor));
    assert_eq!((identity.name, identity.expires_at), (bench.user.name.clone(), expires_at));
    assert_eq!(expires_at, bench.now + LIFETIME);
    assert!(bench.verify(&bench.signed(&bench.header().to_string(), &bench.claims().to_string())).is_ok());
}

#[test]
fn it_ends_to_the_second() {
    let bench = Bench::new();
    let verify = |seconds| bench.ring.verify(ISSUER, &bench.token(), bench.now + SignedDuration::from_secs(seconds));
    assert!(verify(599).is_ok());
    assert_eq!(verify(600), Err(Fault::Refused(Refusal::TokenExpired)));
    assert!(verify(-60).is_ok(), "a node whose clock is behind");
    assert_eq!(verify(-61), Err(UNAUTHENTICATED));
}

#[test]
fn no_other_algorithm_is_taken() {
    let bench = Bench::new();
    let claims = bench.claims().to_string();
    for alg in ["none", "None", "nOnE", "", "eddsa", "EDDSA", "HS256", "HS384", "RS256", "ES256", "Ed25519"] {
        let header = replaced(bench.header(), "alg", Some(json!(alg)));
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
        assert_eq!(bench.verify(&format!("{message}.")), Err(UNAUTHENTICATED), "{alg}, unsigned");
        assert_eq!(bench.verify(&bench.signed(&header, &claims)), Err(UNAUTHENTICATED), "{alg}, signed");
        let hmac = EncodingKey::from_secret(&bench.key.public_key);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &hmac, Algorithm::HS256).expect("signs");
        assert_eq!(bench.verify(&format!("{message}.{signature}")), Err(UNAUTHENTICATED), "{alg}, by the public key");
        for size in [Algorithm::HS384, Algorithm::HS512] {
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &hmac, size).expect("signs");
            assert_eq!(bench.verify(&format!("{message}.{signature}")), Err(UNAUTHENTICATED), "{alg}, {size:?}");
        }
    }
}

#[test]
fn every_character_counts() {
    let bench = Bench::new();
    let token = bench.token();
    for at in 0..token.len() {
        for flip in [1, 2, 4, 8, 16, 32] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(bench.verify(&changed).is_err(), "{at} {flip}");
        }
    }
    for cut in 1..token.len() {
        assert!(bench.verify(&token[..token.len() - cut]).is_err(), "{cut}");
    }
}

/// The same bytes in base64url, but for bits that mean nothing.
fn respelled(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let at = ALPHABET.iter().position(|letter| last.as_bytes() == [*letter]).expect("base64url");
    format!("{rest}{}", char::from(ALPHABET[at ^ 1]))
}

#[test]
fn only_the_compact_form_is_read() {
    let bench = Bench::new();
    let token = bench.token();
    let parts: Vec<&str> = token.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let json = json!({ "protected": head, "payload": body, "signature": signature }).to_string();
    let other = bench.signed(&bench.header().to_string(), &bench.claims().to_string());
    let other_signature = other.rsplit('.').next().expect("has parts");
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        json,
        head.into(),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{token}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}="),
        format!("{head}=.{body}.{signature}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}\0"),
        token.replace('.', "。"),
        token.replace('.', ". "),
        token.to_uppercase(),
        format!("Bearer {token}"),
        format!("{head}.{body}.{other_signature}"),
        // A JWE has five parts, a nested JWT a token for its claims.
        format!("{head}.{signature}.{signature}.{body}.{signature}"),
        bench.signed(&bench.header().to_string(), &json!(token).to_string()),
        bench.signed(&bench.header().to_string(), &token),
        // Another alphabet, and another spelling of the same bits.
        token.replace('-', "+").replace('_', "/").replacen(head, &format!("{head}+/"), 1),
        format!("{head}.{body}.{}", respelled(signature)),
        format!("{head}.{body}.{}", "A".repeat(86)),
        "a".repeat(16 << 10),
        "a.b.c".repeat(1 << 18),
        format!("{head}.{}.{signature}", "A".repeat(16 << 10)),
    ] {
        assert_eq!(bench.verify(&bad), Err(UNAUTHENTICATED), "{bad:.200}");
    }
    let huge =
        bench.signed(&bench.header().to_string(), &replaced(bench.claims(), "name", Some(json!("x".repeat(4096)))));
    assert_eq!(bench.verify(&huge), Err(UNAUTHENTICATED), "signed by us, and still too long");
}

#[test]
fn the_header_has_three_parameters_and_no_other() {
    let bench = Bench::new();
    for typ in ["JWT", "AT+JWT", "application/at+jwt", "rt+jwt", "id_token", "", "at+jwt "] {
        assert_eq!(bench.with_header("typ", Some(json!(typ))), Err(UNAUTHENTICATED), "{typ}");
    }
    for name in ["alg", "typ", "kid"] {
        for value in [None, Some(json!(null)), Some(json!(1)), Some(json!(["at+jwt"])), Some(json!({}))] {
            assert_eq!(bench.with_header(name, value.clone()), Err(UNAUTHENTICATED), "{name} {value:?}");
        }
    }
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(&bench.key.public_key) });
    for (name, value) in [
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/x5u")),
        ("jwk", jwk),
        ("x5c", json!(["AAAA"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("url", json!("x")),
        ("nonce", json!("x")),
        ("exp", json!(1)),
        ("X", json!(null)),
    ] {
        assert_eq!(bench.with_header(name, Some(value)), Err(UNAUTHENTICATED), "{name}");
    }
    let twice = format!(r#"{{"alg":"none",{}"#, &bench.header().to_string()[1..]);
    assert_eq!(bench.verify(&bench.signed(&twice, &bench.claims().to_string())), Err(UNAUTHENTICATED), "duplicate alg");
}

#[test]
fn an_unknown_key_is_told_apart_and_nothing_more() {
    let bench = Bench::new();
    for kid in ["", "x", "../../etc/passwd", "' OR 1=1 --", "https://evil.example", "\0", &"k".repeat(2000)] {
        assert_eq!(bench.with_header("kid", Some(json!(kid))), Err(Fault::UnknownKey), "{kid:.40}");
    }
    let other = Bench::new();
    assert_eq!(bench.verify(&other.token()), Err(Fault::UnknownKey), "another cluster's token");
    let mut stolen_name = other.key.clone();
    stolen_name.kid.clone_from(&bench.key.kid);
    let impostor = ring(&[&stolen_name]).issue(ISSUER, &bench.user, bench.session, bench.now).expect("signs").0;
    assert_eq!(bench.verify(impostor.expose()), Err(UNAUTHENTICATED), "another key under our name");
}

#[test]
fn times_are_whole_numbers_and_must_be_there() {
    let bench = Bench::new();
    let now = bench.now.as_second();
    for name in ["exp", "iat", "nbf"] {
        for value in [
            None,
            Some(json!(null)),
            Some(json!((now + 300).to_string())),
            Some(json!(now as f64 + 300.5)),
            Some(json!((now + 300) as f64)),
            Some(json!(1e300)),
            Some(json!([now + 300])),
            Some(json!({})),
            Some(json!(true)),
            Some(json!(u64::MAX)),
            Some(json!("")),
        ] {
            assert_eq!(bench.with_claim(name, value.clone()), Err(UNAUTHENTICATED), "{name} {value:?}");
        }
        let twice = format!(r#"{{"{name}":{now},{}"#, &bench.claims().to_string()[1..]);
        let answer = bench.verify(&bench.signed(&bench.header().to_string(), &twice));
        assert_eq!(answer, Err(UNAUTHENTICATED), "{name} twice");
    }
    for (name, value) in [
        ("exp", now + 601),
        ("exp", now + 31_536_000),
        ("exp", i64::MAX),
        ("iat", now + 61),
        ("iat", i64::MAX),
        ("iat", i64::MIN),
        ("iat", -1),
        ("nbf", now + 61),
        ("nbf", i64::MAX),
    ] {
        assert_eq!(bench.with_claim(name, Some(json!(value))), Err(UNAUTHENTICATED), "{name} {value}");
    }
    for exp in [now, now - 1, 0] {
        assert_eq!(bench.with_claim("exp", Some(json!(exp))), Err(Fault::Refused(Refusal::TokenExpired)), "{exp}");
    }
    for exp in [-1, i64::MIN] {
        assert_eq!(bench.with_claim("exp", Some(json!(exp))), Err(UNAUTHENTICATED), "{exp}");
    }
}

#[test]
fn it_is_for_us_by_us_and_of_somebody() {
    let bench = Bench::new();
    let id = bench.user.id.to_string();
    for (name, values) in [
        ("aud", vec![json!("Cita"), json!("other"), json!(""), json!(["cita"]), json!(["cita", "other"]), json!([])]),
        ("iss", vec![json!("https://cita.example/"), json!("HTTPS://cita.example"), json!("cita"), json!([ISSUER])]),
        (
            "sub",
            vec![
                json!(""),
                json!("1"),
                json!([id]),
                json!({ "$ne": null }),
                json!(format!("{{{id}}}")),
                json!(format!("urn:uuid:{id}")),
                json!(id.replace('-', "")),
                json!(id.to_uppercase()),
            ],
        ),
        ("sid", vec![json!(""), json!("x"), json!(7), json!([id])]),
        ("role", vec![json!("Admin"), json!("root"), json!(["admin"]), json!("")]),
        ("name", vec![json!(7), json!(["Ana"])]),
    ] {
        for value in values.into_iter().map(Some).chain([None, Some(json!(null)), Some(json!(1)), Some(json!(true))]) {
            assert_eq!(bench.with_claim(name, value.clone()), Err(UNAUTHENTICATED), "{name} {value:?}");
        }
    }
    for body in ["", "null", "[]", "\"x\"", "{}", "{", "1"] {
        assert_eq!(bench.verify(&bench.signed(&bench.header().to_string(), body)), Err(UNAUTHENTICATED), "{body}");
    }
}

#[test]
fn a_key_takes_over_when_its_time_has_come_and_the_one_before_retires_later() {
    let bench = Bench::new();
    let after = |seconds: i64| bench.now + SignedDuration::from_secs(seconds);
    let young = key(2, after(120));
    let both = ring(&[&bench.key, &young]);
    let kid = |at| pinned_kid(both.issue(ISSUER, &bench.user, bench.session, at).expect("signs").0.expose());
    assert_eq!((kid(after(0)), kid(after(119))), (Some(bench.key.kid.clone()), Some(bench.key.kid.clone())));
    assert_eq!((kid(after(120)), kid(after(9_999))), (Some(young.kid.clone()), Some(young.kid.clone())));

    // What is signed by the young one is good at once: another node's clock may be ahead.
    let early = ring(&[&young]).issue(ISSUER, &bench.user, bench.session, after(60)).expect("signs").0;
    assert!(both.verify(ISSUER, early.expose(), after(60)).is_ok());
    // By the old one, as long as a token of its last moment may live, on a node whose clock is behind.
    let late = bench.ring.issue(ISSUER, &bench.user, bench.session, after(179)).expect("signs").0;
    assert!(both.verify(ISSUER, late.expose(), after(778)).is_ok());
    let forged = bench.ring.issue(ISSUER, &bench.user, bench.session, after(781)).expect("signs").0;
    assert!(both.verify(ISSUER, forged.expose(), after(780)).is_ok());
    let expired = Err(Fault::Refused(Refusal::TokenExpired));
    assert_eq!(both.verify(ISSUER, forged.expose(), after(781)), expired, "it has retired");
    let names = |at| both.public_keys(at).into_iter().map(|key| key.kid).collect::<Vec<_>>();
    assert_eq!(names(after(780)), [bench.key.kid.clone(), young.kid.clone()]);
    assert_eq!(names(after(781)), std::slice::from_ref(&young.kid));
    // To whom the token was given, the way back is a refresh.
    assert_eq!(both.verify(ISSUER, &bench.token(), after(86_400)), expired);
}

#[test]
fn a_compromised_key_proves_nothing_from_one_moment_to_the_next() {
    let bench = Bench::new();
    let planned = key(2, bench.now + SignedDuration::from_secs(60));
    // Made by a machine whose clock is ahead.
    let ahead = bench.now + SignedDuration::from_secs(30);
    let fresh = SigningKey { distrusts_older: true, ..key(3, ahead) };
    let ring = ring(&[&bench.key, &planned, &fresh]);
    let expired = Err(Fault::Refused(Refusal::TokenExpired));
    assert_eq!(ring.verify(ISSUER, &bench.token(), bench.now), expired);
    assert_eq!(bench.with_claim("role", Some(json!("admin"))).map(|identity| identity.role), Ok(Role::Admin));
    let forged = replaced(bench.claims(), "role", Some(json!("admin")));
    assert_eq!(ring.verify(ISSUER, &bench.signed(&bench.header().to_string(), &forged), bench.now), expired);
    let mut unsigned = bench.token();
    unsigned.replace_range(unsigned.len() - 8.., "AAAAAAAA");
    assert_eq!(ring.verify(ISSUER, &unsigned, bench.now), Err(UNAUTHENTICATED), "and was never ours");
    let token = ring.issue(ISSUER, &bench.user, bench.session, bench.now).expect("it signs at once").0;
    assert_eq!(pinned_kid(token.expose()).as_ref(), Some(&fresh.kid));
    assert!(ring.verify(ISSUER, token.expose(), bench.now).is_ok());
    let names: Vec<String> = ring.public_keys(bench.now).into_iter().map(|key| key.kid).collect();
    assert_eq!(names, [fresh.kid]);
}

#[test]
fn a_key_that_cannot_be_opened_does_not_sign_and_says_so() {
    let bench = Bench::new();
    let sealing = Vault::new(Some(&"0123456789abcdef0123456789abcdef".into())).expect("a key");
    let sealed = generate_key(2, bench.now + SignedDuration::from_secs(120), &sealing).expect("randomness");
    let keys = [bench.key.clone(), sealed.clone()];
    let closed = KeyRing::new(&keys, &vault());
    assert_eq!(closed.check(bench.now), Err(sealed.kid.as_str()), "before it is too late");
    assert!(closed.issue(ISSUER, &bench.user, bench.session, bench.now).is_ok());
    let later = bench.now + SignedDuration::from_secs(120);
    assert!(closed.issue(ISSUER, &bench.user, bench.session, later).is_err(), "the old one does not step in");
    let open = KeyRing::new(&keys, &sealing);
    assert_eq!(open.check(bench.now), Ok(()));
    let token = open.issue(ISSUER, &bench.user, bench.session, later).expect("signs").0;
    assert!(closed.verify(ISSUER, token.expose(), later).is_ok(), "that needs the public key alone");
    // What signs no more need not be opened: a secret can be replaced.
    let plain = SigningKey { distrusts_older: true, ..key(3, later) };
    assert_eq!(ring(&[&sealed, &plain]).check(later), Ok(()));
    assert!(KeyRing::default().issue(ISSUER, &bench.user, bench.session, bench.now).is_err());
}
