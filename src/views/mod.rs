//! What is kept in memory from the feed: the ring of committed changes, doctors' calendars, ended sessions.
//!
//! A view may lag behind the database by milliseconds. It decides nothing that must be exact: that is for the unique
//! indexes.

pub mod calendar;
pub mod calendars;
pub mod committed;
pub mod meters;
pub mod revocations;
pub mod ring;
