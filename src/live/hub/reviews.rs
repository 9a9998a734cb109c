//! The topic of a doctor's published reviews: whom a commit concerns.

use std::collections::HashMap;

use super::{Hub, State};
use crate::domain::change::{Change, Commit};
use crate::domain::ids::DoctorId;
use crate::live::project;

impl Hub {
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
