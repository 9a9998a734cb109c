//! The ring of committed changes of one cluster: what a returning client is told from, and what joins a snapshot to the
//! stream.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::change::{Commit, Position};

/// The latest commits, bounded in bytes, without a gap between `floor` and `position`.
#[derive(Debug)]
pub struct Ring {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
    limit: usize,
    /// Everything after this position is in the ring.
    floor: Position,
    /// Everything up to this position has been seen.
    position: Position,
}

impl Ring {
    /// An empty ring that keeps at most `limit` bytes of documents.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { commits: VecDeque::new(), bytes: 0, limit, floor: Position(u64::MAX), position: Position(0) }
    }

    /// Forgets everything and goes on after `position`.
    pub fn reset(&mut self, position: Position) {
        self.commits.clear();
        self.bytes = 0;
        self.floor = position;
        self.position = position;
    }

    /// Adds a commit, which is later than every one before, and drops the oldest beyond the limit.
    pub fn push(&mut self, commit: Arc<Commit>) {
        self.position = commit.at;
        self.bytes += commit.bytes;
        self.commits.push_back(commit);
        while self.bytes > self.limit {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.bytes -= oldest.bytes;
            self.floor = oldest.at;
        }
    }

    /// Notes that there was nothing more up to `position`.
    pub fn advance(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    /// How many commits are kept, and the bytes of their documents.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.commits.len(), self.bytes)
    }

    /// Everything up to this position has been seen.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The commits after `position`; `None` when some of them are no longer kept, or lie in the future.
    #[must_use]
    pub fn after(&self, position: Position) -> Option<impl Iterator<Item = &Arc<Commit>>> {
        if position < self.floor || position > self.position {
            return None;
        }
        let from = self.commits.partition_point(|commit| commit.at <= position);
        Some(self.commits.range(from..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(at: u64) -> Arc<Commit> {
        Arc::new(Commit { at: Position(at), changes: Vec::new(), bytes: 10 })
    }

    fn told(ring: &Ring, after: u64) -> Option<Vec<u64>> {
        ring.after(Position(after)).map(|commits| commits.map(|commit| commit.at.0).collect())
    }

    #[test]
    fn tells_all_after_a_position_or_nothing() {
        let mut ring = Ring::new(30);
        assert_eq!(told(&ring, 0), None, "a ring that has not begun knows nothing");
        ring.reset(Position(5));
        assert_eq!(told(&ring, 5), Some(vec![]));
        for at in [7, 9, 12, 20] {
            ring.push(commit(at));
        }
        assert_eq!(told(&ring, 5), None, "7 was dropped");
        assert_eq!(told(&ring, 7), Some(vec![9, 12, 20]));
        assert_eq!(told(&ring, 10), Some(vec![12, 20]));
        assert_eq!(told(&ring, 20), Some(vec![]));
        assert_eq!(told(&ring, 21), None, "the future");
        ring.advance(Position(30));
        assert_eq!(told(&ring, 21), Some(vec![]));
        ring.reset(Position(40));
        assert_eq!(told(&ring, 30), None);
    }
}
