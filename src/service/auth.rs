//! Accounts and sessions: register, log in, refresh, log out, and who calls.
//!
//! A cluster that is away is `unavailable`, never a 401: nobody is logged out by an outage.

use std::sync::Arc;

use jiff::Timestamp;

use super::credentials::Credentials;
use super::keys::Tokens;
use super::random;
use super::refresh::{Presented, Verdict};
use crate::clock::Clock;
use crate::domain::account::{Identity, NewAccount, Role, User, check_device, normalised_email};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{AccessToken, Password, PasswordHash, RefreshToken};
use crate::domain::session::Session;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::sessions::Replaced;
use crate::store::users::Account;
use crate::store::{sessions, users};
use crate::views::revocations::{RETENTION, Revocations};

/// How often a change is tried again that another change overtook.
const RACES: usize = 8;

/// What knows who is who.
pub struct Auth {
    users: Cluster,
    clock: Clock,
    tokens: Tokens,
    credentials: Credentials,
    revocations: Arc<Revocations>,
}

/// `auth.register`.
#[derive(Clone, Debug)]
pub struct Registration {
    pub account: NewAccount,
    pub password: Password,
    /// What the person calls the device.
    pub device: Option<String>,
}

/// A proven identity, and how to prove it from now on.
#[derive(Clone, Debug)]
pub struct Grant {
    pub access_token: AccessToken,
    pub refresh_token: RefreshToken,
    /// When the access token ends.
    pub expires_at: Timestamp,
    pub user: User,
}

impl Auth {
    /// Reads the signing keys, makes them on the first start, and loads what was revoked lately. The indexes of the
    /// users cluster must exist. `issuer` is the `iss` of the tokens, the same on every node.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn open(users: Cluster, issuer: String, revocations: Arc<Revocations>, clock: Clock) -> Result<Self> {
        let tokens = Tokens::open(users.clone(), issuer, clock.now()).await?;
        let credentials = Credentials::new(users.clone(), clock);
        let auth = Self { users, clock, tokens, credentials, revocations };
        auth.load_revocations().await?;
        Ok(auth)
    }

    /// Loads the sessions that were revoked within the last token's lifetime: when a node starts, and whenever its feed
    /// has lost its place.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn load_revocations(&self) -> Result<()> {
        let now = self.now();
        self.revocations.prune(now);
        for revoked in sessions::revoked_since(&self.users, now - RETENTION).await? {
            self.revocations.insert(revoked.session, revoked.at);
        }
        Ok(())
    }

    /// Creates an account and opens its first session. A doctor's calendar is the caller's next step.
    ///
    /// # Errors
    /// `validation_failed`, `email_taken`, `forbidden` for a role that nobody may give themselves; unavailable. With
    /// the outcome unknown the account may exist: then log in.
    pub async fn register(&self, registration: Registration, peer: Peer) -> Result<Grant> {
        let Registration { account, password, device } = registration;
        let account = account.checked_with(&password, device.as_deref())?;
        if account.role == Role::Admin {
            return Err(Refusal::Forbidden.into());
        }
        let hash = self.credentials.hash(&password).await?;
        let user = self.insert_user(account, &hash).await?;
        // The account stands, whatever became of the session.
        self.begin_session(user, device, peer).await.map_err(|error| error.with_outcome(Outcome::Unknown))
    }

    /// Opens a session.
    ///
    /// # Errors
    /// `unauthenticated` and `rate_limited`, the same in word and in time for an unknown address and a wrong password;
    /// unavailable.
    pub async fn login(&self, email: &str, password: &Password, device: Option<String>, peer: Peer) -> Result<Grant> {
        check_device(device.as_deref())?;
        let account = self.prove(email, password, peer).await?;
        self.begin_session(account.user, device, peer).await
    }

    /// The account with this address, when `password` is its password. Wrong ones are throttled: whoever asks for a
    /// password asks here.
    ///
    /// # Errors
    /// As [`Auth::login`].
    pub async fn prove(&self, email: &str, password: &Password, peer: Peer) -> Result<Account> {
        self.credentials.prove(email, password, peer).await
    }

    /// Forgives all wrong passwords at the account with this normalised address, for an owner who has proven themselves
    /// in another way.
    pub fn forgive(&self, email: &str) {
        self.credentials.forgive(email);
    }

    /// Exchanges a refresh token, which works once, for a new pair.
    ///
    /// # Errors
    /// `unauthenticated` for a token that does not work; `session_revoked` for one of a session that was ended. One that
    /// was used before ends its session, unless a second tab may just have been slow. Unavailable: with the outcome
    /// unknown the token may have been used.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<Grant> {
        let presented = Presented::parse(token).ok_or(Refusal::Unauthenticated)?;
        let now = self.now();
        let mut found = self.session(presented.session()).await?;
        for _ in 0..RACES {
            let session = found.ok_or(Refusal::Unauthenticated)?;
            match presented.judge(&session, now) {
                Verdict::Refused => return Err(Refusal::Unauthenticated.into()),
                Verdict::Revoked => return Err(Refusal::SessionRevoked.into()),
                Verdict::Stolen if self.end(&session, now).await? == Replaced::Won => {
                    tracing::warn!(session = %session.id, "a used refresh token came again: the session was ended");
                    return Err(Refusal::Unauthenticated.into());
                }
                Verdict::Current => {
                    if let Some(grant) = self.rotate(&session, &presented, now).await? {
                        return Ok(grant);
                    }
                }
                Verdict::Stolen => {}
            }
            found = self.overtaken(presented.session()).await?;
        }
        Err(contended())
    }

    /// Ends the session of `identity`. Ending it twice is no error.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn logout(&self, identity: &Identity) -> Result<()> {
        let now = self.now();
        let mut found = self.session(identity.session).await?;
        for _ in 0..RACES {
            let Some(session) = found.filter(|session| session.revoked_at.is_none()) else {
                self.revocations.insert(identity.session, now);
                return Ok(());
            };
            if self.end(&session, now).await? == Replaced::Won {
                return Ok(());
            }
            found = self.overtaken(identity.session).await?;
        }
        Err(contended())
    }

    /// The user with this id, as they see themselves.
    ///
    /// # Errors
    /// `unauthenticated` when the account is gone; unavailable.
    pub async fn me(&self, user: UserId) -> Result<User> {
        users::find(&self.users, user).await?.ok_or_else(|| Refusal::Unauthenticated.into())
    }

    /// Who calls with this access token.
    ///
    /// # Errors
    /// `token_expired`, `session_revoked`, `unauthenticated`; unavailable when the token's key is unknown here and the
    /// cluster cannot be asked for it.
    pub async fn authenticate(&self, token: &str) -> Result<Identity> {
        let identity = self.tokens.verify(token, self.now()).await?;
        if self.revocations.contains(identity.session) {
            return Err(Refusal::SessionRevoked.into());
        }
        Ok(identity)
    }

    /// The hash of a password, for [`Auth::create_user`].
    ///
    /// # Errors
    /// `rate_limited` when too many are being hashed.
    pub async fn hash_password(&self, password: &Password) -> Result<PasswordHash> {
        self.credentials.hash(password).await
    }

    /// The account with this address, created when there is none, in any role. For seeding and administration; no door
    /// leads here.
    ///
    /// # Errors
    /// `validation_failed`; unavailable.
    pub async fn create_user(&self, account: NewAccount, password: &PasswordHash) -> Result<User> {
        let account = account.checked()?;
        if let Some(existing) = users::find_by_email(&self.users, &account.email).await? {
            return Ok(existing.user);
        }
        let email = account.email.clone();
        match self.insert_user(account, password).await {
            // Another node seeds too.
            Err(Error::Refused(Refusal::EmailTaken)) => {
                let existing = users::find_by_email(&self.users, &email).await?;
                existing.map(|existing| existing.user).ok_or_else(|| Refusal::EmailTaken.into())
            }
            result => result,
        }
    }

    /// The account with this address. For seeding and administration; no door leads here.
    ///
    /// # Errors
    /// `validation_failed`; unavailable.
    pub async fn find_user(&self, email: &str) -> Result<Option<User>> {
        let email = normalised_email(email)?;
        Ok(users::find_by_email(&self.users, &email).await?.map(|account| account.user))
    }

    /// Whether there is any account. For seeding; no door leads here.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn has_accounts(&self) -> Result<bool> {
        users::any(&self.users).await
    }

    async fn insert_user(&self, account: NewAccount, password: &PasswordHash) -> Result<User> {
        let now = self.now();
        let NewAccount { role, email, name, locale, time_zone } = account;
        let id = UserId(random::id(now)?);
        let user = User { id, rev: 1, role, name, email, locale, time_zone, created_at: now };
        users::insert(&self.users, &user, password).await?;
        Ok(user)
    }

    async fn begin_session(&self, user: User, device: Option<String>, peer: Peer) -> Result<Grant> {
        let now = self.now();
        let token = Presented::first(SessionId(random::id(now)?))?;
        let session = Session { network: Some(peer.network().to_string()), ..token.begin(user.id, device, now) };
        sessions::insert(&self.users, &session).await?;
        self.grant(user, &token, now)
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        sessions::find(&self.users, id).await.map_err(not_applied)
    }

    /// The session again, after a change of it lost.
    async fn overtaken(&self, id: SessionId) -> Result<Option<Session>> {
        sessions::find_latest(&self.users, id).await.map_err(not_applied)
    }

    /// The grant of the next turn; `None` when the session changed in the meantime.
    async fn rotate(&self, session: &Session, presented: &Presented, now: Timestamp) -> Result<Option<Grant>> {
        let user = self.me(session.user).await.map_err(not_applied)?;
        let next = presented.next()?;
        match sessions::replace(&self.users, &session.rotated(next.digest(), now)).await? {
            Replaced::Won => self.grant(user, &next, now).map(Some),
            Replaced::Lost => Ok(None),
        }
    }

    async fn end(&self, session: &Session, now: Timestamp) -> Result<Replaced> {
        let replaced = sessions::replace(&self.users, &session.revoked(now)).await?;
        if replaced == Replaced::Won {
            self.revocations.insert(session.id, now);
        }
        Ok(replaced)
    }

    fn grant(&self, user: User, token: &Presented, now: Timestamp) -> Result<Grant> {
        let (access_token, expires_at) = self.tokens.issue(&user, token.session(), now)?;
        Ok(Grant { access_token, refresh_token: token.to_token(), expires_at, user })
    }

    /// Now, as precisely as documents keep it, so that what is answered is what is read later.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// The error of a read before the first write.
fn not_applied(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

/// Too many changes of one session at once; none of ours was applied.
fn contended() -> Error {
    Error::Unavailable { cluster: ClusterName::Users, outcome: Some(Outcome::NotApplied) }
}
