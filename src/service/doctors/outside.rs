//! The rebook tasks of a practice: appointments that the present rules no longer allow.

use jiff::Timestamp;

use super::{Doctors, time_off::unknown};
use crate::domain::account::Viewer;
use crate::domain::appointment::{Action, Appointment};
use crate::domain::change::Position;
use crate::domain::entry::Entry;
use crate::domain::ids::{AppointmentId, DoctorId};
use crate::domain::outside::{is_task, rule_against, rule_against_time};
use crate::domain::slots::Rule;
use crate::error::ClusterName;
use crate::error::{Error, Outcome, Result};
use crate::service::slots::rebookings;
use crate::views::calendar::Calendar;
use crate::views::committed::Positions;

/// Most tasks that are told at once.
const MOST: usize = 100;
/// Most appointments that are looked at for it: some of them are where they are by way of exception.
const MOST_LOOKED_AT: usize = 300;

/// Tasks by start.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The doctor's zone.
    pub time_zone: String,
    pub tasks: Vec<Task>,
    /// There are others.
    pub more: bool,
}

/// An appointment to be moved, and where to.
#[derive(Clone, Debug)]
pub struct Task {
    pub appointment: Appointment,
    pub rule: Rule,
    pub alternatives: Vec<(Timestamp, Timestamp)>,
}

impl Doctors {
    /// The tasks of a practice.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn outside(&self, viewer: &Viewer, id: DoctorId) -> Result<Outside> {
        self.authorise_practice("appointment.listOutside", viewer, id).await?;
        self.tasks(viewer, id).await
    }

    /// The tasks right after a change of the rules, which was made at a position.
    ///
    /// # Errors
    /// `unavailable` with the outcome unknown: the change was made, and to repeat it with the same key tells the tasks.
    pub async fn outside_since(&self, viewer: &Viewer, id: DoctorId, at: Position) -> Result<Outside> {
        if !self.committed.wait_for(Positions::of_appointments(at)).await {
            return Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) });
        }
        self.tasks(viewer, id).await.map_err(unknown)
    }

    async fn tasks(&self, viewer: &Viewer, id: DoctorId) -> Result<Outside> {
        let calendar = self.slots.calendar(viewer, id).await?;
        let now = self.clock.now();
        let against = against(&calendar, now);
        let time_zone = calendar.doctor.zone_name().to_owned();
        if against.is_empty() {
            return Ok(Outside { time_zone, tasks: Vec::new(), more: false });
        }
        let ids: Vec<AppointmentId> = against.iter().take(MOST_LOOKED_AT).map(|(_, id, _)| *id).collect();
        // What the feed tells of an appointment lacks its history, which says what was meant to be an exception.
        let whole = self.appointments.with_ids(id, &ids).await?;
        let mut tasks = Vec::new();
        for appointment in whole {
            let rule = rule_against(&calendar.doctor, &appointment).filter(|_| is_task(&appointment, now));
            let Some(rule) = rule.filter(|rule| *rule == Rule::TimeOff || !is_exception(&appointment)) else {
                continue;
            };
            if tasks.len() == MOST {
                return Ok(Outside { time_zone, tasks, more: true });
            }
            let service = calendar.doctor.service(appointment.service_id);
            let alternatives = service.map(|service| rebookings(&calendar, service, appointment.start, now));
            tasks.push(Task { rule, alternatives: alternatives.unwrap_or_default(), appointment });
        }
        Ok(Outside { time_zone, tasks, more: against.len() > MOST_LOOKED_AT })
    }
}

/// What the calendar has outside of the rules, by start.
fn against(calendar: &Calendar, now: Timestamp) -> Vec<(Timestamp, AppointmentId, Rule)> {
    let mut found = Vec::new();
    for entry in calendar.entries() {
        match entry {
            Entry::Appointment(one) if is_task(one, now) => {
                found.extend(rule_against(&calendar.doctor, one).map(|rule| (one.start, one.id, rule)));
            }
            Entry::Group(session) if session.start > now => {
                let rule = rule_against_time(&calendar.doctor, (session.start, session.end));
                let seats = session.seats.iter();
                found.extend(
                    rule.into_iter().flat_map(|rule| seats.clone().map(move |seat| (session.start, seat.of, rule))),
                );
            }
            Entry::Appointment(_) | Entry::Group(_) | Entry::TimeOff(_) => {}
        }
    }
    found.sort_by_key(|(start, id, _)| (*start, *id));
    found
}

/// Whether somebody of the practice put it where it is, and set the rules aside.
fn is_exception(appointment: &Appointment) -> bool {
    let put = |action| matches!(action, Action::Booked | Action::Requested | Action::Rescheduled);
    let last = appointment.history.iter().rfind(|entry| put(entry.action));
    last.is_some_and(|entry| entry.overridden.is_some())
}
