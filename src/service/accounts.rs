//! A person's own account: changing it, and the links sent by e-mail that verify an address or reset a password.
//!
//! What a stranger can ask for is answered the same, in word and in time, whether there is such an account or not: both
//! cost one read, and what follows for a known one is done beside the answer.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tracing::Instrument as _;

use super::auth::Auth;
use super::doctors::Doctors;
use super::links::Link;
use super::mailboxes::Mailboxes;
use super::request;
use crate::clock::Clock;
use crate::domain::account::{AccountChange, Identity, Role, User, normalised_email};
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::change::Position;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::mail::{Mail, Subject};
use crate::domain::notifications::NotificationsChange;
use crate::domain::password;
use crate::domain::peer::Peer;
use crate::domain::proof::{Counted, RESET_LIFETIME, VERIFICATION_LIFETIME, one_more};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::secret::{LinkToken, Password, PasswordHash};
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::idempotency::Request;
use crate::store::users::{self, Account, CredentialsChange, StoredUser};

/// How often a change is decided anew because another change of the account was faster.
const RACES: usize = 8;
/// Mails that are prepared at once beside the answers; beyond that they are dropped, and the person asks again.
const BESIDE: usize = 32;

/// The operation that changes an account.
const OPERATION: &str = "me.update";

/// Accounts, as their owners change them.
#[derive(Clone)]
pub struct Accounts {
    users: Cluster,
    auth: Arc<Auth>,
    doctors: Arc<Doctors>,
    post: Post,
    beside: Arc<Semaphore>,
    clock: Clock,
}

/// An account after a change of its owner's.
#[derive(Clone, Debug)]
pub struct Changed {
    pub user: User,
    /// Where the account is this, in the users cluster.
    pub at: Position,
    /// Where a doctor's profile has the name as well, in the appointments cluster; zero for everybody else.
    pub renamed_at: Position,
}

impl Accounts {
    /// `outbox` takes the mails to be sent.
    #[must_use]
    pub fn new(
        users: Cluster,
        auth: Arc<Auth>,
        doctors: Arc<Doctors>,
        outbox: mpsc::Sender<Mail>,
        clock: Clock,
    ) -> Self {
        Self {
            users,
            auth,
            doctors,
            post: Post { outbox, mailboxes: Arc::default(), clock },
            beside: Arc::new(Semaphore::new(BESIDE)),
            clock,
        }
    }

    /// Sends a new user the link that verifies their address.
    pub fn welcome(&self, user: &User, token: LinkToken) {
        self.post.send(user, &user.email, Subject::Verification { token });
    }

    /// Changes the caller's account. A new address is pending until the link that is sent to it is followed; a new
    /// password ends all other sessions.
    ///
    /// # Errors
    /// `validation_failed`, with `wrong` at `/currentPassword`; `stale_rev`, `idempotency_key_reused`, `rate_limited`,
    /// `unauthenticated` when the account is gone; unavailable.
    pub async fn update(
        &self,
        identity: &Identity,
        peer: Peer,
        key: &str,
        rev: Option<u32>,
        change: AccountChange,
    ) -> Result<Changed> {
        let change = change.checked()?;
        let request = self.request(identity, key, rev, &change);
        let (accounts, identity) = (self.clone(), identity.clone());
        to_its_end(async move { accounts.update_by(&identity, peer, request, rev, change).await }).await
    }

    async fn update_by(
        &self,
        identity: &Identity,
        peer: Peer,
        request: Request,
        rev: Option<u32>,
        change: AccountChange,
    ) -> Result<Changed> {
        let mut hash = None;
        for _ in 0..RACES {
            let (stored, at) = self.stored(identity.user).await?.ok_or(Refusal::Unauthenticated)?;
            stored.account.usable()?;
            if stored.recalls(&request)? {
                self.check_repetition(&change, &stored.account).await?;
                return self.complete(identity, &change, stored.account.user, at).await;
            }
            if rev.is_some_and(|rev| rev != stored.account.user.rev) {
                return Err(Refusal::StaleRev.into());
            }
            self.check_current(&change, &stored.account, peer).await?;
            if let (None, Some(password)) = (&hash, &change.new_password) {
                password::check("/newPassword", password, &stored.account.user.name, &stored.account.user.email)?;
                hash = Some(self.auth.hash_password(password).await?);
            }
            let new = hash.as_ref().map(|hash| self.credentials(hash, Some(identity.session)));
            let (next, token) = decide(&stored.account, &change, new, request.at)?;
            if let Some(at) = users::replace(&self.users, &stored, &next, Some(&request)).await? {
                self.tell(&stored.account, &next, &change, token);
                self.record(identity, peer, &change);
                let user = User { rev: stored.account.user.rev + 1, ..next.user };
                return self.complete(identity, &change, user, at).await;
            }
        }
        Err(contended())
    }

    /// Sends the caller's link once more, unless there is nothing to verify, or there were enough.
    ///
    /// # Errors
    /// `unauthenticated` when the account is gone; unavailable.
    pub async fn request_verification(&self, identity: &Identity) -> Result<()> {
        for _ in 0..RACES {
            let (stored, _) = self.stored(identity.user).await?.ok_or(Refusal::Unauthenticated)?;
            let (account, now) = (&stored.account, self.clock.now());
            account.usable()?;
            if account.user.email_verified && account.user.pending_email.is_none() {
                return Ok(());
            }
            let Some(sent) = one_more(&account.sent, Counted::Verification, now) else { return Ok(()) };
            let (token, proof) = Link::issue(account.user.id, now + VERIFICATION_LIFETIME)?;
            let next = Account { verification: Some(proof), sent, ..account.clone() };
            if users::replace(&self.users, &stored, &next, None).await?.is_some() {
                match &account.user.pending_email {
                    Some(pending) => self.verify_pending(account.user.clone(), pending.clone(), token),
                    None => self.post.send(&account.user, &account.user.email, Subject::Verification { token }),
                }
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Shows that the owner reads the address that the token was sent to; a pending one takes its place.
    ///
    /// # Errors
    /// `validation_failed` at `/token` for whatever does not work; unavailable.
    pub async fn verify_email(&self, peer: Peer, token: &LinkToken) -> Result<()> {
        let link = Link::parse(token).ok_or_else(bad_token)?;
        for _ in 0..RACES {
            let now = self.clock.now();
            let (stored, _) = self.stored(link.user).await?.ok_or_else(bad_token)?;
            let account = &stored.account;
            if account.usable().is_err() || !link.is_proven_by(account.verification.as_ref(), now) {
                return Err(bad_token().into());
            }
            let mut next = Account { verification: None, ..account.clone() };
            next.user.email_verified = true;
            if let Some(pending) = next.user.pending_email.take() {
                next.user.email = pending;
                // It was sent to the address before.
                next.reset = None;
            }
            match users::replace(&self.users, &stored, &next, None).await {
                Ok(Some(_)) => {
                    let deed = Deed::new("auth.verifyEmail", Audited::Done).from(peer).to(link.user.0);
                    self.auth.audit.record_beside(deed);
                    return Ok(());
                }
                Ok(None) => {}
                // Somebody else has verified the address first; whom it belongs to is not told.
                Err(Error::Refused(Refusal::EmailTaken)) => return Err(bad_token().into()),
                Err(error) => return Err(error),
            }
        }
        Err(contended())
    }

    /// Sends the owner of an address a link for a new password, if there is one.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn request_reset(&self, email: &str) -> Result<()> {
        let Ok(email) = normalised_email(email) else { return Ok(()) };
        let found = users::find_by_email(&self.users, &email).await.map_err(not_applied)?;
        if let Some(account) = found {
            let (users, post, now) = (self.users.clone(), self.post.clone(), self.clock.now());
            self.beside(async move { send_reset(&users, &post, account.user.id, now).await });
        }
        Ok(())
    }

    /// Sets a new password and ends all sessions. Whoever can do that reads the address, so it counts as verified; another
    /// address that was pending is forgotten.
    ///
    /// # Errors
    /// `validation_failed`, at `/token` for whatever does not work; `rate_limited`; unavailable.
    pub async fn reset_password(&self, peer: Peer, token: &LinkToken, password: &Password) -> Result<()> {
        password::check("/password", password, "", "")?;
        let link = Link::parse(token).ok_or_else(bad_token)?;
        let (accounts, password) = (self.clone(), password.clone());
        to_its_end(async move { accounts.reset_by(peer, &link, &password).await }).await
    }

    async fn reset_by(&self, peer: Peer, link: &Link, password: &Password) -> Result<()> {
        let mut hash = None;
        for _ in 0..RACES {
            let (stored, _) = self.stored(link.user).await?.ok_or_else(bad_token)?;
            let account = &stored.account;
            if account.usable().is_err() || !link.is_proven_by(account.reset.as_ref(), self.clock.now()) {
                return Err(bad_token().into());
            }
            password::check("/password", password, &account.user.name, &account.user.email)?;
            let hash = match &hash {
                Some(hash) => hash,
                None => hash.insert(self.auth.hash_password(password).await?),
            };
            let mut next = with_password(account, self.credentials(hash, None));
            next.user.email_verified = true;
            if users::replace(&self.users, &stored, &next, None).await?.is_some() {
                self.post.send(&next.user, &next.user.email, Subject::PasswordChanged);
                // Whoever reads the address is the owner, whatever others have tried.
                self.auth.forgive(&next.user.email, peer);
                let deed = Deed::new("auth.resetPassword", Audited::Done).from(peer).to(link.user.0);
                self.auth.audit.record_beside(deed);
                let ended = self.auth.end_sessions(link.user, None).await;
                return ended.map(|_| ()).map_err(|error| error.with_outcome(Outcome::Unknown));
            }
        }
        Err(contended())
    }

    /// A new password, as of now: as late as possible, since every session before this is over but the one that is kept.
    fn credentials(&self, hash: &PasswordHash, kept: Option<SessionId>) -> (PasswordHash, CredentialsChange) {
        (hash.clone(), CredentialsChange { at: self.clock.now(), kept })
    }

    /// What follows a change, whether it was made now or by the same request before: each does no harm when it comes again.
    async fn complete(&self, identity: &Identity, change: &AccountChange, user: User, at: Position) -> Result<Changed> {
        let unknown = |error: Error| error.with_outcome(Outcome::Unknown);
        if change.new_password.is_some() {
            self.auth.end_sessions(user.id, Some(identity.session)).await.map_err(unknown)?;
        }
        let mut renamed_at = Position::default();
        if change.name.is_some() && user.role == Role::Doctor {
            renamed_at = self.doctors.rename(user.id, &self.auth).await.map_err(unknown)?;
        }
        Ok(Changed { user, at, renamed_at })
    }

    /// The password that works now must be known to whoever changes what it protects.
    async fn check_current(&self, change: &AccountChange, account: &Account, peer: Peer) -> Result<()> {
        if change.email.is_none() && change.new_password.is_none() {
            return Ok(());
        }
        let wrong = || Violation::new("/currentPassword", "wrong", "not the password that works now");
        let current = change.current_password.as_ref().ok_or_else(wrong)?;
        match self.auth.prove(OPERATION, &account.user.email, current, peer).await {
            Err(Error::Refused(Refusal::Unauthenticated)) => Err(wrong().into()),
            proven => proven.map(|_| ()),
        }
    }

    /// A password is not part of what is remembered of a request: its fast hash would give it away. That the repetition asks
    /// for the same one is asked of the hash that was kept.
    async fn check_repetition(&self, change: &AccountChange, account: &Account) -> Result<()> {
        match &change.new_password {
            Some(new) if !self.auth.verify_password(new, &account.password).await? => {
                Err(Refusal::IdempotencyKeyReused.into())
            }
            _ => Ok(()),
        }
    }

    /// Notes in the audit what concerns how the account is entered.
    fn record(&self, identity: &Identity, peer: Peer, change: &AccountChange) {
        let changed = [(change.email.is_some(), "e-mail"), (change.new_password.is_some(), "password")];
        let changed: Vec<&str> = changed.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect();
        if !changed.is_empty() {
            let deed = Deed::new(OPERATION, Audited::Done).by(identity.user, identity.session).from(peer);
            self.auth.audit.record_beside(deed.to(identity.user.0).with(changed.join(", ")));
        }
    }

    /// Tells the person by e-mail what was changed.
    fn tell(&self, before: &Account, after: &Account, change: &AccountChange, token: Option<LinkToken>) {
        let (user, email) = (&after.user, &before.user.email);
        if change.new_password.is_some() {
            self.post.send(user, email, Subject::PasswordChanged);
        }
        if user.pending_email.is_some() && change.email.is_some() {
            self.post.send(user, email, Subject::EmailChanging);
        }
        if let (Some(pending), Some(token)) = (&user.pending_email, token) {
            self.verify_pending(user.clone(), pending.clone(), token);
        }
    }

    /// Sends the link to the address that is pending, or a notice to whom it belongs: beside the answer, which tells neither.
    fn verify_pending(&self, user: User, pending: String, token: LinkToken) {
        let (users, post, now) = (self.users.clone(), self.post.clone(), self.clock.now());
        self.beside(async move {
            match users::find_by_email(&users, &pending).await? {
                None => post.send(&user, &pending, Subject::Verification { token }),
                Some(owner) => send_taken(&users, &post, owner.user.id, now).await?,
            }
            Ok(())
        });
    }

    fn beside(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let Ok(turn) = self.beside.clone().try_acquire_owned() else {
            tracing::warn!("too many mails are being prepared: one was dropped");
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = work.await {
                tracing::warn!(%error, "a mail could not be prepared");
            }
            drop(turn);
        });
    }

    async fn stored(&self, id: UserId) -> Result<Option<(StoredUser, Position)>> {
        users::find_stored(&self.users, id).await.map_err(not_applied)
    }

    fn request(&self, identity: &Identity, key: &str, rev: Option<u32>, change: &AccountChange) -> Request {
        let AccountChange { name, locale, time_zone, notifications, email, new_password, .. } = change;
        let first = format!("{rev:?} {name:?} {locale:?} {time_zone:?} {email:?} {}", new_password.is_some());
        let second = format!("{notifications:?}");
        // Where it names nothing, a request is what it was before there was any: it may be repeated by a client of then.
        let names_some = *notifications != NotificationsChange::default();
        let parts = [first.as_str(), second.as_str()];
        request::request(identity, OPERATION, key, &parts[..1 + usize::from(names_some)], self.clock.now())
    }
}

/// Runs a change in a task of its own: what follows its write, such as the end of sessions, is done even if the caller leaves.
async fn to_its_end<T: Send + 'static>(change: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let done = tokio::spawn(change.in_current_span()).await;
    done.unwrap_or_else(|died| Err(Error::Internal(format!("a change of an account died: {died}"))))
}

/// Where mails are handed over. Never waits: a mail that finds no room is dropped, and the person asks again.
#[derive(Clone)]
struct Post {
    outbox: mpsc::Sender<Mail>,
    mailboxes: Arc<Mailboxes>,
    clock: Clock,
}

impl Post {
    fn send(&self, user: &User, to: &str, subject: Subject) {
        let is_counted = matches!(subject, Subject::Verification { .. } | Subject::Reset { .. } | Subject::EmailTaken);
        if is_counted && !self.mailboxes.take(to, self.clock.now()) {
            tracing::warn!(user = %user.id, "too many mails to one address: a mail was dropped");
            return;
        }
        let mail = Mail { to: to.to_owned(), name: user.name.clone(), locale: user.locale.clone(), subject };
        if self.outbox.try_send(mail).is_err() {
            tracing::warn!(user = %user.id, "the outbox is full: a mail was dropped");
        }
    }
}

/// The account as the change makes it, with the token that verifies a new address, unless there were enough of them.
fn decide(
    account: &Account,
    change: &AccountChange,
    credentials: Option<(PasswordHash, CredentialsChange)>,
    now: Timestamp,
) -> Result<(Account, Option<LinkToken>)> {
    let mut next = credentials.map_or_else(|| account.clone(), |new| with_password(account, new));
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    if let Some(name) = &change.name {
        next.user.name.clone_from(name);
    }
    if let Some(locale) = &change.locale {
        next.user.locale = given(locale);
    }
    if let Some(zone) = &change.time_zone {
        next.user.time_zone = given(zone);
    }
    next.user.notifications = change.notifications.applied_to(next.user.notifications);
    let Some(email) = &change.email else { return Ok((next, None)) };
    if *email == account.user.email {
        if next.user.pending_email.take().is_some() {
            next.verification = None;
        }
        return Ok((next, None));
    }
    next.user.pending_email = Some(email.clone());
    next.verification = None;
    let Some(sent) = one_more(&account.sent, Counted::Verification, now) else { return Ok((next, None)) };
    let (token, proof) = Link::issue(account.user.id, now + VERIFICATION_LIFETIME)?;
    next.sent = sent;
    next.verification = Some(proof);
    Ok((next, Some(token)))
}

/// The account with another password. What somebody who knew the old one may have set in motion ends with it.
fn with_password(account: &Account, (password, change): (PasswordHash, CredentialsChange)) -> Account {
    let mut next = Account { password, credentials: Some(change), reset: None, ..account.clone() };
    next.user.calendar_feed = next.user.calendar_feed.map(|feed| feed.revoked(change.at));
    if next.user.pending_email.take().is_some() {
        next.verification = None;
    }
    next
}

async fn send_reset(users: &Cluster, post: &Post, id: UserId, now: Timestamp) -> Result<()> {
    for _ in 0..RACES {
        let Some((stored, _)) = users::find_stored(users, id).await? else { return Ok(()) };
        let account = &stored.account;
        // Who logs in elsewhere is not given a second way in.
        let is_elsewhere = account.user.external.is_some();
        let sent = one_more(&account.sent, Counted::Reset, now).filter(|_| account.usable().is_ok() && !is_elsewhere);
        let Some(sent) = sent else { return Ok(()) };
        let (token, proof) = Link::issue(id, now + RESET_LIFETIME)?;
        let next = Account { reset: Some(proof), sent, ..account.clone() };
        if users::replace(users, &stored, &next, None).await?.is_some() {
            post.send(&account.user, &account.user.email, Subject::Reset { token });
            return Ok(());
        }
    }
    Err(contended())
}

async fn send_taken(users: &Cluster, post: &Post, owner: UserId, now: Timestamp) -> Result<()> {
    for _ in 0..RACES {
        let Some((stored, _)) = users::find_stored(users, owner).await? else { return Ok(()) };
        let account = &stored.account;
        let Some(sent) = one_more(&account.sent, Counted::EmailTaken, now) else { return Ok(()) };
        let next = Account { sent, ..account.clone() };
        if users::replace(users, &stored, &next, None).await?.is_some() {
            post.send(&account.user, &account.user.email, Subject::EmailTaken);
            return Ok(());
        }
    }
    Err(contended())
}

/// One answer for a token that is forged, used, replaced or too old.
fn bad_token() -> Refusal {
    Violation::new("/token", "invalid", "this link does not work, or no longer").into()
}

/// The error of a read before the first write.
fn not_applied(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

/// Too many changes of one account at once; none of ours was applied.
fn contended() -> Error {
    Error::Unavailable { cluster: ClusterName::Users, outcome: Some(Outcome::NotApplied) }
}
