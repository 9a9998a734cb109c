//! One doctor's calendar: the rules, and which ticks are taken by what.

mod weight;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::appointment::{Appointment, Status};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::entry::{Entry, Period, Quota};
use crate::domain::group::GroupSession;
use crate::domain::ids::{AppointmentId, ResourceId, ServiceId, UserId};
use crate::domain::slots::{self, Candidate, Rule};
use crate::domain::tick::{Tick, ticks};

/// What has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    Free,
    /// Live holds alone, the last of which ends by itself then.
    Held(Timestamp),
    Taken,
}

impl Occupancy {
    /// Both have it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Taken, _) | (_, Self::Taken) => Self::Taken,
            (Self::Free, other) | (other, Self::Free) => other,
            (Self::Held(one), Self::Held(two)) => Self::Held(one.max(two)),
        }
    }
}

/// A hold that somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnHold {
    pub id: AppointmentId,
    pub since: Timestamp,
}

/// At most so many sessions of a service in a period.
struct Limit {
    service: ServiceId,
    period: Period,
    most: u32,
    /// What it stands for.
    rule: Rule,
}

impl Limit {
    /// Those that a date of a service counts in.
    fn all(service: &Service, date: Date) -> impl Iterator<Item = Self> {
        let limits = [
            (service.terms.daily_limit, Period::Day(date), Rule::DailyLimit),
            (service.terms.weekly_limit, Period::week_of(date), Rule::WeeklyLimit),
        ];
        let service = service.id;
        limits.into_iter().filter_map(move |(most, period, rule)| {
            Some(Self { service, period, most: u32::try_from(most?).ok()?, rule })
        })
    }

    fn place(&self, number: u32) -> Quota {
        Quota { service: self.service, period: self.period, number }
    }
}

/// Where a session that is moved counts already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<'a> {
    pub places: &'a [Quota],
    pub date: Option<Date>,
}

/// A session that is moved, as it was before.
#[derive(Clone, Debug)]
pub struct Moved {
    pub id: AppointmentId,
    pub start: Tick,
    pub places: Vec<Quota>,
}

impl Moved {
    /// An appointment that is a session of its own.
    #[must_use]
    pub fn appointment(current: &Appointment) -> Self {
        Self { id: current.id, start: Tick::floor(current.start), places: current.quotas.clone() }
    }

    /// A group session as it is.
    #[must_use]
    pub fn session(current: &GroupSession) -> Self {
        Self { id: current.id, start: Tick::floor(current.start), places: current.quotas.clone() }
    }
}

/// A doctor's calendar at one position.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub doctor: Arc<Doctor>,
    /// Changes up to this position are part of it.
    at: Position,
    taken: BTreeMap<Tick, AppointmentId>,
    /// Whatever takes time.
    entries: HashMap<AppointmentId, Entry>,
    /// Who takes which place within a limit.
    quotas: BTreeMap<Quota, AppointmentId>,
    /// The sessions of each service, by start.
    sessions: BTreeMap<(ServiceId, Tick), AppointmentId>,
    /// The rooms and devices of the doctor's services that it was read with: what takes these is kept, of any doctor.
    resources: BTreeSet<ResourceId>,
    in_use: BTreeMap<(ResourceId, Tick), AppointmentId>,
    /// What of other doctors takes them.
    foreign: HashMap<AppointmentId, Entry>,
    /// Bytes of the rules, and of all entries.
    bytes: (usize, usize),
}

impl Calendar {
    /// The calendar of a snapshot.
    #[must_use]
    pub fn new(at: Position, doctor: Doctor, entries: Vec<Entry>) -> Self {
        let mut calendar = Self {
            resources: doctor.resources(),
            bytes: (weight::rules(&doctor), 0),
            doctor: Arc::new(doctor),
            at,
            taken: BTreeMap::new(),
            entries: HashMap::new(),
            quotas: BTreeMap::new(),
            sessions: BTreeMap::new(),
            in_use: BTreeMap::new(),
            foreign: HashMap::new(),
        };
        for entry in &entries {
            calendar.take_in(entry);
        }
        calendar
    }

    /// Applies what a commit changes in this calendar, unless it is part of it already.
    pub fn apply(&mut self, commit: &Commit) {
        if commit.at <= self.at {
            return;
        }
        self.at = commit.at;
        for change in &commit.changes {
            match change {
                Change::Entry(entry) => self.take_in(entry),
                Change::Doctor(doctor) if doctor.id == self.doctor.id => {
                    self.bytes.0 = weight::rules(doctor);
                    self.doctor = doctor.clone();
                }
                Change::Doctor(_)
                | Change::Review(_)
                | Change::Waitlist(_)
                | Change::Session(_)
                | Change::SigningKey => {}
            }
        }
    }

    fn take_in(&mut self, entry: &Entry) {
        if entry.doctor() == self.doctor.id {
            self.set(entry);
        } else if self.uses(entry) {
            self.set_foreign(entry);
        }
    }

    /// The doctor's own take the doctor's time wherever they take a room: only those of others need to be looked at.
    fn set_foreign(&mut self, entry: &Entry) {
        if let Some(before) = self.foreign.remove(&entry.id()) {
            self.bytes.1 -= weight::entry(&before);
            for key in keys(&before) {
                // Within one commit, it may have a new owner already.
                if self.in_use.get(&key) == Some(&entry.id()) {
                    self.in_use.remove(&key);
                }
            }
        }
        if !entry.claims().is_empty() {
            self.in_use.extend(keys(entry).map(|key| (key, entry.id())));
            self.bytes.1 += weight::entry(entry);
            self.foreign.insert(entry.id(), entry.clone());
        }
    }

    /// Whether an entry takes, or gave up, a room or a device that the doctor uses.
    #[must_use]
    pub fn uses(&self, entry: &Entry) -> bool {
        entry.resources().any(|resource| self.resources.contains(&resource))
    }

    /// Whether it has what takes every room and device of the doctor's services. Otherwise it has to be read again.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.doctor.resources().is_subset(&self.resources)
    }

    /// What of other doctors has any of these rooms and devices then.
    #[must_use]
    pub fn in_use(&self, resources: &[ResourceId], range: Range<Tick>) -> Occupancy {
        let owners = resources.iter().flat_map(|id| self.in_use.range((*id, range.start)..(*id, range.end)));
        self.occupied_by(owners.map(|(_, id)| *id))
    }

    /// The same, of what a service takes from a start on.
    #[must_use]
    pub fn in_use_from(&self, service: &Service, start: Tick) -> Occupancy {
        self.in_use(&service.terms.resources, start..start.plus_minutes(service.duration_minutes))
    }

    fn set(&mut self, entry: &Entry) {
        if let Some(before) = self.entries.remove(&entry.id()) {
            self.bytes.1 -= weight::entry(&before);
            // Within one commit, what it had may have a new owner already.
            for tick in before.claims() {
                if self.taken.get(tick) == Some(&entry.id()) {
                    self.taken.remove(tick);
                }
            }
            for quota in before.quotas() {
                if self.quotas.get(quota) == Some(&entry.id()) {
                    self.quotas.remove(quota);
                }
            }
            let session = session_key(&before).filter(|key| self.sessions.get(key) == Some(&entry.id()));
            session.map(|key| self.sessions.remove(&key));
        }
        self.taken.extend(entry.claims().iter().map(|tick| (*tick, entry.id())));
        self.quotas.extend(entry.quotas().iter().map(|quota| (*quota, entry.id())));
        if !entry.claims().is_empty() {
            self.sessions.extend(session_key(entry).map(|key| (key, entry.id())));
            self.bytes.1 += weight::entry(entry);
            self.entries.insert(entry.id(), entry.clone());
        }
    }

    /// What it takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.0 + self.bytes.1
    }

    /// Changes up to this position are part of it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// What has any of these ticks.
    #[must_use]
    pub fn occupancy(&self, footprint: Range<Tick>) -> Occupancy {
        self.occupied_by(self.taken.range(footprint).map(|(_, id)| *id))
    }

    fn occupied_by(&self, owners: impl Iterator<Item = AppointmentId>) -> Occupancy {
        let owners = owners.map(|id| self.occupancy_by(id));
        owners.fold(Occupancy::Free, Occupancy::and)
    }

    /// When an entry ends by itself, which consists of nothing but live holds.
    fn held_until(&self, id: AppointmentId) -> Option<Timestamp> {
        match self.entries.get(&id).or_else(|| self.foreign.get(&id))? {
            Entry::Appointment(hold) => hold.held.filter(|_| hold.status == Status::Held).map(|held| held.until),
            Entry::Group(session) => session.held_until(),
            Entry::TimeOff(_) => None,
        }
    }

    /// The group session of a service at a start.
    #[must_use]
    pub fn session_at(&self, service: &Service, start: Tick) -> Option<&GroupSession> {
        match self.entries.get(self.taken.get(&start)?)? {
            Entry::Group(session) if service.is_group() && session.service_id == service.id => {
                (Tick::floor(session.start) == start).then_some(session)
            }
            _ => None,
        }
    }

    /// How many more patients there is room for at a start, where that is not one alone.
    #[must_use]
    pub fn seats_left(&self, service: &Service, start: Tick) -> Option<u32> {
        let capacity = service.terms.capacity;
        let left = || self.session_at(service, start).map_or(capacity.unsigned_abs(), |session| session.left(capacity));
        service.is_group().then(left)
    }

    /// What takes any of these ticks, in the order of time.
    #[must_use]
    pub fn takers(&self, footprint: Range<Tick>) -> Vec<AppointmentId> {
        let mut takers: Vec<AppointmentId> = self.taken.range(footprint).map(|(_, id)| *id).collect();
        takers.dedup();
        let of = |id| match self.entries.get(&id) {
            Some(Entry::Group(session)) => session.seats.iter().map(|seat| seat.of).collect(),
            _ => vec![id],
        };
        takers.into_iter().flat_map(of).collect()
    }

    /// Whatever takes time, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The places that a session on a date takes within the limits of its service: the first that are neither taken nor `lost`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn places(&self, service: &Service, date: Date, lost: &BTreeSet<Quota>) -> Result<Vec<Quota>, Rule> {
        let is_left = |quota: &Quota| !self.has_place(quota) && !lost.contains(quota);
        self.places_where(service, date, Counted::default(), |_| false, is_left)
    }

    /// Whether somebody has a place within a limit.
    #[must_use]
    pub fn has_place(&self, quota: &Quota) -> bool {
        self.quotas.contains_key(quota)
    }

    /// The same of a session that is moved there, if one is.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn places_moved(
        &self,
        service: &Service,
        date: Date,
        moved: Option<&Moved>,
        lost: &BTreeSet<Quota>,
    ) -> Result<Vec<Quota>, Rule> {
        let Some(moved) = moved else { return self.places(service, date, lost) };
        let is_left = |quota: &Quota| !self.has_place(quota) && !lost.contains(quota);
        let own = Counted { places: &moved.places, date: Some(slots::local_date(&self.doctor, moved.start)) };
        self.places_where(service, date, own, |id| id == moved.id, is_left)
    }

    /// The places that a session on a date takes: those where it counts already, else the first of those that `is_left` says are.
    ///
    /// Every session of the service counts, whether it has a place or not: one booked before there was a limit has none, nor has
    /// one that was booked past it. As many places are not given out, the last ones. What `is_moved` does not count.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn places_where(
        &self,
        service: &Service,
        date: Date,
        own: Counted<'_>,
        is_moved: impl Fn(AppointmentId) -> bool,
        is_left: impl Fn(&Quota) -> bool,
    ) -> Result<Vec<Quota>, Rule> {
        let mut places = Vec::new();
        for limit in Limit::all(service, date) {
            let theirs = |quota: &&Quota| quota.service == service.id && quota.period == limit.period;
            let kept = own.places.iter().find(theirs).copied();
            let counted: Vec<u32> =
                self.counted(&limit).filter(|(_, id)| !is_moved(*id)).map(|(number, _)| number).collect();
            let beyond = |number: u32| counted.iter().filter(|taken| **taken > number).count();
            let is_within = |number: &u32| *number as usize + beyond(*number) <= limit.most as usize;
            let given_out = (0..=limit.most).rev().find(is_within).unwrap_or_default();
            let left = (1..=given_out).map(|number| limit.place(number)).find(&is_left);
            match kept.or(left) {
                Some(place) => places.push(place),
                None if own.date.is_some_and(|date| limit.period.contains(date)) => {}
                None => return Err(limit.rule),
            }
        }
        Ok(places)
    }

    /// What counts in a limit, with its place; without one it comes behind them all.
    fn counted(&self, limit: &Limit) -> impl Iterator<Item = (u32, AppointmentId)> {
        let places = self.quotas.range(limit.place(0)..=limit.place(u32::MAX));
        let placed = places.map(|(quota, id)| (quota.number, *id));
        let time = self.span(limit.period);
        let (service, period) = (limit.service, limit.period);
        let sessions = self.sessions.range((service, time.start)..(service, time.end)).map(|(_, id)| *id);
        let has_none = move |id: &AppointmentId| {
            let places = self.entries.get(id).map(Entry::quotas).unwrap_or_default();
            !places.iter().any(|quota| (quota.service, quota.period) == (service, period))
        };
        placed.chain(sessions.filter(has_none).map(|id| (u32::MAX, id)))
    }

    /// The ticks of a period.
    fn span(&self, period: Period) -> Range<Tick> {
        match period {
            Period::Day(date) => slots::day(&self.doctor, date),
            Period::Week(monday) => {
                let sunday = monday.saturating_add(jiff::Span::new().days(6));
                slots::day(&self.doctor, monday).start..slots::day(&self.doctor, sunday).end
            }
        }
    }

    /// The ticks that may matter to whether a date of a service is within its limits.
    pub fn limited_by(&self, service: &Service, date: Date) -> impl Iterator<Item = Range<Tick>> {
        Limit::all(service, date).map(|limit| self.span(limit.period))
    }

    /// What keeps further sessions of a service from a date: where enough of those that count are only held, the one among them
    /// whose end makes way.
    fn within_limits(&self, service: &Service, date: Date) -> Occupancy {
        let occupancy = Limit::all(service, date).map(|limit| {
            let counted: Vec<AppointmentId> = self.counted(&limit).map(|(_, id)| id).collect();
            let Some(over) = counted.len().checked_sub(limit.most as usize) else { return Occupancy::Free };
            let mut ends: Vec<Timestamp> = counted.into_iter().filter_map(|id| self.held_until(id)).collect();
            ends.sort_unstable();
            ends.get(over).map_or(Occupancy::Taken, |end| Occupancy::Held(*end))
        });
        occupancy.fold(Occupancy::Free, Occupancy::and)
    }

    /// The starts of a local date that are offered, and what has them.
    pub fn offered(&self, service: &Service, date: Date) -> impl Iterator<Item = (Candidate, Occupancy)> {
        let within_limits = self.within_limits(service, date);
        let candidates = slots::candidates(&self.doctor, service, date);
        let taken = self.taken_of(&candidates);
        let mut passed = 0;
        candidates.into_iter().map(move |mut candidate| {
            if let Some(session) = self.session_at(service, candidate.start) {
                candidate.end = Tick::floor(session.end);
                return (candidate, seats(session, service));
            }
            // Both are in order: one sweep over the date instead of a search for each start.
            passed += taken[passed..].iter().take_while(|(tick, _)| *tick < candidate.footprint.start).count();
            let owners = taken[passed..].iter().take_while(|(tick, _)| *tick < candidate.footprint.end);
            let time = owners.fold(within_limits, |all, (_, one)| all.and(*one));
            let occupancy = time.and(self.in_use_from(service, candidate.start));
            (candidate, occupancy)
        })
    }

    /// What has the ticks that starts of one service would take, in order.
    fn taken_of(&self, candidates: &[Candidate]) -> Vec<(Tick, Occupancy)> {
        let (Some(first), Some(last)) = (candidates.first(), candidates.last()) else { return Vec::new() };
        let mut owner = None;
        let taken = self.taken.range(first.footprint.start..last.footprint.end).map(|(tick, id)| {
            // An appointment takes many ticks in a row.
            let occupancy = match owner {
                Some((known, occupancy)) if known == *id => occupancy,
                _ => self.occupancy_by(*id),
            };
            owner = Some((*id, occupancy));
            (*tick, occupancy)
        });
        taken.collect()
    }

    fn occupancy_by(&self, id: AppointmentId) -> Occupancy {
        self.held_until(id).map_or(Occupancy::Taken, Occupancy::Held)
    }

    /// Somebody's hold on exactly this time.
    #[must_use]
    pub fn hold_of(&self, user: UserId, service: ServiceId, start: Timestamp) -> Option<OwnHold> {
        match self.entries.get(self.taken.get(&Tick::floor(start))?)? {
            Entry::Appointment(hold) => {
                hold.is_hold_of(user, service, start).then_some(OwnHold { id: hold.id, since: hold.created_at })
            }
            Entry::Group(session) if (session.service_id, session.start) == (service, start) => {
                session.hold_of(user).map(|(id, held)| OwnHold { id, since: held.since })
            }
            Entry::Group(_) | Entry::TimeOff(_) => None,
        }
    }
}

/// What has the last seat of a session.
fn seats(session: &GroupSession, service: &Service) -> Occupancy {
    match session.left(service.terms.capacity) {
        0 => session.first_end().map_or(Occupancy::Taken, Occupancy::Held),
        _ => Occupancy::Free,
    }
}

/// Which session an entry is.
fn session_key(entry: &Entry) -> Option<(ServiceId, Tick)> {
    match entry {
        Entry::Appointment(appointment) => Some((appointment.service_id, Tick::floor(appointment.start))),
        Entry::Group(session) => Some((session.service_id, Tick::floor(session.start))),
        Entry::TimeOff(_) => None,
    }
}

/// What an entry takes of rooms and devices.
fn keys(entry: &Entry) -> impl Iterator<Item = (ResourceId, Tick)> {
    let (start, end) = match entry {
        Entry::Appointment(appointment) => (appointment.start, appointment.end),
        Entry::Group(session) => (session.start, session.end),
        Entry::TimeOff(_) => (Timestamp::MIN, Timestamp::MIN),
    };
    let during = move || ticks(Tick::floor(start)..Tick::floor(end));
    entry.resources_named().iter().flat_map(move |id| during().map(move |tick| (*id, tick)))
}

#[cfg(test)]
mod tests;
