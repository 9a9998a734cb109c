//! The rules of scheduling, pure: no I/O, no clock, no async, nothing of the wire and nothing of the database.

pub mod access;
pub mod account;
pub mod appointment;
pub mod audit;
pub mod availability;
pub mod change;
pub mod doctor;
pub mod entry;
pub mod history;
pub mod ids;
pub mod listing;
pub mod mail;
pub mod password;
pub mod peer;
pub mod profile;
pub mod proof;
pub mod refusal;
pub mod resource;
pub mod secret;
pub mod session;
pub mod slots;
pub mod tick;
