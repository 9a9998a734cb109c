//! The places within the limits of a service that appointments take when they are written together.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::domain::doctor::Service;
use crate::domain::entry::Quota;
use crate::domain::slots::Rule;
use crate::views::calendar::Calendar;

/// What is left of a service's places, while they are given out.
pub(super) struct Places<'a> {
    calendar: &'a Calendar,
    service: &'a Service,
    /// Somebody has them, though the calendar does not know it yet.
    lost: &'a BTreeSet<Quota>,
    /// Their owners are written anew.
    own: &'a BTreeSet<Quota>,
    given: BTreeSet<Quota>,
}

impl<'a> Places<'a> {
    pub(super) fn new(
        calendar: &'a Calendar,
        service: &'a Service,
        lost: &'a BTreeSet<Quota>,
        own: &'a BTreeSet<Quota>,
    ) -> Self {
        Self { calendar, service, lost, own, given: BTreeSet::new() }
    }

    /// The places of a session on a date, `kept` where it has had one there.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn look(&self, date: Date, kept: &[Quota]) -> Result<Vec<Quota>, Rule> {
        self.calendar.places_where(self.service, date, kept, |quota| {
            let theirs = self.calendar.has_place(quota) && !self.own.contains(quota);
            !theirs && !self.lost.contains(quota) && !self.given.contains(quota)
        })
    }

    /// The same, and nobody else is given them.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn take(&mut self, date: Date, kept: &[Quota]) -> Result<Vec<Quota>, Rule> {
        let places = self.look(date, kept)?;
        self.given.extend(&places);
        Ok(places)
    }
}
