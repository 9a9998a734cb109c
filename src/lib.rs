//! Cita: a real-time scheduling server. docs/ARCHITECTURE.md tells how the rooms hang together.

pub mod administration;
pub mod app;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod embedded;
pub mod error;
pub mod feed;
pub mod health;
pub mod live;
pub mod notify;
pub mod probe;
pub mod service;
pub mod session;
pub mod spans;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod views;
