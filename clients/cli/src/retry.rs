//! When to come back: verdicts of close codes and errors, and full-jitter backoff.

use std::time::Duration;

use cita_protocol::{ErrorCode, Problem};
use uuid::Uuid;

/// What to do after a connection or a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait, reconnect, and continue after the last cursor.
    Resume,
    /// Get a new access token, then reconnect and continue.
    NewToken,
    /// Coming back would not help.
    Stop,
}

impl Verdict {
    /// Of the code in a close frame, or of a connection that ended without one.
    #[must_use]
    pub const fn of_close_code(code: Option<u16>) -> Self {
        match code {
            Some(4100..=4199) => Self::NewToken,
            // Besides Cita's own refusals those of RFC 6455 that blame what this client sends.
            Some(4200..=4299 | 1002 | 1003 | 1007 | 1008 | 1009) => Self::Stop,
            _ => Self::Resume,
        }
    }

    /// Of an HTTP status that came without a problem.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::NewToken,
            408 | 429 | 500..=599 => Self::Resume,
            _ => Self::Stop,
        }
    }

    /// Of an error that the server sent.
    #[must_use]
    pub const fn of_problem(problem: &Problem) -> Self {
        match problem.code {
            ErrorCode::Unauthenticated | ErrorCode::TokenExpired | ErrorCode::SessionRevoked => Self::NewToken,
            _ if problem.retryable => Self::Resume,
            _ => Self::Stop,
        }
    }
}

/// Delays that grow and are drawn evenly from zero to their bound, so that clients who lost the same server do not
/// come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    bound: Duration,
}

impl Backoff {
    /// The first delay is at most `base`, each bound doubles, none exceeds `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, bound: base.min(cap) }
    }

    /// For live connections: 500 ms to 20 s.
    #[must_use]
    pub fn for_reconnecting() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(20))
    }

    /// The next delay.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.bound.mul_f64(random_fraction());
        self.bound = self.bound.saturating_mul(2).min(self.cap);
        delay
    }

    /// Starts over, after something worked.
    pub fn reset(&mut self) {
        self.bound = self.base.min(self.cap);
    }
}

/// Evenly from 0 to 1. The first 32 bits of a version 4 UUID are random, which spares a dependency.
fn random_fraction() -> f64 {
    let (bits, ..) = Uuid::new_v4().as_fields();
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_say_what_to_do() {
        for (code, verdict) in [
            (Some(4000), Verdict::Resume),
            (Some(4001), Verdict::Resume),
            (Some(4099), Verdict::Resume),
            (Some(4100), Verdict::NewToken),
            (Some(4101), Verdict::NewToken),
            (Some(4199), Verdict::NewToken),
            (Some(4200), Verdict::Stop),
            (Some(4299), Verdict::Stop),
            (Some(1000), Verdict::Resume),
            (Some(1001), Verdict::Resume),
            (Some(1011), Verdict::Resume),
            (Some(1009), Verdict::Stop),
            (Some(1003), Verdict::Stop),
            (None, Verdict::Resume),
        ] {
            assert_eq!(Verdict::of_close_code(code), verdict, "{code:?}");
        }
    }

    #[test]
    fn every_error_code_has_the_verdict_of_the_contract() {
        for &code in ErrorCode::ALL {
            let verdict = Verdict::of_problem(&Problem::new(code));
            let expected = match code.status() {
                401 => Verdict::NewToken,
                _ if code.retryable() => Verdict::Resume,
                _ => Verdict::Stop,
            };
            assert_eq!(verdict, expected, "{}", code.as_str());
        }
    }

    #[test]
    fn delays_stay_within_bounds_that_double_up_to_the_cap() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_millis(700));
        for _ in 0..200 {
            let mut backoff = Backoff::new(base, cap);
            for bound in [100, 200, 400, 700, 700, 700] {
                assert!(backoff.next_delay() <= Duration::from_millis(bound));
            }
            backoff.reset();
            assert!(backoff.next_delay() <= base);
        }
    }

    #[test]
    fn delays_are_spread_over_the_whole_range() {
        let second = Duration::from_secs(1);
        let delays: Vec<_> = (0..400).map(|_| Backoff::new(second, second).next_delay()).collect();
        assert!(delays.iter().any(|d| *d < second / 4));
        assert!(delays.iter().any(|d| *d > second * 3 / 4));
    }
}
