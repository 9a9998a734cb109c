//! One doctor's calendar: the rules, and which ticks are taken by what.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use crate::domain::appointment::Appointment;
use crate::domain::change::{Change, Commit, Position};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::ids::AppointmentId;
use crate::domain::slots::{self, Candidate};
use crate::domain::tick::Tick;

/// A doctor's calendar at one position.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub doctor: Arc<Doctor>,
    /// Changes up to this position are part of it.
    at: Position,
    taken: BTreeMap<Tick, AppointmentId>,
    claims: HashMap<AppointmentId, Vec<Tick>>,
}

impl Calendar {
    /// The calendar of a snapshot.
    #[must_use]
    pub fn new(at: Position, doctor: Doctor, appointments: Vec<Appointment>) -> Self {
        let mut calendar = Self { doctor: Arc::new(doctor), at, taken: BTreeMap::new(), claims: HashMap::new() };
        for appointment in &appointments {
            calendar.set_claims(appointment);
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
                    self.set_claims(appointment);
                }
                Change::Doctor(doctor) if doctor.id == self.doctor.id => self.doctor = doctor.clone(),
                Change::Appointment(_)
                | Change::Doctor(_)
                | Change::Review(_)
                | Change::Session(_)
                | Change::SigningKey => {}
            }
        }
    }

    fn set_claims(&mut self, appointment: &Appointment) {
        for tick in self.claims.remove(&appointment.id).into_iter().flatten() {
            // Within one commit, the time may have a new owner already.
            if self.taken.get(&tick) == Some(&appointment.id) {
                self.taken.remove(&tick);
            }
        }
        for tick in &appointment.claims {
            self.taken.insert(*tick, appointment.id);
        }
        if !appointment.claims.is_empty() {
            self.claims.insert(appointment.id, appointment.claims.clone());
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

    /// The starts of a local date that are offered and not taken.
    pub fn free(&self, service: &Service, date: Date) -> impl Iterator<Item = Candidate> {
        slots::candidates(&self.doctor, service, date)
            .into_iter()
            .filter(|candidate| self.is_free(candidate.footprint.clone()))
    }
}
