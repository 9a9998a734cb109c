//! Answers to the searches of visitors, kept for as long as they stay true: until the calendar changes, or the minute ends. A time
//! becomes or ceases to be bookable on a whole minute, since starts, notices and horizons are whole minutes.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use moka::sync::Cache;

use crate::domain::change::Position;
use crate::domain::ids::{DoctorId, ServiceId};

/// Most bytes of answers that are kept. One of a month takes some 30 KiB.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// The longest that one can be asked for again.
const MINUTE: Duration = Duration::from_secs(60);

/// A search, and what its answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Search {
    pub doctor: DoctorId,
    pub service: ServiceId,
    pub from: Date,
    /// Included.
    pub to: Date,
    /// The zone that is named, if one is.
    pub zone: Option<String>,
    /// Where the calendar is.
    pub at: Position,
    /// The minute that ends next: a time that can be booked up to its beginning is not in it.
    pub minute: i64,
}

/// Answers by what they depend on, as JSON.
pub struct Searches(Cache<Search, Bytes>);

impl Default for Searches {
    fn default() -> Self {
        let bytes = |_: &Search, answer: &Bytes| u32::try_from(answer.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(MOST_BYTES).weigher(bytes).time_to_live(MINUTE).build())
    }
}

impl Searches {
    /// The answer, if somebody has asked for it.
    #[must_use]
    pub fn get(&self, search: &Search) -> Option<Bytes> {
        self.0.get(search)
    }

    /// Keeps an answer.
    pub fn keep(&self, search: Search, answer: Bytes) {
        self.0.insert(search, answer);
    }
}

/// The minute of an instant, which belongs to the one that ends with it.
#[must_use]
pub fn minute(now: Timestamp) -> i64 {
    now.as_millisecond().saturating_add(59_999).div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_minute_ends_one() {
        let minute_of = |text: &str| minute(text.parse().expect("an instant"));
        let at = minute_of("2026-12-01T14:00:00Z");
        assert_eq!(minute_of("2026-12-01T13:59:00.001Z"), at);
        assert_eq!(minute_of("2026-12-01T14:00:00.001Z"), at + 1);
    }
}
