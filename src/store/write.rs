//! How a write is carried out: in a task of its own, repeated until its outcome is known, within a deadline.

use std::future::Future;
use std::time::Duration;

use mongodb::bson::Timestamp as ClusterTime;
use mongodb::error::{Error as DriverError, Result as DriverResult};
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;
use super::failure::{self, Failure};
use crate::domain::change::Position;
use crate::error::{Error, Outcome, Result};

/// How long a write is repeated before its outcome is given up as unknown.
const WRITE_DEADLINE: Duration = Duration::from_secs(8);
/// One attempt. The driver has no socket time-out; an attempt that takes longer goes on in its task, unheard.
const ATTEMPT: Duration = Duration::from_secs(4);
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// How a write ended whose outcome is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Written<T> {
    Done(T),
    /// A unique index decided against it; the name of the index.
    Collided(String),
}

/// The position of a cluster time.
#[must_use]
pub fn position(time: ClusterTime) -> Position {
    Position(u64::from(time.time) << 32 | u64::from(time.increment))
}

/// Repeats `write`, which must be safe to repeat, until its outcome is known.
///
/// # Errors
/// `unavailable` at the deadline, saying whether it may have been applied; `internal` when the server refuses it.
pub async fn until_known<T, F>(cluster: &Cluster, mut write: impl FnMut() -> F) -> Result<Written<T>>
where
    T: Send + 'static,
    F: Future<Output = DriverResult<T>> + Send + 'static,
{
    let deadline = Instant::now() + WRITE_DEADLINE;
    let mut outcome = Outcome::NotApplied;
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(write()).await {
            Ok(value) => return Ok(Written::Done(value)),
            Err(Attempt::Failed(error)) => match failure::of_write(&error) {
                Failure::Duplicate { index } => return Ok(Written::Collided(index)),
                Failure::Refused => return Err(Error::Internal(format!("{} refused a write: {error}", cluster.name))),
                Failure::NotSent => tracing::debug!(cluster = %cluster.name, %error, "write not sent"),
                Failure::Unknown => {
                    tracing::debug!(cluster = %cluster.name, %error, "outcome of a write unknown, repeating it");
                    outcome = Outcome::Unknown;
                }
            },
            Err(Attempt::TimedOut) => outcome = Outcome::Unknown,
            Err(Attempt::Panicked) => return Err(Error::Internal("a write panicked".to_owned())),
        }
        if Instant::now() + pause >= deadline {
            return Err(Error::Unavailable { cluster: cluster.name, outcome: Some(outcome) });
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs a read in a task of its own, within the time of one attempt.
///
/// # Errors
/// `unavailable` when the cluster does not answer.
pub async fn read<T, F>(cluster: &Cluster, read: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = DriverResult<T>> + Send + 'static,
{
    attempt(read).await.map_err(|failed| match failed {
        Attempt::Failed(error) => cluster.unreadable(&error),
        Attempt::TimedOut => Error::unreadable(cluster.name),
        Attempt::Panicked => Error::Internal("a read panicked".to_owned()),
    })
}

enum Attempt {
    Failed(DriverError),
    TimedOut,
    Panicked,
}

/// The driver's futures may not be dropped half-way: the work goes on in its task whatever becomes of the caller.
async fn attempt<T, F>(work: F) -> Result<T, Attempt>
where
    T: Send + 'static,
    F: Future<Output = DriverResult<T>> + Send + 'static,
{
    match timeout(ATTEMPT, tokio::spawn(work)).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(Attempt::Failed(error)),
        Ok(Err(_)) => Err(Attempt::Panicked),
        Err(_) => Err(Attempt::TimedOut),
    }
}
