//! Live topics: who watches what, what a commit means to them, and how a client that was away is told what it missed.
//!
//! Nothing is pushed that did not come from the feed.

pub mod cursor;
pub mod frame;
pub mod hub;
pub mod meters;
pub mod outbox;
pub mod project;
pub mod subscriptions;
pub mod topic;
pub mod writer;
