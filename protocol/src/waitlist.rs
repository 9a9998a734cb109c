//! Waiting for a time of a doctor: who waits for what, and what they are offered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doctor::{DayRange, Weekday};
use crate::value::{Cursor, Id, Instant, LocalDate, LocalTime, TimeZone};

/// State of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WaitlistStatus {
    Waiting,
    /// A time is kept for the patient: `offer` says which, and until when.
    Offered,
    /// The patient has the appointment that `appointmentId` names.
    Fulfilled,
    /// Withdrawn.
    Left,
    /// The window is over, or three offers in a row were not answered.
    Expired,
}

/// Local times of a day, between which an appointment lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitlistTimes {
    pub from: LocalTime,
    pub to: LocalTime,
}

/// A time that is kept for the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitlistOffer {
    /// The hold that keeps it: it becomes the appointment, with the same id.
    pub hold_id: Id,
    pub start: Instant,
    pub end: Instant,
    /// When it goes to the next.
    pub expires_at: Instant,
}

/// Somebody who waits for a time of a doctor, as that patient, the doctor, their staff and admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitlistEntry {
    pub id: Id,
    /// Grows by one with each change.
    pub rev: u32,
    pub status: WaitlistStatus,
    pub doctor_id: Id,
    /// Names as they were when the patient joined.
    pub doctor_name: String,
    pub patient_id: Id,
    pub patient_name: String,
    pub service_id: Id,
    pub service_name: String,
    /// First local date of the doctor that would suit.
    pub from: LocalDate,
    /// The last one, included.
    pub to: LocalDate,
    /// Times of day between which the appointment lies; any where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<WaitlistTimes>,
    /// Days of the week that would suit; any where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// The doctor's zone.
    pub time_zone: TimeZone,
    pub joined_at: Instant,
    pub updated_at: Instant,
    /// `offered`: what is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<WaitlistOffer>,
    /// `fulfilled`: what it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment_id: Option<Id>,
}

/// `waitlist.join`: be offered what is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitlistJoinRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    /// First local date of the doctor that would suit.
    pub from: LocalDate,
    /// The last one, included: at most 92 dates, and at most 366 days ahead.
    pub to: LocalDate,
    /// The appointment begins and ends within these local times of the doctor; default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<DayRange>,
    /// Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// For whom; default: the caller. The doctor, their staff and admins may name a patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
}

/// `waitlist.list`: patients see their own entries, doctors those who wait for them, staff those of doctors whom they act for, admins
/// what they ask for; the longest waiting first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitlistListRequest {
    /// Only those who wait for this doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor_id: Option<Id>,
    /// Only this patient's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<WaitlistStatus>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `waitlist.leave` and `waitlist.pass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitlistAnswerRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
}

/// `waitlist.accept`: what is offered becomes the appointment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitlistAcceptRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// Why the patient comes, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
