//! Whether a database still has what it told: one that was restored to an earlier state takes a later position without a word, and what it
//! tells from then on contradicts what it told before.

use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use mongodb::error::Result as DriverResult;
use mongodb::options::ReadConcern;

use crate::store::cluster::Cluster;

/// A document that the database had, at a revision. Cita deletes none that a stream tells of, and revisions only grow.
#[derive(Clone, Debug)]
pub struct Witness {
    pub collection: String,
    /// What finds it.
    pub filter: Document,
    pub rev: i64,
}

impl Witness {
    /// What an event has told; `None` where it tells of no revision.
    pub fn of(event: &RawDocument) -> Option<Self> {
        let collection = event.get_document("ns").ok()?.get_str("coll").ok()?.to_owned();
        let id: Bson = event.get_document("documentKey").ok()?.get("_id").ok()??.try_into().ok()?;
        let rev = match event.get_document("fullDocument").ok()?.get("rev").ok()?? {
            RawBsonRef::Int32(rev) => i64::from(rev),
            RawBsonRef::Int64(rev) => rev,
            _ => return None,
        };
        Some(Self { collection, filter: doc! { "_id": id }, rev })
    }

    /// Whether the database has it, at this revision or a later one.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn is_true(&self, cluster: &Cluster) -> DriverResult<bool> {
        let documents = cluster.db.collection::<Document>(&self.collection);
        // A member that was replaced and does not know it yet has not seen everything either.
        let found = documents
            .find_one(self.filter.clone())
            .projection(doc! { "rev": 1 })
            .read_concern(ReadConcern::linearizable())
            .await?;
        let rev = found.as_ref().and_then(|document| document.get("rev"));
        let rev = rev.and_then(|rev| rev.as_i64().or_else(|| rev.as_i32().map(i64::from)));
        Ok(rev.is_some_and(|rev| rev >= self.rev))
    }
}
