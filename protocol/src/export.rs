//! Everything that the system holds of a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::{AuditEntry, HistoryEntry};
use crate::appointment::Appointment;
use crate::auth::User;
use crate::doctor::{Availability, Doctor, Service};
use crate::review::Review;
use crate::time_off::TimeOff;
use crate::value::{Id, Instant};

/// `me.export`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeExportRequest {}

/// Answer to `me.export`. Secrets, and what is kept of them, are not part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    pub exported_at: Instant,
    pub user: User,
    /// Who the person is to the issuer where they log in, if that is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalIdentity>,
    /// Log-ins, the oldest first.
    pub sessions: ExportList<ExportedSession>,
    /// Of a doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<ExportedDoctor>,
    /// As a patient and as a doctor, by start.
    pub appointments: ExportList<ExportedAppointment>,
    /// Reviews that the person wrote or, as a doctor, has answered, the oldest first.
    pub reviews: ExportList<Review>,
    /// What the person has reported of reviews.
    pub review_reports: ExportList<ExportedReport>,
    /// Log-ins and administration that concern the person, latest first.
    pub audit: ExportList<AuditEntry>,
}

/// A person as another issuer of tokens names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalIdentity {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `sub` of its tokens.
    pub subject: String,
}

/// A list of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}List")]
pub struct ExportList<T> {
    pub items: Vec<T>,
    /// There are more than 10,000; the first of them are here.
    pub truncated: bool,
}

/// What somebody has against a review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedReport {
    pub review_id: Id,
    pub reason: String,
    pub at: Instant,
}

/// A log-in on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedSession {
    pub id: Id,
    /// What the person called the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    pub created_at: Instant,
    /// Network that it was used from last: 24 bits of an IPv4 address, 48 of an IPv6 one.
    pub network: String,
    /// The last log-in or refresh.
    pub last_seen_at: Instant,
    pub expires_at: Instant,
    /// When it was ended before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Instant>,
}

/// A doctor's calendar. The profile tells who acts for the doctor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedDoctor {
    pub profile: Doctor,
    pub services: Vec<Service>,
    pub availability: Availability,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub time_off: Vec<TimeOff>,
    /// Changes of all that, the oldest first.
    pub history: Vec<HistoryEntry>,
}

/// An appointment and what happened to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedAppointment {
    pub appointment: Appointment,
    /// The oldest first.
    pub history: Vec<HistoryEntry>,
}
