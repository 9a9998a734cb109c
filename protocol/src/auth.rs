//! Accounts, log-in and the tokens that prove them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cursor, Id, Instant, TimeZone};

/// What a user is to the clinic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Books appointments for themselves.
    Patient,
    /// Owns a calendar.
    Doctor,
    /// Receptionist: acts for the doctors whom they were given.
    Staff,
    /// Runs the clinic.
    Admin,
}

/// The roles that a person may register with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RegisterRole {
    /// Books appointments; the default.
    #[default]
    Patient,
    /// Offers appointments, once approved.
    Doctor,
}

/// How a session's tokens travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionIn {
    /// In the reply; the default.
    Token,
    /// In cookies that scripts cannot read. REST only.
    Cookie,
}

/// A user, as that user sees themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: Id,
    /// Revision of the account, 1, 2, 3 …
    pub rev: u32,
    pub role: Role,
    pub name: String,
    pub email: String,
    /// Whether the user has followed a link that was sent to `email`.
    #[serde(default)]
    pub email_verified: bool,
    /// An address that takes the place of `email` once the link that was sent to it is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    /// BCP 47 tag of the language that the user reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// What the user is told by e-mail about appointments.
    #[serde(default)]
    pub notifications: Notifications,
    /// Since when there is a calendar feed, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar_feed_at: Option<Instant>,
    pub created_at: Instant,
}

/// What a user wants to be told by e-mail about appointments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notifications {
    /// An appointment was asked for, booked, confirmed, declined, moved or cancelled.
    pub changes: bool,
    /// An appointment as a patient is near.
    pub reminders: bool,
    /// The user waits for a time, and one is offered.
    pub offers: bool,
    /// How long before the start a reminder is sent.
    pub reminder_minutes: u32,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { changes: true, reminders: true, offers: true, reminder_minutes: 1_440 }
    }
}

/// What is to become of a user's notifications; absent fields stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationsPatch {
    /// An appointment was asked for, booked, confirmed, declined, moved or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<bool>,
    /// An appointment as a patient is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminders: Option<bool>,
    /// The user waits for a time, and one is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<bool>,
    /// 15 to 10,080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_minutes: Option<u32>,
}

/// `auth.register`: creates an account and logs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterRequest {
    /// At most 254 characters.
    pub email: String,
    /// 8 to 128 characters, any, after NFKC. Refused with `breached`: what everybody guesses; with `guessable`: what
    /// consists of the name, the address and the word cita.
    pub password: String,
    /// 1 to 100 characters.
    pub name: String,
    #[serde(default)]
    pub role: RegisterRole,
    /// BCP 47 tag, such as `es-CO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Zone of the user; a doctor's calendar starts in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// Name of the device for the list of sessions, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Where the tokens go: into the reply, or into cookies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionIn>,
}

/// `auth.login`: opens a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginRequest {
    pub email: String,
    pub password: String,
    /// Name of the device for the list of sessions, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Where the tokens go: into the reply, or into cookies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionIn>,
}

/// `auth.refresh`: exchanges a refresh token for the next pair; the same token again, within a minute, for the same next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshRequest {
    /// Absent over REST: the refresh cookie, which is answered with cookies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Where the tokens go: into the reply, or into cookies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionIn>,
}

/// Answer to `auth.register`, `auth.login` and `auth.refresh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthReply {
    /// JWT for the `Authorization: Bearer` header or the `bearer.` subprotocol.
    pub access_token: String,
    /// Opaque; each is exchanged for the next. Left out where it went into a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token ends.
    pub expires_at: Instant,
    pub user: User,
}

/// `auth.renew`: a fresh access token for the open connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewRequest {
    pub access_token: String,
}

/// Answer to `auth.renew`: who the connection is from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewReply {
    pub access: Access,
    pub user: ConnectedUser,
    /// When the new token ends.
    pub expires_at: Instant,
}

/// What a connection may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// No credentials: public and optional operations.
    Anonymous,
    /// A known user.
    User,
}

/// The user of a connection, as its token tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectedUser {
    pub id: Id,
    pub role: Role,
    pub name: String,
}

/// `me.get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeGetRequest {
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `me.update`: absent fields stay. `email` and `newPassword` need `currentPassword`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeUpdateRequest {
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
    /// 1 to 100 characters. A doctor's public name is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// BCP 47 tag, such as `es-CO`; an empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// IANA zone; an empty one takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<NotificationsPatch>,
    /// At most 254 characters. It is pending until the link that is sent to it is followed; the present one takes back what is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// 8 to 128 characters, any. All other sessions end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_password: Option<String>,
}

/// `me.delete`: closes the account and erases the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeDeleteRequest {
    /// The revision that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u32>,
}

/// `auth.requestReset`: asks for a link to choose a new password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestResetRequest {
    pub email: String,
}

/// `auth.resetPassword`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetPasswordRequest {
    /// From the link; works once, within 30 minutes.
    pub token: String,
    /// 8 to 128 characters, any.
    pub password: String,
}

/// `auth.verifyEmail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyEmailRequest {
    /// From the link; works once, within 24 hours.
    pub token: String,
}
