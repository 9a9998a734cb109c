//! Documents of the waitlist collection.

use jiff::civil::{Time, Weekday};
use mongodb::bson::{DateTime, Uuid};
use serde::{Deserialize, Serialize};

use super::{Remembered, Undecodable, int};
use crate::domain::doctor::LocalRange;
use crate::domain::ids::{AppointmentId, ServiceId, UserId, WaitlistId};
use crate::domain::waitlist::{Offer, WaitStatus, WaitlistEntry, Wish};
use crate::store::value::{bson_id, bson_time, instant, uuid_of};

/// Somebody who waits, or has waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitlistDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub doctor_id: Uuid,
    /// Hash of the doctor's id, 0 to 255.
    pub bucket: i32,
    pub rev: i32,
    pub status: String,
    /// `<patient>:<place>` of an open entry, which there is once. Absent once it is closed: `null` would collide with its like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    pub place: i32,
    pub doctor_name: String,
    pub patient_id: Uuid,
    pub patient_name: String,
    pub service_id: Uuid,
    pub service_name: String,
    /// `2026-12-01`: as text, dates sort.
    pub from: String,
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimesDoc>,
    /// 1 is Monday.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<i32>,
    pub time_zone: String,
    pub ends_at: DateTime,
    pub joined_at: DateTime,
    pub updated_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferDoc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<DateTime>,
    pub missed: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment_id: Option<Uuid>,
    /// Left out by the feed.
    #[serde(default)]
    pub keys: Vec<Remembered>,
}

/// Times of day, `09:30`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimesDoc {
    pub from: String,
    pub to: String,
}

/// A time that is kept for whoever waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferDoc {
    pub hold_id: Uuid,
    pub start: DateTime,
    pub end: DateTime,
    pub expires_at: DateTime,
}

impl WaitlistDoc {
    /// The document of an entry.
    #[must_use]
    pub fn from_domain(entry: &WaitlistEntry, keys: Vec<Remembered>) -> Self {
        let open = entry.status.is_open().then(|| format!("{}:{}", entry.patient_id.0.simple(), entry.place));
        Self {
            id: bson_id(entry.id.0),
            doctor_id: bson_id(entry.doctor_id.0),
            bucket: i32::from(entry.doctor_id.bucket()),
            rev: int(entry.rev),
            status: entry.status.as_str().to_owned(),
            open,
            place: i32::from(entry.place),
            doctor_name: entry.doctor_name.clone(),
            patient_id: bson_id(entry.patient_id.0),
            patient_name: entry.patient_name.clone(),
            service_id: bson_id(entry.service_id.0),
            service_name: entry.service_name.clone(),
            from: entry.wish.from.to_string(),
            to: entry.wish.to.to_string(),
            times: entry.wish.times.map(|times| TimesDoc { from: time(times.from), to: time(times.to) }),
            weekdays: entry.wish.weekdays.iter().map(|day| i32::from(day.to_monday_one_offset())).collect(),
            time_zone: entry.time_zone.clone(),
            ends_at: bson_time(entry.ends_at),
            joined_at: bson_time(entry.joined_at),
            updated_at: bson_time(entry.updated_at),
            offer: entry.offer.as_ref().map(OfferDoc::from_domain),
            passed: entry.passed.iter().map(|start| bson_time(*start)).collect(),
            missed: int(entry.missed),
            appointment_id: entry.appointment.map(|id| bson_id(id.0)),
            keys,
        }
    }

    /// The entry of a document.
    ///
    /// # Errors
    /// When a field holds what Cita never writes.
    pub fn to_domain(&self) -> Result<WaitlistEntry, Undecodable> {
        let bad = |what| Undecodable { id: self.id.to_string(), what };
        let times = self.times.as_ref().map(|times| {
            let (from, to) = (times.from.parse::<Time>().ok()?, times.to.parse::<Time>().ok()?);
            Some(LocalRange { from, to })
        });
        let weekday = |day: &i32| Weekday::from_monday_one_offset(i8::try_from(*day).ok()?).ok();
        let passed: Option<_> = self.passed.iter().map(|start| instant(*start).ok()).collect();
        Ok(WaitlistEntry {
            id: WaitlistId(uuid_of(self.id)),
            rev: u32::try_from(self.rev).map_err(|_| bad("rev"))?,
            status: WaitStatus::named(&self.status).ok_or_else(|| bad("status"))?,
            doctor_id: UserId(uuid_of(self.doctor_id)),
            doctor_name: self.doctor_name.clone(),
            patient_id: UserId(uuid_of(self.patient_id)),
            patient_name: self.patient_name.clone(),
            service_id: ServiceId(uuid_of(self.service_id)),
            service_name: self.service_name.clone(),
            wish: Wish {
                from: self.from.parse().map_err(|_| bad("from"))?,
                to: self.to.parse().map_err(|_| bad("to"))?,
                times: times.map(|times| times.ok_or_else(|| bad("times"))).transpose()?,
                weekdays: self.weekdays.iter().map(weekday).collect::<Option<_>>().ok_or_else(|| bad("weekdays"))?,
            },
            time_zone: self.time_zone.clone(),
            ends_at: instant(self.ends_at).map_err(|_| bad("endsAt"))?,
            joined_at: instant(self.joined_at).map_err(|_| bad("joinedAt"))?,
            updated_at: instant(self.updated_at).map_err(|_| bad("updatedAt"))?,
            place: u8::try_from(self.place).map_err(|_| bad("place"))?,
            offer: self.offer.as_ref().map(|offer| offer.to_domain().ok_or_else(|| bad("offer"))).transpose()?,
            passed: passed.ok_or_else(|| bad("passed"))?,
            missed: u32::try_from(self.missed).map_err(|_| bad("missed"))?,
            appointment: self.appointment_id.map(|id| AppointmentId(uuid_of(id))),
        })
    }
}

impl OfferDoc {
    fn from_domain(offer: &Offer) -> Self {
        Self {
            hold_id: bson_id(offer.hold.0),
            start: bson_time(offer.start),
            end: bson_time(offer.end),
            expires_at: bson_time(offer.until),
        }
    }

    fn to_domain(&self) -> Option<Offer> {
        Some(Offer {
            hold: AppointmentId(uuid_of(self.hold_id)),
            start: instant(self.start).ok()?,
            end: instant(self.end).ok()?,
            until: instant(self.expires_at).ok()?,
        })
    }
}

fn time(time: Time) -> String {
    time.strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::date;

    use super::*;
    use crate::domain::ids::SessionId;
    use crate::domain::waitlist::PASSED_LIMIT;
    use crate::store::idempotency::Request;

    #[test]
    fn an_entry_with_all_that_it_may_hold_fits_and_is_read_back() {
        let (user, at) = (UserId(uuid::Uuid::from_u128(9)), Timestamp::UNIX_EPOCH);
        let offer = Offer { hold: AppointmentId(uuid::Uuid::from_u128(3)), start: at, end: at, until: at };
        let entry = WaitlistEntry {
            id: WaitlistId(uuid::Uuid::from_u128(1)),
            rev: 7,
            status: WaitStatus::Offered,
            doctor_id: user,
            doctor_name: "á".repeat(100),
            patient_id: user,
            patient_name: "é".repeat(100),
            service_id: ServiceId(uuid::Uuid::from_u128(2)),
            service_name: "ñ".repeat(100),
            wish: Wish {
                from: date(2026, 12, 1),
                to: date(2027, 2, 1),
                times: Some(LocalRange { from: jiff::civil::time(9, 30, 0, 0), to: jiff::civil::time(23, 59, 0, 0) }),
                weekdays: vec![Weekday::Monday, Weekday::Sunday],
            },
            time_zone: "America/Bogota".to_owned(),
            ends_at: at,
            joined_at: at,
            updated_at: at,
            place: 4,
            offer: Some(offer),
            passed: vec![at; PASSED_LIMIT],
            missed: 2,
            appointment: Some(offer.hold),
        };
        let session = SessionId(uuid::Uuid::from_u128(8));
        let request =
            Request { user, session, operation: "waitlist.leave", key: uuid::Uuid::max(), fingerprint: [7; 32], at };
        let keys = (0..64).fold(Vec::new(), |keys, _| request.remember(&keys, None));
        let document = WaitlistDoc::from_domain(&entry, keys.clone());
        let bytes = mongodb::bson::serialize_to_vec(&document).expect("a document");
        assert!(bytes.len() < 64 * 1024, "{} bytes", bytes.len());
        let read: WaitlistDoc = mongodb::bson::deserialize_from_slice(&bytes).expect("the same");
        assert_eq!(read, document);
        assert_eq!(read.to_domain().expect("an entry"), entry);
        let closed = WaitlistEntry { status: WaitStatus::Left, ..entry };
        assert_eq!(WaitlistDoc::from_domain(&closed, keys).open, None, "the place is free");
    }
}
