//! What one connection is subscribed to. The hub writes it under its own lock, when it lets a connection join a topic or
//! ends its subscription; the session reads it.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::topic::Topic;

/// Bytes of a subscription, at most: its name twice, and its place among those who watch the topic.
pub const SUBSCRIPTION_BYTES: usize = 512;

/// The topics of a connection, by the name that their frames carry.
#[derive(Debug, Default)]
pub struct Subscriptions(Mutex<HashMap<String, Topic>>);

impl Subscriptions {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// The topic of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Topic> {
        self.0.lock().get(name).cloned()
    }

    /// The topics whose names are wanted.
    #[must_use]
    pub fn named(&self, wanted: impl Fn(&str) -> bool) -> Vec<Topic> {
        self.0.lock().iter().filter(|(name, _)| wanted(name)).map(|(_, topic)| topic.clone()).collect()
    }

    pub(super) fn add(&self, name: String, topic: Topic) {
        self.0.lock().insert(name, topic);
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.lock().remove(name);
    }
}
