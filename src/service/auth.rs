//! Accounts and tokens: register, log in, refresh, and who calls. How sessions are listed and end is in `sessions.rs`.
//!
//! A cluster that is away is `unavailable`, never a 401: nobody is logged out by an outage.

use std::sync::Arc;

use jiff::Timestamp;

use super::audit::Audit;
use super::credentials::Credentials;
use super::external::{ExternalIssuer, Externals};
use super::keys::Tokens;
use super::links::Link;
use super::passwords::Passwords;
use super::random;
use super::refresh::{Presented, Verdict};
use super::tokens::PublicKey;
use super::vault::Vault;
use crate::clock::Clock;
use crate::domain::account::{External, Identity, NewAccount, Role, User, check_device, normalised_email};
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::notifications::Notifications;
use crate::domain::peer::Peer;
use crate::domain::proof::{Counted, Sent, VERIFICATION_LIFETIME};
use crate::domain::refusal::Refusal;
use crate::domain::secret::{AccessToken, LinkToken, Password, PasswordHash, RefreshToken, ServerSecret};
use crate::domain::session::Session;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::sessions::Replaced;
use crate::store::users::Account;
use crate::store::{sessions, users};
use crate::views::revocations::{RETENTION, Revocations};

/// How often a change is tried again that another change overtook.
pub(super) const RACES: usize = 8;

/// What knows who is who.
pub struct Auth {
    pub(super) users: Cluster,
    clock: Clock,
    tokens: Tokens,
    credentials: Credentials,
    pub(super) audit: Audit,
    externals: Option<Externals>,
    pub(super) revocations: Arc<Revocations>,
}

/// Whose tokens are believed, and what ours are signed under. The same on every node.
#[derive(Clone, Debug)]
pub struct Trust {
    /// `iss` of our tokens.
    pub issuer: String,
    /// What the private keys are encrypted under in the database; without it they are kept as they are.
    pub secret: Option<ServerSecret>,
    /// Another issuer whose tokens are good here.
    pub external: Option<ExternalIssuer>,
}

/// `auth.register`.
#[derive(Clone, Debug)]
pub struct Registration {
    pub account: NewAccount,
    pub password: Password,
    pub device: Device,
}

/// Where somebody logs in.
#[derive(Clone, Debug)]
pub struct Device {
    /// What the person calls it.
    pub name: Option<String>,
    pub peer: Peer,
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
    /// users cluster must exist.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn open(users: Cluster, trust: &Trust, revocations: Arc<Revocations>, clock: Clock) -> Result<Self> {
        let vault = Vault::new(trust.secret.as_ref())?;
        let tokens = Tokens::open(users.clone(), trust.issuer.clone(), vault, clock.now()).await?;
        let externals = trust.external.clone().map(Externals::new).transpose()?;
        let audit = Audit::new(users.clone(), clock);
        let credentials = Credentials::new(users.clone(), audit.clone(), clock);
        let auth = Self { users, clock, tokens, credentials, audit, externals, revocations };
        auth.load_revocations().await?;
        Ok(auth)
    }

    /// Whether access tokens can be signed.
    ///
    /// # Errors
    /// A sentence for the person who configured the secret.
    pub fn check_keys(&self) -> Result<(), String> {
        self.tokens.check(self.clock.now())
    }

    /// Reads the signing keys again: every now and then, and when one is added.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn read_keys(&self) -> Result<bool> {
        let distrusted = self.tokens.read_again().await?;
        if let Err(complaint) = self.check_keys() {
            tracing::error!(complaint, "a signing key cannot be used");
        }
        Ok(distrusted)
    }

    /// The public keys that verify access tokens.
    #[must_use]
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.tokens.public_keys(self.clock.now())
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

    /// Creates an account and opens its first session. A doctor's calendar, and to send the token that verifies the
    /// address, are the caller's next steps.
    ///
    /// # Errors
    /// `validation_failed`, `email_taken`, `forbidden` for a role that nobody may give themselves; unavailable. With
    /// the outcome unknown the account may exist: then log in.
    pub async fn register(&self, registration: Registration) -> Result<(Grant, LinkToken)> {
        let Registration { account, password, device } = registration;
        let account = account.checked_with(&password, device.name.as_deref())?;
        if account.role == Role::Admin {
            return Err(Refusal::Forbidden.into());
        }
        let hash = self.credentials.hash(&password).await?;
        let now = self.now();
        let mut account = Account::new(self.new_user(account, now)?, hash);
        let (token, proof) = Link::issue(account.user.id, now + VERIFICATION_LIFETIME)?;
        account.verification = Some(proof);
        account.sent.push(Sent { kind: Counted::Verification, at: now });
        users::insert(&self.users, &account).await?;
        // The account stands, whatever became of the session.
        let begun = self.begin_session("auth.register", account.user, device).await;
        let (_, grant) = begun.map_err(|error| error.with_outcome(Outcome::Unknown))?;
        Ok((grant, token))
    }

    /// Opens a session.
    ///
    /// # Errors
    /// `unauthenticated` and `rate_limited`, the same in word and in time for an unknown address and a wrong password;
    /// unavailable.
    pub async fn login(&self, email: &str, password: &Password, device: Device) -> Result<Grant> {
        check_device(device.name.as_deref())?;
        let account = self.prove("auth.login", email, password, device.peer).await?;
        account.usable()?;
        let (role, hash) = (account.user.role, account.password);
        let (session, grant) = self.begin_session("auth.login", account.user, device).await?;
        self.confirm_session(&session, role, &hash).await?;
        Ok(grant)
    }

    /// The account with this address, when `password` is its password. Wrong ones are throttled, and in the audit of
    /// `action`: whoever asks for a password asks here.
    ///
    /// # Errors
    /// As [`Auth::login`].
    pub async fn prove(&self, action: &'static str, email: &str, password: &Password, peer: Peer) -> Result<Account> {
        self.credentials.prove(action, email, password, peer).await
    }

    /// Forgives all wrong passwords at the account with this normalised address, for an owner who has proven themselves
    /// in another way, from where they are.
    pub fn forgive(&self, email: &str, peer: Peer) {
        self.credentials.forgive(email, peer);
    }

    /// Looks at the account once more, now that the session is there. Whoever changed password or role, or closed or
    /// disabled the account in the meantime, has ended the sessions that they saw; this one they may have missed.
    pub(super) async fn confirm_session(&self, session: &Session, role: Role, hash: &PasswordHash) -> Result<()> {
        let still_good = match users::find_stored(&self.users, session.user).await {
            Ok(Some((stored, _))) => {
                let Account { user, password, .. } = &stored.account;
                password.expose() == hash.expose() && user.role == role && stored.account.usable().is_ok()
            }
            Ok(None) => false,
            Err(error) => return Err(error.with_outcome(Outcome::Unknown)),
        };
        if still_good {
            return Ok(());
        }
        self.end(session, self.now()).await?;
        Err(Refusal::Unauthenticated.into())
    }

    /// Exchanges a refresh token for the next pair. The token before the current one gives the same pair's refresh token
    /// again for a minute: a second tab may have been slow, or an answer lost.
    ///
    /// # Errors
    /// `unauthenticated` for a token that does not work; `session_revoked` for one of a session that was ended. One that
    /// was used before that ends its session. Unavailable: with the outcome unknown the token may have been used; the same
    /// one gives the answer.
    pub async fn refresh(&self, token: &RefreshToken, peer: Peer) -> Result<Grant> {
        let presented = Presented::parse(token).ok_or(Refusal::Unauthenticated)?;
        let now = self.now();
        let mut found = self.session(presented.session()).await?;
        for _ in 0..RACES {
            let session = found.ok_or(Refusal::Unauthenticated)?;
            match presented.judge(&session, now) {
                Verdict::Refused => return Err(Refusal::Unauthenticated.into()),
                Verdict::Revoked => return Err(Refusal::SessionRevoked.into()),
                Verdict::Stolen if self.end(&session, now).await? != Replaced::Lost => {
                    tracing::warn!(session = %session.id, "a used refresh token came again: the session was ended");
                    let deed = Deed::new("auth.refresh", Audited::Refused).from(peer).to(session.user.0);
                    self.audit.record_beside(deed.with("a used token came again: the session was ended"));
                    return Err(Refusal::Unauthenticated.into());
                }
                Verdict::Current => {
                    if let Some(grant) = self.rotate(&session, &presented, peer, now).await? {
                        return Ok(grant);
                    }
                }
                Verdict::Predecessor => return self.repeat(&session, &presented, now).await,
                Verdict::Stolen => {}
            }
            found = self.overtaken(presented.session()).await?;
        }
        Err(contended())
    }

    /// The user with this id, as they see themselves.
    ///
    /// # Errors
    /// `unauthenticated` when the account is gone or closed, `forbidden` while it is disabled; unavailable.
    pub async fn me(&self, user: UserId) -> Result<User> {
        let account = users::find(&self.users, user).await?.ok_or(Refusal::Unauthenticated)?;
        account.usable()?;
        Ok(account.user)
    }

    /// Who calls with this access token.
    ///
    /// # Errors
    /// `token_expired`, `session_revoked`, `unauthenticated`; `forbidden` for somebody of the other issuer who can have no
    /// account here; unavailable when the token's key is unknown here and nobody can be asked for it.
    pub async fn authenticate(&self, token: &str, peer: Peer) -> Result<Identity> {
        if let Some(externals) = self.externals.as_ref().filter(|externals| externals.issued(token)) {
            return self.authenticate_external(externals, token, peer).await;
        }
        let identity = self.tokens.verify(token, self.now()).await?;
        if self.revocations.contains(identity.session) {
            return Err(Refusal::SessionRevoked.into());
        }
        Ok(identity)
    }

    /// The hash of a password, to be kept.
    ///
    /// # Errors
    /// `rate_limited` when too many are being hashed.
    pub async fn hash_password(&self, password: &Password) -> Result<PasswordHash> {
        self.credentials.hash(password).await
    }

    /// Whether `password` is the one that `hash` was made of.
    ///
    /// # Errors
    /// `rate_limited` when too many are being compared.
    pub async fn verify_password(&self, password: &Password, hash: &PasswordHash) -> Result<bool> {
        self.credentials.matches(password, hash).await
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
        // Whoever runs the server vouches for the address.
        let user = User { email_verified: true, ..self.new_user(account, self.now())? };
        match users::insert(&self.users, &Account::new(user.clone(), password.clone())).await {
            Ok(()) => Ok(user),
            // Another node seeds too.
            Err(Error::Refused(Refusal::EmailTaken)) => {
                let existing = users::find_by_email(&self.users, &user.email).await?;
                existing.map(|existing| existing.user).ok_or_else(|| Refusal::EmailTaken.into())
            }
            Err(error) => Err(error),
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

    fn new_user(&self, account: NewAccount, now: Timestamp) -> Result<User> {
        let NewAccount { role, email, name, locale, time_zone } = account;
        Ok(User {
            id: UserId(random::id(now)?),
            rev: 1,
            role,
            name,
            email,
            email_verified: false,
            pending_email: None,
            locale,
            time_zone,
            notifications: Notifications::default(),
            calendar_feed: None,
            created_at: now,
            external: None,
        })
    }

    /// Adds the account of somebody who logs in elsewhere, and never with a password. Their issuer has verified the address.
    pub(super) async fn insert_external(&self, account: NewAccount, external: External) -> Result<User> {
        let user = self.new_user(account, self.now())?;
        let user = User { email_verified: true, external: Some(external), ..user };
        users::insert(&self.users, &Account::new(user.clone(), Passwords::of_nobody())).await?;
        Ok(user)
    }

    /// Says in the audit that `action` opens a session, and opens it. The entry comes first: it may stand for a log-in that
    /// then failed, and there is no session without one.
    async fn begin_session(&self, action: &'static str, user: User, device: Device) -> Result<(Session, Grant)> {
        let now = self.now();
        let token = Presented::first(SessionId(random::id(now)?))?;
        let session = token.begin(user.id, device.name, device.peer.network().to_string(), now)?;
        let deed = Deed::new(action, Audited::Done).by(user.id, session.id).from(device.peer).to(user.id.0);
        self.audit.record(deed).await?;
        if !sessions::insert(&self.users, &session).await? {
            return Err(Error::Internal("the id of a new session is taken".to_owned()));
        }
        self.make_room(&session, now).await;
        let grant = self.grant(user, &token, now)?;
        Ok((session, grant))
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        sessions::find(&self.users, id).await.map_err(not_applied)
    }

    /// The session again, after a change of it lost.
    async fn overtaken(&self, id: SessionId) -> Result<Option<Session>> {
        let found = sessions::find_latest(&self.users, id).await.map_err(not_applied)?;
        Ok(found.map(|(session, _)| session))
    }

    /// Whose session is to be refreshed. One that another password has outlived is ended, where that was not done yet.
    async fn owner(&self, session: &Session, now: Timestamp) -> Result<User> {
        let found = users::find(&self.users, session.user).await.map_err(not_applied)?;
        let account = found.ok_or(Refusal::Unauthenticated)?;
        account.usable()?;
        if account.has_outdated(session) {
            self.end(session, now).await?;
            return Err(Refusal::SessionRevoked.into());
        }
        Ok(account.user)
    }

    /// The grant of the next turn; `None` when the session changed in the meantime.
    async fn rotate(
        &self,
        session: &Session,
        presented: &Presented,
        peer: Peer,
        now: Timestamp,
    ) -> Result<Option<Grant>> {
        let user = self.owner(session, now).await?;
        let next = presented.successor(session)?;
        let rotated = session.rotated(next.digest(), peer.network().to_string(), now);
        match sessions::replace(&self.users, &rotated).await? {
            Replaced::Won(_) => self.grant(user, &next, now).map(Some),
            Replaced::Lost => Ok(None),
        }
    }

    /// The grant of a turn that the session has taken already.
    async fn repeat(&self, session: &Session, presented: &Presented, now: Timestamp) -> Result<Grant> {
        let user = self.owner(session, now).await?;
        self.grant(user, &presented.successor(session)?, now)
    }

    fn grant(&self, user: User, token: &Presented, now: Timestamp) -> Result<Grant> {
        let (access_token, expires_at) = self.tokens.issue(&user, token.session(), now)?;
        Ok(Grant { access_token, refresh_token: token.to_token(), expires_at, user })
    }

    /// Now, as precisely as documents keep it, so that what is answered is what is read later.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// The error of a read before the first write.
pub(super) fn not_applied(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

/// Too many changes of one session at once; none of ours was applied.
pub(super) fn contended() -> Error {
    Error::Unavailable { cluster: ClusterName::Users, outcome: Some(Outcome::NotApplied) }
}
