//! What an appointment takes of what doctors share. Each is taken once in the whole clinic, under one unique index.
//!
//! 21 bytes of BSON binary: a letter for the kind, the id, and the tick, big-endian so that the index has them in the order of
//! time. What is only counted, not timed, may stand beside them as text. `docs/decisions/0013-shared-claims-as-binary.md`
//! has what it costs.

use mongodb::bson::Bson;
use uuid::Uuid;

use super::super::value::binary;
use crate::domain::appointment::Appointment;
use crate::domain::tick::{Tick, ticks};

/// The time of a patient.
const PATIENT: u8 = b'p';
/// The time of a room or a device.
const RESOURCE: u8 = b'r';

/// What the patient of an appointment and its rooms and devices take, each in the order of time; `None` once it takes
/// nothing: `[]` would collide with its like.
pub(super) fn shared_claims(appointment: &Appointment) -> Option<Vec<Bson>> {
    (!appointment.claims.is_empty()).then(|| {
        let patient = [(PATIENT, appointment.patient_id.0)];
        let resources = appointment.resources.iter().map(|resource| (RESOURCE, resource.0));
        let all = patient.into_iter().chain(resources);
        all.flat_map(|(kind, id)| ticks(appointment.patient_ticks()).map(move |tick| claim(kind, id, tick))).collect()
    })
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
        assert!(is_of_resource("72AB") && !is_of_resource("70AB") && !is_of_resource("h:7"));
    }
}
