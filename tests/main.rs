//! Every test of the server, in one binary: linked once, one pair of database servers for the whole run.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is how a failure is reported")]

mod access;
mod demo;
mod docs;
mod embedded;
mod faults;
mod harness;
mod identity;
mod live;
mod logins;
mod mail;
mod rest;
mod tidy;
mod ws;
