//! One doctor's calendar: the rules, and which ticks are taken by what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use crate::domain::change::{Change, Commit, Position};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::entry::{Entry, Period, Quota};
use crate::domain::ids::AppointmentId;
use crate::domain::slots::{self, Candidate, Rule};
use crate::domain::tick::Tick;

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
}

impl Calendar {
    /// The calendar of a snapshot.
    #[must_use]
    pub fn new(at: Position, doctor: Doctor, entries: Vec<Entry>) -> Self {
        let (taken, quotas) = (BTreeMap::new(), BTreeSet::new());
        let mut calendar = Self { doctor: Arc::new(doctor), at, taken, entries: HashMap::new(), quotas };
        for entry in &entries {
            calendar.set(entry);
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
                Change::Entry(entry) if entry.doctor() == self.doctor.id => self.set(entry),
                Change::Doctor(doctor) if doctor.id == self.doctor.id => self.doctor = doctor.clone(),
                Change::Entry(_) | Change::Doctor(_) | Change::Session(_) | Change::SigningKey => {}
            }
        }
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
        candidates.into_iter().filter(|candidate| self.is_free(candidate.footprint.clone()))
    }
}
