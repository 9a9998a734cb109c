//! What a calendar takes in memory: estimated from what it is made of, so that the bound on all of them is one in bytes.

use std::mem::size_of;

use crate::domain::appointment::{Appointment, HistoryEntry};
use crate::domain::doctor::{self, Doctor, LocalRange, Service};
use crate::domain::entry::{Entry, Quota, TimeOffDay};
use crate::domain::group::{GroupSession, Seat};
use crate::domain::ids::{AppointmentId, ResourceId, ServiceId};
use crate::domain::tick::{Tick, ticks};

/// A calendar without entries, but for its doctor.
const EMPTY: usize = 1_024;

/// Bytes of a calendar that has nothing but its rules.
pub(super) fn rules(of: &Doctor) -> usize {
    let hours = of.availability.overrides.iter().map(|(_, ranges)| 32 + ranges.len() * size_of::<LocalRange>());
    let texts = of.services.iter().map(|service| service.name.len()).sum::<usize>()
        + [&of.profile.bio, &of.profile.address, &of.profile.photo_url].map(length).iter().sum::<usize>();
    EMPTY
        + size_of::<Doctor>()
        + texts
        + hours.sum::<usize>()
        + of.availability.seasons.len() * 256
        + of.services.len() * size_of::<Service>()
        + of.time_off.len() * 128
        + of.staff.len() * 16
        + of.history.len() * size_of::<doctor::HistoryEntry>()
}

/// Bytes of what takes time, with its places in the indexes of the calendar.
pub(super) fn entry(entry: &Entry) -> usize {
    let (own, during) = match entry {
        Entry::Appointment(appointment) => {
            let ticks = ticks(Tick::floor(appointment.start)..Tick::floor(appointment.end)).count();
            (appointment_bytes(appointment), ticks)
        }
        Entry::TimeOff(day) => (size_of::<TimeOffDay>() + (day.claims.len() + day.freed.len()) * size_of::<Tick>(), 0),
        Entry::Group(session) => {
            let ticks = ticks(Tick::floor(session.start)..Tick::floor(session.end)).count();
            (size_of::<GroupSession>() + session.seats.len() * size_of::<Seat>(), ticks)
        }
    };
    // Nodes of trees are two thirds full, tables of hashes about as much.
    let places = entry.claims().len() * size_of::<(Tick, AppointmentId)>()
        + entry.quotas().len() * size_of::<(Quota, AppointmentId)>()
        + entry.resources_named().len() * during * size_of::<((ResourceId, Tick), AppointmentId)>()
        + size_of::<((ServiceId, Tick), AppointmentId)>()
        + size_of::<(AppointmentId, Entry)>();
    own + places * 3 / 2
}

fn appointment_bytes(appointment: &Appointment) -> usize {
    let texts = [&appointment.reason, &appointment.cancel_reason, &appointment.notes].map(length);
    let names =
        [&appointment.doctor_name, &appointment.patient_name, &appointment.service_name, &appointment.time_zone];
    size_of::<Appointment>()
        + texts.iter().sum::<usize>()
        + names.iter().map(|name| name.len()).sum::<usize>()
        + appointment.series.as_ref().map_or(0, |part| part.rrule.len())
        + (appointment.claims.len() + appointment.freed.len()) * size_of::<Tick>()
        + (appointment.quotas.len() + appointment.freed_quotas.len()) * size_of::<Quota>()
        + (appointment.resources.len() + appointment.freed_resources.len()) * size_of::<ResourceId>()
        + appointment.history.len() * size_of::<HistoryEntry>()
        // Each text and list is a block of its own.
        + 8 * 16
}

fn length(text: &Option<String>) -> usize {
    text.as_deref().map_or(0, str::len)
}
