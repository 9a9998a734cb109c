//! What the model knows: plain lists of people, doctors, appointments and reviews, and how each looks on the wire.
//!
//! Nothing here comes from `src/`: it is written from what the protocol promises.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::hours::Places;
use super::waiting::{GivenUp, Wait};
use crate::harness::clinic::Person;

/// Stands for text that only the server knows.
pub const ANY: &str = "?";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Patient,
    Doctor,
    Staff,
    Admin,
}

/// What does not change while a script runs.
#[derive(Debug)]
pub struct Setting {
    /// Paula, Pedro, Pilar, Daniela, Diego, Rocío, Ana.
    pub people: Vec<(Person, Role)>,
    /// Of the country whose holidays a doctor may keep.
    pub holidays: BTreeSet<Date>,
    /// The date at the beginning, in each doctor's zone.
    pub today: Vec<Date>,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub setting: Arc<Setting>,
    pub doctors: Vec<Doctor>,
    /// That all doctors may use, in the order in which they were made.
    pub rooms: Vec<Room>,
    pub appointments: Vec<Appointment>,
    pub reviews: Vec<Review>,
    pub waiting: Vec<Wait>,
    pub remembered: Vec<Memory>,
    /// How many seats were taken so far.
    pub seats: usize,
    /// What is taken in was not the only thing under way.
    pub at_once: bool,
    /// What was given up by requests that were under way together: whoever gave it up looks once more, when their change is known,
    /// whether somebody waits for it by then.
    pub given_up: Vec<GivenUp>,
}

#[derive(Clone, Debug)]
pub struct Doctor {
    /// Place among the people.
    pub person: usize,
    pub rev: u32,
    /// The latest revision that looks different to the public.
    pub shown_rev: u32,
    pub zone: TimeZone,
    pub hours: Hours,
    pub services: Vec<Service>,
    pub off: Vec<TimeOff>,
    /// Places among the people.
    pub staff: Vec<usize>,
}

/// Opening hours within a day.
pub type Range = (Time, Time);

#[derive(Clone, Debug)]
pub struct Hours {
    pub rev: u32,
    /// From Monday on.
    pub weekly: Vec<Vec<Range>>,
    pub overrides: Vec<(Date, Vec<Range>)>,
    pub seasons: Vec<(Date, Date, Vec<Vec<Range>>)>,
    pub holidays: bool,
}

#[derive(Clone, Debug)]
pub struct Service {
    pub id: String,
    pub rev: u32,
    pub name: String,
    pub duration: i64,
    pub step: i64,
    pub before: i64,
    pub after: i64,
    pub notice: i64,
    pub horizon: i64,
    pub daily: Option<usize>,
    pub weekly: Option<usize>,
    pub cancel_cutoff: i64,
    pub move_cutoff: i64,
    pub approval: bool,
    pub patients: &'static str,
    pub rooms: Vec<String>,
    /// How many share a session.
    pub capacity: usize,
    pub archived: bool,
}

/// A room, or a device.
#[derive(Clone, Debug)]
pub struct Room {
    pub id: String,
    pub rev: u32,
    pub name: String,
    pub kind: String,
    pub archived: bool,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct TimeOff {
    pub id: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: Option<String>,
}

/// A revision of an appointment.
#[derive(Clone, Debug)]
pub struct Entry {
    pub rev: u32,
    pub action: &'static str,
    pub by: usize,
    pub start: Timestamp,
    /// The rule that was set aside.
    pub exception: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Appointment {
    pub id: String,
    pub rev: u32,
    pub status: &'static str,
    pub doctor: usize,
    pub patient: String,
    pub patient_name: String,
    pub walk_in: bool,
    pub service: usize,
    pub service_name: String,
    /// From start to end, as long as it takes time.
    pub rooms: Vec<String>,
    pub start: Timestamp,
    pub end: Timestamp,
    pub series: Option<(String, &'static str)>,
    pub reason: Option<String>,
    pub cancel_reason: Option<String>,
    pub notes: Option<String>,
    pub created_at: Timestamp,
    /// Who held it, or holds it.
    pub holder: Option<usize>,
    pub expires_at: Option<Timestamp>,
    /// The entry of a waitlist to which it is offered, by its place.
    pub wait: Option<usize>,
    /// It is one of several in a group session, of which all share what follows. The number says who came before whom.
    pub seat: Option<usize>,
    /// What it takes of the doctor's time, buffers included.
    pub takes: Option<(Timestamp, Timestamp)>,
    /// Where it was given a place within limits. Where it is, it counts as well.
    pub counts: Places,
    /// The zone that it was booked in.
    pub zone: String,
    pub reviewed: bool,
    pub history: Vec<Entry>,
    /// How its parties see it, notes aside.
    pub wire: Arc<Value>,
}

#[derive(Clone, Debug)]
pub struct Review {
    pub id: String,
    pub rev: u32,
    pub doctor: usize,
    pub author: usize,
    pub rating: u32,
    pub text: Option<String>,
    pub reply: Option<String>,
    pub edited: bool,
    pub hidden: Option<String>,
    /// Who has reported it since somebody decided on it.
    pub reports: Vec<usize>,
}

/// A request that succeeded.
#[derive(Clone, Debug)]
pub struct Memory {
    pub who: usize,
    pub op: &'static str,
    pub key: String,
    pub data: Value,
    pub reply: Value,
    /// Of an appointment.
    pub which: Option<usize>,
}

impl Appointment {
    pub fn is_held(&self) -> bool {
        self.status == "held"
    }

    /// When it ends by itself.
    pub fn end_of_hold(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.is_held())
    }

    pub fn is_movable(&self) -> bool {
        matches!(self.status, "pending" | "booked")
    }

    /// Whether somebody's hold on exactly this time.
    pub fn is_hold_of(&self, who: usize, (doctor, service, start): (usize, usize, Timestamp)) -> bool {
        self.is_held()
            && self.holder == Some(who)
            && (self.doctor, self.service, self.start) == (doctor, service, start)
    }

    pub fn takes_any(&self, from: Timestamp, to: Timestamp) -> bool {
        self.takes.is_some_and(|(first, last)| first < to && from < last)
    }

    /// Whether its patient spends any of that time with it: a hold is not the patient's time yet.
    pub fn keeps_busy(&self, patient: &str, from: Timestamp, to: Timestamp) -> bool {
        self.patient == patient && self.takes.is_some() && !self.is_held() && self.start < to && from < self.end
    }

    /// Takes part in a session that there is: it stays as long as it is, where it is.
    pub fn sits_with(&mut self, other: &Self) {
        (self.start, self.end, self.takes, self.counts) = (other.start, other.end, other.takes, other.counts);
        self.rooms.clone_from(&other.rooms);
    }

    /// Whether both are in the same group session.
    pub fn shares(&self, other: &Self) -> bool {
        let is_seat = |one: &Self| one.seat.is_some() && one.takes.is_some();
        let at = |one: &Self| (one.doctor, one.service, one.start);
        is_seat(self) && is_seat(other) && at(self) == at(other)
    }

    /// Whether it keeps one of some rooms from another doctor.
    pub fn keeps_room(&self, doctor: usize, rooms: &[String], from: Timestamp, to: Timestamp) -> bool {
        let has = self.rooms.iter().any(|room| rooms.contains(room));
        self.doctor != doctor && has && self.takes.is_some() && self.start < to && from < self.end
    }

    /// The next revision.
    pub fn revise(&mut self, action: &'static str, by: usize, exception: Option<&'static str>) {
        self.rev += 1;
        // What becomes of an appointment is nothing to whoever once held its time.
        // It stays said of what was offered by a waitlist.
        let is_offer = self.wait.is_some();
        self.holder = self.holder.filter(|_| is_offer || matches!(self.status, "held" | "expired"));
        self.history.push(Entry { rev: self.rev, action, by, start: self.start, exception });
    }

    /// It takes no time any more.
    pub fn let_go(&mut self, status: &'static str) {
        self.status = status;
        self.takes = None;
        self.counts = (None, None);
    }
}

impl Model {
    pub fn id_of(&self, person: usize) -> &str {
        &self.setting.people[person].0.id
    }

    pub fn name_of(&self, person: usize) -> &str {
        &self.setting.people[person].0.name
    }

    pub fn role_of(&self, person: usize) -> Role {
        self.setting.people[person].1
    }

    pub fn person_with(&self, id: &str) -> Option<usize> {
        self.setting.people.iter().position(|(person, _)| person.id == id)
    }

    pub fn doctor_id(&self, doctor: usize) -> &str {
        self.id_of(self.doctors[doctor].person)
    }

    /// The doctor, those at the desk, an admin.
    pub fn is_practice(&self, who: usize, doctor: usize) -> bool {
        self.owns(who, doctor) || self.doctors[doctor].staff.contains(&who)
    }

    /// The doctor or an admin.
    pub fn owns(&self, who: usize, doctor: usize) -> bool {
        self.doctors[doctor].person == who || self.role_of(who) == Role::Admin
    }

    /// The name of a doctor's zone.
    pub fn zone(&self, doctor: usize) -> String {
        self.doctors[doctor].zone.iana_name().expect("a zone with a name").to_owned()
    }

    pub fn is_party(&self, who: usize, appointment: &Appointment) -> bool {
        self.is_practice(who, appointment.doctor) || appointment.patient == self.id_of(who)
    }

    /// Whether a patient has been at a doctor's.
    pub fn is_known(&self, doctor: usize, patient: &str) -> bool {
        let visit = |one: &Appointment| one.doctor == doctor && one.patient == patient && one.status == "fulfilled";
        self.appointments.iter().any(visit)
    }

    /// Writes anew how an appointment looks.
    pub fn draw(&mut self, which: usize) {
        self.appointments[which].wire = Arc::new(self.appointment(&self.appointments[which]));
    }

    fn appointment(&self, one: &Appointment) -> Value {
        let doctor = &self.doctors[one.doctor];
        let mut wire = json!({
            "id": one.id, "rev": one.rev, "status": one.status,
            "doctorId": self.doctor_id(one.doctor), "doctorName": self.name_of(doctor.person),
            "patientId": one.patient, "patientName": one.patient_name,
            "serviceId": doctor.services[one.service].id, "serviceName": one.service_name,
            "start": one.start.to_string(), "end": one.end.to_string(),
            "timeZone": one.zone,
            "createdAt": one.created_at.to_string(), "updatedAt": ANY,
        });
        // Those of a session are told of the service.
        if !one.rooms.is_empty() && one.seat.is_none() {
            wire["resourceIds"] = json!(one.rooms);
        }
        if one.walk_in {
            wire["walkIn"] = json!({ "phone": "300 123" });
        }
        let series = one.series.as_ref().map(|(id, _)| id);
        for (field, text) in
            [("seriesId", series), ("reason", one.reason.as_ref()), ("cancelReason", one.cancel_reason.as_ref())]
        {
            if let Some(text) = text {
                wire[field] = json!(text);
            }
        }
        if let Some(wait) = one.wait {
            wire["waitlistId"] = json!(self.waiting[wait].id);
        }
        if let Some(end) = one.expires_at.filter(|_| one.is_held()) {
            wire["expiresAt"] = json!(end.to_string());
        }
        wire
    }

    /// An appointment in a reply to somebody.
    pub fn appointment_for(&self, who: usize, which: usize) -> Value {
        let one = &self.appointments[which];
        let mut wire = Value::clone(&one.wire);
        if let Some(notes) = one.notes.as_ref().filter(|_| self.doctors[one.doctor].person == who) {
            wire["notes"] = json!(notes);
        }
        wire
    }

    pub fn review(&self, review: &Review) -> Value {
        let mut wire = json!({ "id": review.id, "rev": review.rev, "doctorId": self.doctor_id(review.doctor),
            "rating": review.rating, "createdOn": ANY });
        if let Some(text) = &review.text {
            wire["text"] = json!(text);
        }
        if let Some(reply) = &review.reply {
            wire["reply"] = json!({ "text": reply, "at": ANY });
        }
        if review.edited {
            wire["editedOn"] = json!(ANY);
        }
        wire
    }

    /// A review in a reply to somebody.
    pub fn review_for(&self, who: Option<usize>, review: &Review) -> Value {
        let mut wire = self.review(review);
        if who == Some(review.author) {
            wire["mine"] = json!(true);
        }
        let sees = who.is_some_and(|who| who == review.author || self.role_of(who) == Role::Admin);
        if let Some(reason) = review.hidden.as_ref().filter(|_| sees) {
            wire["hiddenReason"] = json!(reason);
        }
        wire
    }

    /// A doctor's profile, as everybody sees it.
    pub fn profile(&self, doctor: usize) -> Value {
        let one = &self.doctors[doctor];
        let mut wire = json!({ "id": self.doctor_id(doctor), "rev": one.rev, "name": self.name_of(one.person),
            "approval": "approved", "timeZone": one.zone.iana_name(), "languages": [] });
        let points = self.reviews.iter().filter(|review| review.doctor == doctor && review.hidden.is_none());
        let points: Vec<u32> = points.map(|review| review.rating).collect();
        if !points.is_empty() {
            let average = f64::from(points.iter().sum::<u32>()) / points.len() as f64;
            wire["rating"] = json!({ "average": (average * 100.0).round() / 100.0, "count": points.len() });
        }
        wire
    }

    pub fn service(&self, doctor: usize, service: usize) -> Value {
        let one = &self.doctors[doctor].services[service];
        let mut wire = json!({
            "id": one.id, "doctorId": self.doctor_id(doctor), "rev": one.rev, "name": one.name,
            "durationMinutes": one.duration, "stepMinutes": one.step, "bufferBeforeMinutes": one.before,
            "bufferAfterMinutes": one.after, "requiresApproval": one.approval, "minNoticeMinutes": one.notice,
            "horizonDays": one.horizon, "capacity": one.capacity, "cancelCutoffMinutes": one.cancel_cutoff,
            "rescheduleCutoffMinutes": one.move_cutoff, "patients": one.patients, "archived": one.archived,
        });
        if !one.rooms.is_empty() {
            wire["resourceIds"] = json!(one.rooms);
        }
        for (field, limit) in [("dailyLimit", one.daily), ("weeklyLimit", one.weekly)] {
            if let Some(limit) = limit {
                wire[field] = json!(limit);
            }
        }
        wire
    }

    pub fn services(&self, doctor: usize) -> Vec<Value> {
        (0..self.doctors[doctor].services.len()).map(|service| self.service(doctor, service)).collect()
    }

    pub fn time_off(&self, doctor: usize, off: &TimeOff) -> Value {
        let zone = self.doctors[doctor].zone.iana_name();
        let mut wire = json!({ "id": off.id, "doctorId": self.doctor_id(doctor), "rev": 1,
            "from": off.from.to_string(), "to": off.to.to_string(), "timeZone": zone });
        if let Some(reason) = &off.reason {
            wire["reason"] = json!(reason);
        }
        wire
    }

    pub fn hours(&self, doctor: usize) -> Value {
        let one = &self.doctors[doctor];
        let mut wire = one.hours.on_the_wire();
        wire["doctorId"] = json!(self.doctor_id(doctor));
        wire["rev"] = json!(one.hours.rev);
        wire["timeZone"] = json!(one.zone.iana_name());
        wire
    }

    /// Whether something looks as it should; what only the server knows may be anything.
    pub fn same(actual: &Value, expected: &Value) -> bool {
        match (actual, expected) {
            (_, Value::String(any)) if any == ANY => !actual.is_null(),
            (Value::Object(actual), Value::Object(expected)) => {
                actual.len() == expected.len()
                    && expected
                        .iter()
                        .all(|(name, value)| actual.get(name).is_some_and(|found| Self::same(found, value)))
            }
            (Value::Array(actual), Value::Array(expected)) => {
                actual.len() == expected.len()
                    && actual.iter().zip(expected).all(|(actual, expected)| Self::same(actual, expected))
            }
            (Value::Number(actual), Value::Number(expected)) => actual.as_f64() == expected.as_f64(),
            _ => actual == expected,
        }
    }

    /// The same, or both in words.
    pub fn compare(actual: &Value, expected: &Value) -> Result<(), String> {
        if Self::same(actual, expected) {
            return Ok(());
        }
        Err(format!("the server has\n  {actual}\nthe model\n  {expected}"))
    }
}

impl Hours {
    /// As in a request, and in a reply.
    pub fn on_the_wire(&self) -> Value {
        const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let weekly = |weekly: &[Vec<Range>]| -> Vec<Value> {
            let day = |(day, ranges): (usize, &Vec<Range>)| -> Vec<Value> {
                let range = |range: &Range| json!({ "weekday": DAYS[day], "from": time(range.0), "to": time(range.1) });
                ranges.iter().map(range).collect()
            };
            weekly.iter().enumerate().flat_map(day).collect()
        };
        let range = |range: &Range| json!({ "from": time(range.0), "to": time(range.1) });
        let one = |(date, ranges): &(Date, Vec<Range>)| json!({ "date": date.to_string(), "ranges": ranges.iter().map(range).collect::<Vec<_>>() });
        let season = |(from, to, week): &(Date, Date, Vec<Vec<Range>>)| json!({ "from": from.to_string(), "to": to.to_string(), "weekly": weekly(week) });
        json!({
            "weekly": weekly(&self.weekly),
            "overrides": self.overrides.iter().map(one).collect::<Vec<_>>(),
            "seasons": self.seasons.iter().map(season).collect::<Vec<_>>(),
            "holidayCalendars": if self.holidays { vec!["CO"] } else { Vec::new() },
        })
    }
}
