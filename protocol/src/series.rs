//! Recurring appointments: tried first, booked whole or in part, moved and cancelled together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::appointment::{Appointment, WalkInPatient};
use crate::slot::Slot;
use crate::value::{Cursor, Id, Instant, LocalDateTime, TimeZone};

/// Whether an occurrence can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OccurrenceStatus {
    /// Nothing is against it.
    Free,
    /// Somebody has the time.
    Taken,
    /// The doctor does not offer it; `rule` says why.
    Unavailable,
    /// The patient has another appointment then.
    Busy,
}

/// The verdict on one occurrence of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Occurrence {
    /// Absent when the doctor's clock skips this local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Instant>,
    /// In the doctor's zone.
    pub local_start: LocalDateTime,
    pub status: OccurrenceStatus,
    /// `unavailable`: as in `slot_unavailable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Free times near one that is taken or not offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Slot>,
}

/// `series.preview`: what `series.book` would come to, occurrence by occurrence. Changes nothing and keeps nothing free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesPreviewRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    /// The first occurrence.
    pub start: Instant,
    /// RFC 5545 without `RRULE:`, at most 500 characters: `FREQ` of `DAILY`, `WEEKLY`, `MONTHLY` or `YEARLY`, with `COUNT` or
    /// `UNTIL`, no time of day; at most 100 occurrences within two years.
    pub rrule: String,
    /// For whom; default: the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
    /// For somebody without an account, who is never busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk_in: Option<bool>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Answer to `series.preview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeriesPreviewReply {
    /// The doctor's zone: each occurrence has the same time of day in it.
    pub time_zone: TimeZone,
    /// By start, 1 to 100.
    pub occurrences: Vec<Occurrence>,
}

/// `series.book`: all occurrences, or those that `only` names; if one of them cannot be booked, none is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesBookRequest {
    pub doctor_id: Id,
    pub service_id: Id,
    /// The first occurrence.
    pub start: Instant,
    /// As in `series.preview`.
    pub rrule: String,
    /// Why the patient comes, at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For whom, as in `appointment.book`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Id>,
    /// For a patient without an account, as in `appointment.book`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk_in: Option<WalkInPatient>,
    /// Starts of the occurrences that are wanted, 1 to 100, each once; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Instant>>,
}

/// Appointments that were booked together. Each is an appointment like any other, with the series' id in `seriesId`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    pub id: Id,
    /// The rule as it was booked.
    pub rrule: String,
    /// By start. `series.book` and `series.get`: all; `series.reschedule` and `series.cancel`: those that it changed.
    pub appointments: Vec<Appointment>,
}

/// `series.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesGetRequest {
    pub id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `series.reschedule`: moves appointments that are still to come by the same days and minutes of local time, all or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesRescheduleRequest {
    pub id: Id,
    /// Only this appointment and those that follow it; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Id>,
    /// Where the first of them is moved to.
    pub start: Instant,
}

/// `series.cancel`: cancels appointments that are still to come, all or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesCancelRequest {
    pub id: Id,
    /// Only this appointment and those that follow it; default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Id>,
    /// At most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
