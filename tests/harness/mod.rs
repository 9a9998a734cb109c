//! What every test stands on.

pub mod clinic;
pub mod mongo;
pub mod watch;
