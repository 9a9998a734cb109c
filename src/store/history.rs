//! Which history a database holds: a number, chosen once, that tells cursors of other databases apart.

use mongodb::bson::{Document, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::ReturnDocument;

use super::cluster::Cluster;
use super::collection;
use super::write::until_decided;
use crate::error::Result;

/// The history of a database.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// What its cursors say. Zero is the epoch of cursors that nobody wrote.
    pub epoch: u32,
    /// Grows with each node that opens it: a database that was restored to before has a lower one.
    pub rev: i32,
}

/// The only document of its collection.
const ID: &str = "history";

/// The history of the database, begun by whichever node asks first.
///
/// # Errors
/// What the driver said.
pub async fn open(cluster: &Cluster) -> std::result::Result<History, DriverError> {
    let history = cluster.db.collection::<Document>(collection::HISTORY);
    let found = history
        .find_one_and_update(doc! { "_id": ID }, doc! { "$setOnInsert": { "epoch": chosen() }, "$inc": { "rev": 1 } })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await?;
    let number = |name| found.as_ref().and_then(|document| document.get_i32(name).ok());
    let (epoch, rev) =
        number("epoch").zip(number("rev")).ok_or_else(|| DriverError::custom("the history has no number"))?;
    Ok(History { epoch: u32::from_be_bytes(epoch.to_be_bytes()), rev })
}

/// Ends a history and begins another, unless another node has: cursors of it lead to a reset at whatever node starts from now on.
///
/// # Errors
/// Unavailable.
pub async fn end(cluster: &Cluster, epoch: u32) -> Result<()> {
    let history = cluster.db.collection::<Document>(collection::HISTORY);
    let next = doc! { "$set": { "epoch": chosen() }, "$inc": { "rev": 1 } };
    let ended = until_decided(cluster, || {
        let (history, next) = (history.clone(), next.clone());
        async move { history.update_one(document(epoch), next).await }
    });
    ended.await.map(|_| ())
}

/// What finds the document while it has this epoch.
#[must_use]
pub fn document(epoch: u32) -> Document {
    doc! { "_id": ID, "epoch": i32::from_be_bytes(epoch.to_be_bytes()) }
}

fn chosen() -> i32 {
    let random = i32::from_be_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[1; 4]));
    if random == 0 { 1 } else { random }
}
