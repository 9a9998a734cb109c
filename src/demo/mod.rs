//! The demo clinic: doctors, patients and a few weeks of appointments, written once into databases that are empty.
//!
//! Everybody knows its password, and one of its accounts is an admin's: whoever calls [`seed`] has made sure that this
//! server may be anybody's. Databases that hold anything else are left alone.

mod data;
mod logins;
mod plan;
mod seed;

pub use logins::{DemoLogins, Login};
pub use seed::{is_there, seed};
