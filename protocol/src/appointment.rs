//! Appointments and what can be done with them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cursor, Id, Instant, TimeZone};

/// State of an appointment, in FHIR's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AppointmentStatus {
    Held,
    Expired,
    Pending,
    Booked,
    Arrived,
    Fulfilled,
    Noshow,
    Cancelled,
}

/// What is known of a patient without an account, beside the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WalkIn {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// A patient without an account, who is booked for at the desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalkInPatient {
    /// 1 to 100 characters.
    pub name: String,
    /// 3 to 30 digits, spaces and `+ - ( ) .`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// An appointment, as its patient, its doctor, their staff and admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Appointment {
    pub id: Id,
    /// Grows by one with each change.
    pub rev: u32,
    pub status: AppointmentStatus,
    pub doctor_id: Id,
    /// Name of the doctor when it was booked.
    pub doctor_name: String,
    pub patient_id: Id,
    /// Name of the patient when it was booked.
    pub patient_name: String,
    /// The patient has no account; what is known of them beside the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk_in: Option<WalkIn>,
    pub service_id: Id,
    /// Name of the service when it was booked.
    pub service_name: String,
    /// The rooms and devices that it takes, or took, from start to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_ids: Vec<Id>,
    pub start: Instant,
    pub end: Instant,
    /// The doctor's zone.
    pub time_zone: TimeZone,
    /// The series that it was booked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_id: Option<Id>,
    /// Why the patient comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// What the doctor noted: in replies to that doctor alone, never in lists and topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    pub created_at: Instant,
    pub updated_at: Instant,
    /// `held`: when it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
}

/// Why the practice sets a service's rules aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleOverride {
    /// 1 to 500 characters.
    pub reason: String,
}

/// `appointment.book`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    /// A start that `slot.search` offers.
    pub start: Instant,
    /// Your hold on this time. It is used without this too; with it, a hold that has ended is `hold_expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<Id>,
    /// Why the patient comes, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For whom; default: the caller. Doctors may book for others in their own calendar, staff in those that they act
    /// for, admins in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
    /// For a patient without an account, instead of `patientId`: by the doctor, their staff or an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk_in: Option<WalkInPatient>,
    /// By the doctor, their staff or an admin: at a start that the service's rules do not offer. What is taken stays taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#override: Option<RuleOverride>,
}

/// `appointment.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppointmentGetRequest {
    pub id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `appointment.list`: patients see their own, doctors their calendar, staff the calendars that they act for, admins what
/// they ask for; by start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppointmentListRequest {
    /// Only this doctor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor_id: Option<Id>,
    /// Only this patient's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
    /// Only those that end after this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Instant>,
    /// Only those that start before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AppointmentStatus>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `appointment.reschedule`: same appointment, new time. The old time is kept until the new one is won.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RescheduleRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    pub start: Instant,
    /// By the doctor, their staff or an admin: to a start that the service's rules do not offer. What is taken stays taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#override: Option<RuleOverride>,
}

/// `appointment.cancel`: frees the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// At most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `appointment.approve`, `.checkIn`, `.complete`, `.noShow` and `.undo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
}

/// `appointment.decline`: frees the time of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeclineRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// At most 1,000 characters; the patient reads it as `cancelReason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `appointment.setNotes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetNotesRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// At most 4,000 characters, in the place of what was noted before; empty: nothing.
    pub notes: String,
}
