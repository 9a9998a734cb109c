//! What is sent to the database. That some of the documents of a command collide decides on them, and is no failure of the others.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{
    DateTime, Document, RawDocumentBuf, Uuid, deserialize_from_document, doc, serialize_to_raw_document_buf,
};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::ReadConcern;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Kind;
use super::keys::Collision;
use crate::domain::change::Position;
use crate::store::appointments::PRIMARY_INDEX;
use crate::store::cluster::Cluster;
use crate::store::failure::{DUPLICATE_KEY, Failure, duplicate, tick_of};
use crate::store::whole::reached;

/// What an attempt found out about one of its documents.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Of a hold: until when it lasts.
    Written(Option<DateTime>),
    /// `tick`: where that collided.
    Collided { collision: Collision, tick: Option<i32> },
    /// A change, where nothing of its id was there: it stands in a collection from which its appointment is gone.
    Astray,
}

/// What became of the documents of a command, in their order.
pub(super) type Attempted = (Vec<Found>, Position);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Update<'a> {
    update: &'a str,
    updates: &'a [RawDocumentBuf],
    ordered: bool,
    write_concern: Document,
}

/// What the server says of an `update`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Updated {
    #[serde(default)]
    upserted: Vec<Upserted>,
    #[serde(default)]
    write_errors: Vec<Refusal>,
    write_concern_error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Upserted {
    index: usize,
    #[serde(rename = "_id")]
    id: Uuid,
}

#[derive(Deserialize)]
struct Refusal {
    index: usize,
    code: i32,
    errmsg: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ending {
    #[serde(rename = "_id")]
    id: Uuid,
    expires_at: DateTime,
}

/// Sends documents of one kind, or their statements.
pub(super) async fn attempt(
    kind: Kind,
    cluster: Cluster,
    collection: Collection<RawDocumentBuf>,
    writes: Arc<[RawDocumentBuf]>,
) -> Result<Attempted, DriverError> {
    match kind {
        Kind::Booking => insert(&cluster, &collection, &writes).await,
        Kind::Hold => hold(&cluster, &collection, &writes).await,
        Kind::Change => change(&cluster, &collection, &writes).await,
    }
}

async fn insert(
    cluster: &Cluster,
    collection: &Collection<RawDocumentBuf>,
    documents: &[RawDocumentBuf],
) -> Result<Attempted, DriverError> {
    let mut session = cluster.session().await?;
    let mut found = vec![Found::Written(None); documents.len()];
    let sent = collection.insert_many(documents.iter()).ordered(false).session(&mut session).await;
    if let Err(error) = sent {
        let ErrorKind::InsertMany(many) = error.kind.as_ref() else { return Err(error) };
        let errors = many.write_errors.as_deref().unwrap_or_default();
        if many.write_concern_error.is_some() || errors.is_empty() {
            return Err(undecided());
        }
        for error in errors {
            collided(&mut found, error.index, error.code, &error.message)?;
        }
    }
    Ok((found, reached(&session)))
}

/// The database's clock says how long holds last, and is asked what it has said. One that is there already is neither inserted nor
/// refused.
async fn hold(
    cluster: &Cluster,
    collection: &Collection<RawDocumentBuf>,
    statements: &[RawDocumentBuf],
) -> Result<Attempted, DriverError> {
    let there = Found::Collided { collision: (PRIMARY_INDEX.to_owned(), None), tick: None };
    let (mut found, at, upserted) = update(cluster, collection, statements, there).await?;
    if upserted.is_empty() {
        return Ok((found, at));
    }
    let ids: Vec<Uuid> = upserted.iter().map(|upserted| upserted.id).collect();
    let endings: Collection<Ending> = collection.clone_with_type();
    let written = endings.find(doc! { "_id": { "$in": ids } }).projection(doc! { "expiresAt": 1 });
    // A majority has them, but a new primary may not have noticed.
    let written: Vec<Ending> = written.read_concern(ReadConcern::local()).await?.try_collect().await?;
    let until: HashMap<Uuid, DateTime> = written.into_iter().map(|hold| (hold.id, hold.expires_at)).collect();
    for Upserted { index, id } in upserted {
        let until = until.get(&id).ok_or_else(undecided)?;
        *found.get_mut(index).ok_or_else(undecided)? = Found::Written(Some(*until));
    }
    Ok((found, at))
}

/// A change that was inserted has changed nothing: whoever asked for it is not told that it has.
async fn change(
    cluster: &Cluster,
    collection: &Collection<RawDocumentBuf>,
    statements: &[RawDocumentBuf],
) -> Result<Attempted, DriverError> {
    let (mut found, at, upserted) = update(cluster, collection, statements, Found::Written(None)).await?;
    for Upserted { index, id } in upserted {
        tracing::error!(%id, "an appointment was gone when it was to be changed: is the collection another one?");
        *found.get_mut(index).ok_or_else(undecided)? = Found::Astray;
    }
    Ok((found, at))
}

/// Sends statements; `otherwise`: what one came to that was not refused.
async fn update(
    cluster: &Cluster,
    collection: &Collection<RawDocumentBuf>,
    statements: &[RawDocumentBuf],
    otherwise: Found,
) -> Result<(Vec<Found>, Position, Vec<Upserted>), DriverError> {
    let mut session = cluster.session().await?;
    let command = Update {
        update: collection.name(),
        updates: statements,
        ordered: false,
        // A command as such has none of its own.
        write_concern: doc! { "w": "majority", "j": true },
    };
    let command = serialize_to_raw_document_buf(&command)?;
    let reply = cluster.db.run_raw_command(command).session(&mut session).await?;
    let reply: Updated = deserialize_from_document(reply)?;
    if reply.write_concern_error.is_some() {
        return Err(undecided());
    }
    let mut found = vec![otherwise; statements.len()];
    for Refusal { index, code, errmsg } in &reply.write_errors {
        collided(&mut found, *index, *code, errmsg)?;
    }
    Ok((found, reached(&session), reply.upserted))
}

fn collided(found: &mut [Found], index: usize, code: i32, message: &str) -> Result<(), DriverError> {
    match (found.get_mut(index), duplicate(message)) {
        (Some(place), Failure::Duplicate { index, value }) if code == DUPLICATE_KEY => {
            *place = Found::Collided { collision: (index, value), tick: tick_of(message) };
            Ok(())
        }
        // What became of the others is not known.
        _ => Err(undecided()),
    }
}

fn undecided() -> DriverError {
    DriverError::custom("not all of a batch was decided")
}
