//! What the model makes of a practice's rules, of its time off and of reviews.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::asked::Asked;
use super::booking::text;
use super::hours::hours;
use super::judge::{FORBIDDEN, Judged, NOT_FOUND, NOT_REVIEWABLE, REVIEWED, STALE, refuse, told};
use super::state::{ANY, Model, Review, Role, TimeOff};
use super::step::Deed;

impl Model {
    pub fn set_hours(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let doctor = asked.slot.0;
        if !self.owns(who, doctor) {
            return refuse(FORBIDDEN);
        }
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(self.hours_left(doctor, now)));
        }
        if asked.rev.is_some_and(|rev| rev != self.doctors[doctor].hours.rev) {
            return refuse(STALE);
        }
        let Deed::SetHours { hours: number, keep, .. } = asked.deed else { return refuse(NOT_FOUND) };
        let zone = TimeZone::get(asked.data["timeZone"].as_str().expect("a zone")).expect("a zone");
        let moved = self.moved_to(doctor, &zone, keep, who, now)?;
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let today = model.setting.today[doctor];
            let one = &mut model.doctors[doctor];
            one.hours = hours(number, one.hours.rev + 1, today);
            one.rev += 1;
            if one.zone != zone {
                one.zone = zone;
                one.shown_rev = one.rev;
            }
            for (place, next) in moved {
                model.appointments[place] = next;
                model.draw(place);
            }
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.hours_left(doctor, now))
        }))
    }

    /// Hours, with the tasks that they leave.
    fn hours_left(&self, doctor: usize, now: Timestamp) -> Value {
        let mut wire = self.hours(doctor);
        wire["outside"] = self.outside(doctor, now);
        wire
    }

    pub fn take_time_off(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let doctor = asked.slot.0;
        if !self.is_practice(who, doctor) {
            return refuse(FORBIDDEN);
        }
        if let Some(known) = self.remembers(asked, who)? {
            let mut reply = known.reply.clone();
            reply["outside"] = self.outside(doctor, now);
            return Ok(told(reply));
        }
        let bound = |bound: &Value, is_end: bool| {
            let date: jiff::civil::Date = bound["date"].as_str()?.parse().ok()?;
            Some(match bound["time"].as_str() {
                Some(time) => self.instant(doctor, date, time.parse().ok()?),
                None if is_end => self.instant(doctor, date.tomorrow().ok()?, jiff::civil::Time::midnight()),
                None => self.instant(doctor, date, jiff::civil::Time::midnight()),
            })
        };
        let from = bound(&asked.data["from"], false).expect("a bound");
        let to = bound(&asked.data["to"], true).expect("a bound");
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let off = TimeOff { id: text(reply, "id")?, from, to, reason: Some("Congreso".to_owned()) };
            let one = &mut model.doctors[doctor];
            one.off.push(off.clone());
            one.off.sort_by_key(|off| (off.from, off.to, off.id.clone()));
            one.rev += 1;
            model.remember(&asked, None, reply);
            let mut wire = model.time_off(doctor, &off);
            wire["outside"] = model.outside(doctor, now);
            Self::compare(reply, &wire)
        }))
    }

    pub fn end_time_off(&self, asked: &Asked, who: usize) -> Judged {
        let doctor = asked.slot.0;
        if !self.is_practice(who, doctor) {
            return refuse(FORBIDDEN);
        }
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(json!({})));
        }
        let is_meant = |off: &TimeOff| Some(off.id.as_str()) == asked.data["id"].as_str();
        let Some(which) = self.doctors[doctor].off.iter().position(is_meant) else { return refuse(NOT_FOUND) };
        if asked.rev.is_some_and(|rev| rev != 1) {
            return refuse(STALE);
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let one = &mut model.doctors[doctor];
            one.off.remove(which);
            one.rev += 1;
            model.remember(&asked, None, reply);
            Self::compare(reply, &json!({}))
        }))
    }

    pub fn list_time_off(&self, asked: &Asked, who: usize) -> Judged {
        let doctor = asked.slot.0;
        if !self.is_practice(who, doctor) {
            return refuse(FORBIDDEN);
        }
        let items: Vec<Value> = self.doctors[doctor].off.iter().map(|off| self.time_off(doctor, off)).collect();
        Ok(told(json!({ "items": items })))
    }

    pub fn list_outside(&self, asked: &Asked, who: usize, now: Timestamp) -> Judged {
        let doctor = asked.slot.0;
        if !self.is_practice(who, doctor) {
            return refuse(FORBIDDEN);
        }
        let zone = self.doctors[doctor].zone.iana_name();
        Ok(told(json!({ "timeZone": zone, "items": self.outside(doctor, now) })))
    }

    pub fn write_review(&self, asked: &Asked, who: usize) -> Judged {
        let which = asked.which.expect("it is about one");
        let one = &self.appointments[which];
        let Deed::Review { rating, .. } = asked.deed else { return refuse(NOT_FOUND) };
        if one.patient != self.id_of(who) {
            return refuse(NOT_FOUND);
        }
        if self.remembers(asked, who)?.is_some() {
            let review =
                self.reviews.iter().find(|review| review.author == who && review.id == self.review_of(asked, who));
            return Ok(told(self.review_for(Some(who), review.expect("a review that was written is there"))));
        }
        if one.reviewed {
            return refuse(REVIEWED);
        }
        if one.status != "fulfilled" || one.patient == self.doctor_id(one.doctor) {
            return refuse(NOT_REVIEWABLE);
        }
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let one = &mut model.appointments[which];
            one.reviewed = true;
            one.revise("reviewed", who, None);
            let doctor = one.doctor;
            model.draw(which);
            model.reviews.push(Review {
                id: text(reply, "id")?,
                rev: 1,
                doctor,
                author: who,
                rating,
                text: Some("Bien".to_owned()),
                reply: None,
                edited: false,
                hidden: None,
                reports: Vec::new(),
            });
            model.rated(doctor);
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.review_for(Some(who), &model.reviews[model.reviews.len() - 1]))
        }))
    }

    /// The id that a request was answered with.
    fn review_of(&self, asked: &Asked, who: usize) -> String {
        let known = self.remembers(asked, who).ok().flatten();
        known.and_then(|known| known.reply["id"].as_str()).unwrap_or_default().to_owned()
    }

    /// The rating of a doctor has changed.
    fn rated(&mut self, doctor: usize) {
        let one = &mut self.doctors[doctor];
        one.rev += 1;
        one.shown_rev = one.rev;
    }

    pub fn change_review(&self, asked: &Asked, who: usize) -> Judged {
        let which = asked.which.expect("it is about one");
        let review = &self.reviews[which];
        let is_admin = self.role_of(who) == Role::Admin;
        let (may, otherwise) = match asked.deed {
            Deed::EditReview { .. } => (review.author == who, NOT_FOUND),
            Deed::ReplyToReview { .. } => (self.doctors[review.doctor].person == who, NOT_FOUND),
            Deed::ReportReview { .. } => (true, NOT_FOUND),
            _ => (is_admin, FORBIDDEN),
        };
        if !may {
            return refuse(otherwise);
        }
        if review.hidden.is_some() && review.author != who && !is_admin {
            return refuse(NOT_FOUND);
        }
        let is_moderation = matches!(asked.deed, Deed::HideReview { .. } | Deed::RestoreReview { .. });
        if self.remembers(asked, who)?.is_some() {
            return Ok(told(self.changed_review(who, which, is_moderation)));
        }
        if asked.rev.is_some_and(|rev| rev != review.rev) {
            return refuse(STALE);
        }
        let mut next = review.clone();
        next.rev += 1;
        match &asked.deed {
            Deed::EditReview { rating, .. } => {
                next.rating = *rating;
                next.text = (*rating <= 3).then(|| "Regular".to_owned());
                next.edited = true;
            }
            Deed::ReplyToReview { text, .. } => next.reply = Some(text.clone()).filter(|text| !text.is_empty()),
            Deed::ReportReview { .. } => {
                next.reports.retain(|by| *by != who);
                next.reports.push(who);
            }
            moderation => {
                next.hidden = matches!(moderation, Deed::HideReview { .. }).then(|| "Se ha mirado".to_owned());
                next.reports.clear();
            }
        }
        let points = |review: &Review| review.hidden.is_none().then_some(review.rating);
        let is_rated = points(review) != points(&next);
        let asked = asked.clone();
        Ok(Box::new(move |model: &mut Model, reply: &Value| {
            let doctor = next.doctor;
            model.reviews[which] = next;
            if is_rated {
                model.rated(doctor);
            }
            model.remember(&asked, None, reply);
            Self::compare(reply, &model.changed_review(who, which, is_moderation))
        }))
    }

    fn changed_review(&self, who: usize, which: usize, is_moderation: bool) -> Value {
        let review = &self.reviews[which];
        let mut wire = self.review_for(Some(who), review);
        if is_moderation {
            wire["status"] = json!(if review.hidden.is_some() { "hidden" } else { "published" });
            let report = |by: &usize| json!({ "by": self.id_of(*by), "reason": "Se ha mirado", "at": ANY });
            wire["reports"] = Value::Array(review.reports.iter().map(report).collect());
            wire["history"] = json!(ANY);
        }
        wire
    }

    pub fn list_reviews(&self, asked: &Asked, who: Option<usize>) -> Judged {
        let shown = self.reviews.iter().rev().filter(|one| one.doctor == asked.slot.0 && one.hidden.is_none());
        let items: Vec<Value> = shown.map(|review| self.review_for(who, review)).collect();
        Ok(told(json!({ "items": items })))
    }
}
