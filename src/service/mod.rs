//! What Cita does, one file a capability: validate, authorise, decide, write, reply. Every door calls the same.
//!
//! A write becomes visible live only through the change stream: nothing here names `live`.

pub mod appointments;
pub mod auth;
mod credentials;
pub mod doctors;
pub mod keys;
mod passwords;
mod random;
mod refresh;
pub mod request;
pub mod slots;
mod throttle;
pub mod tokens;
