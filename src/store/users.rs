//! The accounts: credentials and contact data, in the users cluster. Each change is a whole-document replace guarded by
//! `rev`. The feed does not watch them, so the document of a person who has been erased can be deleted.

use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Binary, DateTime, RawDocumentBuf, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::{IndexOptions, ReadConcern};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::documents::Remembered;
use super::idempotency::{Recall, Request};
use super::value::{binary, bson_id, bson_time, instant, uuid_of};
use super::write::{Verdict, confirm, linearizable, read, until_decided};
use super::{audit, collection, lenient, sessions, signing_keys, whole};
use crate::domain::account::{External, Role, User};
use crate::domain::calendar_feed::CalendarFeed;
use crate::domain::change::Position;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::notifications::Notifications;
use crate::domain::proof::{Counted, Proof, Sent};
use crate::domain::refusal::Refusal;
use crate::domain::secret::PasswordHash;
use crate::domain::session::{Digest, Session};
use crate::error::{Error, Result};

/// Unique: an address belongs to one account.
const EMAIL_INDEX: &str = "email";
/// The accounts that were closed and are not yet erased.
const CLOSED_INDEX: &str = "closed";

/// A user as it is stored. Not `Debug`: it holds the password's hash.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub rev: u32,
    pub role: String,
    pub name: String,
    pub email: String,
    #[serde(default)]
    pub email_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_email: Option<String>,
    pub password_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Absent as long as everything is as it is for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<NotificationsDoc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar_feed: Option<CalendarFeedDoc>,
    pub created_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDoc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<ProofDoc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ProofDoc>,
    /// The counted mails of the last hour.
    #[serde(default)]
    pub sent: Vec<SentDoc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_changed_at: Option<DateTime>,
    /// The session that was kept then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_session: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime>,
    #[serde(default)]
    pub keys: Vec<Remembered>,
}

/// Who a user is to another issuer.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExternalDoc {
    issuer: String,
    subject: String,
}

/// What a user wants to be told.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotificationsDoc {
    changes: bool,
    reminders: bool,
    offers: bool,
    reminder_minutes: u32,
}

/// What is kept of the address of a calendar feed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CalendarFeedDoc {
    key: Binary,
    hash: Binary,
    created_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<DateTime>,
}

/// What is kept of a token that was sent by e-mail.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProofDoc {
    pub hash: Binary,
    pub expires_at: DateTime,
}

/// A counted mail.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SentDoc {
    pub kind: String,
    pub at: DateTime,
}

/// A user with what proves that it is them, and what has become of the account.
#[derive(Clone, Debug)]
pub struct Account {
    pub user: User,
    pub password: PasswordHash,
    /// The link that verifies the pending address, or else the present one.
    pub verification: Option<Proof>,
    /// The link for a new password.
    pub reset: Option<Proof>,
    /// The counted mails of the last hour.
    pub sent: Vec<Sent>,
    /// The last change of the password.
    pub credentials: Option<CredentialsChange>,
    /// Shut out by an admin.
    pub disabled_at: Option<Timestamp>,
    /// Closed by its owner: the mark of an erasure that is under way.
    pub closed_at: Option<Timestamp>,
}

/// Another password, from which on the sessions before it are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialsChange {
    pub at: Timestamp,
    /// The one session that goes on: where the owner made the change.
    pub kept: Option<SessionId>,
}

impl Account {
    /// An account with nothing but a user and a password.
    #[must_use]
    pub fn new(user: User, password: PasswordHash) -> Self {
        Self {
            user,
            password,
            verification: None,
            reset: None,
            sent: Vec::new(),
            credentials: None,
            disabled_at: None,
            closed_at: None,
        }
    }

    /// Whether a session of the account is from before another password, and was not kept: it is over, even if whoever
    /// changed the password could not end it. One of the same millisecond is not from before.
    #[must_use]
    pub fn has_outdated(&self, session: &Session) -> bool {
        self.credentials.is_some_and(|change| session.created_at < change.at && change.kept != Some(session.id))
    }

    /// Whether its owner may be logged in.
    ///
    /// # Errors
    /// `unauthenticated` once it is closed, as if it did not exist; `forbidden` while it is disabled.
    pub fn usable(&self) -> Result<(), Refusal> {
        match (self.closed_at, self.disabled_at) {
            (Some(_), _) => Err(Refusal::Unauthenticated),
            (None, Some(_)) => Err(Refusal::Forbidden),
            (None, None) => Ok(()),
        }
    }
}

/// An account with what its document remembers.
#[derive(Clone)]
pub struct StoredUser {
    document: UserDoc,
    pub account: Account,
}

impl StoredUser {
    fn new(document: UserDoc) -> Result<Self> {
        let account = document.clone().into_account()?;
        Ok(Self { document, account })
    }

    /// Whether the request succeeded before.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key was used for something else.
    pub fn recalls(&self, request: &Request) -> Result<bool> {
        match request.recall(&self.document.keys) {
            Recall::New => Ok(false),
            Recall::Done(_) => Ok(true),
            Recall::Different => Err(Refusal::IdempotencyKeyReused.into()),
        }
    }
}

/// Creates the indexes of the users cluster, or fails where one differs from what the code expects.
///
/// # Errors
/// What the driver said.
pub async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let unique = || IndexOptions::builder().unique(true);
    let closed = IndexOptions::builder().partial_filter_expression(doc! { "closedAt": { "$exists": true } }).build();
    let linked = unique().partial_filter_expression(doc! { "external": { "$exists": true } }).build();
    let indexes = [
        (EMAIL_INDEX, doc! { "email": 1 }, unique().build()),
        (CLOSED_INDEX, doc! { "closedAt": 1 }, closed),
        ("role", doc! { "role": 1, "_id": 1 }, IndexOptions::default()),
        ("external", doc! { "external.issuer": 1, "external.subject": 1 }, linked),
    ];
    // At once: these are round trips of a starting node, and the connections are needed soon.
    tokio::try_join!(
        cluster.ensure_indexes(collection::USERS, indexes),
        sessions::ensure_indexes(cluster),
        audit::ensure_indexes(cluster),
        signing_keys::ensure_indexes(cluster),
    )?;
    Ok(())
}

/// Adds an account.
///
/// # Errors
/// `email_taken` when another account has the address, or is the one of the same person elsewhere; unavailable.
pub async fn insert(cluster: &Cluster, account: &Account) -> Result<()> {
    let document = UserDoc::new(account, Vec::new());
    let users = users(cluster);
    let verdict = until_decided(cluster, || {
        let (users, document) = (users.clone(), document.clone());
        async move { users.insert_one(document).await }
    });
    match verdict.await? {
        Verdict::Done { .. } => Ok(()),
        // What collided may be this very document, from an attempt whose answer was lost.
        Verdict::Duplicate { repeated: true, .. }
            if confirm(find_stored(cluster, account.user.id)).await?.is_some() =>
        {
            Ok(())
        }
        Verdict::Duplicate { .. } => Err(Refusal::EmailTaken.into()),
    }
}

/// The account with this address, which is in its normalised form.
///
/// # Errors
/// Unavailable.
pub async fn find_by_email(cluster: &Cluster, email: &str) -> Result<Option<Account>> {
    let (users, filter) = (users(cluster), doc! { "email": email });
    read(cluster, async move { users.find_one(filter).await }).await?.map(UserDoc::into_account).transpose()
}

/// The user whom another issuer names so.
///
/// # Errors
/// Unavailable.
pub async fn find_by_external(cluster: &Cluster, external: &External) -> Result<Option<Account>> {
    let users = users(cluster);
    // The first says that the partial index may be used.
    let filter = doc! {
        "external": { "$exists": true }, "external.issuer": &external.issuer, "external.subject": &external.subject,
    };
    let found = read(cluster, async move { users.find_one(filter).await }).await?;
    found.map(UserDoc::into_account).transpose()
}

/// The account with this id, as a majority knows it.
///
/// # Errors
/// Unavailable.
pub async fn find(cluster: &Cluster, id: UserId) -> Result<Option<Account>> {
    let found = whole::find(cluster, &users(cluster), bson_id(id.0), ReadConcern::majority()).await?;
    found.map(|(document, _)| document.into_account()).transpose()
}

/// Those of these users whom a mail may be sent: the account is in use, and its owner reads the address. One whose document cannot
/// be read is left out.
///
/// # Errors
/// Unavailable.
pub async fn reachable(cluster: &Cluster, ids: impl IntoIterator<Item = UserId>) -> Result<Vec<User>> {
    use futures::TryStreamExt as _;
    let ids: Vec<_> = ids.into_iter().map(|id| bson_id(id.0)).collect();
    let filter = doc! {
        "_id": { "$in": ids },
        "emailVerified": true,
        "closedAt": { "$exists": false },
        "disabledAt": { "$exists": false },
    };
    let users = users(cluster).clone_with_type::<RawDocumentBuf>();
    let found = read(cluster, async move { users.find(filter).await?.try_collect::<Vec<_>>().await });
    let user = |document: UserDoc| document.into_account().map(|account| account.user);
    Ok(lenient::each(collection::USERS, found.await?, user))
}

/// The account with everything that was written before, to be replaced or acknowledged, and the position of the read.
///
/// # Errors
/// Unavailable.
pub async fn find_stored(cluster: &Cluster, id: UserId) -> Result<Option<(StoredUser, Position)>> {
    let found = whole::find(cluster, &users(cluster), bson_id(id.0), linearizable()).await?;
    found.map(|(document, at)| Ok((StoredUser::new(document)?, at))).transpose()
}

/// Writes `next` as the next revision, guarded by the one that it replaces, and remembers the request that asked for it.
/// The revision is counted here. `None`: the account had changed in the meantime.
///
/// # Errors
/// `email_taken` when another account has the address; unavailable.
pub async fn replace(
    cluster: &Cluster,
    stored: &StoredUser,
    next: &Account,
    request: Option<&Request>,
) -> Result<Option<Position>> {
    let known = &stored.document.keys;
    let keys = request.map_or_else(|| known.clone(), |request| request.remember(known, None));
    replace_with(cluster, stored, UserDoc::new(next, keys)).await
}

/// The same for an account that is closed: nothing is remembered of what its owner has asked for.
///
/// # Errors
/// Unavailable.
pub async fn close(cluster: &Cluster, stored: &StoredUser, closed: &Account) -> Result<Option<Position>> {
    replace_with(cluster, stored, UserDoc::new(closed, Vec::new())).await
}

async fn replace_with(cluster: &Cluster, stored: &StoredUser, document: UserDoc) -> Result<Option<Position>> {
    let document = UserDoc { rev: stored.document.rev + 1, ..document };
    let guard = doc! { "_id": document.id, "rev": stored.document.rev };
    match whole::replace(cluster, &users(cluster), &guard, &document).await? {
        // An attempt whose answer was lost may have won: then the document is this very one.
        Verdict::Done { value: None, repeated: true } => {
            let id = UserId(uuid_of(document.id));
            let now = confirm(find_stored(cluster, id)).await?;
            Ok(now.filter(|(now, _)| now.document == document).map(|(_, at)| at))
        }
        Verdict::Done { value, .. } => Ok(value),
        Verdict::Duplicate { .. } => Err(Refusal::EmailTaken.into()),
    }
}

/// Which accounts to list, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Normalised.
    pub email: Option<String>,
    pub role: Option<Role>,
    /// The last one of the page before.
    pub after: Option<UserId>,
    pub limit: i64,
}

/// Lists accounts that are not closed. Ids grow with time, so their order is that of creation.
///
/// # Errors
/// Unavailable.
pub async fn list(cluster: &Cluster, query: &Query) -> Result<Vec<Account>> {
    use futures::TryStreamExt as _;
    let mut filter = doc! { "closedAt": { "$exists": false } };
    if let Some(email) = &query.email {
        filter.insert("email", email);
    }
    if let Some(role) = query.role {
        filter.insert("role", role.as_str());
    }
    if let Some(after) = query.after {
        filter.insert("_id", doc! { "$gt": bson_id(after.0) });
    }
    let (users, limit) = (users(cluster), query.limit);
    let found = read(cluster, async move {
        users.find(filter).sort(doc! { "_id": 1 }).limit(limit).await?.try_collect::<Vec<_>>().await
    });
    found.await?.into_iter().map(UserDoc::into_account).collect()
}

/// The accounts that were closed and are still there, the oldest first, at most `limit`.
///
/// # Errors
/// Unavailable.
pub async fn closed(cluster: &Cluster, limit: i64) -> Result<Vec<(UserId, Timestamp)>> {
    use futures::TryStreamExt as _;
    let (users, filter) = (users(cluster), doc! { "closedAt": { "$exists": true } });
    let found = read(cluster, async move {
        users.find(filter).sort(doc! { "closedAt": 1 }).limit(limit).await?.try_collect::<Vec<_>>().await
    });
    let of = |document: UserDoc| {
        let closed_at = document.closed_at.map(instant).transpose()?.unwrap_or_default();
        Ok((UserId(uuid_of(document.id)), closed_at))
    };
    found.await?.into_iter().map(of).collect()
}

/// Deletes an account that was closed. Deleting it twice is no error.
///
/// # Errors
/// Unavailable.
pub async fn delete_closed(cluster: &Cluster, id: UserId) -> Result<()> {
    let filter = doc! { "_id": bson_id(id.0), "closedAt": { "$exists": true } };
    let users = users(cluster);
    let verdict = until_decided(cluster, || {
        let (users, filter) = (users.clone(), filter.clone());
        async move { users.delete_one(filter).await }
    });
    verdict.await.map(|_| ())
}

/// Whether there is any account.
///
/// # Errors
/// Unavailable.
pub async fn any(cluster: &Cluster) -> Result<bool> {
    let users = users(cluster);
    Ok(read(cluster, async move { users.find_one(doc! {}).await }).await?.is_some())
}

fn users(cluster: &Cluster) -> Collection<UserDoc> {
    cluster.db.collection(collection::USERS)
}

impl UserDoc {
    fn new(account: &Account, keys: Vec<Remembered>) -> Self {
        let user = &account.user;
        let proof = |proof: &Proof| ProofDoc { hash: binary(proof.hash), expires_at: bson_time(proof.expires_at) };
        let sent = |sent: &Sent| SentDoc { kind: sent.kind.as_str().to_owned(), at: bson_time(sent.at) };
        Self {
            id: bson_id(user.id.0),
            rev: user.rev,
            role: user.role.as_str().to_owned(),
            name: user.name.clone(),
            email: user.email.clone(),
            email_verified: user.email_verified,
            pending_email: user.pending_email.clone(),
            password_hash: account.password.expose().to_owned(),
            locale: user.locale.clone(),
            time_zone: user.time_zone.clone(),
            notifications: NotificationsDoc::unless_default(user.notifications),
            calendar_feed: user.calendar_feed.as_ref().map(CalendarFeedDoc::new),
            created_at: bson_time(user.created_at),
            verification: account.verification.as_ref().map(proof),
            reset: account.reset.as_ref().map(proof),
            sent: account.sent.iter().map(sent).collect(),
            credentials_changed_at: account.credentials.map(|change| bson_time(change.at)),
            kept_session: account.credentials.and_then(|change| change.kept).map(|session| bson_id(session.0)),
            disabled_at: account.disabled_at.map(bson_time),
            closed_at: account.closed_at.map(bson_time),
            keys,
            external: user
                .external
                .as_ref()
                .map(|external| ExternalDoc { issuer: external.issuer.clone(), subject: external.subject.clone() }),
        }
    }

    fn into_account(self) -> Result<Account> {
        let role = Role::named(&self.role).ok_or_else(|| Error::Internal("a user has an unknown role".to_owned()))?;
        let user = User {
            id: UserId(uuid_of(self.id)),
            rev: self.rev,
            role,
            name: self.name,
            email: self.email,
            email_verified: self.email_verified,
            pending_email: self.pending_email,
            locale: self.locale,
            time_zone: self.time_zone,
            notifications: self.notifications.map_or_else(Notifications::default, NotificationsDoc::into_domain),
            calendar_feed: self.calendar_feed.map(CalendarFeedDoc::into_domain).transpose()?,
            created_at: instant(self.created_at)?,
            external: self.external.map(|external| External { issuer: external.issuer, subject: external.subject }),
        };
        let kept = self.kept_session.map(|session| SessionId(uuid_of(session)));
        let changed_at = self.credentials_changed_at.map(instant).transpose()?;
        Ok(Account {
            credentials: changed_at.map(|at| CredentialsChange { at, kept }),
            user,
            password: self.password_hash.into(),
            verification: self.verification.map(ProofDoc::into_proof).transpose()?,
            reset: self.reset.map(ProofDoc::into_proof).transpose()?,
            sent: self.sent.into_iter().map(SentDoc::into_sent).collect::<Result<_>>()?,
            disabled_at: self.disabled_at.map(instant).transpose()?,
            closed_at: self.closed_at.map(instant).transpose()?,
        })
    }
}

impl NotificationsDoc {
    fn unless_default(notifications: Notifications) -> Option<Self> {
        let Notifications { changes, reminders, offers, reminder_minutes } = notifications;
        (notifications != Notifications::default()).then_some(Self { changes, reminders, offers, reminder_minutes })
    }

    fn into_domain(self) -> Notifications {
        let Self { changes, reminders, offers, reminder_minutes } = self;
        Notifications { changes, reminders, offers, reminder_minutes }
    }
}

impl CalendarFeedDoc {
    fn new(feed: &CalendarFeed) -> Self {
        Self {
            key: binary(*feed.key.expose()),
            hash: binary(feed.hash),
            created_at: bson_time(feed.created_at),
            revoked_at: feed.revoked_at.map(bson_time),
        }
    }

    fn into_domain(self) -> Result<CalendarFeed> {
        Ok(CalendarFeed {
            key: whole_digest(self.key)?.into(),
            hash: whole_digest(self.hash)?,
            created_at: instant(self.created_at)?,
            revoked_at: self.revoked_at.map(instant).transpose()?,
        })
    }
}

impl ProofDoc {
    fn into_proof(self) -> Result<Proof> {
        Ok(Proof { hash: whole_digest(self.hash)?, expires_at: instant(self.expires_at)? })
    }
}

fn whole_digest(bytes: Binary) -> Result<Digest> {
    let digest = bytes.bytes.try_into();
    digest.map_err(|_| Error::Internal("a user has a digest that is not 32 bytes".to_owned()))
}

impl SentDoc {
    fn into_sent(self) -> Result<Sent> {
        let kind = Counted::named(&self.kind);
        let kind = kind.ok_or_else(|| Error::Internal("a user was sent a mail of an unknown kind".to_owned()))?;
        Ok(Sent { kind, at: instant(self.at)? })
    }
}
