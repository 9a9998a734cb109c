//! Makes a script that fails short: takes steps away as long as it fails on (delta debugging, within bounds).

use std::time::{Duration, Instant};

use super::run::{Failure, run};
use super::step::Step;

/// Most runs of a shorter script, and the longest time for all of them.
const MOST_TRIES: usize = 80;
const LONGEST: Duration = Duration::from_secs(240);

/// What is left to try.
struct Bounds {
    tries: usize,
    begun: Instant,
}

impl Bounds {
    /// How a shorter script fails, if it may still be tried and does.
    async fn fails(&mut self, steps: &[Step], hold_seconds: u32) -> Option<Failure> {
        if steps.is_empty() || self.tries >= MOST_TRIES || self.begun.elapsed() >= LONGEST {
            return None;
        }
        self.tries += 1;
        run(steps, hold_seconds).await.err()
    }
}

/// A shorter script that fails too, with its failure.
pub async fn shrink(steps: &[Step], failure: Failure, hold_seconds: u32) -> (Vec<Step>, Failure) {
    let mut bounds = Bounds { tries: 0, begun: Instant::now() };
    let mut shortest = steps[..=failure.at.min(steps.len().saturating_sub(1))].to_vec();
    let mut why = failure;
    let mut size = shortest.len().div_ceil(2);
    while size > 0 {
        let mut begin = 0;
        while begin < shortest.len() {
            let mut shorter = shortest.clone();
            shorter.drain(begin..(begin + size).min(shortest.len()));
            match bounds.fails(&shorter, hold_seconds).await {
                Some(failure) => {
                    shorter.truncate(failure.at + 1);
                    (shortest, why) = (shorter, failure);
                }
                None => begin += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    let mut place = 0;
    while place < shortest.len() {
        let mut smaller = smaller(&shortest[place]).into_iter();
        let found = loop {
            let Some(step) = smaller.next() else { break None };
            let mut simpler = shortest.clone();
            simpler[place] = step;
            if let Some(failure) = bounds.fails(&simpler, hold_seconds).await {
                simpler.truncate(failure.at + 1);
                break Some((simpler, failure));
            }
        };
        match found {
            Some(found) => (shortest, why) = found,
            None => place += 1,
        }
    }
    (shortest, why)
}

/// Steps that are smaller than one: with one thing less at once, or alone.
fn smaller(step: &Step) -> Vec<Step> {
    match step {
        Step::AtOnce(acts) if acts.len() > 1 => {
            let without = |place: usize| {
                let mut left = acts.clone();
                left.remove(place);
                if left.len() == 1 { Step::Do(left.remove(0)) } else { Step::AtOnce(left) }
            };
            (0..acts.len()).map(without).collect()
        }
        Step::Twice(act) => vec![Step::Do(act.clone())],
        _ => Vec::new(),
    }
}
