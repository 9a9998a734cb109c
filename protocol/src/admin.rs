//! Running the clinic: users and their roles, approval of doctors, who acts for whom, and who did what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::Role;
use crate::doctor::Approval;
use crate::value::{Cursor, Id, Instant, TimeZone};

/// A user, as admins see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub id: Id,
    /// Revision of the account, 1, 2, 3 …
    pub rev: u32,
    pub role: Role,
    pub name: String,
    pub email: String,
    /// Whether the user has proven that the address is theirs.
    pub email_verified: bool,
    /// A disabled user cannot log in, and has no session.
    pub disabled: bool,
    pub created_at: Instant,
}

/// `admin.listUsers`: accounts, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListUsersRequest {
    /// Only the account with this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `admin.updateUser`: changes a role or disables an account; either ends the user's sessions. Absent fields stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateUserRequest {
    pub id: Id,
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// Not one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Not oneself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// `admin.listDoctors`: doctors of a state, in the order in which they registered; those who wait for approval unless another is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListDoctorsRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `admin.approveDoctor`: whether a doctor appears and can be booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveDoctorRequest {
    pub id: Id,
    /// The revision of the doctor that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    pub approval: Approval,
}

/// `admin.setStaff`: who acts for a doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetStaffRequest {
    /// The doctor.
    pub id: Id,
    /// The revision of the doctor that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// All who act for the doctor from now on, at most 50: users of the role `staff`.
    pub staff: Vec<Id>,
}

/// `staff.listDoctors`: the doctors that the caller acts for, at most 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaffDoctorsRequest {
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `patient.find`: the account with exactly this address, once verified, to book for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindPatientRequest {
    pub email: String,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Somebody to book for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patient {
    pub id: Id,
    pub name: String,
}

/// What became of what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was asked for by somebody who may; the history of the object tells what came of it.
    Asked,
    /// It was refused.
    Refused,
}

/// Who did what to what, from which session. Holds no secrets, no addresses and no content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub id: Id,
    pub at: Instant,
    /// An operation's name, such as `auth.login`, or a command's, such as `cita rotate-keys`.
    pub action: String,
    pub outcome: AuditOutcome,
    /// The user who did it, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Id>,
    /// The session that it was done from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Id>,
    /// Network that it was done from: 24 bits of an IPv4 address, 48 of an IPv6 one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The user, doctor or session that it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Id>,
    /// What was changed, such as `role: staff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

/// `admin.listAudit`: log-ins and administration, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListAuditRequest {
    /// Only what this user did, or what was done to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Id>,
    /// Only before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Instant>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `me.listAudit`: what the caller did and what was done to them, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MyAuditRequest {
    /// Only before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Instant>,
    /// 1 to 100, default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `appointment.history` and `doctor.history`: how it came to be what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryRequest {
    pub id: Id,
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// A change in the history of an object. At most 100 are kept: the first, and the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The revision that it led to.
    pub rev: u32,
    pub at: Instant,
    /// What was done: `booked`, `requested`, `approved`, `declined`, `rescheduled`, `cancelled`, `checkedIn`, `completed`, `noShow`,
    /// `undone`, `reviewed`, `noted` (told to the doctor alone); for a doctor an operation's name.
    pub action: String,
    /// The user who did it.
    pub by: Id,
    /// The session that it was done from; in the caller's own entries, and for admins in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Id>,
    /// Start of the appointment at that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Instant>,
    /// Beside `start`: the zone that the appointment is booked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// The rule that the practice set aside for it; told to the practice alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#override: Option<OverriddenRule>,
}

/// A rule of a service that was set aside for one appointment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverriddenRule {
    /// As in `slot_unavailable`.
    pub rule: String,
    /// Why; of the latest ten of an appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
