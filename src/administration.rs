//! Commands that work on the accounts alone, beside a running server or without one. They serve nobody.

use futures::FutureExt as _;

use crate::app::StartError;
use crate::clock::Clock;
use crate::config::{Accounts, CreateAdmin, RotateKeys, check};
use crate::domain::audit::{Deed, Outcome};
use crate::domain::refusal::Refusal;
use crate::embedded::{self, EmbeddedError, ReplicaSet};
use crate::error::{ClusterName, Error};
use crate::service::audit::Audit;
use crate::service::keys::{self, Rotation, RotationError};
use crate::service::setup::{self, Invitation};
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
            Some(uri) => (uri.expose().to_owned(), None),
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

/// The options with what lies in files.
fn complete(accounts: &Accounts) -> Result<Accounts, StartError> {
    check::accounts(accounts.clone()).map_err(|mistakes| StartError::Configuration(check::list(&mistakes)))
}

/// `cita rotate-keys`.
///
/// # Errors
/// Why there is no new key.
pub async fn rotate_keys(options: &RotateKeys) -> Result<Rotation, StartError> {
    let accounts = complete(&options.accounts)?;
    let vault = Vault::new(accounts.secret.as_ref())?;
    let users = Users::open(&accounts).await?;
    let rotated = async {
        let change = if options.compromised { "compromised" } else { "in turn" };
        let deed = Deed::new("cita rotate-keys", Outcome::Asked).with(change);
        Audit::new(users.cluster.clone(), Clock).record(deed).await.map_err(RotationError::Failed)?;
        keys::rotate(&users.cluster, &vault, options.compromised, Clock.now()).await
    };
    let rotated = rotated.await;
    users.close().await;
    rotated.map_err(|error| match error {
        RotationError::Failed(error) => error.into(),
        refused => StartError::Configuration(refused.to_string()),
    })
}

/// `cita create-admin`.
///
/// # Errors
/// Why there is no admin more.
pub async fn create_admin(options: &CreateAdmin) -> Result<Invitation, StartError> {
    let users = Users::open(&complete(&options.accounts)?).await?;
    let (audit, now) = (Audit::new(users.cluster.clone(), Clock), Clock.now());
    let made = setup::create_admin(&users.cluster, &audit, options.email.clone(), options.name.clone(), now).await;
    users.close().await;
    made.map_err(|error| match error {
        Error::Refused(Refusal::Invalid(violations)) => {
            let told =
                violations.iter().map(|wrong| format!("{}: {}", wrong.pointer.trim_start_matches('/'), wrong.detail));
            StartError::Configuration(told.collect::<Vec<_>>().join("; "))
        }
        error => error.into(),
    })
}
