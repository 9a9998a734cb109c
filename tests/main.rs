//! Every test of the server, in one binary: linked once, one pair of database servers for the whole run.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is how a failure is reported")]

mod demo;
mod embedded;
mod faults;
mod harness;
mod live;
mod tidy;
