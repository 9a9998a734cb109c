//! What is changed of the terms on which a service is booked.

use super::Changed;
use crate::domain::doctor::{Patients, Terms};
use crate::domain::ids::ResourceId;

/// Absent fields stay, or have their default; an empty text removes one.
#[derive(Clone, Debug, Default)]
pub struct TermsChange {
    pub requires_approval: Option<bool>,
    pub capacity: Option<i32>,
    pub daily_limit: Option<Changed<i32>>,
    pub weekly_limit: Option<Changed<i32>>,
    pub cancel_cutoff_minutes: Option<i32>,
    pub reschedule_cutoff_minutes: Option<i32>,
    pub location: Option<String>,
    pub video_url: Option<String>,
    pub patients: Option<Patients>,
    pub resources: Option<Vec<ResourceId>>,
}

impl TermsChange {
    pub(super) fn apply(&self, terms: &mut Terms) {
        let set = |field: &mut i32, change: Option<i32>| *field = change.unwrap_or(*field);
        let set_text = |field: &mut Option<String>, change: &Option<String>| {
            if let Some(text) = change {
                *field = (!text.is_empty()).then(|| text.clone());
            }
        };
        terms.requires_approval = self.requires_approval.unwrap_or(terms.requires_approval);
        set(&mut terms.capacity, self.capacity);
        terms.daily_limit = self.daily_limit.unwrap_or(terms.daily_limit);
        terms.weekly_limit = self.weekly_limit.unwrap_or(terms.weekly_limit);
        set(&mut terms.cancel_cutoff_minutes, self.cancel_cutoff_minutes);
        set(&mut terms.reschedule_cutoff_minutes, self.reschedule_cutoff_minutes);
        set_text(&mut terms.location, &self.location);
        set_text(&mut terms.video_url, &self.video_url);
        terms.patients = self.patients.unwrap_or(terms.patients);
        if let Some(resources) = &self.resources {
            terms.resources.clone_from(resources);
        }
    }
}
