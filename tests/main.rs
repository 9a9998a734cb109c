//! Every test of the server, in one binary: linked once, one pair of database servers for the whole run.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is how a failure is reported")]

mod access;
mod accounts;
mod calendar_feed;
mod configuration;
mod demo;
mod docs;
mod doctors;
mod embedded;
mod erasure;
mod external;
mod faults;
mod group;
mod harness;
mod hours;
mod identity;
mod keys;
mod life;
mod live;
mod logins;
mod mail;
mod metrics;
mod model;
mod notices;
mod rest;
mod reviews;
mod roles;
mod sessions;
mod slots;
mod tidy;
mod tls;
#[cfg(feature = "otel")]
mod traces;
mod waitlist;
mod ws;
