//! The topics of waitlists, a person's own and a doctor's: whom a commit concerns.

use std::collections::HashMap;

use super::{Hub, State};
use crate::domain::change::{Change, Commit};
use crate::live::project;

impl Hub {
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
