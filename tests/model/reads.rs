//! What the model answers to those who only look.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::asked::Asked;
use super::hours::Standing;
use super::judge::{BUSY, IN_USE, INVALID, Judged, NOT_FOUND, TAKEN, Why, refuse, told, unavailable};
use super::state::{Appointment, Model, Role};
use super::step::Deed;

/// Most appointments on a page.
const PAGE: usize = 100;

impl Model {
    pub fn search(&self, asked: &Asked, who: Option<usize>, now: Timestamp) -> Judged {
        let (doctor, service, _) = asked.slot;
        let Deed::Search { day, days, .. } = asked.deed else { return refuse(NOT_FOUND) };
        let dates = (0..days).map(|after| self.date(doctor, day) + after.days());
        let shown = dates.flat_map(|date| self.shown(doctor, service, date, who, now));
        let slots: Vec<Value> = shown.map(|(_, slot)| slot).collect();
        Ok(told(json!({ "timeZone": self.doctors[doctor].zone.iana_name(), "slots": slots })))
    }

    /// What somebody can book now on a date, by its starts: nothing of a service that is not for them.
    pub fn shown(
        &self,
        doctor: usize,
        service: usize,
        date: Date,
        who: Option<usize>,
        now: Timestamp,
    ) -> Vec<(Timestamp, Value)> {
        let mut shown = Vec::new();
        let slot = (doctor, service, now);
        let is_for = |who: usize| self.is_practice(who, doctor) || self.is_for(slot, Some(self.id_of(who)));
        if !who.is_none_or(is_for) {
            return shown;
        }
        for slot in self.offered(doctor, service, date) {
            let is_own = || {
                let at = (doctor, service, slot.start);
                who.is_some_and(|who| self.appointments.iter().any(|one| one.is_hold_of(who, at)))
            };
            let status = match slot.standing {
                Standing::Free => "free",
                Standing::Held(_) if is_own() => "held",
                Standing::Held(_) | Standing::Taken => continue,
            };
            if !self.is_in_time(doctor, service, slot.start, now) {
                continue;
            }
            let mut wire = json!({ "start": slot.start.to_string(), "end": slot.end.to_string(), "status": status });
            if let Some(left) = slot.seats_left {
                wire["seatsLeft"] = json!(left);
            }
            if who.is_some_and(|who| self.is_busy(Some(self.id_of(who)), slot.start, slot.end)) {
                wire["conflict"] = json!(true);
            }
            shown.push((slot.start, wire));
        }
        shown
    }

    pub fn explain(&self, asked: &Asked, who: Option<usize>, now: Timestamp) -> Judged {
        let (doctor, _, start) = asked.slot;
        let (why, takers) = self.explained(asked, who, now);
        let mut wire = json!({ "start": start.to_string(), "timeZone": self.doctors[doctor].zone.iana_name(),
            "bookable": why.is_none() });
        if let Some(Why(code, rule)) = why {
            wire["code"] = json!(code);
            if let Some(rule) = rule {
                wire["rule"] = json!(rule);
            }
        }
        if !takers.is_empty() {
            wire["takenBy"] = json!(takers);
        }
        Ok(told(wire))
    }

    /// What is against a time, and what takes it, where the caller may know.
    fn explained(&self, asked: &Asked, who: Option<usize>, now: Timestamp) -> (Option<Why>, Vec<String>) {
        let (doctor, service, start) = asked.slot;
        let own = who.and_then(|who| self.appointments.iter().find(|one| one.is_hold_of(who, asked.slot)));
        let asked_at = own.map_or(now, |own| own.created_at);
        if let Err(rule) = self.check(doctor, service, start, asked_at) {
            return (Some(unavailable(rule)), Vec::new());
        }
        let is_practice = who.is_some_and(|who| self.is_practice(who, doctor));
        let is_for = |who: usize| self.is_for(asked.slot, Some(self.id_of(who)));
        if !is_practice && !who.is_none_or(is_for) {
            return (Some(unavailable("patients")), Vec::new());
        }
        let session = self.session(asked.slot);
        let end = session.first().map_or(self.end(doctor, service, start), |seat| self.appointments[*seat].end);
        if own.is_none()
            && let Some(limit) = self.limit_against(asked.slot)
        {
            return (Some(unavailable(limit)), Vec::new());
        }
        let has_seats = !session.is_empty() && session.len() < self.doctors[doctor].services[service].capacity;
        if own.is_none() && !has_seats {
            let (first, last) = self.takes(doctor, service, start);
            let takes = |one: &&Appointment| one.doctor == doctor && one.takes_any(first, last);
            let mut takers: Vec<&Appointment> = self.appointments.iter().filter(takes).collect();
            takers.sort_by_key(|one| (one.takes, one.seat));
            if !takers.is_empty() {
                let told = takers.iter().filter(|_| is_practice).map(|one| one.id.clone()).collect();
                return (Some(TAKEN), told);
            }
        }
        let is_busy = who.is_some_and(|who| self.is_busy(Some(self.id_of(who)), start, end));
        let rooms = &self.doctors[doctor].services[service].rooms;
        let in_use = || self.appointments.iter().any(|one| one.keeps_room(doctor, rooms, start, end));
        let why = if is_busy { Some(BUSY) } else { (session.is_empty() && in_use()).then_some(IN_USE) };
        (why, Vec::new())
    }

    pub fn get(&self, asked: &Asked, who: usize) -> Judged {
        let which = asked.which.expect("it is about one");
        match self.is_party(who, &self.appointments[which]) {
            true => Ok(told(self.appointment_for(who, which))),
            false => refuse(NOT_FOUND),
        }
    }

    pub fn list(&self, asked: &Asked, who: usize) -> Judged {
        let Deed::List { doctor } = asked.deed else { return refuse(NOT_FOUND) };
        let doctor = doctor.map(|doctor| doctor % 2);
        let own_calendar = self.doctors.iter().position(|one| one.person == who);
        let (doctor, patient) = match (doctor, own_calendar) {
            (None, Some(own)) => (Some(own), None),
            (None, None) if self.role_of(who) == Role::Admin => return refuse(INVALID),
            (Some(doctor), _) if self.is_practice(who, doctor) => (Some(doctor), None),
            (doctor, _) => (doctor, Some(self.id_of(who))),
        };
        let wanted = |one: &&Appointment| {
            one.status != "expired"
                && doctor.is_none_or(|doctor| one.doctor == doctor)
                && patient.is_none_or(|patient| one.patient == patient)
        };
        let mut found: Vec<&Appointment> = self.appointments.iter().filter(wanted).collect();
        found.sort_by(|one, two| (one.start, &one.id).cmp(&(two.start, &two.id)));
        let items: Vec<&Value> = found.iter().take(PAGE).map(|one| &*one.wire).collect();
        let mut wire = json!({ "items": items });
        if found.len() > PAGE {
            wire["nextPageToken"] = json!(super::state::ANY);
        }
        Ok(told(wire))
    }

    pub fn history(&self, asked: &Asked, who: usize) -> Judged {
        let one = &self.appointments[asked.which.expect("it is about one")];
        if !self.is_party(who, one) {
            return refuse(NOT_FOUND);
        }
        let practice = self.is_practice(who, one.doctor);
        let doctor = self.doctors[one.doctor].person == who;
        let mut items = Vec::new();
        for entry in one.history.iter().filter(|entry| doctor || entry.action != "noted") {
            let mut wire = json!({ "rev": entry.rev, "at": super::state::ANY, "action": entry.action,
                "by": self.id_of(entry.by), "start": entry.start.to_string(),
                "timeZone": one.zone });
            if let Some(rule) = entry.exception.filter(|_| practice) {
                wire["override"] = json!({ "rule": rule, "reason": "Urgencia" });
            }
            if entry.by == who || self.role_of(who) == Role::Admin {
                wire["session"] = json!(super::state::ANY);
            }
            items.push(wire);
        }
        Ok(told(json!({ "items": items })))
    }

    pub fn get_doctor(&self, asked: &Asked, who: Option<usize>) -> Judged {
        let doctor = asked.slot.0;
        let mut wire = self.profile(doctor);
        if who.is_some_and(|who| self.is_practice(who, doctor)) {
            let staff: Vec<&str> = self.doctors[doctor].staff.iter().map(|person| self.id_of(*person)).collect();
            wire["staff"] = json!(staff);
        }
        Ok(told(wire))
    }
}
