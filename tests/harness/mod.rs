//! What every test stands on.

pub mod mongo;
