//! The committed changes that people are told of by e-mail, after a position: for work that happens once in the cluster, where
//! what its node keeps does not reach back so far.

use std::time::Duration;

use mongodb::error::{Error as DriverError, ErrorKind};
use tokio::time::timeout;

use super::decode;
use super::stream::{self, Batches, Start};
use super::whole::Whole;
use crate::domain::change::{Commit, Position};
use crate::store::cluster::Cluster;
use crate::store::failure::brief;
use crate::store::value::{cluster_time, position};

/// So far the position of an honest server may be ahead of what it says at another connection.
const AHEAD_SECONDS: u64 = 60;
/// The most that the server may take to say what time it is.
const ANSWER: Duration = Duration::from_secs(5);
/// What does not become better by trying again: `ChangeStreamHistoryLost`, `CappedPositionLost`, `ChangeStreamFatalError`, and
/// `BSONObjectTooLarge`, of an event.
const NEVER_AGAIN: [i32; 4] = [286, 136, 280, 10_334];

/// An open stream of changes.
pub struct Tail {
    batches: Batches,
    whole: Whole,
    /// Everything up to here has been told.
    position: Position,
    /// Where the stream was asked to begin: the server repeats it while nothing has happened, and what happens next may have that
    /// very time.
    began: Position,
}

/// Why it ended.
#[derive(Debug)]
pub enum Ended {
    /// Go on from the last position.
    Interrupted(String),
    /// What came after that position cannot be told any more.
    Lost(String),
}

impl From<DriverError> for Ended {
    fn from(error: DriverError) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(command) if NEVER_AGAIN.contains(&command.code) => Self::Lost(brief(&error)),
            _ => Self::Interrupted(brief(&error)),
        }
    }
}

/// The latest time of the cluster.
///
/// # Errors
/// It could not be told.
pub async fn present(cluster: &Cluster) -> Result<Position, Ended> {
    let cluster = cluster.clone();
    // In a task of its own: the driver's futures may not be dropped half-way.
    let asked = tokio::spawn(async move { super::present(&cluster).await });
    match timeout(ANSWER, asked).await {
        Ok(Ok(told)) => told.map(position).map_err(|error| Ended::Interrupted(brief(&error))),
        Ok(Err(_)) | Err(_) => Err(Ended::Interrupted("the server does not say what time it is".to_owned())),
    }
}

impl Tail {
    /// Opens it after a position.
    ///
    /// # Errors
    /// Whether the same position may work later.
    pub async fn open(cluster: &Cluster, after: Position) -> Result<Self, Ended> {
        let now = present(cluster).await?;
        if after.0 >> 32 > (now.0 >> 32) + AHEAD_SECONDS {
            // The server would take it, and say nothing until then.
            return Err(Ended::Lost("the database is older than what was told of it".to_owned()));
        }
        let began = Position(after.0 + 1);
        let batches = stream::open_for_notices(cluster, Start::At(cluster_time(began))).await?;
        Ok(Self { batches, whole: Whole::default(), position: after, began })
    }

    /// Everything up to here has been told.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The commits that came, perhaps none.
    ///
    /// # Errors
    /// Whether the same position may work later.
    pub async fn next(&mut self) -> Result<Vec<Commit>, Ended> {
        let reply = self.batches.next().await?;
        let reply = reply.ok_or_else(|| Ended::Lost("the server closed the change stream".to_owned()))?;
        let reply = reply.as_raw_document();
        let batch = decode::batch(reply).map_err(|odd| Ended::Lost(odd.to_string()))?;
        let commits = self.whole.of(batch.commits, reply.as_bytes().len());
        if let Some(last) = commits.last() {
            self.position = self.position.max(last.at);
        }
        let scanned = batch.scanned.filter(|scanned| self.whole.is_all() && *scanned != self.began);
        self.position = self.position.max(scanned.unwrap_or_default());
        Ok(commits)
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_document, doc};

    use super::*;

    fn ended(code: i32) -> Ended {
        let command = doc! { "code": code, "codeName": "Some", "errmsg": "some" };
        let command = deserialize_from_document(command).expect("what a server answers");
        DriverError::from(ErrorKind::Command(command)).into()
    }

    #[test]
    fn only_what_never_becomes_better_loses_the_position() {
        for code in [286, 136, 280, 10_334] {
            assert!(matches!(ended(code), Ended::Lost(_)), "{code}");
        }
        // Shut down, not authenticated, not permitted, not primary, killed, overloaded.
        for code in [91, 11_600, 18, 13, 10_107, 11_601, 43, 262, 1] {
            assert!(matches!(ended(code), Ended::Interrupted(_)), "{code}");
        }
        let closed = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(DriverError::from(closed).into(), Ended::Interrupted(_)));
    }
}
