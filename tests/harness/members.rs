//! A replica set of three, as there is in production: its members are killed, asked to stop and frozen, one after the other.

use std::path::PathBuf;
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
use super::until;

const NAME: &str = "members";
/// A member that is there answers sooner.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Three mongods on loopback ports, with MongoDB's own settings for elections. They are killed when this is dropped.
pub struct Members([Member; 3]);

struct Member {
    dir: PathBuf,
    port: u16,
    /// The size that its oplog keeps within.
    oplog_mb: u32,
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
    /// Starts them, and waits until one is primary and two are its secondaries.
    pub async fn start(oplog_mb: u32) -> Self {
        // All three are taken before one is given up: they differ.
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let mut ports = taken.into_iter().map(|port| port.local_addr().expect("an address").port());
        let mut members = [(); 3].map(|()| Member::at(ports.next().expect("there are three"), oplog_mb));
        for member in &mut members {
            std::fs::create_dir_all(&member.dir).expect("the directory of the run can be written");
            member.spawn().await;
        }
        let hosts = members.iter().zip(0..).map(|(member, id)| doc! { "_id": id, "host": member.host() });
        let config = doc! { "_id": NAME, "members": hosts.collect::<Vec<_>>() };
        members[0].ask(doc! { "replSetInitiate": config }).await.expect("the replica set is initiated");
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

    /// Waits until all three are there and agree on who is primary.
    pub async fn until_settled(&self) {
        until(async || {
            let states = self.states().await;
            let count = |state| states.iter().filter(|other| **other == state).count();
            (count(State::Primary), count(State::Secondary)) == (1, 2)
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
        let member = &mut self.0[index];
        if let Some(mut ending) = member.mongod.take() {
            timeout(PATIENCE, ending.wait()).await.expect("it ends in time").expect("it can be waited for");
        }
        member.spawn().await;
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

    async fn states(&self) -> [State; 3] {
        let [first, second, third] = &self.0;
        tokio::join!(first.state(), second.state(), third.state()).into()
    }
}

impl Member {
    fn at(port: u16, oplog_mb: u32) -> Self {
        let options = ClientOptions::builder()
            .hosts(vec![ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(port) }])
            .direct_connection(true)
            .server_selection_timeout(ANSWERS_WITHIN)
            .build();
        let client = Client::with_options(options).expect("these options are fine");
        Self { dir: scratch_dir(), port, oplog_mb, mongod: None, is_frozen: false, client }
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
            .args(["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", &self.oplog_mb.to_string()])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .args(["--wiredTigerEngineConfigString", "log=(file_max=16MB,prealloc=false)"])
            .args(["--networkMessageCompressors", "disabled"])
            .arg("--dbpath")
            .arg(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.mongod = Some(command.spawn().expect("mongod runs"));
        until(async || TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()).await;
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
