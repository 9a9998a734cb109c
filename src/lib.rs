//! Cita: a real-time scheduling server. The rooms, from the outside in.

pub mod clock;
pub mod domain;
pub mod embedded;
pub mod error;
pub mod feed;
pub mod live;
pub mod service;
pub mod session;
pub mod store;
pub mod views;
