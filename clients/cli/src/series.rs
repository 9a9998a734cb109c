//! Commands on recurring appointments: try, book, cancel.

use cita_protocol::Operation;
use cita_protocol::series::{
    Occurrence, OccurrenceStatus, Series, SeriesBookRequest, SeriesCancelRequest, SeriesPreviewReply,
    SeriesPreviewRequest,
};
use jiff::tz::TimeZone;

use crate::args::{BookSeries, Plan};
use crate::client::Client;
use crate::directory::find_both;
use crate::failure::Failure;
use crate::output::{Output, Paint, plain};
use crate::screen;
use crate::times::{self, parse_start};

pub async fn preview(client: &mut Client, plan: Plan) -> Result<(), Failure> {
    client.required_session()?;
    let (doctor, service) = find_both(client, &plan.doctor, &plan.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let request = SeriesPreviewRequest {
        doctor_id: doctor.id,
        service_id: service.id,
        start: parse_start(&plan.start, &zone)?,
        rrule: plan.rrule,
        patient_id: None,
        walk_in: None,
        after: None,
    };
    let tried: SeriesPreviewReply = client.read(Operation::SeriesPreview, request).await?;
    client.close().await;
    client.output.object(&tried);
    for occurrence in &tried.occurrences {
        client.output.line(line(occurrence, &zone, client.output));
    }
    Ok(())
}

pub async fn book(client: &mut Client, book: BookSeries) -> Result<(), Failure> {
    client.required_session()?;
    let (doctor, service) = find_both(client, &book.plan.doctor, &book.plan.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let only = book.only.iter().map(|start| parse_start(start, &zone)).collect::<Result<Vec<_>, _>>()?;
    let request = SeriesBookRequest {
        doctor_id: doctor.id,
        service_id: service.id,
        start: parse_start(&book.plan.start, &zone)?,
        rrule: book.plan.rrule,
        reason: book.reason,
        patient_id: None,
        walk_in: None,
        only: (!only.is_empty()).then_some(only),
    };
    let booked =
        client.mutate(Operation::SeriesBook, &request, book.key).await.map_err(|failure| failure.in_zone(&zone))?;
    tell(client, &booked).await
}

pub async fn cancel(
    client: &mut Client,
    id: &str,
    from: Option<String>,
    reason: Option<String>,
    key: Option<String>,
) -> Result<(), Failure> {
    let request = SeriesCancelRequest { id: id.into(), from: from.map(Into::into), reason };
    let cancelled = client.mutate(Operation::SeriesCancel, &request, key).await?;
    tell(client, &cancelled).await
}

async fn tell(client: &mut Client, series: &Series) -> Result<(), Failure> {
    client.close().await;
    let output = client.output;
    output.object(series);
    output.line(format!("series {}  {}", output.paint(Paint::Strong, series.id.as_str()), plain(&series.rrule)));
    for line in screen::appointments_by_day(&series.appointments, output) {
        output.line(line);
    }
    Ok(())
}

/// A line for an occurrence: when it would be, whether it can be booked, and what is free instead.
fn line(occurrence: &Occurrence, zone: &TimeZone, output: Output) -> String {
    let (word, paint) = match occurrence.status {
        OccurrenceStatus::Free => ("free", Paint::Good),
        OccurrenceStatus::Taken => ("taken", Paint::Bad),
        OccurrenceStatus::Unavailable => ("not offered", Paint::Bad),
        OccurrenceStatus::Busy => ("you are busy", Paint::Notice),
    };
    format!("{}  {}{}", when(occurrence), output.paint(paint, word), instead(occurrence, zone))
}

/// The same where it went wrong, without colours.
pub fn against(occurrence: &Occurrence, zone: &TimeZone) -> String {
    let why = match occurrence.status {
        OccurrenceStatus::Free => "free",
        OccurrenceStatus::Taken => "taken",
        OccurrenceStatus::Unavailable => "not offered",
        OccurrenceStatus::Busy => "the patient is busy",
    };
    format!("  {}  {why}{}", when(occurrence), instead(occurrence, zone))
}

fn when(occurrence: &Occurrence) -> String {
    let local = plain(occurrence.local_start.as_str());
    local.get(..16).unwrap_or(&local).replacen('T', " ", 1)
}

fn instead(occurrence: &Occurrence, zone: &TimeZone) -> String {
    let rule = occurrence.rule.as_deref().map(|rule| format!(" ({})", plain(rule))).unwrap_or_default();
    match occurrence.alternatives.first() {
        Some(slot) => format!("{rule}, free: {}", times::minute(&slot.start, zone)),
        None => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occurrence_says_what_is_free_instead() {
        let slot =
            serde_json::json!({ "start": "2026-12-08T14:30:00Z", "end": "2026-12-08T15:00:00Z", "status": "free" });
        let occurrence = serde_json::json!({
            "start": "2026-12-08T14:00:00Z", "localStart": "2026-12-08T09:00:00", "status": "unavailable", "rule": "hours",
            "alternatives": [slot],
        });
        let occurrence: Occurrence = serde_json::from_value(occurrence).unwrap();
        let zone = TimeZone::get("America/Bogota").unwrap();
        assert_eq!(against(&occurrence, &zone), "  2026-12-08 09:00  not offered (hours), free: 2026-12-08 09:30");
    }
}
