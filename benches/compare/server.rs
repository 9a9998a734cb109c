//! A server that is measured: a process of its own, from its first line of output to its end.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Longest that a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is kept of its output, for the case that something goes wrong.
const KEPT: usize = 16 * 1024;

pub struct Server {
    child: Child,
    pub pid: u32,
    pub address: SocketAddr,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    text: Mutex<String>,
    news: Notify,
}

impl Server {
    /// Runs a command until it says `http://ADDRESS` on a line after `words`.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub async fn start(mut command: Command, words: &str) -> Self {
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CITA_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
        let said = Arc::new(Said::default());
        tokio::spawn(listen(child.stdout.take().expect("it is piped"), said.clone()));
        tokio::spawn(listen(child.stderr.take().expect("it is piped"), said.clone()));
        let pid = child.id().expect("it was not waited for");
        let address = async {
            loop {
                let news = said.news.notified();
                if let Some(address) = address_after(&said.text.lock().unwrap(), words) {
                    return Some(address);
                }
                tokio::select! { () = news => {}, _ = child.wait() => return None }
            }
        };
        match timeout(PATIENCE, address).await {
            Ok(Some(address)) => Self { child, pid, address, said },
            _ => panic!("{command:?} did not say `{words}`:\n{}", said.text.lock().unwrap()),
        }
    }

    /// The end of what it has said.
    pub fn said(&self) -> String {
        self.said.text.lock().unwrap().clone()
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) {
        let _gone_already: io::Result<()> = self.child.kill().await;
    }
}

fn address_after(text: &str, words: &str) -> Option<SocketAddr> {
    let rest = text.split_once(words)?.1.split_once('\n')?.0;
    rest.split_once("http://")?.1.split_whitespace().next()?.parse().ok()
}

async fn listen(stream: impl AsyncRead + Unpin, said: Arc<Said>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut text = said.text.lock().unwrap();
        if text.len() > KEPT {
            text.clear();
        }
        text.push_str(&line);
        text.push('\n');
        drop(text);
        said.news.notify_one();
    }
}
