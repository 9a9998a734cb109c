//! A doctor who goes to another zone says what becomes of the appointments that are still to come.

use super::{Doctors, unchanged};
use crate::domain::appointment::{Appointment, order_of_writing};
use crate::domain::doctor::Doctor;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::tick::Tick;
use crate::error::Result;
use crate::service::releases::heirs;
use crate::store::appointments::Stored;
use crate::store::doctors::StoredDoctor;
use crate::store::idempotency::Request;
use crate::store::together::Changes;

/// Most appointments that are moved at once.
const MOST_MOVED: usize = 500;

/// What stays of appointments when their doctor's zone changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// They are when they were, at another local time.
    Instants,
    /// They move to the same local time of the new zone.
    LocalTimes,
}

impl Doctors {
    /// What is written with a doctor's next revision: the doctor alone, unless another zone moves appointments.
    ///
    /// # Errors
    /// `validation_failed` when it is not said what becomes of them, or there are too many.
    pub(super) async fn changes(
        &self,
        stored: &StoredDoctor,
        next: &Doctor,
        keep: Option<Keep>,
        request: &Request,
    ) -> Result<Option<Changes>> {
        let (from, to) = (&stored.doctor.availability.time_zone, &next.availability.time_zone);
        if stored.doctor.zone_name() == next.zone_name() || keep == Some(Keep::Instants) {
            return Ok(None);
        }
        let limit = i64::try_from(MOST_MOVED + 1).unwrap_or(i64::MAX);
        let ahead = self.appointments.ahead_of(next.id, request.at, limit).await.map_err(unchanged)?;
        match (keep, ahead.len()) {
            (_, 0) => return Ok(None),
            (None, count) => {
                let many = if count > MOST_MOVED { format!("more than {MOST_MOVED}") } else { count.to_string() };
                let detail = format!(
                    "{many} appointments are still to come: say `keepInstants`, or `keepLocalTimes` to move them to the new zone"
                );
                return Err(Refusal::from(Violation::new("/appointments", "required", detail)).into());
            }
            (Some(_), count) if count > MOST_MOVED => {
                let detail = format!("at most {MOST_MOVED} appointments can be moved at once");
                return Err(Refusal::from(Violation::new("/appointments", "too_many", detail)).into());
            }
            (Some(_), _) => {}
        }
        if ahead.iter().any(|stored| stored.appointment.seat.is_some()) {
            let detail = "group sessions cannot be moved to another zone: say `keepInstants`, or cancel them first";
            return Err(Refusal::from(Violation::new("/appointments", "conflict", detail)).into());
        }
        let moved = |stored: Stored| {
            let next = stored.appointment.in_zone(from, to, request.actor(), request.at)?;
            Ok((stored, next))
        };
        let mut moves: Vec<(Stored, Appointment)> = ahead.into_iter().map(moved).collect::<Result<_, Refusal>>()?;
        order_of_writing(&mut moves, |stored| stored.appointment.start);
        let taken: std::collections::BTreeSet<Tick> =
            moves.iter().flat_map(|(_, next)| &next.claims).copied().collect();
        let freed: std::collections::BTreeSet<Tick> = moves.iter().flat_map(|(_, next)| &next.freed).copied().collect();
        let freed: Vec<Tick> = freed.difference(&taken).copied().collect();
        let changes = Changes::default().doctor(stored, next, request);
        let changes = moves.iter().fold(changes, |changes, (stored, next)| changes.rewritten(stored, next));
        Ok(Some(changes.taken(heirs(next, &freed))))
    }
}

/// What it means that an appointment cannot be moved along.
pub(super) fn in_the_way(refusal: &Refusal) -> Refusal {
    let detail = match refusal {
        Refusal::PatientBusy => {
            "a patient has another appointment at that time: move theirs first, or say `keepInstants`"
        }
        Refusal::SlotUnavailable { .. } => {
            "a room or a device is in use at that time: move what has it first, or say `keepInstants`"
        }
        _ => {
            "the time that an appointment would move to is taken, by time off perhaps: move it first, or say `keepInstants`"
        }
    };
    Violation::new("/appointments", "conflict", detail).into()
}
