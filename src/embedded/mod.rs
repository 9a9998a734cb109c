//! The MongoDB that Cita starts for itself when no cluster is configured: found or fetched, started, stopped.
//! It knows processes, ports and replica sets; it must not know what is stored in them.

mod error;
mod fetch;
mod home;
mod locate;
mod process;
mod replica_set;

pub use error::EmbeddedError;
pub use locate::{default_cache_dir, find_mongod};
pub use replica_set::{Clusters, ReplicaSet};
