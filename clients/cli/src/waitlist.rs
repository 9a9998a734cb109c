//! Commands on waitlists: join, look, answer what is offered.

use cita_protocol::appointment::Appointment;
use cita_protocol::doctor::{DayRange, Weekday};
use cita_protocol::waitlist::{
    WaitlistAcceptRequest, WaitlistAnswerRequest, WaitlistEntry, WaitlistJoinRequest, WaitlistListRequest,
};
use cita_protocol::{LocalTime, Operation, Page};

use crate::appointments;
use crate::args::{Answer, DayArgument, Join};
use crate::client::Client;
use crate::directory::{PAGE_SIZE, find_both};
use crate::failure::Failure;
use crate::screen;
use crate::times::{self, Days};

/// Without `--from` and `--to`: from today to four weeks ahead.
const DAYS: (i32, i32) = (0, 28);

pub async fn join(client: &mut Client, join: Join) -> Result<(), Failure> {
    client.required_session()?;
    let (doctor, service) = find_both(client, &join.range.doctor, &join.range.service).await?;
    let zone = times::zone(&doctor.time_zone)?;
    let days = Days::parse(join.range.from.as_deref(), join.range.to.as_deref(), times::today(&zone), DAYS)?;
    let times = match (join.after, join.before) {
        (None, None) => None,
        (after, before) => Some(DayRange {
            from: LocalTime(after.unwrap_or_else(|| "00:00".to_owned())),
            to: LocalTime(before.unwrap_or_else(|| "23:59".to_owned())),
        }),
    };
    let request = WaitlistJoinRequest {
        doctor_id: doctor.id,
        service_id: service.id,
        from: days.first(),
        to: days.last(),
        times,
        weekdays: join.on.into_iter().map(weekday).collect(),
        patient_id: None,
    };
    let entry: WaitlistEntry = client.mutate(Operation::WaitlistJoin, &request, join.key).await?;
    tell(client, &[entry]).await
}

pub async fn list(client: &mut Client) -> Result<(), Failure> {
    let mut request = WaitlistListRequest { page_size: Some(PAGE_SIZE), ..WaitlistListRequest::default() };
    let mut entries = Vec::new();
    loop {
        let page: Page<WaitlistEntry> = client.read(Operation::WaitlistList, &request).await?;
        entries.extend(page.items);
        request.page_token = page.next_page_token;
        if request.page_token.is_none() {
            break;
        }
    }
    tell(client, &entries).await
}

pub async fn accept(client: &mut Client, answer: Answer) -> Result<(), Failure> {
    let request = WaitlistAcceptRequest { id: answer.id.into(), rev: None, reason: None };
    let booked: Appointment = client.mutate(Operation::WaitlistAccept, &request, answer.key).await?;
    appointments::tell(client, &booked).await
}

/// Passes on an offer, or leaves.
pub async fn answer(client: &mut Client, operation: Operation, answer: Answer) -> Result<(), Failure> {
    let request = WaitlistAnswerRequest { id: answer.id.into(), rev: None };
    let entry: WaitlistEntry = client.mutate(operation, &request, answer.key).await?;
    tell(client, &[entry]).await
}

async fn tell(client: &mut Client, entries: &[WaitlistEntry]) -> Result<(), Failure> {
    client.close().await;
    for entry in entries {
        client.output.object(entry);
        client.output.line(screen::waitlist_entry(entry, client.output));
    }
    if entries.is_empty() {
        client.output.line("Nobody waits.");
    }
    Ok(())
}

fn weekday(day: DayArgument) -> Weekday {
    match day {
        DayArgument::Monday => Weekday::Monday,
        DayArgument::Tuesday => Weekday::Tuesday,
        DayArgument::Wednesday => Weekday::Wednesday,
        DayArgument::Thursday => Weekday::Thursday,
        DayArgument::Friday => Weekday::Friday,
        DayArgument::Saturday => Weekday::Saturday,
        DayArgument::Sunday => Weekday::Sunday,
    }
}
