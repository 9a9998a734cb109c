//! How a single document is read and written: in a task of its own, within a deadline, repeated until it is decided.

use std::time::Duration;

use mongodb::error::Error as DriverError;
use mongodb::options::ReadConcern;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use super::cluster::{Cluster, SERVER_SELECTION};
use super::failure::{Failure, of_write};
use super::meters;
use crate::error::{Error, Outcome, Result};
use crate::spans;

/// The most that a write may take, repetitions included. Longer than a step-down, shorter than a client waits.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// The most that a read may take: the driver has no bound of its own once it is connected.
const READ_DEADLINE: Duration = Duration::from_secs(5);
/// The pause before a write is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a transaction that met another one begins anew.
const LONGEST_JITTER: Duration = Duration::from_millis(32);

/// What a write came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// The server did it. `repeated`: an attempt before may have done it already, so a count of nothing proves nothing.
    Done { value: T, repeated: bool },
    /// A unique index was against it. `repeated`: an attempt before may have been what it collided with.
    /// `value`: what collided, as [`Failure::Duplicate`] has it.
    Duplicate { index: String, value: Option<String>, repeated: bool },
}

impl<T> Verdict<T> {
    /// The same of what the value stands for.
    pub(super) fn map<U>(self, of: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Done { value, repeated } => Verdict::Done { value: of(value), repeated },
            Self::Duplicate { index, value, repeated } => Verdict::Duplicate { index, value, repeated },
        }
    }
}

/// Runs a read within its deadline.
pub(super) async fn read<T, F>(cluster: &Cluster, read: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, DriverError>> + Send + 'static,
{
    let began = Instant::now();
    let done = timeout_at(began + READ_DEADLINE, tokio::spawn(read)).await;
    meters::of(cluster.name).read(began.elapsed(), !matches!(done, Ok(Ok(Ok(_)))));
    match done {
        Ok(Ok(result)) => result.map_err(|error| cluster.unreadable(&error)),
        Ok(Err(died)) => Err(Error::Internal(format!("a read died: {died}"))),
        Err(_) => {
            tracing::warn!(cluster = %cluster.name, "a read took too long");
            Err(Error::unreadable(cluster.name))
        }
    }
}

/// Runs a read that settles what a write came to whose answer was lost: where it fails, the outcome stays unknown.
pub(super) async fn confirm<T>(read: impl Future<Output = Result<T>>) -> Result<T> {
    read.await.map_err(|error| error.with_outcome(Outcome::Unknown))
}

/// Runs the write that `attempt` makes until the server has decided on it, or the deadline has passed.
///
/// Each attempt must be the same write: one that finds itself done before does no harm.
pub(super) async fn until_decided<T, F, A>(cluster: &Cluster, attempt: A) -> Result<Verdict<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, DriverError>> + Send + 'static,
    A: FnMut() -> F,
{
    decide(cluster, attempt).instrument(spans::write(cluster.name)).await
}

async fn decide<T, F, A>(cluster: &Cluster, mut attempt: A) -> Result<Verdict<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, DriverError>> + Send + 'static,
    A: FnMut() -> F,
{
    let (began, meters) = (Instant::now(), meters::of(cluster.name));
    let deadline = began + WRITE_DEADLINE;
    let mut repeated = false;
    loop {
        let attempted = one_attempt(deadline, attempt()).await;
        if let Err(failure) = &attempted {
            meters.failed(failure);
        }
        if matches!(attempted, Ok(_) | Err(Failure::Duplicate { .. })) {
            meters.decided(began.elapsed());
        }
        match attempted {
            Ok(value) => return Ok(Verdict::Done { value, repeated }),
            Err(Failure::Duplicate { index, value }) => return Ok(Verdict::Duplicate { index, value, repeated }),
            Err(Failure::Refused) => return Err(Error::Internal(format!("{} refused a write", cluster.name))),
            Err(Failure::Unknown) => repeated = true,
            Err(Failure::Conflict) => {
                if Instant::now() + LONGEST_JITTER + SERVER_SELECTION < deadline {
                    sleep(jitter()).await;
                    continue;
                }
            }
            Err(Failure::NotSent) => {}
        }
        // An attempt that the deadline cuts short is one of unknown outcome: none begins that may not be over by then.
        if Instant::now() + PAUSE + SERVER_SELECTION >= deadline {
            let outcome = if repeated { Outcome::Unknown } else { Outcome::NotApplied };
            meters.gave_up(outcome);
            return Err(Error::Unavailable { cluster: cluster.name, outcome: Some(outcome) });
        }
        sleep(PAUSE).await;
    }
}

/// Those who met do not meet again.
fn jitter() -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    LONGEST_JITTER * u32::from(random) / 256
}

async fn one_attempt<T, F>(deadline: Instant, write: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, DriverError>> + Send + 'static,
{
    // The task outlives a caller that gives up: the driver's futures may not be dropped half-way.
    match timeout_at(deadline, tokio::spawn(write)).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => {
            let failure = of_write(&error);
            // A collision's message quotes the document: it is not for the log.
            if !matches!(failure, Failure::Duplicate { .. } | Failure::Conflict) {
                tracing::warn!(?failure, kind = kind(&error), "write failed");
            }
            Err(failure)
        }
        Ok(Err(_)) | Err(_) => Err(Failure::Unknown),
    }
}

/// What the driver calls the error, without the message, which may quote the document.
fn kind(error: &DriverError) -> String {
    let text = format!("{:?}", error.kind);
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// Sees everything that was ever acknowledged, and says nothing that may be rolled back.
pub(super) fn linearizable() -> ReadConcern {
    ReadConcern::linearizable()
}
