//! Appointments that a doctor's present rules no longer allow, because the rules came later.

use jiff::Timestamp;

use super::appointment::Appointment;
use super::availability::{closed_by_holiday, openings, timestamp};
use super::doctor::Doctor;
use super::slots::Rule;
use super::tick::Tick;
use super::time_off::is_off;

/// The rule that an appointment is against: a time off, a public holiday, or the hours. Steps, limits and an archived service
/// take no appointment away that exists, and buffers may reach outside.
#[must_use]
pub fn rule_against(doctor: &Doctor, appointment: &Appointment) -> Option<Rule> {
    rule_against_time(doctor, (appointment.start, appointment.end))
}

/// The same of a time in which patients come.
#[must_use]
pub fn rule_against_time(doctor: &Doctor, (start, end): (Timestamp, Timestamp)) -> Option<Rule> {
    if is_off(doctor, &(Tick::floor(start)..Tick::floor(end))) {
        return Some(Rule::TimeOff);
    }
    let date = doctor.availability.time_zone.to_datetime(start).date();
    if closed_by_holiday(&doctor.availability, date) {
        return Some(Rule::Holiday);
    }
    let within =
        |from: i64, to: i64, until: i64| timestamp(from) <= start && start < timestamp(to) && end <= timestamp(until);
    let open = openings(&doctor.availability, date).iter().any(|open| within(open.from, open.to, open.until));
    (!open).then_some(Rule::Hours)
}

/// Whether somebody has to do something about it: it can still be moved, and is still to come.
#[must_use]
pub fn is_task(appointment: &Appointment, now: Timestamp) -> bool {
    appointment.movable().is_ok() && appointment.start > now
}
