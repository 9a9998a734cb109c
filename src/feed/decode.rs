//! A raw batch of a change stream to whole commits.

use std::sync::Arc;

use mongodb::bson::{Document, RawArray, RawBsonRef, RawDocument, deserialize_from_slice};

use super::time_of;
use crate::domain::change::{Change, Commit, Position};
use crate::domain::session::Session;
use crate::store::collection;
use crate::store::documents::{DoctorDoc, EntryDoc, ReviewDoc, WaitlistDoc};
use crate::store::sessions::SessionDoc;
use crate::store::value::position;

/// An event that does not read as what it should be. It is never skipped.
#[derive(Debug, thiserror::Error)]
#[error("an event cannot be read: {0}")]
pub struct Poison(String);

/// What a batch tells.
pub struct Batch {
    /// In order, each cluster time once.
    pub commits: Vec<Commit>,
    /// Where to go on after this batch.
    pub token: Document,
    /// Everything up to here has been looked at.
    pub scanned: Option<Position>,
    /// When the database wrote the first and the last event, by its own clock, in milliseconds since the epoch.
    pub written: Option<(i64, i64)>,
}

/// Reads a reply of `aggregate` or `getMore`.
///
/// # Errors
/// [`Poison`], when anything in it is not as expected.
pub fn batch(reply: &RawDocument) -> Result<Batch, Poison> {
    let cursor = reply.get_document("cursor").map_err(poison)?;
    let first = cursor.get("firstBatch").map_err(poison)?.is_some();
    let events = cursor.get_array(if first { "firstBatch" } else { "nextBatch" }).map_err(poison)?;
    let token: Document = cursor.get_document("postBatchResumeToken").map_err(poison)?.try_into().map_err(poison)?;
    // The first reply's token may only repeat where the stream was asked to begin.
    let scanned = time_of(&token).filter(|_| !first);
    Ok(Batch { commits: commits(events)?, token, scanned, written: written(events) })
}

/// A server older than 6.0 does not say.
fn written(events: &RawArray) -> Option<(i64, i64)> {
    let mut events = events.into_iter().flatten();
    let time = |event: RawBsonRef<'_>| Some(event.as_document()?.get_datetime("wallTime").ok()?.timestamp_millis());
    let first = time(events.next()?)?;
    Some((first, events.last().and_then(time).unwrap_or(first)))
}

fn commits(events: &RawArray) -> Result<Vec<Commit>, Poison> {
    let mut commits: Vec<Commit> = Vec::new();
    for event in events {
        let event = event.map_err(poison)?;
        let event = event.as_document().ok_or_else(|| Poison("not a document".to_owned()))?;
        let at = position(event.get_timestamp("clusterTime").map_err(poison)?);
        let Some(change) = change(event)? else { continue };
        let bytes = event.as_bytes().len();
        match commits.last_mut() {
            Some(commit) if commit.at == at => {
                commit.changes.push(change);
                commit.bytes += bytes;
            }
            _ => commits.push(Commit { at, changes: vec![change], bytes }),
        }
    }
    Ok(commits)
}

fn change(event: &RawDocument) -> Result<Option<Change>, Poison> {
    match event.get_str("operationType").map_err(poison)? {
        "insert" | "replace" => {}
        "create" | "createIndexes" | "dropIndexes" | "modify" | "shardCollection" => return Ok(None),
        // Cita only inserts and replaces what it watches: anything else happened behind its back.
        other => {
            let name = event.get_document("ns").and_then(|ns| ns.get_str("coll")).unwrap_or_default();
            return Err(Poison(format!("{name} {}: an unexpected {other}", id_of(event).unwrap_or_default())));
        }
    }
    let name = event.get_document("ns").and_then(|ns| ns.get_str("coll")).map_err(poison)?;
    let document = event.get_document("fullDocument").map_err(poison)?;
    read(name, document).map_err(|Poison(why)| Poison(format!("{name} {}: {why}", id_of(event).unwrap_or_default())))
}

/// Which document an event is about, for the person who has to look at it.
fn id_of(event: &RawDocument) -> Option<String> {
    match event.get_document("documentKey").ok()?.get("_id").ok()?? {
        RawBsonRef::Binary(id) if id.bytes.len() == 16 => {
            uuid::Uuid::from_slice(id.bytes).ok().map(|id| id.to_string())
        }
        other => Some(format!("{other:?}")),
    }
}

/// What a whole document of a watched collection tells.
fn read(name: &str, document: &RawDocument) -> Result<Option<Change>, Poison> {
    match name {
        collection::APPOINTMENTS => {
            let document = EntryDoc::read(document).map_err(poison)?;
            Ok(Some(Change::Entry(document.to_domain().map_err(poison)?)))
        }
        collection::DOCTORS => {
            let document: DoctorDoc = deserialize_from_slice(document.as_bytes()).map_err(poison)?;
            Ok(Some(Change::Doctor(Arc::new(document.to_domain().map_err(poison)?))))
        }
        collection::REVIEWS => {
            let document: ReviewDoc = deserialize_from_slice(document.as_bytes()).map_err(poison)?;
            Ok(Some(Change::Review(Arc::new(document.to_domain().map_err(poison)?))))
        }
        collection::WAITLIST => {
            let document: WaitlistDoc = deserialize_from_slice(document.as_bytes()).map_err(poison)?;
            Ok(Some(Change::Waitlist(Arc::new(document.to_domain().map_err(poison)?))))
        }
        collection::SESSIONS => {
            let document: SessionDoc = deserialize_from_slice(document.as_bytes()).map_err(poison)?;
            Ok(Some(Change::Session(Arc::new(Session::try_from(document).map_err(poison)?))))
        }
        // Those who need them read them: private keys do not travel further than they must.
        collection::SIGNING_KEYS => Ok(Some(Change::SigningKey)),
        _ => Ok(None),
    }
}

fn poison(error: impl std::fmt::Display) -> Poison {
    Poison(error.to_string())
}
