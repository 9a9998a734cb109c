//! What every test stands on.

pub mod cast;
pub mod clinic;
pub mod mongo;
pub mod rest;
pub mod socket;
pub mod watch;

use std::time::Duration;

/// Waits until a condition holds: the one place where a test lets time pass.
///
/// # Panics
/// When it does not hold in time.
pub async fn until(condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(clinic::PATIENCE, holds).await.is_ok(), "the condition did not hold in time");
}
