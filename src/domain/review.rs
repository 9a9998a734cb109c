//! A review of a visit: who may still change it, what moderation does to it, and what it counts for.
//!
//! It holds the visit and the patient, so that there is one for each visit and its author can come back to it. Neither is
//! ever told to anybody.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::doctor::{Doctor, Rating};
use super::history::{self, Actor};
use super::ids::{AppointmentId, DoctorId, PatientId, ReviewId, UserId};
use super::refusal::Refusal;

/// For how long its author may change a review.
pub const EDITABLE_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Most reports that are kept of a review, the latest: more say nothing new.
pub const REPORT_LIMIT: usize = 20;
/// Most entries of a history: each may carry a reason, and a document has its limit.
pub const HISTORY_LIMIT: usize = 20;

/// What a patient says of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    pub id: ReviewId,
    pub rev: u32,
    pub doctor_id: DoctorId,
    pub patient_id: PatientId,
    pub appointment_id: AppointmentId,
    /// 1 to 5.
    pub rating: u32,
    pub text: Option<String>,
    pub reply: Option<Reply>,
    /// Why it is hidden from the public; `None`: it is published, and counts.
    pub hidden: Option<String>,
    /// Since somebody last decided on it. Empty in what the feed tells, as is `history`.
    pub reports: Vec<Report>,
    pub history: Vec<HistoryEntry>,
    /// The day on which it was written, in the doctor's zone: the instant would be near the visit.
    pub created_on: Date,
    /// The day on which its author last changed it.
    pub edited_on: Option<Date>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What the doctor answers in public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub text: String,
    pub at: Timestamp,
}

/// What somebody has against a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub by: UserId,
    pub reason: String,
    pub at: Timestamp,
}

/// One revision in the history of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub rev: u32,
    pub action: Action,
    pub by: Actor,
    pub at: Timestamp,
    /// Of a moderator.
    pub reason: Option<String>,
}

/// What happened to a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Written,
    Edited,
    Replied,
    Hidden,
    Restored,
}

impl Action {
    const ALL: [Self; 5] = [Self::Written, Self::Edited, Self::Replied, Self::Hidden, Self::Restored];

    /// The word for it, in documents and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Edited => "edited",
            Self::Replied => "replied",
            Self::Hidden => "hidden",
            Self::Restored => "restored",
        }
    }

    /// The action with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Whether it is an admin's.
    #[must_use]
    pub const fn is_moderation(self) -> bool {
        matches!(self, Self::Hidden | Self::Restored)
    }
}

/// What a patient writes.
#[derive(Clone, Debug)]
pub struct Writing<'a> {
    pub id: ReviewId,
    pub appointment: AppointmentId,
    pub doctor: &'a Doctor,
    pub rating: u32,
    pub text: Option<String>,
    pub by: Actor,
    pub now: Timestamp,
}

impl Writing<'_> {
    /// The review at revision 1.
    #[must_use]
    pub fn into_review(self) -> Review {
        Review {
            id: self.id,
            rev: 1,
            doctor_id: self.doctor.id,
            patient_id: self.by.user,
            appointment_id: self.appointment,
            rating: self.rating,
            text: self.text,
            reply: None,
            hidden: None,
            reports: Vec::new(),
            history: vec![HistoryEntry { rev: 1, action: Action::Written, by: self.by, at: self.now, reason: None }],
            created_on: day(self.now, &self.doctor.availability.time_zone),
            edited_on: None,
            created_at: self.now,
            updated_at: self.now,
        }
    }
}

/// The local day of an instant.
fn day(instant: Timestamp, zone: &TimeZone) -> Date {
    zone.to_datetime(instant).date()
}

/// What an author changes; absent parts stay.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    pub rating: Option<u32>,
    /// `Some(None)`: there is none any more.
    pub text: Option<Option<String>>,
}

impl Review {
    /// The next revision, as its author wants it.
    ///
    /// # Errors
    /// `not_reviewable` once the time for that is over.
    pub fn edited(&self, edit: &Edit, zone: &TimeZone, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        if now.duration_since(self.created_at) > EDITABLE_FOR {
            return Err(Refusal::NotReviewable);
        }
        let mut next = self.clone();
        next.rating = edit.rating.unwrap_or(self.rating);
        if let Some(text) = &edit.text {
            next.text.clone_from(text);
        }
        next.edited_on = Some(day(now, zone));
        Ok(next.revised(Action::Edited, None, by, now))
    }

    /// The next revision, with what the doctor answers, if anything.
    #[must_use]
    pub fn replied(&self, text: Option<String>, by: Actor, now: Timestamp) -> Self {
        let reply = text.map(|text| Reply { text, at: now });
        Self { reply, ..self.clone() }.revised(Action::Replied, None, by, now)
    }

    /// The next revision, reported by somebody: once for each user, the latest counts.
    #[must_use]
    pub fn reported(&self, reason: String, by: UserId, now: Timestamp) -> Self {
        let mut next = Self { rev: self.rev + 1, updated_at: now, ..self.clone() };
        next.reports.retain(|report| report.by != by);
        if next.reports.len() >= REPORT_LIMIT {
            next.reports.remove(0);
        }
        next.reports.push(Report { by, reason, at: now });
        next
    }

    /// The next revision, hidden from the public. Its reports are settled.
    #[must_use]
    pub fn hidden_for(&self, reason: String, by: Actor, now: Timestamp) -> Self {
        let next = Self { hidden: Some(reason.clone()), reports: Vec::new(), ..self.clone() };
        next.revised(Action::Hidden, Some(reason), by, now)
    }

    /// The next revision, shown to everybody. Its reports are settled.
    #[must_use]
    pub fn restored(&self, reason: String, by: Actor, now: Timestamp) -> Self {
        let next = Self { hidden: None, reports: Vec::new(), ..self.clone() };
        next.revised(Action::Restored, Some(reason), by, now)
    }

    /// The next revision, without anything that tells of a person: not what they wrote as its author, not what they
    /// reported. The rating stays, by somebody of whom nothing is known.
    #[must_use]
    pub fn without_author(&self, person: UserId, stranger: PatientId, now: Timestamp) -> Self {
        let mut next = Self { rev: self.rev + 1, updated_at: now, ..self.clone() };
        next.reports.retain(|report| report.by != person);
        if next.patient_id == person {
            next.patient_id = stranger;
            next.text = None;
            for entry in next.history.iter_mut().filter(|entry| entry.by.user == person) {
                entry.by = Actor::system(stranger);
            }
        }
        next
    }

    /// The next revision, without the words of its doctor and without those about them.
    #[must_use]
    pub fn without_doctor(&self, now: Timestamp) -> Self {
        let mut next = Self { rev: self.rev + 1, updated_at: now, text: None, reply: None, ..self.clone() };
        // What admins wrote of it may quote it.
        next.hidden = next.hidden.map(|_| String::new());
        next.history.iter_mut().for_each(|entry| entry.reason = None);
        next.reports.clear();
        next
    }

    /// Whether everybody sees it.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.hidden.is_none()
    }

    fn revised(mut self, action: Action, reason: Option<String>, by: Actor, now: Timestamp) -> Self {
        self.rev += 1;
        self.updated_at = now;
        let entry = HistoryEntry { rev: self.rev, action, by, at: now, reason };
        history::append_within(&mut self.history, entry, HISTORY_LIMIT);
        self
    }
}

/// What a change of a review does to the rating of its doctor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    sum: i64,
    count: i64,
}

impl Shift {
    /// From one revision, or none, to the next. Only what is published counts.
    #[must_use]
    pub fn between(before: Option<&Review>, after: &Review) -> Self {
        let weight = |review: &Review| match review.is_published() {
            true => (i64::from(review.rating), 1),
            false => (0, 0),
        };
        let ((sum, count), (old_sum, old_count)) = (weight(after), before.map(weight).unwrap_or_default());
        Self { sum: sum - old_sum, count: count - old_count }
    }

    /// Whether the rating stays what it is.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// The doctor's next revision.
    #[must_use]
    pub fn apply(self, doctor: &Doctor, now: Timestamp) -> Doctor {
        let shifted = |value: u32, by: i64| u32::try_from(i64::from(value) + by).unwrap_or_default();
        let rating =
            Rating { sum: shifted(doctor.rating.sum, self.sum), count: shifted(doctor.rating.count, self.count) };
        Doctor { rev: doctor.rev + 1, rating, updated_at: now, ..doctor.clone() }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::doctor::{Approval, Availability, Profile};
    use crate::domain::ids::SessionId;

    const WRITTEN: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn actor(id: u128) -> Actor {
        Actor { user: UserId(Uuid::from_u128(id)), session: SessionId(Uuid::from_u128(id)) }
    }

    fn doctor() -> Doctor {
        let time_zone = TimeZone::get("America/Bogota").expect("a zone");
        Doctor {
            id: UserId(Uuid::from_u128(1)),
            rev: 4,
            name: "Ana".to_owned(),
            approval: Approval::Approved,
            profile: Profile::default(),
            rating: Rating::default(),
            availability: Availability::closed(time_zone),
            services: Vec::new(),
            time_off: Vec::new(),
            staff: Vec::new(),
            history: Vec::new(),
            updated_at: WRITTEN,
        }
    }

    fn review() -> Review {
        let (id, appointment) = (ReviewId(Uuid::from_u128(5)), AppointmentId(Uuid::from_u128(6)));
        let text = Some("Muy bien".to_owned());
        Writing { id, appointment, doctor: &doctor(), rating: 4, text, by: actor(2), now: WRITTEN }.into_review()
    }

    #[test]
    fn an_author_has_thirty_days() {
        let edit = Edit { rating: Some(2), text: Some(None) };
        let at = |after: SignedDuration| review().edited(&edit, &TimeZone::UTC, actor(2), WRITTEN + after);
        let last = at(EDITABLE_FOR).expect("the last moment");
        assert_eq!((last.rev, last.rating, last.text), (2, 2, None));
        assert_eq!(last.edited_on, Some("2027-02-14".parse().expect("a date")));
        assert_eq!(at(EDITABLE_FOR + SignedDuration::from_millis(1)), Err(Refusal::NotReviewable));
        let untouched = review().edited(&Edit::default(), &TimeZone::UTC, actor(2), WRITTEN).expect("nothing");
        assert_eq!((untouched.rating, untouched.text), (4, review().text));
    }

    #[test]
    fn its_day_is_that_of_the_doctor() {
        // 08:00 in UTC is 03:00 in Bogotá; 04:00 is the evening before.
        assert_eq!(review().created_on.to_string(), "2027-01-15");
        assert_eq!(
            day(WRITTEN - SignedDuration::from_hours(4), &doctor().availability.time_zone).to_string(),
            "2027-01-14"
        );
    }

    #[test]
    fn only_what_is_published_counts() {
        let written = review();
        let edited = written.edited(&Edit { rating: Some(1), text: None }, &TimeZone::UTC, actor(2), WRITTEN);
        let edited = edited.expect("in time");
        let hidden = edited.hidden_for("no".to_owned(), actor(9), WRITTEN);
        let while_hidden = hidden.edited(&Edit { rating: Some(5), text: None }, &TimeZone::UTC, actor(2), WRITTEN);
        let while_hidden = while_hidden.expect("in time");
        let restored = while_hidden.restored("sí".to_owned(), actor(9), WRITTEN);
        let mut rated = doctor();
        let mut told = Vec::new();
        let steps = [None, Some(&written), Some(&edited), Some(&hidden), Some(&while_hidden), Some(&restored)];
        for pair in steps.windows(2) {
            rated = Shift::between(pair[0], pair[1].expect("a revision")).apply(&rated, WRITTEN);
            told.push((rated.rating.sum, rated.rating.count));
        }
        assert_eq!(told, [(4, 1), (1, 1), (0, 0), (0, 0), (5, 1)]);
        assert_eq!(rated.rev, 9);
        assert!(Shift::between(Some(&hidden), &while_hidden).is_nothing());
        assert!(Shift::between(Some(&restored), &restored.replied(None, actor(1), WRITTEN)).is_nothing());
    }

    #[test]
    fn each_user_reports_once_and_a_decision_settles_it() {
        let mut reported = review();
        for user in (0..30).chain([29, 28]) {
            reported = reported.reported(format!("{user}"), actor(100 + user).user, WRITTEN);
        }
        assert_eq!(reported.reports.len(), REPORT_LIMIT);
        assert_eq!(reported.reports.last().map(|report| report.reason.as_str()), Some("28"));
        assert_eq!(reported.history.len(), 1, "a report is no part of what became of it");
        for settled in
            [reported.hidden_for(String::new(), actor(9), WRITTEN), reported.restored(String::new(), actor(9), WRITTEN)]
        {
            assert!(settled.reports.is_empty());
        }
    }

    #[test]
    fn nothing_of_a_person_stays() {
        let (author, reporter, stranger) = (actor(2).user, actor(3).user, actor(77).user);
        let full = review().reported("por mí".to_owned(), reporter, WRITTEN).replied(
            Some("Gracias".to_owned()),
            actor(1),
            WRITTEN,
        );
        let left = full.without_author(author, stranger, WRITTEN);
        assert_eq!((left.patient_id, &left.text, left.rating, left.reports.len()), (stranger, &None, 4, 1));
        assert!(!format!("{left:?}").contains(&author.to_string()));
        assert!(Shift::between(Some(&full), &left).is_nothing());
        let unreported = full.without_author(reporter, stranger, WRITTEN);
        assert_eq!((unreported.patient_id, unreported.reports.len(), &unreported.text), (author, 0, &full.text));
        let doctorless = full.without_doctor(WRITTEN);
        assert_eq!((doctorless.text, doctorless.reply, doctorless.rating), (None, None, 4));
    }
}
