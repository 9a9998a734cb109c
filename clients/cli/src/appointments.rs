//! Commands on appointments: book, move, cancel, look.

use cita_protocol::appointment::{
    Appointment, AppointmentGetRequest, AppointmentListRequest, BookRequest, CancelRequest, RescheduleRequest,
};
use cita_protocol::slot::{HoldReleaseRequest, HoldRequest};
use cita_protocol::{Instant, Operation, Page};

use crate::args::{Book, Hold};
use crate::client::Client;
use crate::directory::{PAGE_SIZE, find_both};
use crate::failure::Failure;
use crate::output::{Paint, plain};
use crate::screen;
use crate::times::{self, parse_start};

pub async fn book(client: &mut Client, book: Book) -> Result<(), Failure> {
    client.required_session()?;
    let (doctor, service) = find_both(client, &book.doctor, &book.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let request = BookRequest {
        doctor_id: doctor.id,
        service_id: service.id,
        start: parse_start(&book.start, &zone)?,
        hold_id: None,
        reason: book.reason,
        patient_id: None,
        walk_in: None,
        r#override: None,
    };
    let booked = client
        .mutate(Operation::AppointmentBook, &request, book.key)
        .await
        .map_err(|failure| failure.in_zone(&zone))?;
    tell(client, &booked).await
}

pub async fn hold(client: &mut Client, hold: Hold) -> Result<(), Failure> {
    client.required_session()?;
    let (doctor, service) = find_both(client, &hold.doctor, &hold.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let request = HoldRequest {
        doctor_id: doctor.id,
        service_id: service.id,
        start: parse_start(&hold.start, &zone)?,
        patient_id: None,
    };
    let held =
        client.mutate(Operation::SlotHold, &request, hold.key).await.map_err(|failure| failure.in_zone(&zone))?;
    tell(client, &held).await
}

pub async fn release(client: &mut Client, id: &str, key: Option<String>) -> Result<(), Failure> {
    let request = HoldReleaseRequest { id: id.into(), rev: None };
    let released = client.mutate(Operation::HoldRelease, &request, key).await?;
    tell(client, &released).await
}

pub async fn reschedule(client: &mut Client, id: &str, start: &str, key: Option<String>) -> Result<(), Failure> {
    let appointment = get(client, id).await?;
    let zone = times::zone(&appointment.time_zone)?;
    let request =
        RescheduleRequest { id: appointment.id, rev: None, start: parse_start(start, &zone)?, r#override: None };
    let moved = client
        .mutate(Operation::AppointmentReschedule, &request, key)
        .await
        .map_err(|failure| failure.in_zone(&zone))?;
    tell(client, &moved).await
}

pub async fn cancel(client: &mut Client, id: &str, reason: Option<String>, key: Option<String>) -> Result<(), Failure> {
    let request = CancelRequest { id: id.into(), rev: None, reason };
    let cancelled = client.mutate(Operation::AppointmentCancel, &request, key).await?;
    tell(client, &cancelled).await
}

pub async fn show(client: &mut Client, id: &str) -> Result<(), Failure> {
    let appointment = get(client, id).await?;
    tell(client, &appointment).await
}

pub(crate) async fn get(client: &mut Client, id: &str) -> Result<Appointment, Failure> {
    let request = AppointmentGetRequest { id: id.into(), after: None };
    client.read(Operation::AppointmentGet, request).await
}

pub async fn list(client: &mut Client, all: bool) -> Result<(), Failure> {
    let from = (!all).then(|| Instant(times::now().to_string()));
    let mut request = AppointmentListRequest { from, page_size: Some(PAGE_SIZE), ..AppointmentListRequest::default() };
    let mut appointments = Vec::new();
    loop {
        let page: Page<Appointment> = client.read(Operation::AppointmentList, &request).await?;
        appointments.extend(page.items);
        request.page_token = page.next_page_token;
        if request.page_token.is_none() {
            break;
        }
    }
    client.close().await;
    for appointment in &appointments {
        client.output.object(appointment);
    }
    for line in screen::appointments_by_day(&appointments, client.output) {
        client.output.line(line);
    }
    if appointments.is_empty() {
        client.output.line("No appointments.");
    }
    Ok(())
}

/// Prints one appointment whole, as the last thing a command does.
pub(crate) async fn tell(client: &mut Client, appointment: &Appointment) -> Result<(), Failure> {
    client.close().await;
    let zone = times::zone(&appointment.time_zone)?;
    let output = client.output;
    output.object(appointment);
    output.line(format!(
        "{}  {} ({})",
        screen::status(appointment.status, output),
        output.paint(Paint::Strong, &times::span(&appointment.start, &appointment.end, &zone)),
        times::zone_name(&zone),
    ));
    let field = |name: &str, value: &str| output.line(format!("  {name:<11}{}", plain(value)));
    field("doctor", &appointment.doctor_name);
    field("patient", &appointment.patient_name);
    field("service", &appointment.service_name);
    if let Some(until) = &appointment.expires_at {
        field("until", &times::clock(until, &zone));
    }
    if let Some(reason) = &appointment.reason {
        field("reason", reason);
    }
    if let Some(reason) = &appointment.cancel_reason {
        field("cancelled", reason);
    }
    for line in appointment.notes.iter().flat_map(|notes| notes.lines()) {
        field("notes", line);
    }
    field("id", appointment.id.as_str());
    Ok(())
}
