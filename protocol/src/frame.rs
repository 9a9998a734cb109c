//! Frames of the WebSocket and their close codes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::appointment::Appointment;
use crate::auth::{Access, ConnectedUser};
use crate::doctor::LiveDoctor;
use crate::error::Problem;
use crate::review::Review;
use crate::session::Session;
use crate::slot::LiveSlot;
use crate::value::{Cursor, Id, Instant, TimeZone};

/// A frame from the client. `data` is that of the operation `type`, see [`crate::operation::ClientMessage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientFrame<D> {
    /// Chosen by the client and given back in the reply, 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    /// Idempotency key of a mutation, 1 to 128 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub data: D,
}

/// A frame from the server, with what stands beside `type` and `data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFrame<D> {
    #[serde(rename = "type")]
    pub kind: String,
    /// `reply` and `error`: the `id` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `snapshot` and `change`: what the topic has been told so far; `ping`: what all topics have been told so far;
    /// `reply` to a mutation: where it was committed, for `after` of a read and not to resume from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    pub data: D,
}

/// First frame on every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    pub connection_id: Id,
    pub access: Access,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<ConnectedUser>,
    /// When the access token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Distance of the server's `ping`s; a connection that says nothing for two of them is closed.
    pub heartbeat_ms: u64,
    pub limits: Limits,
    pub server_time: Instant,
}

/// What one connection may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of a message from the client.
    pub max_message_bytes: u64,
    /// Messages a second, sustained; twice as many in a burst.
    pub messages_per_second: u32,
    /// Topics at the same time.
    pub max_subscriptions: u32,
    /// Requests without a reply at the same time; more wait.
    pub max_in_flight: u32,
}

/// An item of an appointments topic, of a slots topic, of a doctor's topic, of one's own sessions, or of a doctor's reviews.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Item {
    Appointment(Box<Appointment>),
    Slot(LiveSlot),
    Doctor(Box<LiveDoctor>),
    Session(Session),
    Review(Review),
}

/// The state of a topic at the frame's cursor, in parts of at most 256 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Snapshot")]
pub struct Snapshot<I = Item> {
    pub topic: String,
    /// Of a slots topic: the doctor's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    pub items: Vec<I>,
    /// `true` on all parts but the last, whose cursor counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// One commit, as this topic sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Change")]
pub struct Change<I = Item> {
    pub topic: String,
    /// Of a slots topic: the doctor's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// New or changed items, whole.
    pub upserted: Vec<I>,
    /// Ids of appointments, doctors, sessions and reviews, starts of slots. May name an item that the receiver does not have.
    pub removed: Vec<String>,
}

/// What was missed cannot be told: forget the topic's items, a snapshot follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reset {
    pub topic: String,
}

/// The access token ends soon: send `auth.renew`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthExpiring {
    pub expires_at: Instant,
}

/// The server closes this connection soon, as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoAway {
    pub reconnect_after_ms: u64,
}

/// Everything that a server may send, for generators of client types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "camelCase")]
pub enum ServerMessage {
    #[schemars(title = "HelloFrame")]
    Hello(Hello),
    /// `data` is the output of the operation.
    #[schemars(title = "ReplyFrame")]
    Reply(Anything),
    #[schemars(title = "ErrorFrame")]
    Error(Problem),
    #[schemars(title = "SnapshotFrame")]
    Snapshot(Snapshot),
    #[schemars(title = "ChangeFrame")]
    Change(Change),
    #[schemars(title = "ResetFrame")]
    Reset(Reset),
    #[schemars(title = "PingFrame")]
    Ping(crate::value::Empty),
    #[schemars(title = "AuthExpiringFrame")]
    AuthExpiring(AuthExpiring),
    #[schemars(title = "GoAwayFrame")]
    GoAway(GoAway),
}

/// Any JSON object. Reading one as this type drops its fields: an output is read as that of its operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub struct Anything {}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal $reason:literal;)*) => {
        /// Why the server closed a WebSocket, and what to do: 4000–4099 reconnect and resume, 4100–4199 get a new token,
        /// then reconnect, 4200–4299 do not come back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseCode {
            $($(#[$doc])* $variant,)*
        }

        impl CloseCode {
            /// Every close code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number in the close frame.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The sentence in the close frame.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }
        }
    };
}

close_codes! {
    /// The server stops as planned.
    Drain 4000 "server is stopping: reconnect and resume";
    /// The client reads slower than its topics change.
    SlowConsumer 4001 "too slow: reconnect and resume";
    /// Nothing was heard of the client for two heartbeats.
    Silent 4002 "nothing heard: reconnect and resume";
    /// The server's own stream of changes cannot be continued.
    Lost 4003 "changes can no longer be continued: reconnect and resume";
    /// The token has ended or is not valid.
    TokenInvalid 4100 "token expired or invalid: get a new one, then reconnect";
    /// The session was ended.
    SessionRevoked 4101 "session ended: log in again";
    /// Too many messages that are malformed or over the rate.
    Violation 4200 "too many bad messages: do not come back";
    /// RFC 6455: a binary message.
    Binary 1003 "send text messages";
    /// RFC 6455: frames that are not allowed.
    Protocol 1002 "protocol error";
    /// RFC 6455: text that is not UTF-8.
    NotUtf8 1007 "not UTF-8";
    /// RFC 6455: a message over the limit.
    TooLarge 1009 "message too large";
}
