//! What the model makes of services: those that are offered, changed, and offered no more.

use serde_json::{Value, json};

use super::asked::Asked;
use super::booking::text;
use super::judge::{FORBIDDEN, INVALID, Judged, NOT_FOUND, STALE, refuse, told};
use super::state::{Model, Service};
use super::step::Deed;

/// How many changes of a service there are to choose from.
pub const CHANGES: usize = 30;
/// How many kinds of new services.
pub const KINDS: usize = 4;
/// Most services of a doctor in a script.
pub const MOST: usize = 6;

const SIX_DAYS: i64 = 6 * 24 * 60;

/// The fields of a new service.
pub fn kind_of_service(number: usize, rooms: &[String]) -> Value {
    match number % KINDS {
        0 => json!({ "name": "Ecografía", "durationMinutes": 20, "stepMinutes": 10, "bufferAfterMinutes": 5 }),
        1 => json!({ "name": "Consulta en grupo", "durationMinutes": 60, "capacity": 2, "weeklyLimit": 3 }),
        2 => json!({ "name": "Primera visita", "durationMinutes": 15, "patients": "new", "requiresApproval": true }),
        _ => json!({ "name": "Revisión", "durationMinutes": 30, "dailyLimit": 1, "resourceIds": rooms[..2] }),
    }
}

/// A service with such fields, and what is not said as it is without them.
pub fn made(data: &Value, id: String) -> Service {
    let duration = data["durationMinutes"].as_i64().expect("a duration");
    let bare = Service {
        id,
        rev: 0,
        name: String::new(),
        duration,
        step: duration,
        before: 0,
        after: 0,
        notice: 0,
        horizon: 90,
        daily: None,
        weekly: None,
        cancel_cutoff: 0,
        move_cutoff: 0,
        approval: false,
        patients: "any",
        rooms: Vec::new(),
        capacity: 1,
        archived: false,
    };
    changed(&bare, data)
}

/// The fields of a change of a service.
pub fn change(number: usize, rooms: &[String]) -> Value {
    match number % CHANGES {
        0 => json!({ "durationMinutes": 15 }),
        1 => json!({ "durationMinutes": 30 }),
        2 => json!({ "durationMinutes": 45, "stepMinutes": 15 }),
        3 => json!({ "stepMinutes": 30 }),
        4 => json!({ "bufferBeforeMinutes": 15 }),
        5 => json!({ "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0 }),
        6 => json!({ "bufferAfterMinutes": 10 }),
        7 => json!({ "minNoticeMinutes": SIX_DAYS }),
        8 => json!({ "horizonDays": 6 }),
        9..12 => json!({ "horizonDays": 366, "minNoticeMinutes": 0 }),
        12 => json!({ "dailyLimit": 1 }),
        13 => json!({ "dailyLimit": 3 }),
        14 => json!({ "weeklyLimit": 4 }),
        15 => json!({ "clear": ["dailyLimit", "weeklyLimit"] }),
        16 => json!({ "cancelCutoffMinutes": SIX_DAYS }),
        17 => json!({ "rescheduleCutoffMinutes": SIX_DAYS }),
        18 => json!({ "cancelCutoffMinutes": 0, "rescheduleCutoffMinutes": 0, "requiresApproval": false }),
        19 => json!({ "requiresApproval": true }),
        20 => json!({ "patients": "known", "name": "Control" }),
        21 => json!({ "patients": "any" }),
        22 => json!({ "resourceIds": [rooms[0]] }),
        23 => json!({ "resourceIds": rooms[..2] }),
        24 => json!({ "capacity": 2 }),
        25 => json!({ "capacity": 3 }),
        26 | 27 => json!({ "capacity": 1 }),
        28 => json!({ "resourceIds": [] }),
        // One that no service of a doctor has had makes nodes read their calendar again, and close what watches its slots (4003):
        // rooms that are new go to nobody here.
        _ => json!({ "resourceIds": [rooms[1]] }),
    }
}

/// A service with such fields.
pub fn changed(service: &Service, change: &Value) -> Service {
    let mut next = service.clone();
    next.rev += 1;
    let number = |name: &str, present: i64| change[name].as_i64().unwrap_or(present);
    let limit = |name: &str, present: Option<usize>| {
        let cleared = change["clear"].as_array().is_some_and(|clear| clear.contains(&json!(name)));
        match change[name].as_u64() {
            Some(limit) => usize::try_from(limit).ok(),
            None => present.filter(|_| !cleared),
        }
    };
    next.duration = number("durationMinutes", next.duration);
    next.step = number("stepMinutes", next.step);
    next.before = number("bufferBeforeMinutes", next.before);
    next.after = number("bufferAfterMinutes", next.after);
    next.notice = number("minNoticeMinutes", next.notice);
    next.horizon = number("horizonDays", next.horizon);
    next.daily = limit("dailyLimit", next.daily);
    next.weekly = limit("weeklyLimit", next.weekly);
    next.cancel_cutoff = number("cancelCutoffMinutes", next.cancel_cutoff);
    next.move_cutoff = number("rescheduleCutoffMinutes", next.move_cutoff);
    next.capacity = limit("capacity", Some(next.capacity)).unwrap_or(1);
    next.approval = change["requiresApproval"].as_bool().unwrap_or(next.approval);
    next.patients = match change["patients"].as_str() {
        Some("known") => "known",
        Some("new") => "new",
        Some("any") => "any",
        _ => next.patients,
    };
    if let Some(rooms) = change["resourceIds"].as_array() {
        next.rooms = rooms.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(name) = change["name"].as_str() {
        next.name = name.to_owned();
    }
    next
}

impl Model {
    pub fn create_service(&self, asked: &Asked, who: usize) -> Judged {
        let doctor = asked.slot.0;
        if !self.owns(who, doctor) {
            return refuse(FORBIDDEN);
        }
        if let Some(known) = self.remembers(asked, who)? {
            let is_it = |service: &Service| Some(service.id.as_str()) == known.reply["id"].as_str();
            let which = self.doctors[doctor].services.iter().position(is_it);
            return Ok(told(self.service(doctor, which.expect("a service that was made is there"))));
        }
        if !self.are_usable(&asked.data) {
            return refuse(INVALID);
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let new = made(&asked.data, text(reply, "id")?);
            let of = &mut model.doctors[doctor];
            if of.services.iter().any(|service| service.id == new.id) {
                return Err(format!("there was a service with this id before: {reply}"));
            }
            of.services.push(new);
            of.rev += 1;
            of.shown_rev = of.rev;
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.service(doctor, model.doctors[doctor].services.len() - 1))
        }))
    }

    /// Changes it, or offers it no more: what is booked of it stays, and can be moved nowhere.
    pub fn change_service(&self, asked: &Asked, who: usize) -> Judged {
        let (doctor, service, _) = asked.slot;
        if !self.owns(who, doctor) {
            return refuse(FORBIDDEN);
        }
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(self.service(doctor, service)));
        }
        if !self.are_usable(&asked.data) {
            return refuse(INVALID);
        }
        let one = &self.doctors[doctor].services[service];
        if asked.rev.is_some_and(|rev| rev != one.rev) {
            return refuse(STALE);
        }
        let next = match asked.deed {
            Deed::UpdateService { .. } => changed(one, &asked.data),
            Deed::ArchiveService { .. } => Service { rev: one.rev + 1, archived: true, ..one.clone() },
            _ => return refuse(NOT_FOUND),
        };
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let of = &mut model.doctors[doctor];
            of.services[service] = next;
            of.rev += 1;
            of.shown_rev = of.rev;
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.service(doctor, service))
        }))
    }

    pub fn list_services(&self, asked: &Asked) -> Judged {
        Ok(told(json!({ "items": self.services(asked.slot.0) })))
    }
}
