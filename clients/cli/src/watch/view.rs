//! How a live view looks: the table at its start, a line for each change.

use cita_cli::live::{Difference, Entry};
use cita_protocol::appointment::{Appointment, AppointmentStatus};
use cita_protocol::doctor::LiveDoctor;
use cita_protocol::session::Session;
use cita_protocol::slot::{LiveSlot, Slot, SlotStatus};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use crate::output::{Output, Paint, plain};
use crate::screen;
use crate::times;

/// What is watched, in words.
pub trait View {
    type Item: Entry + DeserializeOwned;

    /// In which the clock is shown.
    fn zone(&self) -> &TimeZone;

    /// The lines at the start.
    fn table(&self, items: &[Self::Item], now: Timestamp) -> Vec<String>;

    /// The line of a change, unless it is none for the person who watches.
    fn change(&self, difference: &Difference<Self::Item>, now: Timestamp) -> Option<String>;
}

/// Free times of a service.
pub struct SlotsView {
    pub title: String,
    pub zone: TimeZone,
    pub output: Output,
}

impl View for SlotsView {
    type Item = LiveSlot;

    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn table(&self, items: &[LiveSlot], now: Timestamp) -> Vec<String> {
        let slots: Vec<_> = items
            .iter()
            .filter(|slot| is_bookable(slot, now))
            .map(|slot| Slot {
                start: slot.start.clone(),
                end: slot.end.clone(),
                status: slot.status,
                seats_left: slot.seats_left,
                conflict: false,
            })
            .collect();
        let mut lines = vec![self.output.paint(Paint::Strong, &self.title)];
        if slots.is_empty() {
            lines.push("  nothing is free".to_owned());
        }
        lines.extend(screen::slots_by_day(&slots, &self.zone));
        lines
    }

    fn change(&self, difference: &Difference<LiveSlot>, now: Timestamp) -> Option<String> {
        let (slot, before) = match difference {
            Difference::Added(slot) => (slot, None),
            Difference::Changed { old, new } => (new, Some(old)),
            Difference::Removed(slot) => {
                let line = || self.line(Paint::Bad, "−", slot, "taken");
                return is_bookable(slot, now).then(line);
            }
        };
        let is_news =
            before.is_none_or(|old| old.status != slot.status || old.end != slot.end || !is_bookable(old, now));
        (is_news && is_bookable(slot, now)).then(|| match slot.status {
            SlotStatus::Free => self.line(Paint::Good, "+", slot, "free"),
            SlotStatus::Held => self.line(Paint::Notice, "~", slot, &self.held(slot)),
        })
    }
}

impl SlotsView {
    fn line(&self, paint: Paint, sign: &str, slot: &LiveSlot, word: &str) -> String {
        let span = times::span(&slot.start, &slot.end, &self.zone);
        self.output.paint(paint, &format!("{sign} {span} {word}"))
    }

    fn held(&self, slot: &LiveSlot) -> String {
        match &slot.held_until {
            Some(until) => format!("held until {}", times::clock(until, &self.zone)),
            None => "held".to_owned(),
        }
    }
}

/// The server says from when until when; which of it is now is for the client to see.
fn is_bookable(slot: &LiveSlot, now: Timestamp) -> bool {
    let from = times::timestamp(&slot.bookable_from);
    let until = times::timestamp(&slot.bookable_until);
    from.is_none_or(|from| from <= now) && until.is_none_or(|until| now <= until)
}

/// What a doctor shows to the public.
pub struct DoctorView {
    pub zone: TimeZone,
    pub output: Output,
}

impl View for DoctorView {
    type Item = LiveDoctor;

    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn table(&self, items: &[LiveDoctor], _now: Timestamp) -> Vec<String> {
        let lines = |item: &LiveDoctor| {
            let name = self.output.paint(Paint::Strong, &plain(&item.doctor.name));
            [name].into_iter().chain(screen::profile(&item.doctor)).chain(services(item)).collect::<Vec<_>>()
        };
        items.iter().flat_map(lines).collect()
    }

    fn change(&self, difference: &Difference<LiveDoctor>, _now: Timestamp) -> Option<String> {
        let all =
            |item: &LiveDoctor| screen::profile(&item.doctor).into_iter().chain(services(item)).collect::<Vec<_>>();
        let (before, after) = match difference {
            Difference::Added(new) => (Vec::new(), all(new)),
            Difference::Changed { old, new } => (all(old), all(new)),
            Difference::Removed(old) => (all(old), Vec::new()),
        };
        let gone = before.iter().filter(|line| !after.contains(line)).map(|line| ("−", Paint::Bad, line));
        let new = after.iter().filter(|line| !before.contains(line)).map(|line| ("+", Paint::Good, line));
        let told =
            gone.chain(new).map(|(sign, paint, line)| self.output.paint(paint, &format!("{sign} {}", line.trim())));
        let told: Vec<_> = told.collect();
        (!told.is_empty()).then(|| told.join("\n          "))
    }
}

fn services(item: &LiveDoctor) -> impl Iterator<Item = String> {
    let offered = item.services.iter().filter(|service| !service.archived);
    offered.map(|service| {
        let price = service.price.as_ref().map(screen::price).unwrap_or_default();
        format!("  offers {} · {} min{price}", plain(&service.name), service.duration_minutes)
    })
}

/// Appointments of a doctor or of a patient.
pub struct AppointmentsView {
    pub title: String,
    pub zone: TimeZone,
    pub output: Output,
}

impl View for AppointmentsView {
    type Item = Appointment;

    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn table(&self, items: &[Appointment], _now: Timestamp) -> Vec<String> {
        let mut lines = vec![self.output.paint(Paint::Strong, &self.title)];
        if items.is_empty() {
            lines.push("  no appointments".to_owned());
        }
        lines.extend(screen::appointments_by_day(items, self.output));
        lines
    }

    fn change(&self, difference: &Difference<Appointment>, _now: Timestamp) -> Option<String> {
        let line = match difference {
            Difference::Added(new) => self.stands(new),
            Difference::Changed { old, new } if old.status != new.status => self.stands(new),
            Difference::Changed { old, new } if old.start != new.start => self.moved(old, new),
            Difference::Changed { new, .. } => self.line(Paint::Notice, "~", new, "changed"),
            Difference::Removed(old) => self.line(Paint::Faint, "−", old, "no longer in this view"),
        };
        Some(line)
    }
}

impl AppointmentsView {
    fn stands(&self, new: &Appointment) -> String {
        let word = screen::status(new.status, self.output);
        let (paint, sign) = match new.status {
            AppointmentStatus::Held | AppointmentStatus::Pending => (Paint::Notice, "~"),
            AppointmentStatus::Booked => (Paint::Good, "+"),
            AppointmentStatus::Arrived | AppointmentStatus::Fulfilled => (Paint::Good, "~"),
            AppointmentStatus::Cancelled | AppointmentStatus::Expired | AppointmentStatus::Noshow => (Paint::Bad, "−"),
        };
        let why = match (&new.status, &new.cancel_reason) {
            (AppointmentStatus::Cancelled, Some(reason)) => format!("{word} ({})", plain(reason)),
            _ => word,
        };
        self.line(paint, sign, new, &why)
    }

    fn moved(&self, old: &Appointment, new: &Appointment) -> String {
        let before = times::span(&old.start, &old.end, &screen::zone_of(old));
        self.line(Paint::Notice, "→", new, &format!("moved from {before}"))
    }

    fn line(&self, paint: Paint, sign: &str, appointment: &Appointment, word: &str) -> String {
        let zone = screen::zone_of(appointment);
        let span = times::span(&appointment.start, &appointment.end, &zone);
        format!("{} {word}  {}", self.output.paint(paint, &format!("{sign} {span}")), screen::people(appointment))
    }
}

/// The devices on which somebody is logged in.
pub struct SessionsView {
    pub title: String,
    pub zone: TimeZone,
    pub output: Output,
}

impl View for SessionsView {
    type Item = Session;

    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn table(&self, items: &[Session], now: Timestamp) -> Vec<String> {
        // One that has ended by its time is told of by nobody.
        let is_live = |session: &&Session| times::timestamp(&session.expires_at).is_none_or(|end| now < end);
        let lines = items.iter().filter(is_live);
        let lines = lines.map(|session| format!("  {}", screen::session(session, &self.zone, self.output)));
        [self.output.paint(Paint::Strong, &self.title)].into_iter().chain(lines).collect()
    }

    fn change(&self, difference: &Difference<Session>, _now: Timestamp) -> Option<String> {
        let (paint, sign, session) = match difference {
            Difference::Added(new) => (Paint::Good, "+", new),
            Difference::Changed { new, .. } => (Paint::Notice, "~", new),
            Difference::Removed(old) => (Paint::Bad, "−", old),
        };
        Some(format!("{} {}", self.output.paint(paint, sign), screen::session(session, &self.zone, self.output)))
    }
}

#[cfg(test)]
mod tests {
    use cita_protocol::doctor::{Approval, Doctor, Rating};

    use super::*;

    fn output() -> Output {
        // JSON mode never colours.
        Output::new(true)
    }

    fn zone() -> TimeZone {
        TimeZone::get("America/Bogota").unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn slots() -> SlotsView {
        SlotsView { title: "Title".into(), zone: zone(), output: output() }
    }

    fn slot(status: SlotStatus) -> LiveSlot {
        LiveSlot {
            start: "2026-12-01T14:00:00Z".into(),
            end: "2026-12-01T14:30:00Z".into(),
            status,
            held_until: None,
            seats_left: None,
            bookable_from: "2026-09-01T00:00:00Z".into(),
            bookable_until: "2026-12-01T12:00:00Z".into(),
        }
    }

    #[test]
    fn slots_come_and_go() {
        let (view, free, mut held) = (slots(), slot(SlotStatus::Free), slot(SlotStatus::Held));
        held.held_until = Some("2026-11-30T12:05:00Z".into());
        let line = |difference| view.change(&difference, now()).unwrap();
        assert_eq!(line(Difference::Removed(free.clone())), "− 2026-12-01 09:00–09:30 taken");
        assert_eq!(line(Difference::Added(free.clone())), "+ 2026-12-01 09:00–09:30 free");
        assert_eq!(line(Difference::Changed { old: free, new: held }), "~ 2026-12-01 09:00–09:30 held until 07:05");
    }

    #[test]
    fn devices_come_and_go() {
        let view = SessionsView { title: "Title".into(), zone: zone(), output: output() };
        let session = Session {
            id: "s".into(),
            rev: 1,
            device: Some("Tel\u{1b}éfono".into()),
            network: "203.0.113.0/24".into(),
            created_at: "2026-11-03T15:20:41Z".into(),
            last_seen_at: "2026-11-30T11:00:00Z".into(),
            expires_at: "2026-12-30T11:00:00Z".into(),
            current: None,
        };
        let line = "Teléfono  last used 2026-11-30 06:00 from 203.0.113.0/24  s";
        assert_eq!(view.change(&Difference::Added(session.clone()), now()).unwrap(), format!("+ {line}"));
        assert_eq!(view.change(&Difference::Removed(session.clone()), now()).unwrap(), format!("− {line}"));
        let over = Session { expires_at: "2026-11-30T11:59:00Z".into(), ..session.clone() };
        assert_eq!(view.table(&[session, over], now()), ["Title".to_owned(), format!("  {line}")]);
    }

    #[test]
    fn what_cannot_be_booked_now_is_not_shown() {
        let late: Timestamp = "2026-12-01T12:00:01Z".parse().unwrap();
        let free = slot(SlotStatus::Free);
        assert_eq!(slots().change(&Difference::Added(free.clone()), late), None);
        assert_eq!(slots().table(std::slice::from_ref(&free), late), ["Title", "  nothing is free"]);
        assert_eq!(slots().table(&[free], now()), ["Title", "Tue 2026-12-01", "  09:00"]);
    }

    fn appointment(status: AppointmentStatus) -> Appointment {
        Appointment {
            id: "a".into(),
            rev: 1,
            status,
            doctor_id: "d".into(),
            doctor_name: "Dra. Gómez".into(),
            patient_id: "p".into(),
            patient_name: "Ana\x1b[2J".into(),
            walk_in: None,
            service_id: "s".into(),
            service_name: "General".into(),
            resource_ids: Vec::new(),
            start: "2026-12-01T14:00:00Z".into(),
            end: "2026-12-01T14:30:00Z".into(),
            time_zone: "America/Bogota".into(),
            reason: None,
            series_id: None,
            cancel_reason: None,
            notes: None,
            created_at: "2026-11-30T12:00:00Z".into(),
            updated_at: "2026-11-30T12:00:00Z".into(),
            expires_at: None,
        }
    }

    #[test]
    fn a_doctor_changes_line_by_line() {
        let doctor = Doctor {
            id: "d".into(),
            rev: 1,
            name: "Dra. Gómez".into(),
            approval: Approval::Approved,
            time_zone: "America/Bogota".into(),
            specialisation: Some("Pediatría".into()),
            bio: None,
            languages: vec!["es".into()],
            address: None,
            qualifications: vec!["Médica\x1b[2J".into()],
            experience_years: Some(9),
            photo_url: None,
            price: None,
            rating: None,
            first_slot: None,
            staff: None,
        };
        let old = LiveDoctor { doctor, services: Vec::new() };
        let mut new = old.clone();
        new.doctor.experience_years = Some(10);
        new.doctor.rating = Some(Rating { average: 4.5, count: 2 });
        let view = DoctorView { zone: zone(), output: output() };
        let line = view.change(&Difference::Changed { old: old.clone(), new }, now()).unwrap();
        assert_eq!(
            line.lines().map(str::trim).collect::<Vec<_>>(),
            ["− experience      9 years", "+ experience      10 years", "+ rating          ★ 4.5 (2)"]
        );
        assert_eq!(view.change(&Difference::Changed { old: old.clone(), new: old.clone() }, now()), None);
        assert_eq!(view.table(&[old], now()).last().map(String::as_str), Some("  · Médica[2J"));
    }

    #[test]
    fn appointments_are_booked_moved_and_cancelled() {
        let view = AppointmentsView { title: String::new(), zone: zone(), output: output() };
        let line = |difference| view.change(&difference, now()).unwrap();
        let booked = appointment(AppointmentStatus::Booked);
        assert_eq!(
            line(Difference::Added(booked.clone())),
            "+ 2026-12-01 09:00–09:30 booked  Ana[2J with Dra. Gómez · General"
        );
        let mut moved = booked.clone();
        moved.start = "2026-12-01T15:00:00Z".into();
        moved.end = "2026-12-01T15:30:00Z".into();
        let change = Difference::Changed { old: booked.clone(), new: moved };
        assert!(line(change).starts_with("→ 2026-12-01 10:00–10:30 moved from 2026-12-01 09:00–09:30"));
        let mut cancelled = appointment(AppointmentStatus::Cancelled);
        cancelled.cancel_reason = Some("ill".into());
        let change = Difference::Changed { old: booked, new: cancelled };
        assert!(line(change).starts_with("− 2026-12-01 09:00–09:30 cancelled (ill)"));
    }
}
