//! Slots: what a commit changes of those that are watched, of the doctor whose time it is and of those who share rooms.

use std::sync::Arc;

use super::{Before, Ending, Hub, State, changes_rules, free, project};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::entry::Entry;
use crate::domain::ids::DoctorId;
use crate::views::calendar::Calendar;

impl Hub {
    /// The watched slots that a commit may change, as they are without it.
    pub(super) fn slots_before(&self, state: &State, commit: &Arc<Commit>) -> Vec<(DoctorId, Before)> {
        let mut doctors: Vec<DoctorId> = commit.changes.iter().filter_map(Change::doctor).collect();
        doctors.extend(self.sharing(state, commit));
        doctors.sort_unstable();
        doctors.dedup();
        let watched = doctors.into_iter().filter_map(|doctor| Some((doctor, state.slots.get(&doctor)?)));
        let before = watched.map(|(doctor, groups)| {
            let before = match self.calendars.kept(doctor) {
                None => Before::Dropped,
                Some(calendar) if calendar.position() >= commit.at => Before::ReadAgain,
                Some(calendar) => {
                    let touched = project::touched(&calendar, [commit]);
                    let other_rules = changes_rules(std::slice::from_ref(commit), doctor);
                    let concerned = groups.keys().filter(|(service, date)| {
                        other_rules
                            || (calendar.doctor.service(*service))
                                .is_ok_and(|service| project::reaches(&calendar, service, *date, &touched))
                    });
                    let slots = concerned.map(|view| (*view, free(&calendar, view.0, view.1))).collect();
                    Before::Slots { zone: calendar.doctor.zone_name().to_owned(), slots }
                }
            };
            (doctor, before)
        });
        before.collect()
    }

    /// The doctors whose slots are watched and who use a room or a device that a commit takes or frees; those as well of
    /// whom that cannot be told.
    fn sharing(&self, state: &State, commit: &Commit) -> Vec<DoctorId> {
        let shared: Vec<&Entry> = commit.entries().filter(|entry| entry.resources().next().is_some()).collect();
        if shared.is_empty() {
            return Vec::new();
        }
        let uses = |calendar: &Calendar| shared.iter().any(|entry| calendar.uses(entry));
        let watched = state.slots.keys().copied();
        watched.filter(|doctor| self.calendars.kept(*doctor).is_none_or(|calendar| uses(&calendar))).collect()
    }

    pub(super) fn push_slots(&self, state: &mut State, before: Vec<(DoctorId, Before)>, at: Position) {
        for (doctor, before) in before {
            let Some(groups) = state.slots.get_mut(&doctor) else { continue };
            let (zone, slots, calendar) = match (before, self.calendars.kept(doctor)) {
                (Before::Slots { zone, slots }, Some(after)) => (zone, slots, after),
                // It was dropped and read again while they watched, and had this change before they were told of it.
                (Before::ReadAgain, _) => {
                    groups.values_mut().for_each(|group| group.end_before(at));
                    continue;
                }
                // The calendar was dropped while somebody watched it: they come back and get a snapshot.
                (Before::Dropped | Before::Slots { .. }, _) => {
                    groups.values_mut().for_each(|group| group.end_all(Ending::Lost));
                    state.slots.remove(&doctor);
                    continue;
                }
            };
            let other_zone = zone != calendar.doctor.zone_name();
            for (view, before) in slots {
                let (Some(group), after) = (groups.get(&view), free(&calendar, view.0, view.1)) else { continue };
                if other_zone {
                    self.push_reset(group, &project::snapshot(&calendar, after.unwrap_or_default()), at);
                } else {
                    self.push(group, &project::difference(&zone, before, after), at);
                }
            }
        }
    }
}
