//! The sessions, in the users cluster. The feed tells their end to every node, so each change is a guarded replace.

use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Binary, DateTime, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::{IndexOptions, ReadConcern};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::collection;
use super::value::{binary, bson_id, bson_time, instant, uuid_of};
use super::write::{Verdict, confirm, linearizable, read, until_decided};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{Digest, RefreshDigests, Session};
use crate::error::{Error, Result};

/// A session as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub rev: u32,
    pub user_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    pub created_at: DateTime,
    pub rotated_at: DateTime,
    pub expires_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime>,
    pub family_hash: Binary,
    pub refresh_hash: Binary,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<Binary>,
}

/// Whether a guarded change won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    Won,
    /// The session had changed in the meantime; nothing was written.
    Lost,
}

pub(super) async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let revoked = IndexOptions::builder().partial_filter_expression(doc! { "revokedAt": { "$exists": true } }).build();
    cluster.ensure_index(collection::SESSIONS, "user", doc! { "userId": 1 }, IndexOptions::default()).await?;
    cluster.ensure_index(collection::SESSIONS, "revoked", doc! { "revokedAt": 1 }, revoked).await
}

/// Adds a session.
///
/// # Errors
/// Unavailable.
pub async fn insert(cluster: &Cluster, session: &Session) -> Result<()> {
    let document = SessionDoc::from(session);
    let sessions = sessions(cluster);
    let verdict = until_decided(cluster, || {
        let (sessions, document) = (sessions.clone(), document.clone());
        async move { sessions.insert_one(document).await }
    });
    match verdict.await? {
        Verdict::Done { .. } => Ok(()),
        Verdict::Duplicate { repeated: true, .. } if confirm(find_latest(cluster, session.id)).await?.is_some() => {
            Ok(())
        }
        Verdict::Duplicate { .. } => Err(Error::Internal("the id of a new session is taken".to_owned())),
    }
}

/// The session, as a majority knows it.
///
/// # Errors
/// Unavailable.
pub async fn find(cluster: &Cluster, id: SessionId) -> Result<Option<Session>> {
    find_with(cluster, id, ReadConcern::majority()).await
}

/// The session with everything that was written before: for after a lost race, when [`find`] may still see the past.
///
/// # Errors
/// Unavailable.
pub async fn find_latest(cluster: &Cluster, id: SessionId) -> Result<Option<Session>> {
    find_with(cluster, id, linearizable()).await
}

async fn find_with(cluster: &Cluster, id: SessionId, concern: ReadConcern) -> Result<Option<Session>> {
    let (sessions, filter) = (sessions(cluster), doc! { "_id": bson_id(id.0) });
    let found = read(cluster, async move { sessions.find_one(filter).read_concern(concern).await });
    found.await?.map(Session::try_from).transpose()
}

/// Puts `next` in the place of the revision before it.
///
/// The guard on `rev` is a guard on all that the caller has read: token, end and revocation. Each changes `rev`.
///
/// # Errors
/// Unavailable.
pub async fn replace(cluster: &Cluster, next: &Session) -> Result<Replaced> {
    let document = SessionDoc::from(next);
    let filter = doc! { "_id": document.id, "rev": next.rev - 1 };
    let sessions = sessions(cluster);
    let verdict = until_decided(cluster, || {
        let (sessions, filter, document) = (sessions.clone(), filter.clone(), document.clone());
        async move { sessions.replace_one(filter, document).await.map(|result| result.matched_count) }
    });
    match verdict.await? {
        Verdict::Done { value: 1, .. } => Ok(Replaced::Won),
        // The attempt before may have won: the refresh token's hash and the instants tell whose revision it is.
        Verdict::Done { repeated: true, .. }
            if confirm(find_latest(cluster, next.id)).await?.as_ref() == Some(next) =>
        {
            Ok(Replaced::Won)
        }
        Verdict::Done { .. } | Verdict::Duplicate { .. } => Ok(Replaced::Lost),
    }
}

/// The sessions that were revoked at `since` or later.
///
/// # Errors
/// Unavailable.
pub async fn revoked_since(cluster: &Cluster, since: Timestamp) -> Result<Vec<RevokedSession>> {
    use futures::TryStreamExt as _;
    let sessions = sessions(cluster);
    let filter = doc! { "revokedAt": { "$gte": bson_time(since) } };
    let found = read(cluster, async move { sessions.find(filter).await?.try_collect::<Vec<_>>().await });
    found.await?.into_iter().filter_map(|document| document.revocation().transpose()).collect()
}

/// Whether the user has a session in this network that has not ended.
///
/// # Errors
/// Unavailable.
pub async fn any_live_in(cluster: &Cluster, user: UserId, network: &str, now: Timestamp) -> Result<bool> {
    let live = doc! {
        "userId": bson_id(user.0),
        "network": network,
        "revokedAt": { "$exists": false },
        "expiresAt": { "$gt": bson_time(now) },
    };
    let sessions = sessions(cluster);
    Ok(read(cluster, async move { sessions.find_one(live).await }).await?.is_some())
}

/// A session that ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedSession {
    pub session: SessionId,
    pub user: UserId,
    pub at: Timestamp,
}

fn sessions(cluster: &Cluster) -> Collection<SessionDoc> {
    cluster.db.collection(collection::SESSIONS)
}

impl SessionDoc {
    /// When and whose, if it was revoked.
    pub(crate) fn revocation(&self) -> Result<Option<RevokedSession>> {
        let revoked = |at| {
            let (session, user) = (SessionId(uuid_of(self.id)), UserId(uuid_of(self.user_id)));
            Ok(RevokedSession { session, user, at: instant(at)? })
        };
        self.revoked_at.map(revoked).transpose()
    }
}

impl From<&Session> for SessionDoc {
    fn from(session: &Session) -> Self {
        Self {
            id: bson_id(session.id.0),
            rev: session.rev,
            user_id: bson_id(session.user.0),
            device: session.device.clone(),
            network: session.network.clone(),
            created_at: bson_time(session.created_at),
            rotated_at: bson_time(session.rotated_at),
            expires_at: bson_time(session.expires_at),
            revoked_at: session.revoked_at.map(bson_time),
            family_hash: binary(session.refresh.family),
            refresh_hash: binary(session.refresh.current),
            previous_hash: session.refresh.previous.map(binary),
        }
    }
}

impl TryFrom<SessionDoc> for Session {
    type Error = Error;

    fn try_from(document: SessionDoc) -> Result<Self> {
        let refresh = RefreshDigests {
            family: digest(document.family_hash)?,
            current: digest(document.refresh_hash)?,
            previous: document.previous_hash.map(digest).transpose()?,
        };
        Ok(Self {
            id: SessionId(uuid_of(document.id)),
            rev: document.rev,
            user: UserId(uuid_of(document.user_id)),
            device: document.device,
            network: document.network,
            created_at: instant(document.created_at)?,
            rotated_at: instant(document.rotated_at)?,
            expires_at: instant(document.expires_at)?,
            revoked_at: document.revoked_at.map(instant).transpose()?,
            refresh,
        })
    }
}

fn digest(hash: Binary) -> Result<Digest> {
    hash.bytes.try_into().map_err(|_| Error::Internal("a session has a hash that is not 32 bytes".to_owned()))
}
