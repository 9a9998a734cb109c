//! How far this node has seen each cluster, and waiting for a point that a client has seen elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::change::Position;

/// How long a read waits for the point that it asks for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A position in each cluster; zero where a cluster does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    pub appointments: Position,
    pub users: Position,
}

impl Positions {
    /// A position of the appointments cluster alone.
    #[must_use]
    pub fn of_appointments(position: Position) -> Self {
        Self { appointments: position, users: Position::default() }
    }

    /// A position of the users cluster alone.
    #[must_use]
    pub fn of_users(position: Position) -> Self {
        Self { appointments: Position::default(), users: position }
    }

    fn reaches(self, other: Self) -> bool {
        self.appointments >= other.appointments && self.users >= other.users
    }
}

/// How far this node has seen.
#[derive(Debug, Default)]
pub struct Committed {
    seen: watch::Sender<Positions>,
    /// The latest write of the appointments cluster that this node has acknowledged.
    acknowledged: AtomicU64,
}

impl Committed {
    /// Where the node is.
    #[must_use]
    pub fn now(&self) -> Positions {
        *self.seen.borrow()
    }

    /// Notes a write that is being acknowledged: what is read from the views from now on includes it.
    pub fn acknowledged(&self, position: Position) {
        self.acknowledged.fetch_max(position.0, Ordering::Relaxed);
    }

    /// Waits until the node has seen what it has acknowledged, at most 2 s.
    pub async fn catch_up(&self) {
        let acknowledged = Position(self.acknowledged.load(Ordering::Relaxed));
        if self.now().appointments < acknowledged {
            self.wait_for(Positions::of_appointments(acknowledged)).await;
        }
    }

    /// Tells that everything up to `position` of the appointments cluster has been pushed.
    pub fn appointments(&self, position: Position) {
        self.seen.send_modify(|positions| positions.appointments = position);
    }

    /// Tells that everything up to `position` of the users cluster has been applied.
    pub fn users(&self, position: Position) {
        self.seen.send_modify(|positions| positions.users = position);
    }

    /// Waits until the node has seen `point`, at most 2 s. Returns whether it has.
    pub async fn wait_for(&self, point: Positions) -> bool {
        let mut receiver = self.seen.subscribe();
        let reached = receiver.wait_for(|positions| positions.reaches(point));
        matches!(tokio::time::timeout(PATIENCE, reached).await, Ok(Ok(_)))
    }
}
