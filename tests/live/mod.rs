//! Live topics: what is seen, in which order, and what a client that was away is told.

mod contest;
pub mod doctor;
mod limits;
mod model;
mod resume;
mod rooms;
mod sessions;
mod topics;
