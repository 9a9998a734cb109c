//! Commands that work on the accounts alone, beside a running server or without one. They serve nobody.

use futures::FutureExt as _;

use crate::app::StartError;
use crate::clock::Clock;
use crate::config::{Accounts, RotateKeys, check_secret};
use crate::embedded::{self, EmbeddedError, ReplicaSet};
use crate::error::ClusterName;
use crate::service::keys::{self, Rotation};
use crate::service::vault::Vault;
use crate::store::cluster::{Cluster, ConnectError};
use crate::store::users;

/// The users cluster, opened for one command.
pub struct Users {
    pub cluster: Cluster,
    /// Started for the command, and ended with it.
    started: Option<ReplicaSet>,
}

impl Users {
    /// Connects to the cluster of the URI; without one to the MongoDB that a server runs on the data directory, and where
    /// none does to one that is started for it. The indexes are made if they are missing.
    ///
    /// # Errors
    /// Why it cannot be used, for the person who calls the command.
    pub async fn open(accounts: &Accounts) -> Result<Self, StartError> {
        let (uri, started) = match &accounts.users_uri {
            Some(uri) => (uri.clone(), None),
            None => embedded(accounts).await?,
        };
        let opened = connect(&uri).await;
        match (opened, started) {
            (Ok(cluster), started) => Ok(Self { cluster, started }),
            (Err(error), Some(started)) => {
                started.stop().await;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Ends what was started for the command.
    pub async fn close(self) {
        if let Some(started) = self.started {
            started.stop().await;
        }
    }
}

async fn embedded(accounts: &Accounts) -> Result<(String, Option<ReplicaSet>), EmbeddedError> {
    let dir = embedded::Clusters::users_dir(&accounts.data_dir);
    if let Some(uri) = ReplicaSet::running("users", &dir).await? {
        return Ok((uri, None));
    }
    let mongod = embedded::find_mongod(accounts.mongod.as_deref(), &embedded::default_cache_dir()).await?;
    let started = ReplicaSet::start(&mongod, "users", &dir).await?;
    Ok((started.uri(), Some(started)))
}

async fn connect(uri: &str) -> Result<Cluster, StartError> {
    let cluster = Cluster::new(ClusterName::Users, uri).await.map_err(StartError::Configuration)?;
    let connected = cluster.connect(|| users::ensure_indexes(&cluster).boxed()).await;
    connected.map_err(|error| match error {
        ConnectError::Away(reason) | ConnectError::Unusable(reason) => {
            StartError::Cluster { cluster: ClusterName::Users, reason }
        }
    })?;
    Ok(cluster)
}

/// `cita rotate-keys`.
///
/// # Errors
/// Why there is no new key.
pub async fn rotate_keys(options: &RotateKeys) -> Result<Rotation, StartError> {
    let accounts = &options.accounts;
    check_secret(accounts.secret.as_ref()).map_err(StartError::Configuration)?;
    let vault = Vault::new(accounts.secret.as_ref())?;
    let users = Users::open(accounts).await?;
    let rotated = keys::rotate(&users.cluster, &vault, options.compromised, Clock.now()).await;
    users.close().await;
    Ok(rotated?)
}
