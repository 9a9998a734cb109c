//! Puts together again what the end of a large batch has cut in the middle of a cluster time.

use crate::domain::change::Commit;

/// A batch of this size may have been cut within a cluster time.
const LARGE_BATCH: usize = 8 * 1024 * 1024;

/// The last commit of a batch that may have been cut.
#[derive(Default)]
pub struct Whole(Option<Commit>);

impl Whole {
    /// The commits that are whole, after a batch of so many bytes.
    pub fn of(&mut self, mut commits: Vec<Commit>, bytes: usize) -> Vec<Commit> {
        if let Some(held) = self.0.take() {
            match commits.first_mut() {
                Some(first) if first.at == held.at => {
                    first.changes.splice(0..0, held.changes);
                    first.bytes += held.bytes;
                }
                _ => commits.insert(0, held),
            }
        }
        if bytes >= LARGE_BATCH {
            self.0 = commits.pop();
        }
        commits
    }

    /// Whether everything that came was whole.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::{Change, Position};

    fn commit(at: u64, changes: usize) -> Commit {
        Commit { at: Position(at), changes: vec![Change::SigningKey; changes], bytes: changes }
    }

    fn seen(commits: &[Commit]) -> Vec<(u64, usize, usize)> {
        commits.iter().map(|commit| (commit.at.0, commit.changes.len(), commit.bytes)).collect()
    }

    #[test]
    fn the_end_of_a_large_batch_waits_for_what_belongs_to_it() {
        let mut whole = Whole::default();
        assert_eq!(seen(&whole.of(vec![commit(1, 1), commit(2, 2)], LARGE_BATCH)), [(1, 1, 1)]);
        assert!(!whole.is_all());
        assert_eq!(seen(&whole.of(vec![commit(2, 3), commit(3, 1)], 10)), [(2, 5, 5), (3, 1, 1)]);
        assert!(whole.is_all());
        assert_eq!(seen(&whole.of(vec![commit(4, 1)], LARGE_BATCH)), []);
        assert_eq!(seen(&whole.of(Vec::new(), 10)), [(4, 1, 1)], "nothing more belonged to it");
    }
}
