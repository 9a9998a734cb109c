//! One doctor's calendar: the rules, and which ticks are taken by what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use crate::domain::change::{Change, Commit, Position};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::entry::{Entry, Period, Quota};
use crate::domain::ids::{AppointmentId, ResourceId};
use crate::domain::slots::{self, Candidate, Rule};
use crate::domain::tick::{Tick, ticks};

/// A doctor's calendar at one position.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub doctor: Arc<Doctor>,
    /// Changes up to this position are part of it.
    at: Position,
    taken: BTreeMap<Tick, AppointmentId>,
    /// Whatever takes time.
    entries: HashMap<AppointmentId, Entry>,
    quotas: BTreeSet<Quota>,
    /// The rooms and devices of the doctor's services that it was read with: what takes these is kept, of any doctor.
    resources: BTreeSet<ResourceId>,
    in_use: BTreeMap<(ResourceId, Tick), AppointmentId>,
    /// What of other doctors takes them.
    foreign: HashMap<AppointmentId, Entry>,
}

impl Calendar {
    /// The calendar of a snapshot.
    #[must_use]
    pub fn new(at: Position, doctor: Doctor, entries: Vec<Entry>) -> Self {
        let (taken, quotas, resources) = (BTreeMap::new(), BTreeSet::new(), doctor.resources());
        let (entries_by_id, in_use, foreign) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        let doctor = Arc::new(doctor);
        let mut calendar = Self { doctor, at, taken, entries: entries_by_id, quotas, resources, in_use, foreign };
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
                Change::Doctor(doctor) if doctor.id == self.doctor.id => self.doctor = doctor.clone(),
                Change::Doctor(_) | Change::Session(_) | Change::SigningKey => {}
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
            for key in keys(&before) {
                // Within one commit, it may have a new owner already.
                if self.in_use.get(&key) == Some(&entry.id()) {
                    self.in_use.remove(&key);
                }
            }
        }
        if !entry.claims().is_empty() {
            self.in_use.extend(keys(entry).map(|key| (key, entry.id())));
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

    /// Whether no other doctor has a room or a device of a service at this start.
    #[must_use]
    pub fn has_resources(&self, service: &Service, start: Tick) -> bool {
        let end = start.plus_minutes(service.duration_minutes);
        service.terms.resources.iter().all(|id| self.in_use.range((*id, start)..(*id, end)).next().is_none())
    }

    fn set(&mut self, entry: &Entry) {
        if let Some(before) = self.entries.remove(&entry.id()) {
            for tick in before.claims() {
                // Within one commit, the time may have a new owner already.
                if self.taken.get(tick) == Some(&entry.id()) {
                    self.taken.remove(tick);
                }
            }
            for quota in before.quotas() {
                self.quotas.remove(quota);
            }
        }
        self.taken.extend(entry.claims().iter().map(|tick| (*tick, entry.id())));
        self.quotas.extend(entry.quotas());
        if !entry.claims().is_empty() {
            self.entries.insert(entry.id(), entry.clone());
        }
    }

    /// Changes up to this position are part of it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// Whether nothing takes any of these ticks.
    #[must_use]
    pub fn is_free(&self, footprint: Range<Tick>) -> bool {
        self.taken.range(footprint).next().is_none()
    }

    /// What takes any of these ticks, in the order of time.
    #[must_use]
    pub fn takers(&self, footprint: Range<Tick>) -> Vec<AppointmentId> {
        let mut takers: Vec<AppointmentId> = self.taken.range(footprint).map(|(_, id)| *id).collect();
        takers.dedup();
        takers
    }

    /// Whatever takes time, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The places that a session on a date takes within the limits of its service: those in `own`, else the first that are
    /// neither taken nor `lost`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn places(
        &self,
        service: &Service,
        date: Date,
        own: &[Quota],
        lost: &BTreeSet<Quota>,
    ) -> Result<Vec<Quota>, Rule> {
        let limits = [
            (service.terms.daily_limit, Period::Day(date), Rule::DailyLimit),
            (service.terms.weekly_limit, Period::week_of(date), Rule::WeeklyLimit),
        ];
        let mut places = Vec::new();
        for (limit, period, rule) in limits {
            let Some(limit) = limit.and_then(|limit| u32::try_from(limit).ok()) else { continue };
            let kept = own.iter().copied().find(|quota| (quota.service, quota.period) == (service.id, period));
            let mut left = (1..=limit)
                .map(|number| Quota { service: service.id, period, number })
                .filter(|quota| !self.quotas.contains(quota) && !lost.contains(quota));
            places.push(kept.or_else(|| left.next()).ok_or(rule)?);
        }
        Ok(places)
    }

    /// The starts of a local date that are offered and not taken.
    pub fn free(&self, service: &Service, date: Date) -> impl Iterator<Item = Candidate> {
        let within_limits = self.places(service, date, &[], &BTreeSet::new()).is_ok();
        let candidates = if within_limits { slots::candidates(&self.doctor, service, date) } else { Vec::new() };
        candidates.into_iter().filter(|candidate| self.has_room_for(service, candidate))
    }

    /// Whether neither the doctor's time nor what the service shares with others is taken.
    #[must_use]
    pub fn has_room_for(&self, service: &Service, candidate: &Candidate) -> bool {
        self.is_free(candidate.footprint.clone()) && self.has_resources(service, candidate.start)
    }
}

/// What an entry takes of rooms and devices.
fn keys(entry: &Entry) -> impl Iterator<Item = (ResourceId, Tick)> {
    let appointment = entry.appointment();
    appointment.into_iter().flat_map(|appointment| {
        appointment.resources.iter().flat_map(|id| ticks(appointment.patient_ticks()).map(|tick| (*id, tick)))
    })
}
