//! A raw batch of a change stream to whole commits.

use std::sync::Arc;

use mongodb::bson::{DateTime, Document, RawArray, RawBsonRef, RawDocument, deserialize_from_slice};

use super::time_of;
use super::witness::Witness;
use crate::domain::change::{Change, Commit, Position};
use crate::domain::session::Session;
use crate::store::collection;
use crate::store::documents::{DoctorDoc, EntryDoc, ReviewDoc, WaitlistDoc};
use crate::store::sessions::SessionDoc;
use crate::store::value::position;

/// What Cita did not write. It is never skipped.
#[derive(Debug, thiserror::Error)]
pub enum Odd {
    /// An event that does not read as what it should be.
    #[error("an event cannot be read: {0}")]
    Poison(String),
    /// A watched collection, or an index of it, is no longer what the promises rest on.
    #[error("{0}")]
    Damage(String),
}

/// What a batch tells.
pub struct Batch {
    /// In order, each cluster time once.
    pub commits: Vec<Commit>,
    /// Where to go on after this batch.
    pub token: Document,
    /// Everything up to here has been looked at. `None` in the first reply, whose token may only repeat where the stream was
    /// asked to begin.
    pub scanned: Option<Position>,
    /// The latest time that the server knew when it replied.
    pub known: Option<Position>,
    /// What the last event told.
    pub last: Option<Witness>,
    /// When the database wrote the first and the last event, by its own clock, in milliseconds since the epoch.
    pub written: Option<(i64, i64)>,
}

/// Reads a reply of `aggregate` or `getMore`.
///
/// # Errors
/// [`Odd`], when anything in it is not as expected.
pub fn batch<'a>(reply: &'a RawDocument) -> Result<Batch, Odd> {
    let cursor = reply.get_document("cursor").map_err(poison)?;
    let first = cursor.get("firstBatch").map_err(poison)?.is_some();
    let events = cursor.get_array(if first { "firstBatch" } else { "nextBatch" }).map_err(poison)?;
    let token: Document = cursor.get_document("postBatchResumeToken").map_err(poison)?.try_into().map_err(poison)?;
    let scanned = time_of(&token).filter(|_| !first);
    let time = reply.get_document("$clusterTime").and_then(|gossip| gossip.get_timestamp("clusterTime"));
    let known = time.ok().map(position);
    let document = |event: Option<RawBsonRef<'a>>| event?.as_document();
    let mut each = events.into_iter().flatten();
    let first = document(each.next());
    let last = document(each.last()).or(first);
    let written = first.zip(last).and_then(|(first, last)| Some((wall_time(first)?, wall_time(last)?)));
    Ok(Batch { commits: commits(events)?, token, scanned, known, last: last.and_then(Witness::of), written })
}

/// When an event was written, in milliseconds since the epoch. A server older than 6.0 does not say.
fn wall_time(event: &RawDocument) -> Option<i64> {
    event.get_datetime("wallTime").ok().map(DateTime::timestamp_millis)
}

fn commits(events: &RawArray) -> Result<Vec<Commit>, Odd> {
    let mut commits: Vec<Commit> = Vec::new();
    for event in events {
        let event = event.map_err(poison)?;
        let event = event.as_document().ok_or_else(|| Odd::Poison("not a document".to_owned()))?;
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

fn change(event: &RawDocument) -> Result<Option<Change>, Odd> {
    let name = event.get_document("ns").and_then(|ns| ns.get_str("coll"));
    match event.get_str("operationType").map_err(poison)? {
        "insert" | "replace" => {}
        "create"
        | "createIndexes"
        | "modify"
        | "shardCollection"
        | "reshardCollection"
        | "refineCollectionShardKey" => {
            return Ok(None);
        }
        kind @ ("drop" | "rename" | "dropIndexes" | "dropDatabase" | "invalidate") => {
            let to = event.get_document("to").and_then(|to| to.get_str("coll")).map(|to| format!(" to {to}"));
            let what = format!("{} {kind}{}", name.unwrap_or_default(), to.unwrap_or_default());
            return Err(Odd::Damage(format!("somebody else has changed what the data lies in: {}", what.trim_start())));
        }
        // Cita only inserts and replaces what it watches: anything else happened behind its back.
        other => {
            let (name, id) = (name.unwrap_or_default(), id_of(event).unwrap_or_default());
            return Err(Odd::Poison(format!("{name} {id}: an unexpected {other}")));
        }
    }
    let name = name.map_err(poison)?;
    let document = event.get_document("fullDocument").map_err(poison)?;
    read(name, document).map_err(|why| Odd::Poison(format!("{name} {}: {why}", id_of(event).unwrap_or_default())))
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
fn read(name: &str, document: &RawDocument) -> Result<Option<Change>, String> {
    match name {
        collection::APPOINTMENTS => {
            let document = EntryDoc::read(document).map_err(text)?;
            Ok(Some(Change::Entry(document.to_domain().map_err(text)?)))
        }
        collection::DOCTORS => {
            let document: DoctorDoc = deserialize_from_slice(document.as_bytes()).map_err(text)?;
            Ok(Some(Change::Doctor(Arc::new(document.to_domain().map_err(text)?))))
        }
        collection::REVIEWS => {
            let document: ReviewDoc = deserialize_from_slice(document.as_bytes()).map_err(text)?;
            Ok(Some(Change::Review(Arc::new(document.to_domain().map_err(text)?))))
        }
        collection::WAITLIST => {
            let document: WaitlistDoc = deserialize_from_slice(document.as_bytes()).map_err(text)?;
            Ok(Some(Change::Waitlist(Arc::new(document.to_domain().map_err(text)?))))
        }
        collection::SESSIONS => {
            let document: SessionDoc = deserialize_from_slice(document.as_bytes()).map_err(text)?;
            Ok(Some(Change::Session(Arc::new(Session::try_from(document).map_err(text)?))))
        }
        // Those who need them read them: private keys do not travel further than they must.
        collection::SIGNING_KEYS => Ok(Some(Change::SigningKey)),
        _ => Ok(None),
    }
}

fn poison(error: impl std::fmt::Display) -> Odd {
    Odd::Poison(error.to_string())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
