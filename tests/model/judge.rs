//! What the model makes of a request: refused for some reasons, or done, and how the answer must look then.

use jiff::Timestamp;
use serde_json::Value;

use cita_protocol::Problem;

use super::asked::Asked;
use super::hours::{Offered, Standing, minutes};
use super::state::{Appointment, Memory, Model};
use super::step::Deed;
use super::waiting::{gives_up, with_offers};

/// Why something is refused: code and rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why(pub &'static str, pub Option<&'static str>);

/// What is done: changes the model, and compares the answer.
pub type Effect = Box<dyn FnOnce(&mut Model, &Value) -> Result<(), String>>;

/// Done, or refused: all that is against it, in the order in which it counts.
pub type Judged = Result<Effect, Vec<Why>>;

/// What the server has answered.
pub type Answer = Result<Value, Problem>;

pub const NOT_FOUND: Why = Why("not_found", None);
pub const FORBIDDEN: Why = Why("forbidden", None);
pub const STALE: Why = Why("stale_rev", None);
pub const ILLEGAL: Why = Why("illegal_transition", None);
pub const TOO_LATE: Why = Why("illegal_transition", Some("cutoff"));
pub const INVALID: Why = Why("validation_failed", None);
pub const TAKEN: Why = Why("slot_taken", None);
pub const BUSY: Why = Why("patient_busy", None);
pub const IN_USE: Why = unavailable("resource");
pub const NOT_REVIEWABLE: Why = Why("not_reviewable", None);
pub const REVIEWED: Why = Why("already_reviewed", None);
pub const ENDED: Why = Why("hold_expired", None);
const REUSED: Why = Why("idempotency_key_reused", None);
const UNKNOWN: Why = Why("unauthenticated", None);

pub const fn unavailable(rule: &'static str) -> Why {
    Why("slot_unavailable", Some(rule))
}

pub const fn archived() -> Why {
    unavailable("archived")
}

/// A patient and a room are asked for together, the patient first; where a session begins, its room before them.
pub fn in_its_order(begins: bool, is_busy: bool, is_in_use: bool) -> impl Iterator<Item = Why> {
    let (busy, in_use) = (is_busy.then_some(BUSY), is_in_use.then_some(IN_USE));
    let order = if begins { [in_use, busy] } else { [busy, in_use] };
    order.into_iter().flatten()
}

pub fn refuse<T>(why: Why) -> Result<T, Vec<Why>> {
    Err(vec![why])
}

impl Model {
    /// Takes in what was asked and answered. `in_turn`: nothing else was under way, so that the first reason is the one that must
    /// be told; otherwise a node may have known of one that comes after it only.
    ///
    /// # Errors
    /// How the answer is not what it should be.
    pub fn take(&mut self, asked: &Asked, answer: &Answer, now: Timestamp, in_turn: bool) -> Result<(), String> {
        self.at_once = !in_turn;
        match (self.judge(asked, now), answer) {
            (Err(whys), Err(problem)) => {
                let told = (problem.code.as_str(), problem.rule.as_deref());
                let fits = |why: &Why| (why.0, why.1) == told;
                let count = if in_turn { 1 } else { whys.len() };
                match whys[..count].iter().any(fits) {
                    true if in_turn => self.check_alternatives(asked, problem, now),
                    true => Ok(()),
                    false => Err(format!("refused with {told:?}, not {whys:?}")),
                }
            }
            (Ok(effect), Ok(data)) if gives_up(&asked.deed) => with_offers(effect, now)(self, data),
            (Ok(effect), Ok(data)) => effect(self, data),
            (Err(whys), Ok(data)) => Err(format!("done, which should be refused with {whys:?}: {data}")),
            (Ok(_), Err(problem)) => Err(format!(
                "refused with {} {:?}, which should be done: {problem:?}",
                problem.code.as_str(),
                problem.rule
            )),
        }
    }

    /// Whether it was refused for a limit that was reached before everything that was asked at the same time.
    pub fn has_reached(&self, asked: &Asked, answer: &Answer) -> bool {
        let (doctor, service, start) = asked.slot;
        let Err(problem) = answer else { return false };
        let date = self.local_date(doctor, start);
        let limit = self.places((doctor, service), date, &|_, _| false, (0, 0), None).err();
        limit.is_some() && limit == problem.rule.as_deref()
    }

    /// What is offered in the place of a time that is taken can be had.
    fn check_alternatives(&self, asked: &Asked, problem: &Problem, now: Timestamp) -> Result<(), String> {
        let (doctor, service, start) = asked.slot;
        for other in problem.alternatives.iter().flatten() {
            let at: Timestamp = other.start.0.parse().map_err(|_| format!("{other:?} is no time"))?;
            let offered = self.offered(doctor, service, self.local_date(doctor, at));
            let is_free = |slot: &Offered| slot.start == at && slot.standing == Standing::Free;
            let is_wanted = at == start && problem.occurrences.is_empty();
            if is_wanted || !offered.iter().any(is_free) || !self.is_in_time(doctor, service, at, now) {
                return Err(format!("{at} is offered instead, and cannot be had"));
            }
        }
        Ok(())
    }

    fn judge(&self, asked: &Asked, now: Timestamp) -> Judged {
        match (&asked.deed, asked.who) {
            (Deed::Search { .. }, who) => self.search(asked, who, now),
            (Deed::SearchDoctors { .. }, who) => self.search_doctors(asked, who, now),
            (Deed::Explain { .. }, who) => self.explain(asked, who, now),
            (Deed::ListReviews { .. }, who) => self.list_reviews(asked, who),
            (Deed::GetDoctor { .. }, who) => self.get_doctor(asked, who),
            (Deed::GetHours { .. }, _) => Ok(told(self.hours(asked.slot.0))),
            (Deed::ListServices { .. }, _) => self.list_services(asked),
            (_, None) => refuse(UNKNOWN),
            (Deed::Hold { .. }, Some(who)) => self.hold(asked, who, now),
            (Deed::Book { .. } | Deed::BookHeld { .. }, Some(who)) => self.book(asked, who, now),
            (Deed::Release { .. }, Some(who)) => self.release(asked, who),
            (Deed::BookSeries { .. }, Some(who)) => self.book_series(asked, who, now),
            (Deed::Preview { .. }, Some(who)) => self.preview(asked, who, now),
            (Deed::MoveSeries { .. } | Deed::CancelSeries { .. }, Some(who)) => self.change_series(asked, who, now),
            (Deed::SetHours { .. }, Some(who)) => self.set_hours(asked, who, now),
            (Deed::UpdateService { .. } | Deed::ArchiveService { .. }, Some(who)) => self.change_service(asked, who),
            (Deed::CreateService { .. }, Some(who)) => self.create_service(asked, who),
            (Deed::CreateResource { .. }, Some(who)) => self.create_resource(asked, who),
            (Deed::UpdateResource { .. } | Deed::ArchiveResource { .. }, Some(who)) => self.change_resource(asked, who),
            (Deed::ListResources, Some(who)) => self.list_resources(who),
            (Deed::TakeTimeOff { .. }, Some(who)) => self.take_time_off(asked, who, now),
            (Deed::EndTimeOff { .. }, Some(who)) => self.end_time_off(asked, who),
            (Deed::JoinWaitlist { .. }, Some(who)) => self.join_waitlist(asked, who),
            (Deed::LeaveWaitlist { .. } | Deed::PassOffer { .. }, Some(who)) => self.change_wait(asked, who),
            (Deed::AcceptOffer { .. }, Some(who)) => self.accept_offer(asked, who),
            (Deed::ListWaitlist { .. }, Some(who)) => self.list_waitlist(asked, who),
            (Deed::Review { .. }, Some(who)) => self.write_review(asked, who),
            (
                Deed::EditReview { .. }
                | Deed::ReplyToReview { .. }
                | Deed::ReportReview { .. }
                | Deed::HideReview { .. }
                | Deed::RestoreReview { .. },
                Some(who),
            ) => self.change_review(asked, who),
            (Deed::Get { .. }, Some(who)) => self.get(asked, who),
            (Deed::List { .. }, Some(who)) => self.list(asked, who),
            (Deed::History { .. }, Some(who)) => self.history(asked, who),
            (Deed::GetSeries { .. }, Some(who)) => self.get_series(asked, who),
            (Deed::ListOutside { .. }, Some(who)) => self.list_outside(asked, who, now),
            (Deed::ListTimeOff { .. }, Some(who)) => self.list_time_off(asked, who),
            (_, Some(who)) => self.change(asked, who, now),
        }
    }

    /// The request that succeeded with the same key.
    pub fn remembers(&self, asked: &Asked, who: usize) -> Result<Option<&Memory>, Vec<Why>> {
        let same = |one: &&Memory| one.who == who && one.op == asked.op && Some(&one.key) == asked.key.as_ref();
        match self.remembered.iter().find(same) {
            Some(known) if known.data != asked.data => refuse(REUSED),
            known => Ok(known),
        }
    }

    pub fn remember(&mut self, asked: &Asked, which: Option<usize>, reply: &Value) {
        let (who, key) = (asked.who.expect("who changes something is known"), asked.key.clone());
        let key = key.expect("a change has a key");
        self.remembered.push(Memory { who, op: asked.op, key, data: asked.data.clone(), reply: reply.clone(), which });
    }

    /// The original answer once more. The notes, and whom a hold was booked for, are told as they are now.
    pub fn original(&self, known: &Memory) -> Effect {
        let mut reply = known.reply.clone();
        if let (Some(which), Some(fields)) = (known.which, reply.as_object_mut()) {
            let present = self.appointment_for(known.who, which);
            let now: &[&str] = match known.op {
                "slot.hold" => &["patientId", "patientName", "walkIn", "serviceName"],
                "hold.release" => &[],
                _ => &["notes"],
            };
            for field in now {
                fields.remove(*field);
                if let Some(value) = present.get(field) {
                    fields.insert((*field).to_owned(), value.clone());
                }
            }
            if known.op == "slot.hold" && self.appointments[which].holder.is_none() {
                // The server keeps no end of a hold that has become an appointment and was changed since.
                fields.remove("expiresAt");
            }
        }
        told(reply)
    }

    /// A change of an appointment that there is.
    fn change(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let which = asked.which.expect("it is about one");
        let one = &self.appointments[which];
        let practice = self.is_practice(who, one.doctor);
        let may = match &asked.deed {
            Deed::Reschedule { .. } | Deed::Cancel { .. } => self.is_party(who, one),
            Deed::SetNotes { .. } => self.doctors[one.doctor].person == who,
            _ => practice,
        };
        if !may {
            // Those between whom it is see it, and may not do everything.
            return refuse(if self.is_party(who, one) { FORBIDDEN } else { NOT_FOUND });
        }
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        if asked.rev.is_some_and(|rev| rev != one.rev) {
            return refuse(STALE);
        }
        let next = self.next(asked, who, practice, now)?;
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            model.appointments[which] = next;
            model.seats += 1;
            model.draw(which);
            model.remember(&asked, Some(which), reply);
            Self::compare(reply, &model.appointment_for(who, which))
        }))
    }

    /// The next revision.
    fn next(&self, asked: &Asked, who: usize, practice: bool, now: Timestamp) -> Result<Appointment, Vec<Why>> {
        let mut next = self.appointments[asked.which.expect("it is about one")].clone();
        let service = &self.doctors[next.doctor].services[next.service];
        let from = |wanted: &[&str]| if wanted.contains(&next.status) { Ok(()) } else { refuse(ILLEGAL) };
        let is_late = |cutoff: i64| !practice && next.start - minutes(cutoff) < now;
        match &asked.deed {
            Deed::Reschedule { exception, .. } => return self.moved(asked, who, practice, *exception, now),
            Deed::Cancel { reason, .. } => {
                from(&["pending", "booked", "arrived"])?;
                // A request can be taken back at any time.
                if next.status != "pending" && is_late(service.cancel_cutoff) {
                    return refuse(TOO_LATE);
                }
                next.cancel_reason = reason.then(|| "No puede ser".to_owned());
                next.let_go("cancelled");
                next.revise("cancelled", who, None);
            }
            Deed::Decline { .. } => {
                from(&["pending"])?;
                next.cancel_reason = Some("No puede ser".to_owned());
                next.let_go("cancelled");
                next.revise("declined", who, None);
            }
            Deed::SetNotes { notes, .. } => {
                if matches!(next.status, "held" | "expired") {
                    return refuse(ILLEGAL);
                }
                next.notes = Some(notes.clone()).filter(|notes| !notes.is_empty());
                next.revise("noted", who, None);
            }
            deed => {
                let latest = next.history.iter().rfind(|entry| entry.action != "noted").map(|entry| entry.action);
                let (wanted, to, action): (&str, _, _) = match deed {
                    Deed::Approve { .. } => ("pending", "booked", "approved"),
                    Deed::CheckIn { .. } => ("booked", "arrived", "checkedIn"),
                    Deed::Complete { .. } => ("arrived", "fulfilled", "completed"),
                    Deed::NoShow { .. } => ("booked", "noshow", "noShow"),
                    _ => match (latest, next.status) {
                        (Some("checkedIn"), "arrived") => ("arrived", "booked", "undone"),
                        (Some("noShow"), "noshow") => ("noshow", "booked", "undone"),
                        (Some("completed"), "fulfilled") => ("fulfilled", "arrived", "undone"),
                        _ => return refuse(ILLEGAL),
                    },
                };
                from(&[wanted])?;
                next.status = to;
                next.revise(action, who, None);
            }
        }
        Ok(next)
    }

    /// The next revision at another time.
    fn moved(
        &self,
        asked: &Asked,
        who: usize,
        practice: bool,
        exception: bool,
        now: Timestamp,
    ) -> Result<Appointment, Vec<Why>> {
        let which = asked.which.expect("it is about one");
        let mut next = self.appointments[which].clone();
        let (doctor, service, start) = asked.slot;
        if exception && !practice {
            return refuse(FORBIDDEN);
        }
        if !next.is_movable() {
            return refuse(ILLEGAL);
        }
        if !practice && next.start - minutes(self.doctors[doctor].services[service].move_cutoff) < now {
            return refuse(TOO_LATE);
        }
        let mut rule = self.permits(doctor, service, start, exception, now).map_err(|rule| vec![unavailable(rule)])?;
        let others = || self.appointments.iter().enumerate().filter(|(place, _)| *place != which).map(|(_, one)| one);
        let of = &self.doctors[doctor].services[service];
        let session = self.session(asked.slot);
        if session.contains(&which) {
            // Where it is already.
            next.zone = self.zone(doctor);
            next.revise("rescheduled", who, rule.filter(|_| exception));
            return Ok(next);
        }
        let mut to = Appointment { seat: (of.capacity > 1).then_some(self.seats), ..next.clone() };
        (to.start, to.end) = (start, self.end(doctor, service, start));
        to.takes = Some(self.takes(doctor, service, start));
        to.rooms.clone_from(&of.rooms);
        to.zone = self.zone(doctor);
        let mut against = Vec::new();
        if let Some(first) = session.first() {
            to.sits_with(&self.appointments[*first]);
            against.extend((session.len() >= of.capacity).then_some(TAKEN));
        } else {
            let date = self.local_date(doctor, start);
            // Where it counts it keeps its place, if it has it alone.
            let own = |place: usize, _: &Appointment| place == which;
            let has_it = !others().any(|one| one.shares(&next));
            let places = self.places((doctor, service), date, &own, (0, 0), has_it.then_some(&next));
            to.counts = places.unwrap_or_default();
            if let Err(limit) = places {
                match exception {
                    true => rule = rule.or(Some(limit)),
                    false => against.push(unavailable(limit)),
                }
            }
            let (first, last) = self.takes(doctor, service, start);
            if others().any(|one| one.doctor == doctor && one.takes_any(first, last)) {
                against.push(TAKEN);
            }
        }
        let is_busy = others().any(|one| one.keeps_busy(&next.patient, to.start, to.end));
        let is_in_use = session.is_empty() && others().any(|one| one.keeps_room(doctor, &of.rooms, to.start, to.end));
        // A seat has no time of the doctor's to give up first: the session's room is asked for before the patient's time.
        let begins = to.seat.is_some() && next.seat.is_some();
        against.extend(in_its_order(begins, is_busy, is_in_use));
        if !against.is_empty() {
            return Err(against);
        }
        to.revise("rescheduled", who, rule.filter(|_| exception));
        Ok(to)
    }

    fn release(&self, asked: &Asked, who: usize) -> Judged {
        let which = asked.which.expect("it is about one");
        let one = &self.appointments[which];
        if one.holder != Some(who) {
            return refuse(NOT_FOUND);
        }
        if let Some(known) = self.remembers(asked, who)? {
            return Ok(self.original(known));
        }
        match one.status {
            _ if asked.rev.is_some_and(|rev| rev != one.rev) => return refuse(STALE),
            "held" => {}
            "expired" => return refuse(ENDED),
            _ => return refuse(ILLEGAL),
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            model.learn_id(which, reply)?;
            let one = &mut model.appointments[which];
            one.let_go("expired");
            one.revise("released", who, None);
            model.offer_ended(which, true);
            model.draw(which);
            model.remember(&asked, Some(which), reply);
            Self::compare(reply, &model.appointments[which].wire)
        }))
    }

    /// The caller's hold that a booking is made over.
    pub fn hold_for(&self, asked: &Asked, who: usize) -> Result<Option<usize>, Vec<Why>> {
        if let Deed::BookHeld { named: true, .. } = asked.deed {
            let which = asked.which.expect("it is about one");
            let one = &self.appointments[which];
            return match one.status {
                _ if one.holder != Some(who) => refuse(NOT_FOUND),
                // It was another time when it was asked for.
                _ if (one.doctor, one.service, one.start) != asked.slot => refuse(INVALID),
                "held" => Ok(Some(which)),
                _ => refuse(ENDED),
            };
        }
        Ok(self.appointments.iter().position(|one| one.is_hold_of(who, asked.slot)))
    }
}

/// Something is told, and nothing changes.
pub fn told(expected: Value) -> Effect {
    Box::new(move |_, reply| Model::compare(reply, &expected))
}
