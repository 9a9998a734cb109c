//! The feeds of the two clusters: run, taken in, and mended; and the end of the node when one of them cannot go on.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{Beside, StartError};
use crate::domain::change::FeedEvent;
use crate::error::ClusterName;
use crate::feed::witness::Witness;
use crate::feed::{Ended, Feed, Mend};
use crate::store::cluster::{Cluster, ConnectError};
use crate::store::history::{self, History};
use crate::store::{self, collection, signing_keys, users};
use crate::transport::State;

/// Commits that wait for the hub before the feed reads on.
const FEED_BUFFER: usize = 1_024;

/// Runs the feed of a cluster and hands on what it tells. Returns once the feed is live, or has ended.
pub async fn follow(
    cluster: &Cluster,
    state: &State,
    beside: &Beside,
    mend: Mend,
    served: &Served,
    mut take: impl FnMut(FeedEvent) -> BoxFuture<'static, ()> + Send + 'static,
) {
    let (events, mut incoming) = mpsc::channel(FEED_BUFFER);
    let (live, mut is_live) = watch::channel(false);
    let feed = Feed::new(cluster.clone(), events.clone(), live, mend, served.witness(cluster.name));
    let (failed, complaint, name, served) =
        (beside.failed.clone(), beside.complaint.clone(), cluster.name, served.clone());
    beside.spawn(async move {
        if let Err(ended) = feed.run().await {
            let reason = match ended {
                Ended::Unusable(reason) => reason,
                Ended::Restored => served.give_up().await,
            };
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

/// The history that this node serves.
#[derive(Clone)]
pub struct Served {
    pub appointments: Cluster,
    pub history: History,
}

impl Served {
    /// What a cluster has since this node started, where it is known.
    fn witness(&self, cluster: ClusterName) -> Option<Witness> {
        let History { epoch, rev } = self.history;
        let of_appointments = || Witness {
            collection: collection::HISTORY.to_owned(),
            filter: history::document(epoch),
            rev: rev.into(),
        };
        (cluster == ClusterName::Appointments).then(of_appointments)
    }

    /// What this node keeps in memory, and the cursors that it gave out, are of a history that has not taken place. Returns what to tell.
    async fn give_up(&self) -> String {
        let cursors = match history::end(&self.appointments, self.history.epoch).await {
            Ok(()) => "Cursors from before lead to a reset",
            Err(_) => "Delete the document in the collection `history` of the appointments cluster before that",
        };
        format!(
            "it no longer has what it had: an earlier state was restored while Cita ran, or somebody deleted something. Start Cita again. {cursors}"
        )
    }
}

/// Mends the appointments cluster, unless it holds other data than before.
pub fn mend_appointments(served: Served) -> Mend {
    Box::new(move || {
        let served = served.clone();
        async move {
            let Served { appointments, history } = &served;
            let found = appointments.connect(|| store::prepare(appointments)).await?;
            // It grows each time that it is asked for.
            if found.epoch == history.epoch && found.rev <= history.rev {
                return Err(ConnectError::Unusable(served.give_up().await));
            }
            unless(
                found.epoch != history.epoch,
                "its database is another one than before: start Cita again when it is as it should be",
            )
        }
        .boxed()
    })
}

/// Mends the users cluster, unless there is nothing left that tokens could be signed with.
pub fn mend_users(cluster: Cluster) -> Mend {
    Box::new(move || {
        let cluster = cluster.clone();
        async move {
            cluster.connect(|| users::ensure_indexes(&cluster)).await?;
            let keys = signing_keys::all(&cluster).await.map_err(|error| ConnectError::Away(error.to_string()))?;
            unless(keys.is_empty(), "its signing keys are gone: put them back, or start Cita again, which makes one")
        }
        .boxed()
    })
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
