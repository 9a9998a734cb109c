//! Whole documents by their id: read as they are now, and replaced under a guard.

use mongodb::bson::{Document, Uuid, doc};
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cluster::Cluster;
use super::value::position;
use super::write::{Verdict, read, until_decided};
use crate::domain::change::Position;
use crate::error::Result;

/// Reads a document, with the position of the read.
pub(super) async fn find<D>(
    cluster: &Cluster,
    collection: &Collection<D>,
    id: Uuid,
    concern: ReadConcern,
) -> Result<Option<(D, Position)>>
where
    D: DeserializeOwned + Send + Sync + 'static,
{
    let (cluster_in_task, collection) = (cluster.clone(), collection.clone());
    read(cluster, async move {
        let mut session = cluster_in_task.session().await?;
        let found = collection.find_one(doc! { "_id": id }).read_concern(concern).session(&mut session).await?;
        Ok(found.map(|document| (document, reached(&session))))
    })
    .await
}

/// Puts a document in the place of the one that the guard describes. A value of `None`: the guard did not match.
pub(super) async fn replace<D>(
    cluster: &Cluster,
    collection: &Collection<D>,
    guard: &Document,
    document: &D,
) -> Result<Verdict<Option<Position>>>
where
    D: Serialize + Clone + Send + Sync + 'static,
{
    until_decided(cluster, || {
        let (cluster, collection) = (cluster.clone(), collection.clone());
        let (guard, document) = (guard.clone(), document.clone());
        async move {
            let mut session = cluster.session().await?;
            let result = collection.replace_one(guard, document).session(&mut session).await?;
            Ok((result.matched_count == 1).then(|| reached(&session)))
        }
    })
    .await
}

/// The position that the last operation of a session has reached.
pub(super) fn reached(session: &ClientSession) -> Position {
    session.operation_time().map(position).unwrap_or_default()
}
