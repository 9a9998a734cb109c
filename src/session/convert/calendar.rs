//! A calendar feed: what is told of one that was made, and what it shows, as iCalendar (RFC 5545, RFC 7986).

use cita_protocol::calendar_feed::CalendarFeed;
use icalendar::{Calendar, Component as _, Event, EventStatus, Property};
use jiff::Timestamp;

use super::instant;
use crate::domain::account::User;
use crate::domain::appointment::Appointment;
use crate::domain::calendar_feed::is_certain;
use crate::service::calendar_feeds::{Created, Shown};

/// How often calendar programs are asked to look: many take hours all the same.
const REFRESH: &str = "PT15M";

pub fn feed(created: &Created) -> CalendarFeed {
    CalendarFeed { url: created.url.clone(), created_at: instant(created.at) }
}

/// Names, times and states. Reasons and notes stay in Cita: a calendar program passes on what it reads.
pub fn text(shown: &Shown) -> String {
    let reads_english = shown.user.locale.as_deref().is_some_and(|locale| locale.starts_with("en"));
    let mut calendar = Calendar::empty();
    calendar
        .append_property(("VERSION", "2.0"))
        .append_property(("PRODID", "-//Cita//Cita//ES"))
        .append_property(("CALSCALE", "GREGORIAN"))
        .append_property(("METHOD", "PUBLISH"))
        .name(if reads_english { "Appointments" } else { "Citas" })
        .append_property(Property::new("REFRESH-INTERVAL", REFRESH).add_parameter("VALUE", "DURATION").done())
        .append_property(("X-PUBLISHED-TTL", REFRESH));
    for appointment in &shown.appointments {
        if let Some(certain) = is_certain(appointment) {
            calendar.push(event(appointment, certain, &shown.user));
        }
    }
    calendar.to_string()
}

fn event(appointment: &Appointment, certain: bool, owner: &User) -> Event {
    let Appointment { id, rev, service_name, .. } = appointment;
    let summary = if appointment.doctor_id.0 == owner.id.0 {
        format!("{} · {service_name}", appointment.patient_name)
    } else {
        format!("{service_name} · {}", appointment.doctor_name)
    };
    Event::new()
        .uid(&id.to_string())
        .sequence(rev - 1)
        .summary(&line(&summary))
        .status(if certain { EventStatus::Confirmed } else { EventStatus::Tentative })
        .add_property("DTSTAMP", utc(appointment.updated_at))
        .add_property("CREATED", utc(appointment.created_at))
        .add_property("LAST-MODIFIED", utc(appointment.updated_at))
        .add_property("DTSTART", utc(appointment.start))
        .add_property("DTEND", utc(appointment.end))
        .done()
}

/// RFC 5545 §3.3.5, form 2.
fn utc(instant: Timestamp) -> String {
    instant.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Names are one line, whatever somebody has put into one.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
