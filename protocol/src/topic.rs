//! Live topics: what a client subscribes to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cursor, LocalDate};

/// `subscribe`: a snapshot of the topic, then every change after it.
///
/// Topics: `doctors/{id}/slots/{serviceId}/{date}`, or `doctors/{id}/slots/{serviceId}` with `from` and `to` (at most
/// 62 days, each date its own topic with its own frames); `doctors/{id}/appointments` with `from` and `to` (default
/// yesterday to 31 days ahead, at most 92 days); `doctors/{id}`; `doctors/{id}/reviews`;
/// `me/appointments`; `me/sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscribeRequest {
    pub topic: String,
    /// First local date of the doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<LocalDate>,
    /// Last local date of the doctor, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<LocalDate>,
    /// The last cursor that was seen: continue from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
}

/// Answer to `subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeReply {
    pub topic: String,
    /// `true`: the missed changes follow. `false`: a snapshot follows, after `reset` where `after` was given.
    pub resumed: bool,
}

/// `unsubscribe`: no more frames of this topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnsubscribeRequest {
    pub topic: String,
}

/// Answer to `unsubscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnsubscribeReply {
    pub topic: String,
}
