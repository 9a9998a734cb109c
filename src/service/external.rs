//! People who log in elsewhere: access tokens of another issuer, verified as strictly as our own, and the accounts and
//! sessions that stand for their bearers here.
//!
//! An account is linked by the issuer's name for the person, `sub`, and by nothing else. An e-mail address links no
//! account that exists: whoever could make the issuer vouch for an address would take over the account behind it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Validation;
use reqwest::Url;
use serde::{Deserialize, Deserializer};
use uuid::{Builder, Uuid};

use super::auth::{Auth, RACES, contended};
use super::key_sets::KeySets;
use super::request::digest;
use super::tokens::LIFETIME;
use crate::domain::account::{External, Identity, NewAccount, Role, User};
use crate::domain::ids::SessionId;
use crate::domain::peer::{Peer, is_loopback};
use crate::domain::refusal::Refusal;
use crate::domain::session::Session;
use crate::error::{Error, Result};
use crate::store::sessions::{self, Replaced};
use crate::store::users;

/// Longest life of a token. A revoked session is remembered for longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// What the issuer's clock may differ by. The end of a token knows no such leniency.
const SKEW_SECONDS: i64 = 60;
/// Longest token that is looked at, in bytes. Others put more into theirs than we do.
const MAX_BYTES: usize = 8 * 1024;
/// Longest `sub`, `sid` and `jti`, in bytes (OpenID Connect: 255).
const NAME_BYTES: usize = 255;
/// Most sessions whose account is kept in memory.
const KEPT: usize = 10_000;

/// Another issuer whose access tokens are good here.
#[derive(Clone, Debug)]
pub struct ExternalIssuer {
    /// `iss`, exactly.
    issuer: String,
    jwks_url: Url,
    /// What stands for us in `aud`.
    audience: String,
}

impl ExternalIssuer {
    /// # Errors
    /// A sentence for the person who configured it.
    pub fn new(issuer: &str, jwks_url: &str, audience: &str) -> Result<Self, String> {
        let url = Url::parse(jwks_url).map_err(|error| format!("CITA_EXTERNAL_JWKS_URL is no URL: {error}"))?;
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(host)) {
            return Err("CITA_EXTERNAL_JWKS_URL begins with https:// (http:// on this machine only)".to_owned());
        }
        if issuer.is_empty() || audience.is_empty() {
            return Err("CITA_EXTERNAL_ISSUER and CITA_EXTERNAL_AUDIENCE must not be empty".to_owned());
        }
        Ok(Self { issuer: issuer.to_owned(), jwks_url: url, audience: audience.to_owned() })
    }
}

/// What verifies the tokens of another issuer.
pub(super) struct Externals {
    trusted: ExternalIssuer,
    keys: KeySets,
    /// The accounts of sessions that were seen lately: no request of theirs asks the database.
    seen: DashMap<SessionId, Seen>,
}

struct Seen {
    user: User,
    /// Until when its session has been written.
    session_until: Timestamp,
    until: Timestamp,
}

/// What a good token says.
struct Proof {
    subject: String,
    session: SessionId,
    expires_at: Timestamp,
    /// Only one that the issuer has verified.
    email: Option<String>,
    name: Option<String>,
}

/// The header, whole: a parameter that is not named here makes the token bad.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinnedHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// Only this is read before a token is verified, to find out by whose keys.
#[derive(Deserialize)]
struct Origin {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: i64,
    iat: i64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<i64>,
    sid: Option<String>,
    jti: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// What is there has a value: `null` is another type and not an absent one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

impl Externals {
    pub(super) fn new(trusted: ExternalIssuer) -> Result<Self> {
        let keys = KeySets::new(trusted.jwks_url.clone())?;
        Ok(Self { trusted, keys, seen: DashMap::new() })
    }

    /// Whether a token says that it is of this issuer.
    pub(super) fn issued(&self, token: &str) -> bool {
        let payload = (token.len() <= MAX_BYTES).then(|| token.split('.').nth(1)).flatten();
        let bytes = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok()).unwrap_or_default();
        serde_json::from_slice::<Origin>(&bytes).is_ok_and(|origin| origin.iss == self.trusted.issuer)
    }

    async fn verify(&self, token: &str, now: Timestamp) -> Result<Proof> {
        let header = pinned_header(token).ok_or(Refusal::Unauthenticated)?;
        let key = self.keys.key(&header.kid, now).await?.ok_or(Refusal::Unauthenticated)?;
        if key.name != header.alg {
            return Err(Refusal::Unauthenticated.into());
        }
        let mut validation = Validation::new(key.algorithm);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.set_audience(&[&self.trusted.audience]);
        validation.set_issuer(&[&self.trusted.issuer]);
        // Time is judged below: the library would ask a clock of its own.
        validation.leeway = 0;
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.key, &validation);
        Ok(self.judge(decoded.map_err(|_| Refusal::Unauthenticated)?.claims, now)?)
    }

    fn judge(&self, claims: Claims, now: Timestamp) -> Result<Proof, Refusal> {
        let now = now.as_second();
        let ours = match &claims.aud {
            Audience::One(audience) => *audience == self.trusted.audience,
            Audience::Many(audiences) => audiences.contains(&self.trusted.audience),
        };
        let has_begun = claims.iat.max(claims.nbf.unwrap_or(i64::MIN)) <= now.saturating_add(SKEW_SECONDS);
        let is_short = claims.exp <= claims.iat.saturating_add(LONGEST.as_secs());
        let names = [Some(&claims.sub), claims.sid.as_ref(), claims.jti.as_ref()];
        let named = names.into_iter().flatten().all(|name| (1..=NAME_BYTES).contains(&name.len()));
        if !ours || claims.iss != self.trusted.issuer || !has_begun || !is_short || !named {
            return Err(Refusal::Unauthenticated);
        }
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| Refusal::Unauthenticated)?;
        if claims.exp <= now {
            return Err(Refusal::TokenExpired);
        }
        Ok(Proof {
            session: self.session_of(&claims),
            subject: claims.sub,
            expires_at,
            email: claims.email.filter(|_| claims.email_verified == Some(true)),
            name: claims.name,
        })
    }

    /// The session that a token belongs to: the issuer's own where it tells, else the token itself.
    fn session_of(&self, claims: &Claims) -> SessionId {
        let iat = claims.iat.to_string();
        let (kind, name) = match (&claims.sid, &claims.jti) {
            (Some(sid), _) => ("sid", sid),
            (None, Some(jti)) => ("jti", jti),
            (None, None) => ("iat", &iat),
        };
        let digest = digest([&self.trusted.issuer, &claims.sub, kind, name].map(|part: &str| part.as_bytes()));
        let mut bytes = Uuid::nil().into_bytes();
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        SessionId(Builder::from_custom_bytes(bytes).into_uuid())
    }

    fn seen(&self, proof: &Proof, now: Timestamp) -> Option<User> {
        let seen = self.seen.get(&proof.session)?;
        (seen.until > now && seen.session_until >= proof.expires_at).then(|| seen.user.clone())
    }

    fn remember(&self, user: User, proof: &Proof, now: Timestamp) {
        if self.seen.len() >= KEPT {
            self.seen.retain(|_, seen| seen.until > now);
        }
        if self.seen.len() >= KEPT {
            self.seen.clear();
        }
        // As long as our own tokens say what a user is.
        let seen = Seen { user, session_until: proof.expires_at, until: now + LIFETIME };
        self.seen.insert(proof.session, seen);
    }
}

fn pinned_header(token: &str) -> Option<PinnedHeader> {
    if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return None;
    }
    let (header, _) = token.split_once('.')?;
    let header: PinnedHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    matches!(header.typ.as_str(), "JWT" | "at+jwt").then_some(header)
}

impl Auth {
    /// Who calls with a token of the other issuer.
    pub(super) async fn authenticate_external(
        &self,
        externals: &Externals,
        token: &str,
        peer: Peer,
    ) -> Result<Identity> {
        let now = self.now();
        let proof = externals.verify(token, now).await?;
        if self.revocations.contains(proof.session) {
            return Err(Refusal::SessionRevoked.into());
        }
        let user = match externals.seen(&proof, now) {
            Some(user) => user,
            None => {
                let user = self.admit(externals, &proof, peer, now).await.map_err(without_outcome)?;
                externals.remember(user.clone(), &proof, now);
                user
            }
        };
        let (session, expires_at) = (proof.session, proof.expires_at);
        Ok(Identity { user: user.id, session, role: user.role, name: user.name, expires_at })
    }

    async fn admit(&self, externals: &Externals, proof: &Proof, peer: Peer, now: Timestamp) -> Result<User> {
        let link = External { issuer: externals.trusted.issuer.clone(), subject: proof.subject.clone() };
        let user = match users::find_by_external(&self.users, &link).await? {
            Some(account) => {
                account.usable()?;
                account.user
            }
            None => self.link(link, proof).await?,
        };
        self.see(&user, proof, peer, now).await?;
        // Whoever changed the role or disabled the account in the meantime may not have seen this session.
        let (stored, _) = users::find_stored(&self.users, user.id).await?.ok_or(Refusal::Unauthenticated)?;
        stored.account.usable()?;
        Ok(stored.account.user)
    }

    /// Makes the account of somebody who is here for the first time.
    async fn link(&self, link: External, proof: &Proof) -> Result<User> {
        let email = proof.email.clone().ok_or(Refusal::Forbidden)?;
        let name = proof.name.clone().unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
        let account = NewAccount { role: Role::Patient, email, name, locale: None, time_zone: None };
        // What is wrong with it is the issuer's doing, and not the caller's to mend.
        let account = account.checked().map_err(|_| Refusal::Forbidden)?;
        match self.insert_external(account, link.clone()).await {
            // Another node was faster; or the address is that of an account, which it does not open.
            Err(Error::Refused(Refusal::EmailTaken)) => {
                let linked = users::find_by_external(&self.users, &link).await?;
                linked.map(|account| account.user).ok_or_else(|| Refusal::Forbidden.into())
            }
            inserted => inserted,
        }
    }

    /// Writes the session of a token that is seen for the first time, or lives longer than the one before it.
    async fn see(&self, user: &User, proof: &Proof, peer: Peer, now: Timestamp) -> Result<()> {
        let network = peer.network().to_string();
        for _ in 0..RACES {
            let Some((session, _)) = sessions::find_latest(&self.users, proof.session).await? else {
                let session = Session {
                    id: proof.session,
                    rev: 1,
                    user: user.id,
                    device: None,
                    network: network.clone(),
                    created_at: now,
                    last_seen_at: now,
                    expires_at: proof.expires_at,
                    revoked_at: None,
                    refresh: None,
                };
                if sessions::insert(&self.users, &session).await? {
                    self.make_room(&session, now).await;
                    return Ok(());
                }
                continue;
            };
            if session.revoked_at.is_some() {
                return Err(Refusal::SessionRevoked.into());
            }
            if session.expires_at >= proof.expires_at {
                return Ok(());
            }
            let seen = session.seen_until(proof.expires_at, network.clone(), now);
            if sessions::replace(&self.users, &seen).await? != Replaced::Lost {
                return Ok(());
            }
        }
        Err(contended())
    }
}

/// The request itself has not begun: what was written to admit it is none of its outcome.
fn without_outcome(error: Error) -> Error {
    match error {
        Error::Unavailable { cluster, .. } => Error::unreadable(cluster),
        error => error,
    }
}
