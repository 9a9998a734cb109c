//! The keys that access tokens are signed with, in the users cluster, so that every node shares them.

use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{Binary, DateTime, doc};
use mongodb::error::Error as DriverError;
use mongodb::options::IndexOptions;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::collection;
use super::value::{binary, bson_time};
use super::write::{linearizable, read, until_decided};
use crate::error::Result;

/// State of a key that new tokens are signed with.
const ACTIVE: &str = "active";

/// A key as it is stored. Not `Debug`: it holds the private key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningKeyDoc {
    #[serde(rename = "_id")]
    kid: String,
    /// 1, 2, 3 …, unique: of two nodes that make the next key at once, one wins.
    seq: i32,
    private_key: Binary,
    public_key: Binary,
    created_at: DateTime,
    state: String,
}

/// A key pair. Not `Debug`: it holds the private key.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    pub seq: i32,
    /// PKCS#8.
    pub private_key: Vec<u8>,
    /// The 32 bytes of an Ed25519 public key.
    pub public_key: Vec<u8>,
    /// Whether new tokens may be signed with it; otherwise it only verifies.
    pub active: bool,
}

pub(super) async fn ensure_indexes(cluster: &Cluster) -> Result<(), DriverError> {
    let unique = IndexOptions::builder().unique(true).build();
    cluster.ensure_index(collection::SIGNING_KEYS, "seq", doc! { "seq": 1 }, unique).await
}

/// Adds a key unless there is one with its `seq`; read back with [`all`] which it is.
///
/// # Errors
/// Unavailable.
pub async fn insert_if_absent(cluster: &Cluster, key: &SigningKey, now: Timestamp) -> Result<()> {
    let document = SigningKeyDoc {
        kid: key.kid.clone(),
        seq: key.seq,
        private_key: binary(key.private_key.clone()),
        public_key: binary(key.public_key.clone()),
        created_at: bson_time(now),
        state: if key.active { ACTIVE } else { "retired" }.to_owned(),
    };
    let keys = keys(cluster);
    let verdict = until_decided(cluster, || {
        let (keys, document) = (keys.clone(), document.clone());
        async move { keys.insert_one(document).await }
    });
    verdict.await.map(|_| ())
}

/// Every key, oldest first, with all that was written before: two nodes that start together must agree.
///
/// # Errors
/// Unavailable.
pub async fn all(cluster: &Cluster) -> Result<Vec<SigningKey>> {
    use futures::TryStreamExt as _;
    let keys = keys(cluster);
    let found = read(cluster, async move {
        keys.find(doc! {}).sort(doc! { "seq": 1 }).read_concern(linearizable()).await?.try_collect::<Vec<_>>().await
    });
    Ok(found.await?.into_iter().map(SigningKey::from).collect())
}

fn keys(cluster: &Cluster) -> Collection<SigningKeyDoc> {
    cluster.db.collection(collection::SIGNING_KEYS)
}

impl From<SigningKeyDoc> for SigningKey {
    fn from(document: SigningKeyDoc) -> Self {
        Self {
            active: document.state == ACTIVE,
            kid: document.kid,
            seq: document.seq,
            private_key: document.private_key.bytes,
            public_key: document.public_key.bytes,
        }
    }
}
