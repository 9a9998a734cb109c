//! A calendar feed: what is told of one that was made, and what it shows, as iCalendar (RFC 5545, RFC 7986).

use cita_protocol::calendar_feed::CalendarFeed;
use icalendar::{Calendar, Component as _, Event as VEvent, EventStatus, Property};
use jiff::Timestamp;

use super::instant;
use crate::domain::account::User;
use crate::domain::calendar_feed::Event;
use crate::service::calendar_feeds::{Created, Shown};

/// How often calendar programs are asked to look: many take hours all the same.
const REFRESH: &str = "PT15M";

pub fn feed(created: &Created) -> CalendarFeed {
    CalendarFeed { url: created.url.clone(), created_at: instant(created.at) }
}

pub fn text(shown: &Shown) -> String {
    let reads_english = shown.user.locale.as_deref().is_some_and(|locale| locale.starts_with("en"));
    let mut calendar = Calendar::empty();
    calendar
        .append_property(("VERSION", "2.0"))
        .append_property(("PRODID", "-//Cita//Cita//ES"))
        .append_property(("CALSCALE", "GREGORIAN"))
        .name(if reads_english { "Appointments" } else { "Citas" })
        .append_property(Property::new("REFRESH-INTERVAL", REFRESH).add_parameter("VALUE", "DURATION").done())
        .append_property(("X-PUBLISHED-TTL", REFRESH));
    for event in &shown.events {
        calendar.push(vevent(event, &shown.user));
    }
    calendar.to_string()
}

fn vevent(event: &Event, owner: &User) -> VEvent {
    let parts = if event.doctor == owner.id {
        [&event.patient_name, &event.service_name]
    } else {
        [&event.service_name, &event.doctor_name]
    };
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).map(|part| line(part)).collect();
    VEvent::new()
        .uid(&event.id.to_string())
        .sequence(event.rev.saturating_sub(1))
        .summary(&parts.join(" · "))
        .status(if event.is_tentative { EventStatus::Tentative } else { EventStatus::Confirmed })
        .add_property("DTSTAMP", utc(event.updated_at))
        .add_property("CREATED", utc(event.created_at))
        .add_property("LAST-MODIFIED", utc(event.updated_at))
        .add_property("DTSTART", utc(event.start))
        .add_property("DTEND", utc(event.end))
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
