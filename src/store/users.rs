//! The accounts: credentials and contact data, in the users cluster.

use mongodb::Collection;
use mongodb::bson::{DateTime, Uuid, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::IndexOptions;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::value::{bson_id, bson_time, instant, uuid_of};
use super::write::{Verdict, confirm, linearizable, read, until_decided};
use super::{collection, sessions, signing_keys};
use crate::domain::account::{External, Role, User};
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::secret::PasswordHash;
use crate::error::{Error, Result};

/// A user as it is stored. Not `Debug`: it holds the password's hash.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserDoc {
    #[serde(rename = "_id")]
    pub id: Uuid,
    pub rev: u32,
    pub role: String,
    pub name: String,
    pub email: String,
    pub password_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    pub created_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDoc>,
}

/// Who a user is to another issuer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExternalDoc {
    issuer: String,
    subject: String,
}

/// A user with what proves that it is them.
#[derive(Debug)]
pub struct Account {
    pub user: User,
    pub password: PasswordHash,
}

/// Creates the indexes of the users cluster, or fails where one differs from what the code expects.
///
/// # Errors
/// What the driver said.
pub async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let unique = IndexOptions::builder().unique(true).build();
    cluster.ensure_index(collection::USERS, "email", doc! { "email": 1 }, unique).await?;
    let linked = doc! { "external": { "$exists": true } };
    let unique = IndexOptions::builder().unique(true).partial_filter_expression(linked).build();
    let link = doc! { "external.issuer": 1, "external.subject": 1 };
    cluster.ensure_index(collection::USERS, "external", link, unique).await?;
    sessions::ensure_indexes(cluster).await?;
    signing_keys::ensure_indexes(cluster).await
}

/// Adds an account.
///
/// # Errors
/// `email_taken` when another account has the address, or is the one of the same person elsewhere; unavailable.
pub async fn insert(cluster: &Cluster, user: &User, password: &PasswordHash) -> Result<()> {
    let document = UserDoc::new(user, password);
    let users = users(cluster);
    let verdict = until_decided(cluster, || {
        let (users, document) = (users.clone(), document.clone());
        async move { users.insert_one(document).await }
    });
    match verdict.await? {
        Verdict::Done { .. } => Ok(()),
        // What collided may be this very document, from an attempt whose answer was lost.
        Verdict::Duplicate { repeated: true, .. } if confirm(exists(cluster, user.id)).await? => Ok(()),
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
pub async fn find_by_external(cluster: &Cluster, external: &External) -> Result<Option<User>> {
    let users = users(cluster);
    // The first says that the partial index may be used.
    let filter = doc! {
        "external": { "$exists": true }, "external.issuer": &external.issuer, "external.subject": &external.subject,
    };
    let found = read(cluster, async move { users.find_one(filter).await }).await?;
    found.map(|document| document.into_account().map(|account| account.user)).transpose()
}

/// The user with this id.
///
/// # Errors
/// Unavailable.
pub async fn find(cluster: &Cluster, id: UserId) -> Result<Option<User>> {
    let (users, filter) = (users(cluster), doc! { "_id": bson_id(id.0) });
    let found = read(cluster, async move { users.find_one(filter).await }).await?;
    found.map(|document| document.into_account().map(|account| account.user)).transpose()
}

/// Whether there is any account.
///
/// # Errors
/// Unavailable.
pub async fn any(cluster: &Cluster) -> Result<bool> {
    let users = users(cluster);
    Ok(read(cluster, async move { users.find_one(doc! {}).await }).await?.is_some())
}

async fn exists(cluster: &Cluster, id: UserId) -> Result<bool> {
    let (users, filter) = (users(cluster), doc! { "_id": bson_id(id.0) });
    let found = read(cluster, async move { users.find_one(filter).read_concern(linearizable()).await });
    Ok(found.await?.is_some())
}

fn users(cluster: &Cluster) -> Collection<UserDoc> {
    cluster.db.collection(collection::USERS)
}

impl UserDoc {
    fn new(user: &User, password: &PasswordHash) -> Self {
        Self {
            id: bson_id(user.id.0),
            rev: user.rev,
            role: user.role.as_str().to_owned(),
            name: user.name.clone(),
            email: user.email.clone(),
            password_hash: password.expose().to_owned(),
            locale: user.locale.clone(),
            time_zone: user.time_zone.clone(),
            created_at: bson_time(user.created_at),
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
            locale: self.locale,
            time_zone: self.time_zone,
            created_at: instant(self.created_at)?,
            external: self.external.map(|external| External { issuer: external.issuer, subject: external.subject }),
        };
        Ok(Account { user, password: self.password_hash.into() })
    }
}
