//! A replica set of several members, as there is in production: they are killed, asked to stop and frozen, one after the other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::clinic::PATIENCE;
use super::mongo::{mongod, scratch_dir};
use super::process::signal;
use super::{Patience, until};

const NAME: &str = "members";
/// After this time without a word from the primary the others elect one. By default twice as long; with less, a machine that is busy
/// with other tests would be taken for one that is gone.
const ELECTION_MILLIS: i32 = 5_000;
/// A member that is there answers sooner.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Mongods on loopback ports. They are killed when this is dropped.
pub struct Members(Vec<Member>);

struct Member {
    dir: PathBuf,
    port: u16,
    options: &'static [&'static str],
    mongod: Option<Child>,
    is_frozen: bool,
    /// Asks this member and no other.
    client: Client,
}

/// What a member is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Primary,
    Secondary,
    /// It is away, or becomes something.
    Other,
}

impl Members {
    /// Starts so many, and waits until one is primary and the others are its secondaries.
    pub async fn start(count: usize, options: &'static [&'static str]) -> Self {
        // All ports are taken before one is given up: they differ.
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let mut members = Vec::new();
        for port in taken {
            let port = port.local_addr().expect("an address").port();
            members.push(Member::at(port, options));
        }
        for member in &mut members {
            std::fs::create_dir_all(&member.dir).expect("the directory of the run can be written");
            member.spawn().await;
        }
        let hosts = members.iter().zip(0..).map(|(member, id)| doc! { "_id": id, "host": member.host() });
        let settings = doc! { "electionTimeoutMillis": ELECTION_MILLIS };
        let config = doc! { "_id": NAME, "members": hosts.collect::<Vec<_>>(), "settings": settings };
        members[0].ask(doc! { "replSetInitiate": config }).await.expect("the replica set is initiated");
        // Otherwise the first election is after the ten seconds in which nobody has heard of a primary.
        until(async || members[0].ask(doc! { "replSetStepUp": 1 }).await.is_some()).await;
        let members = Self(members);
        members.until_settled().await;
        members
    }

    /// The connection string, without a database.
    pub fn uri(&self) -> String {
        let hosts: Vec<String> = self.0.iter().map(Member::host).collect();
        format!("mongodb://{}/?replicaSet={NAME}", hosts.join(","))
    }

    /// The one that takes writes, of those that are not frozen, once there is one.
    pub async fn primary(&self) -> usize {
        super::eventually(async || {
            let states = self.states().await;
            states.iter().position(|state| *state == State::Primary)
        })
        .await
    }

    /// Waits until all are there and one is primary.
    pub async fn until_settled(&self) {
        until(async || {
            let states = self.states().await;
            let count = |state| states.iter().filter(|other| **other == state).count();
            (count(State::Primary), count(State::Secondary)) == (1, self.0.len() - 1)
        })
        .await;
    }

    /// Ends a member as a crash does.
    pub async fn kill(&mut self, index: usize) {
        let mut mongod = self.0[index].mongod.take().expect("it runs");
        mongod.kill().await.expect("it can be killed");
    }

    /// Asks a member to end. It goes on until [`Members::restart`] waits for it.
    pub async fn ask_to_stop(&self, index: usize) {
        signal("TERM", self.0[index].pid()).await;
    }

    /// Starts a member again, once it has ended.
    pub async fn restart(&mut self, index: usize) {
        self.0[index].ended().await;
        self.0[index].spawn().await;
    }

    /// Lets a member stand still: it holds its connections and answers nothing.
    pub async fn freeze(&mut self, index: usize) {
        self.0[index].is_frozen = true;
        signal("STOP", self.0[index].pid()).await;
    }

    /// Lets it go on where it stood.
    pub async fn thaw(&mut self, index: usize) {
        signal("CONT", self.0[index].pid()).await;
        self.0[index].is_frozen = false;
    }

    /// Copies what a member holds, which ends it in order and starts it again.
    pub async fn back_up(&mut self, index: usize) -> PathBuf {
        let copy = scratch_dir();
        self.ask_to_stop(index).await;
        self.0[index].ended().await;
        copy_directory(&self.0[index].dir, &copy).await;
        self.restart(index).await;
        copy
    }

    /// Puts a copy in the place of what a member holds, as [`Members::back_up`] took it.
    pub async fn restore(&mut self, index: usize, copy: &Path) {
        self.ask_to_stop(index).await;
        self.0[index].ended().await;
        std::fs::remove_dir_all(&self.0[index].dir).expect("nobody uses it");
        copy_directory(copy, &self.0[index].dir).await;
        self.restart(index).await;
    }

    async fn states(&self) -> Vec<State> {
        futures::future::join_all(self.0.iter().map(Member::state)).await
    }
}

impl Member {
    fn at(port: u16, options: &'static [&'static str]) -> Self {
        let asking = ClientOptions::builder()
            .hosts(vec![ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(port) }])
            .direct_connection(true)
            .server_selection_timeout(ANSWERS_WITHIN)
            .build();
        let client = Client::with_options(asking).expect("these options are fine");
        Self { dir: scratch_dir(), port, options, mongod: None, is_frozen: false, client }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn pid(&self) -> u32 {
        self.mongod.as_ref().and_then(Child::id).expect("it runs")
    }

    /// Starts it, and waits until it listens.
    async fn spawn(&mut self) {
        let mut command = Command::new(mongod().await);
        command
            .args(["--replSet", NAME, "--bind_ip", "127.0.0.1", "--port", &self.port.to_string(), "--nounixsocket"])
            .args(["--wiredTigerCacheSizeGB", "0.25"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            // For so long one that is asked to stop lets its clients find the next primary; 15 s by default.
            .args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=4000"])
            .args(["--wiredTigerEngineConfigString", "log=(file_max=16MB,prealloc=false)"])
            .args(["--networkMessageCompressors", "disabled"])
            .args(self.options)
            .arg("--dbpath")
            .arg(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut mongod = command.spawn().expect("mongod runs");
        let mut patience = Patience::default();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            // Somebody had its port for a moment.
            if mongod.try_wait().expect("it can be waited for").is_some() {
                mongod = command.spawn().expect("mongod runs");
            }
            patience.rest().await;
        }
        self.mongod = Some(mongod);
    }

    /// Waits until it has ended, if it runs.
    async fn ended(&mut self) {
        if let Some(mut ending) = self.mongod.take() {
            timeout(PATIENCE, ending.wait()).await.expect("it ends in time").expect("it can be waited for");
        }
    }

    async fn state(&self) -> State {
        if self.is_frozen || self.mongod.is_none() {
            return State::Other;
        }
        let Some(hello) = self.ask(doc! { "hello": 1 }).await else { return State::Other };
        let is = |what| hello.get_bool(what).unwrap_or(false);
        match (is("isWritablePrimary"), is("secondary")) {
            (true, _) => State::Primary,
            (false, true) => State::Secondary,
            (false, false) => State::Other,
        }
    }

    async fn ask(&self, question: Document) -> Option<Document> {
        let admin = self.client.database("admin");
        timeout(ANSWERS_WITHIN, admin.run_command(question).into_future()).await.ok()?.ok()
    }
}

async fn copy_directory(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().await;
    assert!(copied.expect("`cp` runs").success(), "the directory can be copied");
}
