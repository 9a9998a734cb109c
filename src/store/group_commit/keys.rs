//! What documents want of which there is one, as the database's unique indexes have it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use mongodb::bson::{Bson, Document, Uuid, doc};
use serde::Deserialize;

use crate::store::appointments::{CLAIMS_INDEX, PRIMARY_INDEX, SHARED_INDEX};
use crate::store::documents::{AppointmentDoc, Claim};
use crate::store::value::binary;

/// The index and the value, as [`crate::store::failure::Failure::Duplicate`] has them.
pub(super) type Collision = (String, Option<String>);

/// Something of which there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Id(Uuid),
    /// Of a doctor.
    Claim(Uuid, Claim),
    Shared(Vec<u8>),
    /// A place among somebody's holds.
    Place(String),
}

/// Makes keys into 64 bits each, as nobody outside can foresee. Two keys of the same bits make those who want them wait for each other, and look:
/// who has something is found by the keys themselves.
#[derive(Clone, Default)]
pub(super) struct Fingerprints(RandomState);

impl Fingerprints {
    pub(super) fn of(&self, key: &Key) -> u64 {
        self.0.hash_one(key)
    }
}

/// A document, as far as it is in the way of others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Holder {
    #[serde(rename = "_id")]
    id: Uuid,
    doctor_id: Uuid,
    #[serde(default)]
    claims: Vec<Claim>,
    #[serde(default)]
    shared: Vec<Bson>,
}

impl Key {
    /// Everything that a document wants.
    pub(super) fn of(document: &AppointmentDoc) -> Vec<Self> {
        let claims = document.claims.iter().flatten();
        all(document.id, document.doctor_id, claims, document.shared.iter().flatten())
    }

    /// Which collision is told where there are several: the order in which the database looks.
    pub(super) fn order(&self) -> u8 {
        match self {
            Self::Id(_) => 0,
            Self::Claim(_, Claim::Tick(_)) => 1,
            Self::Claim(_, Claim::Place(_)) => 2,
            Self::Shared(_) | Self::Place(_) => 3,
        }
    }

    /// As the database would tell it.
    pub(super) fn collision(&self) -> Collision {
        let (index, value) = match self {
            Self::Id(_) => (PRIMARY_INDEX, None),
            Self::Claim(_, Claim::Tick(_)) => (CLAIMS_INDEX, None),
            Self::Claim(_, Claim::Place(place)) => (CLAIMS_INDEX, Some(place.clone())),
            Self::Shared(bytes) => (SHARED_INDEX, Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect())),
            Self::Place(place) => (SHARED_INDEX, Some(place.clone())),
        };
        (index.to_owned(), value)
    }

    /// Whether a collision was on it; `tick`: where that was one.
    pub(super) fn has_collided(&self, collision: &Collision, tick: Option<i32>) -> bool {
        match self {
            Self::Claim(_, Claim::Tick(own)) => collision.0 == CLAIMS_INDEX && tick == Some(*own),
            _ => self.collision() == *collision,
        }
    }
}

impl Holder {
    /// What it is asked for.
    pub(super) fn projection() -> Document {
        doc! { "doctorId": 1, "claims": 1, "shared": 1 }
    }

    /// Everything that it has.
    pub(super) fn keys(&self) -> Vec<Key> {
        all(self.id, self.doctor_id, self.claims.iter(), self.shared.iter())
    }
}

fn all<'a>(
    id: Uuid,
    doctor: Uuid,
    claims: impl Iterator<Item = &'a Claim>,
    shared: impl Iterator<Item = &'a Bson>,
) -> Vec<Key> {
    let claims = claims.map(|claim| Key::Claim(doctor, claim.clone()));
    let shared = shared.filter_map(|claim| match claim {
        Bson::Binary(binary) => Some(Key::Shared(binary.bytes.clone())),
        Bson::String(place) => Some(Key::Place(place.clone())),
        _ => None,
    });
    std::iter::once(Key::Id(id)).chain(claims).chain(shared).collect()
}

/// Finds who has any of these.
pub(super) fn holders<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Document {
    let (mut ids, mut shared) = (Vec::new(), Vec::new());
    let mut claims: HashMap<Uuid, Vec<Bson>> = HashMap::new();
    for key in keys {
        match key {
            Key::Id(id) => ids.push(*id),
            Key::Claim(doctor, Claim::Tick(tick)) => claims.entry(*doctor).or_default().push((*tick).into()),
            Key::Claim(doctor, Claim::Place(place)) => claims.entry(*doctor).or_default().push(place.into()),
            Key::Shared(bytes) => shared.push(Bson::Binary(binary(bytes.clone()))),
            Key::Place(place) => shared.push(place.into()),
        }
    }
    let mut any = vec![doc! { "_id": { "$in": ids } }];
    any.extend(claims.into_iter().map(|(doctor, claims)| doc! { "doctorId": doctor, "claims": { "$in": claims } }));
    if !shared.is_empty() {
        any.push(doc! { "shared": { "$in": shared } });
    }
    doc! { "$or": any }
}
