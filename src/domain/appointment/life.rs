//! What becomes of an appointment at the desk and after: the moves between its states, how long one can be taken back, and
//! until when a patient may call off. What may be done to its rules, and what is seen of it, stands here as well.
//!
//! ```text
//! pending ──► booked ◄──► arrived ◄──► fulfilled      ◄ undo, within a short time
//!    │           ▲
//!    ▼           ▼
//! cancelled    noshow
//! (declined)
//! ```

use jiff::{SignedDuration, Timestamp};

use super::{Action, Appointment, HistoryEntry, Status};
use crate::domain::history::Actor;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;

/// How long a move can be undone: enough to notice a slip at the desk, too short to rewrite a day.
const UNDO_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Overrides of one appointment whose reasons are kept, so that its document stays small. Who, when and which rule stay in all.
const REASONS_KEPT: usize = 10;

/// A move of the practice that keeps the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Approve,
    CheckIn,
    Complete,
    NoShow,
    /// Takes the latest of the three before back.
    Undo,
}

/// A rule that the practice has set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// The word of the rule.
    pub rule: String,
    /// Why; absent once it is no longer kept.
    pub reason: Option<String>,
}

impl Appointment {
    /// The next revision, in the state that a move leads to. It takes the time that it took.
    ///
    /// # Errors
    /// `illegal_transition`.
    pub fn moved(&self, to: Move, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        let (from, status, action) = match to {
            Move::Approve => (Status::Pending, Status::Booked, Action::Approved),
            Move::CheckIn => (Status::Booked, Status::Arrived, Action::CheckedIn),
            Move::Complete => (Status::Arrived, Status::Fulfilled, Action::Completed),
            Move::NoShow => (Status::Booked, Status::Noshow, Action::NoShow),
            Move::Undo => (self.status, self.before_latest(now).ok_or(Refusal::IllegalTransition)?, Action::Undone),
        };
        if self.status != from {
            return Err(Refusal::IllegalTransition);
        }
        let next =
            Self { status, freed: Vec::new(), freed_quotas: Vec::new(), freed_resources: Vec::new(), ..self.clone() };
        Ok(next.revised(action, by, now, None))
    }

    /// The state before the latest move, if that may still be taken back. Whatever keeps it from that is said here.
    fn before_latest(&self, now: Timestamp) -> Option<Status> {
        // A review is of a visit that took place.
        if self.reviewed {
            return None;
        }
        // Who notes something meanwhile moves nothing.
        let latest = self.history.iter().rfind(|entry| entry.action != Action::Noted)?;
        let before = match (latest.action, self.status) {
            (Action::CheckedIn, Status::Arrived) | (Action::NoShow, Status::Noshow) => Status::Booked,
            (Action::Completed, Status::Fulfilled) => Status::Arrived,
            _ => return None,
        };
        (now.duration_since(latest.at) <= UNDO_FOR).then_some(before)
    }

    /// The next revision of a request that the practice does not take: its time is free.
    ///
    /// # Errors
    /// `illegal_transition` unless it is pending.
    pub fn declined(&self, reason: Option<String>, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        match self.status {
            Status::Pending => self.ended(Action::Declined, reason, by, now),
            _ => Err(Refusal::IllegalTransition),
        }
    }

    /// The next revision, with other notes of the doctor.
    ///
    /// # Errors
    /// `illegal_transition` for what is no appointment yet.
    pub fn noted(&self, notes: Option<String>, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        if matches!(self.status, Status::Held | Status::Expired) {
            return Err(Refusal::IllegalTransition);
        }
        let next =
            Self { notes, freed: Vec::new(), freed_quotas: Vec::new(), freed_resources: Vec::new(), ..self.clone() };
        Ok(next.revised(Action::Noted, by, now, None))
    }

    /// Whether its patient may still call it off or move it, so many minutes ahead.
    ///
    /// # Errors
    /// `illegal_transition` with the rule `cutoff`.
    pub fn before_cutoff(&self, minutes: i32, now: Timestamp) -> Result<(), Refusal> {
        let last = self.start.checked_sub(SignedDuration::from_mins(i64::from(minutes))).unwrap_or(Timestamp::MIN);
        if now <= last { Ok(()) } else { Err(Refusal::TooLate) }
    }

    /// Its history as somebody sees it: what was noted is for its doctor, what was overridden for the practice.
    #[must_use]
    pub fn history_for(&self, doctor: bool, practice: bool) -> Vec<HistoryEntry> {
        let seen = self.history.iter().filter(|entry| doctor || entry.action != Action::Noted);
        seen.map(|entry| HistoryEntry { overridden: entry.overridden.clone().filter(|_| practice), ..entry.clone() })
            .collect()
    }

    /// Drops the reasons of overrides, or those of one person.
    pub(super) fn forget_reasons(&mut self, of: Option<UserId>) {
        for entry in self.history.iter_mut().filter(|entry| of.is_none_or(|person| entry.by.user == person)) {
            if let Some(overridden) = &mut entry.overridden {
                overridden.reason = None;
            }
        }
    }

    /// Drops the reasons of overrides beyond the latest few.
    pub(super) fn forget_old_reasons(&mut self) {
        let with_reason = self.history.iter_mut().rev().filter_map(|entry| entry.overridden.as_mut());
        for overridden in with_reason.filter(|overridden| overridden.reason.is_some()).skip(REASONS_KEPT) {
            overridden.reason = None;
        }
    }
}

#[cfg(test)]
mod tests;
