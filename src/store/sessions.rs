//! The sessions, in the users cluster. The feed tells their end to every node, so each change is a guarded replace.

use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Binary, DateTime, Document, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::{IndexOptions, ReadConcern};
use serde::{Deserialize, Serialize};

use super::appointments::snapshot_position;
use super::cluster::Cluster;
use super::value::{binary, bson_id, bson_time, instant, uuid_of};
use super::write::{Verdict, confirm, linearizable, read, until_decided};
use super::{collection, whole};
use crate::domain::change::Position;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{Refresh, Session};
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
    pub network: String,
    pub created_at: DateTime,
    pub last_seen_at: DateTime,
    pub expires_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime>,
    /// Absent where another issuer's tokens carry the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshDoc>,
}

/// What is kept of the refresh tokens. Not `Debug`: it holds the rotation key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefreshDoc {
    family_hash: Binary,
    current_hash: Binary,
    rotation_key: Binary,
}

/// Whether a guarded change won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Where the change is.
    Won(Position),
    /// The session had changed in the meantime; nothing was written.
    Lost,
}

pub(super) async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let revoked = IndexOptions::builder().partial_filter_expression(doc! { "revokedAt": { "$exists": true } }).build();
    let indexes = [
        ("user_lastSeen", doc! { "userId": 1, "lastSeenAt": -1 }, IndexOptions::default()),
        ("user_network", doc! { "userId": 1, "network": 1, "lastSeenAt": -1 }, IndexOptions::default()),
        ("revoked", doc! { "revokedAt": 1 }, revoked),
    ];
    cluster.ensure_indexes(collection::SESSIONS, indexes).await
}

/// Adds a session. Returns whether it did: not, if there is one of this id.
///
/// # Errors
/// Unavailable.
pub async fn insert(cluster: &Cluster, session: &Session) -> Result<bool> {
    let document = SessionDoc::from(session);
    let sessions = sessions(cluster);
    let verdict = until_decided(cluster, || {
        let (sessions, document) = (sessions.clone(), document.clone());
        async move { sessions.insert_one(document).await }
    });
    match verdict.await? {
        Verdict::Done { .. } => Ok(true),
        Verdict::Duplicate { repeated: true, .. } => {
            let found = confirm(find_latest(cluster, session.id)).await?;
            Ok(found.is_some_and(|(found, _)| found == *session))
        }
        Verdict::Duplicate { .. } => Ok(false),
    }
}

/// The session, as a majority knows it.
///
/// # Errors
/// Unavailable.
pub async fn find(cluster: &Cluster, id: SessionId) -> Result<Option<Session>> {
    Ok(find_with(cluster, id, ReadConcern::majority()).await?.map(|(session, _)| session))
}

/// The session with everything that was written before, and the position of the read: for after a lost race, when
/// [`find`] may still see the past.
///
/// # Errors
/// Unavailable.
pub async fn find_latest(cluster: &Cluster, id: SessionId) -> Result<Option<(Session, Position)>> {
    find_with(cluster, id, linearizable()).await
}

async fn find_with(cluster: &Cluster, id: SessionId, concern: ReadConcern) -> Result<Option<(Session, Position)>> {
    let found = whole::find(cluster, &sessions(cluster), bson_id(id.0), concern).await?;
    found.map(|(document, at)| Ok((Session::try_from(document)?, at))).transpose()
}

/// Puts `next` in the place of the revision before it.
///
/// The guard on `rev` is a guard on all that the caller has read: token, end and revocation. Each changes `rev`.
///
/// # Errors
/// Unavailable.
pub async fn replace(cluster: &Cluster, next: &Session) -> Result<Replaced> {
    let document = SessionDoc::from(next);
    let guard = doc! { "_id": document.id, "rev": next.rev - 1 };
    match whole::replace(cluster, &sessions(cluster), &guard, &document).await? {
        Verdict::Done { value: Some(at), .. } => Ok(Replaced::Won(at)),
        // The attempt before may have won: the refresh token's hash and the instants tell whose revision it is.
        Verdict::Done { repeated: true, .. } => match confirm(find_latest(cluster, next.id)).await? {
            Some((found, at)) if found == *next => Ok(Replaced::Won(at)),
            _ => Ok(Replaced::Lost),
        },
        Verdict::Done { .. } | Verdict::Duplicate { .. } => Ok(Replaced::Lost),
    }
}

/// The live sessions of a user, the one that was used last first, with the position of the read: at most `limit`, after
/// the first `skip`.
///
/// # Errors
/// Unavailable.
pub async fn live_of(
    cluster: &Cluster,
    user: UserId,
    now: Timestamp,
    skip: usize,
    limit: usize,
) -> Result<(Vec<Session>, Position)> {
    use futures::TryStreamExt as _;
    let (cluster_in_task, sessions) = (cluster.clone(), sessions(cluster));
    let filter = live(user, now);
    let (skip, limit) = (skip as u64, i64::try_from(limit).unwrap_or(i64::MAX));
    let (documents, at): (Vec<SessionDoc>, _) = read(cluster, async move {
        let mut session = cluster_in_task.session().await?;
        let found = sessions.find(filter).sort(latest_first()).skip(skip).limit(limit);
        let mut cursor = found.session(&mut session).await?;
        let documents = cursor.stream(&mut session).try_collect().await?;
        Ok((documents, whole::reached(&session)))
    })
    .await?;
    let live: Result<_> = documents.into_iter().map(Session::try_from).collect();
    Ok((live?, at))
}

/// The same as a snapshot, with the position at which it is true, and without what is kept of the refresh tokens.
///
/// # Errors
/// Unavailable.
pub async fn snapshot_of(
    cluster: &Cluster,
    user: UserId,
    now: Timestamp,
    limit: usize,
) -> Result<(Position, Vec<Session>)> {
    use futures::TryStreamExt as _;
    let (cluster_in_task, sessions) = (cluster.clone(), sessions(cluster));
    let (filter, limit) = (live(user, now), i64::try_from(limit).unwrap_or(i64::MAX));
    let (at, documents): (_, Vec<SessionDoc>) = read(cluster, async move {
        let mut session = cluster_in_task.snapshot_session().await?;
        let found = sessions.find(filter).sort(latest_first()).limit(limit).projection(doc! { "refresh": 0 });
        let mut cursor = found.read_concern(ReadConcern::snapshot()).session(&mut session).await?;
        let documents = cursor.stream(&mut session).try_collect().await?;
        Ok((snapshot_position(&session)?, documents))
    })
    .await?;
    let live: Result<_> = documents.into_iter().map(Session::try_from).collect();
    Ok((at, live?))
}

fn live(user: UserId, now: Timestamp) -> Document {
    let expires = doc! { "$gt": bson_time(now) };
    doc! { "userId": bson_id(user.0), "revokedAt": { "$exists": false }, "expiresAt": expires }
}

fn latest_first() -> Document {
    doc! { "lastSeenAt": -1, "_id": -1 }
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

/// The sessions of a user by their begin, at most `limit`.
///
/// # Errors
/// Unavailable.
pub async fn of_user(cluster: &Cluster, user: UserId, limit: i64) -> Result<Vec<Session>> {
    find_all(cluster, doc! { "userId": bson_id(user.0) }, limit).await
}

/// The sessions of a user that still say something of the person, at most `limit`: those that [`Session::erased`] changes.
///
/// # Errors
/// Unavailable.
pub async fn not_erased(cluster: &Cluster, user: UserId, limit: i64) -> Result<Vec<Session>> {
    let traces = vec![
        doc! { "device": { "$exists": true } },
        doc! { "network": { "$ne": "" } },
        doc! { "revokedAt": { "$exists": false } },
    ];
    find_all(cluster, doc! { "userId": bson_id(user.0), "$or": traces }, limit).await
}

async fn find_all(cluster: &Cluster, filter: Document, limit: i64) -> Result<Vec<Session>> {
    use futures::TryStreamExt as _;
    let sessions = sessions(cluster);
    let found = read(cluster, async move {
        sessions.find(filter).sort(doc! { "createdAt": 1 }).limit(limit).await?.try_collect::<Vec<_>>().await
    });
    found.await?.into_iter().map(Session::try_from).collect()
}

/// Whether a session of the user, ended or not, was used from this network since then.
///
/// # Errors
/// Unavailable.
pub async fn any_seen_in(cluster: &Cluster, user: UserId, network: &str, since: Timestamp) -> Result<bool> {
    let seen = doc! { "userId": bson_id(user.0), "network": network, "lastSeenAt": { "$gte": bson_time(since) } };
    let sessions = sessions(cluster);
    Ok(read(cluster, async move { sessions.find_one(seen).await }).await?.is_some())
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
            last_seen_at: bson_time(session.last_seen_at),
            expires_at: bson_time(session.expires_at),
            revoked_at: session.revoked_at.map(bson_time),
            refresh: session.refresh.as_ref().map(|refresh| RefreshDoc {
                family_hash: binary(refresh.family),
                current_hash: binary(refresh.current),
                rotation_key: binary(*refresh.rotation_key.expose()),
            }),
        }
    }
}

impl TryFrom<SessionDoc> for Session {
    type Error = Error;

    fn try_from(document: SessionDoc) -> Result<Self> {
        let refresh = document.refresh.map(Refresh::try_from).transpose()?;
        Ok(Self {
            id: SessionId(uuid_of(document.id)),
            rev: document.rev,
            user: UserId(uuid_of(document.user_id)),
            device: document.device,
            network: document.network,
            created_at: instant(document.created_at)?,
            last_seen_at: instant(document.last_seen_at)?,
            expires_at: instant(document.expires_at)?,
            revoked_at: document.revoked_at.map(instant).transpose()?,
            refresh,
        })
    }
}

impl TryFrom<RefreshDoc> for Refresh {
    type Error = Error;

    fn try_from(document: RefreshDoc) -> Result<Self> {
        Ok(Self {
            family: bytes(document.family_hash)?,
            current: bytes(document.current_hash)?,
            rotation_key: bytes(document.rotation_key)?.into(),
        })
    }
}

fn bytes(binary: Binary) -> Result<[u8; 32]> {
    binary.bytes.try_into().map_err(|_| Error::Internal("a session has a secret that is not 32 bytes".to_owned()))
}
