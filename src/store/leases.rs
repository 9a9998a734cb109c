//! Work that happens once in the cluster: whoever holds its lease does it, until they give it back or are silent for too long.
//! Beside the lease stands how far the work has come, for whoever does it next.
//!
//! The database's clock says when a lease ends. Each holder has a higher number than the one before, the fence: what is written
//! under it refuses a holder who has not noticed that there is another one.

use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{DateTime, Document, Timestamp as ClusterTime, doc};
use mongodb::options::ReturnDocument;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::cluster::Cluster;
use super::collection;
use super::value::{bson_id, cluster_time, position};
use super::write::{Verdict, until_decided};
use crate::domain::change::Position;
use crate::error::Result;

/// How long a lease lasts after its holder was heard: longer than a step-down of the primary.
const LENGTH: Duration = Duration::from_secs(10);
/// The most that giving it back may take: otherwise it ends by itself.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// A lease that this process holds, or has held.
pub struct Lease {
    cluster: Cluster,
    name: &'static str,
    owner: Uuid,
    fence: i64,
    state: Mutex<State>,
    /// One write after the other: an earlier position must not follow a later one.
    turn: tokio::sync::Mutex<()>,
}

struct State {
    /// The lease is ours until then, whatever the database's clock says: it was asked for later than the database wrote it.
    until: Instant,
    /// How far the work has come. `None`: it begins now.
    position: Option<Position>,
}

#[derive(Serialize, Deserialize)]
struct LeaseDoc {
    fence: i64,
    #[serde(default)]
    position: Option<ClusterTime>,
}

impl Lease {
    /// Takes a lease that nobody holds.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn acquire(cluster: &Cluster, name: &'static str, owner: Uuid) -> Result<Option<Self>> {
        let asked = Instant::now();
        let never = doc! { "$setOnInsert": { "fence": 0_i64, "until": DateTime::from_millis(0) } };
        let is_free = doc! { "_id": name, "$expr": { "$or": [
            { "$lte": ["$until", "$$NOW"] },
            { "$eq": ["$owner", bson_id(owner)] },
        ] } };
        let taken = vec![doc! { "$set": {
            "owner": bson_id(owner), "fence": { "$add": ["$fence", 1_i64] }, "until": from_now(),
        } }];
        let verdict = until_decided(cluster, || {
            let leases = leases(cluster).clone_with_type::<LeaseDoc>();
            let (never, is_free, taken) = (never.clone(), is_free.clone(), taken.clone());
            async move {
                leases.update_one(doc! { "_id": name }, never).upsert(true).await?;
                leases.find_one_and_update(is_free, taken).return_document(ReturnDocument::After).await
            }
        });
        let Verdict::Done { value: Some(found), .. } = verdict.await? else { return Ok(None) };
        let state = State { until: asked + LENGTH, position: found.position.map(position) };
        Ok(Some(Self {
            cluster: cluster.clone(),
            name,
            owner,
            fence: found.fence,
            state: Mutex::new(state),
            turn: Default::default(),
        }))
    }

    /// The number of this holder.
    #[must_use]
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// Whether nobody else can hold it yet.
    #[must_use]
    pub fn is_held(&self) -> bool {
        Instant::now() < self.state.lock().until
    }

    /// Waits until somebody else may hold it.
    pub async fn ended(&self) {
        loop {
            let until = self.state.lock().until;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// How far the work has come. `None`: it begins now.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.state.lock().position
    }

    /// The work has come this far, or has to begin now. [`Lease::keep`] writes it down.
    pub fn reached(&self, position: Option<Position>) {
        self.state.lock().position = position;
    }

    /// Holds it for longer, and writes down how far the work has come. `false`: somebody else holds it.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn keep(&self) -> Result<bool> {
        let _turn = self.turn.lock().await;
        let asked = Instant::now();
        let (guard, next) = (self.guard(), vec![doc! { "$set": self.with_position(from_now()) }]);
        let verdict = until_decided(&self.cluster, || {
            let (leases, guard, next) = (leases(&self.cluster), guard.clone(), next.clone());
            async move { leases.update_one(guard, next).await }
        });
        let is_ours = match verdict.await? {
            Verdict::Done { value, .. } => value.matched_count == 1,
            Verdict::Duplicate { .. } => false,
        };
        self.state.lock().until = if is_ours { asked + LENGTH } else { asked };
        Ok(is_ours)
    }

    /// Lets somebody else take it at once. Where that fails, it ends by itself.
    pub async fn give_back(self) {
        let (leases, guard) = (leases(&self.cluster), self.guard());
        // Without an owner, no write of this holder's that is still on its way does anything.
        let next = vec![doc! { "$set": self.with_position(doc! { "$toDate": 0_i64 }) }, doc! { "$unset": "owner" }];
        // In a task of its own: the driver's futures may not be dropped half-way.
        let write = tokio::spawn(async move { leases.update_one(guard, next).await });
        if !matches!(timeout(LAST_WRITE, write).await, Ok(Ok(Ok(_)))) {
            tracing::warn!(lease = self.name, "a lease could not be given back: it ends by itself");
        }
    }

    fn guard(&self) -> Document {
        doc! { "_id": self.name, "owner": bson_id(self.owner), "fence": self.fence }
    }

    fn with_position(&self, until: Document) -> Document {
        match self.position() {
            Some(position) => doc! { "until": until, "position": cluster_time(position) },
            None => doc! { "until": until },
        }
    }
}

/// The end of a lease that is taken or kept now, by the database's clock.
fn from_now() -> Document {
    let length = i64::try_from(LENGTH.as_millis()).unwrap_or(i64::MAX);
    doc! { "$add": ["$$NOW", length] }
}

fn leases(cluster: &Cluster) -> Collection<Document> {
    cluster.db.collection(collection::LEASES)
}
