//! Calendar feeds: made, revoked, and read by whoever has the address.
//!
//! The secret names its owner, as the links in mails do, and only its SHA-256 is kept. It is derived from the idempotency key of who made
//! it, with a key that is drawn each time: a repetition is told the same, and the database alone makes none.

use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::auth::{Auth, RACES, contended, not_applied};
use super::links::Link;
use super::random;
use super::request::{self, Done};
use crate::clock::Clock;
use crate::domain::account::{Identity, Role, User};
use crate::domain::appointment::Appointment;
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::calendar_feed::{AHEAD, CalendarFeed, KEPT, is_certain};
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{DerivationKey, LinkToken};
use crate::error::Result;
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::Cluster;
use crate::store::idempotency::Request;
use crate::store::users::{self, Account};

/// The operations that change a feed.
const CREATE: &str = "calendarFeed.create";
const REVOKE: &str = "calendarFeed.revoke";

/// The calendar feeds of all users.
pub struct CalendarFeeds {
    users: Cluster,
    appointments: AppointmentStore,
    auth: Arc<Auth>,
    /// What addresses begin with.
    public_url: String,
    clock: Clock,
}

/// A feed that was made.
#[derive(Clone, Debug)]
pub struct Created {
    pub url: String,
    pub at: Timestamp,
}

/// What a feed shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whose it is.
    pub user: User,
    pub appointments: Vec<Appointment>,
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
        Self { users, appointments, auth, public_url, clock }
    }

    /// Makes an address for the caller's calendar; one from before ends.
    ///
    /// # Errors
    /// `not_found` when it is repeated after another one was made; `unauthenticated` when the account is gone; unavailable.
    pub async fn create(&self, identity: &Identity, peer: Peer, key: &str) -> Result<Done<Created>> {
        let request = request::request(identity, CREATE, key, &[], self.clock.now());
        for _ in 0..RACES {
            let found = users::find_stored(&self.users, identity.user).await.map_err(not_applied)?;
            let (stored, at) = found.ok_or(Refusal::Unauthenticated)?;
            let account = &stored.account;
            account.usable()?;
            if stored.recalls(&request)? {
                let feed = account.user.calendar_feed.as_ref().ok_or(Refusal::NotFound)?;
                let link = Link::derived(identity.user, derive(&feed.key, &request));
                return if link.is(&feed.hash) {
                    Ok(Done { value: self.created(&link.token(), feed.created_at), at })
                } else {
                    Err(Refusal::NotFound.into())
                };
            }
            let key = DerivationKey::from(random::bytes()?);
            let link = Link::derived(identity.user, derive(&key, &request));
            let feed = CalendarFeed { key, hash: link.hash(), created_at: request.at, revoked_at: None };
            let user = User { calendar_feed: Some(feed), ..account.user.clone() };
            let next = Account { user, ..account.clone() };
            if let Some(at) = users::replace(&self.users, &stored, &next, Some(&request)).await? {
                self.record(CREATE, identity, peer);
                return Ok(Done { value: self.created(&link.token(), request.at), at });
            }
        }
        Err(contended())
    }

    /// Ends the address of the caller's calendar. Ending it twice is no error, so this needs no memory of its idempotency key.
    ///
    /// # Errors
    /// `unauthenticated` when the account is gone; unavailable.
    pub async fn revoke(&self, identity: &Identity, peer: Peer) -> Result<Done<()>> {
        for _ in 0..RACES {
            let found = users::find_stored(&self.users, identity.user).await.map_err(not_applied)?;
            let (stored, at) = found.ok_or(Refusal::Unauthenticated)?;
            let account = &stored.account;
            account.usable()?;
            let Some(feed) = account.user.calendar_feed.clone().filter(CalendarFeed::is_live) else {
                return Ok(Done { value: (), at });
            };
            let user = User { calendar_feed: Some(feed.revoked(self.clock.now())), ..account.user.clone() };
            let next = Account { user, ..account.clone() };
            if let Some(at) = users::replace(&self.users, &stored, &next, None).await? {
                self.record(REVOKE, identity, peer);
                return Ok(Done { value: (), at });
            }
        }
        Err(contended())
    }

    /// What the feed of a secret shows: its owner's appointments as a patient, and those of their own calendar.
    ///
    /// # Errors
    /// `not_found` for whatever does not work; unavailable.
    pub async fn read(&self, secret: &LinkToken) -> Result<Shown> {
        let link = Link::parse(secret).ok_or(Refusal::NotFound)?;
        let account = users::find(&self.users, link.user).await?.ok_or(Refusal::NotFound)?;
        let works = |feed: &CalendarFeed| feed.is_live() && link.is(&feed.hash);
        if account.usable().is_err() || !account.user.calendar_feed.as_ref().is_some_and(works) {
            return Err(Refusal::NotFound.into());
        }
        let (user, since) = (account.user, self.clock.now() - KEPT);
        let (_, mut appointments) = self.appointments.snapshot_of_patient(user.id, since).await?;
        if user.role == Role::Doctor {
            let window = (since, self.clock.now() + AHEAD);
            let (_, own) = self.appointments.snapshot_of_doctor(user.id, window).await?;
            appointments.extend(own);
        }
        appointments.retain(|appointment| is_certain(appointment).is_some());
        Ok(Shown { user, appointments })
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
fn derive(key: &DerivationKey, request: &Request) -> [u8; 16] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let mut part = [0; 16];
    part.copy_from_slice(&hmac::sign(&key, request.key.as_bytes()).as_ref()[..16]);
    part
}
