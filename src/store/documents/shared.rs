//! What an appointment takes of what doctors share. Each is taken once in the whole clinic, under one unique index.
//!
//! 21 bytes of BSON binary: a letter for the kind, the id, and the tick, big-endian so that the index has them in the order of
//! time. What is only counted, not timed, stands beside them as text. `docs/decisions/0018-shared-claims-as-binary.md`
//! has what it costs.

use std::ops::Range;

use mongodb::bson::Bson;
use uuid::Uuid;

use super::super::value::binary;
use crate::domain::appointment::{Appointment, Status};
use crate::domain::group::GroupSession;
use crate::domain::ids::{PatientId, UserId};
use crate::domain::tick::{Tick, ticks};

/// The time of a patient.
const PATIENT: u8 = b'p';
/// The time of a room or a device.
const RESOURCE: u8 = b'r';

/// What the patient of an appointment and its rooms and devices take, each in the order of time; of a hold, one of its
/// owner's places instead of the patient's time. `None` once it takes nothing: `[]` would collide with its like.
pub(super) fn shared_claims(appointment: &Appointment) -> Option<Vec<Bson>> {
    if !appointment.takes_time() {
        return None;
    }
    let mut claims = match appointment.held.filter(|_| appointment.status == Status::Held) {
        Some(held) => vec![Bson::String(hold_place(held.by, held.place))],
        None => during(PATIENT, appointment.patient_id.0, appointment).collect(),
    };
    claims.extend(resource_claims(appointment));
    Some(claims)
}

/// What the rooms and devices of an appointment take.
pub(in crate::store) fn resource_claims(appointment: &Appointment) -> Vec<Bson> {
    appointment.resources.iter().flat_map(|id| during(RESOURCE, id.0, appointment)).collect()
}

/// What the rooms and devices of a group session take; `None` once it takes nothing. Its patients' time is claimed by
/// their appointments.
pub(super) fn session_claims(session: &GroupSession) -> Option<Vec<Bson>> {
    let during = || ticks(Tick::floor(session.start)..Tick::floor(session.end));
    let claims = session.resources.iter().flat_map(|id| during().map(|tick| claim(RESOURCE, id.0, tick)));
    let claims: Vec<Bson> = claims.collect();
    (session.is_open() && !claims.is_empty()).then_some(claims)
}

fn during(kind: u8, id: Uuid, appointment: &Appointment) -> impl Iterator<Item = Bson> {
    ticks(appointment.patient_ticks()).map(move |tick| claim(kind, id, tick))
}

/// The name of a place among somebody's holds.
pub(in crate::store) fn hold_place(user: UserId, place: u8) -> String {
    format!("h:{}:{place}", user.0.simple())
}

/// Between which two claims a patient's ticks of a range lie, the second excluded.
pub(in crate::store) fn patient_span(patient: PatientId, range: &Range<Tick>) -> (Bson, Bson) {
    // Those before 1970 would sort last.
    let claim = |tick: Tick| claim(PATIENT, patient.0, tick.max(Tick(0)));
    (claim(range.start), claim(range.end))
}

/// The tick of a claim, if it is this patient's.
pub(in crate::store) fn patient_tick(patient: PatientId, claim: &Bson) -> Option<Tick> {
    let Bson::Binary(binary) = claim else { return None };
    let tick = binary.bytes.strip_prefix(&[PATIENT])?.strip_prefix(patient.0.as_bytes())?;
    Some(Tick(i32::from_be_bytes(tick.try_into().ok()?)))
}

/// Whether the hexadecimal digits of a claim are those of a room or a device.
pub(in crate::store) fn is_of_resource(digits: &str) -> bool {
    u8::from_str_radix(digits.get(..2).unwrap_or_default(), 16) == Ok(RESOURCE)
}

fn claim(kind: u8, id: Uuid, tick: Tick) -> Bson {
    let mut bytes = Vec::with_capacity(21);
    bytes.push(kind);
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&tick.0.to_be_bytes());
    Bson::Binary(binary(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_short_and_sorts_by_time() {
        let bytes = |tick| match claim(PATIENT, Uuid::from_u128(7), Tick(tick)) {
            Bson::Binary(binary) => binary.bytes,
            other => panic!("{other} is no binary"),
        };
        assert_eq!(bytes(5_953_112).len(), 21);
        assert!(bytes(5_953_111) < bytes(5_953_112) && bytes(255) < bytes(256));
        let (patient, other) = (UserId(Uuid::from_u128(7)), UserId(Uuid::from_u128(8)));
        let mine = claim(PATIENT, patient.0, Tick(5_953_112));
        assert_eq!((patient_tick(patient, &mine), patient_tick(other, &mine)), (Some(Tick(5_953_112)), None));
        assert_eq!(patient_tick(patient, &claim(RESOURCE, patient.0, Tick(7))), None);
        assert!(is_of_resource("72AB") && !is_of_resource("70AB") && !is_of_resource("h:7"));
    }
}
