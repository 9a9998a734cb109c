//! The reminders that are due at some time. Which appointment, and when: whose it is, the appointment says.
//!
//! A reminder is a note and decides nothing: whoever finds it due looks at the appointment. So it does no harm when one is
//! written twice, or stays behind.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{DateTime, Document, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::IndexOptions;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::collection;
use super::value::{bson_id, bson_time, instant, uuid_of};
use super::write::{Verdict, read, until_decided};
use crate::domain::ids::AppointmentId;
use crate::error::Result;

/// A reminder that waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminder {
    pub of: AppointmentId,
    /// When the appointment begins: one that was moved has another reminder.
    pub start: Timestamp,
    pub due: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct ReminderDoc {
    #[serde(rename = "_id")]
    id: Uuid,
    start: DateTime,
    due: DateTime,
}

/// Where they wait.
#[derive(Clone)]
pub struct ReminderStore {
    cluster: Cluster,
    collection: Collection<ReminderDoc>,
}

impl ReminderStore {
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { collection: cluster.db.collection(collection::REMINDERS), cluster }
    }

    /// Creates the index of the collection.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn ensure_indexes(&self) -> Result<()> {
        let verdict = until_decided(&self.cluster, || {
            let cluster = self.cluster.clone();
            async move {
                let due = [("due", doc! { "due": 1 }, IndexOptions::default())];
                cluster.ensure_indexes(collection::REMINDERS, due).await
            }
        });
        verdict.await.map(|_| ())
    }

    /// Writes reminders, each in the place of the one before, with one command.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn put(&self, reminders: &[Reminder]) -> Result<()> {
        if reminders.is_empty() {
            return Ok(());
        }
        let put = |reminder: &Reminder| {
            let id = bson_id(reminder.of.0);
            let next = doc! { "_id": id, "start": bson_time(reminder.start), "due": bson_time(reminder.due) };
            doc! { "q": { "_id": id }, "u": next, "upsert": true }
        };
        let command = doc! {
            "update": collection::REMINDERS,
            "updates": reminders.iter().map(put).collect::<Vec<_>>(),
            "ordered": false,
            "writeConcern": { "w": "majority", "j": true },
        };
        let verdict = until_decided(&self.cluster, || {
            let (db, command) = (self.cluster.db.clone(), command.clone());
            async move {
                let reply = db.run_command(command).await?;
                match reply.contains_key("writeErrors") || reply.contains_key("writeConcernError") {
                    true => Err(DriverError::custom("not every reminder was written")),
                    false => Ok(()),
                }
            }
        });
        verdict.await.map(|_| ())
    }

    /// Drops the reminders of appointments, where there are any.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn drop_of(&self, appointments: &[AppointmentId]) -> Result<()> {
        if appointments.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = appointments.iter().map(|id| bson_id(id.0)).collect();
        self.delete(doc! { "_id": { "$in": ids } }).await
    }

    /// Those that are due and can be taken under a fence, the earliest first, at most `limit`.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn due(&self, now: Timestamp, fence: i64, limit: i64) -> Result<Vec<Reminder>> {
        let mut filter = free(fence);
        filter.insert("due", doc! { "$lte": bson_time(now) });
        let collection = self.collection.clone();
        let found = read(&self.cluster, async move {
            collection.find(filter).sort(doc! { "due": 1 }).limit(limit).await?.try_collect::<Vec<_>>().await
        });
        let of = |document: ReminderDoc| {
            let (start, due) = (instant(document.start)?, instant(document.due)?);
            Ok(Reminder { of: AppointmentId(uuid_of(document.id)), start, due })
        };
        found.await?.into_iter().map(of).collect()
    }

    /// Takes a reminder to be told, under the fence of a lease. `false`: it is not there any more, or a later holder has it.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn take(&self, reminder: &Reminder, fence: i64) -> Result<bool> {
        let mut guard = same(reminder);
        guard.extend(free(fence));
        self.update(guard, doc! { "$set": { "taken": fence } }).await
    }

    /// Puts off a reminder that was taken: another one of the same appointment takes its place.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn put_off(&self, reminder: &Reminder, later: &Reminder, fence: i64) -> Result<()> {
        let set = doc! { "start": bson_time(later.start), "due": bson_time(later.due) };
        let next = doc! { "$set": set, "$unset": { "taken": 1 } };
        self.update(taken(reminder, fence), next).await.map(drop)
    }

    /// Drops a reminder that was taken.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn done(&self, reminder: &Reminder, fence: i64) -> Result<()> {
        self.delete(taken(reminder, fence)).await
    }

    async fn update(&self, guard: Document, next: Document) -> Result<bool> {
        let verdict = until_decided(&self.cluster, || {
            let (collection, guard, next) = (self.collection.clone(), guard.clone(), next.clone());
            async move { collection.update_one(guard, next).await }
        });
        Ok(matches!(verdict.await?, Verdict::Done { value, .. } if value.matched_count == 1))
    }

    async fn delete(&self, filter: Document) -> Result<()> {
        let verdict = until_decided(&self.cluster, || {
            let (collection, filter) = (self.collection.clone(), filter.clone());
            async move { collection.delete_many(filter).await }
        });
        verdict.await.map(|_| ())
    }
}

/// This reminder, unless the appointment was moved.
fn same(reminder: &Reminder) -> Document {
    doc! { "_id": bson_id(reminder.of.0), "start": bson_time(reminder.start) }
}

/// No later holder has it.
fn free(fence: i64) -> Document {
    doc! { "$or": [{ "taken": { "$exists": false } }, { "taken": { "$lte": fence } }] }
}

/// This reminder, as long as this holder has it.
fn taken(reminder: &Reminder, fence: i64) -> Document {
    let mut guard = same(reminder);
    guard.insert("taken", fence);
    guard
}
