//! The wire of Cita: every type that crosses a WebSocket, a REST call or an SSE stream, and nothing else.
//!
//! This crate depends on `serde` and `schemars` only, so that any client can build on it. It holds shapes, names and
//! the error registry; what a value means and whether it is allowed is decided by the server.

pub mod admin;
pub mod appointment;
pub mod auth;
pub mod calendar_feed;
pub mod doctor;
pub mod error;
pub mod export;
pub mod frame;
pub mod holiday;
mod objects;
pub mod operation;
pub mod resource;
pub mod review;
pub mod series;
pub mod session;
pub mod slot;
pub mod time_off;
pub mod topic;
pub mod value;
pub mod waitlist;

pub use error::{ErrorCode, FieldError, Outcome, Problem};
pub use operation::Operation;
pub use value::{Cursor, Id, Instant, LocalDate, LocalTime, Money, Page, TimeZone};

/// The WebSocket subprotocol, the only one that the server echoes.
pub const SUBPROTOCOL: &str = "cita.v1";
/// Prefix of the second subprotocol with which a browser hands over its access token.
pub const BEARER_SUBPROTOCOL_PREFIX: &str = "bearer.";
/// Path of the WebSocket.
pub const WEBSOCKET_PATH: &str = "/v1/ws";
/// Path of the SSE stream.
pub const EVENTS_PATH: &str = "/v1/events";
/// Path of a calendar feed, whose last segment is its secret and `.ics`.
pub const CALENDAR_PATH: &str = "/v1/calendar/{file}";
/// REST header that carries the idempotency key of a mutation.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
/// REST header of a reply to a mutation: the cursor of its commit.
pub const CURSOR_HEADER: &str = "cita-cursor";
/// REST header of a read: answer only once this cursor has been seen.
pub const AFTER_HEADER: &str = "cita-after";
