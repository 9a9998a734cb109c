//! Tables and words for people: slots and appointments grouped by day, in the doctor's local time.

use std::collections::BTreeMap;

use cita_protocol::Money;
use cita_protocol::admin::HistoryEntry;
use cita_protocol::appointment::{Appointment, AppointmentStatus};
use cita_protocol::doctor::{Approval, Doctor, Rating, Service};
use cita_protocol::session::Session;
use cita_protocol::slot::{Slot, SlotStatus};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::output::{Output, Paint, plain};
use crate::times;

/// Starts that fit on a line of 80 characters.
const STARTS_PER_LINE: usize = 10;

/// Above times of a service.
pub fn slots_title(doctor: &Doctor, service: &Service) -> String {
    format!(
        "{} · {}, {} min · times in {}",
        plain(&doctor.name),
        plain(&service.name),
        service.duration_minutes,
        plain(doctor.time_zone.as_str()),
    )
}

/// Behind a name. In minor units where how many make a major one is not known here.
pub fn price(money: &Money) -> String {
    let (amount, currency) = (money.amount_minor, plain(&money.currency));
    match currency.as_str() {
        "COP" | "USD" | "EUR" | "GBP" | "MXN" => {
            format!(" · {}.{:02} {currency}", amount / 100, amount % 100)
        }
        _ => format!(" · {amount} minor units of {currency}"),
    }
}

/// Behind a name.
pub fn rating(rating: Rating) -> String {
    format!(" · ★ {} ({})", rating.average, rating.count)
}

/// A line for each thing that a doctor says of themselves, and what others say.
pub fn profile(doctor: &Doctor) -> Vec<String> {
    let shown = |text: &str| plain(text);
    let fields = [
        ("id", Some(shown(doctor.id.as_str()))),
        ("approval", (doctor.approval != Approval::Approved).then(|| "not approved: seen by nobody else".to_owned())),
        ("specialisation", doctor.specialisation.as_deref().map(shown)),
        ("experience", doctor.experience_years.map(|years| format!("{years} years"))),
        ("first visit", doctor.price.as_ref().map(|money| price(money).trim_start_matches(" · ").to_owned())),
        ("rating", doctor.rating.map(|given| rating(given).trim_start_matches(" · ").to_owned())),
        ("languages", (!doctor.languages.is_empty()).then(|| shown(&doctor.languages.join(", ")))),
        ("address", doctor.address.as_deref().map(shown)),
        ("time zone", Some(shown(doctor.time_zone.as_str()))),
        ("photo", doctor.photo_url.as_deref().map(shown)),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| value.map(|value| format!("  {name:<15} {value}")));
    let qualifications = doctor.qualifications.iter().map(|line| format!("  · {}", plain(line)));
    let bio = doctor.bio.iter().flat_map(|bio| bio.lines()).map(|line| format!("  {}", plain(line)));
    fields.chain(qualifications).chain(bio).collect()
}

/// A line for each day, then its starts.
pub fn slots_by_day(slots: &[Slot], zone: &TimeZone) -> Vec<String> {
    let mut days: BTreeMap<Option<Date>, Vec<String>> = BTreeMap::new();
    for slot in slots {
        let start = times::clock(&slot.start, zone);
        let text = match slot.status {
            _ if slot.conflict => format!("{start}(you are elsewhere)"),
            SlotStatus::Held => format!("{start}(held)"),
            SlotStatus::Free => match slot.seats_left {
                Some(seats) => format!("{start}({seats} left)"),
                None => start,
            },
        };
        let day = times::date(&slot.start, zone);
        days.entry(day).or_default().push(text);
    }
    let mut lines = Vec::new();
    for (day, starts) in days {
        lines.extend(day.map(times::day));
        lines.extend(starts.chunks(STARTS_PER_LINE).map(|row| format!("  {}", row.join("  "))));
    }
    lines
}

/// A line for each day, then one for each of its appointments, by start.
pub fn appointments_by_day(appointments: &[Appointment], output: Output) -> Vec<String> {
    let mut sorted: Vec<_> = appointments.iter().collect();
    sorted.sort_by_key(|appointment| (times::timestamp(&appointment.start), &appointment.id));
    let mixed = appointments.windows(2).any(|pair| pair[0].time_zone != pair[1].time_zone);
    let mut lines = Vec::new();
    let mut last = None;
    for appointment in sorted {
        let zone = zone_of(appointment);
        let day = times::date(&appointment.start, &zone);
        if day != last {
            lines.extend(day.map(|day| output.paint(Paint::Strong, &times::day(day))));
            last = day;
        }
        // Where the appointments are of several zones, each says its own.
        let place = if mixed { format!(" ({})", plain(&appointment.time_zone.0)) } else { String::new() };
        lines.push(format!(
            "  {}–{}{place}  {}  {}  {}",
            times::clock(&appointment.start, &zone),
            times::clock(&appointment.end, &zone),
            status(appointment.status, output),
            people(appointment),
            output.paint(Paint::Faint, appointment.id.as_str()),
        ));
    }
    lines
}

/// An appointment's own zone; UTC where this program does not know it.
pub fn zone_of(appointment: &Appointment) -> TimeZone {
    times::zone(&appointment.time_zone).unwrap_or(TimeZone::UTC)
}

/// Who meets whom for what.
pub fn people(appointment: &Appointment) -> String {
    format!(
        "{} with {} · {}",
        plain(&appointment.patient_name),
        plain(&appointment.doctor_name),
        plain(&appointment.service_name),
    )
}

/// When what was done to an appointment, by whom, and where it stood then.
pub fn history_entry(entry: &HistoryEntry, appointment: &Appointment) -> String {
    let zone = zone_of(appointment);
    let by = match &entry.by {
        by if *by == appointment.patient_id => plain(&appointment.patient_name),
        by if *by == appointment.doctor_id => plain(&appointment.doctor_name),
        by => plain(by.as_str()),
    };
    let start = entry.start.as_ref().map(|start| format!("  for {}", times::minute(start, &zone)));
    let rule = entry.r#override.as_ref().map(|set_aside| {
        let reason = set_aside.reason.as_deref().map(|reason| format!(": {}", plain(reason)));
        format!("  against the rule {}{}", plain(&set_aside.rule), reason.unwrap_or_default())
    });
    format!(
        "{}  {:<11} by {by}{}{}",
        times::minute(&entry.at, &zone),
        plain(&entry.action),
        start.unwrap_or_default(),
        rule.unwrap_or_default(),
    )
}

/// A device, when and from where it was used last, and the id of its session.
pub fn session(session: &Session, zone: &TimeZone, output: Output) -> String {
    format!(
        "{}  last used {} from {}  {}",
        session.device.as_deref().map_or_else(|| "unnamed device".to_owned(), plain),
        times::minute(&session.last_seen_at, zone),
        plain(&session.network),
        output.paint(Paint::Faint, session.id.as_str()),
    )
}

/// The state in a word of its colour.
pub fn status(status: AppointmentStatus, output: Output) -> String {
    let (word, paint) = match status {
        AppointmentStatus::Held => ("held", Paint::Notice),
        AppointmentStatus::Expired => ("expired", Paint::Faint),
        AppointmentStatus::Pending => ("pending", Paint::Notice),
        AppointmentStatus::Booked => ("booked", Paint::Good),
        AppointmentStatus::Arrived => ("arrived", Paint::Good),
        AppointmentStatus::Fulfilled => ("fulfilled", Paint::Faint),
        AppointmentStatus::Noshow => ("no-show", Paint::Bad),
        AppointmentStatus::Cancelled => ("cancelled", Paint::Bad),
    };
    output.paint(paint, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(start: &str, status: SlotStatus) -> Slot {
        Slot { start: start.into(), end: start.into(), status, seats_left: None, conflict: false }
    }

    #[test]
    fn slots_are_grouped_by_the_local_day() {
        let zone = TimeZone::get("America/Bogota").unwrap();
        let slots = [
            slot("2026-12-01T14:00:00Z", SlotStatus::Free),
            slot("2026-12-02T00:30:00Z", SlotStatus::Held),
            slot("2026-12-02T14:00:00Z", SlotStatus::Free),
        ];
        assert_eq!(
            slots_by_day(&slots, &zone),
            ["Tue 2026-12-01", "  09:00  19:30(held)", "Wed 2026-12-02", "  09:00",]
        );
    }
}
