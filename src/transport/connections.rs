//! The connections that are open on this node, so that a stopping server can say goodbye to each.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use futures::future::join_all;

use crate::session::connection::Session;

/// How long the last client is asked to wait before it comes back: they must not all come at once.
const LONGEST_WAIT_MS: u64 = 2_000;

/// The open connections.
#[derive(Default)]
pub struct Connections(DashMap<u64, Weak<Session>>);

/// A connection's place among the open ones; leaving gives it up.
pub struct Entered {
    connections: Arc<Connections>,
    number: u64,
}

impl Connections {
    /// Notes an open connection.
    #[must_use]
    pub fn enter(self: &Arc<Self>, session: &Arc<Session>) -> Entered {
        self.0.insert(session.number(), Arc::downgrade(session));
        Entered { connections: self.clone(), number: session.number() }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Tells every client that the server stops, and ends each connection once what is under way is answered.
    pub async fn drain(&self) {
        let sessions: Vec<Arc<Session>> = self.0.iter().filter_map(|entry| entry.value().upgrade()).collect();
        let spread = LONGEST_WAIT_MS / (sessions.len() as u64).max(1);
        let wait = |place: usize| Duration::from_millis(100 + spread * place as u64);
        join_all(sessions.iter().enumerate().map(|(place, session)| session.drain(wait(place)))).await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.0.remove(&self.number);
    }
}
