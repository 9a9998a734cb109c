//! The keys that access tokens are signed with, in the users cluster, so that every node shares them.

use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Binary, DateTime, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::{IndexOptions, ReadConcern};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::collection;
use super::value::{binary, bson_time, instant};
use super::write::{linearizable, read, until_decided};
use crate::error::{Error, Result};

/// How a private key is kept: as it is, or encrypted.
const PLAIN: &str = "none";
const SEALED: &str = "aes-256-gcm";

/// A key as it is stored. Not `Debug`: it holds the private key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningKeyDoc {
    #[serde(rename = "_id")]
    kid: String,
    /// 1, 2, 3 …, unique: of two nodes that make the next key at once, one wins.
    seq: i32,
    private_key: Binary,
    /// How the private key is kept.
    protection: String,
    public_key: Binary,
    created_at: DateTime,
    signs_from: DateTime,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    distrusts_older: bool,
}

/// A private key as it is kept. Not `Debug`.
#[derive(Clone)]
pub enum PrivateKey {
    /// PKCS#8.
    Plain(Vec<u8>),
    /// Encrypted; the service has the key.
    Sealed(Vec<u8>),
}

/// A key pair. Not `Debug`: it holds the private key.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    pub seq: i32,
    pub private_key: PrivateKey,
    /// The 32 bytes of an Ed25519 public key.
    pub public_key: Vec<u8>,
    /// From when on new tokens are signed with it, until a younger key does. It verifies from the moment it is known.
    pub signs_from: Timestamp,
    /// Whether what older keys have signed is no longer believed.
    pub distrusts_older: bool,
}

pub(super) async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let unique = IndexOptions::builder().unique(true).build();
    cluster.ensure_indexes(collection::SIGNING_KEYS, [("seq", doc! { "seq": 1 }, unique)]).await
}

/// Adds a key unless there is one with its `seq`; read back with [`all`] which it is.
///
/// # Errors
/// Unavailable.
pub async fn insert_if_absent(cluster: &Cluster, key: &SigningKey, now: Timestamp) -> Result<()> {
    let (private_key, protection) = match &key.private_key {
        PrivateKey::Plain(bytes) => (bytes, PLAIN),
        PrivateKey::Sealed(bytes) => (bytes, SEALED),
    };
    let document = SigningKeyDoc {
        kid: key.kid.clone(),
        seq: key.seq,
        private_key: binary(private_key.clone()),
        protection: protection.to_owned(),
        public_key: binary(key.public_key.clone()),
        created_at: bson_time(now),
        signs_from: bson_time(key.signs_from),
        distrusts_older: key.distrusts_older,
    };
    let keys = keys(cluster);
    let verdict = until_decided(cluster, || {
        let (keys, document) = (keys.clone(), document.clone());
        async move { keys.insert_one(document).await }
    });
    verdict.await.map(|_| ())
}

/// Every key, oldest first, as a majority has them.
///
/// # Errors
/// Unavailable.
pub async fn known(cluster: &Cluster) -> Result<Vec<SigningKey>> {
    find(cluster, ReadConcern::majority()).await
}

/// Every key, oldest first, with all that was written before: two nodes that start together must agree. It takes a write of the
/// database, up to a tenth of a second.
///
/// # Errors
/// Unavailable.
pub async fn all(cluster: &Cluster) -> Result<Vec<SigningKey>> {
    find(cluster, linearizable()).await
}

async fn find(cluster: &Cluster, concern: ReadConcern) -> Result<Vec<SigningKey>> {
    use futures::TryStreamExt as _;
    let keys = keys(cluster);
    let found = read(cluster, async move {
        keys.find(doc! {}).sort(doc! { "seq": 1 }).read_concern(concern).await?.try_collect::<Vec<_>>().await
    });
    found.await?.into_iter().map(SigningKey::try_from).collect()
}

fn keys(cluster: &Cluster) -> Collection<SigningKeyDoc> {
    cluster.db.collection(collection::SIGNING_KEYS)
}

impl TryFrom<SigningKeyDoc> for SigningKey {
    type Error = Error;

    fn try_from(document: SigningKeyDoc) -> Result<Self> {
        let private_key = match document.protection.as_str() {
            PLAIN => PrivateKey::Plain(document.private_key.bytes),
            SEALED => PrivateKey::Sealed(document.private_key.bytes),
            _ => return Err(Error::Internal("a signing key is kept in a way that is not known".to_owned())),
        };
        Ok(Self {
            kid: document.kid,
            seq: document.seq,
            private_key,
            public_key: document.public_key.bytes,
            signs_from: instant(document.signs_from)?,
            distrusts_older: document.distrusts_older,
        })
    }
}
