//! Which history a database holds: a number, chosen once, that tells cursors of other databases apart.

use mongodb::bson::{Document, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::ReturnDocument;

use super::cluster::Cluster;

const COLLECTION: &str = "history";

/// The number of the database's history, chosen by whichever node asks first.
///
/// # Errors
/// What the driver said.
pub async fn epoch(cluster: &Cluster) -> Result<u32, DriverError> {
    let history = cluster.db.collection::<Document>(COLLECTION);
    let chosen = i32::from_be_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[1; 4]));
    let found = history
        .find_one_and_update(doc! { "_id": "history" }, doc! { "$setOnInsert": { "epoch": chosen } })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await?;
    let epoch = found.and_then(|document| document.get_i32("epoch").ok());
    let epoch = epoch.ok_or_else(|| DriverError::custom("the history has no number"))?;
    // Zero is the epoch of cursors that nobody wrote.
    Ok(u32::from_be_bytes(epoch.to_be_bytes()).max(1))
}
