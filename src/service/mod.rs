//! What Cita does, one file a capability: validate, authorise, decide, write, reply. Every door calls the same.
//!
//! A write becomes visible live only through the change stream: nothing here names `live`.

pub mod accounts;
pub mod admin;
pub mod appointments;
pub mod audit;
pub mod auth;
pub mod calendar_feeds;
mod credentials;
mod digests;
pub mod doctors;
pub mod erasure;
pub mod export;
pub mod external;
mod key_sets;
pub mod keys;
mod links;
mod mailboxes;
mod passwords;
mod places;
mod random;
mod refresh;
pub mod releases;
pub mod request;
pub mod resources;
pub mod reviews;
pub mod series;
pub mod sessions;
pub mod setup;
pub mod slots;
mod throttle;
pub mod tokens;
pub mod vault;
pub mod waitlist;
