//! The server as a process of its own, to be stopped and killed as an operating system does it.

use std::env;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::clinic::PATIENCE;
use super::eventually;
use super::mongo::mongod;

const CITA: &str = env!("CARGO_BIN_EXE_cita");

/// A running `cita`; killed when dropped.
pub struct Process {
    child: Child,
    pid: u32,
    /// Everything that it has printed and logged.
    output: Arc<Mutex<String>>,
    reading: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `cita` with these arguments, and with none of the environment's configuration but its mongod.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", arguments).await
    }

    /// The same, listening on a given address.
    pub async fn start_on(address: &str, arguments: &[&str]) -> Self {
        Self::start_with(address, arguments, &[]).await
    }

    /// The same, with more variables.
    pub async fn start_with(address: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(CITA), address, arguments, variables).await
    }

    /// Starts `cita` with only so many file descriptors.
    pub async fn start_with_descriptors(descriptors: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n "$0" && exec "$@""#, &descriptors.to_string(), CITA]);
        Self::spawn(command, "127.0.0.1:0", arguments, &[]).await
    }

    async fn spawn(mut command: Command, address: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CITA_")) {
            command.env_remove(name);
        }
        command
            .envs(variables.iter().copied())
            .args(["--listen", address])
            .args(arguments)
            .env("CITA_MONGOD", mongod().await);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the server's binary runs");
        let output = Arc::new(Mutex::new(String::new()));
        let stdout = tokio::spawn(collect(child.stdout.take().expect("it is piped"), output.clone()));
        let stderr = tokio::spawn(collect(child.stderr.take().expect("it is piped"), output.clone()));
        let pid = child.id().expect("it was not waited for");
        Self { child, pid, output, reading: vec![stdout, stderr] }
    }

    /// Starts a node on given databases and waits until it serves.
    pub async fn serve(users_uri: &str, appointments_uri: &str, options: &[&str]) -> (Self, String) {
        let mut arguments = vec!["--users-uri", users_uri, "--appointments-uri", appointments_uri];
        arguments.extend(options);
        let process = Self::start(&arguments).await;
        let url = process.serving().await;
        (process, url)
    }

    /// What it has printed and logged until now.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What follows `words` on the line that has them, once there is one.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn told(&self, words: &str) -> String {
        let find = || {
            let output = self.output.lock().unwrap();
            let rest = output.split_once(words)?.1.split_once('\n')?.0;
            Some(rest.split_whitespace().next().unwrap_or_default().to_owned())
        };
        match timeout(PATIENCE / 2, eventually(async || find())).await {
            Ok(found) => found,
            Err(_) => panic!("the server did not say `{words}`: {}", self.output()),
        }
    }

    /// Its address, once it serves.
    pub async fn serving(&self) -> String {
        self.told("Cita serves at ").await
    }

    /// Its address, before it serves.
    pub async fn listening(&self) -> String {
        format!("http://{}", self.told("listening address=").await)
    }

    /// Sends it a signal: `TERM`, `INT`, `KILL`.
    pub async fn signal(&self, name: &str) {
        signal(name, self.pid).await;
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_none()
    }

    /// How it ended.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn ended(&mut self) -> ExitStatus {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => {
                for reading in self.reading.drain(..) {
                    reading.await.expect("what it said can be read");
                }
                status.expect("it can be waited for")
            }
            Err(_) => panic!("the server did not end: {}", self.output()),
        }
    }
}

async fn collect(stream: impl AsyncRead + Unpin, output: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut output = output.lock().unwrap();
        output.push_str(&line);
        output.push('\n');
    }
}

/// Sends a signal to a process that this one has started: `TERM`, `KILL`, `STOP`.
pub async fn signal(name: &str, pid: u32) {
    let mut kill = Command::new("sh");
    kill.args(["-c", r#"kill -s "$0" "$1""#, name, &pid.to_string()]);
    assert!(kill.status().await.expect("`sh` runs").success(), "the process can be signalled");
}
