//! The border between documents and the domain, both ways. Nothing else knows what a stored document looks like.
//!
//! `claims` and `shared` are absent when nothing is taken: `[]` and `null` would collide with their like in a unique
//! index. Ticks are `i32`: a partial index on `$type: "int"` would let an int64 through.

mod doctor;
mod entry;
mod group;
mod resource;
pub(super) mod review;
mod shared;
mod waitlist;

use mongodb::bson::{Bson, DateTime, Uuid};
use serde::{Deserialize, Serialize};

pub use self::doctor::DoctorDoc;
use self::entry::claims;
pub use self::entry::{Claim, EntryDoc, TimeOffDoc, quota};
pub use self::group::GroupDoc;
pub use self::resource::ResourceDoc;
pub use self::review::ReviewDoc;
use self::shared::shared_claims;
pub(super) use self::shared::{hold_place, is_of_resource, patient_span, patient_tick, resource_claims};
pub use self::waitlist::{OfferDoc, WaitlistDoc};
use super::value::{bson_id, bson_time, instant, uuid_of};
use crate::domain::appointment::{
    Action, Appointment, Held, HistoryEntry, HoldPlace, Overridden, PartOf, Status, WalkIn,
};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, ResourceId, SeriesId, ServiceId, SessionId, UserId, WaitlistId};

/// A document that does not read as what it should be.
#[derive(Debug, thiserror::Error)]
#[error("document {id}: {what}")]
pub struct Undecodable {
    pub id: String,
    pub what: &'static str,
}

/// A success that is remembered in the document that it changed, to be answered again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remembered {
    pub user: Uuid,
    pub operation: String,
    /// Digest of the idempotency key.
    pub key: Uuid,
    /// SHA-256 of the request.
    #[serde(with = "serde_bytes_array")]
    pub request: [u8; 32],
    pub at: DateTime,
    /// What the entity was right after the success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// The fields of an appointment that change, at one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub rev: i32,
    pub status: String,
    pub start: DateTime,
    pub end: DateTime,
    pub updated_at: DateTime,
    /// Absent in what was written before it was remembered, as are the rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Uuid>,
}

/// A document of the appointments collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppointmentDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub doctor_id: Uuid,
    /// Hash of the doctor's id, 0 to 255.
    pub bucket: i32,
    pub rev: i32,
    pub status: String,
    /// Id of the group session that it has a seat in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Vec<Claim>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Vec<Bson>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed: Option<Vec<Claim>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freed_resources: Vec<Uuid>,
    pub doctor_name: String,
    pub patient_id: Uuid,
    pub patient_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk_in: Option<WalkInDoc>,
    pub service_id: Uuid,
    pub service_name: String,
    pub start: DateTime,
    pub end: DateTime,
    pub time_zone: String,
    /// With `rrule`: the series that it was booked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rrule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// For the doctor alone: left out by the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reviewed: bool,
    pub created_at: DateTime,
    pub updated_at: DateTime,
    /// Whose hold it is or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Uuid>,
    /// When that ends by itself, as the database's clock has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_place: Option<i32>,
    /// The waitlist entry that the hold is or was offered to, instead of a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waitlist_id: Option<Uuid>,
    /// This document only remembers a request; what came of it is the document with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub see: Option<Uuid>,
    /// Left out by the feed, as are `keys` and `shared`.
    #[serde(default)]
    pub history: Vec<HistoryDoc>,
    #[serde(default)]
    pub keys: Vec<Remembered>,
}

/// What is known of a patient without an account, beside the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalkInDoc {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// An entry of an appointment's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDoc {
    pub rev: i32,
    pub action: String,
    pub by: Uuid,
    pub session: Uuid,
    pub at: DateTime,
    pub start: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<OverriddenDoc>,
}

/// A rule that the practice has set aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverriddenDoc {
    pub rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AppointmentDoc {
    /// The document of an appointment.
    #[must_use]
    pub fn from_domain(appointment: &Appointment, keys: Vec<Remembered>) -> Self {
        Self {
            id: bson_id(appointment.id.0),
            doctor_id: bson_id(appointment.doctor_id.0),
            bucket: i32::from(appointment.doctor_id.bucket()),
            rev: int(appointment.rev),
            status: appointment.status.as_str().to_owned(),
            seat: appointment.seat.map(|session| bson_id(session.0)),
            claims: claims(&appointment.claims, &appointment.quotas),
            shared: shared_claims(appointment),
            freed: claims(&appointment.freed, &appointment.freed_quotas),
            resources: appointment.resources.iter().map(|id| bson_id(id.0)).collect(),
            freed_resources: appointment.freed_resources.iter().map(|id| bson_id(id.0)).collect(),
            doctor_name: appointment.doctor_name.clone(),
            patient_id: bson_id(appointment.patient_id.0),
            patient_name: appointment.patient_name.clone(),
            walk_in: appointment.walk_in.as_ref().map(|walk_in| WalkInDoc { phone: walk_in.phone.clone() }),
            service_id: bson_id(appointment.service_id.0),
            service_name: appointment.service_name.clone(),
            start: bson_time(appointment.start),
            end: bson_time(appointment.end),
            time_zone: appointment.time_zone.clone(),
            series_id: appointment.series.as_ref().map(|series| bson_id(series.id.0)),
            rrule: appointment.series.as_ref().map(|series| series.rrule.clone()),
            reason: appointment.reason.clone(),
            cancel_reason: appointment.cancel_reason.clone(),
            notes: appointment.notes.clone(),
            reviewed: appointment.reviewed,
            created_at: bson_time(appointment.created_at),
            updated_at: bson_time(appointment.updated_at),
            held_by: appointment.held.map(|held| bson_id(held.by.0)),
            expires_at: appointment.held.map(|held| bson_time(held.until)),
            held_place: appointment.held.and_then(|held| match held.place {
                HoldPlace::Own(place) => Some(i32::from(place)),
                HoldPlace::Offer(_) => None,
            }),
            waitlist_id: appointment.held.and_then(|held| held.entry()).map(|entry| bson_id(entry.0)),
            see: None,
            history: appointment.history.iter().map(HistoryDoc::from_domain).collect(),
            keys,
        }
    }

    /// The appointment of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<Appointment, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        Ok(Appointment {
            id: AppointmentId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            status: Status::named(&self.status).ok_or_else(|| bad("status"))?,
            doctor_id: UserId(uuid_of(self.doctor_id)),
            doctor_name: self.doctor_name.clone(),
            patient_id: UserId(uuid_of(self.patient_id)),
            patient_name: self.patient_name.clone(),
            walk_in: self.walk_in.as_ref().map(|walk_in| WalkIn { phone: walk_in.phone.clone() }),
            service_id: ServiceId(uuid_of(self.service_id)),
            service_name: self.service_name.clone(),
            start: instant(self.start).map_err(|_| bad("start"))?,
            end: instant(self.end).map_err(|_| bad("end"))?,
            time_zone: self.time_zone.clone(),
            series: self
                .series_id
                .zip(self.rrule.clone())
                .map(|(id, rrule)| PartOf { id: SeriesId(uuid_of(id)), rrule }),
            reason: self.reason.clone(),
            cancel_reason: self.cancel_reason.clone(),
            notes: self.notes.clone(),
            reviewed: self.reviewed,
            created_at: instant(self.created_at).map_err(|_| bad("createdAt"))?,
            updated_at: instant(self.updated_at).map_err(|_| bad("updatedAt"))?,
            held: self.held().map_err(bad)?,
            seat: self.seat.map(|session| AppointmentId(uuid_of(session))),
            claims: entry::ticks_of(&self.claims),
            freed: entry::ticks_of(&self.freed),
            quotas: entry::quotas_of(&self.claims).ok_or_else(|| bad("claims"))?,
            freed_quotas: entry::quotas_of(&self.freed).ok_or_else(|| bad("freed"))?,
            resources: self.resources.iter().map(|id| ResourceId(uuid_of(*id))).collect(),
            freed_resources: self.freed_resources.iter().map(|id| ResourceId(uuid_of(*id))).collect(),
            history: self
                .history
                .iter()
                .map(HistoryDoc::to_domain)
                .collect::<Option<_>>()
                .ok_or_else(|| bad("history"))?,
        })
    }

    fn held(&self) -> Result<Option<Held>, &'static str> {
        let (Some(by), Some(until)) = (self.held_by, self.expires_at) else { return Ok(None) };
        let place = match (self.held_place, self.waitlist_id) {
            (Some(place), None) => HoldPlace::Own(u8::try_from(place).map_err(|_| "heldPlace")?),
            (None, Some(entry)) => HoldPlace::Offer(WaitlistId(uuid_of(entry))),
            _ => return Err("heldPlace"),
        };
        Ok(Some(Held { by: UserId(uuid_of(by)), until: instant(until).map_err(|_| "expiresAt")?, place }))
    }

    /// What remembers, under an id of its own, a request that has become another document. It takes nothing and names nobody but
    /// whoever asked.
    #[must_use]
    pub fn trace(&self, id: Uuid, remembered: &Remembered) -> Self {
        Self {
            id,
            rev: 1,
            status: Status::Expired.as_str().to_owned(),
            seat: None,
            claims: None,
            shared: None,
            freed: None,
            resources: Vec::new(),
            freed_resources: Vec::new(),
            doctor_name: String::new(),
            patient_id: remembered.user,
            patient_name: String::new(),
            walk_in: None,
            service_name: String::new(),
            series_id: None,
            rrule: None,
            reason: None,
            cancel_reason: None,
            notes: None,
            held_by: None,
            expires_at: None,
            held_place: None,
            waitlist_id: None,
            see: Some(self.id),
            history: Vec::new(),
            keys: vec![remembered.clone()],
            ..self.clone()
        }
    }

    /// The appointment as it was right after a remembered success, with the notes of now: no second copy of them is kept.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn at_outcome(&self, outcome: &Outcome) -> Result<Appointment, Undecodable> {
        let mut then = self.clone();
        then.rev = outcome.rev;
        then.status.clone_from(&outcome.status);
        then.start = outcome.start;
        then.end = outcome.end;
        then.updated_at = outcome.updated_at;
        if let Some(zone) = &outcome.time_zone {
            then.time_zone.clone_from(zone);
            then.resources.clone_from(&outcome.resources);
        }
        if then.status == Status::Held.as_str() {
            // That was said when it was booked.
            then.reason = None;
        }
        let mut then = then.to_domain()?;
        if then.status != Status::Cancelled {
            // There is one from the end on, and it stays.
            then.cancel_reason = None;
        }
        Ok(then)
    }
}

impl Outcome {
    /// The changing fields of an appointment, to be remembered.
    #[must_use]
    pub fn of(appointment: &Appointment) -> Self {
        Self {
            rev: int(appointment.rev),
            status: appointment.status.as_str().to_owned(),
            start: bson_time(appointment.start),
            end: bson_time(appointment.end),
            updated_at: bson_time(appointment.updated_at),
            time_zone: Some(appointment.time_zone.clone()),
            resources: appointment.resources.iter().map(|id| bson_id(id.0)).collect(),
        }
    }
}

impl HistoryDoc {
    fn from_domain(entry: &HistoryEntry) -> Self {
        Self {
            rev: int(entry.rev),
            action: entry.action.as_str().to_owned(),
            by: bson_id(entry.by.user.0),
            session: bson_id(entry.by.session.0),
            at: bson_time(entry.at),
            start: bson_time(entry.start),
            overridden: entry
                .overridden
                .as_ref()
                .map(|Overridden { rule, reason }| OverriddenDoc { rule: rule.clone(), reason: reason.clone() }),
        }
    }

    fn to_domain(&self) -> Option<HistoryEntry> {
        Some(HistoryEntry {
            rev: u32::try_from(self.rev).ok()?,
            action: Action::named(&self.action)?,
            by: Actor { user: UserId(uuid_of(self.by)), session: SessionId(uuid_of(self.session)) },
            at: instant(self.at).ok()?,
            start: instant(self.start).ok()?,
            overridden: self
                .overridden
                .as_ref()
                .map(|OverriddenDoc { rule, reason }| Overridden { rule: rule.clone(), reason: reason.clone() }),
        })
    }
}

/// A revision as BSON has it: always an int32.
fn int(rev: u32) -> i32 {
    i32::try_from(rev).unwrap_or(i32::MAX)
}

mod serde_bytes_array {
    //! 32 bytes as BSON binary.

    use mongodb::bson::{Binary, spec::BinarySubtype};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let binary = Binary::deserialize(deserializer)?;
        binary.bytes.try_into().map_err(|_| D::Error::custom("not 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_document, doc};

    use super::*;

    /// What is stored are instants. The name of the zone stands beside them, for those who show them, and is never asked.
    #[test]
    fn other_zone_data_moves_no_appointment() {
        let instant = DateTime::from_millis(1_796_133_600_000);
        let in_zone = |zone: &str| {
            let id = Uuid::from_bytes([7; 16]);
            let document = doc! {
                "_id": id, "doctorId": id, "bucket": 7, "rev": 1, "status": "booked", "claims": [5_987_112, 5_987_113],
                "doctorName": "Ada", "patientId": id, "patientName": "Eva", "serviceId": id, "serviceName": "Consulta",
                "start": instant, "end": DateTime::from_millis(1_796_134_200_000), "timeZone": zone,
                "createdAt": instant, "updatedAt": instant,
            };
            let document: AppointmentDoc = deserialize_from_document(document).expect("a document");
            document.to_domain().expect("an appointment")
        };
        let bogota = in_zone("America/Bogota");
        assert_eq!((bogota.start.to_string(), bogota.claims.len()), ("2026-12-01T14:00:00Z".to_owned(), 2));
        // Those of a zone whose rules have changed since, or that nobody knows any more, are when they were.
        for zone in ["Europe/Madrid", "America/Nowhere"] {
            let other = in_zone(zone);
            assert_eq!(other.time_zone, zone);
            assert_eq!(Appointment { time_zone: bogota.time_zone.clone(), ..other }, bogota);
        }
    }
}
