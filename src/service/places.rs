//! The places within the limits of a service that appointments take when they are written together.

use std::collections::{BTreeSet, HashSet};

use jiff::civil::Date;

use crate::domain::doctor::Service;
use crate::domain::entry::{Entry, Quota};
use crate::domain::ids::AppointmentId;
use crate::domain::slots::Rule;
use crate::views::calendar::{Calendar, Counted};

/// What is left of a service's places, while they are given out.
pub(super) struct Places<'a> {
    calendar: &'a Calendar,
    service: &'a Service,
    /// Somebody has them, though the calendar does not know it yet.
    lost: &'a BTreeSet<Quota>,
    /// Those that are written anew, and the places that they have.
    moved: &'a HashSet<AppointmentId>,
    own: BTreeSet<Quota>,
    given: BTreeSet<Quota>,
}

impl<'a> Places<'a> {
    pub(super) fn new(
        calendar: &'a Calendar,
        service: &'a Service,
        lost: &'a BTreeSet<Quota>,
        moved: &'a HashSet<AppointmentId>,
    ) -> Self {
        let own = calendar.entries().filter(|entry| moved.contains(&entry.id()));
        let own = own.flat_map(Entry::quotas).copied().collect();
        Self { calendar, service, lost, moved, own, given: BTreeSet::new() }
    }

    /// The places of a session on a date, which may count already.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn look(&self, date: Date, counted: Counted<'_>) -> Result<Vec<Quota>, Rule> {
        let is_moved = |id| self.moved.contains(&id);
        self.calendar.places_where(self.service, date, counted, is_moved, |quota| {
            let theirs = self.calendar.has_place(quota) && !self.own.contains(quota);
            !theirs && !self.lost.contains(quota) && !self.given.contains(quota)
        })
    }

    /// The same, and nobody else is given them.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn take(&mut self, date: Date, counted: Counted<'_>) -> Result<Vec<Quota>, Rule> {
        let places = self.look(date, counted)?;
        self.given.extend(&places);
        Ok(places)
    }
}
