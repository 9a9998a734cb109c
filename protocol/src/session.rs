//! Sessions: the devices on which a user is logged in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cursor, Id, Instant};

/// A log-in on one device, as its user sees it from one of their devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub id: Id,
    /// Revision of the session, 1, 2, 3 …
    pub rev: u32,
    /// What the person called the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Network that it was used from last: `203.0.113.0/24`, `2001:db8:7::/48`. The address itself is not kept.
    pub network: String,
    pub created_at: Instant,
    /// The last log-in or refresh.
    pub last_seen_at: Instant,
    /// When it ends unless it is refreshed.
    pub expires_at: Instant,
    /// Whether it is the session that asks. Absent in the live topic, which says the same to all sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<bool>,
}

/// `session.list`: the live sessions of the caller, at most 100, the one that was used last first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionListRequest {
    /// Answer only once this cursor has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// `session.revoke`: ends sessions of the caller; their connections are closed on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionRevokeRequest {
    /// Id of a session, or `others`: all but the one that asks.
    pub id: String,
}
