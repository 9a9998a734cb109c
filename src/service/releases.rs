//! What becomes of time that an appointment gives up. Within a time off, its days take it over in the same transaction; what is left
//! is offered to those who wait, in the same transaction too. So it is never free in between.

mod offers;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::Date;

use self::offers::Skipped;
use super::request::part_id;
use crate::clock::Clock;
use crate::domain::appointment::Appointment;
use crate::domain::doctor::Doctor;
use crate::domain::entry::{Quota, TimeOffDay};
use crate::domain::group::GroupSession;
use crate::domain::ids::{AppointmentId, DoctorId, TimeOffId, UserId};
use crate::domain::tick::Tick;
use crate::domain::time_off::shares;
use crate::error::{Outcome, Result};
use crate::store::appointments::AppointmentStore;
use crate::store::together::{Changes, Together};
use crate::store::waitlist::WaitlistStore;
use crate::views::calendar::{Calendar, Occupancy};
use crate::views::calendars::Calendars;
use crate::views::committed::Committed;

/// The days of a doctor's times off that these ticks belong to, each with those that it takes.
pub(super) fn heirs(doctor: &Doctor, ticks: &[Tick]) -> Vec<TimeOffDay> {
    let shares = shares(doctor, ticks).into_iter();
    shares.map(|share| day_of(doctor.id, share.time_off, share.date, share.ticks)).collect()
}

/// A date of a time off, as it begins.
pub(super) fn day_of(doctor_id: DoctorId, time_off: TimeOffId, date: Date, claims: Vec<Tick>) -> TimeOffDay {
    let (id, freed) = (day_id(time_off, date), Vec::new());
    TimeOffDay { id, rev: 1, doctor_id, time_off, date, claims, freed, ended: false }
}

/// The one document of a date of a time off.
fn day_id(time_off: TimeOffId, date: Date) -> AppointmentId {
    let days = date.duration_since(Date::ZERO).as_hours() / 24;
    AppointmentId(part_id(time_off.0, usize::try_from(days).unwrap_or_default()))
}

/// How often what is given up is offered to somebody else because whoever came first got something meanwhile.
const ATTEMPTS: usize = 32;
/// The same once it is free: others may have it as well.
const LATE_ATTEMPTS: usize = 4;

/// Time of a doctor that is given up by one change.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    doctor: DoctorId,
    /// Who gives it up.
    of: Vec<AppointmentId>,
    ticks: Vec<Tick>,
    quotas: Vec<Quota>,
    /// What the same change takes.
    taken: Vec<Quota>,
    claims: HashSet<Tick>,
    /// Whose time it was: it is not offered to them.
    by: Vec<UserId>,
}

impl GivenUp {
    /// What these revisions give up together, all of one doctor: one of them may take what another had.
    pub(super) fn by(next: &[Appointment]) -> Option<Self> {
        let doctor = next.first()?.doctor_id;
        let taken: HashSet<Tick> = next.iter().flat_map(|one| one.claims.iter().copied()).collect();
        let freed: BTreeSet<Tick> = next.iter().flat_map(|one| one.freed.iter().copied()).collect();
        let holders = next.iter().filter_map(|one| one.held).map(|held| held.by);
        Some(Self {
            doctor,
            of: next.iter().map(|one| one.id).collect(),
            ticks: freed.into_iter().filter(|tick| !taken.contains(tick)).collect(),
            quotas: next.iter().flat_map(|one| one.freed_quotas.iter().copied()).collect(),
            taken: next.iter().flat_map(|one| one.quotas.iter().copied()).collect(),
            claims: taken,
            by: next.iter().map(|one| one.patient_id).chain(holders).collect(),
        })
    }

    /// The same, with what a group session gives up whose last seat is left.
    pub(super) fn and_left(mut self, session: &GroupSession) -> Self {
        if !session.is_open() {
            self.of.push(session.id);
        }
        self.ticks.extend(session.freed.iter().filter(|tick| !self.claims.contains(tick)));
        self.quotas.extend(&session.freed_quotas);
        self
    }

    /// The same without what a group session takes.
    pub(super) fn but_for(mut self, session: &GroupSession) -> Self {
        self.ticks.retain(|tick| !session.claims.contains(tick));
        self.taken.extend(&session.quotas);
        self
    }

    /// Ticks that nobody is to be offered, such as those of a time off that begins.
    pub(super) fn of_doctor(doctor: DoctorId, ticks: &[Tick]) -> Self {
        let (of, quotas, taken, by) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { doctor, of, ticks: ticks.to_vec(), quotas, taken, claims: HashSet::new(), by }
    }

    /// The same without what some days take over.
    pub(super) fn without(self, days: &[TimeOffDay]) -> Self {
        Self { ticks: left_by(&self.ticks, days), ..self }
    }
}

/// Who takes over what is given up, and who looks after it.
#[derive(Clone)]
pub struct Releases {
    pub(super) store: AppointmentStore,
    pub(super) waitlist: WaitlistStore,
    pub(super) calendars: Arc<Calendars>,
    pub(super) committed: Arc<Committed>,
    clock: Clock,
    /// How long somebody may think about what they are offered.
    offer_length: SignedDuration,
}

impl Releases {
    #[must_use]
    pub fn new(
        store: AppointmentStore,
        waitlist: WaitlistStore,
        calendars: Arc<Calendars>,
        committed: Arc<Committed>,
        clock: Clock,
        offer_length: SignedDuration,
    ) -> Self {
        Self { store, waitlist, calendars, committed, clock, offer_length }
    }

    /// Writes changes together with what becomes of the time that they give up, by what this node has seen.
    ///
    /// # Errors
    /// `unavailable`.
    pub(super) async fn hand_over(&self, given_up: Option<&GivenUp>, changes: Changes) -> Result<Together> {
        let Some(given_up) = given_up.filter(|given_up| !given_up.ticks.is_empty()) else {
            return self.store.write_together(changes).await;
        };
        let not_applied = |error: crate::error::Error| error.with_outcome(Outcome::NotApplied);
        let Some(calendar) = self.calendars.get(given_up.doctor).await.map_err(not_applied)? else {
            return self.store.write_together(changes).await;
        };
        let days = heirs(&calendar.doctor, &given_up.ticks);
        let left = left_by(&given_up.ticks, &days);
        let changes = changes.taken(days);
        let mut skipped = Skipped::new();
        for _ in 0..ATTEMPTS {
            let offers = self.offers(&calendar, given_up, &left, &skipped).await.map_err(not_applied)?;
            match self.store.write_together(self.with_offers(changes.clone(), &offers)).await? {
                Together::NotOffered(place) => skipped.extend(offers.get(place).map(offers::Offered::revision)),
                written => return Ok(written),
            }
        }
        // So many give up time at once that each waiting entry got something else: what is left is free as ever.
        self.store.write_together(changes).await
    }

    /// After a change was committed that gave up time of a doctor, or began a time off: what is free within one by now is taken,
    /// and the rest is offered to those who have joined meanwhile.
    ///
    /// Both sides do this once they have seen what they wrote. So whichever of two came later in the order of commits sees the
    /// other, even if neither knew of it when it decided.
    pub(super) async fn settle(&self, given_up: Option<&GivenUp>) -> Result<()> {
        let Some(given_up) = given_up.filter(|given_up| !given_up.ticks.is_empty()) else { return Ok(()) };
        self.committed.catch_up().await;
        let mut skipped = Skipped::new();
        for _ in 0..LATE_ATTEMPTS {
            let Some(calendar) = self.calendars.get(given_up.doctor).await? else { return Ok(()) };
            let free = free_of(&calendar, &given_up.ticks);
            let days = heirs(&calendar.doctor, &free);
            let offers = self.offers(&calendar, given_up, &left_by(&free, &days), &skipped).await?;
            if days.is_empty() && offers.is_empty() {
                return Ok(());
            }
            // Whoever is faster has it: a collision leaves nothing to do.
            let changes = self.with_offers(Changes::default().taken_if_free(days), &offers);
            match self.store.write_together(changes).await? {
                Together::NotOffered(place) => skipped.extend(offers.get(place).map(offers::Offered::revision)),
                Together::Done(at) => {
                    self.committed.acknowledged(at);
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

fn free_of(calendar: &Calendar, ticks: &[Tick]) -> Vec<Tick> {
    ticks.iter().copied().filter(|tick| calendar.occupancy(*tick..Tick(tick.0 + 1)) == Occupancy::Free).collect()
}

/// What some days do not take of ticks.
fn left_by(ticks: &[Tick], days: &[TimeOffDay]) -> Vec<Tick> {
    let taken: HashSet<Tick> = days.iter().flat_map(|day| day.claims.iter().copied()).collect();
    ticks.iter().copied().filter(|tick| !taken.contains(tick)).collect()
}
