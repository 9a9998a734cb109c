//! What is measured of notices: how many went out, and how often some could not be told any more.

use std::sync::LazyLock;

use metrics::{Counter, counter, describe_counter};

const NOTICES: &str = "cita_notices_total";
const LOST: &str = "cita_notices_lost_total";

/// Says what each name means.
pub fn describe() {
    describe_counter!(NOTICES, "Mails about appointments that were delivered, or that the mail server did not take");
    describe_counter!(LOST, "How often this node could not tell of what had happened, and went on from now");
    LazyLock::force(&METERS);
}

static METERS: LazyLock<Meters> = LazyLock::new(|| Meters {
    delivered: counter!(NOTICES, "outcome" => "delivered"),
    refused: counter!(NOTICES, "outcome" => "refused"),
    lost: counter!(LOST),
});

struct Meters {
    delivered: Counter,
    refused: Counter,
    lost: Counter,
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
