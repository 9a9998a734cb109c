//! Somebody who watches a topic over every disturbance: closed with a code that says so, or cut off, they come back with
//! their last cursor, to whichever node there is.

use std::sync::{Arc, Mutex};

use cita_cli::{ClientError, Connection, Frame};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::watch::View;
use crate::harness::{Patience, eventually};

/// The nodes that clients may turn to, which may change while they work.
#[derive(Clone, Debug)]
pub struct Servers {
    urls: Arc<Mutex<Vec<String>>>,
    turn: usize,
}

impl Servers {
    /// These, in this order.
    pub fn new(urls: &[&str]) -> Self {
        Self { urls: Arc::new(Mutex::new(urls.iter().map(|url| (*url).to_owned()).collect())), turn: 0 }
    }

    /// The same, beginning with another one.
    pub fn starting_at(&self, turn: usize) -> Self {
        Self { urls: self.urls.clone(), turn }
    }

    /// From now on, for all clients, only this one.
    pub fn replace(&self, url: &str) {
        *self.urls.lock().unwrap() = vec![url.to_owned()];
    }

    /// One of them.
    pub fn one(&self, turn: usize) -> String {
        let urls = self.urls.lock().unwrap();
        urls[turn % urls.len()].clone()
    }

    /// The one whose turn it is.
    pub fn current(&self) -> String {
        self.one(self.turn)
    }

    /// Turns to the next one.
    pub fn move_on(&mut self) {
        self.turn += 1;
    }
}

/// What a follower has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub view: View,
    /// How each connection ended: its close code, `None` when it was cut off.
    pub ends: Vec<Option<u16>>,
    /// How often it could not be resumed.
    pub anew: usize,
    /// Pings since the connection was opened.
    pub pings: usize,
}

/// A follower, at work until dropped.
pub struct Follower {
    pub topic: String,
    pub token: Option<String>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Begins to follow a topic, and waits for its first snapshot.
    pub async fn start(servers: &Servers, token: Option<&str>, topic: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (topic, token) = (topic.to_owned(), token.map(str::to_owned));
        let task = tokio::spawn(follow(servers.clone(), token.clone(), topic.clone(), seen.clone()));
        let follower = Self { topic, token, seen, task };
        follower.until(|seen| seen.view.snapshots > 0).await;
        follower
    }

    /// What it has seen until now.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until it has seen what is wanted.
    ///
    /// # Panics
    /// When it does not in time, or has seen what may not be.
    pub async fn until(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        eventually(async || {
            assert!(!self.task.is_finished(), "the follower of {} has seen what may not be", self.topic);
            let seen = self.seen.lock().unwrap();
            wanted(&seen).then(|| seen.clone())
        })
        .await
    }

    /// Waits until it has seen everything up to a cursor.
    pub async fn until_cursor(&self, cursor: &str) -> Seen {
        self.until(|seen| *seen.view.cursor >= *cursor).await
    }

    /// Waits for some more pings: a while in which nothing else need happen.
    pub async fn until_pinged(&self, more: usize) -> Seen {
        let before = self.seen().pings;
        self.until(|seen| seen.pings >= before + more).await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(mut servers: Servers, token: Option<String>, topic: String, seen: Arc<Mutex<Seen>>) {
    loop {
        let connection = come_back(&mut servers, token.as_deref(), &topic, &seen).await;
        let end = loop {
            match connection.next_event().await {
                Ok(frame) => {
                    let mut seen = seen.lock().unwrap();
                    assert_revisions_follow(&topic, &seen.view, &frame);
                    seen.pings += usize::from(frame.kind == "ping");
                    seen.view.take(&topic, &frame);
                }
                Err(end) => break end,
            }
        };
        let code = match end {
            ClientError::Closed { code, .. } => code,
            other => panic!("{topic}: {other}"),
        };
        // 1006 and the like mean that it was cut off; every other code must say: reconnect and resume.
        assert!(code.is_none_or(|code| (4000..4100).contains(&code)), "{topic} was closed with {code:?}");
        seen.lock().unwrap().ends.push(code);
        servers.move_on();
    }
}

async fn come_back(servers: &mut Servers, token: Option<&str>, topic: &str, seen: &Mutex<Seen>) -> Connection {
    let after = seen.lock().unwrap().view.cursor.clone();
    let mut request = json!({ "topic": topic });
    if !after.is_empty() {
        request["after"] = json!(after);
    }
    let mut patience = Patience::default();
    loop {
        match subscribe(&servers.current(), token, &request).await {
            Ok((connection, resumed)) => {
                if !resumed {
                    let mut seen = seen.lock().unwrap();
                    seen.anew += usize::from(!after.is_empty());
                    // A snapshot may be older than the last ping.
                    seen.view.cursor.clear();
                }
                return connection;
            }
            Err(error) => {
                assert!(error.problem().is_none_or(|problem| problem.retryable), "{topic}: {error}");
                servers.move_on();
                patience.rest().await;
            }
        }
    }
}

/// A connection with the topic, and whether it goes on where it was.
async fn subscribe(url: &str, token: Option<&str>, request: &Value) -> Result<(Connection, bool), ClientError> {
    let connection = Connection::connect(url, token).await?;
    let reply = connection.request("subscribe", request, None).await?;
    Ok((connection, reply.data["resumed"] == true))
}

/// Every revision of an appointment is told, once: the first of a new one is 1, and each is one more than the one before.
fn assert_revisions_follow(topic: &str, view: &View, frame: &Frame) {
    if frame.kind != "change" || frame.data["topic"] != topic {
        return;
    }
    let revision = |item: &Value| item["rev"].as_u64();
    for item in frame.data["upserted"].as_array().expect("a list") {
        if let (Some(new), Some(id)) = (revision(item), item["id"].as_str()) {
            let old = view.items.get(id).and_then(revision).unwrap_or(0);
            assert_eq!(new, old + 1, "{topic}: {id} went from {old} to {new}");
        }
    }
}
