//! The grid of time: a tick is 5 minutes, counted from the Unix epoch.

use std::ops::Range;

use jiff::Timestamp;

/// Minutes in a tick.
pub const TICK_MINUTES: i32 = 5;
const TICK_SECONDS: i64 = TICK_MINUTES as i64 * 60;

/// Minutes since the epoch, divided by [`TICK_MINUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub i32);

impl Tick {
    /// The tick that begins exactly at `instant`; `None` off the grid or beyond what an `i32` counts.
    #[must_use]
    pub fn at(instant: Timestamp) -> Option<Self> {
        let on_grid = instant.subsec_nanosecond() == 0 && instant.as_second() % TICK_SECONDS == 0;
        on_grid.then(|| i32::try_from(instant.as_second() / TICK_SECONDS).ok().map(Self))?
    }

    /// The last tick that begins at or before `instant`.
    #[must_use]
    pub fn floor(instant: Timestamp) -> Self {
        let ticks = instant.as_second().div_euclid(TICK_SECONDS);
        Self(i32::try_from(ticks).unwrap_or(if ticks < 0 { i32::MIN } else { i32::MAX }))
    }

    /// When the tick begins.
    #[must_use]
    pub fn instant(self) -> Timestamp {
        Timestamp::from_second(i64::from(self.0) * TICK_SECONDS).unwrap_or(Timestamp::MAX)
    }

    /// The tick `minutes` later; a multiple of [`TICK_MINUTES`].
    #[must_use]
    pub fn plus_minutes(self, minutes: i32) -> Self {
        Self(self.0.saturating_add(minutes / TICK_MINUTES))
    }
}

/// Ticks of `range`, one by one.
pub fn ticks(range: Range<Tick>) -> impl Iterator<Item = Tick> {
    (range.start.0..range.end.0).map(Tick)
}
