//! Proves passwords: finds the account, throttles, compares. Everything that asks for a password goes through here.

use jiff::SignedDuration;
use uuid::Uuid;

use super::audit::Audit;
use super::passwords::Passwords;
use super::throttle::{From, Throttle, Try};
use crate::clock::Clock;
use crate::domain::account::normalised_email;
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::ids::UserId;
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{Password, PasswordHash};
use crate::error::{Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::users::Account;
use crate::store::{sessions, users};

/// How long after its last use a session makes a network known: also of one that has ended, since whoever logs out has to be
/// able to come back.
const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What is compared, and what limits how often.
pub(super) struct Credentials {
    users: Cluster,
    clock: Clock,
    passwords: Passwords,
    throttle: Throttle,
    audit: Audit,
}

impl Credentials {
    pub(super) fn new(users: Cluster, audit: Audit, clock: Clock) -> Self {
        Self { users, clock, passwords: Passwords::new(), throttle: Throttle::default(), audit }
    }

    /// The hash to keep of a password.
    pub(super) async fn hash(&self, password: &Password) -> Result<PasswordHash> {
        self.passwords.turn().await?.hash(password).await
    }

    /// Whether a hash was made of this password: for somebody who is known already.
    pub(super) async fn matches(&self, password: &Password, hash: &PasswordHash) -> Result<bool> {
        self.passwords.turn().await?.verify(password, Some(hash)).await
    }

    /// The account with this address, when `password` is its password.
    ///
    /// # Errors
    /// `unauthenticated` and `rate_limited`, the same in word and in time whether there is such an account or not;
    /// unavailable.
    pub(super) async fn prove(
        &self,
        action: &'static str,
        email: &str,
        password: &Password,
        peer: Peer,
    ) -> Result<Account> {
        let address = normalised_email(email);
        let attempt = self.throttle.attempt(address.as_deref().unwrap_or(email), peer);
        // Who must wait in any case costs no look-up, and does not stand in the queue.
        self.throttle.check_peer(attempt, self.clock.now())?;
        let account = match address {
            Ok(address) => users::find_by_email(&self.users, &address).await.map_err(not_applied)?,
            Err(_) => None,
        };
        let user = account.as_ref().map(|account| account.user.id);
        self.throttled(attempt, user, peer, |from| self.throttle.check_account(attempt, from, self.clock.now()))
            .await?;
        let turn = self.passwords.turn().await?;
        // It is charged when its turn has come: tries that wait are no failures yet.
        let charge = |from| self.throttle.charge(attempt, from, self.clock.now());
        let charge = self.throttled(attempt, user, peer, charge).await?;
        let matches = turn.verify(password, account.as_ref().map(|account| &account.password)).await;
        // An account that is not there fails as a wrong password does.
        if !matches!(matches, Ok(false)) {
            self.throttle.give_back(charge);
        }
        match (account, matches?) {
            (Some(account), true) => Ok(account),
            (account, _) => {
                if let Some(account) = account {
                    // Beside the answer, which must not take longer for an account that is there.
                    let deed = Deed::new(action, Audited::Refused).from(peer).to(account.user.id.0);
                    self.audit.record_beside(deed.with("wrong password"));
                }
                Err(Refusal::Unauthenticated.into())
            }
        }
    }

    /// Forgives all wrong passwords at the account with this address, for an owner who has proven themselves otherwise, and
    /// knows them for a while where they are now.
    pub(super) fn forgive(&self, email: &str, peer: Peer) {
        self.throttle.forgive(email);
        self.throttle.vouch(self.throttle.attempt(email, peer), self.clock.now());
    }

    /// Asks the throttle for a stranger, and where that is too much, for somebody who was logged in from this network.
    async fn throttled<T>(
        &self,
        attempt: Try,
        user: Option<UserId>,
        peer: Peer,
        ask: impl Fn(From) -> Result<T, Refusal>,
    ) -> Result<T> {
        let refused = match ask(From::Strangers) {
            Ok(granted) => return Ok(granted),
            Err(refused) => refused,
        };
        // Asked for an account that is not there as well: it takes as long.
        let (user, network) = (user.unwrap_or(UserId(Uuid::nil())), peer.network().to_string());
        let now = self.clock.now();
        let seen = sessions::any_seen_in(&self.users, user, &network, now - KNOWN_FOR).await.map_err(not_applied)?;
        if seen || self.throttle.is_vouched_for(attempt, now) { Ok(ask(From::Known)?) } else { Err(refused.into()) }
    }
}

fn not_applied(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}
