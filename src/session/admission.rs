//! How many connections a node lets in at a time: when thousands come back at once, some are told to come a moment later, so that
//! those who are here are still served.

use std::time::{Duration, Instant};

use cita_protocol::{ErrorCode, Problem};
use parking_lot::Mutex;
use uuid::Uuid;

/// As many at once as are let in within this time.
const BURST: Duration = Duration::from_secs(1);
/// Nobody is told to wait longer. Those beyond are spread over all of it.
const LONGEST: Duration = Duration::from_secs(30);
/// What is added at random, so that those who were told alike do not come together.
const JITTER: Duration = Duration::from_millis(500);

/// The door of a node, for everybody together.
#[derive(Debug)]
pub struct Admission {
    /// From one to the next.
    apart: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When all who were let in are paid for.
    admitted: Instant,
    /// The moment that the last one was told to come.
    told: Instant,
}

impl Admission {
    /// A door for so many a second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let now = Instant::now();
        let apart = Duration::from_secs(1) / per_second.max(1);
        Self { apart, state: Mutex::new(State { admitted: now, told: now }) }
    }

    /// Lets somebody in.
    ///
    /// # Errors
    /// `unavailable`, and when to come: each a moment after the one before, as fast as the door lets them in.
    pub fn admit(&self) -> Result<(), Problem> {
        self.admit_at(Instant::now()).map_err(|wait| {
            let wait = wait + JITTER.mul_f64(random());
            let retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
            let problem =
                Problem::new(ErrorCode::Unavailable).with_detail("Many are coming back at once: come a moment later.");
            Problem { retry_after_ms, ..problem }
        })
    }

    fn admit_at(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let admitted = state.admitted.max(now) + self.apart;
        if admitted <= now + BURST {
            state.admitted = admitted;
            return Ok(());
        }
        let told = state.told.max(now + self.apart) + self.apart;
        if told > now + LONGEST {
            return Err(LONGEST.mul_f64(random()));
        }
        state.told = told;
        Err(told - now)
    }
}

/// Evenly from 0 to 1: the first 32 bits of a version 4 UUID are random.
fn random() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_thousand_are_in_within_seconds_and_come_no_faster_than_they_are_let_in() {
        let door = Admission::new(1_000);
        let start = Instant::now();
        // When each comes next; nobody is told to come again more than a few times.
        let mut coming: std::collections::BTreeMap<(Instant, usize), usize> =
            (0..5_000).map(|client| ((start, client), 0)).collect();
        let (mut last, mut most) = (start, 0);
        while let Some(((now, client), refused)) = coming.pop_first() {
            match door.admit_at(now) {
                Ok(()) => last = last.max(now),
                Err(wait) => {
                    most = most.max(refused + 1);
                    coming.insert((now + wait, client), refused + 1);
                }
            }
        }
        assert!(last - start < Duration::from_secs(6), "{:?}", last - start);
        assert!(most <= 2, "told to wait {most} times");
    }

    #[test]
    fn beyond_what_comes_in_half_a_minute_they_are_spread_over_it() {
        let door = Admission::new(1);
        let now = Instant::now();
        let waits: Vec<Duration> = (0..1_000).filter_map(|_| door.admit_at(now).err()).collect();
        assert_eq!(waits.len(), 999);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        for part in 0..10 {
            let (from, to) = (LONGEST / 10 * part, LONGEST / 10 * (part + 1));
            assert!(waits.iter().filter(|wait| (from..to).contains(*wait)).count() > 30, "{part}");
        }
    }

    #[test]
    fn the_problem_says_when_to_come() {
        let door = Admission::new(1);
        door.admit().expect("the first");
        let problem = door.admit().expect_err("too soon");
        assert_eq!((problem.code, problem.status, problem.retryable), (ErrorCode::Unavailable, 503, true));
        assert!((1..=3_000).contains(&problem.retry_after_ms.expect("a time")));
    }
}
