//! What a person wants to be told by e-mail about appointments.

use std::ops::RangeInclusive;

use super::refusal::Violation;

/// How long before an appointment its reminder may be sent, in minutes: what still leaves time to get there, to a week.
const REMINDER_MINUTES: RangeInclusive<u32> = 15..=7 * 24 * 60;

/// A person's choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notifications {
    /// An appointment was asked for, booked, confirmed, declined, moved or cancelled.
    pub changes: bool,
    /// An appointment as a patient is near.
    pub reminders: bool,
    /// They wait for a time, and one is offered.
    pub offers: bool,
    /// How long before the start a reminder is sent.
    pub reminder_minutes: u32,
}

impl Default for Notifications {
    /// Everything, and reminders a day ahead.
    fn default() -> Self {
        Self { changes: true, reminders: true, offers: true, reminder_minutes: 24 * 60 }
    }
}

/// What is to become of them; absent fields stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationsChange {
    pub changes: Option<bool>,
    pub reminders: Option<bool>,
    pub offers: Option<bool>,
    pub reminder_minutes: Option<u32>,
}

impl NotificationsChange {
    /// Checks the bounds.
    ///
    /// # Errors
    /// A violation at `/notifications/reminderMinutes`.
    pub fn check(self) -> Result<(), Violation> {
        match self.reminder_minutes {
            Some(minutes) if !REMINDER_MINUTES.contains(&minutes) => {
                let (least, most) = (REMINDER_MINUTES.start(), REMINDER_MINUTES.end());
                let detail = format!("must be {least} to {most}");
                Err(Violation::new("/notifications/reminderMinutes", "out_of_range", detail))
            }
            _ => Ok(()),
        }
    }

    /// The choices as they are after it.
    #[must_use]
    pub fn applied_to(self, before: Notifications) -> Notifications {
        Notifications {
            changes: self.changes.unwrap_or(before.changes),
            reminders: self.reminders.unwrap_or(before.reminders),
            offers: self.offers.unwrap_or(before.offers),
            reminder_minutes: self.reminder_minutes.unwrap_or(before.reminder_minutes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reminder_comes_a_quarter_of_an_hour_to_a_week_ahead() {
        let ahead = |minutes| NotificationsChange { reminder_minutes: Some(minutes), ..Default::default() }.check();
        assert!(ahead(15).is_ok() && ahead(10_080).is_ok());
        assert!(ahead(14).is_err() && ahead(10_081).is_err() && ahead(0).is_err() && ahead(u32::MAX).is_err());
        assert!(NotificationsChange::default().check().is_ok());
    }

    #[test]
    fn what_is_not_named_stays() {
        let change = NotificationsChange { offers: Some(false), reminder_minutes: Some(60), ..Default::default() };
        let after = change.applied_to(Notifications::default());
        assert_eq!(after, Notifications { changes: true, reminders: true, offers: false, reminder_minutes: 60 });
        assert_eq!(NotificationsChange::default().applied_to(after), after);
    }
}
