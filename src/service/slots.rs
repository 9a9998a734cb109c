//! Searching for free time, from memory.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Role, Viewer};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::ids::{DoctorId, ServiceId, UserId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots;
use crate::error::Result;
use crate::views::calendar::{Calendar, Occupancy};
use crate::views::calendars::Calendars;
use crate::views::committed::Committed;

/// Most local dates of one search or subscription.
pub const LONGEST_WINDOW_DAYS: i32 = 62;
/// Free times that are offered where one was taken.
const ALTERNATIVES: usize = 5;
/// How many days ahead they are looked for.
const ALTERNATIVE_DAYS: i64 = 7;

/// How many days ahead they are looked for when an appointment has to be moved: longer than any time off.
const REBOOKING_DAYS: i64 = 200;
/// Calendars that are read at the same time, where many are needed that are not in memory.
const LOADS: usize = 16;

/// A time that can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub start: Timestamp,
    pub end: Timestamp,
    /// By whoever searches.
    pub held: bool,
    /// Of a group session: for how many there is room.
    pub seats_left: Option<u32>,
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
    calendars: Arc<Calendars>,
    committed: Arc<Committed>,
    clock: Clock,
}

impl Slots {
    #[must_use]
    pub fn new(calendars: Arc<Calendars>, committed: Arc<Committed>, clock: Clock) -> Self {
        Self { calendars, committed, clock }
    }

    /// What can be booked now between two local dates of the doctor, both included: what is free, and what the viewer holds.
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
        let (now, user) = (self.clock.now(), viewer.identity().ok().map(|identity| identity.user));
        let is_own = |start| user.is_some_and(|user| calendar.hold_of(user, service, start).is_some());
        let found = dates.iter().flat_map(|date| open_now(&calendar, offered, *date, now));
        let found = found.filter(|slot| !slot.held || is_own(slot.start)).collect();
        Ok((calendar.doctor.zone_name().to_owned(), found))
    }

    /// The first time of each of these doctors that can be booked now, within [`LONGEST_WINDOW_DAYS`].
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn first_of(&self, doctors: Vec<Doctor>) -> Result<Vec<(Doctor, Option<First>)>> {
        self.committed.catch_up().await;
        let now = self.clock.now();
        let firsts = futures::stream::iter(doctors.into_iter().map(|doctor| async move {
            let first = self.calendars.get(doctor.id).await?.and_then(|calendar| first(&calendar, now));
            Ok((doctor, first))
        }));
        firsts.buffered(LOADS).try_collect().await
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
    })
}

/// The first time of any service that can be booked now.
fn first(calendar: &Calendar, now: Timestamp) -> Option<First> {
    let today = calendar.doctor.availability.time_zone.to_datetime(now).date();
    let mut days = (0..=i64::from(LONGEST_WINDOW_DAYS)).filter_map(|days| today.checked_add(days.days()).ok());
    days.find_map(|date| {
        let services = calendar.doctor.services.iter();
        let firsts = services.filter_map(|service| {
            let free = open_now(calendar, service, date, now).find(|slot| !slot.held)?;
            Some(First { service: service.id, start: free.start, end: free.end })
        });
        firsts.min_by_key(|first| first.start)
    })
}
