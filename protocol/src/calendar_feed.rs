//! Calendar feeds: one's own appointments for a calendar program that subscribes to an address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Instant;

/// An address under which a calendar program reads its owner's appointments as iCalendar (RFC 5545): `GET`, without further credentials.
/// Whoever has it can read them, until it is revoked or another one is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarFeed {
    /// `https://…/v1/calendar/{secret}.ics`. It is told here and nowhere else.
    pub url: String,
    pub created_at: Instant,
}
