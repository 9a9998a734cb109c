//! What the model makes of holding and booking.

use jiff::Timestamp;
use serde_json::Value;

use super::asked::{Asked, Patient, must_say};
use super::hours::monday;
use super::judge::{BUSY, FORBIDDEN, IN_USE, INVALID, Judged, TAKEN, Why, in_its_order, refuse, unavailable};
use super::state::{Appointment, Entry, Model};
use super::step::Deed;

/// Most live holds of a person.
const HOLDS: usize = 3;

impl Model {
    /// The id of whom it is for, as far as there is one before it is booked; or why it may not be.
    pub fn patient_of(&self, asked: &Asked, who: usize) -> Result<Option<String>, Vec<Why>> {
        let (doctor, ..) = asked.slot;
        let may = match asked.patient {
            Patient::Unsaid => true,
            Patient::Named(patient) => patient == who,
            Patient::WalkIn => false,
        };
        if !may && !self.is_practice(who, doctor) {
            return refuse(FORBIDDEN);
        }
        Ok(match asked.patient {
            Patient::Unsaid => Some(self.id_of(who).to_owned()),
            Patient::Named(patient) => Some(self.id_of(patient).to_owned()),
            Patient::WalkIn => None,
        })
    }

    /// Whether a service is for somebody.
    pub fn is_for(&self, (doctor, service, _): (usize, usize, Timestamp), patient: Option<&str>) -> bool {
        match self.doctors[doctor].services[service].patients {
            "known" => patient.is_some_and(|patient| self.is_known(doctor, patient)),
            "new" => !patient.is_some_and(|patient| self.is_known(doctor, patient)),
            _ => true,
        }
    }

    /// What others have that is against a time: the doctor's time, and the patient's.
    pub fn against(&self, slot: (usize, usize, Timestamp), patient: Option<&str>) -> Vec<Why> {
        let (doctor, service, start) = slot;
        let (first, last) = self.takes(doctor, service, start);
        let end = self.end(doctor, service, start);
        let mut against = Vec::new();
        let session = self.session(slot);
        if let Some(seat) = session.first() {
            let is_full = session.len() >= self.doctors[doctor].services[service].capacity;
            against.extend(is_full.then_some(TAKEN));
            against.extend(self.is_busy(patient, start, self.appointments[*seat].end).then_some(BUSY));
            return against;
        }
        if self.appointments.iter().any(|one| one.doctor == doctor && one.takes_any(first, last)) {
            against.push(TAKEN);
        }
        let of = &self.doctors[doctor].services[service];
        let is_in_use = self.appointments.iter().any(|one| one.keeps_room(doctor, &of.rooms, start, end));
        against.extend(in_its_order(of.capacity > 1, self.is_busy(patient, start, end), is_in_use));
        against
    }

    /// The limit that leaves no place for a session that would begin.
    pub fn limit_against(&self, slot: (usize, usize, Timestamp)) -> Option<&'static str> {
        let (doctor, service, start) = slot;
        let is_begun = !self.session(slot).is_empty();
        let date = self.local_date(doctor, start);
        let limit = || self.places((doctor, service), date, &|_, _| false, (0, 0), None).err();
        if is_begun { None } else { limit() }
    }

    pub fn is_busy(&self, patient: Option<&str>, start: Timestamp, end: Timestamp) -> bool {
        patient.is_some_and(|patient| self.appointments.iter().any(|one| one.keeps_busy(patient, start, end)))
    }

    pub fn hold(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let (doctor, service, start) = asked.slot;
        let patient = self.patient_of(asked, who)?.expect("no walk-in holds");
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        if let Some(own) = self.appointments.iter().position(|one| one.is_hold_of(who, asked.slot)) {
            return Ok(Box::new(move |model: &mut Model, reply: &Value| {
                model.learn(own, reply)?;
                Self::compare(reply, &model.appointments[own].wire)
            }));
        }
        self.permits(doctor, service, start, false, now).map_err(|rule| vec![unavailable(rule)])?;
        let is_said = asked.patient != Patient::Unsaid || !self.is_practice(who, doctor);
        if is_said && !self.is_for(asked.slot, Some(&patient)) {
            return refuse(unavailable("patients"));
        }
        let mut against: Vec<Why> = Vec::new();
        let is_group = self.doctors[doctor].services[service].capacity > 1;
        let is_begun = !self.session(asked.slot).is_empty();
        against.extend(self.limit_against(asked.slot).map(unavailable));
        // Nobody is kept busy by a hold.
        against.extend(self.against(asked.slot, None));
        let is_own = |one: &&Appointment| one.is_held() && one.holder == Some(who) && one.wait.is_none();
        if self.appointments.iter().filter(is_own).count() >= HOLDS {
            // Before a room is looked for.
            let is_later = |why: &Why| *why == IN_USE || (is_group && !is_begun && *why == TAKEN);
            let place = against.iter().position(is_later).unwrap_or(against.len());
            against.insert(place, unavailable("holds"));
        }
        if !against.is_empty() {
            return Err(against);
        }
        let name = self.person_with(&patient).map_or("", |person| self.name_of(person)).to_owned();
        let mut hold = self.new_appointment(asked, who, Some(patient), name);
        hold.status = "held";
        hold.holder = Some(who);
        hold.history[0].action = "held";
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            hold.expires_at = Some(instant(reply, "expiresAt")?);
            let which = model.add(hold, reply)?;
            model.remember(&asked, Some(which), reply);
            Self::compare(reply, &model.appointments[which].wire)
        }))
    }

    pub fn book(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let (doctor, service, start) = asked.slot;
        let (exception, reason) = match asked.deed {
            Deed::Book { exception, reason, .. } => (exception, reason),
            _ => (false, false),
        };
        let patient = self.patient_of(asked, who)?;
        let practice = self.is_practice(who, doctor);
        if asked.patient == Patient::Unsaid && must_say(self, who, doctor) {
            return refuse(INVALID);
        }
        if exception && !practice {
            return refuse(FORBIDDEN);
        }
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        let hold = self.hold_for(asked, who)?;
        let asked_at = hold.map_or(now, |hold| self.appointments[hold].created_at);
        let mut rule =
            self.permits(doctor, service, start, exception, asked_at).map_err(|rule| vec![unavailable(rule)])?;
        if rule.is_none() && !self.is_for(asked.slot, patient.as_deref()) {
            match exception {
                true => rule = Some("patients"),
                false => return refuse(unavailable("patients")),
            }
        }
        let name = match asked.patient {
            Patient::WalkIn => "Rosa de la Calle",
            Patient::Unsaid => self.name_of(who),
            Patient::Named(patient) => self.name_of(patient),
        };
        let mut new = self.new_appointment(asked, who, patient.clone(), name.to_owned());
        new.reason = reason.then(|| "Dolor de cabeza".to_owned());
        let is_pending = self.doctors[doctor].services[service].approval && !practice;
        if is_pending {
            (new.status, new.history[0].action) = ("pending", "requested");
        }
        if let Some(hold) = hold {
            new.history[0].exception = rule.filter(|_| exception);
            return self.book_over(asked, who, hold, new);
        }
        let mut against = Vec::new();
        match self.limit_against(asked.slot) {
            Some(limit) if exception => {
                // It has no place, and counts where it is.
                new.counts = (None, None);
                rule = rule.or(Some(limit));
            }
            limit => against.extend(limit.map(unavailable)),
        }
        against.extend(self.against(asked.slot, patient.as_deref()));
        if !against.is_empty() {
            return Err(against);
        }
        new.history[0].exception = rule.filter(|_| exception);
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let which = model.add(new, reply)?;
            model.remember(&asked, Some(which), reply);
            Self::compare(reply, &model.appointment_for(who, which))
        }))
    }

    /// The hold becomes the appointment: the same time, and all else as it is booked.
    pub fn book_over(&self, asked: &Asked, who: usize, hold: usize, new: Appointment) -> Judged {
        let held = &self.appointments[hold];
        let patient = Some(new.patient.as_str()).filter(|_| !new.walk_in);
        if self.is_busy(patient, held.start, held.end) {
            return refuse(BUSY);
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let entry = &new.history[0];
            model.learn_id(hold, reply)?;
            let one = &mut model.appointments[hold];
            one.status = new.status;
            one.patient = if new.walk_in { text(reply, "patientId")? } else { new.patient.clone() };
            one.patient_name.clone_from(&new.patient_name);
            one.walk_in = new.walk_in;
            one.service_name.clone_from(&new.service_name);
            one.zone.clone_from(&new.zone);
            one.reason.clone_from(&new.reason);
            let (holder, wait) = (one.holder, one.wait);
            one.revise(entry.action, who, entry.exception);
            // As long as it is as it was booked.
            one.holder = holder;
            if let Some(wait) = wait {
                model.waiting[wait].fulfilled(&model.appointments[hold].id);
            }
            model.draw(hold);
            model.remember(&asked, Some(hold), reply);
            Self::compare(reply, &model.appointment_for(who, hold))
        }))
    }

    /// An appointment that is about to be written.
    pub fn new_appointment(&self, asked: &Asked, who: usize, patient: Option<String>, name: String) -> Appointment {
        self.appointment_at(asked.slot, who, patient, name)
    }

    pub fn appointment_at(
        &self,
        (doctor, service, start): (usize, usize, Timestamp),
        who: usize,
        patient: Option<String>,
        name: String,
    ) -> Appointment {
        let date = self.local_date(doctor, start);
        let of = &self.doctors[doctor].services[service];
        let mut new = Appointment {
            id: String::new(),
            rev: 1,
            status: "booked",
            doctor,
            walk_in: patient.is_none(),
            patient: patient.unwrap_or_default(),
            patient_name: name,
            service,
            service_name: self.doctors[doctor].services[service].name.clone(),
            rooms: self.doctors[doctor].services[service].rooms.clone(),
            start,
            end: self.end(doctor, service, start),
            series: None,
            reason: None,
            cancel_reason: None,
            notes: None,
            created_at: Timestamp::UNIX_EPOCH,
            holder: None,
            expires_at: None,
            wait: None,
            seat: (of.capacity > 1).then_some(self.seats),
            takes: Some(self.takes(doctor, service, start)),
            counts: (of.daily.map(|_| date), of.weekly.map(|_| monday(date))),
            zone: self.zone(doctor),
            reviewed: false,
            history: vec![Entry { rev: 1, action: "booked", by: who, start, exception: None }],
            wire: std::sync::Arc::new(Value::Null),
        };
        if let Some(first) = self.session((doctor, service, start)).first() {
            new.sits_with(&self.appointments[*first]);
        }
        new
    }

    /// Adds what was written, with what the server alone knows.
    pub fn add(&mut self, mut new: Appointment, reply: &Value) -> Result<usize, String> {
        new.id = text(reply, "id")?;
        if self.appointments.iter().any(|one| one.id == new.id) {
            return Err(format!("there was an appointment with this id before: {reply}"));
        }
        new.created_at = instant(reply, "createdAt")?;
        if new.walk_in {
            new.patient = text(reply, "patientId")?;
        }
        self.seats += 1;
        self.appointments.push(new);
        let which = self.appointments.len() - 1;
        self.draw(which);
        Ok(which)
    }
}

pub fn text(reply: &Value, field: &str) -> Result<String, String> {
    reply[field].as_str().map(str::to_owned).ok_or_else(|| format!("{field} is not told: {reply}"))
}

pub fn instant(reply: &Value, field: &str) -> Result<Timestamp, String> {
    text(reply, field)?.parse().map_err(|error| format!("{field} is no instant ({error}): {reply}"))
}
