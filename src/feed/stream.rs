//! The change stream as raw batches: the end of a batch is where a cluster time is whole, which a stream of single
//! events does not tell.

use std::io::ErrorKind as IoErrorKind;
use std::time::Duration;

use futures::StreamExt as _;
use mongodb::bson::{Document, Timestamp as ClusterTime, doc};
use mongodb::error::{Error as DriverError, Result as DriverResult};
use mongodb::options::CursorType;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use crate::domain::appointment::Status;
use crate::domain::waitlist::WaitStatus;
use crate::store::cluster::{Cluster, Tenure};
use crate::store::collection;

/// How long the server waits for something to tell before it sends an empty batch.
const MAX_AWAIT: Duration = Duration::from_millis(250);
/// A stream that sends not even an empty batch for this long is broken.
const SILENCE: Duration = Duration::from_secs(5);

/// Where a stream begins.
pub enum Start {
    At(ClusterTime),
    After(Document),
}

/// An open change stream.
pub struct Batches {
    cursor: RawBatchCursor,
    tenure: Tenure,
}

/// Opens the change stream of the cluster's database.
///
/// # Errors
/// What the driver said.
pub async fn open(cluster: &Cluster, start: Start) -> DriverResult<Batches> {
    let watched = [
        collection::APPOINTMENTS,
        collection::DOCTORS,
        collection::REVIEWS,
        collection::WAITLIST,
        collection::SESSIONS,
        collection::SIGNING_KEYS,
    ];
    // Of these only what happens to the collection itself: documents change and go without the feed.
    let guarded = doc! {
        "ns.coll": collection::USERS,
        "operationType": { "$in": ["drop", "rename", "dropIndexes"] },
    };
    // What nobody reads from the stream does not travel, and secrets least of all.
    let unread = [
        "fullDocument.keys",
        "fullDocument.shared",
        "fullDocument.history",
        "fullDocument.notes",
        "fullDocument.privateKey",
        "fullDocument.refresh",
        "fullDocument.listing",
        "fullDocument.reports",
        "updateDescription",
        "operationDescription",
        "collectionUUID",
        "lsid",
        "txnNumber",
    ];
    let told = doc! { "$or": [
        { "ns.coll": { "$in": watched.to_vec() } },
        // Something else takes the place of a watched collection.
        { "to.coll": { "$in": watched.to_vec() } },
        guarded,
        { "to.coll": collection::USERS },
        { "operationType": { "$in": ["dropDatabase", "invalidate"] } },
    ] };
    watch(cluster, start, told, &unread).await
}

/// Opens a change stream of what people are told by e-mail about, to catch up: appointments that are asked for, stand or are
/// cancelled, and offers. What happens to the collections themselves is for the feed. Histories are read with the appointments.
///
/// # Errors
/// What the driver said.
pub async fn open_for_notices(cluster: &Cluster, start: Start) -> DriverResult<Batches> {
    let told = [Status::Pending, Status::Booked, Status::Cancelled].map(Status::as_str);
    let told = doc! {
        "operationType": { "$in": ["insert", "replace"] },
        "$or": [
            {
                "ns.coll": collection::APPOINTMENTS,
                "fullDocument.kind": { "$exists": false },
                "fullDocument.status": { "$in": told.to_vec() },
            },
            { "ns.coll": collection::WAITLIST, "fullDocument.status": WaitStatus::Offered.as_str() },
        ],
    };
    let unread = [
        "fullDocument.keys",
        "fullDocument.shared",
        "fullDocument.claims",
        "fullDocument.freed",
        "fullDocument.history",
        "fullDocument.notes",
        "updateDescription",
        "lsid",
        "txnNumber",
    ];
    watch(cluster, start, told, &unread).await
}

async fn watch(cluster: &Cluster, start: Start, told: Document, unread: &[&str]) -> DriverResult<Batches> {
    let mut options = match start {
        Start::At(time) => doc! { "startAtOperationTime": time },
        Start::After(token) => doc! { "startAfter": token },
    };
    // An index that somebody drops is told, too.
    options.insert("showExpandedEvents", true);
    let command = doc! {
        "aggregate": 1,
        "pipeline": [{ "$changeStream": options }, { "$match": told }, { "$unset": unread.to_vec() }],
        // The first batch would be cut at 101 events, in the middle of a cluster time perhaps: let it be empty.
        "cursor": { "batchSize": 0 },
        "readConcern": { "level": "majority" },
    };
    let tenure = cluster.tenure();
    let cursor =
        cluster.db.run_cursor_command(command).cursor_type(CursorType::TailableAwait).max_time(MAX_AWAIT).batch();
    Ok(Batches { cursor: timed(cursor).await?, tenure })
}

impl Batches {
    /// The next batch, which may be empty.
    ///
    /// # Errors
    /// What the driver said; as an I/O error, a time-out, or that another member is primary now: the one that has the cursor may have left.
    pub async fn next(&mut self) -> DriverResult<Option<RawBatch>> {
        tokio::select! {
            next = timed(async { self.cursor.next().await.transpose() }) => next,
            () = self.tenure.over() => Err(interrupted(IoErrorKind::Interrupted, "another member is primary")),
        }
    }
}

/// Within the time after which a stream counts as silent.
pub(super) async fn timed<T>(work: impl Future<Output = DriverResult<T>>) -> DriverResult<T> {
    match tokio::time::timeout(SILENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(interrupted(IoErrorKind::TimedOut, "the change stream is silent")),
    }
}

/// An error after which a stream is resumed.
fn interrupted(kind: IoErrorKind, why: &str) -> DriverError {
    std::io::Error::new(kind, why).into()
}
