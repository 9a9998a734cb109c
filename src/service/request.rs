//! A mutation as its idempotency key identifies it.

use aws_lc_rs::digest::{Context, Digest, SHA256};
use jiff::Timestamp;
use uuid::{Builder, Uuid};

use crate::domain::account::Identity;
use crate::domain::change::Position;
use crate::domain::ids::{AppointmentId, DoctorId, ServiceId};
use crate::store::idempotency::Request;

/// What a mutation returns: the entity, and the position at which it is true.
#[derive(Clone, Debug)]
pub struct Done<T> {
    pub value: T,
    pub at: Position,
}

/// The request of `identity` with this key. `parts` are everything that it asks for, in a fixed order.
#[must_use]
pub fn request(identity: &Identity, operation: &'static str, key: &str, parts: &[&str], now: Timestamp) -> Request {
    let digest = digest(parts.iter().map(|part| part.as_bytes()));
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest.as_ref());
    let Identity { user, session, .. } = *identity;
    Request { user, session, operation, key: key_digest(key), fingerprint, at: now }
}

/// The id of what a request creates: the same for each repetition, so that a retry meets itself. `generation` counts
/// the uses of a key that lie more than a day apart.
#[must_use]
pub fn derived_id(request: &Request, generation: u8) -> Uuid {
    let parts = [request.user.0.as_bytes(), request.operation.as_bytes(), request.key.as_bytes(), &[generation]];
    id(parts)
}

/// The id of one of several things that are created together.
#[must_use]
pub fn part_id(whole: Uuid, place: usize) -> Uuid {
    id([whole.as_bytes().as_slice(), &(place as u64).to_be_bytes()])
}

/// The id of the one group session of a service at a time.
#[must_use]
pub fn session_id(doctor: DoctorId, service: ServiceId, start: Timestamp) -> AppointmentId {
    let start = start.as_second().to_be_bytes();
    AppointmentId(id([doctor.0.as_bytes().as_slice(), service.0.as_bytes(), &start]))
}

/// What stands for an idempotency key.
#[must_use]
pub fn key_digest(key: &str) -> Uuid {
    id([key.as_bytes()])
}

/// The first half of [`digest`].
fn id<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(parts).as_ref()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// SHA-256 of parts, each preceded by its length, so that no two lists of parts read the same.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish()
}
