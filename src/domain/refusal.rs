//! Why a request is refused: the domain's side of the error registry.

use std::borrow::Cow;

use jiff::Timestamp;

use super::series::Judged;
use super::slots::Rule;

/// Most mistakes of one request that are told: more than anyone reads.
pub const MOST_VIOLATIONS: usize = 100;

/// A definite refusal: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unauthenticated,
    TokenExpired,
    SessionRevoked,
    Forbidden,
    /// There is none, or none that the caller may know of.
    NotFound,
    /// Somebody has the time; free times near it.
    SlotTaken {
        alternatives: Vec<(Timestamp, Timestamp)>,
    },
    /// The doctor does not offer the time.
    SlotUnavailable {
        rule: Rule,
    },
    PatientBusy,
    /// The hold has run out, was released, or was booked before.
    HoldExpired,
    /// One of the three above, of a series: with every occurrence that is against it.
    OfSeries {
        why: Box<Refusal>,
        occurrences: Vec<Judged>,
    },
    /// One of these, with the zone of the doctor whose times it tells.
    InZone {
        zone: String,
        why: Box<Refusal>,
    },
    IllegalTransition,
    /// It would be legal, but not for the patient and not any more.
    TooLate,
    AlreadyReviewed,
    /// The visit did not take place, or its review can no longer be changed.
    NotReviewable,
    EmailTaken,
    StaleRev,
    Invalid(Vec<Violation>),
    IdempotencyKeyReused,
    RateLimited {
        retry_after_ms: u64,
    },
    TooManySubscriptions,
}

impl Refusal {
    /// The same, with the zone of the doctor whose times it tells.
    #[must_use]
    pub fn in_zone(self, zone: &str) -> Self {
        Self::InZone { zone: zone.to_owned(), why: Box::new(self) }
    }
}

/// A field with a value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 pointer.
    pub pointer: Cow<'static, str>,
    pub code: &'static str,
    pub detail: Cow<'static, str>,
}

impl Violation {
    pub fn new(
        pointer: impl Into<Cow<'static, str>>,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}
