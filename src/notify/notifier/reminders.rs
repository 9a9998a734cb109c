//! Reminders: planned with what confirms or moves an appointment, and sent when they are due.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{DOCUMENTS_AT_ONCE, Hindrance, Notifier, People, addressed, all_of};
use crate::domain::account::User;
use crate::domain::appointment::{Appointment, Status};
use crate::domain::ids::AppointmentId;
use crate::domain::notice;
use crate::error::Result;
use crate::notify::meters;
use crate::store::leases::Lease;
use crate::store::reminders::Reminder;

/// Reminders that are sent before anything else is looked at.
const DUE_AT_ONCE: i64 = 100;

impl Notifier {
    /// Writes the reminders of what is confirmed or moved, and drops those of what is cancelled.
    pub(super) async fn schedule(
        &self,
        changed: &[&Appointment],
        then: &[Vec<Appointment>],
        stored: &HashMap<AppointmentId, Appointment>,
        people: &People,
        now: Timestamp,
    ) -> Result<()> {
        let plan = then.iter().flatten().filter(|visit| notice::plans_reminder(visit));
        let planned: HashSet<_> = plan.map(|visit| visit.id).collect();
        let visits = planned.iter().filter_map(|id| stored.get(id));
        let put: Vec<Reminder> = visits.filter_map(|visit| to_come(visit, people, now)).collect();
        for some in put.chunks(DOCUMENTS_AT_ONCE) {
            self.reminders.put(some).await?;
        }
        let is_over = |visit: &&&Appointment| visit.status == Status::Cancelled;
        let over: Vec<_> = changed.iter().filter(is_over).map(|visit| visit.id).collect();
        self.reminders.drop_of(&over).await
    }

    /// Sends reminders that are due. Returns whether these were all.
    pub(super) async fn remind(&self, lease: &Lease, stop: &CancellationToken) -> Result<bool, Hindrance> {
        let due = self.reminders.due(self.clock.now(), lease.fence(), DUE_AT_ONCE).await?;
        let is_all = i64::try_from(due.len()).is_ok_and(|count| count < DUE_AT_ONCE);
        all_of(due.into_iter().map(|reminder| self.remind_of(reminder, lease, stop)).collect()).await?;
        Ok(is_all)
    }

    async fn remind_of(&self, reminder: Reminder, lease: &Lease, stop: &CancellationToken) -> Result<(), Hindrance> {
        if !self.reminders.take(&reminder, lease.fence()).await? {
            return Ok(());
        }
        let now = self.clock.now();
        let found = self.visits.all_with_ids(&[reminder.of]).await?.pop();
        if let Some(visit) = found.filter(notice::can_be_near) {
            let people = self.people([visit.patient_id].into_iter()).await?;
            // It was moved, or its reader wants to be reminded later.
            if let Some(later) = to_come(&visit, &people, now) {
                return Ok(self.reminders.put_off(&reminder, &later, lease.fence()).await?);
            }
            let mail = addressed(notice::reminder(&visit), &people).filter(|_| visit.start == reminder.start);
            match mail {
                Some(_) if visit.start <= now => meters::too_late(),
                Some(mail) => self.deliver(&mail, lease, stop).await?,
                None => {}
            }
        }
        Ok(self.reminders.done(&reminder, lease.fence()).await?)
    }
}

/// The reminder of an appointment, if there is one and it is not due yet. Nobody is reminded of what they were told of later than they
/// would have been reminded.
fn to_come(visit: &Appointment, people: &People, now: Timestamp) -> Option<Reminder> {
    let patient = people.get(&visit.patient_id).filter(|_| notice::can_be_near(visit))?;
    let due = due(patient, visit.start).filter(|due| *due > now)?;
    Some(Reminder { of: visit.id, start: visit.start, due })
}

/// When somebody wants to be reminded of an appointment, if they do.
fn due(patient: &User, start: Timestamp) -> Option<Timestamp> {
    let chosen = patient.notifications;
    let ahead = SignedDuration::from_mins(i64::from(chosen.reminder_minutes));
    chosen.reminders.then(|| start.checked_sub(ahead).ok()).flatten()
}
