//! Series and their occurrences.

use cita_protocol::series::{Occurrence, OccurrenceStatus, Series};
use cita_protocol::value::LocalDateTime;

use super::{appointment, free_slot, id, instant};
use crate::domain::series::{Judged, Verdict};
use crate::service::series::Booked;

pub fn series(series: &Booked) -> Series {
    Series {
        id: id(series.id.0),
        rrule: series.rrule.clone(),
        appointments: series.appointments.iter().map(appointment).collect(),
    }
}

pub fn occurrence(judged: &Judged) -> Occurrence {
    let (status, rule) = match judged.verdict {
        Verdict::Free => (OccurrenceStatus::Free, None),
        Verdict::Taken => (OccurrenceStatus::Taken, None),
        Verdict::Busy => (OccurrenceStatus::Busy, None),
        Verdict::Unavailable(rule) => (OccurrenceStatus::Unavailable, Some(rule.as_str().to_owned())),
    };
    Occurrence {
        start: judged.span.map(|(start, _)| instant(start)),
        end: judged.span.map(|(_, end)| instant(end)),
        local_start: LocalDateTime(judged.local.to_string()),
        status,
        rule,
        alternatives: judged.alternatives.iter().map(free_slot).collect(),
    }
}
