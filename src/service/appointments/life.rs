//! What becomes of appointments once they are booked: the moves of the practice, and the doctor's notes.

use super::{Appointments, Change};
use crate::domain::account::Viewer;
use crate::domain::appointment::{Appointment, Move};
use crate::domain::ids::AppointmentId;
use crate::error::Result;
use crate::service::request::{self, Done};

impl Appointments {
    /// Approves a request, checks a patient in, and so on.
    ///
    /// # Errors
    /// `not_found`, `forbidden` to its patient, `illegal_transition`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn advance(
        &self,
        viewer: &Viewer,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
        to: Move,
    ) -> Result<Done<Appointment>> {
        let operation = match to {
            Move::Approve => "appointment.approve",
            Move::CheckIn => "appointment.checkIn",
            Move::Complete => "appointment.complete",
            Move::NoShow => "appointment.noShow",
            Move::Undo => "appointment.undo",
        };
        self.changed(viewer, operation, key, id, rev, &Change::Move(to), "").await
    }

    /// Declines a request and frees its time.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub async fn decline(
        &self,
        viewer: &Viewer,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
        reason: Option<String>,
    ) -> Result<Done<Appointment>> {
        let asked = format!("{reason:?}");
        self.changed(viewer, "appointment.decline", key, id, rev, &Change::Decline { reason }, &asked).await
    }

    /// Writes what the doctor alone reads, in the place of what was there.
    ///
    /// # Errors
    /// As [`Self::advance`], and `forbidden` to everybody but the doctor.
    pub async fn set_notes(
        &self,
        viewer: &Viewer,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
        notes: Option<String>,
    ) -> Result<Done<Appointment>> {
        let asked = format!("{notes:?}");
        self.changed(viewer, "appointment.setNotes", key, id, rev, &Change::Note { notes }, &asked).await
    }

    #[expect(clippy::too_many_arguments, reason = "one call of three small functions")]
    async fn changed(
        &self,
        viewer: &Viewer,
        operation: &'static str,
        key: &str,
        id: AppointmentId,
        rev: Option<u32>,
        change: &Change,
        asked: &str,
    ) -> Result<Done<Appointment>> {
        let identity = viewer.identity()?;
        let parts = [&id.to_string(), &format!("{rev:?}"), asked];
        let request = request::request(identity, operation, key, &parts, self.clock.now());
        self.change(viewer, &request, id, rev, change).await
    }
}
