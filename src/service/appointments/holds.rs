//! Holds: a time that somebody keeps while filling in the form. They end by being booked or released, or by running out, which the
//! database's clock decides in the write itself; a lost connection ends none.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::terms::{Asked, Permitted, allows};
use super::{Appointments, Book, GENERATIONS, REPLACE_ATTEMPTS, unchanged, unknown};
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::appointment::{Action, Appointment, Booking, HOLDS, Held, HoldPlace, Status};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, ServiceId, UserId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots::{self as rules, Rule};
use crate::domain::tick::Tick;
use crate::domain::waitlist::WaitlistEntry;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::service::releases::GivenUp;
use crate::service::request::{self, Done};
use crate::store::appointments::{Confirmed, Holding, Stored};
use crate::store::idempotency::Request;
use crate::store::together::{Changes, Together};
use crate::store::waitlist::StoredEntry;
use crate::views::calendar::{Calendar, Occupancy};

/// How often a node looks for holds that have run out: twice within the two seconds in which others are to see it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Holds that are ended before the next are looked for.
const SWEEP_AT_ONCE: i64 = 100;
/// Most that this node's clock and the database's may differ by for a hold to be judged by the former.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);
/// How often a time is tried for because what was in the way has run out.
pub(super) const ATTEMPTS: usize = 8;

/// What is to be held.
#[derive(Clone, Debug)]
pub struct Hold {
    pub doctor: DoctorId,
    pub service: ServiceId,
    pub start: Timestamp,
    /// For whom; the caller otherwise.
    pub patient: Option<PatientId>,
}

/// What a booking is made over.
pub(super) enum Over {
    Nothing,
    /// A hold of the caller, perhaps run out by now.
    Hold(Box<Stored>),
    /// It has been made before.
    Original(Box<Done<Appointment>>),
}

/// What was in the way of a time.
pub(in crate::service) enum Way {
    /// Somebody has it.
    Taken,
    /// What has run out, and is out of the way now.
    Freed,
    /// The caller's own hold on exactly this time, perhaps run out by now.
    Own(Box<Stored>),
}

impl Appointments {
    /// Holds a slot for the caller. Whoever holds it already gets the hold that there is.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `slot_unavailable` (`holds`: the caller has as many as allowed), `slot_taken`,
    /// `idempotency_key_reused`, `unavailable`.
    pub async fn hold(&self, viewer: &Viewer, key: &str, hold: Hold) -> Result<Done<Appointment>> {
        const OPERATION: &str = "slot.hold";
        let identity = viewer.identity()?;
        let (now, patient) = (self.clock.now(), hold.patient.unwrap_or(identity.user));
        let parts = [hold.doctor.to_string(), hold.service.to_string(), hold.start.to_string(), patient.to_string()];
        let request = request::request(identity, OPERATION, key, &parts.each_ref().map(String::as_str), now);
        let staff = self.slots.staff(viewer, hold.doctor).await.map_err(unchanged)?;
        access::authorise(OPERATION, viewer, Object::between(hold.doctor, patient).with_staff(&staff))?;
        let calendar = match self.calendar(viewer, hold.doctor).await {
            Ok(calendar) => calendar,
            Err(error) => return self.remembered(&request).await?.ok_or(error),
        };
        if let Some(own) = calendar.hold_of(identity.user, hold.service, hold.start)
            && let Some(done) = self.live(own.id, identity.user).await?
        {
            // The key may be that of another hold.
            return Ok(self.remembered(&request).await?.unwrap_or(done));
        }
        let asked = Asked { service: hold.service, start: hold.start, exception: false, at: now };
        let (calendar, allowed) = self.offered(viewer, calendar, asked).await?;
        let start = match allowed {
            Ok((start, _)) => start,
            Err(refusal) => return self.remembered(&request).await?.ok_or(refusal.into()),
        };
        let service = calendar.doctor.service(hold.service)?;
        // The practice may say for whom when it books.
        let is_said = hold.patient.is_some() || !self.is_practice(viewer, hold.doctor).await.map_err(unchanged)?;
        if is_said && !self.takes(hold.doctor, service, Some(patient)).await.map_err(unchanged)? {
            let refusal = Refusal::SlotUnavailable { rule: Rule::Patients };
            return self.remembered(&request).await?.ok_or(refusal.into());
        }
        let patient_name = match self.name_of(identity, patient).await {
            Ok(name) => name,
            Err(error) => return self.remembered(&request).await?.ok_or(error),
        };
        let booking = Booking {
            id: AppointmentId(Uuid::nil()),
            doctor: &calendar.doctor,
            service,
            patient_id: patient,
            patient_name: &patient_name,
            walk_in: None,
            start,
            quotas: Vec::new(),
            reason: None,
            pending: false,
            overridden: None,
            by: request.actor(),
            now,
        };
        for generation in 0..GENERATIONS {
            let id = AppointmentId(request::derived_id(&request, generation));
            let booking = Booking { id, ..booking.clone() };
            if let Some(done) = self.try_hold(&calendar, booking, &request).await? {
                return Ok(done);
            }
        }
        Err(Refusal::IdempotencyKeyReused.into())
    }

    /// One insert, again with another place among the person's holds, or when what was in the way has run out. `None`: the key was
    /// used more than a day ago.
    async fn try_hold(
        &self,
        calendar: &Calendar,
        booking: Booking<'_>,
        request: &Request,
    ) -> Result<Option<Done<Appointment>>> {
        if booking.service.is_group() {
            return self.try_hold_seat(calendar, &booking, request).await;
        }
        let (service, start) = (booking.service.id, booking.start.instant());
        let date = rules::local_date(booking.doctor, booking.start);
        let (mut attempt, mut lost) = (0, BTreeSet::new());
        let (mut place, until) = (0, booking.now.saturating_add(self.hold_length).unwrap_or(Timestamp::MAX));
        while attempt < ATTEMPTS + lost.len() {
            attempt += 1;
            let quotas = match calendar.places(booking.service, date, &lost) {
                Ok(quotas) => quotas,
                Err(rule) => {
                    return self.remembered(request).await?.map(Some).ok_or(Refusal::SlotUnavailable { rule }.into());
                }
            };
            let hold = Booking { quotas, ..booking.clone() }.into_hold(Held {
                by: request.user,
                until,
                place: HoldPlace::Own(place),
            });
            let seems_taken = calendar.occupancy(booking.service.footprint(booking.start)) != Occupancy::Free;
            match self.store.hold(&hold, self.hold_length, request, seems_taken).await? {
                Holding::Done(stored, at) => {
                    return Ok(stored.recall(request)?.map(|hold| self.acknowledged(hold, at)));
                }
                Holding::Exists => return self.recall(hold.id, request).await,
                // Of seats alone.
                Holding::Overtaken => {}
                Holding::Outnumbered(place) => drop(lost.insert(place)),
                Holding::PlaceTaken if place + 1 < HOLDS => place += 1,
                Holding::PlaceTaken => {
                    self.free_places(request).await?;
                    place = 0;
                }
                Holding::Refused(refusal) => match self.make_way(calendar, &hold, true, request).await? {
                    Way::Freed => {}
                    Way::Own(own) => match self.live(own.appointment.id, request.user).await? {
                        Some(done) => return Ok(Some(done)),
                        None => drop(self.end_run_out(std::slice::from_ref(&*own), request.at).await?),
                    },
                    Way::Taken => return Err(self.with_alternatives(refusal, calendar, service, start)),
                },
            }
        }
        Err(self.with_alternatives(Refusal::SlotTaken { alternatives: Vec::new() }, calendar, service, start))
    }

    /// The hold that a booking uses: the one that it names, or the one that the caller has on this time as far as this node knows.
    pub(super) async fn over(&self, book: &Book, request: &Request, calendar: &Calendar) -> Result<Over> {
        let known = calendar.hold_of(request.user, book.service, book.start).map(|hold| hold.id);
        let Some(id) = book.hold.or(known) else { return Ok(Over::Nothing) };
        let refuse = |refusal: Refusal| if book.hold.is_some() { Err(refusal.into()) } else { Ok(Over::Nothing) };
        let Some((stored, at)) = self.store.find(id).await.map_err(unchanged)? else {
            return refuse(Refusal::NotFound);
        };
        let hold = &stored.appointment;
        if let Some(original) = stored.recall(request)? {
            return Ok(Over::Original(Box::new(self.acknowledged(original, at))));
        }
        if hold.held.is_none_or(|held| held.by != request.user) {
            return refuse(Refusal::NotFound);
        }
        if (hold.doctor_id, hold.service_id, hold.start) != (book.doctor, book.service, book.start) {
            let other = Violation::new("/holdId", "invalid", "is the hold of another time");
            return refuse(other.into());
        }
        if hold.status != Status::Held {
            return refuse(Refusal::HoldExpired);
        }
        Ok(Over::Hold(Box::new(stored)))
    }

    /// Makes a hold the appointment that `booking` says, without giving up the time. `None`: the hold has ended.
    pub(super) async fn confirm(
        &self,
        hold: &Stored,
        booking: &Booking<'_>,
        request: &Request,
    ) -> Result<Option<Done<Appointment>>> {
        let (mut hold, mut generation) = (hold.clone(), 0);
        for _ in 0..REPLACE_ATTEMPTS {
            let next = match booking.clone().over(&hold.appointment) {
                Ok(next) => next,
                Err(Refusal::HoldExpired) => return Ok(None),
                Err(refusal) => return Err(refusal.into()),
            };
            let trace = AppointmentId(request::derived_id(request, generation));
            // What was offered fulfils the entry with it.
            let entry = self.releases.entry_of(&hold).await.map_err(unchanged)?;
            let entry =
                entry.map(|stored| stored.entry.fulfilled(request.at).map(|next| (stored, next))).transpose()?;
            let with = entry.as_ref().map(|(stored, next)| (stored, next));
            match self.store.confirm(&hold, &next, with, trace, request).await? {
                Confirmed::Done(at) => return Ok(Some(self.acknowledged(next, at))),
                Confirmed::Refused(refusal) => return Err(refusal.into()),
                Confirmed::Overtaken => {}
                Confirmed::Exists => {
                    if let Some(done) = self.recall(trace, request).await? {
                        return Ok(Some(done));
                    }
                    generation += 1;
                    if generation == GENERATIONS {
                        return Err(Refusal::IdempotencyKeyReused.into());
                    }
                }
                Confirmed::Stale => {
                    let found = self.store.find_latest(next.id).await.map_err(unknown)?;
                    let (latest, at) = found.ok_or(Refusal::NotFound)?;
                    if let Some(original) = latest.recall(request)? {
                        return Ok(Some(self.acknowledged(original, at)));
                    }
                    if latest.appointment.rev == hold.appointment.rev && self.is_latest(entry.as_ref()).await? {
                        // Nobody has changed it: it has run out.
                        return Ok(None);
                    }
                    hold = latest;
                }
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// Whether an entry is as it was read.
    async fn is_latest(&self, entry: Option<&(StoredEntry, WaitlistEntry)>) -> Result<bool> {
        let Some((stored, _)) = entry else { return Ok(true) };
        let found = self.releases.waitlist.find_latest(stored.entry.id).await.map_err(unknown)?;
        Ok(found.is_some_and(|(latest, _)| latest.entry.rev == stored.entry.rev))
    }

    /// Looks at what keeps the caller from an appointment, and ends what has run out among it. `own`: a hold of theirs on this very
    /// time would do.
    pub(in crate::service) async fn make_way(
        &self,
        calendar: &Calendar,
        wanted: &Appointment,
        own: bool,
        request: &Request,
    ) -> Result<Way> {
        let (Some(first), Some(last)) = (wanted.claims.first(), wanted.claims.last()) else { return Ok(Way::Taken) };
        let time = *first..Tick(last.0 + 1);
        let known = || {
            let newer = self.calendars.kept(wanted.doctor_id);
            let newer = newer.as_deref().unwrap_or(calendar);
            newer.occupancy(time.clone()).and(newer.in_use(&wanted.resources, wanted.patient_ticks()))
        };
        // What has just been written here is seen in a moment: nobody of a crowd after it needs to ask the database.
        if known() == Occupancy::Free {
            self.committed.catch_up().await;
        }
        let before = known();
        if before == Occupancy::Taken || self.is_held_by_others(calendar, wanted, time.clone(), request) {
            return Ok(Way::Taken);
        }
        let found = self.store.holds_over(wanted, request.user).await.map_err(unchanged)?;
        let is_own = |hold: &Stored| {
            let Appointment { doctor_id, service_id, start, .. } = wanted;
            let hold = &hold.appointment;
            own && hold.doctor_id == *doctor_id && hold.is_hold_of(request.user, *service_id, *start)
        };
        let (mut own, others): (Vec<Stored>, Vec<Stored>) = found.into_iter().partition(is_own);
        if let Some(own) = own.pop() {
            return Ok(Way::Own(Box::new(own)));
        }
        let ended = self.end_run_out(&others, request.at).await?;
        // Somebody else may have been faster to end what has run out: just now, or before it was looked for.
        let of_others = others.iter().any(|hold| hold.appointment.held.is_some_and(|held| held.by != request.user));
        if ended || of_others || matches!(before, Occupancy::Held(until) if until <= self.clock.now()) {
            return Ok(Way::Freed);
        }
        self.committed.catch_up().await;
        Ok(if known() == Occupancy::Free { Way::Freed } else { Way::Taken })
    }

    /// Whether somebody else has a hold within a doctor's time, for longer than clocks differ.
    fn is_held_by_others(
        &self,
        calendar: &Calendar,
        wanted: &Appointment,
        time: Range<Tick>,
        request: &Request,
    ) -> bool {
        let newer = self.calendars.kept(wanted.doctor_id);
        let newer = newer.as_deref().unwrap_or(calendar);
        let is_long = |until: Timestamp| until.duration_since(self.clock.now()) > CLOCKS_DIFFER;
        matches!(newer.occupancy(time), Occupancy::Held(until) if is_long(until))
            && newer.hold_of(request.user, wanted.service_id, wanted.start).is_none()
    }

    /// Ends those of some holds that have run out. Returns whether there were any.
    pub(super) async fn end_run_out(&self, holds: &[Stored], now: Timestamp) -> Result<bool> {
        let mut any = false;
        for hold in holds {
            any |= self.end_one(hold, now).await?.is_some();
        }
        Ok(any)
    }

    /// Ends a hold if it has run out by the database's clock. Returns what it gave up; `None`: it has not, or was changed in between.
    async fn end_one(&self, hold: &Stored, now: Timestamp) -> Result<Option<GivenUp>> {
        let Some(held) = hold.appointment.held else { return Ok(None) };
        let ended = hold.appointment.hold_ended(Action::Expired, Actor::system(held.by), now);
        let Ok(next) = ended else { return Ok(None) };
        if hold.appointment.seat.is_some() {
            return self.end_held_seat(hold, &next).await;
        }
        let changes = Changes::default().run_out(hold, &next);
        let changes = self.releases.with_entry(hold, &next, changes).await.map_err(unchanged)?;
        let given_up = GivenUp::by(std::slice::from_ref(&next));
        match self.releases.hand_over(given_up.as_ref(), changes).await? {
            Together::Done(at) => {
                self.committed.acknowledged(at);
                Ok(given_up)
            }
            _ => Ok(None),
        }
    }

    /// A person's hold, unless it has ended.
    pub(super) async fn live(&self, id: AppointmentId, user: UserId) -> Result<Option<Done<Appointment>>> {
        let found = self.store.live_hold(id, user).await.map_err(unchanged)?;
        Ok(found.map(|(stored, at)| Done { value: stored.appointment, at }))
    }

    /// The calendar, newer if need be, and whether its rules offer what is asked for.
    pub(super) async fn offered(
        &self,
        viewer: &Viewer,
        calendar: Arc<Calendar>,
        asked: Asked,
    ) -> Result<(Arc<Calendar>, Result<Permitted, Refusal>)> {
        let allowed = allows(&calendar.doctor, asked);
        if allowed.is_ok() {
            return Ok((calendar, allowed));
        }
        // The rules may have changed in what this node has acknowledged and not seen yet.
        self.committed.catch_up().await;
        let calendar = self.calendar(viewer, calendar.doctor.id).await?;
        let allowed = allows(&calendar.doctor, asked);
        Ok((calendar, allowed))
    }

    /// Ends holds that have run out, for as long as the server runs: nobody else would tell those who watch. All nodes do so beside each
    /// other, since each write is guarded.
    pub async fn keep_ending_holds(&self) {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = false;
        loop {
            every.tick().await;
            match self.end_overdue().await.and(self.end_windows().await) {
                Ok(()) => told = false,
                // Once: it may take a while.
                Err(error) if !told => {
                    tracing::warn!(%error, "holds that have run out, or entries whose window is over, could not be ended: trying on");
                    told = true;
                }
                Err(_) => {}
            }
        }
    }

    async fn end_overdue(&self) -> Result<()> {
        loop {
            let overdue = self.store.overdue(SWEEP_AT_ONCE).await?;
            let mut some_ended = false;
            for hold in &overdue {
                if let Some(given_up) = self.end_one(hold, self.clock.now()).await? {
                    some_ended = true;
                    self.releases.settle(Some(&given_up)).await?;
                }
            }
            if !some_ended || i64::try_from(overdue.len()).is_ok_and(|count| count < SWEEP_AT_ONCE) {
                return Ok(());
            }
        }
    }
}
