//! The topic of a doctor's published reviews: how a snapshot is joined to what is pushed, and how it is continued.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Hub, State, Subscriber, TooOld};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::ids::DoctorId;
use crate::domain::review::Review;
use crate::live::cursor::Cursor;
use crate::live::outbox::Outbox;
use crate::live::project::{self, Update};
use crate::live::topic::Topic;

impl Hub {
    /// Continues the reviews of a doctor after a cursor: `false` when what was missed can no longer be told, or the doctor is
    /// no longer shown.
    pub fn resume_reviews(&self, doctor: DoctorId, after: Cursor, subscriber: &Subscriber<'_>) -> bool {
        let mut state = self.state.lock();
        let Some(missed) = self.missed(after).filter(|_| self.shows(doctor, subscriber)) else { return false };
        subscriber.outbox.send((subscriber.opening)(true));
        self.meters.resumed(&Topic::Reviews { doctor });
        self.tell_missed_reviews(doctor, &missed, subscriber.outbox);
        state.join(&Topic::Reviews { doctor }, subscriber, self.calendars.position());
        true
    }

    /// Starts the reviews of a doctor with a snapshot that is true at `at`.
    ///
    /// # Errors
    /// [`TooOld`]: nothing was sent; ask for the doctor and read the snapshot again.
    pub fn start_reviews(
        &self,
        doctor: DoctorId,
        at: Position,
        items: Vec<Review>,
        reset: bool,
        subscriber: &Subscriber<'_>,
    ) -> Result<(), TooOld> {
        let mut state = self.state.lock();
        if !self.shows(doctor, subscriber) {
            return Err(TooOld);
        }
        let position = self.calendars.position();
        let since = if at < position { self.calendars.after(at).ok_or(TooOld)? } else { Vec::new() };
        let topic = Topic::Reviews { doctor };
        let snapshot = Update::Reviews { upserted: items.into_iter().map(Arc::new).collect(), removed: Vec::new() };
        subscriber.outbox.send((subscriber.opening)(false));
        self.send_snapshot(&topic, &snapshot, at, reset, subscriber.outbox);
        self.tell_missed_reviews(doctor, &since, subscriber.outbox);
        state.join(&topic, subscriber, at.max(position));
        Ok(())
    }

    /// Since the subscriber was asked, a commit may have come in, which ends only what has been joined.
    fn shows(&self, doctor: DoctorId, subscriber: &Subscriber<'_>) -> bool {
        self.calendars.kept(doctor).is_some_and(|calendar| subscriber.may_see(&calendar.doctor))
    }

    fn tell_missed_reviews(&self, doctor: DoctorId, missed: &[Arc<Commit>], outbox: &Outbox) {
        for commit in missed {
            self.send_change(&Topic::Reviews { doctor }, &project::reviews(doctor, commit), commit.at, outbox);
        }
    }

    pub(super) fn push_reviews(&self, state: &State, commit: &Commit) {
        let reviews = commit.changes.iter().filter_map(|change| match change {
            Change::Review(review) => Some(review.doctor_id),
            _ => None,
        });
        let mut doctors: Vec<DoctorId> = reviews.collect();
        doctors.sort_unstable();
        doctors.dedup();
        for doctor in doctors {
            for group in state.reviews.get(&doctor).into_iter().flat_map(HashMap::values) {
                self.push(group, &project::reviews(doctor, commit), commit.at);
            }
        }
    }
}
