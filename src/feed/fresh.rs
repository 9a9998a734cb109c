//! Whether what a feed has told is the present: a stream that is open and stands still looks like one on which nothing happens.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::interval;

use crate::domain::change::Position;

/// Batches come several times a second, empty ones too. Without any for this long, something is in the way: the server, the
/// network, or whoever takes what is told.
const SILENCE: Duration = Duration::from_secs(5);
/// What the database knew this long ago has been told. The stream of a sharded cluster takes ten seconds while one of its shards
/// is idle.
const LATE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known of how fresh a feed is. No clock but this node's own counts, and that only forwards.
pub struct Fresh {
    live: watch::Sender<bool>,
    state: Mutex<State>,
}

struct State {
    /// When something was told last.
    told: Instant,
    /// What the database knew, and when this was heard, that is still to be told.
    owed: Option<(Position, Instant)>,
    /// What was owed last was not told in time.
    late: bool,
    /// The stream broke and has told nothing since.
    broken: bool,
}

impl Fresh {
    /// A feed that has told nothing yet; `live` hears whether it is fresh.
    pub fn new(live: watch::Sender<bool>) -> Self {
        Self { live, state: Mutex::new(State { told: Instant::now(), owed: None, late: false, broken: false }) }
    }

    /// The stream is open. One that was broken has to tell something first: it may be of no more use than the last one.
    pub fn opened(&self) {
        let mut state = self.state.lock();
        state.told = Instant::now();
        self.set(!state.broken);
    }

    /// Everything up to `scanned` was handed on, when the server knew of `known`.
    pub fn told(&self, scanned: Position, known: Option<Position>) {
        self.told_at(Instant::now(), scanned, known);
    }

    fn told_at(&self, now: Instant, scanned: Position, known: Option<Position>) {
        let mut state = self.state.lock();
        (state.told, state.broken) = (now, false);
        let is_settled = state.owed.is_none_or(|(owed, _)| owed <= scanned);
        let took_long = state.owed.is_some_and(|(_, heard)| now.saturating_duration_since(heard) > LATE);
        if is_settled || took_long {
            state.late = took_long;
        }
        if is_settled {
            state.owed = known.filter(|known| *known > scanned).map(|known| (known, now));
            // Told late, but there is nothing more to tell.
            state.late &= state.owed.is_some();
        }
        self.set(!state.late);
    }

    /// The stream broke.
    pub fn broken(&self) {
        self.state.lock().broken = true;
        self.set(false);
    }

    /// Notices silence, for as long as it is polled.
    pub async fn keep_looking(&self) {
        let mut every = interval(LOOK_EVERY);
        loop {
            every.tick().await;
            self.look(Instant::now());
        }
    }

    fn look(&self, now: Instant) {
        let state = self.state.lock();
        if now.saturating_duration_since(state.told) > SILENCE {
            self.set(false);
        }
    }

    fn set(&self, live: bool) {
        self.live.send_if_modified(|before| std::mem::replace(before, live) != live);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> (Fresh, watch::Receiver<bool>, impl Fn(u64) -> Instant) {
        let (live, is_live) = watch::channel(false);
        let begun = Instant::now();
        (Fresh::new(live), is_live, move |seconds| begun + Duration::from_secs(seconds))
    }

    #[test]
    fn a_feed_is_fresh_while_it_tells_the_present() {
        let (fresh, is_live, at) = new();
        fresh.opened();
        assert!(*is_live.borrow());
        // A day in which nothing happened is nothing that is late.
        fresh.told_at(at(0), Position(100 << 32), Some(Position(90_000 << 32)));
        fresh.told_at(at(14), Position(89_999 << 32), Some(Position(90_014 << 32)));
        assert!(*is_live.borrow());
        fresh.told_at(at(16), Position(89_999 << 32), Some(Position(90_016 << 32)));
        assert!(!*is_live.borrow(), "what was known sixteen seconds ago is still not told");
        fresh.told_at(at(17), Position(90_010 << 32), Some(Position(90_017 << 32)));
        assert!(!*is_live.borrow(), "it came seventeen seconds late, and what is known now may come as late");
        fresh.told_at(at(19), Position(90_017 << 32), Some(Position(90_019 << 32)));
        assert!(*is_live.borrow(), "this one came within two seconds");
    }

    #[test]
    fn a_feed_that_stays_behind_does_not_become_live_now_and_then() {
        let (fresh, is_live, at) = new();
        let behind = |second: u64, lag: u64| {
            let scanned = Position((1_000 + second - lag) << 32);
            fresh.told_at(at(second), scanned, Some(Position((1_000 + second) << 32)));
            *is_live.borrow()
        };
        for second in 0..100 {
            assert_eq!(behind(second, 20), second <= 15, "at {second} s");
        }
        // It catches up: what was known when it still was behind comes late, what is known from then on does not.
        assert!(!behind(100, 10));
        assert!((101..112).any(|second| behind(second, 10)));
        assert!((112..200).all(|second| behind(second, 10)));
    }

    #[test]
    fn a_feed_that_was_late_is_live_once_it_owes_nothing() {
        let (fresh, is_live, at) = new();
        fresh.told_at(at(0), Position(1), Some(Position(5)));
        fresh.told_at(at(20), Position(2), Some(Position(9)));
        assert!(!*is_live.borrow());
        fresh.told_at(at(21), Position(9), Some(Position(9)));
        assert!(*is_live.borrow());
    }

    #[test]
    fn silence_is_noticed_and_a_stream_that_only_opens_does_not_count() {
        let (fresh, is_live, at) = new();
        fresh.told_at(at(0), Position(7), None);
        fresh.look(at(5));
        assert!(*is_live.borrow());
        fresh.look(at(6));
        assert!(!*is_live.borrow(), "nothing was told for five seconds");
        fresh.told_at(at(7), Position(8), None);
        assert!(*is_live.borrow());
        fresh.broken();
        fresh.opened();
        assert!(!*is_live.borrow());
        fresh.told_at(at(8), Position(8), Some(Position(8)));
        assert!(*is_live.borrow());
    }
}
