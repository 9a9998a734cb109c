//! Searching for free time, from memory. The database is asked for what it alone knows of somebody: where else they are, and whom they know.

mod across;
mod earliest;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Role, Viewer};
use crate::domain::change::Position;
use crate::domain::doctor::Service;
use crate::domain::ids::{DoctorId, ServiceId, UserId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots;
use crate::domain::tick::Tick;
use crate::error::Result;
use crate::store::appointments::AppointmentStore;
use crate::views::calendar::{Calendar, Occupancy};
use crate::views::calendars::Calendars;
use crate::views::committed::Committed;

pub use self::across::{OfDoctor, Times, Wanted};
pub use self::earliest::Key;

/// Most local dates of one search or subscription.
pub const LONGEST_WINDOW_DAYS: i32 = 62;
/// Free times that are offered where one was taken.
const ALTERNATIVES: usize = 5;
/// How many days ahead they are looked for.
const ALTERNATIVE_DAYS: i64 = 7;

/// How many days ahead they are looked for when an appointment has to be moved: longer than any time off.
const REBOOKING_DAYS: i64 = 200;

/// A time that can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub start: Timestamp,
    pub end: Timestamp,
    /// By whoever searches.
    pub held: bool,
    /// Of a group session: for how many there is room.
    pub seats_left: Option<u32>,
    /// Whoever searches has an appointment of their own then.
    pub conflict: bool,
}

/// The first time of a doctor that can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    pub service: ServiceId,
    pub start: Timestamp,
    pub end: Timestamp,
}

/// Free time in doctors' calendars.
pub struct Slots {
    store: AppointmentStore,
    calendars: Arc<Calendars>,
    committed: Arc<Committed>,
    clock: Clock,
}

impl Slots {
    #[must_use]
    pub fn new(store: AppointmentStore, calendars: Arc<Calendars>, committed: Arc<Committed>, clock: Clock) -> Self {
        Self { store, calendars, committed, clock }
    }

    /// What can be booked now between two local dates of the doctor, both included: what is free, and what the viewer holds. Nothing of
    /// a service that is not for them.
    ///
    /// # Errors
    /// `not_found`, `validation_failed`, `unavailable`.
    pub async fn search(
        &self,
        viewer: &Viewer,
        doctor: DoctorId,
        service: ServiceId,
        dates: &[Date],
    ) -> Result<(String, Vec<Found>)> {
        access::admit("slot.search", viewer)?;
        let calendar = self.calendar(viewer, doctor).await?;
        let offered = calendar.doctor.service(service)?;
        let zone = calendar.doctor.zone_name().to_owned();
        if !self.is_for(viewer, &calendar, offered).await? {
            return Ok((zone, Vec::new()));
        }
        let (now, user) = (self.clock.now(), viewer.identity().ok().map(|identity| identity.user));
        let bookable = slots::bookable_dates(&calendar.doctor, offered, now);
        let dates = dates.iter().filter(|date| bookable.contains(date));
        let found = dates.flat_map(|date| open_now(&calendar, offered, *date, now));
        let mut found: Vec<Found> = found.filter(|slot| slot.is_open_to(&calendar, service, user)).collect();
        self.mark(viewer, found.iter_mut().collect()).await?;
        Ok((zone, found))
    }

    /// Whether the viewer has an appointment of their own at a time, with anybody.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn is_busy(&self, viewer: &Viewer, range: Range<Tick>) -> Result<bool> {
        let Ok(identity) = viewer.identity() else { return Ok(false) };
        Ok(!self.store.spent_by(identity.user, range).await?.is_empty())
    }

    /// Marks the times at which the viewer has an appointment of their own, with anybody: by what the database would refuse.
    async fn mark(&self, viewer: &Viewer, mut found: Vec<&mut Found>) -> Result<()> {
        let Ok(identity) = viewer.identity() else { return Ok(()) };
        let bounds = (found.iter().map(|one| one.start).min(), found.iter().map(|one| one.end).max());
        let (Some(first), Some(last)) = bounds else { return Ok(()) };
        let spent = self.store.spent_by(identity.user, Tick::floor(first)..Tick::floor(last)).await?;
        let spent: BTreeSet<Tick> = spent.into_iter().collect();
        for one in &mut found {
            one.conflict = spent.range(Tick::floor(one.start)..Tick::floor(one.end)).next().is_some();
        }
        Ok(())
    }

    /// Whether a service is for the viewer: for all that is known, if they are not known; for anybody, if they are of the practice.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn is_for(&self, viewer: &Viewer, calendar: &Calendar, service: &Service) -> Result<bool> {
        let Ok(identity) = viewer.identity() else { return Ok(true) };
        if !service.terms.chooses_patients() || is_practice(viewer, calendar) {
            return Ok(true);
        }
        let known = self.store.known_to(identity.user, &[calendar.doctor.id]).await?;
        Ok(service.terms.patients.include(!known.is_empty()))
    }

    /// The calendar of a doctor whom the viewer may know of, with everything that this node has acknowledged.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn calendar(&self, viewer: &Viewer, doctor: DoctorId) -> Result<Arc<Calendar>> {
        self.committed.catch_up().await;
        let calendar = self.calendars.get(doctor).await?.ok_or(Refusal::NotFound)?;
        if !calendar.doctor.is_approved() {
            access::authorise(access::DRAFT, viewer, Object::of_calendar(&calendar.doctor))?;
        }
        Ok(calendar)
    }

    /// Where the calendar of a doctor is: what is found in it is the same for as long as that is.
    ///
    /// # Errors
    /// As [`Self::calendar`].
    pub async fn position(&self, viewer: &Viewer, doctor: DoctorId) -> Result<Position> {
        Ok(self.calendar(viewer, doctor).await?.position())
    }

    /// Who acts for a doctor, as far as the policy may ask for this viewer: nobody, unless the viewer is staff.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn staff(&self, viewer: &Viewer, doctor: DoctorId) -> Result<Vec<UserId>> {
        if viewer.role() != Some(Role::Staff) {
            return Ok(Vec::new());
        }
        self.committed.catch_up().await;
        let calendar = self.calendars.get(doctor).await?;
        Ok(calendar.map(|calendar| calendar.doctor.staff.clone()).unwrap_or_default())
    }
}

/// The dates from `from` to `to`, both included.
///
/// # Errors
/// `validation_failed` when they are in the wrong order or more than `limit` days apart.
pub fn dates(from: Date, to: Date, limit: i32) -> Result<Vec<Date>, Refusal> {
    if to < from {
        return Err(Violation::new("/to", "out_of_range", "is before `from`").into());
    }
    let dates: Vec<Date> =
        from.series(1.day()).take_while(|date| *date <= to).take(usize::try_from(limit).unwrap_or(0) + 1).collect();
    if dates.len() > usize::try_from(limit).unwrap_or(0) {
        return Err(Violation::new("/to", "out_of_range", format!("the window may cover at most {limit} days")).into());
    }
    Ok(dates)
}

/// The nearest free times from a date on, for somebody whose choice was taken.
#[must_use]
pub fn alternatives(
    calendar: &Calendar,
    service: &Service,
    start: Timestamp,
    now: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let date = start.to_zoned(calendar.doctor.availability.time_zone.clone()).date();
    let days = (0..ALTERNATIVE_DAYS).filter_map(|days| date.checked_add(days.days()).ok());
    let mut free: Vec<_> = days
        .flat_map(|date| open_now(calendar, service, date, now))
        .filter(|slot| !slot.held && slot.start != start)
        .map(|slot| (slot.start, slot.end))
        .take(ALTERNATIVES * 8)
        .collect();
    free.sort_by_key(|(other, _)| other.duration_since(start).abs());
    free.truncate(ALTERNATIVES);
    free.sort();
    free
}

/// Free times for an appointment that has to be moved: near it, or else the first ones after it.
#[must_use]
pub fn rebookings(
    calendar: &Calendar,
    service: &Service,
    start: Timestamp,
    now: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let near = alternatives(calendar, service, start, now);
    if !near.is_empty() {
        return near;
    }
    let date = start.to_zoned(calendar.doctor.availability.time_zone.clone()).date();
    let days = (ALTERNATIVE_DAYS..REBOOKING_DAYS).filter_map(|days| date.checked_add(days.days()).ok());
    days.flat_map(|date| open_now(calendar, service, date, now))
        .filter(|found| !found.held)
        .map(|found| (found.start, found.end))
        .take(ALTERNATIVES)
        .collect()
}

/// What is free or held of what can be booked now.
fn open_now(calendar: &Calendar, service: &Service, date: Date, now: Timestamp) -> impl Iterator<Item = Found> {
    let offered = calendar.offered(service, date).filter(|(_, occupancy)| *occupancy != Occupancy::Taken);
    let bookable = offered.filter(move |(candidate, _)| {
        let (from, until) = slots::bookable_window(service, candidate.start.instant());
        (from..=until).contains(&now)
    });
    bookable.map(|(candidate, occupancy)| Found {
        seats_left: calendar.seats_left(service, candidate.start),
        start: candidate.start.instant(),
        end: candidate.end.instant(),
        held: occupancy != Occupancy::Free,
        conflict: false,
    })
}

/// Whether the viewer asks for others, as whoever runs the calendar does.
fn is_practice(viewer: &Viewer, calendar: &Calendar) -> bool {
    access::authorise(access::CALENDAR_TOPIC, viewer, Object::of_calendar(&calendar.doctor)).is_ok()
}

impl Found {
    /// Whether it is free, or held by whoever asks.
    fn is_open_to(&self, calendar: &Calendar, service: ServiceId, user: Option<UserId>) -> bool {
        !self.held || user.is_some_and(|user| calendar.hold_of(user, service, self.start).is_some())
    }
}
