//! The feeds of the two clusters: run, taken in, and mended; and the end of the node when one of them cannot go on.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{Beside, StartError, prepare};
use crate::domain::change::FeedEvent;
use crate::feed::witness::Witness;
use crate::feed::{Damage, Feed, Mend};
use crate::store::cluster::{Cluster, ConnectError};
use crate::store::history::{self, History};
use crate::store::{collection, signing_keys, users};
use crate::transport::State;

/// Commits that wait for the hub before the feed reads on.
const FEED_BUFFER: usize = 1_024;

/// Runs the feed of a cluster and hands on what it tells. Returns once the feed is live, or has ended.
pub async fn follow(
    cluster: &Cluster,
    state: &State,
    beside: &Beside,
    mend: Mend,
    began_with: Option<Witness>,
    mut take: impl FnMut(FeedEvent) -> BoxFuture<'static, ()> + Send + 'static,
) {
    let (events, mut incoming) = mpsc::channel(FEED_BUFFER);
    let (live, mut is_live) = watch::channel(false);
    let feed = Feed::new(cluster.clone(), events.clone(), live, mend, began_with);
    let (failed, complaint, name) = (beside.failed.clone(), beside.complaint.clone(), cluster.name);
    beside.spawn(async move {
        if let Err(reason) = feed.run().await {
            complaint.lock().get_or_insert(StartError::Cluster { cluster: name, reason });
            failed.cancel();
        }
        // Whoever takes them in ends with this, and must not be the first to say why.
        drop(events);
    });
    let (failed, stop) = (beside.failed.clone(), beside.stop.clone());
    beside.spawn(async move {
        // Should it panic, the node must not go on as if nothing changed any more.
        let _guard = OnEnd(|| {
            if !stop.is_cancelled() {
                failed.cancel();
            }
        });
        while let Some(event) = incoming.recv().await {
            take(event).await;
        }
    });
    if is_live.wait_for(|live| *live).await.is_err() {
        return;
    }
    let readiness = state.readiness.clone();
    readiness.set_live(name, true);
    beside.spawn(async move {
        while is_live.changed().await.is_ok() {
            let live = *is_live.borrow_and_update();
            if !live {
                tracing::warn!(cluster = %name, "its changes do not arrive, or late");
            }
            readiness.set_live(name, live);
        }
        readiness.set_live(name, false);
    });
}

/// What the appointments cluster has since this node started.
pub fn began_with(history: History) -> Witness {
    Witness { collection: collection::HISTORY.to_owned(), id: history::ID.into(), rev: history.rev.into() }
}

/// Mends the appointments cluster, unless it holds other data than before.
pub fn mend_appointments(cluster: Cluster, epoch: u32) -> Mend {
    Box::new(move |damage| {
        let cluster = cluster.clone();
        async move {
            if damage == Damage::Restored {
                return give_up(&cluster, epoch).await;
            }
            let found = cluster.connect(|| prepare(&cluster)).await?;
            unless(
                found.epoch != epoch,
                "its database is another one than before: start Cita again when it is as it should be",
            )
        }
        .boxed()
    })
}

/// Mends the users cluster, unless there is nothing left that tokens could be signed with, or it holds an earlier state.
pub fn mend_users(cluster: Cluster, appointments: Cluster, epoch: u32) -> Mend {
    Box::new(move |damage| {
        let (cluster, appointments) = (cluster.clone(), appointments.clone());
        async move {
            if damage == Damage::Restored {
                return give_up(&appointments, epoch).await;
            }
            cluster.connect(|| users::ensure_indexes(&cluster)).await?;
            let keys = signing_keys::all(&cluster).await.map_err(|error| ConnectError::Away(error.to_string()))?;
            unless(keys.is_empty(), "its signing keys are gone: put them back, or start Cita again, which makes one")
        }
        .boxed()
    })
}

/// What this node keeps in memory, and the cursors that it gave out, are of a history that has not taken place.
async fn give_up(appointments: &Cluster, epoch: u32) -> Result<(), ConnectError> {
    appointments.connect(|| history::end(appointments, epoch)).await?;
    let reason = "an earlier state of its database was restored while Cita ran, and what was committed since is gone: start Cita again";
    Err(ConnectError::Unusable(reason.to_owned()))
}

fn unless(unusable: bool, reason: &str) -> Result<(), ConnectError> {
    if unusable { Err(ConnectError::Unusable(reason.to_owned())) } else { Ok(()) }
}

/// Does something when it is dropped, by a panic too.
struct OnEnd<F: Fn()>(F);

impl<F: Fn()> Drop for OnEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
