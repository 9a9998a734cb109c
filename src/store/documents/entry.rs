//! What documents of the appointments collection have in common, and those that are no appointments.

use jiff::civil::Date;
use mongodb::bson::{DateTime, RawBsonRef, RawDocument, Uuid, deserialize_from_slice};
use mongodb::error::Error as DriverError;
use serde::{Deserialize, Serialize};

use super::{AppointmentDoc, GroupDoc, Undecodable, int};
use crate::domain::entry::{Entry, Period, Quota, TimeOffDay};
use crate::domain::ids::{AppointmentId, ServiceId, TimeOffId, UserId};
use crate::domain::tick::Tick;
use crate::store::value::{bson_id, bson_time, uuid_of};

/// Something of which there is one for each doctor: a tick, or a place within a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Claim {
    Tick(i32),
    /// `day:<service>:2026-12-01:<n>` or `week:<service>:<its Monday>:<n>`
    Place(String),
}

/// Any document of the collection, by its `kind`; appointments have none.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryDoc {
    TimeOff(TimeOffDoc),
    Group(GroupDoc),
    Appointment(Box<AppointmentDoc>),
}

/// What tells documents of time off from appointments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TimeOffKind {
    TimeOff,
}

/// A local date of a doctor's time off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeOffDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub kind: TimeOffKind,
    pub doctor_id: Uuid,
    pub bucket: i32,
    pub rev: i32,
    pub time_off: Uuid,
    /// `2026-12-01`
    pub date: String,
    /// When the date begins in UTC, so that calendars are found by start.
    pub start: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Vec<Claim>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed: Option<Vec<Claim>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

impl EntryDoc {
    /// Reads a document as what its `kind` says.
    ///
    /// # Errors
    /// When it is not as Cita writes it.
    pub fn read(document: &RawDocument) -> Result<Self, DriverError> {
        let bytes = document.as_bytes();
        match document.get("kind")? {
            Some(RawBsonRef::String("group")) => Ok(Self::Group(deserialize_from_slice(bytes)?)),
            Some(_) => Ok(Self::TimeOff(deserialize_from_slice(bytes)?)),
            None => Ok(Self::Appointment(deserialize_from_slice(bytes)?)),
        }
    }

    /// The entry of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<Entry, Undecodable> {
        match self {
            Self::Appointment(document) => Ok(Entry::Appointment(document.to_domain()?.into())),
            Self::TimeOff(document) => Ok(Entry::TimeOff(document.to_domain()?.into())),
            Self::Group(document) => Ok(Entry::Group(document.to_domain()?.into())),
        }
    }
}

impl TimeOffDoc {
    /// The document of a day.
    #[must_use]
    pub fn from_domain(day: &TimeOffDay) -> Self {
        let start = day.date.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp()).unwrap_or_default();
        Self {
            id: bson_id(day.id.0),
            kind: TimeOffKind::TimeOff,
            doctor_id: bson_id(day.doctor_id.0),
            bucket: i32::from(day.doctor_id.bucket()),
            rev: int(day.rev),
            time_off: bson_id(day.time_off.0),
            date: day.date.to_string(),
            start: bson_time(start),
            claims: claims(&day.claims, &[]),
            freed: claims(&day.freed, &[]),
            ended: day.ended,
        }
    }

    /// The day of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<TimeOffDay, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        Ok(TimeOffDay {
            id: AppointmentId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            doctor_id: UserId(uuid_of(self.doctor_id)),
            time_off: TimeOffId(uuid_of(self.time_off)),
            date: self.date.parse().map_err(|_| bad("date"))?,
            claims: ticks_of(&self.claims),
            freed: ticks_of(&self.freed),
            ended: self.ended,
        })
    }
}

/// Absent when there are none: `[]` would collide with its like in a unique index.
pub(super) fn claims(ticks: &[Tick], quotas: &[Quota]) -> Option<Vec<Claim>> {
    let claims: Vec<Claim> =
        ticks.iter().map(|tick| Claim::Tick(tick.0)).chain(quotas.iter().map(|quota| place(*quota))).collect();
    (!claims.is_empty()).then_some(claims)
}

pub(super) fn ticks_of(claims: &Option<Vec<Claim>>) -> Vec<Tick> {
    let tick = |claim: &Claim| match claim {
        Claim::Tick(tick) => Some(Tick(*tick)),
        Claim::Place(_) => None,
    };
    claims.iter().flatten().filter_map(tick).collect()
}

/// `None` when one does not read as a place.
pub(super) fn quotas_of(claims: &Option<Vec<Claim>>) -> Option<Vec<Quota>> {
    let quota = |claim: &Claim| match claim {
        Claim::Tick(_) => None,
        Claim::Place(text) => Some(quota(text)),
    };
    claims.iter().flatten().filter_map(quota).collect()
}

fn place(quota: Quota) -> Claim {
    let (period, date) = match quota.period {
        Period::Day(date) => ("day", date),
        Period::Week(monday) => ("week", monday),
    };
    Claim::Place(format!("{period}:{}:{date}:{}", quota.service, quota.number))
}

/// The place that a claim names.
#[must_use]
pub fn quota(text: &str) -> Option<Quota> {
    let [period, service, date, number] = text.split(':').collect::<Vec<_>>()[..] else { return None };
    let date: Date = date.parse().ok()?;
    let period = match period {
        "day" => Period::Day(date),
        "week" => Period::Week(date),
        _ => return None,
    };
    Some(Quota { service: ServiceId(service.parse().ok()?), period, number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::serialize_to_vec;
    use uuid::Uuid as Id;

    use super::*;

    #[test]
    fn a_day_off_is_read_back_and_is_no_appointment() {
        let day = TimeOffDay {
            id: AppointmentId(Id::from_u128(1)),
            rev: 2,
            doctor_id: UserId(Id::from_u128(2)),
            time_off: TimeOffId(Id::from_u128(3)),
            date: jiff::civil::date(2026, 12, 1),
            claims: vec![Tick(5), Tick(7)],
            freed: Vec::new(),
            ended: true,
        };
        let bytes = serialize_to_vec(&TimeOffDoc::from_domain(&day)).expect("a document");
        let read = EntryDoc::read(RawDocument::from_bytes(&bytes).expect("BSON")).expect("the same");
        assert_eq!(read.to_domain().expect("an entry"), Entry::TimeOff(day.into()));
    }

    #[test]
    fn places_are_read_back_from_between_ticks() {
        let service = ServiceId(Id::from_u128(9));
        let quotas: Vec<Quota> =
            [Period::Day(jiff::civil::date(2026, 12, 3)), Period::Week(jiff::civil::date(2026, 11, 30))]
                .map(|period| Quota { service, period, number: 12 })
                .to_vec();
        let stored = claims(&[Tick(1), Tick(2)], &quotas);
        assert_eq!((ticks_of(&stored), quotas_of(&stored)), (vec![Tick(1), Tick(2)], Some(quotas)));
        assert_eq!(claims(&[], &[]), None);
        assert_eq!(quotas_of(&Some(vec![Claim::Place("day:x:2026-12-03:1".to_owned())])), None);
    }
}
