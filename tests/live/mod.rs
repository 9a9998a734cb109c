//! Live topics: what is seen, in which order, and what a client that was away is told.

mod contest;
mod model;
mod resume;
mod topics;
