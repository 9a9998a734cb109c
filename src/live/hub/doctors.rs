//! The topic of a doctor's public face, and what becomes of subscriptions when the public may no longer see it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Group, Hub, Member, Message, State, Subscriber, calendar_right, changes_rules, sees};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::doctor::Doctor;
use crate::domain::ids::DoctorId;
use crate::domain::refusal::Refusal;
use crate::live::cursor::Cursor;
use crate::live::project::Update;
use crate::live::topic::Topic;

impl Hub {
    /// Starts or continues the topic of a doctor. `None`: the calendar is not in memory or shows a draft that the
    /// subscriber may not see, load it; or it is ahead of the feed, wait for that.
    pub fn join_doctor(&self, doctor: DoctorId, after: Option<Cursor>, subscriber: &Subscriber<'_>) -> Option<()> {
        let mut state = self.state.lock();
        let calendar = self.calendars.kept(doctor).filter(|calendar| subscriber.may_see(&calendar.doctor))?;
        let at = self.calendars.position().max(calendar.position());
        let missed = after.and_then(|after| self.missed(after));
        if missed.is_some() && calendar.position() > self.calendars.position() {
            return None;
        }
        let topic = Topic::Doctor { doctor };
        let item = Update::Doctor(calendar.doctor.clone());
        subscriber.outbox.send((subscriber.opening)(missed.is_some()));
        match missed {
            // The present is the net of what was missed.
            Some(missed) => {
                self.meters.resumed(&topic);
                if changes_rules(&missed, doctor) {
                    self.send_change(&topic, &item, at, subscriber.outbox);
                }
            }
            None => self.send_snapshot(&topic, &item, at, after.is_some(), subscriber.outbox),
        }
        state.join(&topic, subscriber, at);
        Some(())
    }

    /// Tells what a commit changes of doctors, before it is applied: the calendars still have what they looked like. Where
    /// a doctor is no longer approved, the subscriptions of those who may not see drafts end; and those of staff to the
    /// calendar of a doctor for whom they no longer act.
    pub(super) fn push_doctors(&self, state: &mut State, commit: &Commit) {
        for doctor in latest(commit) {
            if !doctor.is_approved() {
                let lost = |member: &Member| !sees(&member.viewer, doctor) && member.floor < commit.at;
                self.end_topics(&mut state.slots, doctor.id, &Refusal::NotFound, commit.at, lost);
                self.end_topics(&mut state.doctors, doctor.id, &Refusal::NotFound, commit.at, lost);
                self.end_topics(&mut state.reviews, doctor.id, &Refusal::NotFound, commit.at, lost);
            }
            let lost = |member: &Member| calendar_right(&member.viewer, doctor).is_err() && member.floor < commit.at;
            self.end_topics(&mut state.calendars, doctor.id, &Refusal::Forbidden, commit.at, lost);
            self.end_topics(&mut state.waitlists, doctor.id, &Refusal::Forbidden, commit.at, lost);
            let Some(groups) = state.doctors.get(&doctor.id) else { continue };
            let before = self.calendars.kept(doctor.id).filter(|calendar| calendar.position() < commit.at);
            if before.is_some_and(|before| before.doctor.looks_like(doctor)) {
                continue;
            }
            for group in groups.values() {
                self.push(group, &Update::Doctor(doctor.clone()), commit.at);
            }
        }
    }

    /// Ends the subscriptions of members who have lost the right to topics of a doctor: they are told why, and the
    /// connection goes on without them.
    fn end_topics<V>(
        &self,
        groups: &mut HashMap<DoctorId, HashMap<V, Group>>,
        doctor: DoctorId,
        why: &Refusal,
        at: Position,
        lost: impl Fn(&Member) -> bool,
    ) {
        let Some(views) = groups.get_mut(&doctor) else { return };
        for group in views.values_mut() {
            let ended: Vec<Member> = group.members.extract_if(.., |member| lost(member)).collect();
            if ended.is_empty() {
                continue;
            }
            let frames = (self.encode)(&group.name, Message::Ended(why), &self.cursor_at(at).to_string());
            for member in ended {
                // First, so that whoever reads the frame finds the subscription gone.
                member.subscriptions.remove(&group.name);
                self.tell(&member, &frames);
            }
        }
        views.retain(|_, group| !group.members.is_empty());
        if views.is_empty() {
            groups.remove(&doctor);
        }
    }
}

/// Each doctor whom a commit changes, as the commit leaves them.
fn latest(commit: &Commit) -> impl Iterator<Item = &Arc<Doctor>> {
    let doctors: HashMap<DoctorId, &Arc<Doctor>> = commit
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Doctor(doctor) => Some((doctor.id, doctor)),
            _ => None,
        })
        .collect();
    doctors.into_values()
}
