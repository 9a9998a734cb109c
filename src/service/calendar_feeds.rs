//! Calendar feeds: made, revoked, and read by whoever has the address.
//!
//! The secret names its owner, as the links in mails do, and only its SHA-256 is kept. It is derived from the idempotency key of who made
//! it, of which the database has a digest alone, with a key that is drawn each time: a repetition is told the same.

use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::auth::{Auth, RACES, contended, not_applied};
use super::links::Link;
use super::random;
use super::request::{self, Done};
use crate::clock::Clock;
use crate::domain::account::{Identity, Role, User};
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::calendar_feed::{AHEAD, CalendarFeed, Event, KEPT};
use crate::domain::change::Position;
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{DerivationKey, LinkToken};
use crate::error::Result;
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::Cluster;
use crate::store::users::{self, Account, StoredUser};

/// The operations that change a feed.
const CREATE: &str = "calendarFeed.create";
const REVOKE: &str = "calendarFeed.revoke";

/// Feeds that are read at once.
const AT_ONCE: usize = 4;
/// When to come back where more are wanted.
const RETRY_AFTER_MS: u64 = 5_000;

/// The calendar feeds of all users.
pub struct CalendarFeeds {
    users: Cluster,
    appointments: AppointmentStore,
    auth: Arc<Auth>,
    /// What addresses begin with.
    public_url: String,
    turns: Semaphore,
    clock: Clock,
}

/// A feed that was made. Not `Debug`: its address is a secret.
pub struct Created {
    pub url: String,
    pub at: Timestamp,
}

/// What a feed shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whose it is.
    pub user: User,
    pub events: Vec<Event>,
}

impl CalendarFeeds {
    #[must_use]
    pub fn new(
        users: Cluster,
        appointments: AppointmentStore,
        auth: Arc<Auth>,
        public_url: String,
        clock: Clock,
    ) -> Self {
        Self { users, appointments, auth, public_url, turns: Semaphore::new(AT_ONCE), clock }
    }

    /// Makes an address for the caller's calendar; one from before ends.
    ///
    /// # Errors
    /// `not_found` when it is repeated after another one was made; `unauthenticated` when the account is gone; unavailable.
    pub async fn create(&self, identity: &Identity, peer: Peer, key: &str) -> Result<Done<Created>> {
        let request = request::request(identity, CREATE, key, &[], self.clock.now());
        for _ in 0..RACES {
            let (stored, at) = self.account_of(identity).await?;
            let account = &stored.account;
            if stored.recalls(&request)? {
                let feed = account.user.calendar_feed.as_ref().ok_or(Refusal::NotFound)?;
                let link = Link::derived(identity.user, derive(&feed.key, key));
                return if link.is(&feed.hash) {
                    Ok(Done { value: self.created(&link.token(), feed.created_at), at })
                } else {
                    Err(Refusal::NotFound.into())
                };
            }
            let deriving = DerivationKey::from(random::bytes()?);
            let link = Link::derived(identity.user, derive(&deriving, key));
            let feed = CalendarFeed { key: deriving, hash: link.hash(), created_at: request.at, revoked_at: None };
            let user = User { calendar_feed: Some(feed), ..account.user.clone() };
            let next = Account { user, ..account.clone() };
            if let Some(at) = users::replace(&self.users, &stored, &next, Some(&request)).await? {
                self.record(CREATE, identity, peer);
                return Ok(Done { value: self.created(&link.token(), request.at), at });
            }
        }
        Err(contended())
    }

    /// Ends the address of the caller's calendar, if there is one. A repetition ends none that was made since.
    ///
    /// # Errors
    /// `unauthenticated` when the account is gone; unavailable.
    pub async fn revoke(&self, identity: &Identity, peer: Peer, key: &str) -> Result<Done<()>> {
        let request = request::request(identity, REVOKE, key, &[], self.clock.now());
        for _ in 0..RACES {
            let (stored, at) = self.account_of(identity).await?;
            let account = &stored.account;
            if stored.recalls(&request)? {
                return Ok(Done { value: (), at });
            }
            let feed = account.user.calendar_feed.clone().map(|feed| feed.revoked(request.at));
            let next = Account { user: User { calendar_feed: feed, ..account.user.clone() }, ..account.clone() };
            if let Some(at) = users::replace(&self.users, &stored, &next, Some(&request)).await? {
                self.record(REVOKE, identity, peer);
                return Ok(Done { value: (), at });
            }
        }
        Err(contended())
    }

    /// What the feed of a secret shows: its owner's appointments as a patient, and those of their own calendar.
    ///
    /// # Errors
    /// `not_found` for whatever does not work; `rate_limited` while too many are read; unavailable.
    pub async fn read(&self, secret: &LinkToken) -> Result<Shown> {
        let link = Link::parse(secret).ok_or(Refusal::NotFound)?;
        let account = users::find(&self.users, link.user).await?.ok_or(Refusal::NotFound)?;
        let works = |feed: &CalendarFeed| feed.is_live() && link.is(&feed.hash);
        if account.usable().is_err() || !account.user.calendar_feed.as_ref().is_some_and(works) {
            return Err(Refusal::NotFound.into());
        }
        let limited = |_| Refusal::RateLimited { retry_after_ms: RETRY_AFTER_MS };
        let _turn = self.turns.try_acquire().map_err(limited)?;
        let (user, now) = (account.user, self.clock.now());
        let calendar = (user.role == Role::Doctor).then_some(user.id);
        let events = self.appointments.events(user.id, calendar, (now - KEPT, now + AHEAD)).await?;
        Ok(Shown { user, events })
    }

    /// The account of the caller, which is in use.
    async fn account_of(&self, identity: &Identity) -> Result<(StoredUser, Position)> {
        let found = users::find_stored(&self.users, identity.user).await.map_err(not_applied)?;
        let (stored, at) = found.ok_or(Refusal::Unauthenticated)?;
        stored.account.usable()?;
        Ok((stored, at))
    }

    fn created(&self, secret: &LinkToken, at: Timestamp) -> Created {
        Created { url: format!("{}/v1/calendar/{}.ics", self.public_url, secret.expose()), at }
    }

    fn record(&self, operation: &'static str, identity: &Identity, peer: Peer) {
        let deed = Deed::new(operation, Audited::Done).by(identity.user, identity.session).from(peer);
        self.auth.audit.record_beside(deed.to(identity.user.0));
    }
}

/// The secret part of an address.
fn derive(key: &DerivationKey, idempotency_key: &str) -> [u8; 16] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let mut part = [0; 16];
    part.copy_from_slice(&hmac::sign(&key, idempotency_key.as_bytes()).as_ref()[..16]);
    part
}
