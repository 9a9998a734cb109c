//! Why a time can be booked, or not: what booking it would come to, without booking it.

use jiff::Timestamp;

use super::Appointments;
use super::terms::permits;
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::doctor::Service;
use crate::domain::ids::{AppointmentId, DoctorId, ServiceId};
use crate::domain::refusal::Refusal;
use crate::domain::slots::{self as rules, Rule};
use crate::domain::tick::Tick;
use crate::error::Result;
use crate::views::calendar::{Calendar, Occupancy};

/// What is against a time.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The doctor's zone.
    pub time_zone: String,
    /// What booking it is refused with; nothing: it can be booked.
    pub refusal: Option<Refusal>,
    /// What takes the time, for the practice alone.
    pub taken_by: Vec<AppointmentId>,
}

impl Appointments {
    /// Whether the viewer can book a time now, and if not, what is against it: the same rules in the same order as
    /// [`Appointments::book`], on what this node has seen.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn explain(
        &self,
        viewer: &Viewer,
        doctor: DoctorId,
        service: ServiceId,
        start: Timestamp,
    ) -> Result<Explained> {
        access::admit("slot.explain", viewer)?;
        let calendar = self.slots.calendar(viewer, doctor).await?;
        let offered = calendar.doctor.service(service)?;
        let mut explained =
            Explained { time_zone: calendar.doctor.zone_name().to_owned(), refusal: None, taken_by: Vec::new() };
        // What somebody holds themselves, they can book.
        let own = viewer.identity().ok().and_then(|identity| calendar.hold_of(identity.user, service, start));
        let asked_at = own.map_or(self.clock.now(), |hold| hold.since);
        let tick = match permits(&calendar.doctor, offered, start, false, asked_at) {
            Ok((tick, _)) => tick,
            Err(refusal) => return Ok(Explained { refusal: Some(refusal), ..explained }),
        };
        let is_practice =
            access::authorise(access::CALENDAR_TOPIC, viewer, Object::of_calendar(&calendar.doctor)).is_ok();
        if !self.slots.is_for(viewer, &calendar, offered).await? {
            return Ok(Explained { refusal: Some(Refusal::SlotUnavailable { rule: Rule::Patients }), ..explained });
        }
        let session = calendar.session_at(offered, tick);
        if own.is_none()
            && session.is_none()
            && let Err(rule) = within_limits(&calendar, offered, tick)
        {
            return Ok(Explained { refusal: Some(Refusal::SlotUnavailable { rule }), ..explained });
        }
        // A session that has begun keeps its length.
        let end =
            session.map_or_else(|| tick.plus_minutes(offered.duration_minutes), |session| Tick::floor(session.end));
        let has_seats = session.is_some_and(|session| session.left(offered.terms.capacity) > 0);
        let is_there = own.is_some() || has_seats;
        let takers = if is_there { Vec::new() } else { calendar.takers(offered.footprint(tick)) };
        if !takers.is_empty() {
            explained.refusal = Some(Refusal::SlotTaken { alternatives: Vec::new() });
            if is_practice {
                explained.taken_by = takers;
            }
        } else if self.slots.is_busy(viewer, tick..end).await? {
            explained.refusal = Some(Refusal::PatientBusy);
        } else if session.is_none() && calendar.in_use_from(offered, tick) != Occupancy::Free {
            explained.refusal = Some(Refusal::SlotUnavailable { rule: Rule::Resource });
        }
        Ok(explained)
    }
}

fn within_limits(calendar: &Calendar, service: &Service, start: Tick) -> Result<(), Rule> {
    let date = rules::local_date(&calendar.doctor, start);
    calendar.places(service, date, &std::collections::BTreeSet::new()).map(drop)
}
