//! The committed changes that people are told of by e-mail, after a position: for work that happens once in the cluster, and
//! that takes them in at its own pace.

use super::stream::{self, Batches, Start};
use super::whole::Whole;
use super::{Broken, decode, present};
use crate::domain::change::{Commit, Position};
use crate::error::Error;
use crate::store::cluster::Cluster;
use crate::store::failure::brief;
use crate::store::value::{cluster_time, position};

/// So far the position of an honest server may be ahead of what it says at another connection.
const AHEAD_SECONDS: u64 = 60;

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

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Resume(error) => Self::Interrupted(brief(&error)),
            Broken::Lost(reason) | Broken::Damaged(reason) => Self::Lost(reason),
            Broken::Closed => Self::Interrupted("nobody listens".to_owned()),
        }
    }
}

/// Of what follows a change: the change comes again.
impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Interrupted(error.to_string())
    }
}

impl Tail {
    /// Opens it after a position, or after the present.
    ///
    /// # Errors
    /// Whether the same position may work later.
    pub async fn open(cluster: &Cluster, after: Option<Position>) -> Result<Self, Ended> {
        let now = position(present(cluster).await?);
        let after = after.unwrap_or(now);
        if after.0 >> 32 > (now.0 >> 32) + AHEAD_SECONDS {
            // The server would take it, and say nothing until then.
            return Err(Ended::Lost("the database is older than what was told of it".to_owned()));
        }
        let began = Position(after.0 + 1);
        let opened = stream::open_for_notices(cluster, Start::At(cluster_time(began))).await;
        let batches = opened.map_err(Broken::from)?;
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
        let reply = self.batches.next().await.map_err(Broken::from)?;
        let reply = reply.ok_or_else(|| Ended::Lost("the server closed the change stream".to_owned()))?;
        let reply = reply.as_raw_document();
        let batch = decode::batch(reply).map_err(Broken::from)?;
        let commits = self.whole.of(batch.commits, reply.as_bytes().len());
        if let Some(last) = commits.last() {
            self.position = self.position.max(last.at);
        }
        let scanned = batch.scanned.filter(|scanned| self.whole.is_all() && *scanned != self.began);
        self.position = self.position.max(scanned.unwrap_or_default());
        Ok(commits)
    }
}
