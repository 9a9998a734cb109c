//! What every test stands on.

pub mod cast;
pub mod clinic;
pub mod events;
pub mod members;
pub mod mongo;
pub mod office;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod socket;
pub mod visits;
pub mod watch;

use std::time::{Duration, Instant};

/// Waits until a condition holds.
///
/// # Panics
/// When it does not hold in time.
pub async fn until(condition: impl AsyncFn() -> bool) {
    eventually(async || condition().await.then_some(())).await;
}

/// Tries until there is something.
///
/// # Panics
/// When there is nothing in time.
pub async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let mut patience = Patience::default();
    loop {
        match attempt().await {
            Some(found) => return found,
            None => patience.rest().await,
        }
    }
}

/// The time that something may take: the one place where a test lets time pass.
pub struct Patience(Instant);

impl Default for Patience {
    fn default() -> Self {
        Self(Instant::now() + clinic::PATIENCE)
    }
}

impl Patience {
    /// Rests for a moment before something is tried again.
    ///
    /// # Panics
    /// When the time is over.
    pub async fn rest(&mut self) {
        assert!(Instant::now() < self.0, "it did not come about in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
