//! Makes a script that fails short: takes steps away as long as it fails on (delta debugging, within bounds).

use std::time::{Duration, Instant};

use super::run::{Failure, run};
use super::step::Step;

/// Most runs of a shorter script, and the longest time for all of them.
const MOST_TRIES: usize = 80;
const LONGEST: Duration = Duration::from_secs(240);

/// A shorter script that fails too, with its failure.
pub async fn shrink(steps: &[Step], failure: Failure, hold_seconds: u32) -> (Vec<Step>, Failure) {
    let begun = Instant::now();
    let mut shortest = steps[..=failure.at.min(steps.len().saturating_sub(1))].to_vec();
    let mut why = failure;
    let (mut size, mut tries) = (shortest.len().div_ceil(2), 0);
    while size > 0 {
        let mut begin = 0;
        while begin < shortest.len() && tries < MOST_TRIES && begun.elapsed() < LONGEST {
            let mut shorter = shortest.clone();
            shorter.drain(begin..(begin + size).min(shortest.len()));
            tries += 1;
            match run(&shorter, hold_seconds).await {
                Err(failure) if !shorter.is_empty() => {
                    shorter.truncate(failure.at + 1);
                    (shortest, why) = (shorter, failure);
                }
                _ => begin += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    (shortest, why)
}
