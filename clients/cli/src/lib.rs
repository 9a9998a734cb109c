//! A client of Cita's WebSocket: connect, ask, listen, resume. It shows nothing and stores nothing.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may end there"))]

pub mod address;
pub mod connection;
pub mod error;
pub mod live;
pub mod retry;

pub use connection::{Connection, Frame, Reply};
pub use error::ClientError;
pub use retry::{Backoff, Verdict};
