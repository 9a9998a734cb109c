//! Commands on a practice's time: its hours, time off, and what these have left to be rebooked.

use cita_protocol::doctor::{Availability, AvailabilityGetRequest, Doctor, Weekday, WeeklyRange};
use cita_protocol::time_off::{
    Outside, OutsideList, OutsideListRequest, TimeOff, TimeOffBound, TimeOffCreateRequest, TimeOffDeleteRequest,
    TimeOffListRequest, TimeOffReply,
};
use cita_protocol::value::{Empty, LocalDate, LocalTime, Page};
use cita_protocol::{Id, Operation};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::args::{TimeOffAdd, TimeOffCommand};
use crate::client::Client;
use crate::directory::find_doctor;
use crate::failure::Failure;
use crate::output::{Output, Paint, plain};
use crate::times;
use crate::watch::own_profile;

pub async fn show(client: &mut Client, doctor: &str) -> Result<(), Failure> {
    let doctor = find_doctor(client, doctor).await?;
    let request = AvailabilityGetRequest { doctor_id: doctor.id, after: None };
    let hours: Availability = client.read(Operation::AvailabilityGet, request).await?;
    client.close().await;
    let output = client.output;
    output.object(&hours);
    output.line(
        output.paint(Paint::Strong, &format!("{} · times in {}", plain(&doctor.name), plain(&hours.time_zone.0))),
    );
    for line in week(&hours.weekly) {
        output.line(line);
    }
    for season in &hours.seasons {
        output.line(format!("From {} to {}:", season.from, season.to));
        for line in week(&season.weekly) {
            output.line(line);
        }
    }
    for day in &hours.overrides {
        let ranges: Vec<String> = day.ranges.iter().map(|range| format!("{}–{}", range.from, range.to)).collect();
        let ranges = if ranges.is_empty() { "closed".to_owned() } else { ranges.join(", ") };
        output.line(format!("  {}  {ranges}", day.date));
    }
    if !hours.holiday_calendars.is_empty() {
        output.line(format!("Closed on public holidays of {}.", plain(&hours.holiday_calendars.join(", "))));
    }
    Ok(())
}

/// A line for each weekday with hours.
fn week(ranges: &[WeeklyRange]) -> Vec<String> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let days = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    let line = |day: Weekday| {
        let of_day = ranges.iter().filter(|range| range.weekday == day);
        let texts: Vec<String> = of_day.map(|range| format!("{}–{}", range.from, range.to)).collect();
        (!texts.is_empty()).then(|| format!("  {:<10} {}", format!("{day:?}"), texts.join(", ")))
    };
    let lines: Vec<String> = days.into_iter().filter_map(line).collect();
    if lines.is_empty() { vec!["  closed".to_owned()] } else { lines }
}

pub async fn time_off(client: &mut Client, doctor: Option<String>, what: TimeOffCommand) -> Result<(), Failure> {
    let doctor = practice(client, doctor).await?;
    match what {
        TimeOffCommand::List => list(client, doctor).await,
        TimeOffCommand::Add(add) => self::add(client, doctor, add).await,
        TimeOffCommand::Remove { id } => remove(client, doctor, id).await,
    }
}

pub async fn outside(client: &mut Client, doctor: Option<String>) -> Result<(), Failure> {
    let doctor = practice(client, doctor).await?;
    let request = OutsideListRequest { doctor_id: doctor.id.clone(), after: None };
    let found: OutsideList = client.read(Operation::AppointmentListOutside, request).await?;
    client.close().await;
    let (zone, output) = (times::zone(&doctor.time_zone)?, client.output);
    for task in &found.items {
        output.object(task);
    }
    tell(&found.items, found.more, &zone, output);
    if found.items.is_empty() {
        output.line("Nothing has to be rebooked.");
    }
    Ok(())
}

async fn practice(client: &mut Client, doctor: Option<String>) -> Result<Doctor, Failure> {
    match doctor {
        Some(text) => find_doctor(client, &text).await,
        None => own_profile(client).await,
    }
}

async fn list(client: &mut Client, doctor: Doctor) -> Result<(), Failure> {
    let request = TimeOffListRequest { doctor_id: doctor.id, after: None };
    let page: Page<TimeOff> = client.read(Operation::TimeOffList, request).await?;
    client.close().await;
    for off in &page.items {
        client.output.object(off);
        client.output.line(line(off, client.output)?);
    }
    if page.items.is_empty() {
        client.output.line("No time off.");
    }
    Ok(())
}

async fn add(client: &mut Client, doctor: Doctor, add: TimeOffAdd) -> Result<(), Failure> {
    let request = TimeOffCreateRequest {
        doctor_id: doctor.id,
        to: bound(add.to.as_deref().unwrap_or(&add.from)),
        from: bound(&add.from),
        reason: add.reason,
    };
    let made: TimeOffReply = client.mutate(Operation::TimeOffCreate, &request, add.key).await?;
    client.close().await;
    let (zone, output) = (times::zone(&doctor.time_zone)?, client.output);
    output.object(&made);
    output.line(line(&made.time_off, output)?);
    tell(&made.left.outside, made.left.more_outside, &zone, output);
    Ok(())
}

async fn remove(client: &mut Client, doctor: Doctor, id: String) -> Result<(), Failure> {
    let request = TimeOffDeleteRequest { doctor_id: doctor.id, id: Id(id.clone()), rev: None };
    let Empty {} = client.mutate(Operation::TimeOffDelete, &request, None).await?;
    client.close().await;
    client.output.object(&json!({ "removed": id }));
    client.output.line("Removed: the time is free again.");
    Ok(())
}

/// `2026-12-01`, or `2026-12-01T12:00`; the server says what is wrong with others.
fn bound(text: &str) -> TimeOffBound {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    TimeOffBound { date: LocalDate(date.to_owned()), time: time.map(|time| LocalTime(time.to_owned())) }
}

fn line(off: &TimeOff, output: Output) -> Result<String, Failure> {
    let zone = times::zone(&off.time_zone)?;
    let reason = off.reason.as_deref().map(|reason| format!("  {}", plain(reason))).unwrap_or_default();
    let (from, to) = (times::minute(&off.from, &zone), times::minute(&off.to, &zone));
    Ok(format!("  {from} to {to}{reason}  {}", output.paint(Paint::Faint, off.id.as_str())))
}

/// What is to be rebooked, for people.
fn tell(tasks: &[Outside], more: bool, zone: &TimeZone, output: Output) {
    for Outside { appointment, rule, alternatives } in tasks {
        output.line(format!(
            "{}  {}  {} ({})  {}",
            output.paint(Paint::Notice, "rebook"),
            times::span(&appointment.start, &appointment.end, zone),
            plain(&appointment.patient_name),
            plain(rule),
            output.paint(Paint::Faint, appointment.id.as_str()),
        ));
        let free: Vec<String> = alternatives.iter().map(|slot| times::minute(&slot.start, zone)).collect();
        if !free.is_empty() {
            output.line(format!("        free: {}", free.join(", ")));
        }
    }
    if more {
        output.line("There are more, which are told once these are done.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_date_or_a_time_of_it() {
        assert_eq!(bound("2026-12-01"), TimeOffBound { date: "2026-12-01".into(), time: None });
        let time = Some(LocalTime("12:00".to_owned()));
        assert_eq!(bound("2026-12-01T12:00"), TimeOffBound { date: "2026-12-01".into(), time });
    }

    #[test]
    fn a_week_has_a_line_for_each_day_with_hours() {
        let range = |weekday, from: &str, to: &str| WeeklyRange { weekday, from: from.into(), to: to.into() };
        let ranges = [range(Weekday::Friday, "09:00", "12:00"), range(Weekday::Monday, "08:00", "10:00")];
        assert_eq!(week(&ranges), ["  Monday     08:00–10:00", "  Friday     09:00–12:00"]);
        assert_eq!(week(&[]), ["  closed"]);
    }
}
