//! The connections that are open on this node, so that a stopping server can say goodbye to each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use futures::future::join_all;

use crate::live::outbox::Ending;
use crate::session::connection::Session;

/// How long the last client is asked to wait before it comes back: they must not all come at once.
const LONGEST_WAIT_MS: u64 = 2_000;

/// The open connections.
#[derive(Default)]
pub struct Connections {
    open: DashMap<u64, Weak<Session>>,
    /// Set once: from then on whoever comes is sent on.
    draining: AtomicBool,
}

/// A connection's place among the open ones; leaving gives it up.
pub struct Entered {
    connections: Arc<Connections>,
    number: u64,
}

impl Connections {
    /// Notes an open connection. One that comes while the server stops is told so at once.
    #[must_use]
    pub fn enter(self: &Arc<Self>, session: &Arc<Session>) -> Entered {
        self.open.insert(session.number(), Arc::downgrade(session));
        if self.draining.load(Ordering::SeqCst) {
            let late = session.clone();
            tokio::spawn(async move { late.drain(Duration::from_millis(LONGEST_WAIT_MS)).await });
        }
        Entered { connections: self.clone(), number: session.number() }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Ends every connection, answered or not.
    pub fn end(&self) {
        self.sessions().iter().for_each(|session| session.outbox().end(Ending::Drain));
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        self.open.iter().filter_map(|entry| entry.value().upgrade()).collect()
    }

    /// Tells every client that the server stops, and ends each connection once what is under way is answered.
    pub async fn drain(&self) {
        // Before they are counted: who enters from now on sees it, who entered before is among them.
        self.draining.store(true, Ordering::SeqCst);
        let sessions = self.sessions();
        let spread = LONGEST_WAIT_MS / (sessions.len() as u64).max(1);
        let wait = |place: usize| Duration::from_millis(100 + spread * place as u64);
        join_all(sessions.iter().enumerate().map(|(place, session)| session.drain(wait(place)))).await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.open.remove(&self.number);
    }
}
