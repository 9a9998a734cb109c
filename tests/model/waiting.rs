//! What the model makes of waitlists: who waits for what, and to whom a time that is given up is offered.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::asked::{Asked, Patient, must_say};
use super::booking::{instant, text};
use super::judge::{
    ENDED, Effect, ILLEGAL, INVALID, Judged, NOT_FOUND, STALE, Why, archived, refuse, told, unavailable,
};
use super::state::{ANY, Model, Role};
use super::step::{Deed, Wished};

/// Most open entries of a person.
const OPEN: usize = 10;
/// Offers in a row without an answer after which somebody waits no more.
const MISSED: usize = 3;
/// Seconds of the smallest part of a day that can be taken.
const TICK: i64 = 300;
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// An entry of a waitlist.
#[derive(Clone, Debug)]
pub struct Wait {
    pub id: String,
    pub rev: u32,
    pub status: &'static str,
    pub doctor: usize,
    pub service: usize,
    /// Place among the people.
    pub patient: usize,
    /// As they were when somebody joined.
    service_name: String,
    zone: String,
    from: Date,
    to: Date,
    times: Option<(Time, Time)>,
    /// Days after Monday; none: any.
    weekdays: Vec<usize>,
    joined_at: Timestamp,
    /// The hold that keeps what is offered, by its place.
    offer: Option<usize>,
    /// Starts that were not wanted.
    passed: Vec<Timestamp>,
    missed: usize,
    appointment: Option<String>,
}

impl Wait {
    pub fn is_open(&self) -> bool {
        matches!(self.status, "waiting" | "offered")
    }

    /// What is offered, or why nothing is.
    fn offered(&self) -> Result<usize, Vec<Why>> {
        match (self.status, self.offer) {
            ("offered", Some(hold)) => Ok(hold),
            ("fulfilled" | "left", _) => refuse(ILLEGAL),
            _ => refuse(ENDED),
        }
    }

    fn becomes(&mut self, status: &'static str) {
        self.rev += 1;
        self.status = status;
    }

    /// What was offered is not taken: it waits for another time.
    fn goes_on(&mut self, start: Timestamp, is_answer: bool) {
        self.offer = None;
        self.passed.push(start);
        self.missed = if is_answer { 0 } else { self.missed + 1 };
        self.becomes(if self.missed < MISSED { "waiting" } else { "expired" });
    }

    pub fn fulfilled(&mut self, appointment: &str) {
        self.offer = None;
        self.appointment = Some(appointment.to_owned());
        self.becomes("fulfilled");
    }
}

/// Fields of a request that say when a time would suit, between two dates.
pub fn wish(from: Date, to: Date, wished: Wished) -> Value {
    let mut wish = json!({ "from": from.to_string(), "to": to.to_string() });
    match wished {
        Wished::Any => {}
        Wished::Early => wish["times"] = json!({ "from": "07:00", "to": "10:00" }),
        Wished::Late => wish["times"] = json!({ "from": "10:00", "to": "12:30" }),
        // Those of the dates of a script that are on the first three days of a week.
        Wished::Weekdays => wish["weekdays"] = json!(&WEEKDAYS[..3]),
        Wished::Nonsense => wish["times"] = json!({ "from": "10:00", "to": "09:00" }),
    }
    wish
}

/// Time of a doctor that a change has given up.
#[derive(Clone, Debug)]
pub struct GivenUp {
    doctor: usize,
    ticks: BTreeSet<i64>,
    by: BTreeSet<usize>,
}

/// How much of the doctors' time somebody had before a change.
pub type Before = Vec<(u32, BTreeSet<i64>)>;

pub fn ticks(takes: Option<(Timestamp, Timestamp)>) -> BTreeSet<i64> {
    takes.map(|(from, to)| (from.as_second()..to.as_second()).step_by(300).collect()).unwrap_or_default()
}

impl Model {
    pub fn join_waitlist(&self, asked: &Asked, who: usize) -> Judged {
        let (doctor, service, _) = asked.slot;
        let Deed::JoinWaitlist { wished, .. } = asked.deed else { return refuse(NOT_FOUND) };
        if wished == Wished::Nonsense {
            return refuse(INVALID);
        }
        let patient_id = self.patient_of(asked, who)?.expect("no walk-in waits");
        if asked.patient == Patient::Unsaid && must_say(self, who, doctor) {
            return refuse(INVALID);
        }
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(self.wait(self.wait_of(asked, who))));
        }
        let patient = self.person_with(&patient_id).expect("no stranger waits");
        let offered = &self.doctors[doctor].services[service];
        if offered.capacity > 1 {
            return refuse(INVALID);
        }
        if offered.archived {
            return refuse(archived());
        }
        if !self.is_for(asked.slot, Some(&patient_id)) {
            return refuse(unavailable("patients"));
        }
        if self.waiting.iter().filter(|one| one.patient == patient && one.is_open()).count() >= OPEN {
            return refuse(unavailable("waitlist"));
        }
        let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Time>().ok());
        let times = &asked.data["times"];
        let weekday = |name: &Value| WEEKDAYS.iter().position(|day| Some(*day) == name.as_str());
        let date = |field: &str| asked.data[field].as_str().expect("a date").parse().expect("a date");
        let wait = Wait {
            id: String::new(),
            rev: 1,
            status: "waiting",
            doctor,
            service,
            patient,
            service_name: offered.name.clone(),
            zone: self.zone(doctor),
            from: date("from"),
            to: date("to"),
            times: time(&times["from"]).zip(time(&times["to"])),
            weekdays: asked.data["weekdays"].as_array().into_iter().flatten().filter_map(weekday).collect(),
            joined_at: Timestamp::UNIX_EPOCH,
            offer: None,
            passed: Vec::new(),
            missed: 0,
            appointment: None,
        };
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            model.waiting.push(Wait { id: text(reply, "id")?, joined_at: instant(reply, "joinedAt")?, ..wait });
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.wait(model.waiting.len() - 1))
        }))
    }

    /// The entry that a request was answered with, by its place.
    fn wait_of(&self, asked: &Asked, who: usize) -> usize {
        let known = self.remembers(asked, who).ok().flatten().expect("it was answered");
        self.waiting.iter().position(|one| Some(one.id.as_str()) == known.reply["id"].as_str()).expect("it is there")
    }

    fn is_party_to(&self, who: usize, wait: &Wait) -> bool {
        wait.patient == who || self.is_practice(who, wait.doctor)
    }

    /// Leaving, and passing on what is offered.
    pub fn change_wait(&self, asked: &Asked, who: usize) -> Judged {
        let which = asked.which.expect("it is about one");
        let one = &self.waiting[which];
        if !self.is_party_to(who, one) {
            return refuse(NOT_FOUND);
        }
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(self.wait(which)));
        }
        if asked.rev.is_some_and(|rev| rev != one.rev) {
            return refuse(STALE);
        }
        let is_pass = matches!(asked.deed, Deed::PassOffer { .. });
        let hold = match is_pass {
            true => Some(one.offered()?),
            false if one.is_open() => one.offer,
            false => return refuse(ILLEGAL),
        };
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            match hold.filter(|_| is_pass) {
                Some(hold) => model.waiting[which].goes_on(model.appointments[hold].start, true),
                None => {
                    model.waiting[which].offer = None;
                    model.waiting[which].becomes("left");
                }
            }
            if let Some(hold) = hold {
                model.appointments[hold].let_go("expired");
                model.appointments[hold].revise("released", who, None);
                model.draw(hold);
            }
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.wait(which))
        }))
    }

    pub fn accept_offer(&self, asked: &Asked, who: usize) -> Judged {
        let which = asked.which.expect("it is about one");
        let one = &self.waiting[which];
        if !self.is_party_to(who, one) {
            return refuse(NOT_FOUND);
        }
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        let hold = one.offered()?;
        if asked.rev.is_some_and(|rev| rev != one.rev) {
            return refuse(STALE);
        }
        let held = &self.appointments[hold];
        let (doctor, service) = (one.doctor, one.service);
        self.permits(doctor, service, held.start, false, held.created_at).map_err(|rule| vec![unavailable(rule)])?;
        let patient = self.id_of(one.patient).to_owned();
        let slot = (doctor, service, held.start);
        if !self.is_for(slot, Some(&patient)) {
            return refuse(unavailable("patients"));
        }
        let asked = Asked { slot, ..asked.clone() };
        let mut new = self.new_appointment(&asked, who, Some(patient), self.name_of(one.patient).to_owned());
        if asked.data.get("reason").is_some() {
            new.reason = Some("Dolor de cabeza".to_owned());
        }
        if self.doctors[doctor].services[service].approval && !self.is_practice(who, doctor) {
            (new.status, new.history[0].action) = ("pending", "requested");
        }
        self.book_over(&asked, who, hold, new)
    }

    pub fn list_waitlist(&self, asked: &Asked, who: usize) -> Judged {
        let Deed::ListWaitlist { doctor } = asked.deed else { return refuse(NOT_FOUND) };
        let doctor = doctor.map(|doctor| doctor % 2);
        let own = self.doctors.iter().position(|one| one.person == who);
        let (doctor, patient) = match (doctor, own) {
            (None, Some(own)) => (Some(own), None),
            (None, None) if self.role_of(who) == Role::Admin => return refuse(INVALID),
            (Some(doctor), _) if self.is_practice(who, doctor) => (Some(doctor), None),
            (doctor, _) => (doctor, Some(who)),
        };
        let is_wanted = |place: &usize| {
            let one = &self.waiting[*place];
            doctor.is_none_or(|doctor| one.doctor == doctor) && patient.is_none_or(|patient| one.patient == patient)
        };
        let mut places: Vec<usize> = (0..self.waiting.len()).filter(is_wanted).collect();
        self.by_joining(&mut places);
        let mut wire = json!({ "items": places.iter().take(100).map(|place| self.wait(*place)).collect::<Vec<_>>() });
        if places.len() > 100 {
            wire["nextPageToken"] = json!(ANY);
        }
        Ok(told(wire))
    }

    /// The longest waiting first.
    fn by_joining(&self, places: &mut [usize]) {
        places.sort_by_key(|place| (self.waiting[*place].joined_at, self.waiting[*place].id.clone()));
    }

    /// How an entry looks.
    pub fn wait(&self, which: usize) -> Value {
        let one = &self.waiting[which];
        let mut wire = json!({
            "id": one.id, "rev": one.rev, "status": one.status,
            "doctorId": self.doctor_id(one.doctor), "doctorName": self.name_of(self.doctors[one.doctor].person),
            "patientId": self.id_of(one.patient), "patientName": self.name_of(one.patient),
            "serviceId": self.doctors[one.doctor].services[one.service].id, "serviceName": one.service_name,
            "from": one.from.to_string(), "to": one.to.to_string(),
            "timeZone": one.zone, "joinedAt": one.joined_at.to_string(), "updatedAt": ANY,
        });
        let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        if let Some((from, to)) = one.times {
            wire["times"] = json!({ "from": time(from), "to": time(to) });
        }
        if !one.weekdays.is_empty() {
            wire["weekdays"] = one.weekdays.iter().map(|day| WEEKDAYS[*day]).collect();
        }
        if let Some(hold) = one.offer.map(|hold| &self.appointments[hold]) {
            wire["offer"] = json!({ "holdId": hold.id, "start": hold.start.to_string(), "end": hold.end.to_string(),
                "expiresAt": hold.expires_at.map(|end| end.to_string()) });
        }
        if let Some(id) = &one.appointment {
            wire["appointmentId"] = json!(id);
        }
        wire
    }

    /// A hold that has ended was an offer, perhaps.
    pub fn offer_ended(&mut self, hold: usize, is_answer: bool) {
        let start = self.appointments[hold].start;
        if let Some(wait) = self.appointments[hold].wait {
            self.waiting[wait].goes_on(start, is_answer);
        }
    }

    /// Who holds what, of some holds.
    pub fn holds(&self, places: &[usize]) -> Vec<(usize, String)> {
        let holds = places.iter().map(|place| &self.appointments[*place]);
        holds.map(|one| (one.holder.expect("a hold has a holder"), one.id.clone())).collect()
    }

    /// A hold runs out.
    pub fn run_out(&mut self, hold: usize, now: Timestamp) {
        let before = self.before();
        let one = &mut self.appointments[hold];
        let holder = one.holder.expect("a hold has a holder");
        one.let_go("expired");
        one.revise("expired", holder, None);
        self.offer_ended(hold, false);
        self.draw(hold);
        self.hand_over(&before, now);
    }

    /// What everybody has, to see afterwards what was given up.
    pub fn before(&self) -> Before {
        self.appointments.iter().map(|one| (one.rev, ticks(one.takes))).collect()
    }

    /// Offers what a change has given up.
    pub fn hand_over(&mut self, before: &Before, now: Timestamp) {
        for doctor in 0..self.doctors.len() {
            let of_doctor = |place: &usize| self.appointments[*place].doctor == doctor;
            let is_changed = |place: &usize| self.appointments[*place].rev != before[*place].0;
            let changed: Vec<usize> = (0..before.len()).filter(of_doctor).filter(is_changed).collect();
            let ticks = changed.iter().flat_map(|place| before[*place].1.iter().copied()).collect();
            // Whoever gave it up does not get it back.
            let holders = changed.iter().filter_map(|place| self.appointments[*place].holder);
            let patients = changed.iter().filter_map(|place| self.person_with(&self.appointments[*place].patient));
            let by = holders.chain(patients).collect();
            let given_up = GivenUp { doctor, ticks, by };
            self.offer_what_is_left(&given_up, now);
            self.given_up.extend(self.at_once.then_some(given_up));
        }
    }

    /// Offers what is left of what was given up: each start to whoever has waited longest, of those whom it suits. Whether anybody
    /// is offered something.
    pub fn offer_what_is_left(&mut self, given_up: &GivenUp, now: Timestamp) -> bool {
        let GivenUp { doctor, ticks: mut left, by } = given_up.clone();
        for one in self.appointments.iter().filter(|one| one.doctor == doctor) {
            left = &left - &ticks(one.takes);
        }
        if left.is_empty() {
            return false;
        }
        let waits = |place: &usize| {
            let one = &self.waiting[*place];
            one.doctor == doctor && one.status == "waiting" && !by.contains(&one.patient)
        };
        let mut places: Vec<usize> = (0..self.waiting.len()).filter(waits).collect();
        self.by_joining(&mut places);
        let mut is_offered = false;
        for place in places {
            if let Some(start) = self.first_for(place, &left, now) {
                left = &left - &self.offer(place, start);
                is_offered = true;
            }
        }
        is_offered
    }

    /// The first start within what is left that somebody who waits could book, and wants.
    fn first_for(&self, place: usize, left: &BTreeSet<i64>, now: Timestamp) -> Option<Timestamp> {
        let wait = &self.waiting[place];
        let (doctor, service) = (wait.doctor, wait.service);
        let (first, last) = (left.first()?, left.last()?);
        let date = |second: i64| self.local_date(doctor, Timestamp::from_second(second).expect("an instant"));
        let (first, last) = (date(*first).max(wait.from), date(last + TICK).min(wait.to));
        if self.doctors[doctor].services[service].capacity > 1 || last < first {
            return None;
        }
        let patient = self.id_of(wait.patient);
        let dates = first.series(1.day()).take_while(|date| *date <= last);
        let mut starts = dates.flat_map(|date| self.offered(doctor, service, date)).map(|slot| slot.start);
        starts.find(|start| {
            let slot = (doctor, service, *start);
            let date = self.local_date(doctor, *start);
            ticks(Some(self.takes(doctor, service, *start))).is_subset(left)
                && self.suits(wait, *start, self.end(doctor, service, *start))
                && !wait.passed.contains(start)
                && self.check(doctor, service, *start, now).is_ok()
                && self.is_for(slot, Some(patient))
                && self.places((doctor, service), date, &|_, _| false, (0, 0), None).is_ok()
                && self.against(slot, Some(patient)).is_empty()
        })
    }

    fn suits(&self, wait: &Wait, start: Timestamp, end: Timestamp) -> bool {
        let local = |at: Timestamp| self.doctors[wait.doctor].zone.to_datetime(at);
        let (start, end) = (local(start), local(end));
        let weekday = usize::try_from(start.date().weekday().to_monday_zero_offset()).expect("a day of seven");
        let is_within =
            |(from, to): (Time, Time)| from <= start.time() && end.time() <= to && start.date() == end.date();
        wait.from <= start.date()
            && start.date() <= wait.to
            && wait.times.is_none_or(is_within)
            && (wait.weekdays.is_empty() || wait.weekdays.contains(&weekday))
    }

    /// Offers a start: a hold, of which the server alone knows the id and the end. Returns what it takes.
    fn offer(&mut self, place: usize, start: Timestamp) -> BTreeSet<i64> {
        let wait = &self.waiting[place];
        let (patient, slot) = (wait.patient, (wait.doctor, wait.service, start));
        let (id, name) = (self.id_of(patient).to_owned(), self.name_of(patient).to_owned());
        let mut hold = self.appointment_at(slot, patient, Some(id), name);
        hold.status = "held";
        hold.holder = Some(patient);
        hold.wait = Some(place);
        hold.history[0].action = "offered";
        let taken = ticks(hold.takes);
        self.appointments.push(hold);
        let wait = &mut self.waiting[place];
        wait.offer = Some(self.appointments.len() - 1);
        wait.becomes("offered");
        taken
    }

    /// Notes what the server alone knew of an offer, as a reply or an item has it.
    pub fn learn(&mut self, hold: usize, told: &Value) -> Result<(), String> {
        self.learn_id(hold, told)?;
        if self.appointments[hold].expires_at.is_none() {
            self.appointments[hold].expires_at = Some(instant(told, "expiresAt")?);
        }
        self.draw(hold);
        Ok(())
    }

    /// The same, of what may be a hold no more.
    pub fn learn_id(&mut self, hold: usize, told: &Value) -> Result<(), String> {
        let one = &mut self.appointments[hold];
        if one.id.is_empty() {
            one.id = text(told, "id")?;
            one.created_at = instant(told, "createdAt")?;
        }
        Ok(())
    }

    /// Offers of which the server alone knows the id so far: the hold, and its entry.
    pub fn unknown_offers(&self) -> Vec<(usize, usize)> {
        let offers = self.waiting.iter().enumerate().filter_map(|(place, wait)| Some((wait.offer?, place)));
        offers.filter(|(hold, _)| self.appointments[*hold].id.is_empty()).collect()
    }

    /// The open entries of a person, or of a doctor.
    pub fn open_waits(&self, is_meant: impl Fn(&Wait) -> bool) -> Vec<(String, Value)> {
        let open = |place: &usize| self.waiting[*place].is_open() && is_meant(&self.waiting[*place]);
        (0..self.waiting.len()).filter(open).map(|place| (self.waiting[place].id.clone(), self.wait(place))).collect()
    }
}

/// Whether an effect may give up time that is offered to those who wait.
pub fn gives_up(deed: &Deed) -> bool {
    matches!(
        deed,
        Deed::Release { .. }
            | Deed::Reschedule { .. }
            | Deed::Cancel { .. }
            | Deed::Decline { .. }
            | Deed::MoveSeries { .. }
            | Deed::CancelSeries { .. }
            | Deed::LeaveWaitlist { .. }
            | Deed::PassOffer { .. }
    )
}

/// An effect, and then the offers of what it gave up.
pub fn with_offers(effect: Effect, now: Timestamp) -> Effect {
    Box::new(move |model, reply| {
        let before = model.before();
        effect(model, reply)?;
        model.hand_over(&before, now);
        Ok(())
    })
}
