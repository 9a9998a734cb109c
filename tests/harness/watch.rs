//! Somebody who watches topics, and what they have seen: a view that must equal a fresh snapshot at any time.

use std::collections::BTreeMap;

use cita_cli::{ClientError, Connection, Frame};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::clinic::PATIENCE;

/// A topic as its frames have built it up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// By id of the appointment, or start of the slot.
    pub items: BTreeMap<String, Value>,
    /// The last cursor.
    pub cursor: String,
    /// Whole ones.
    pub snapshots: usize,
    pub resets: usize,
    pub changes: usize,
    /// Of slots: the zone that was told last.
    pub zone: String,
}

impl View {
    /// Takes in a frame of the topic. Returns whether it was one.
    ///
    /// # Panics
    /// When an entity's `rev` does not grow, or a frame is not as the contract has it.
    pub fn take(&mut self, topic: &str, frame: &Frame) -> bool {
        if frame.kind == "ping" {
            self.cursor = frame.cursor.as_ref().expect("a ping has a cursor").0.clone();
            return false;
        }
        if frame.data["topic"] != topic {
            return false;
        }
        if frame.kind != "reset" {
            let zone = frame.data["timeZone"].as_str();
            assert_eq!(zone.is_some(), topic.contains("/slots/"), "times are told with their zone");
            self.zone = zone.unwrap_or_default().to_owned();
        }
        match frame.kind.as_str() {
            "reset" => {
                self.items.clear();
                self.resets += 1;
            }
            "snapshot" => {
                self.upsert(&frame.data["items"]);
                if frame.data["more"] == true {
                    return true;
                }
                if self.snapshots == 0 {
                    // What a ping said before there was a subscription.
                    self.cursor.clear();
                }
                self.snapshots += 1;
            }
            "change" => {
                self.changes += 1;
                for removed in frame.data["removed"].as_array().expect("removed is a list") {
                    self.items.remove(removed.as_str().expect("removed names an item"));
                }
                self.upsert(&frame.data["upserted"]);
            }
            other => panic!("unexpected {other}"),
        }
        if let Some(cursor) = &frame.cursor {
            // Those of the users cluster say nothing of the other, as pings do: they do not compare as text.
            assert!(cursor.0 >= self.cursor || topic == "me/sessions", "cursors of a topic grow");
            self.cursor.clone_from(&cursor.0);
        }
        true
    }

    fn upsert(&mut self, items: &Value) {
        for item in items.as_array().expect("items are a list") {
            let name = item["id"].as_str().or(item["start"].as_str()).expect("an item has a name").to_owned();
            let old = self.items.insert(name, item.clone());
            if let (Some(old), Some(new)) = (old.and_then(|old| old["rev"].as_u64()), item["rev"].as_u64()) {
                assert!(new > old, "rev grows: {old} then {new}");
            }
        }
    }

    /// Statuses by name.
    pub fn statuses(&self) -> BTreeMap<&str, &str> {
        self.items.iter().map(|(name, item)| (name.as_str(), item["status"].as_str().unwrap_or_default())).collect()
    }
}

/// A subscription to one topic on its own connection.
pub struct Watcher {
    pub connection: Connection,
    pub topic: String,
    pub view: View,
    pub resumed: bool,
}

impl Watcher {
    /// Subscribes, and waits for the snapshot unless it is resumed.
    pub async fn start(connection: Connection, topic: &str, after: Option<&str>) -> Self {
        let mut request = json!({ "topic": topic });
        if let Some(after) = after {
            request["after"] = json!(after);
        }
        let reply = connection.request("subscribe", request, None).await.expect("the topic is given");
        let resumed = reply.data["resumed"].as_bool().expect("resumed is told");
        let mut watcher = Self { connection, topic: topic.to_owned(), view: View::default(), resumed };
        if !resumed {
            watcher.until(|view| view.snapshots > 0).await;
        }
        watcher
    }

    /// Takes in frames until the view is as wanted.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn until(&mut self, wanted: impl Fn(&View) -> bool) -> &View {
        let waiting = async {
            while !wanted(&self.view) {
                let frame = self.connection.next_event().await.expect("the connection stays");
                self.view.take(&self.topic, &frame);
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("{} did not become as wanted: {:#?}", self.topic, self.view);
        }
        &self.view
    }

    /// Takes in everything up to a cursor: once a ping has passed it, there is nothing more.
    pub async fn until_cursor(&mut self, cursor: &str) -> &View {
        self.until(|view| *view.cursor >= *cursor).await
    }
}

/// How a connection ends.
///
/// # Panics
/// When it does not end in time.
pub async fn end_of(connection: &Connection) -> ClientError {
    let ending = async {
        loop {
            if let Err(end) = connection.next_event().await {
                return end;
            }
        }
    };
    timeout(PATIENCE, ending).await.expect("the connection ends in time")
}
