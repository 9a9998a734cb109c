//! The topics of waitlists, a person's own and a doctor's: how a snapshot is joined to what is pushed, and how it is continued.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Hub, State, Subscriber, TooOld};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::waitlist::WaitlistEntry;
use crate::live::cursor::Cursor;
use crate::live::outbox::Outbox;
use crate::live::project::{self, Update};
use crate::live::topic::Topic;

impl Hub {
    /// Continues a waitlist after a cursor: `false` when what was missed can no longer be told.
    pub fn resume_waitlist(&self, topic: &Topic, after: Cursor, subscriber: &Subscriber<'_>) -> bool {
        let mut state = self.state.lock();
        let Some(missed) = self.missed(after).filter(|_| self.may_watch(topic, subscriber)) else { return false };
        subscriber.outbox.send((subscriber.opening)(true));
        self.tell_missed_entries(topic, &missed, subscriber.outbox);
        state.join(topic, subscriber, self.calendars.position());
        true
    }

    /// Starts a waitlist with a snapshot that is true at `at`.
    ///
    /// # Errors
    /// [`TooOld`]: nothing was sent; read the snapshot again.
    pub fn start_waitlist(
        &self,
        topic: &Topic,
        at: Position,
        items: Vec<WaitlistEntry>,
        reset: bool,
        subscriber: &Subscriber<'_>,
    ) -> Result<(), TooOld> {
        let mut state = self.state.lock();
        if !self.may_watch(topic, subscriber) {
            return Err(TooOld);
        }
        let position = self.calendars.position();
        let since = if at < position { self.calendars.after(at).ok_or(TooOld)? } else { Vec::new() };
        let snapshot = Update::Waitlist { upserted: items.into_iter().map(Arc::new).collect(), removed: Vec::new() };
        subscriber.outbox.send((subscriber.opening)(false));
        self.send_snapshot(topic, &snapshot, at, reset, subscriber.outbox);
        self.tell_missed_entries(topic, &since, subscriber.outbox);
        state.join(topic, subscriber, at.max(position));
        Ok(())
    }

    fn tell_missed_entries(&self, topic: &Topic, missed: &[Arc<Commit>], outbox: &Outbox) {
        for commit in missed {
            self.send_change(topic, &project::waitlist(topic, commit), commit.at, outbox);
        }
    }

    pub(super) fn push_waitlists(&self, state: &State, commit: &Commit) {
        let entries = || {
            commit.changes.iter().filter_map(|change| match change {
                Change::Waitlist(entry) => Some(entry),
                _ => None,
            })
        };
        let (mut doctors, mut patients): (Vec<_>, Vec<_>) =
            entries().map(|entry| (entry.doctor_id, entry.patient_id)).unzip();
        for people in [&mut doctors, &mut patients] {
            people.sort_unstable();
            people.dedup();
        }
        let of_doctors = doctors.iter().filter_map(|doctor| state.waitlists.get(doctor)).flat_map(HashMap::values);
        let mine = patients.iter().filter_map(|patient| state.my_waitlists.get(patient)).flat_map(HashMap::values);
        for group in of_doctors.chain(mine) {
            self.push(group, &project::waitlist(&group.topic, commit), commit.at);
        }
    }
}
