//! Who watches one view of a topic.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::{Ending, Outbox, Position, SubscriberId, Subscriptions, Topic, Viewer};
use crate::live::meters::Counted;
use crate::views::calendars::Watched;

/// The subscribers of one view of a topic: they all get the same bytes.
pub(super) struct Group {
    pub(super) topic: Topic,
    pub(super) name: String,
    pub(super) members: Vec<Member>,
    /// The calendar that each change is computed from.
    _needs: Option<Watched>,
}

pub(super) struct Member {
    pub(super) id: SubscriberId,
    pub(super) outbox: Arc<Outbox>,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) viewer: Arc<Viewer>,
    /// What is up to here, they know.
    pub(super) floor: Position,
    pub(super) _counted: Counted,
}

impl Group {
    /// Ends those who know less than what is up to `at`.
    pub(super) fn end_before(&mut self, at: Position) {
        self.members.extract_if(.., |member| member.floor < at).for_each(|member| member.outbox.end(Ending::Lost));
    }

    pub(super) fn end_all(&mut self, ending: Ending) {
        self.members.drain(..).for_each(|member| member.outbox.end(ending));
    }
}

/// A member more of a view.
pub(super) fn enter<O: Eq + Hash, V: Eq + Hash>(
    groups: &mut HashMap<O, HashMap<V, Group>>,
    owner: O,
    view: V,
    topic: &Topic,
    member: Member,
    needs: impl FnOnce() -> Option<Watched>,
) {
    let new = || Group { topic: topic.clone(), name: topic.to_string(), members: Vec::new(), _needs: needs() };
    let group = groups.entry(owner).or_default().entry(view).or_insert_with(new);
    group.members.retain(|other| other.id != member.id);
    group.members.push(member);
}

/// A member less, and no view without members.
pub(super) fn exit<O: Eq + Hash, V: Eq + Hash>(
    groups: &mut HashMap<O, HashMap<V, Group>>,
    owner: O,
    view: &V,
    id: SubscriberId,
) {
    let Some(views) = groups.get_mut(&owner) else { return };
    if let Some(group) = views.get_mut(view) {
        group.members.retain(|member| member.id != id);
        if group.members.is_empty() {
            views.remove(view);
        }
    }
    if views.is_empty() {
        groups.remove(&owner);
    }
}
