//! Times that can be booked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorCode;
use crate::value::{Cursor, Id, Instant, LocalDate, TimeZone};

/// Whether a slot can be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SlotStatus {
    /// Nobody has it.
    Free,
    /// Somebody is filling in the form; in `slot.search`, the caller.
    Held,
}

/// A time that can be booked, as `slot.search` and `alternatives` give it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub start: Instant,
    pub end: Instant,
    pub status: SlotStatus,
    /// Where several patients share a session: for how many there is room. Alternatives do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats_left: Option<u32>,
    /// In searches of somebody who is known: an appointment of their own lies then, so that booking it for themselves is
    /// `patient_busy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
}

/// `slot.search`: what can be booked now between two local dates of the doctor, both included, at most 62 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlotSearchRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    pub from: LocalDate,
    pub to: LocalDate,
    /// Zone of the viewer; default: the doctor's. It is given back for display and changes no instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Answer to `slot.search`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotSearchReply {
    pub time_zone: TimeZone,
    pub slots: Vec<Slot>,
}

/// `slot.searchDoctors`: what can be booked now with any of several doctors, the earliest first. Of the doctors that `doctorIds` names, or
/// else of the first 1,000 by name that fit `text`, `specialisation` and `language`, as `doctor.search` finds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoctorSlotSearchRequest {
    /// 1 to 50. Those who cannot be booked have no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor_ids: Option<Vec<Id>>,
    /// As in `doctor.search`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// As in `doctor.search`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specialisation: Option<String>,
    /// As in `doctor.search`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Only these services, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ids: Option<Vec<Id>>,
    /// Only services of whose name each of these words begins a word, at most 5 words of 40 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub from: LocalDate,
    /// Included; at most 62 days.
    pub to: LocalDate,
    /// Whose dates `from` and `to` are; default: those of each doctor's own zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// 1 to 100, default 20. A page may have fewer, or none, and be followed by another all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// From the page before, of the same search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// A time of one of several doctors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoctorSlot {
    pub doctor_id: Id,
    pub service_id: Id,
    /// The doctor's zone.
    pub time_zone: TimeZone,
    #[serde(flatten)]
    pub slot: Slot,
}

/// `slot.explain`: whether a time can be booked by the caller now, and if not, which rule is against it. Any instant will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlotExplainRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    pub start: Instant,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Answer to `slot.explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotExplainReply {
    pub start: Instant,
    /// The doctor's zone.
    pub time_zone: TimeZone,
    /// What `appointment.book` would come to now.
    pub bookable: bool,
    /// The code that it would be refused with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// `slot_unavailable`: which rule, see `rule` of errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `slot_taken`, for the doctor, their staff and admins: what takes the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_by: Vec<Id>,
}

/// An item of a slot topic. A function of committed data alone: a client shows it from `bookableFrom` to `bookableUntil`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveSlot {
    /// Identifies the slot within its topic.
    pub start: Instant,
    pub end: Instant,
    pub status: SlotStatus,
    /// When a hold ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Instant>,
    /// Where several patients share a session: for how many there is room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats_left: Option<u32>,
    /// The horizon of the service: not bookable before.
    pub bookable_from: Instant,
    /// The minimum notice of the service: not bookable after.
    pub bookable_until: Instant,
}

/// `slot.hold`: the slot is yours until `expiresAt`, unless you release or book it before. At most 3 at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    /// A start that `slot.search` offers.
    pub start: Instant,
    /// For whom, as in `appointment.book`; default: the caller. `appointment.book` says it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
}

/// `hold.release`: by whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldReleaseRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
}
