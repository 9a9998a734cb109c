//! The public keys of another issuer: fetched from its JWK set, kept, and fetched again when one is unknown or the set has
//! grown old. Never more often than the floor says: tokens that name unknown keys are free to make.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::{ClusterName, Error, Result};

/// The least time between two fetches.
const FETCH_FLOOR: SignedDuration = SignedDuration::from_secs(30);
/// A key that the issuer has withdrawn is believed this long at most, while the issuer can be reached.
const GROWS_OLD: SignedDuration = SignedDuration::from_mins(10);
/// The most that a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a set.
const SET_BYTES: usize = 64 * 1024;
/// Most keys of a set.
const SET_KEYS: usize = 64;

/// A key, and the one algorithm that it is for.
pub(super) struct IssuerKey {
    pub algorithm: Algorithm,
    /// The algorithm's name in the header of a token.
    pub name: &'static str,
    pub key: DecodingKey,
}

/// The keys of one issuer.
pub(super) struct KeySets {
    client: Client,
    url: Url,
    held: RwLock<Held>,
    /// Whoever fetches holds it; the others wait and look again.
    attempt: Mutex<Option<Attempt>>,
}

#[derive(Default)]
struct Held {
    keys: HashMap<String, Arc<IssuerKey>>,
    fetched_at: Option<Timestamp>,
}

struct Attempt {
    at: Timestamp,
    worked: bool,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// A key as RFC 7517, 7518 and 8037 have it, as far as it matters here.
#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySets {
    pub(super) fn new(url: Url) -> Result<Self> {
        let client = Client::builder().timeout(FETCH_TIMEOUT).redirect(redirect::Policy::none()).build();
        let client = client.map_err(|error| Error::Internal(format!("no HTTP client: {error}")))?;
        Ok(Self { client, url, held: RwLock::default(), attempt: Mutex::default() })
    }

    /// The key of this name; `None` when the issuer has none.
    ///
    /// # Errors
    /// Unavailable when the key is not known here and the issuer cannot be asked.
    pub(super) async fn key(&self, kid: &str, now: Timestamp) -> Result<Option<Arc<IssuerKey>>> {
        if let Some(key) = self.fresh(kid, now) {
            return Ok(Some(key));
        }
        let mut attempt = self.attempt.lock().await;
        if let Some(key) = self.fresh(kid, now) {
            return Ok(Some(key));
        }
        if attempt.as_ref().is_none_or(|attempt| now.duration_since(attempt.at).abs() >= FETCH_FLOOR) {
            *attempt = Some(Attempt { at: now, worked: false });
            match self.fetch().await {
                Ok(keys) => {
                    *self.held.write() = Held { keys, fetched_at: Some(now) };
                    *attempt = Some(Attempt { at: now, worked: true });
                }
                Err(reason) => tracing::warn!(reason, "the keys of the external issuer could not be fetched"),
            }
        }
        let known = self.held.read().keys.get(kid).cloned();
        match known {
            None if attempt.as_ref().is_some_and(|attempt| !attempt.worked) => {
                Err(Error::unreadable(ClusterName::Users))
            }
            known => Ok(known),
        }
    }

    fn fresh(&self, kid: &str, now: Timestamp) -> Option<Arc<IssuerKey>> {
        let held = self.held.read();
        let is_old = held.fetched_at.is_none_or(|at| now.duration_since(at).abs() >= GROWS_OLD);
        if is_old { None } else { held.keys.get(kid).cloned() }
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<IssuerKey>>, String> {
        let response = self.client.get(self.url.clone()).send().await;
        let mut response = response.map_err(|error| error.without_url().to_string())?;
        if response.status().as_u16() != 200 {
            return Err(format!("it answers {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
            if body.len() + chunk.len() > SET_BYTES {
                return Err(format!("its set has more than {SET_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        read(&body)
    }
}

fn read(body: &[u8]) -> Result<HashMap<String, Arc<IssuerKey>>, String> {
    let document: Document = serde_json::from_slice(body).map_err(|_| "it is no JWK set".to_owned())?;
    if document.keys.len() > SET_KEYS {
        return Err(format!("its set has more than {SET_KEYS} keys"));
    }
    // A key of another kind is for somebody else.
    let jwks = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(jwks.filter_map(|jwk| Some((jwk.kid.clone(), Arc::new(jwk.into_key()?)))).collect())
}

impl Jwk {
    /// One algorithm for each kind of key; nothing symmetric.
    fn into_key(self) -> Option<IssuerKey> {
        let (algorithm, name, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", None) => (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(&self.n?, &self.e?)),
            ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(&self.x?, &self.y?)),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(&self.x?)),
            _ => return None,
        };
        let fits = self.alg.is_none_or(|alg| alg == name) && self.purpose.is_none_or(|purpose| purpose == "sig");
        fits.then_some(IssuerKey { algorithm, name, key: key.ok()? })
    }
}
