//! One doctor's calendar: the rules, and which ticks are taken by what.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::appointment::{Appointment, Status};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::ids::{AppointmentId, ServiceId, UserId};
use crate::domain::slots::{self, Candidate};
use crate::domain::tick::Tick;

/// What has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    Free,
    /// Live holds alone, the last of which ends by itself then.
    Held(Timestamp),
    Taken,
}

/// A doctor's calendar at one position.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub doctor: Arc<Doctor>,
    /// Changes up to this position are part of it.
    at: Position,
    taken: BTreeMap<Tick, AppointmentId>,
    entries: HashMap<AppointmentId, Arc<Appointment>>,
}

impl Calendar {
    /// The calendar of a snapshot.
    #[must_use]
    pub fn new(at: Position, doctor: Doctor, appointments: Vec<Appointment>) -> Self {
        let mut calendar = Self { doctor: Arc::new(doctor), at, taken: BTreeMap::new(), entries: HashMap::new() };
        for appointment in appointments {
            calendar.set_entry(&Arc::new(appointment));
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
                Change::Appointment(appointment) if appointment.doctor_id == self.doctor.id => {
                    self.set_entry(appointment);
                }
                Change::Doctor(doctor) if doctor.id == self.doctor.id => self.doctor = doctor.clone(),
                Change::Appointment(_) | Change::Doctor(_) | Change::Session(_) | Change::SigningKey => {}
            }
        }
    }

    fn set_entry(&mut self, appointment: &Arc<Appointment>) {
        for tick in self.entries.remove(&appointment.id).iter().flat_map(|before| &before.claims) {
            // Within one commit, the time may have a new owner already.
            if self.taken.get(tick) == Some(&appointment.id) {
                self.taken.remove(tick);
            }
        }
        for tick in &appointment.claims {
            self.taken.insert(*tick, appointment.id);
        }
        if !appointment.claims.is_empty() {
            self.entries.insert(appointment.id, appointment.clone());
        }
    }

    /// Changes up to this position are part of it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// What has any of these ticks.
    #[must_use]
    pub fn occupancy(&self, footprint: Range<Tick>) -> Occupancy {
        let mut all = Occupancy::Free;
        for (_, id) in self.taken.range(footprint) {
            let entry = self.entries.get(id).filter(|entry| entry.status == Status::Held);
            let Some(held) = entry.and_then(|entry| entry.held) else { return Occupancy::Taken };
            all = match all {
                Occupancy::Held(until) => Occupancy::Held(until.max(held.until)),
                Occupancy::Free | Occupancy::Taken => Occupancy::Held(held.until),
            };
        }
        all
    }

    /// The starts of a local date that are offered, and what has them.
    pub fn offered(&self, service: &Service, date: Date) -> impl Iterator<Item = (Candidate, Occupancy)> {
        slots::candidates(&self.doctor, service, date).into_iter().map(|candidate| {
            let occupancy = self.occupancy(candidate.footprint.clone());
            (candidate, occupancy)
        })
    }

    /// Somebody's hold on exactly this time.
    #[must_use]
    pub fn hold_of(&self, user: UserId, service: ServiceId, start: Timestamp) -> Option<&Appointment> {
        let entry = self.taken.get(&Tick::floor(start)).and_then(|id| self.entries.get(id))?;
        entry.is_hold_of(user, service, start).then_some(entry)
    }
}
