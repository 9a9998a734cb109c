//! Live topics: what is seen, in which order, and what a client that was away is told.

mod contest;
pub mod doctor;
mod group_commit;
mod holds;
mod limits;
mod model;
mod resume;
mod rooms;
mod series;
mod sessions;
mod storm;
mod topics;
