//! What the model makes of series.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::asked::{Asked, Patient, must_say};
use super::booking::text;
use super::hours::{minutes, monday};
use super::judge::{
    BUSY, ILLEGAL, IN_USE, INVALID, Judged, NOT_FOUND, TAKEN, TOO_LATE, Why, refuse, told, unavailable,
};
use super::state::{ANY, Appointment, Model};
use super::step::Deed;

/// Rules, and how many days after the first their occurrences are.
pub const RULES: [(&str, &[i64]); 4] = [
    ("FREQ=DAILY;COUNT=2", &[0, 1]),
    ("FREQ=WEEKLY;COUNT=3", &[0, 7, 14]),
    ("FREQ=DAILY;INTERVAL=2;COUNT=2", &[0, 2]),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=2", &[0, 14]),
];

/// Sessions that were given a place in the same request.
#[derive(Default)]
struct Given(Vec<Appointment>);

impl Given {
    fn count(&self, date: jiff::civil::Date) -> (usize, usize) {
        let on = |one: &&Appointment| one.counts.0 == Some(date);
        let in_week = |one: &&Appointment| one.counts.1 == Some(monday(date));
        (self.0.iter().filter(on).count(), self.0.iter().filter(in_week).count())
    }
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

impl Model {
    /// The starts of a rule, and the rule.
    fn occurrences(&self, asked: &Asked) -> (&'static str, Vec<Timestamp>) {
        let (Deed::BookSeries { rule, .. } | Deed::Preview { rule, .. }) = asked.deed else { return ("", Vec::new()) };
        let (text, after) = RULES[rule % RULES.len()];
        (text, after.iter().map(|after| asked.slot.2 + days(*after)).collect())
    }

    /// Those that are wanted, where not all are.
    pub fn only(&self, asked: &Asked) -> Option<Vec<Timestamp>> {
        let Deed::BookSeries { only: Some(only), .. } = asked.deed else { return None };
        let (_, all) = self.occurrences(asked);
        let wanted: Vec<Timestamp> =
            all.iter().enumerate().filter(|(place, _)| only >> place & 1 == 1).map(|(_, start)| *start).collect();
        (!wanted.is_empty()).then_some(wanted)
    }

    pub fn book_series(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let (doctor, service, _) = asked.slot;
        let patient = self.patient_of(asked, who)?;
        if asked.patient == Patient::Unsaid && must_say(self, who, doctor) {
            return refuse(INVALID);
        }
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        if self.doctors[doctor].services[service].capacity > 1 {
            return refuse(INVALID);
        }
        if !self.is_for(asked.slot, patient.as_deref()) {
            return refuse(unavailable("patients"));
        }
        let (rule, all) = self.occurrences(asked);
        let starts = self.only(asked).unwrap_or(all);
        let practice = self.is_practice(who, doctor);
        let name = match asked.patient {
            Patient::WalkIn => "Rosa de la Calle",
            Patient::Unsaid => self.name_of(who),
            Patient::Named(patient) => self.name_of(patient),
        };
        let (mut given, mut against) = (Given::default(), Vec::new());
        for start in &starts {
            let one = Asked { slot: (doctor, service, *start), ..asked.clone() };
            let mut new = self.new_appointment(&one, who, patient.clone(), name.to_owned());
            if self.doctors[doctor].services[service].approval && !practice {
                (new.status, new.history[0].action) = ("pending", "requested");
            }
            match self.within_rules(one.slot, now, &given) {
                Err(rule) => against.push(unavailable(rule)),
                Ok(()) => given.0.push(new),
            }
        }
        for why in [IN_USE, TAKEN, BUSY] {
            let is_against = |start: &Timestamp| {
                let against = self.against((doctor, service, *start), patient.as_deref());
                // What comes before it may be gone by the time that somebody looks why.
                against.first() == Some(&why) || (self.at_once && against.contains(&why))
            };
            against.extend(starts.iter().any(is_against).then_some(why));
        }
        if !against.is_empty() {
            return Err(against);
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let id = text(reply, "id")?;
            let told = reply["appointments"].as_array().map(Vec::as_slice).unwrap_or_default();
            if told.len() != given.0.len() {
                return Err(format!("{} appointments are told, not {}", told.len(), given.0.len()));
            }
            let mut wires = Vec::new();
            for (mut new, told) in given.0.into_iter().zip(told) {
                new.series = Some((id.clone(), rule));
                let which = model.add(new, told)?;
                wires.push(Value::clone(&model.appointments[which].wire));
            }
            model.remember(&asked, None, reply);
            Self::compare(reply, &json!({ "id": id, "rrule": rule, "appointments": wires }))
        }))
    }

    /// The rule against an occurrence, limits included, where others of the series count.
    fn within_rules(
        &self,
        (doctor, service, start): (usize, usize, Timestamp),
        now: Timestamp,
        given: &Given,
    ) -> Result<(), &'static str> {
        self.check(doctor, service, start, now)?;
        let date = self.local_date(doctor, start);
        self.places((doctor, service), date, &|_, _| false, given.count(date), None).map(drop)
    }

    pub fn preview(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let (doctor, service, _) = asked.slot;
        let patient = self.patient_of(asked, who)?;
        if asked.patient == Patient::Unsaid && must_say(self, who, doctor) {
            return refuse(INVALID);
        }
        if self.doctors[doctor].services[service].capacity > 1 {
            return refuse(INVALID);
        }
        let is_for = self.is_for(asked.slot, patient.as_deref());
        let mut given = Given::default();
        let mut verdicts = Vec::new();
        for start in self.occurrences(asked).1 {
            let one = Asked { slot: (doctor, service, start), ..asked.clone() };
            let against = self.against(one.slot, patient.as_deref());
            let (status, rule) = match (self.within_rules(one.slot, now, &given), against.first()) {
                (Err(rule), _) => ("unavailable", Some(rule)),
                (Ok(()), Some(&TAKEN)) => ("taken", None),
                (Ok(()), Some(&IN_USE)) => ("unavailable", Some("resource")),
                (Ok(()), Some(_)) => ("busy", None),
                (Ok(()), None) => {
                    given.0.push(self.new_appointment(&one, who, patient.clone(), String::new()));
                    ("free", None)
                }
            };
            let (status, rule) = if matches!(rule, None | Some("resource")) && !is_for {
                ("unavailable", Some("patients"))
            } else {
                (status, rule)
            };
            let end = self.end(doctor, service, start);
            let mut verdict =
                json!({ "start": start.to_string(), "end": end.to_string(), "localStart": ANY, "status": status });
            if let Some(rule) = rule {
                verdict["rule"] = json!(rule);
            }
            verdicts.push(verdict);
        }
        let zone = self.doctors[doctor].zone.iana_name().map(str::to_owned);
        Ok(Box::new(move |_, reply| {
            let mut reply = reply.clone();
            for one in reply["occurrences"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                one.remove("alternatives");
            }
            Self::compare(&reply, &json!({ "timeZone": zone, "occurrences": verdicts }))
        }))
    }

    /// Places of the appointments of the series of one, by start.
    fn series_of(&self, asked: &Asked) -> Result<(String, &'static str, Vec<usize>), Vec<Why>> {
        let one = &self.appointments[asked.which.expect("it is about one")];
        let Some((id, rule)) = &one.series else { return refuse(NOT_FOUND) };
        let of = |other: &Appointment| other.series.as_ref().is_some_and(|(other, _)| other == id);
        let mut places: Vec<usize> =
            (0..self.appointments.len()).filter(|place| of(&self.appointments[*place])).collect();
        places.sort_by_key(|place| self.appointments[*place].start);
        Ok((id.clone(), rule, places))
    }

    pub fn get_series(&self, asked: &Asked, who: usize) -> Judged {
        let (id, rule, places) = self.series_of(asked)?;
        if !self.is_party(who, &self.appointments[places[0]]) {
            return refuse(NOT_FOUND);
        }
        let wires: Vec<&Value> = places.iter().map(|place| &*self.appointments[*place].wire).collect();
        Ok(told(json!({ "id": id, "rrule": rule, "appointments": wires })))
    }

    pub fn change_series(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let (id, rule, mut places) = self.series_of(asked)?;
        let here = &self.appointments[asked.which.expect("it is about one")];
        let practice = self.is_practice(who, here.doctor);
        if !self.is_party(who, here) {
            return refuse(NOT_FOUND);
        }
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        let (Deed::MoveSeries { from_here, .. } | Deed::CancelSeries { from_here, .. }) = asked.deed else {
            return refuse(NOT_FOUND);
        };
        places.retain(|place| {
            let one = &self.appointments[*place];
            one.is_movable() && one.start > now && (!from_here || one.start >= here.start)
        });
        if places.is_empty() {
            return refuse(ILLEGAL);
        }
        let service = &self.doctors[here.doctor].services[here.service];
        let is_move = matches!(asked.deed, Deed::MoveSeries { .. });
        let cutoff = if is_move { service.move_cutoff } else { service.cancel_cutoff };
        let is_late = |place: &usize| {
            let one = &self.appointments[*place];
            // A request can be taken back at any time.
            (is_move || one.status != "pending") && one.start - minutes(cutoff) < now
        };
        if cutoff > 0 && !practice && places.iter().any(is_late) {
            return refuse(TOO_LATE);
        }
        let next = if is_move { self.moved_series(asked, who, &places, now)? } else { self.ended_series(who, &places) };
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let mut wires = Vec::new();
            for (place, next) in places.into_iter().zip(next) {
                model.appointments[place] = next;
                model.draw(place);
                wires.push(Value::clone(&model.appointments[place].wire));
            }
            model.remember(&asked, None, reply);
            Self::compare(reply, &json!({ "id": id, "rrule": rule, "appointments": wires }))
        }))
    }

    fn ended_series(&self, who: usize, places: &[usize]) -> Vec<Appointment> {
        let ended = |place: &usize| {
            let mut next = self.appointments[*place].clone();
            next.let_go("cancelled");
            next.revise("cancelled", who, None);
            next
        };
        places.iter().map(ended).collect()
    }

    /// All by the same days and minutes, the later ones first where they go later: they leave their places to those that follow.
    fn moved_series(
        &self,
        asked: &Asked,
        who: usize,
        places: &[usize],
        now: Timestamp,
    ) -> Result<Vec<Appointment>, Vec<Why>> {
        let (doctor, service, start) = asked.slot;
        let shift = start.duration_since(self.appointments[places[0]].start);
        let mut order = places.to_vec();
        if shift.is_positive() {
            order.reverse();
        }
        let (mut given, mut against) = (Given::default(), Vec::new());
        for place in &order {
            let mut next = self.appointments[*place].clone();
            let start = next.start + shift;
            if let Err(rule) = self.check(doctor, service, start, now) {
                against.push((start, unavailable(rule)));
                continue;
            }
            let date = self.local_date(doctor, start);
            let besides = |place: usize, _: &Appointment| places.contains(&place);
            match self.places((doctor, service), date, &besides, given.count(date), Some(&next)) {
                Err(limit) => against.push((start, unavailable(limit))),
                Ok(counts) => {
                    (next.start, next.end) = (start, self.end(doctor, service, start));
                    next.takes = Some(self.takes(doctor, service, start));
                    next.counts = counts;
                    next.zone = self.zone(doctor);
                    next.seat = None;
                    next.rooms = self.doctors[doctor].services[service].rooms.clone();
                    next.revise("rescheduled", who, None);
                    given.0.push(next);
                }
            }
        }
        against.sort_by_key(|(start, _)| *start);
        let mut against: Vec<Why> = against.into_iter().map(|(_, why)| why).collect();
        let others: Vec<&Appointment> =
            self.appointments.iter().enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, one)| one).collect();
        let is_taken = |next: &Appointment| {
            let (first, last) = next.takes.expect("it has just been given");
            others.iter().any(|one| one.doctor == doctor && one.takes_any(first, last))
        };
        let is_busy = |next: &Appointment| others.iter().any(|one| one.keeps_busy(&next.patient, next.start, next.end));
        let in_use =
            |next: &Appointment| others.iter().any(|one| one.keeps_room(doctor, &next.rooms, next.start, next.end));
        let only_room = |next: &Appointment| !is_taken(next) && !is_busy(next) && in_use(next);
        against.extend(given.0.iter().any(only_room).then_some(IN_USE));
        against.extend(given.0.iter().any(is_taken).then_some(TAKEN));
        against.extend(given.0.iter().any(is_busy).then_some(BUSY));
        if !against.is_empty() {
            return Err(against);
        }
        given.0.sort_by_key(|one| one.start);
        Ok(given.0)
    }
}
