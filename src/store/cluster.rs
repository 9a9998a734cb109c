//! A MongoDB cluster: how Cita connects to it, and whether it answers.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::event::EventHandler;
use mongodb::event::sdam::{SdamEvent, TopologyDescription};
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, IndexOptions, ReadConcern, ServerAddress, WriteConcern,
};
use mongodb::{Client, ClientSession, Database, IndexModel, ServerType};
use tokio::sync::watch;

use super::failure::{DUPLICATE_KEY, brief, index_name};
use crate::error::{ClusterName, Error};

/// How long the driver looks for a primary before it gives up.
pub(super) const SERVER_SELECTION: Duration = Duration::from_secs(3);
/// A cluster that answers nothing for this long counts as away.
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// `IndexOptionsConflict`, `IndexKeySpecsConflict`: trying again does not help.
const INDEX_DIFFERS: [i32; 2] = [85, 86];
/// `Unauthorized`: neither does it here.
const UNAUTHORIZED: i32 = 13;

/// The compression over which memory of a server can be read (CVE-2025-14847), and the releases that mended it.
const LEAKING: &str = "zlib";
const MENDED: [[u32; 3]; 6] = [[4, 4, 30], [5, 0, 32], [6, 0, 27], [7, 0, 28], [8, 0, 17], [8, 2, 3]];

/// Whether a release of MongoDB is not known to be mended.
fn leaks(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let release = [(); 3].map(|()| numbers.next().unwrap_or_default());
    let of_series = MENDED.iter().find(|mended| mended[..2] == release[..2]);
    // Other series were given up before it was known, unless they are newer.
    release < *of_series.unwrap_or(&MENDED[MENDED.len() - 1])
}

/// What is wrong is not quoted: a URI may hold a password, and the driver repeats parts of it.
fn unusable(name: ClusterName) -> String {
    format!(
        "the URI of the {name} cluster is not usable: it begins with mongodb:// or mongodb+srv://, names its hosts, and has \
         special characters of the user's name and password percent-encoded"
    )
}

/// Checks how a URI is written, without asking anybody.
///
/// # Errors
/// A sentence for the person who configured it.
pub fn check_uri(name: ClusterName, uri: &str) -> Result<(), String> {
    ConnectionString::parse(uri).map(drop).map_err(|_| unusable(name))
}

/// Why a cluster cannot be used.
#[derive(Debug)]
pub enum ConnectError {
    /// It does not answer, or not yet.
    Away(String),
    /// Somebody has to do something first.
    Unusable(String),
}

/// One of the two clusters.
#[derive(Clone)]
pub struct Cluster {
    pub name: ClusterName,
    pub db: Database,
    /// Of a replica set: who was primary last, as the driver's monitors tell.
    primary: watch::Receiver<Option<ServerAddress>>,
}

/// The time for which the present primary of a replica set is primary. Whoever waits for a member that leaves, or stands still, waits until the
/// driver gives it up, though its monitors have known for long who is primary now.
pub struct Tenure {
    primary: watch::Receiver<Option<ServerAddress>>,
    of: Option<ServerAddress>,
}

impl Tenure {
    /// Returns once another member is primary: never of a server on its own, nor of a sharded cluster.
    pub async fn over(&mut self) {
        while self.primary.changed().await.is_ok() {
            let now = self.primary.borrow_and_update().clone();
            if self.of.is_some() && self.of != now {
                return;
            }
            self.of = now;
        }
        std::future::pending().await
    }
}

fn primary_of(topology: &TopologyDescription) -> Option<ServerAddress> {
    let servers = topology.servers();
    let primary = servers.into_iter().find(|(_, server)| server.server_type() == ServerType::RsPrimary);
    primary.map(|(address, _)| address.clone())
}

impl Cluster {
    /// Prepares a client for `uri`; connects when first used. The database is that of the URI, else `cita_{name}`.
    ///
    /// # Errors
    /// A sentence for the person who configured `uri`; it does not repeat the URI, which may hold a password.
    pub async fn new(name: ClusterName, uri: &str) -> Result<Self, String> {
        let mut options = ClientOptions::parse(uri).await.map_err(|_| unusable(name))?;
        options.app_name.get_or_insert_with(|| "cita".to_owned());
        options.server_selection_timeout = Some(SERVER_SELECTION);
        options.connect_timeout.get_or_insert(SERVER_SELECTION);
        options.max_pool_size.get_or_insert(64);
        options.max_connecting.get_or_insert(8);
        // Reads go to the primary, whatever the URI says: they must see what was acknowledged.
        options.selection_criteria = None;
        // What is repeated is repeated by `write`, which knows when it may: the driver would send what it once gave up waiting for.
        options.retry_writes = Some(false);
        options.retry_reads = Some(true);
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        let (known, primary) = watch::channel(None);
        options.sdam_event_handler = Some(EventHandler::callback(move |event| {
            let SdamEvent::TopologyDescriptionChanged(event) = event else { return };
            // Between two primaries there is none: that is nothing to act on.
            if let Some(now) = primary_of(&event.new_description) {
                known.send_if_modified(|before| before.replace(now.clone()) != Some(now));
            }
        }));
        let database = options.default_database.clone().unwrap_or_else(|| format!("cita_{name}"));
        let client = Client::with_options(options).map_err(|_| unusable(name))?;
        Ok(Self { name, db: client.database(&database), primary })
    }

    /// The tenure of the present primary.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        let mut primary = self.primary.clone();
        let of = primary.borrow_and_update().clone();
        Tenure { primary, of }
    }

    /// Asks the primary for a sign of life.
    ///
    /// # Errors
    /// What the driver said; for the log only.
    pub async fn ping(&self) -> Result<(), String> {
        self.ask(doc! { "ping": 1 }).await.map(drop)
    }

    async fn ask(&self, question: Document) -> Result<Document, String> {
        match tokio::time::timeout(PING_TIMEOUT, self.db.run_command(question).into_future()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(brief(&error)),
            Err(_) => Err(format!("no answer within {} s", PING_TIMEOUT.as_secs())),
        }
    }

    /// The error of a read that failed. A document that is not as Cita writes it is a defect: asking again mends nothing.
    #[must_use]
    pub fn unreadable(&self, error: &DriverError) -> Error {
        if let ErrorKind::Bson(_) | ErrorKind::BsonDeserialization(_) = error.kind.as_ref() {
            return Error::Internal(format!(
                "a document of the {} cluster cannot be read: {}",
                self.name,
                brief(error)
            ));
        }
        tracing::warn!(cluster = %self.name, error = brief(error), "read failed");
        Error::unreadable(self.name)
    }

    /// Reaches the cluster and carries out `prepare` on it.
    ///
    /// # Errors
    /// Whether trying again may help.
    pub async fn connect<T, F>(&self, prepare: impl FnOnce() -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, DriverError>>,
    {
        self.check_kind().await?;
        prepare().await.map_err(|error| match error.kind.as_ref() {
            // The server's own message quotes the values.
            ErrorKind::Command(command) if command.code == DUPLICATE_KEY => ConnectError::Unusable(format!(
                "documents collide under the index {}, which Cita's promises rest on: resolve the duplicates, and start again",
                index_name(&command.message)
            )),
            ErrorKind::Command(command) if INDEX_DIFFERS.contains(&command.code) => ConnectError::Unusable(format!(
                "{}. An index that Cita's promises rest on cannot be made as it must be: drop the one that differs, \
                 and start again",
                command.message
            )),
            ErrorKind::Command(command) if command.code == UNAUTHORIZED => ConnectError::Unusable(format!(
                "{}. Give the user of its URI the role readWrite on the database {}",
                command.message,
                self.db.name()
            )),
            ErrorKind::Authentication { message, .. } => ConnectError::Unusable(message.clone()),
            _ => ConnectError::Away(brief(&error)),
        })
    }

    /// Whether it answers, and is more than a server on its own, which has neither change streams nor transactions.
    async fn check_kind(&self) -> Result<(), ConnectError> {
        let hello = self.ask(doc! { "hello": 1, "compression": [LEAKING] }).await.map_err(ConnectError::Away)?;
        let is_shard_router = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        if !hello.contains_key("setName") && !is_shard_router {
            let complaint = "it is a server on its own: start it with --replSet and run rs.initiate() once";
            return Err(ConnectError::Unusable(complaint.to_owned()));
        }
        if hello.get_array("compression").is_ok_and(|taken| taken.contains(&LEAKING.into())) {
            self.warn_of_leak().await;
        }
        Ok(())
    }

    /// Of a server that would decompress what it is sent, and whose release is not known to do that as it should. One that does not tell its
    /// release is used all the same.
    async fn warn_of_leak(&self) {
        let Ok(build) = self.ask(doc! { "buildInfo": 1 }).await else { return };
        let release = build.get_str("version").unwrap_or_default();
        if leaks(release) {
            tracing::warn!(
                cluster = %self.name,
                release,
                "whoever reaches this MongoDB's port can read its memory (CVE-2025-14847): \
                 update it, or start it with --networkMessageCompressors disabled"
            );
        }
    }

    /// A session that tells the position of what was done in it, and asks for no causal order.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn session(&self) -> Result<ClientSession, DriverError> {
        self.db.client().start_session().causal_consistency(false).await
    }

    /// A session whose reads are all true at one position, which it tells. Each of them must ask for read concern
    /// `snapshot`: the driver leaves the client's own in place.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn snapshot_session(&self) -> Result<ClientSession, DriverError> {
        self.db.client().start_session().snapshot(true).await
    }

    /// Creates the indexes of a collection with one command, or fails where one of these names differs: the promises rest on them.
    ///
    /// # Errors
    /// What the driver said.
    pub async fn ensure_indexes<'a>(
        &self,
        collection: &str,
        indexes: impl IntoIterator<Item = (&'a str, Document, IndexOptions)>,
    ) -> Result<(), DriverError> {
        let named = |(name, keys, mut options): (&str, Document, IndexOptions)| {
            options.name = Some(name.to_owned());
            IndexModel::builder().keys(keys).options(options).build()
        };
        let indexes: Vec<IndexModel> = indexes.into_iter().map(named).collect();
        self.db.collection::<Document>(collection).create_indexes(indexes).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_tenure_ends_with_another_primary() {
        let member = |host: &str| Some(ServerAddress::Tcp { host: host.to_owned(), port: Some(27017) });
        let (known, primary) = watch::channel(None);
        let tenure = || {
            let mut primary = primary.clone();
            let of = primary.borrow_and_update().clone();
            Tenure { primary, of }
        };
        let mut first = tenure();
        assert!(first.over().now_or_never().is_none());
        known.send_replace(member("a"));
        assert!(first.over().now_or_never().is_none(), "the first that is known follows nobody");
        let mut second = tenure();
        known.send_replace(member("a"));
        assert!(second.over().now_or_never().is_none(), "it is the same one");
        known.send_replace(member("b"));
        assert!(first.over().now_or_never().is_some() && second.over().now_or_never().is_some());
        assert!(tenure().over().now_or_never().is_none());
        drop(known);
        assert!(tenure().over().now_or_never().is_none(), "nobody tells any more");
    }

    #[test]
    fn releases_that_leak_are_told_from_those_that_do_not() {
        for leaking in ["6.0.5", "6.0.26", "7.0.27", "7.3.4", "8.0.16", "8.1.0", "8.2.2", "8.2.2-rc1", "4.2.25", ""] {
            assert!(leaks(leaking), "{leaking}");
        }
        for mended in ["6.0.27", "7.0.28", "8.0.17", "8.2.3", "8.2.10", "8.3.0", "9.0.0-alpha"] {
            assert!(!leaks(mended), "{mended}");
        }
    }
}
