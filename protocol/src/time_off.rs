//! Time off, and the appointments that a doctor's rules no longer allow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::appointment::Appointment;
use crate::doctor::{Availability, Doctor};
use crate::objects;
use crate::slot::Slot;
use crate::value::{Cursor, Id, Instant, LocalDate, LocalTime, TimeZone};

/// A doctor is away. Nothing is booked between the two instants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeOff {
    pub id: Id,
    pub doctor_id: Id,
    pub rev: u32,
    pub from: Instant,
    pub to: Instant,
    /// The doctor's zone.
    pub time_zone: TimeZone,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a time off begins or ends, in the doctor's local time. Without `time`: with the whole date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOffBound {
    pub date: LocalDate,
    /// A multiple of 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<LocalTime>,
}

/// `timeOff.list`: those that are not over, and those that ended within the last 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOffListRequest {
    pub doctor_id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `timeOff.create`: at most 184 days; a doctor has at most 100 that are not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOffCreateRequest {
    pub doctor_id: Id,
    #[serde(deserialize_with = "objects::one")]
    pub from: TimeOffBound,
    /// Without `time` the whole date is off.
    #[serde(deserialize_with = "objects::one")]
    pub to: TimeOffBound,
    /// For the practice alone, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `timeOff.delete`: what it took is free again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOffDeleteRequest {
    pub doctor_id: Id,
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
}

/// What becomes of appointments that are still to come when their doctor's zone changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeptOfAppointments {
    /// They stay when they are, at another local time.
    KeepInstants,
    /// They move to the same local time of the new zone; at most 500.
    KeepLocalTimes,
}

/// A rebook task: an appointment that the present rules no longer allow, and where it could go (`appointment.reschedule`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outside {
    pub appointment: Appointment,
    /// `time_off`, `holiday` or `hours`.
    pub rule: String,
    /// Free times near it, or the first ones after it; at most 5.
    pub alternatives: Vec<Slot>,
}

/// `appointment.listOutside`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutsideListRequest {
    pub doctor_id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Answer to `appointment.listOutside`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutsideList {
    /// The doctor's zone, of the alternatives.
    pub time_zone: TimeZone,
    /// By start, at most 100.
    pub items: Vec<Outside>,
    /// There are others, which are told once these are done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What a change of the rules has left outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutside {
    /// Rebook tasks by start, at most 100: all there are, whatever change they came with.
    pub outside: Vec<Outside>,
    /// There are others: `appointment.listOutside`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_outside: bool,
}

/// Answer to `timeOff.create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeOffReply {
    #[serde(flatten)]
    pub time_off: TimeOff,
    #[serde(flatten)]
    pub left: LeftOutside,
}

/// Answer to `availability.set`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AvailabilityReply {
    #[serde(flatten)]
    pub availability: Availability,
    #[serde(flatten)]
    pub left: LeftOutside,
}

/// Answer to `doctor.update`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoctorReply {
    #[serde(flatten)]
    pub doctor: Doctor,
    /// As in the answer to `availability.set`, where the request names a zone; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<Outside>,
    /// There are others: `appointment.listOutside`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_outside: bool,
}
