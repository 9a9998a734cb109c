//! What becomes of time that an appointment gives up. Within a time off, its days take it over in the same transaction, so that it
//! is never free in between.

use std::sync::Arc;

use jiff::civil::Date;

use super::request::part_id;
use crate::domain::doctor::Doctor;
use crate::domain::entry::TimeOffDay;
use crate::domain::ids::{AppointmentId, DoctorId, TimeOffId};
use crate::domain::tick::Tick;
use crate::domain::time_off::shares;
use crate::error::Result;
use crate::store::appointments::AppointmentStore;
use crate::store::together::Changes;
use crate::views::calendar::{Calendar, Occupancy};
use crate::views::calendars::Calendars;
use crate::views::committed::Committed;

/// The days of a doctor's times off that these ticks belong to, each with those that it takes.
pub(super) fn heirs(doctor: &Doctor, ticks: &[Tick]) -> Vec<TimeOffDay> {
    let day = |(time_off, date, claims)| TimeOffDay {
        id: day_id(time_off, date),
        rev: 1,
        doctor_id: doctor.id,
        time_off,
        date,
        claims,
        freed: Vec::new(),
    };
    shares(doctor, ticks).into_iter().map(|share| day((share.time_off, share.date, share.ticks))).collect()
}

/// The one document of a date of a time off.
fn day_id(time_off: TimeOffId, date: Date) -> AppointmentId {
    let days = date.duration_since(Date::ZERO).as_hours() / 24;
    AppointmentId(part_id(time_off.0, usize::try_from(days).unwrap_or_default()))
}

/// Who takes over what is given up, and who looks after it.
#[derive(Clone)]
pub struct Releases {
    store: AppointmentStore,
    calendars: Arc<Calendars>,
    committed: Arc<Committed>,
}

impl Releases {
    #[must_use]
    pub fn new(store: AppointmentStore, calendars: Arc<Calendars>, committed: Arc<Committed>) -> Self {
        Self { store, calendars, committed }
    }

    /// Who takes over ticks of a doctor, by the rules that this node has seen.
    ///
    /// # Errors
    /// `unavailable`.
    pub(super) async fn heirs(&self, doctor: DoctorId, freed: &[Tick]) -> Result<Vec<TimeOffDay>> {
        if freed.is_empty() {
            return Ok(Vec::new());
        }
        let calendar = self.calendars.get(doctor).await?;
        Ok(calendar.map(|calendar| heirs(&calendar.doctor, freed)).unwrap_or_default())
    }

    /// After a change was committed that freed time of a doctor, or began a time off: what is free within one by now is taken.
    ///
    /// Both sides do this once they have seen what they wrote. So whichever of two came later in the order of commits sees the
    /// other, even if neither knew of it when it decided.
    pub(super) async fn settle(&self, doctor: DoctorId, freed: &[Tick]) -> Result<()> {
        if freed.is_empty() {
            return Ok(());
        }
        self.committed.catch_up().await;
        let Some(calendar) = self.calendars.get(doctor).await? else { return Ok(()) };
        let left = heirs(&calendar.doctor, &free_of(&calendar, freed));
        if !left.is_empty() {
            // Whoever is faster has it: a collision leaves nothing to do.
            self.store.write_together(Changes::default().taken_if_free(left)).await?;
        }
        Ok(())
    }
}

fn free_of(calendar: &Calendar, ticks: &[Tick]) -> Vec<Tick> {
    ticks.iter().copied().filter(|tick| calendar.occupancy(*tick..Tick(tick.0 + 1)) == Occupancy::Free).collect()
}
