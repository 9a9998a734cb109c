//! Access tokens: JWTs of RFC 9068, signed with Ed25519, verified by RFC 8725 (everything pinned, nothing inferred).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::vault::Vault;
use crate::domain::account::{Identity, Role, User};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::secret::AccessToken;
use crate::error::{Error, Result};
use crate::store::signing_keys::SigningKey;

/// How long an access token lives.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// What the clocks of two nodes may differ by. The end of a token knows no such leniency.
const SKEW_SECONDS: i64 = 60;
/// Longest token that is looked at, in bytes.
const MAX_BYTES: usize = 4096;
const AUDIENCE: &str = "cita";
const TYPE: &str = "at+jwt";
const ALGORITHM: &str = "EdDSA";

/// Why a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Well-formed, and signed with a key that is not known here; perhaps not yet.
    UnknownKey,
    Refused(Refusal),
}

/// The keys of the cluster, and from when to when each of them does what.
///
/// ```text
/// known ──► verifies ──signs from──► signs and verifies ──a younger one signs──► verifies ──11 min──► retired
/// ```
/// A retired key proves nobody's identity any more. It still tells that a token was ours: its owner is told to refresh
/// it, and not to log in.
#[derive(Default)]
pub struct KeyRing {
    /// Oldest first.
    keys: Vec<Key>,
}

struct Key {
    kid: String,
    /// `None`: its private key was encrypted under another secret.
    signing: Option<EncodingKey>,
    verifying: DecodingKey,
    public_key: Vec<u8>,
    signs_from: Timestamp,
    /// `None`: no younger key signs yet, or will.
    retires_at: Option<Timestamp>,
}

/// The public half of a key, for whoever verifies our tokens elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub kid: String,
    /// The 32 bytes of an Ed25519 public key.
    pub x: Vec<u8>,
}

/// The header, whole: a parameter that is not named here makes the token bad, `crit`, `jku` and `jwk` among them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinnedHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// The claims. Their types are checked with them: an `exp` of another type is an error and not an absent one.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    role: String,
    name: String,
}

/// Makes a fresh key pair, with its public key's hash for a name.
///
/// # Errors
/// Without randomness.
pub fn generate_key(seq: i32, signs_from: Timestamp, vault: &Vault) -> Result<SigningKey> {
    let failed = |_| Error::Internal("no key could be made".to_owned());
    let private_key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?.as_ref().to_vec();
    let pair = Ed25519KeyPair::from_pkcs8(&private_key).map_err(|_| failed(aws_lc_rs::error::Unspecified))?;
    let public_key = pair.public_key().as_ref().to_vec();
    let kid = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &public_key).as_ref()[..12]);
    let private_key = vault.seal(&kid, private_key)?;
    Ok(SigningKey { kid, seq, private_key, public_key, signs_from, distrusts_older: false })
}

impl KeyRing {
    /// The ring of these keys, oldest first.
    #[must_use]
    pub fn new(keys: &[SigningKey], vault: &Vault) -> Self {
        let trusted_from = keys.iter().rposition(|key| key.distrusts_older).unwrap_or(0);
        let key = |(index, key): (usize, &SigningKey)| {
            let younger = keys[index + 1..].iter().map(|younger| younger.signs_from).min();
            let overlap = LIFETIME + SignedDuration::from_secs(SKEW_SECONDS);
            let distrusted = (index < trusted_from).then_some(Timestamp::MIN);
            Key {
                kid: key.kid.clone(),
                signing: vault.open(key).map(|private_key| EncodingKey::from_ed_der(&private_key)),
                verifying: DecodingKey::from_ed_der(&key.public_key),
                public_key: key.public_key.clone(),
                signs_from: key.signs_from,
                retires_at: distrusted.or(younger.map(|from| from.saturating_add(overlap).unwrap_or(Timestamp::MAX))),
            }
        };
        Self { keys: keys.iter().enumerate().map(key).collect() }
    }

    /// Whether a key that another ring believed is believed no more, although its time has not come.
    #[must_use]
    pub(super) fn distrusts_any_of(&self, before: &Self) -> bool {
        let is_distrusted =
            |kid: &str| self.keys.iter().any(|key| key.kid == kid && key.retires_at == Some(Timestamp::MIN));
        before.keys.iter().any(|key| key.retires_at != Some(Timestamp::MIN) && is_distrusted(&key.kid))
    }

    /// The key that signs now. Where the time of none has come, by this node's clock, it is the oldest that is trusted.
    fn signer(&self, now: Timestamp) -> Option<&Key> {
        let trusted = || self.keys.iter().filter(|key| !key.has_retired(now));
        trusted().rfind(|key| key.signs_from <= now).or_else(|| trusted().next())
    }

    /// Whether tokens can be signed now and later.
    ///
    /// # Errors
    /// The name of a key that is to sign and cannot be opened.
    pub fn check(&self, now: Timestamp) -> Result<(), &str> {
        let signer = self.signer(now).map(|key| &key.kid);
        let mut signing = self.keys.iter().skip_while(|key| Some(&key.kid) != signer);
        let closed = signing.find(|key| key.signing.is_none());
        closed.map_or(Ok(()), |key| Err(&key.kid))
    }

    /// The public keys that tokens may be signed with now or soon, or were signed with lately.
    #[must_use]
    pub fn public_keys(&self, now: Timestamp) -> Vec<PublicKey> {
        let trusted = self.keys.iter().filter(|key| !key.has_retired(now));
        trusted.map(|key| PublicKey { kid: key.kid.clone(), x: key.public_key.clone() }).collect()
    }

    /// Signs a token for a session of `user`; tells when it ends.
    ///
    /// # Errors
    /// Without a key to sign with.
    pub fn issue(
        &self,
        issuer: &str,
        user: &User,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(AccessToken, Timestamp)> {
        let failed = || Error::Internal("no key to sign with".to_owned());
        let key = self.signer(now).ok_or_else(failed)?;
        let encoding_key = key.signing.as_ref().ok_or_else(failed)?;
        let (iat, expires_at) = lifetime_from(now)?;
        let claims = Claims {
            iss: issuer.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id.to_string(),
            sid: session.to_string(),
            iat,
            nbf: iat,
            exp: expires_at.as_second(),
            role: user.role.as_str().to_owned(),
            name: user.name.clone(),
        };
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        // The library's message is dropped: it may speak of the key.
        let token = jsonwebtoken::encode(&header, &claims, encoding_key).map_err(|_| failed())?;
        Ok((token.into(), expires_at))
    }

    /// Who `token` proves to be calling `now`.
    pub(super) fn verify(&self, issuer: &str, token: &str, now: Timestamp) -> Result<Identity, Fault> {
        let kid = pinned_kid(token).ok_or(UNAUTHENTICATED)?;
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(Fault::UnknownKey)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation(issuer));
        let identity = decoded.map_err(|_| UNAUTHENTICATED)?.claims.into_identity(issuer, now);
        match identity {
            Ok(_) if key.has_retired(now) => Err(Fault::Refused(Refusal::TokenExpired)),
            judged => judged.map_err(Fault::Refused),
        }
    }
}

impl Key {
    fn has_retired(&self, now: Timestamp) -> bool {
        self.retires_at.is_some_and(|at| at < now)
    }
}

const UNAUTHENTICATED: Fault = Fault::Refused(Refusal::Unauthenticated);

fn lifetime_from(now: Timestamp) -> Result<(i64, Timestamp)> {
    let iat = now.as_second();
    let expires_at = Timestamp::from_second(iat).and_then(|issued| issued.checked_add(LIFETIME));
    Ok((iat, expires_at.map_err(|_| Error::Internal("the clock is beyond year 9999".to_owned()))?))
}

/// The key that a token names, if it is of the one form that Cita issues: size, three parts, header.
fn pinned_kid(token: &str) -> Option<String> {
    if token.len() > MAX_BYTES || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return None;
    }
    let (header, _) = token.split_once('.')?;
    let header: PinnedHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    (header.alg == ALGORITHM && header.typ == TYPE).then_some(header.kid)
}

/// What the library checks. Time it does not: it would ask a clock of its own. See [`Claims::into_identity`].
fn validation(issuer: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[issuer]);
    validation.leeway = 0;
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

impl Claims {
    fn into_identity(self, issuer: &str, now: Timestamp) -> Result<Identity, Refusal> {
        let now = now.as_second();
        let longest = self.iat.saturating_add(LIFETIME.as_secs());
        let is_ours = self.iss == issuer && self.aud == AUDIENCE;
        let has_begun = self.iat.max(self.nbf) <= now.saturating_add(SKEW_SECONDS);
        if !is_ours || !has_begun || self.exp > longest {
            return Err(Refusal::Unauthenticated);
        }
        let identity = Identity {
            user: UserId(canonical_uuid(&self.sub)?),
            session: SessionId(canonical_uuid(&self.sid)?),
            role: Role::named(&self.role).ok_or(Refusal::Unauthenticated)?,
            name: self.name,
            expires_at: Timestamp::from_second(self.exp).map_err(|_| Refusal::Unauthenticated)?,
        };
        if self.exp <= now { Err(Refusal::TokenExpired) } else { Ok(identity) }
    }
}

fn canonical_uuid(text: &str) -> Result<Uuid, Refusal> {
    let id = Uuid::try_parse(text).ok().filter(|id| id.to_string() == text);
    id.ok_or(Refusal::Unauthenticated)
}

#[cfg(test)]
#[path = "tokens_test.rs"]
mod tests;
