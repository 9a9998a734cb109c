//! What the views measure of themselves: how much they hold, and how often they have to read.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

const CALENDARS: &str = "cita_calendars";
const CALENDAR_BYTES: &str = "cita_calendar_bytes";
const LOADS: &str = "cita_calendar_loads_total";
const RING_BYTES: &str = "cita_ring_bytes";
const RING_COMMITS: &str = "cita_ring_commits";

/// Says what each name means.
pub fn describe() {
    describe_gauge!(CALENDARS, "Calendars of doctors in memory");
    describe_gauge!(CALENDAR_BYTES, Unit::Bytes, "What the calendars in memory take, about");
    describe_counter!(LOADS, "Calendars that were read from the database because they were not in memory");
    describe_gauge!(RING_BYTES, Unit::Bytes, "Bytes of the documents that are remembered for clients that come back");
    describe_gauge!(RING_COMMITS, "Commits that are remembered for clients that come back");
}

/// The meters of the calendars.
pub struct Meters {
    calendars: Gauge,
    calendar_bytes: Gauge,
    loads: Counter,
    ring_bytes: Gauge,
    ring_commits: Gauge,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            calendars: gauge!(CALENDARS),
            calendar_bytes: gauge!(CALENDAR_BYTES),
            loads: counter!(LOADS),
            ring_bytes: gauge!(RING_BYTES),
            ring_commits: gauge!(RING_COMMITS),
        }
    }
}

impl Meters {
    /// A calendar is read.
    pub fn loading(&self) {
        self.loads.increment(1);
    }

    /// How much is held now.
    pub fn held(&self, calendars: usize, calendar_bytes: usize, ring_bytes: usize, ring_commits: usize) {
        self.calendars.set(calendars as f64);
        self.calendar_bytes.set(calendar_bytes as f64);
        self.ring_bytes.set(ring_bytes as f64);
        self.ring_commits.set(ring_commits as f64);
    }
}
