//! The document of a group session: the time that it takes and the seats that are taken. Names nobody.

use mongodb::bson::{Bson, DateTime, Uuid};
use serde::{Deserialize, Serialize};

use super::entry::{Claim, claims, quotas_of, ticks_of};
use super::shared::session_claims;
use super::{Undecodable, int};
use crate::domain::group::{GroupSession, HeldSeat, Seat};
use crate::domain::ids::{AppointmentId, ResourceId, ServiceId, UserId};
use crate::store::value::{bson_id, bson_time, instant, uuid_of};

/// What tells group sessions from appointments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupKind {
    Group,
}

/// A group session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub kind: GroupKind,
    pub doctor_id: Uuid,
    pub bucket: i32,
    pub rev: i32,
    pub service_id: Uuid,
    pub start: DateTime,
    pub end: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Vec<Claim>>,
    /// What its rooms and devices take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Vec<Bson>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed: Option<Vec<Claim>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freed_resources: Vec<Uuid>,
    pub seats: Vec<SeatDoc>,
}

/// A seat that is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatDoc {
    /// Id of the appointment.
    pub of: Uuid,
    /// With the other two: the appointment is a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime>,
}

impl GroupDoc {
    /// The document of a session.
    #[must_use]
    pub fn from_domain(session: &GroupSession) -> Self {
        Self {
            id: bson_id(session.id.0),
            kind: GroupKind::Group,
            doctor_id: bson_id(session.doctor_id.0),
            bucket: i32::from(session.doctor_id.bucket()),
            rev: int(session.rev),
            service_id: bson_id(session.service_id.0),
            start: bson_time(session.start),
            end: bson_time(session.end),
            claims: claims(&session.claims, &session.quotas),
            shared: session_claims(session),
            freed: claims(&session.freed, &session.freed_quotas),
            resources: session.resources.iter().map(|id| bson_id(id.0)).collect(),
            freed_resources: session.freed_resources.iter().map(|id| bson_id(id.0)).collect(),
            seats: session.seats.iter().map(SeatDoc::from_domain).collect(),
        }
    }

    /// The session of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<GroupSession, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        Ok(GroupSession {
            id: AppointmentId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            doctor_id: UserId(uuid_of(self.doctor_id)),
            service_id: ServiceId(uuid_of(self.service_id)),
            start: instant(self.start).map_err(|_| bad("start"))?,
            end: instant(self.end).map_err(|_| bad("end"))?,
            claims: ticks_of(&self.claims),
            freed: ticks_of(&self.freed),
            quotas: quotas_of(&self.claims).ok_or_else(|| bad("claims"))?,
            freed_quotas: quotas_of(&self.freed).ok_or_else(|| bad("freed"))?,
            resources: self.resources.iter().map(|id| ResourceId(uuid_of(*id))).collect(),
            freed_resources: self.freed_resources.iter().map(|id| ResourceId(uuid_of(*id))).collect(),
            seats: self.seats.iter().map(SeatDoc::to_domain).collect::<Option<_>>().ok_or_else(|| bad("seats"))?,
        })
    }
}

impl SeatDoc {
    fn from_domain(seat: &Seat) -> Self {
        Self {
            of: bson_id(seat.of.0),
            held_by: seat.held.map(|held| bson_id(held.by.0)),
            held_since: seat.held.map(|held| bson_time(held.since)),
            expires_at: seat.held.map(|held| bson_time(held.until)),
        }
    }

    fn to_domain(&self) -> Option<Seat> {
        let held = match (self.held_by, self.held_since, self.expires_at) {
            (Some(by), Some(since), Some(until)) => {
                Some(HeldSeat { by: UserId(uuid_of(by)), since: instant(since).ok()?, until: instant(until).ok()? })
            }
            _ => None,
        };
        Some(Seat { of: AppointmentId(uuid_of(self.of)), held })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use mongodb::bson::{RawDocument, serialize_to_vec};
    use uuid::Uuid as Id;

    use super::*;
    use crate::domain::entry::{Entry, Period, Quota};
    use crate::domain::tick::Tick;
    use crate::store::documents::EntryDoc;

    fn full() -> GroupSession {
        let (service, day) = (ServiceId(Id::from_u128(3)), Period::Day(jiff::civil::date(2026, 12, 1)));
        let seat = |number| Seat {
            of: AppointmentId(Id::from_u128(number)),
            held: (number % 2 == 0).then_some(HeldSeat {
                by: UserId(Id::from_u128(number + 100)),
                since: Timestamp::UNIX_EPOCH,
                until: Timestamp::UNIX_EPOCH,
            }),
        };
        GroupSession {
            id: AppointmentId(Id::from_u128(1)),
            rev: 7,
            doctor_id: UserId(Id::from_u128(2)),
            service_id: service,
            start: Timestamp::from_second(1_796_133_600).expect("a time"),
            end: Timestamp::from_second(1_796_176_800).expect("a time"),
            // As long as a service can be, with the longest buffers.
            claims: (0..240).map(|tick| Tick(5_987_112 + tick)).collect(),
            freed: Vec::new(),
            quotas: vec![Quota { service, period: day, number: 3 }],
            freed_quotas: Vec::new(),
            resources: (0..5).map(|id| ResourceId(Id::from_u128(id))).collect(),
            freed_resources: Vec::new(),
            seats: (0..50).map(seat).collect(),
        }
    }

    #[test]
    fn a_session_is_read_back_and_is_no_appointment() {
        let session = full();
        let bytes = serialize_to_vec(&GroupDoc::from_domain(&session)).expect("a document");
        let read = EntryDoc::read(RawDocument::from_bytes(&bytes).expect("BSON")).expect("the same");
        assert_eq!(read.to_domain().expect("an entry"), Entry::Group(session.into()));
    }

    #[test]
    fn the_largest_session_is_a_small_document() {
        let bytes = serialize_to_vec(&GroupDoc::from_domain(&full())).expect("a document");
        assert!(bytes.len() < 48 * 1024, "{} bytes", bytes.len());
    }
}
