//! Free time of several doctors: a page of times, the earliest first, or whoever has the first one.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use uuid::Uuid;

use super::earliest::{Earliest, Key, Step, Which};
use super::{First, Found, LONGEST_WINDOW_DAYS, Slots, is_practice};
use crate::domain::access;
use crate::domain::account::Viewer;
use crate::domain::availability::{day_seconds, timestamp};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::ids::{DoctorId, ServiceId, UserId};
use crate::domain::tick::Tick;
use crate::domain::{listing, slots};
use crate::error::Result;
use crate::views::calendar::Calendar;

/// Calendars that are read at the same time, where many are needed that are not in memory.
const LOADS: usize = 16;
/// Dates that a page looks at, each service of each doctor counted: it ends there, full or not.
const MOST_LOOKED_AT: usize = 10_000;
/// After how many of these others get their turn on the thread.
const TURN: usize = 200;

/// What is searched for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Only these services.
    pub services: Option<BTreeSet<ServiceId>>,
    /// Each of these begins a word of the service's name; as [`listing::words`] gives them.
    pub words: Vec<String>,
    pub from: Date,
    /// Included.
    pub to: Date,
    /// Whose dates these are, if not each doctor's own.
    pub zone: Option<TimeZone>,
    /// The last time of the page before.
    pub after: Option<Key>,
    pub limit: usize,
}

/// A time of one of several doctors.
#[derive(Clone, Debug)]
pub struct OfDoctor {
    pub doctor: DoctorId,
    pub service: ServiceId,
    /// The doctor's zone.
    pub time_zone: String,
    pub found: Found,
}

/// A page of times.
#[derive(Clone, Debug)]
pub struct Times {
    pub times: Vec<OfDoctor>,
    /// There may be more after this one.
    pub more: Option<Key>,
}

impl Slots {
    /// What can be booked now with any of some doctors, the earliest first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn across(&self, viewer: &Viewer, doctors: &[DoctorId], wanted: &Wanted) -> Result<Times> {
        access::admit("slot.searchDoctors", viewer)?;
        let calendars = self.approved(doctors).await?;
        let user = viewer.identity().ok().map(|identity| identity.user);
        let mut lanes: Vec<(&Calendar, Vec<&Service>)> = Vec::with_capacity(calendars.len());
        for calendar in &calendars {
            let services = calendar.doctor.services.iter().filter(|service| wanted.has(service));
            lanes.push((calendar, services.collect()));
        }
        self.retain_for(viewer, &mut lanes).await?;
        let mut earliest = Earliest::new(Which::All(user), self.clock.now());
        for (calendar, services) in lanes {
            let (from, to) = wanted.dates(&calendar.doctor);
            earliest.add(calendar, services, from, to);
        }
        let mut page = read_page(earliest, &calendars, wanted).await;
        self.mark(viewer, page.times.iter_mut().map(|one| &mut one.found).collect()).await?;
        Ok(page)
    }

    /// The first time of each of these doctors that can be booked now, within [`LONGEST_WINDOW_DAYS`]: whoever has the earliest first,
    /// after a start in milliseconds and an id; those who have none last.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn first_of(
        &self,
        doctors: &[DoctorId],
        after: Option<(i64, DoctorId)>,
        limit: usize,
    ) -> Result<Vec<(Arc<Doctor>, Option<First>)>> {
        let (calendars, now) = (self.approved(doctors).await?, self.clock.now());
        let mut earliest = Earliest::new(Which::First, now);
        for calendar in &calendars {
            let today = calendar.doctor.availability.time_zone.to_datetime(now).date();
            let last = today.checked_add(LONGEST_WINDOW_DAYS.days()).unwrap_or(today);
            earliest.add(calendar, calendar.doctor.services.iter().collect(), today, last);
        }
        let mut left: Vec<Option<&Arc<Calendar>>> = calendars.iter().map(Some).collect();
        let (mut found, mut looked) = (Vec::new(), Turns::default());
        let is_after = |first: i64, doctor| after.is_none_or(|after| (first, doctor) > after);
        while let Some(step) = earliest.step() {
            match step {
                Step::Looked(services) => looked.add(services).await,
                Step::Found(number, service, time) => {
                    let Some(calendar) = left[number].take() else { continue };
                    if is_after(time.start.as_millisecond(), calendar.doctor.id) {
                        let first = First { service, start: time.start, end: time.end };
                        found.push((calendar.doctor.clone(), Some(first)));
                    }
                }
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
        let mut none: Vec<&Arc<Calendar>> =
            left.into_iter().flatten().filter(|calendar| is_after(i64::MAX, calendar.doctor.id)).collect();
        none.sort_unstable_by_key(|calendar| calendar.doctor.id);
        found.extend(none.into_iter().map(|calendar| (calendar.doctor.clone(), None)));
        found.truncate(limit);
        Ok(found)
    }

    /// The calendars of those of some doctors who are approved, with everything that this node has acknowledged.
    async fn approved(&self, doctors: &[DoctorId]) -> Result<Vec<Arc<Calendar>>> {
        self.committed.catch_up().await;
        let calendars = futures::stream::iter(doctors.iter().copied().map(|doctor| self.calendars.get(doctor)));
        let calendars: Vec<Option<Arc<Calendar>>> = calendars.buffered(LOADS).try_collect().await?;
        Ok(calendars.into_iter().flatten().filter(|calendar| calendar.doctor.is_approved()).collect())
    }

    /// Leaves out the services that are not for the viewer.
    async fn retain_for(&self, viewer: &Viewer, lanes: &mut [(&Calendar, Vec<&Service>)]) -> Result<()> {
        let Ok(identity) = viewer.identity() else { return Ok(()) };
        let choosy: HashSet<DoctorId> = choosy(viewer, lanes);
        if choosy.is_empty() {
            return Ok(());
        }
        let known = self.store.known_to(identity.user, &choosy.iter().copied().collect::<Vec<_>>()).await?;
        for (calendar, services) in lanes.iter_mut().filter(|lane| choosy.contains(&lane.0.doctor.id)) {
            services.retain(|service| service.terms.patients.include(known.contains(&calendar.doctor.id)));
        }
        Ok(())
    }
}

/// The doctors who have services of these that are not for everybody, unless the viewer asks for others.
fn choosy(viewer: &Viewer, lanes: &[(&Calendar, Vec<&Service>)]) -> HashSet<DoctorId> {
    let chooses = lanes.iter().filter(|(calendar, services)| {
        services.iter().any(|service| service.terms.chooses_patients()) && !is_practice(viewer, calendar)
    });
    chooses.map(|(calendar, _)| calendar.doctor.id).collect()
}

async fn read_page(mut earliest: Earliest<'_>, calendars: &[Arc<Calendar>], wanted: &Wanted) -> Times {
    let (window, mut times, mut looked) = (wanted.window(), Vec::new(), Turns::default());
    // A page that ends early must have come further than the one before.
    let floor = wanted.after.map_or(Timestamp::MIN, |(at, ..)| at);
    while let Some(step) = earliest.step() {
        match step {
            Step::Looked(services) => looked.add(services).await,
            Step::Found(number, service, found) => {
                let doctor = &calendars[number].doctor;
                let key = (found.start, doctor.id, service);
                if !window.contains(&found.start) || wanted.after.is_some_and(|after| key <= after) {
                    continue;
                }
                if times.len() == wanted.limit {
                    let more = times.last().map(OfDoctor::key);
                    return Times { times, more };
                }
                times.push(OfDoctor { doctor: doctor.id, service, time_zone: doctor.zone_name().to_owned(), found });
            }
        }
        if looked.total >= MOST_LOOKED_AT
            && let Some(at) = earliest.position().filter(|at| *at > floor)
        {
            return Times { times, more: Some((at, UserId(Uuid::nil()), ServiceId(Uuid::nil()))) };
        }
    }
    Times { times, more: None }
}

/// Counts dates that were looked at, and lets others have the thread now and then.
#[derive(Default)]
struct Turns {
    total: usize,
    next: usize,
}

impl Turns {
    async fn add(&mut self, services: usize) {
        self.total += services.max(1);
        if self.total >= self.next {
            self.next = self.total + TURN;
            tokio::task::yield_now().await;
        }
    }
}

impl Wanted {
    fn has(&self, service: &Service) -> bool {
        let begins = |word: &String| listing::words(&service.name).any(|other| other.starts_with(word));
        !service.archived
            && self.services.as_ref().is_none_or(|services| services.contains(&service.id))
            && self.words.iter().all(begins)
    }

    /// The instants between which the times lie.
    fn window(&self) -> Range<Timestamp> {
        match &self.zone {
            Some(zone) => {
                let (from, to) = (day_seconds(zone, self.from), day_seconds(zone, self.to));
                timestamp(from.start)..timestamp(to.end)
            }
            None => Timestamp::MIN..Timestamp::MAX,
        }
    }

    /// The dates of a doctor that have such times, both included.
    fn dates(&self, doctor: &Doctor) -> (Date, Date) {
        let date = |at| slots::local_date(doctor, Tick::floor(at));
        let (from, to) = match self.zone {
            Some(_) => (date(self.window().start), date(self.window().end)),
            None => (self.from, self.to),
        };
        (self.after.map_or(from, |(at, ..)| from.max(date(at))), to)
    }
}

impl OfDoctor {
    /// Its place in the order.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.found.start, self.doctor, self.service)
    }
}

#[cfg(test)]
mod tests;
