//! Erasing a person: the account is closed at once, and everything that tells of the person is taken out of both
//! clusters. What the clinic must keep, the visit, stays without them.
//!
//! The account with its `closedAt` is the job. Any node does it, as often as it likes: each step finds what is still left,
//! so that a crash anywhere, or two nodes at once, do no harm. An access token that lives when the account is closed may
//! be taken for a moment by a node that has not heard yet; so the job looks through everything once more when the last
//! one has ended, and only then deletes the account.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::auth::Auth;
use super::random;
use super::releases::{GivenUp, Releases, heirs};
use super::request::Done;
use crate::clock::Clock;
use crate::domain::account::{Identity, User};
use crate::domain::appointment::{Action, Appointment};
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::entry::TimeOffDay;
use crate::domain::history::Actor;
use crate::domain::ids::{DoctorId, UserId};
use crate::domain::notifications::Notifications;
use crate::domain::refusal::Refusal;
use crate::domain::tick::Tick;
use crate::domain::waitlist::WaitlistEntry;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::appointments::{AppointmentStore, Stored};
use crate::store::cluster::Cluster;
use crate::store::doctors::DoctorStore;
use crate::store::reviews::ReviewStore;
use crate::store::together::Changes;
use crate::store::users::{self, Account};
use crate::store::waitlist::StoredEntry;
use crate::store::{audit, sessions};
use crate::views::revocations::RETENTION;

/// How often a change is decided anew because another one was faster.
const RACES: usize = 8;
/// How often a node looks for closed accounts: those of other nodes that stopped, and those that wait for their end.
const EVERY: Duration = Duration::from_secs(30);
/// Documents of a person that are read at once.
const AT_ONCE: i64 = 100;
/// Closed accounts that are read at once.
const ACCOUNTS_AT_ONCE: i64 = 1_000;

/// Closes accounts and erases their people.
pub struct Erasure {
    users: Cluster,
    appointments: AppointmentStore,
    doctors: DoctorStore,
    reviews: ReviewStore,
    releases: Releases,
    auth: Arc<Auth>,
    clock: Clock,
    due: Notify,
}

impl Erasure {
    #[must_use]
    pub fn new(
        users: Cluster,
        releases: Releases,
        doctors: DoctorStore,
        reviews: ReviewStore,
        auth: Arc<Auth>,
        clock: Clock,
    ) -> Self {
        let appointments = releases.store.clone();
        Self { users, appointments, doctors, reviews, releases, auth, clock, due: Notify::new() }
    }

    /// Closes the caller's account and ends all sessions. The rest is done beside the answer.
    ///
    /// # Errors
    /// `stale_rev`; `unauthenticated` when it is closed already; unavailable.
    pub async fn close(&self, identity: &Identity, rev: Option<u32>) -> Result<Done<()>> {
        for _ in 0..RACES {
            let found = users::find_stored(&self.users, identity.user).await;
            let (stored, _) = found.map_err(not_applied)?.ok_or(Refusal::Unauthenticated)?;
            stored.account.usable()?;
            if rev.is_some_and(|rev| rev != stored.account.user.rev) {
                return Err(Refusal::StaleRev.into());
            }
            let closed = closed(&stored.account, self.clock.now());
            if let Some(at) = users::close(&self.users, &stored, &closed).await? {
                if let Err(error) = self.auth.end_sessions(identity.user, None).await {
                    // The job does it as well.
                    tracing::warn!(%error, "the sessions of a closed account have not all ended yet");
                }
                let deed = Deed::new("me.delete", Audited::Done).by(identity.user, identity.session);
                self.auth.audit.record_beside(deed.to(identity.user.0));
                self.due.notify_one();
                return Ok(Done { value: (), at });
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Users, outcome: Some(Outcome::NotApplied) })
    }

    /// Erases whoever has closed their account, now and from now on.
    pub async fn run(&self) {
        loop {
            if let Err(error) = self.erase_closed(self.clock.now()).await {
                tracing::warn!(%error, "an erasure was cut short: it goes on later");
            }
            tokio::select! { () = self.due.notified() => {}, () = tokio::time::sleep(EVERY) => {} }
        }
    }

    /// Erases everybody whose account is closed, as of `now`; deletes the accounts that no token can outlive any more.
    ///
    /// # Errors
    /// Unavailable: what was done stays, and the next call goes on.
    pub async fn erase_closed(&self, now: Timestamp) -> Result<()> {
        let mut result = Ok(());
        for (person, closed_at) in users::closed(&self.users, ACCOUNTS_AT_ONCE).await? {
            let is_last = now.duration_since(closed_at) > RETENTION;
            // One that cannot be erased must not hold up the others.
            if let Err(error) = self.erase(person, is_last, now).await {
                result = Err(error);
            }
        }
        result
    }

    async fn erase(&self, person: UserId, is_last: bool, now: Timestamp) -> Result<()> {
        // What could write anew comes first, then what can be booked, then what was.
        self.erase_sessions(person, now).await?;
        self.erase_profile(person, now).await?;
        self.erase_as_staff(person, now).await?;
        self.erase_from_waitlists(person, now).await?;
        self.erase_as_patient(person, now).await?;
        self.erase_as_doctor(person, now).await?;
        self.erase_from_reviews(person, now).await?;
        audit::forget_networks(&self.users, person).await?;
        if is_last {
            users::delete_closed(&self.users, person).await?;
            tracing::info!(user = %person, "a person was erased");
        }
        Ok(())
    }

    async fn erase_sessions(&self, person: UserId, now: Timestamp) -> Result<()> {
        loop {
            let found = sessions::not_erased(&self.users, person, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            for session in found {
                sessions::replace(&self.users, &session.erased(now)).await?;
            }
        }
    }

    async fn erase_profile(&self, person: UserId, now: Timestamp) -> Result<()> {
        while let Some((stored, _)) = self.doctors.find(person).await? {
            let doctor = &stored.doctor;
            let bookable = doctor.is_approved() || doctor.services.iter().any(|service| !service.archived);
            let unnamed = doctor.name.is_empty() && doctor.services.iter().all(|service| service.name.is_empty());
            let clean = unnamed && doctor.profile == Default::default() && !stored.remembers(person);
            if clean && !bookable {
                return Ok(());
            }
            self.doctors.rewrite(&stored, &doctor.erased(now), Some(person)).await?;
        }
        Ok(())
    }

    async fn erase_as_staff(&self, person: UserId, now: Timestamp) -> Result<()> {
        loop {
            let found = self.doctors.of_staff(person, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            for doctor in found {
                // Whole: what lists doctors leaves out their history.
                let Some((stored, _)) = self.doctors.find(doctor.id).await? else { continue };
                self.doctors.rewrite(&stored, &stored.doctor.without_staff(person, now), Some(person)).await?;
            }
        }
    }

    /// Each appointment gets a stranger of its own, so that the visits of one person are no longer those of one.
    async fn erase_as_patient(&self, person: UserId, now: Timestamp) -> Result<()> {
        loop {
            let found = self.appointments.with_patient(person, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            for stored in found {
                let stranger = UserId(random::id(now)?);
                let next = stored.appointment.without_patient(stranger, now);
                self.rewrite(&stored, &next, person).await?;
            }
        }
    }

    /// Somebody who has left waits for nobody, and for a doctor who has left waits nobody. What they were offered goes to the next.
    async fn erase_from_waitlists(&self, person: UserId, now: Timestamp) -> Result<()> {
        let waitlist = &self.releases.waitlist;
        loop {
            let found = waitlist.with_patient(person, AT_ONCE).await?;
            if found.is_empty() {
                break;
            }
            for stored in found {
                let next = match stored.entry.patient_id == person {
                    true => stored.entry.without_patient(UserId(random::id(now)?), now),
                    false => stored.entry.revised(now),
                };
                self.rewrite_entry(&stored, &next, person, now).await?;
            }
        }
        loop {
            let found = waitlist.with_doctor(person, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            for stored in found {
                self.rewrite_entry(&stored, &stored.entry.without_doctor(now), person, now).await?;
            }
        }
    }

    async fn rewrite_entry(
        &self,
        stored: &StoredEntry,
        next: &WaitlistEntry,
        person: UserId,
        now: Timestamp,
    ) -> Result<()> {
        let Some(offer) = stored.entry.offer.filter(|_| next.offer.is_none()) else {
            return self.releases.waitlist.rewrite(stored, next, person).await.map(drop);
        };
        let hold = self.appointments.find(offer.hold).await?.map(|(hold, _)| hold);
        let by = Actor::system(next.patient_id);
        let ended = hold.and_then(|hold| {
            let ended = hold.appointment.hold_ended(Action::Released, by, now).ok()?;
            Some((hold, ended))
        });
        // It has ended just now: then this finds another revision.
        let Some((hold, ended)) = ended else {
            return self.releases.waitlist.rewrite(stored, next, person).await.map(drop);
        };
        let changes = Changes::default().rewritten(&hold, &ended).erased_entry(stored, next, person);
        let given_up = GivenUp::by(std::slice::from_ref(&ended));
        self.releases.hand_over(given_up.as_ref(), changes).await?;
        self.releases.settle(given_up.as_ref()).await
    }

    /// Writes the next revision of an appointment. What it gives up goes to its doctor's days off, and then to those who wait.
    async fn rewrite(&self, stored: &Stored, next: &Appointment, person: UserId) -> Result<()> {
        let seat = self.appointments.seat_left(stored, next).await?;
        let freed = seat.as_ref().map_or(&next.freed, |seat| &seat.next().freed);
        let days = self.heirs(next.doctor_id, freed).await?;
        let given_up = GivenUp::by(std::slice::from_ref(next)).map(|given_up| {
            let given_up = seat.iter().fold(given_up, |given_up, seat| given_up.and_left(seat.next()));
            given_up.without(&days)
        });
        let changes = Changes::default().erased(stored, next, person).left(seat).taken(days);
        let changes = self.releases.with_entry(stored, next, changes).await?;
        self.releases.hand_over(given_up.as_ref(), changes).await?;
        self.releases.settle(given_up.as_ref()).await
    }

    /// The days of its doctor's time off that take over what an appointment gives up.
    async fn heirs(&self, doctor: DoctorId, freed: &[Tick]) -> Result<Vec<TimeOffDay>> {
        if freed.is_empty() {
            return Ok(Vec::new());
        }
        let doctor = self.doctors.find(doctor).await?;
        Ok(doctor.map(|(stored, _)| heirs(&stored.doctor, freed)).unwrap_or_default())
    }

    /// The rating of a review stays, since the doctor's counts it; whose it was, and what they wrote, does not. Of a doctor goes
    /// what they answered, and what was said of them.
    async fn erase_from_reviews(&self, person: UserId, now: Timestamp) -> Result<()> {
        loop {
            let found = self.reviews.with_author(person, AT_ONCE).await?;
            if found.is_empty() {
                break;
            }
            for stored in found {
                let next = stored.review.without_author(person, UserId(random::id(now)?), now);
                self.reviews.rewrite(&stored, &next, person).await?;
            }
        }
        loop {
            let found = self.reviews.with_doctor(person, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            for stored in found {
                self.reviews.rewrite(&stored, &stored.review.without_doctor(now), person).await?;
            }
        }
    }

    async fn erase_as_doctor(&self, person: UserId, now: Timestamp) -> Result<()> {
        loop {
            let found = self.appointments.with_doctor(person, now, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            for stored in found {
                let next = stored.appointment.without_doctor(now);
                let seat = self.appointments.seat_left(&stored, &next).await?;
                let changes = Changes::default().erased(&stored, &next, person).left(seat);
                self.appointments.write_together(changes).await?;
            }
        }
    }
}

/// The account with nothing in it but that it is closed. The address is free at once; the one in its place cannot be
/// written to (RFC 2606), and the empty hash is that of no password.
fn closed(account: &Account, now: Timestamp) -> Account {
    let User { id, rev, role, created_at, .. } = account.user;
    let user = User {
        id,
        rev,
        role,
        name: String::new(),
        email: format!("{id}@closed.invalid"),
        email_verified: false,
        pending_email: None,
        locale: None,
        time_zone: None,
        notifications: Notifications::default(),
        calendar_feed: None,
        created_at,
        // Until no token of the other issuer from before can live any more: one would bring the person back.
        external: account.user.external.clone(),
    };
    Account { closed_at: Some(now), ..Account::new(user, String::new().into()) }
}

fn not_applied(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}
