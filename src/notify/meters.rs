//! What is measured of notices: how many went out, how far they are behind, and what could not be told any more.

use std::sync::LazyLock;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

const NOTICES: &str = "cita_notices_total";
const LOST: &str = "cita_notices_lost_total";
const BEHIND: &str = "cita_notices_behind_seconds";
const TOO_LATE: &str = "cita_reminders_too_late_total";

/// Says what each name means.
pub fn describe() {
    describe_counter!(NOTICES, "Mails about appointments that were delivered, or given up");
    describe_counter!(LOST, "How often this node could not tell of what had happened, and went on from now");
    describe_gauge!(BEHIND, Unit::Seconds, "How old the first thing is that people may not have been told yet");
    describe_counter!(TOO_LATE, "Reminders that were not sent before their appointment began");
    LazyLock::force(&METERS);
}

static METERS: LazyLock<Meters> = LazyLock::new(|| Meters {
    delivered: counter!(NOTICES, "outcome" => "delivered"),
    refused: counter!(NOTICES, "outcome" => "refused"),
    lost: counter!(LOST),
    behind: gauge!(BEHIND),
    too_late: counter!(TOO_LATE),
});

struct Meters {
    delivered: Counter,
    refused: Counter,
    lost: Counter,
    behind: Gauge,
    too_late: Counter,
}

/// A mail is settled.
pub(super) fn settled(is_delivered: bool) {
    let meters = &*METERS;
    if is_delivered { &meters.delivered } else { &meters.refused }.increment(1);
}

/// Changes were missed.
pub(super) fn lost() {
    METERS.lost.increment(1);
}

/// What happened so many seconds ago may not be told yet. 0: this is another node's work.
pub(super) fn behind(seconds: u64) {
    METERS.behind.set(seconds as f64);
}

/// A reminder was not sent in time.
pub(super) fn too_late() {
    METERS.too_late.increment(1);
}
