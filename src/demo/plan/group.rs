//! The group sessions of the demo clinic: one for each service that is shared, soon, with the first patients in it.

use std::collections::HashSet;

use jiff::{Timestamp, ToSpan as _};

use super::{COMING, NO_SESSION, Planned, request};
use crate::domain::account::User;
use crate::domain::appointment::{Appointment, Booking};
use crate::domain::doctor::{Doctor, Service};
use crate::domain::group::{GroupSession, Opening, Seat};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, PatientId};
use crate::domain::slots;
use crate::domain::tick::{Tick, ticks};
use crate::service::request::{derived_id, session_id};

/// Patients who have a seat.
const SEATS: usize = 2;

/// A group session that is to be written, with its seats.
#[derive(Debug)]
pub(in crate::demo) struct PlannedGroup {
    pub session: GroupSession,
    pub seats: Vec<Planned>,
}

/// The sessions, at times when neither their doctors nor their patients have anything else.
pub(in crate::demo) fn group_sessions(
    doctors: &[Doctor],
    patients: &[User],
    planned: &[Planned],
    now: Timestamp,
) -> Vec<PlannedGroup> {
    let services = doctors.iter().flat_map(|doctor| doctor.services.iter().map(move |service| (doctor, service)));
    let groups = services.filter(|(_, service)| service.is_group());
    groups.filter_map(|(doctor, service)| group_session(doctor, service, patients, planned, now)).collect()
}

fn group_session(
    doctor: &Doctor,
    service: &Service,
    patients: &[User],
    planned: &[Planned],
    now: Timestamp,
) -> Option<PlannedGroup> {
    let appointments = || planned.iter().map(|planned| &planned.appointment);
    let taken: HashSet<Tick> =
        appointments().filter(|one| one.doctor_id == doctor.id).flat_map(|one| one.claims.iter().copied()).collect();
    let today = now.to_zoned(doctor.availability.time_zone.clone()).date();
    let dates = COMING.filter_map(|day| today.checked_add(day.days()).ok());
    let mut candidates = dates.flat_map(|date| slots::candidates(doctor, service, date));
    let slot = candidates.find(|candidate| {
        let is_free = ticks(candidate.footprint.clone()).all(|tick| !taken.contains(&tick));
        is_free && slots::check(doctor, service, candidate.start.instant(), now).is_ok()
    })?;
    let busy: HashSet<PatientId> = appointments()
        .filter(|one| Tick::floor(one.start) < slot.end && slot.start < Tick::floor(one.end))
        .map(|one| one.patient_id)
        .collect();
    let free = patients.iter().filter(|patient| !busy.contains(&patient.id)).take(SEATS);
    let id = session_id(doctor.id, service.id, slot.start.instant());
    let seats: Vec<Planned> =
        free.enumerate().map(|(place, patient)| seat(doctor, service, slot.start, (place, patient), now, id)).collect();
    let (first, others) = seats.split_first()?;
    let opening = Opening { id, doctor: doctor.id, service, start: slot.start, quotas: Vec::new() };
    let begun = opening.begin(None, Seat::of(&first.appointment));
    let session = others
        .iter()
        .try_fold(begun, |session, other| session.joined(Seat::of(&other.appointment), service.terms.capacity).ok())?;
    Some(PlannedGroup { session, seats })
}

fn seat(
    doctor: &Doctor,
    service: &Service,
    start: Tick,
    (place, patient): (usize, &User),
    now: Timestamp,
    session: AppointmentId,
) -> Planned {
    let request = request(doctor.id, format!("seat {place} of {}", service.id), now);
    let booking = Booking {
        id: AppointmentId(derived_id(&request, 0)),
        doctor,
        service,
        patient_id: patient.id,
        patient_name: &patient.name,
        walk_in: None,
        start,
        quotas: Vec::new(),
        reason: None,
        pending: false,
        overridden: None,
        by: Actor { user: patient.id, session: NO_SESSION },
        now,
    };
    let appointment: Appointment = booking.into_appointment().in_session(session);
    Planned { appointment, request, review: None }
}
