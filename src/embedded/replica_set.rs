//! A single-node replica set on a directory: started, made primary, restarted, stopped; and the two that Cita needs.
//!
//! ```text
//! claim directory → end orphan → choose port → spawn → listening → initiated? ─no→ initiate ──┐
//!                                      ↑         │                   └─yes→ other port? → reconfigure
//!                                      └─port lost                                            ↓
//!                                                                               writable primary
//! ```

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use mongodb::{Client, Database};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::EmbeddedError;
use super::home::Home;
use super::process::{Mongod, end_orphan, lost_its_port};

/// Enough for a recovery from a large journal on a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Nothing that is asked of a starting mongod takes this long, unless it is not a mongod that answers.
const REPLY_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
const PORT_ATTEMPTS: usize = 5;

/// One running mongod, primary of a replica set of its own, on a loopback port.
///
/// Its directory belongs to this process until it is dropped. Dropping it kills mongod, which the data survives; ending
/// it in order is [`ReplicaSet::stop`].
#[derive(Debug)]
pub struct ReplicaSet {
    // Before `home`: the process must be told to end before the directory is given up.
    mongod: Mongod,
    home: Home,
    binary: PathBuf,
    name: String,
    port: u16,
}

impl ReplicaSet {
    /// Starts the replica set `name` on `dir`, which is created if it does not exist, and waits (at most 60 s) until it
    /// accepts writes.
    ///
    /// It takes the port that it had before, or another one when that is taken. A mongod that a killed Cita left running
    /// on `dir` is stopped first.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] while another process has `dir`; otherwise what kept mongod from starting.
    pub async fn start(mongod: &Path, name: &str, dir: &Path) -> Result<Self, EmbeddedError> {
        let home = Home::claim(dir)?;
        end_orphan(&home).await?;
        let mut attempts = 1..PORT_ATTEMPTS;
        loop {
            let port = home.choose_port()?;
            let started = Start { binary: mongod, name, home: &home, port }.run().await;
            match started {
                Ok(started) => {
                    home.remember_port(port)?;
                    return Ok(Self { mongod: started, home, binary: mongod.to_owned(), name: name.to_owned(), port });
                }
                // Somebody took the port after it was seen free.
                Err(Failure::Exited(status)) if lost_its_port(status) && attempts.next().is_some() => {}
                Err(failure) => return Err(failure.into_error(name, &home)),
            }
        }
    }

    /// The connection string of the replica set `name` that another process runs on `dir`; `None` when none does.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] when another process has `dir` and no replica set answers there: it starts or stops.
    pub async fn running(name: &str, dir: &Path) -> Result<Option<String>, EmbeddedError> {
        let in_use = match Home::claim(dir) {
            Ok(_nobody_has_it) => return Ok(None),
            Err(error @ EmbeddedError::InUse { .. }) => error,
            Err(error) => return Err(error),
        };
        let db = dir.canonicalize().map_err(EmbeddedError::io("open", dir))?.join("db");
        match Home::port_of(dir) {
            Some(port) if data_of(port).await.is_some_and(|data| data == db) => Ok(Some(uri(name, port))),
            _ => Err(in_use),
        }
    }

    /// Where clients connect, as a connection string without a database.
    #[must_use]
    pub fn uri(&self) -> String {
        uri(&self.name, self.port)
    }

    /// The process id of mongod; of the last one after [`ReplicaSet::kill`].
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.mongod.pid()
    }

    /// The loopback port; stays the same over [`ReplicaSet::restart`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends mongod in order; kills it when that takes longer than 15 s.
    pub async fn stop(mut self) {
        self.mongod.stop().await;
    }

    /// Kills mongod as a crash would (SIGKILL), and returns when it is gone.
    pub async fn kill(&mut self) {
        self.mongod.kill().await;
    }

    /// Starts mongod again on the same port and directory, after ending it in order if it still runs.
    ///
    /// # Errors
    /// What kept mongod from starting; so also when the port was taken meanwhile.
    pub async fn restart(&mut self) -> Result<(), EmbeddedError> {
        self.mongod.stop().await;
        let start = Start { binary: &self.binary, name: &self.name, home: &self.home, port: self.port };
        self.mongod = start.run().await.map_err(|failure| failure.into_error(&self.name, &self.home))?;
        Ok(())
    }
}

/// The two replica sets that Cita keeps: one for users, one for appointments.
#[derive(Debug)]
pub struct Clusters {
    /// Credentials, contact data, sessions.
    pub users: ReplicaSet,
    /// Doctors' rules and everything that takes their time.
    pub appointments: ReplicaSet,
}

impl Clusters {
    /// Starts both at once, in `mongodb/users` and `mongodb/appointments` of `data_dir`.
    ///
    /// # Errors
    /// As [`ReplicaSet::start`]; when one does not start, the other is ended too.
    pub async fn start(mongod: &Path, data_dir: &Path) -> Result<Self, EmbeddedError> {
        let (users_dir, appointments_dir) = (Self::users_dir(data_dir), data_dir.join("mongodb/appointments"));
        let users = ReplicaSet::start(mongod, "users", &users_dir);
        let appointments = ReplicaSet::start(mongod, "appointments", &appointments_dir);
        let (users, appointments) = tokio::try_join!(users, appointments)?;
        Ok(Self { users, appointments })
    }

    /// The directory of the users' replica set.
    #[must_use]
    pub fn users_dir(data_dir: &Path) -> PathBuf {
        data_dir.join("mongodb/users")
    }

    /// Ends both at once, in order.
    pub async fn stop(self) {
        tokio::join!(self.users.stop(), self.appointments.stop());
    }
}

/// One attempt to bring up mongod on a port.
struct Start<'a> {
    binary: &'a Path,
    name: &'a str,
    home: &'a Home,
    port: u16,
}

enum Failure {
    Exited(ExitStatus),
    TooSlow { reason: String },
    Other(EmbeddedError),
}

impl Failure {
    fn into_error(self, name: &str, home: &Home) -> EmbeddedError {
        let (name, log) = (name.to_owned(), home.log());
        match self {
            Self::Exited(status) => EmbeddedError::Exited { name, status, log, complaint: home.complaint() },
            Self::TooSlow { reason } => EmbeddedError::NotReady { name, seconds: READY_WITHIN.as_secs(), reason, log },
            Self::Other(error) => error,
        }
    }
}

impl Start<'_> {
    async fn run(&self) -> Result<Mongod, Failure> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut mongod = Mongod::spawn(self.binary, self.name, self.home, self.port).map_err(Failure::Other)?;
        // Before the driver exists: after one refused connection it would rest for half a second.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            rest(&mut mongod, deadline, "it does not listen").await?;
        }
        let client = direct_client(self.port).map_err(Failure::Other)?;
        let ready = self.until_primary(&mut mongod, &client.database("admin"), deadline).await;
        client.shutdown().immediate(true).await;
        ready.map(|()| mongod)
    }

    async fn until_primary(&self, mongod: &mut Mongod, admin: &Database, deadline: Instant) -> Result<(), Failure> {
        loop {
            let reason = match self.advance(mongod.pid(), admin).await {
                Ok(Step::Primary) => return Ok(()),
                Ok(Step::Waiting(reason)) => reason.to_owned(),
                Err(error) => error.to_string(),
            };
            rest(mongod, deadline, &reason).await?;
        }
    }

    /// Looks where mongod stands and takes it one step further. Each step may be taken again.
    async fn advance(&self, pid: u32, admin: &Database) -> mongodb::error::Result<Step> {
        let hello = run(admin, doc! { "hello": 1 }).await?;
        let primary = hello.get_bool("isWritablePrimary").unwrap_or(false);
        if !primary && hello.contains_key("setName") {
            return Ok(Step::Waiting("it is not primary yet"));
        }
        // Another mongod may have won the race for the port; it must be neither configured nor used in the place of ours.
        let status = run(admin, doc! { "serverStatus": 1, "repl": 0, "metrics": 0, "wiredTiger": 0 }).await?;
        if status.get_i64("pid").ok() != Some(i64::from(pid)) {
            return Ok(Step::Waiting("another MongoDB listens on its port"));
        }
        if primary {
            return Ok(Step::Primary);
        }
        self.configure(admin).await
    }

    async fn configure(&self, admin: &Database) -> mongodb::error::Result<Step> {
        let host = format!("127.0.0.1:{}", self.port);
        match run(admin, doc! { "replSetGetConfig": 1 }).await {
            Ok(reply) => self.move_to(&host, reply, admin).await,
            Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => {
                let config = doc! { "_id": self.name, "members": [{ "_id": 0, "host": host }] };
                run(admin, doc! { "replSetInitiate": config }).await?;
                Ok(Step::Waiting("it was initiated"))
            }
            Err(error) => Err(error),
        }
    }

    /// After a change of port the configuration names an address that is not ours, and only force gets past that.
    async fn move_to(&self, host: &str, reply: Document, admin: &Database) -> mongodb::error::Result<Step> {
        let mut config = reply.get_document("config").cloned().unwrap_or_default();
        let member = config.get_array_mut("members").ok().and_then(|members| members.first_mut()?.as_document_mut());
        match member {
            Some(member) if member.get_str("host").ok() != Some(host) => {
                member.insert("host", host);
                run(admin, doc! { "replSetReconfig": config, "force": true }).await?;
                Ok(Step::Waiting("its configuration was moved to its new port"))
            }
            _ => Ok(Step::Waiting("it does not use its configuration yet")),
        }
    }
}

const NOT_YET_INITIALIZED: i32 = 94;

enum Step {
    Primary,
    Waiting(&'static str),
}

async fn rest(mongod: &mut Mongod, deadline: Instant, reason: &str) -> Result<(), Failure> {
    if let Some(status) = mongod.exited() {
        return Err(Failure::Exited(status));
    }
    if Instant::now() >= deadline {
        return Err(Failure::TooSlow { reason: reason.to_owned() });
    }
    sleep(POLL).await;
    Ok(())
}

fn uri(name: &str, port: u16) -> String {
    format!("mongodb://127.0.0.1:{port}/?replicaSet={name}")
}

/// The data directory of whatever MongoDB listens on a port: another one may have taken a port that is only remembered.
async fn data_of(port: u16) -> Option<PathBuf> {
    let client = direct_client(port).ok()?;
    let options = run(&client.database("admin"), doc! { "getCmdLineOpts": 1 }).await;
    client.shutdown().immediate(true).await;
    let options = options.ok()?;
    let storage = options.get_document("parsed").ok()?.get_document("storage").ok()?;
    storage.get_str("dbPath").ok().map(PathBuf::from)
}

fn direct_client(port: u16) -> Result<Client, EmbeddedError> {
    let options = ClientOptions::builder()
        .hosts(vec![ServerAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: Some(port) }])
        .direct_connection(true)
        .server_selection_timeout(REPLY_WITHIN)
        .build();
    Client::with_options(options).map_err(|source| EmbeddedError::Driver { port, source: Box::new(source) })
}

async fn run(admin: &Database, command: Document) -> mongodb::error::Result<Document> {
    match timeout(REPLY_WITHIN, async { admin.run_command(command).await }).await {
        Ok(reply) => reply,
        Err(_) => Err(mongodb::error::Error::custom("no reply")),
    }
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        mongodb::error::ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
