//! How many of the mails that anybody can cause go to one address, whichever accounts cause them. In the memory of this
//! node: with n nodes there may be n times as many, and a restart forgets them.

use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use jiff::{SignedDuration, Timestamp};

use super::digests::sha256;
use crate::domain::session::Digest;

/// Most mails to one address within [`WINDOW`].
const LIMIT: usize = 5;
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How often addresses that were sent nothing lately are swept out.
const SWEEP_EVERY_MS: i64 = 60_000;
/// Most addresses that are remembered; beyond that all are forgotten, since memory counts for more.
const CAPACITY: usize = 100_000;

/// Counts mails. Of addresses it keeps the SHA-256 only.
#[derive(Default)]
pub(super) struct Mailboxes {
    sent: DashMap<Digest, Vec<Timestamp>>,
    swept: AtomicI64,
}

impl Mailboxes {
    /// Whether one more mail may go to a normalised address; it is counted then.
    pub(super) fn take(&self, address: &str, now: Timestamp) -> bool {
        self.sweep(now);
        let mut sent = self.sent.entry(sha256(address.as_bytes())).or_default();
        sent.retain(|at| is_recent(*at, now));
        let has_room = sent.len() < LIMIT;
        if has_room {
            sent.push(now);
        }
        has_room
    }

    fn sweep(&self, now: Timestamp) {
        let (swept, at) = (self.swept.load(Ordering::Relaxed), now.as_millisecond());
        let is_due = at - swept >= SWEEP_EVERY_MS || self.sent.len() >= CAPACITY;
        // Whoever exchanges it sweeps.
        if is_due && self.swept.compare_exchange(swept, at, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.sent.retain(|_, sent| sent.iter().any(|at| is_recent(*at, now)));
            if self.sent.len() >= CAPACITY {
                self.sent.clear();
            }
        }
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::constant(1_800_000_000, 0) + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn five_within_an_hour_are_enough_for_one_address() {
        let mailboxes = Mailboxes::default();
        assert!((0..5).all(|minute| mailboxes.take("ana@example.com", at(minute))));
        assert!(!mailboxes.take("ana@example.com", at(59)), "what is refused is not counted");
        assert!(mailboxes.take("eva@example.com", at(59)), "another address");
        assert!(mailboxes.take("ana@example.com", at(60)), "the first has grown old");
        assert!(!mailboxes.take("ana@example.com", at(60)));
    }

    #[test]
    fn memory_is_bounded() {
        let mailboxes = Mailboxes::default();
        mailboxes.take("ana@example.com", at(0));
        mailboxes.take("eva@example.com", at(61));
        assert_eq!(mailboxes.sent.len(), 1, "what has grown old is swept out");
        for number in 0..CAPACITY {
            mailboxes.take(&format!("{number}@example.com"), at(61));
        }
        mailboxes.take("ana@example.com", at(61));
        assert!(mailboxes.sent.len() <= CAPACITY);
    }
}
