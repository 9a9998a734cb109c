//! The one registry of errors: code, HTTP status, retry verdict and title, for every door.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::series::Occurrence;
use crate::slot::Slot;
use crate::value::TimeZone;

macro_rules! registry {
    ($($(#[$doc:meta])* $variant:ident $code:literal $status:literal $retryable:literal $title:literal;)*) => {
        /// Stable identifier of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl ErrorCode {
            /// Every code of the registry.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it travels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// HTTP status of the error.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later without being changed.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

registry! {
    /// Not a JSON message of the expected form.
    MalformedMessage "malformed_message" 400 false "The message is not valid JSON of the expected form.";
    /// No such operation.
    UnknownType "unknown_type" 400 false "There is no operation of this type.";
    /// No token, or a bad one.
    Unauthenticated "unauthenticated" 401 false "The credentials are missing or not valid: log in.";
    /// The access token has ended.
    TokenExpired "token_expired" 401 false "The access token has expired: get a new one with auth.refresh.";
    /// The session was ended.
    SessionRevoked "session_revoked" 401 false "This session was ended: log in again.";
    /// Known, and not allowed.
    Forbidden "forbidden" 403 false "You may not do this.";
    /// No such thing, or none that the caller may know of.
    NotFound "not_found" 404 false "There is no such thing, or it is not yours to see.";
    /// REST only: the path exists, with other methods.
    MethodNotAllowed "method_not_allowed" 405 false "This path does not take this method.";
    /// The body took too long.
    RequestTimeout "request_timeout" 408 true "The request did not arrive in time.";
    /// Somebody else has the time.
    SlotTaken "slot_taken" 409 false "This time has just been taken.";
    /// The doctor does not offer this time.
    SlotUnavailable "slot_unavailable" 409 false "This time is not offered.";
    /// The patient has another appointment then.
    PatientBusy "patient_busy" 409 false "The patient has another appointment at this time.";
    /// The hold has ended.
    HoldExpired "hold_expired" 409 false "The hold on this time has ended.";
    /// Not possible in the present state.
    IllegalTransition "illegal_transition" 409 false "The appointment is not in a state that allows this.";
    /// One review per visit.
    AlreadyReviewed "already_reviewed" 409 false "This visit has been reviewed already.";
    /// Not a visit that can be reviewed, or no longer.
    NotReviewable "not_reviewable" 409 false "Only a visit that took place can be reviewed, and a review be changed for 30 days.";
    /// An account with this address exists.
    EmailTaken "email_taken" 409 false "An account with this e-mail address exists already.";
    /// Changed since it was read.
    StaleRev "stale_rev" 412 false "It was changed in the meantime: read it again.";
    /// Larger than the limit.
    MessageTooLarge "message_too_large" 413 false "The message is larger than allowed.";
    /// REST only: the body is not JSON.
    UnsupportedMediaType "unsupported_media_type" 415 false "Send the body as application/json.";
    /// A field is missing, unknown or wrong.
    ValidationFailed "validation_failed" 422 false "A field is missing, unknown or has a value that is not allowed.";
    /// The key was used for another request.
    IdempotencyKeyReused "idempotency_key_reused" 422 false "This idempotency key was used for a different request.";
    /// Too many requests.
    RateLimited "rate_limited" 429 true "Too many requests: wait, then try again.";
    /// Too many topics on one connection.
    TooManySubscriptions "too_many_subscriptions" 429 true "Too many subscriptions on this connection: end one first.";
    /// A defect of the server.
    Internal "internal" 500 false "Something went wrong on our side.";
    /// A part that this needs is away.
    Unavailable "unavailable" 503 true "Not available at the moment: try again.";
}

/// What is known of a mutation that could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was changed.
    NotApplied,
    /// It may have been applied: repeat it with the same idempotency key to learn.
    Unknown,
}

/// A field of the request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// RFC 6901 pointer into the request's data.
    pub pointer: String,
    /// `required`, `unknown`, `invalid`, `too_long`, `out_of_range` …
    pub code: String,
    pub detail: String,
}

/// An error: the `data` of a WebSocket `error` frame and the body of a REST error (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub code: ErrorCode,
    /// HTTP status of the code.
    pub status: u16,
    pub title: String,
    /// More about this occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub retryable: bool,
    /// `validation_failed`: the fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// `slot_taken`: free times near the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternatives: Option<Vec<Slot>>,
    /// The doctor's zone, beside `alternatives` and `occurrences`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// `slot_unavailable`: `archived`, `not_approved`, `past`, `notice`, `horizon`, `holiday`, `time_off`, `hours`, `step`,
    /// `daily_limit`, `weekly_limit`, `patients`, `resource`, `holds`. `illegal_transition`: `cutoff`, when a patient is too late
    /// to cancel or move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Of a series: the occurrences that cannot be booked, as `series.preview` has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub occurrences: Vec<Occurrence>,
    /// `rate_limited`: when to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// `unavailable` of a mutation: what is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// `error` frames without `id`: the subscription that has ended; a refused event stream: the topic for which it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

impl Problem {
    /// A problem with nothing but what its code says.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            status: code.status(),
            title: code.title().to_owned(),
            detail: None,
            retryable: code.retryable(),
            errors: Vec::new(),
            alternatives: None,
            time_zone: None,
            rule: None,
            occurrences: Vec::new(),
            retry_after_ms: None,
            outcome: None,
            topic: None,
        }
    }

    /// The same with a sentence about this occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
