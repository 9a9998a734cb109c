//! Which of the times within what is given up are offered to whom: the earliest that suits, to whoever has waited longest.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;

use super::{WaitStatus, WaitlistEntry};
use crate::domain::doctor::Doctor;
use crate::domain::ids::ServiceId;
use crate::domain::slots::{Candidate, candidates, check, local_date};
use crate::domain::tick::{Tick, ticks};

/// Time of a doctor that is given up, and the starts that lie in it, buffers included.
#[derive(Debug)]
pub struct Freed<'a> {
    doctor: &'a Doctor,
    /// What nobody was given yet.
    left: BTreeSet<Tick>,
    /// By service, in order.
    starts: HashMap<ServiceId, Vec<Candidate>>,
}

impl<'a> Freed<'a> {
    /// What can be booked now of some ticks of a doctor.
    #[must_use]
    pub fn new(doctor: &'a Doctor, freed: &[Tick], now: Timestamp) -> Self {
        let left: BTreeSet<Tick> = freed.iter().copied().collect();
        let dates: BTreeSet<Date> = left.iter().map(|tick| local_date(doctor, *tick)).collect();
        let mut starts = HashMap::new();
        // Groups have their own way of filling up.
        for service in doctor.services.iter().filter(|service| service.terms.capacity == 1) {
            let offered = dates.iter().flat_map(|date| candidates(doctor, service, *date));
            let fits = |candidate: &Candidate| {
                ticks(candidate.footprint.clone()).all(|tick| left.contains(&tick))
                    && check(doctor, service, candidate.start.instant(), now).is_ok()
            };
            let fitting: Vec<Candidate> = offered.filter(fits).collect();
            if !fitting.is_empty() {
                starts.insert(service.id, fitting);
            }
        }
        Self { doctor, left, starts }
    }

    /// The services that have a start in it.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceId> {
        self.starts.keys().copied().collect()
    }

    /// The first and the last local date of these starts.
    #[must_use]
    pub fn dates(&self) -> Option<(Date, Date)> {
        let zone = &self.doctor.availability.time_zone;
        let starts = || self.starts.values().flatten();
        let dates = || starts().map(|candidate| zone.to_datetime(candidate.start.instant()).date());
        dates().min().zip(dates().max())
    }

    /// The starts that suit an entry and are still left, the earliest first.
    pub fn suiting<'b>(&'b self, entry: &'b WaitlistEntry) -> impl Iterator<Item = &'b Candidate> {
        let zone = &self.doctor.availability.time_zone;
        let starts = self.starts.get(&entry.service_id).filter(|_| entry.status == WaitStatus::Waiting);
        starts.into_iter().flatten().filter(move |candidate| {
            entry.wish.suits(zone, candidate)
                && !entry.passed.contains(&candidate.start.instant())
                && ticks(candidate.footprint.clone()).all(|tick| self.left.contains(&tick))
        })
    }

    /// Notes that somebody is given a time.
    pub fn give(&mut self, candidate: &Candidate) {
        for tick in ticks(candidate.footprint.clone()) {
            self.left.remove(&tick);
        }
    }

    /// Whether nothing is left that could be offered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty() || self.starts.is_empty()
    }
}
