//! What a subscriber keeps: the items of its topics, and the cursor to continue from.

use std::collections::{BTreeMap, BTreeSet};

use cita_protocol::Cursor;
use cita_protocol::appointment::Appointment;
use cita_protocol::doctor::LiveDoctor;
use cita_protocol::frame::{Change, Snapshot};
use cita_protocol::session::Session;
use cita_protocol::slot::LiveSlot;

/// An item of a live topic.
pub trait Entry: Clone + PartialEq {
    /// What `removed` names it by.
    fn key(&self) -> &str;
    /// Its revision, where it has one.
    fn rev(&self) -> Option<u32>;
}

impl Entry for LiveSlot {
    fn key(&self) -> &str {
        self.start.as_str()
    }

    fn rev(&self) -> Option<u32> {
        None
    }
}

impl Entry for Appointment {
    fn key(&self) -> &str {
        self.id.as_str()
    }

    fn rev(&self) -> Option<u32> {
        Some(self.rev)
    }
}

impl Entry for LiveDoctor {
    fn key(&self) -> &str {
        self.doctor.id.as_str()
    }

    fn rev(&self) -> Option<u32> {
        Some(self.doctor.rev)
    }
}

impl Entry for Session {
    fn key(&self) -> &str {
        self.id.as_str()
    }

    fn rev(&self) -> Option<u32> {
        Some(self.rev)
    }
}

/// How one item of the model changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference<I> {
    Added(I),
    Changed { old: I, new: I },
    Removed(I),
}

/// The items of every topic of a subscription, as the server last told them.
#[derive(Clone, Debug)]
pub struct Model<I> {
    topics: BTreeMap<String, BTreeMap<String, I>>,
    /// Parts of snapshots that are not complete.
    partial: BTreeMap<String, Vec<I>>,
}

impl<I> Default for Model<I> {
    fn default() -> Self {
        Self { topics: BTreeMap::new(), partial: BTreeMap::new() }
    }
}

impl<I: Entry> Model<I> {
    /// Every item, by topic and key.
    pub fn items(&self) -> impl Iterator<Item = &I> {
        self.topics.values().flat_map(BTreeMap::values)
    }

    /// Forgets unfinished snapshots, whose rest will not come: after a disconnect and on `reset`.
    pub fn forget_parts(&mut self, topic: Option<&str>) {
        match topic {
            Some(topic) => drop(self.partial.remove(topic)),
            None => self.partial.clear(),
        }
    }

    /// Takes a part of a snapshot. The last part replaces the topic and tells what that changed.
    pub fn snapshot(&mut self, part: Snapshot<I>) -> Option<Vec<Difference<I>>> {
        let items = self.partial.entry(part.topic.clone()).or_default();
        items.extend(part.items);
        if part.more {
            return None;
        }
        let items = self.partial.remove(&part.topic).unwrap_or_default();
        let new: BTreeMap<_, _> = items.into_iter().map(|item| (item.key().to_owned(), item)).collect();
        let old = self.topics.insert(part.topic, new.clone());
        Some(differences(old.unwrap_or_default(), &new))
    }

    /// Applies a change and tells what it changed, which is nothing for what was known already.
    pub fn change(&mut self, change: Change<I>) -> Vec<Difference<I>> {
        let items = self.topics.entry(change.topic).or_default();
        let removed =
            change.removed.iter().filter_map(|key| items.remove(key).map(Difference::Removed)).collect::<Vec<_>>();
        let upserted = change.upserted.into_iter().filter_map(|item| upsert(items, item));
        removed.into_iter().chain(upserted).collect()
    }
}

fn upsert<I: Entry>(items: &mut BTreeMap<String, I>, new: I) -> Option<Difference<I>> {
    let known = items.get(new.key());
    if known.is_some_and(|old| new.rev() < old.rev()) {
        return None;
    }
    match items.insert(new.key().to_owned(), new.clone()) {
        Some(old) if old == new => None,
        Some(old) => Some(Difference::Changed { old, new }),
        None => Some(Difference::Added(new)),
    }
}

fn differences<I: Entry>(mut old: BTreeMap<String, I>, new: &BTreeMap<String, I>) -> Vec<Difference<I>> {
    let mut found = Vec::new();
    for (key, item) in new {
        match old.remove(key) {
            Some(before) if before == *item => {}
            Some(before) => found.push(Difference::Changed { old: before, new: item.clone() }),
            None => found.push(Difference::Added(item.clone())),
        }
    }
    found.extend(old.into_values().map(Difference::Removed));
    found
}

/// From where one subscription continues after a disconnect.
///
/// With a single topic that is its last cursor. A range is many topics with one `after`, and nothing promises that
/// their frames come in a common order: a commit that moves an appointment from one date to another is two frames with
/// one cursor, and the connection may end between them. So a range continues from the last point that is known to
/// cover all its topics: a ping, or snapshots that share their cursor. What is replayed in excess changes nothing.
#[derive(Clone, Debug)]
pub struct Position {
    topics: usize,
    snapshots: BTreeMap<String, Option<Cursor>>,
    /// Topics that were reset and wait for their snapshot.
    reset: BTreeSet<String>,
    after: Option<Cursor>,
}

impl Position {
    /// Of a subscription that yields frames for this many topics.
    #[must_use]
    pub fn new(topics: usize) -> Self {
        Self { topics, snapshots: BTreeMap::new(), reset: BTreeSet::new(), after: None }
    }

    /// What to pass as `after`; nothing while a snapshot would be needed anyway.
    #[must_use]
    pub fn after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Whether every topic has been told whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.snapshots.len() >= self.topics && self.reset.is_empty()
    }

    /// The server continues from `after` with all topics.
    pub fn resume(&mut self) {
        self.reset.clear();
    }

    /// The server starts over with snapshots of all topics.
    pub fn restart(&mut self) {
        self.snapshots.clear();
        self.reset.clear();
        self.after = None;
    }

    /// The server starts over with one topic.
    pub fn reset(&mut self, topic: &str) {
        self.reset.insert(topic.to_owned());
    }

    /// The last part of a topic's snapshot came.
    pub fn snapshot(&mut self, topic: &str, cursor: Option<Cursor>) {
        self.reset.remove(topic);
        self.snapshots.insert(topic.to_owned(), cursor.clone());
        let shared = self.snapshots.values().all(|other| *other == cursor);
        if self.is_whole() && shared {
            self.after = cursor;
        }
    }

    /// A change came.
    pub fn change(&mut self, cursor: Option<Cursor>) {
        if self.topics == 1 {
            self.advance(cursor);
        }
    }

    /// A ping came: everything up to its cursor has been told, on all topics.
    pub fn ping(&mut self, cursor: Option<Cursor>) {
        self.advance(cursor);
    }

    fn advance(&mut self, cursor: Option<Cursor>) {
        if self.is_whole() && cursor.is_some() {
            self.after = cursor;
        }
    }
}

#[cfg(test)]
mod tests {
    use cita_protocol::slot::SlotStatus;

    use super::*;

    fn slot(start: &str, status: SlotStatus) -> LiveSlot {
        LiveSlot {
            start: start.into(),
            end: start.into(),
            status,
            held_until: None,
            seats_left: None,
            bookable_from: start.into(),
            bookable_until: start.into(),
        }
    }

    fn free(start: &str) -> LiveSlot {
        slot(start, SlotStatus::Free)
    }

    fn part(items: Vec<LiveSlot>, more: bool) -> Snapshot<LiveSlot> {
        Snapshot { topic: "t".into(), time_zone: None, items, more }
    }

    fn change(upserted: Vec<LiveSlot>, removed: &[&str]) -> Change<LiveSlot> {
        Change {
            topic: "t".into(),
            time_zone: None,
            upserted,
            removed: removed.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    fn cursor(text: &str) -> Option<Cursor> {
        Some(text.into())
    }

    #[test]
    fn a_snapshot_counts_with_its_last_part() {
        let mut model = Model::default();
        assert_eq!(model.snapshot(part(vec![free("1")], true)), None);
        assert_eq!(model.items().count(), 0);
        let differences = model.snapshot(part(vec![free("2")], false)).unwrap();
        assert_eq!(differences.len(), 2);
        assert_eq!(model.items().count(), 2);
    }

    #[test]
    fn a_part_from_before_a_disconnect_does_not_leak_into_the_next_snapshot() {
        let mut model = Model::default();
        model.snapshot(part(vec![free("1")], true));
        model.forget_parts(None);
        model.snapshot(part(vec![free("2")], false));
        let keys: Vec<_> = model.items().map(Entry::key).collect();
        assert_eq!(keys, ["2"]);
    }

    #[test]
    fn a_later_snapshot_tells_only_what_changed() {
        let mut model = Model::default();
        model.snapshot(part(vec![free("1"), free("2"), free("3")], false));
        let held = slot("2", SlotStatus::Held);
        let differences = model.snapshot(part(vec![free("1"), held.clone(), free("4")], false));
        assert_eq!(
            differences.unwrap(),
            [
                Difference::Changed { old: free("2"), new: held },
                Difference::Added(free("4")),
                Difference::Removed(free("3")),
            ]
        );
    }

    #[test]
    fn changes_are_told_once_and_unknown_removals_are_ignored() {
        let mut model = Model::default();
        model.snapshot(part(vec![free("1")], false));
        let booked = change(vec![free("2")], &["1", "never seen"]);
        assert_eq!(model.change(booked.clone()), [Difference::Removed(free("1")), Difference::Added(free("2"))]);
        assert_eq!(model.change(booked), []);
    }

    #[test]
    fn one_topic_continues_from_its_last_frame() {
        let mut position = Position::new(1);
        position.ping(cursor("too early"));
        assert_eq!(position.after(), None);
        position.snapshot("t", cursor("a"));
        position.change(cursor("b"));
        assert_eq!(position.after(), cursor("b").as_ref());
        position.ping(cursor("c"));
        assert_eq!(position.after(), cursor("c").as_ref());
    }

    #[test]
    fn a_range_continues_from_what_covers_all_its_topics() {
        let mut position = Position::new(2);
        position.snapshot("t1", cursor("a"));
        assert_eq!(position.after(), None, "the second topic is missing");
        position.snapshot("t2", cursor("a"));
        assert_eq!(position.after(), cursor("a").as_ref());
        position.change(cursor("b"));
        assert_eq!(position.after(), cursor("a").as_ref());
        position.ping(cursor("b"));
        assert_eq!(position.after(), cursor("b").as_ref());
    }

    #[test]
    fn snapshots_at_different_points_wait_for_a_ping() {
        let mut position = Position::new(2);
        position.snapshot("t1", cursor("a"));
        position.snapshot("t2", cursor("b"));
        assert_eq!(position.after(), None);
        position.ping(cursor("c"));
        assert_eq!(position.after(), cursor("c").as_ref());
    }

    #[test]
    fn a_reset_keeps_the_old_point_until_the_snapshot_is_there() {
        let mut position = Position::new(1);
        position.snapshot("t", cursor("a"));
        position.reset("t");
        position.ping(cursor("b"));
        assert_eq!(position.after(), cursor("a").as_ref());
        position.snapshot("t", cursor("c"));
        assert_eq!(position.after(), cursor("c").as_ref());
    }

    #[test]
    fn a_connection_lost_within_a_reset_continues_from_before_it() {
        let mut position = Position::new(1);
        position.snapshot("t", cursor("a"));
        position.reset("t");
        assert_eq!(position.after(), cursor("a").as_ref());
        position.resume();
        position.ping(cursor("b"));
        assert_eq!(position.after(), cursor("b").as_ref());
    }

    #[test]
    fn an_older_revision_does_not_come_back() {
        let appointment = |rev, reason: &str| Appointment {
            id: "a".into(),
            rev,
            status: cita_protocol::appointment::AppointmentStatus::Booked,
            doctor_id: "d".into(),
            doctor_name: "D".into(),
            patient_id: "p".into(),
            patient_name: "P".into(),
            walk_in: None,
            service_id: "s".into(),
            service_name: "S".into(),
            resource_ids: Vec::new(),
            start: "1".into(),
            end: "2".into(),
            time_zone: "UTC".into(),
            reason: Some(reason.into()),
            series_id: None,
            cancel_reason: None,
            notes: None,
            created_at: "0".into(),
            updated_at: "0".into(),
            expires_at: None,
        };
        let upsert = |item| Change { topic: "t".into(), time_zone: None, upserted: vec![item], removed: Vec::new() };
        let mut model = Model::default();
        model.change(upsert(appointment(2, "new")));
        assert_eq!(model.change(upsert(appointment(1, "old"))), []);
        let kept: Vec<_> = model.items().map(|item| item.rev).collect();
        assert_eq!(kept, [2]);
    }
}
