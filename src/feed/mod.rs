//! The change stream of a cluster, turned into whole commits with their position. One for each cluster and node.
//!
//! A feed sends into a channel and knows nothing of who listens. It resumes only after errors that are known to allow
//! it; after every other it says [`FeedEvent::Lost`] and goes on from now: what was missed is then read anew by those
//! who need it, never skipped in silence. When a collection or an index went away, it is mended first, or the feed ends;
//! and where somebody has restored an earlier state of the database, too.

mod decode;
mod fresh;
pub mod meters;
mod stream;
pub mod tail;
mod whole;
pub mod witness;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mongodb::bson::{Bson, Document, Timestamp as ClusterTime, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use tokio::sync::{mpsc, watch};

use self::decode::{Batch, Odd};
use self::fresh::Fresh;
use self::meters::Meters;
use self::stream::Start;
use self::whole::Whole;
use self::witness::Witness;
use crate::domain::change::{FeedEvent, Position};
use crate::store::cluster::{Cluster, ConnectError};
use crate::store::failure::brief;
use crate::store::value::position;

/// How far back a starting node reads, so that it can continue what its predecessor served.
const LOOK_BACK_SECONDS: u32 = 60;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Label of the errors after which a change stream may be resumed.
const RESUMABLE: &str = "ResumableChangeStreamError";
/// `CursorNotFound` and `CursorKilled`: resumable, though the server does not label them. Only the cursor is gone.
const CURSOR_GONE: [i32; 2] = [43, 237];

/// Why a stream ended.
enum Broken {
    /// The connection or the primary went away: go on from the last token.
    Resume(DriverError),
    /// What comes next cannot be told from here.
    Lost(String),
    /// Neither can it, and what is written may lack what the promises rest on.
    Damaged(String),
    /// The database no longer has what was told.
    Restored,
    /// Nobody listens any more.
    Closed,
}

impl From<DriverError> for Broken {
    fn from(error: DriverError) -> Self {
        if is_resumable(&error) { Self::Resume(error) } else { Self::Lost(brief(&error)) }
    }
}

impl From<Odd> for Broken {
    fn from(odd: Odd) -> Self {
        match odd {
            Odd::Poison(_) => Self::Lost(odd.to_string()),
            Odd::Damage(_) => Self::Damaged(odd.to_string()),
        }
    }
}

/// Makes the collections and indexes of a cluster what they must be, as at the start.
pub type Mend = Box<dyn Fn() -> BoxFuture<'static, Result<(), ConnectError>> + Send + Sync>;

/// Why a feed ends before nobody listens any more.
#[derive(Debug)]
pub enum Ended {
    /// What somebody has to do before the cluster can be used again.
    Unusable(String),
    /// An earlier state has taken the place of the database, or somebody has deleted what it had.
    Restored,
}

/// The feed of one cluster.
pub struct Feed {
    cluster: Cluster,
    events: mpsc::Sender<FeedEvent>,
    mend: Mend,
    fresh: Arc<Fresh>,
    /// The token after the last batch that was sent on.
    token: Option<Document>,
    position: Position,
    /// Where a stream without a token began. The server repeats it as the place that it has come to while nothing has happened,
    /// and what happens next may have that very time.
    began: Position,
    whole: Whole,
    /// What the database had when the node started, and what it told last.
    began_with: Option<Witness>,
    told: Option<Witness>,
    meters: Arc<Meters>,
}

impl Feed {
    /// A feed that sends into `events` and tells in `live` whether that is the present. `began_with` is what the database has at the start.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        events: mpsc::Sender<FeedEvent>,
        live: watch::Sender<bool>,
        mend: Mend,
        began_with: Option<Witness>,
    ) -> Self {
        let (meters, fresh) = (Arc::new(Meters::new(cluster.name)), Arc::new(Fresh::new(live)));
        Self {
            cluster,
            events,
            mend,
            fresh,
            token: None,
            position: Position::default(),
            began: Position::default(),
            whole: Whole::default(),
            began_with,
            told: None,
            meters,
        }
    }

    /// Runs until nobody listens any more.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn run(self) -> Result<(), Ended> {
        let (meters, queue, fresh) = (self.meters.clone(), self.events.clone(), self.fresh.clone());
        tokio::select! {
            ended = self.keep_following() => ended,
            () = meters.keep_telling(queue) => Ok(()),
            () = fresh.keep_looking() => Ok(()),
        }
    }

    async fn keep_following(mut self) -> Result<(), Ended> {
        let mut pause = FIRST_PAUSE;
        let mut look_back = LOOK_BACK_SECONDS;
        loop {
            let before = self.position;
            let broken = self.follow(look_back).await;
            self.fresh.broken();
            if self.position > before {
                pause = FIRST_PAUSE;
            }
            match broken {
                Broken::Closed => return Ok(()),
                Broken::Resume(error) => {
                    // It is read again, whole.
                    self.whole = Whole::default();
                    self.meters.resumed();
                    let error = brief(&error);
                    tracing::warn!(cluster = %self.cluster.name, error, "change stream interrupted, resuming");
                }
                Broken::Lost(reason) => {
                    self.forget(&reason);
                    look_back = 0;
                }
                Broken::Damaged(reason) => {
                    self.forget(&reason);
                    look_back = 0;
                    self.mend().await?;
                }
                Broken::Restored => return Err(Ended::Restored),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn forget(&mut self, reason: &str) {
        tracing::error!(cluster = %self.cluster.name, reason, "change stream lost, starting anew");
        self.meters.lost();
        (self.token, self.told) = (None, None);
        self.whole = Whole::default();
    }

    /// Before anything is read anew: what was written meanwhile meets the unique indexes as they are made, or stops the node.
    async fn mend(&self) -> Result<(), Ended> {
        loop {
            match (self.mend)().await {
                Ok(()) => return Ok(()),
                Err(ConnectError::Unusable(reason)) => return Err(Ended::Unusable(reason)),
                Err(ConnectError::Away(reason)) => {
                    tracing::warn!(cluster = %self.cluster.name, reason, "cannot be mended yet, still trying");
                }
            }
            tokio::time::sleep(LONGEST_PAUSE).await;
        }
    }

    /// Opens the stream and sends on what it tells, until it breaks.
    async fn follow(&mut self, look_back: u32) -> Broken {
        match self.try_follow(look_back).await {
            Ok(never) => match never {},
            Err(broken) => broken,
        }
    }

    async fn try_follow(&mut self, look_back: u32) -> Result<std::convert::Infallible, Broken> {
        let start = match self.token.clone() {
            Some(token) => {
                self.check_history().await?;
                Start::After(token)
            }
            None => self.fresh_start(look_back).await?,
        };
        let mut batches = stream::open(&self.cluster, start).await?;
        tracing::info!(cluster = %self.cluster.name, "change stream open");
        loop {
            let Some(reply) = batches.next().await? else {
                return Err(Broken::Lost("the server closed the change stream".to_owned()));
            };
            let bytes = reply.as_raw_document().as_bytes().len();
            let batch = decode::batch(reply.as_raw_document())?;
            self.deliver(batch, bytes).await?;
        }
    }

    /// Before a stream is resumed: the server takes the position of a later state than its own, and says nothing of it.
    async fn check_history(&self) -> Result<(), Broken> {
        let witnesses = [&self.began_with, &self.told].into_iter().flatten();
        let asked = witnesses.map(|witness| stream::timed(witness.is_true(&self.cluster)));
        // Only an answer says anything of the history.
        let answers = futures::future::try_join_all(asked).await.map_err(Broken::Resume)?;
        if answers.into_iter().all(|is_true| is_true) { Ok(()) } else { Err(Broken::Restored) }
    }

    /// Starts after the present, less `look_back` seconds; whatever was told before no longer counts.
    async fn fresh_start(&mut self, look_back: u32) -> Result<Start, Broken> {
        let now = present(&self.cluster).await?;
        // The server begins with what happened at the time that it is given: what broke the stream must not come again.
        let start = ClusterTime { time: now.time.saturating_sub(look_back), increment: now.increment + 1 };
        self.began = position(start);
        self.position = Position(self.began.0.saturating_sub(1));
        self.send(FeedEvent::Lost(self.position)).await?;
        Ok(Start::At(start))
    }

    async fn deliver(&mut self, batch: Batch, bytes: usize) -> Result<(), Broken> {
        let Batch { commits, token, scanned, known, last, written } = batch;
        if last.is_some() {
            self.told = last;
        }
        let commits = self.whole.of(commits, bytes);
        let count = commits.len();
        for commit in commits {
            // A resumed stream may tell again what was told before it broke.
            if commit.at > self.position {
                self.position = commit.at;
                self.send(FeedEvent::Commit(commit)).await?;
            }
        }
        if self.whole.is_all() {
            self.token = Some(token);
            if let Some(scanned) = scanned.filter(|scanned| *scanned > self.position && *scanned != self.began) {
                self.position = scanned;
                self.send(FeedEvent::Position(scanned)).await?;
            }
        }
        self.meters.handed_on(count, written);
        match scanned {
            Some(scanned) => self.fresh.told(scanned, known),
            None => self.fresh.opened(),
        }
        Ok(())
    }

    async fn send(&self, event: FeedEvent) -> Result<(), Broken> {
        self.events.send(event).await.map_err(|_| Broken::Closed)
    }
}

/// The latest time of the cluster.
async fn present(cluster: &Cluster) -> Result<ClusterTime, DriverError> {
    let mut session = cluster.session().await?;
    cluster.db.run_command(doc! { "ping": 1 }).session(&mut session).await?;
    session.operation_time().ok_or_else(|| DriverError::custom("the server told no time"))
}

/// An allow-list: what is not known to be harmless is not resumed.
fn is_resumable(error: &DriverError) -> bool {
    let transport = matches!(
        error.kind.as_ref(),
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::DnsResolve { .. }
    );
    let gone = matches!(error.kind.as_ref(), ErrorKind::Command(command) if CURSOR_GONE.contains(&command.code));
    transport || gone || error.contains_label(RESUMABLE) || error.contains_label(mongodb::error::RETRYABLE_ERROR)
}

/// The cluster time inside a resume token: `82`, then seconds and increment in hexadecimal.
fn time_of(token: &Document) -> Option<Position> {
    let Some(Bson::String(data)) = token.get("_data") else { return None };
    let time = data.strip_prefix("82")?.get(..16)?;
    u64::from_str_radix(time, 16).ok().map(Position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_token_tells_its_cluster_time() {
        let token = doc! { "_data": "8263A1B2C300000007292C0100296E04" };
        assert_eq!(time_of(&token), Some(Position(0x63A1_B2C3_0000_0007)));
        assert_eq!(time_of(&doc! { "_data": "82" }), None);
        assert_eq!(time_of(&doc! {}), None);
    }
}
