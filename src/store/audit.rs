//! The audit, in the users cluster. Entries are added, read, and dropped by age; nothing changes one.

use std::time::Duration;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{DateTime, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::IndexOptions;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::collection;
use super::value::{bson_id, bson_time, instant, uuid_of};
use super::write::{read, until_decided};
use crate::domain::audit::{Entry, Outcome};
use crate::domain::ids::{SessionId, UserId};
use crate::error::{Error, Result};

/// How long an entry is kept.
const KEPT_FOR: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// An entry as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryDoc {
    #[serde(rename = "_id")]
    id: Uuid,
    at: DateTime,
    action: String,
    outcome: String,
    /// Whom it concerns: who did it, and the user that it was done to. What a person's own entries are found by.
    concerns: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<String>,
}

/// Which entries to list, latest first.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only what concerns this user.
    pub concerns: Option<UserId>,
    pub before: Option<Timestamp>,
    /// Time and id of the last one of the page before.
    pub after: Option<(Timestamp, uuid::Uuid)>,
    pub limit: i64,
}

pub(super) async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let plain = IndexOptions::default;
    let expiring = IndexOptions::builder().expire_after(KEPT_FOR).build();
    let indexes = [
        ("expiry", doc! { "at": 1 }, expiring),
        ("at", doc! { "at": -1, "_id": -1 }, plain()),
        ("concerns", doc! { "concerns": 1, "at": -1, "_id": -1 }, plain()),
    ];
    cluster.ensure_indexes(collection::AUDIT, indexes).await
}

/// Adds an entry. Adding it again is no error.
///
/// # Errors
/// Unavailable.
pub async fn insert(cluster: &Cluster, entry: &Entry) -> Result<()> {
    let document = EntryDoc::from(entry);
    let entries = entries(cluster);
    let verdict = until_decided(cluster, || {
        let (entries, document) = (entries.clone(), document.clone());
        async move { entries.insert_one(document).await }
    });
    verdict.await.map(|_| ())
}

/// Lists entries, latest first.
///
/// # Errors
/// Unavailable.
pub async fn list(cluster: &Cluster, query: &Query) -> Result<Vec<Entry>> {
    let mut filter = doc! {};
    if let Some(user) = query.concerns {
        filter.insert("concerns", bson_id(user.0));
    }
    if let Some(before) = query.before {
        filter.insert("at", doc! { "$lt": bson_time(before) });
    }
    if let Some((last, id)) = query.after {
        let last = bson_time(last);
        filter.insert("$or", vec![doc! { "at": { "$lt": last } }, doc! { "at": last, "_id": { "$lt": bson_id(id) } }]);
    }
    let (entries, limit) = (entries(cluster), query.limit);
    let found = read(cluster, async move {
        let sorted = entries.find(filter).sort(doc! { "at": -1, "_id": -1 }).limit(limit);
        sorted.await?.try_collect::<Vec<_>>().await
    });
    found.await?.into_iter().map(Entry::try_from).collect()
}

/// Takes from every entry of a user where they were: for erasure. Where somebody else did something to them, it tells where
/// that one was, and stays.
///
/// # Errors
/// Unavailable.
pub async fn forget_networks(cluster: &Cluster, user: UserId) -> Result<()> {
    let entries = entries(cluster);
    let verdict = until_decided(cluster, || {
        let entries = entries.clone();
        // Without an actor it was the user, or somebody who tried to be.
        let own = vec![doc! { "actor": bson_id(user.0) }, doc! { "actor": { "$exists": false } }];
        let filter = doc! { "concerns": bson_id(user.0), "network": { "$exists": true }, "$or": own };
        async move { entries.update_many(filter, doc! { "$unset": { "network": 1 } }).await }
    });
    verdict.await.map(|_| ())
}

fn entries(cluster: &Cluster) -> Collection<EntryDoc> {
    cluster.db.collection(collection::AUDIT)
}

impl From<&Entry> for EntryDoc {
    fn from(entry: &Entry) -> Self {
        let mut concerns: Vec<Uuid> =
            entry.actor.map(|user| user.0).into_iter().chain(entry.object).map(bson_id).collect();
        concerns.dedup();
        Self {
            id: bson_id(entry.id),
            at: bson_time(entry.at),
            action: entry.action.clone(),
            outcome: entry.outcome.as_str().to_owned(),
            concerns,
            actor: entry.actor.map(|user| bson_id(user.0)),
            session: entry.session.map(|session| bson_id(session.0)),
            network: entry.network.clone(),
            object: entry.object.map(bson_id),
            change: entry.change.clone(),
        }
    }
}

impl TryFrom<EntryDoc> for Entry {
    type Error = Error;

    fn try_from(document: EntryDoc) -> Result<Self> {
        let outcome = Outcome::named(&document.outcome);
        Ok(Self {
            id: uuid_of(document.id),
            at: instant(document.at)?,
            action: document.action,
            outcome: outcome.ok_or_else(|| Error::Internal("an audit entry has an unknown outcome".to_owned()))?,
            actor: document.actor.map(|user| UserId(uuid_of(user))),
            session: document.session.map(|session| SessionId(uuid_of(session))),
            network: document.network,
            object: document.object.map(uuid_of),
            change: document.change,
        })
    }
}
