//! Group sessions: one document takes the doctor's time, and says which appointments have its seats.
//!
//! Each of these is an appointment like any other, in a document of its own, but for the time, which it takes from its
//! patient alone. A session without seats takes nothing; the next one who wants it begins it anew.
//! `docs/decisions/0019-seats-of-a-group-session.md` says why.

use jiff::Timestamp;

use super::appointment::{Appointment, Status};
use super::doctor::Service;
use super::entry::Quota;
use super::ids::{AppointmentId, DoctorId, ResourceId, ServiceId, UserId};
use super::refusal::Refusal;
use super::tick::{Tick, ticks};

/// A session of a service that several patients share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSession {
    /// Of this document: the same for all who want this service of this doctor at this time.
    pub id: AppointmentId,
    pub rev: u32,
    pub doctor_id: DoctorId,
    pub service_id: ServiceId,
    pub start: Timestamp,
    pub end: Timestamp,
    /// The doctor's ticks that it takes, buffers included; empty when nobody has a seat.
    pub claims: Vec<Tick>,
    /// The ticks that this revision gave up.
    pub freed: Vec<Tick>,
    /// The places within limits of the service that it takes, however many come.
    pub quotas: Vec<Quota>,
    /// Those that this revision gave up.
    pub freed_quotas: Vec<Quota>,
    /// The rooms and devices that it takes from start to end while it takes time.
    pub resources: Vec<ResourceId>,
    /// Those that this revision no longer names.
    pub freed_resources: Vec<ResourceId>,
    /// At most [`super::availability::MOST_PATIENTS`].
    pub seats: Vec<Seat>,
}

/// A seat that is taken. Whoever has it is told in the appointment alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub of: AppointmentId,
    /// The appointment is a hold.
    pub held: Option<HeldSeat>,
}

/// Whose hold a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSeat {
    pub by: UserId,
    pub since: Timestamp,
    /// When it ends by itself, by the database's clock.
    pub until: Timestamp,
}

/// What a session is begun with.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    pub id: AppointmentId,
    pub doctor: DoctorId,
    pub service: &'a Service,
    pub start: Tick,
    pub quotas: Vec<Quota>,
}

impl Seat {
    /// The seat of an appointment.
    #[must_use]
    pub fn of(appointment: &Appointment) -> Self {
        let held = appointment.held.filter(|_| appointment.status == Status::Held);
        let held = held.map(|held| HeldSeat { by: held.by, since: appointment.created_at, until: held.until });
        Self { of: appointment.id, held }
    }
}

impl Opening<'_> {
    /// The session with its first seat: the revision after what is left of an earlier one.
    #[must_use]
    pub fn begin(self, left: Option<&GroupSession>, seat: Seat) -> GroupSession {
        let before = left.map_or(&[][..], |session| &session.resources);
        let resources = &self.service.terms.resources;
        GroupSession {
            id: self.id,
            rev: left.map_or(1, |session| session.rev + 1),
            doctor_id: self.doctor,
            service_id: self.service.id,
            start: self.start.instant(),
            end: self.start.plus_minutes(self.service.duration_minutes).instant(),
            claims: ticks(self.service.footprint(self.start)).collect(),
            freed: Vec::new(),
            quotas: self.quotas,
            freed_quotas: Vec::new(),
            freed_resources: before.iter().copied().filter(|id| !resources.contains(id)).collect(),
            resources: resources.clone(),
            seats: vec![seat],
        }
    }
}

impl GroupSession {
    /// Whether it takes place, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.claims.is_empty()
    }

    /// Seats that nobody has. What a service offers may have become less since.
    #[must_use]
    pub fn left(&self, capacity: i32) -> u32 {
        let taken = i32::try_from(self.seats.len()).unwrap_or(i32::MAX);
        u32::try_from(capacity.saturating_sub(taken)).unwrap_or(0)
    }

    /// The next revision, with one more seat taken.
    ///
    /// # Errors
    /// `slot_taken` when none is left.
    pub fn joined(&self, seat: Seat, capacity: i32) -> Result<Self, Refusal> {
        if self.left(capacity) == 0 {
            return Err(Refusal::SlotTaken { alternatives: Vec::new() });
        }
        let mut next = self.next();
        next.seats.push(seat);
        Ok(next)
    }

    /// The next revision, once an appointment has given up its seat. With the last one the doctor's time is free. `None`: it has none.
    #[must_use]
    pub fn without(&self, of: AppointmentId) -> Option<Self> {
        let mut next = self.next();
        next.seats.retain(|seat| seat.of != of);
        if next.seats.len() == self.seats.len() {
            return None;
        }
        if next.seats.is_empty() {
            next.freed = std::mem::take(&mut next.claims);
            next.freed_quotas = std::mem::take(&mut next.quotas);
        }
        Some(next)
    }

    /// The next revision, once a hold has become an appointment.
    #[must_use]
    pub fn confirmed(&self, of: AppointmentId) -> Self {
        let mut next = self.next();
        next.seats.iter_mut().filter(|seat| seat.of == of).for_each(|seat| seat.held = None);
        next
    }

    fn next(&self) -> Self {
        let (freed, freed_quotas, freed_resources) = Default::default();
        Self { rev: self.rev + 1, freed, freed_quotas, freed_resources, ..self.clone() }
    }

    /// Somebody's hold on a seat.
    #[must_use]
    pub fn hold_of(&self, user: UserId) -> Option<(AppointmentId, HeldSeat)> {
        self.seats.iter().find_map(|seat| seat.held.filter(|held| held.by == user).map(|held| (seat.of, held)))
    }

    /// When the first of its holds ends by itself.
    #[must_use]
    pub fn first_end(&self) -> Option<Timestamp> {
        self.seats.iter().filter_map(|seat| seat.held).map(|held| held.until).min()
    }

    /// When the last of its holds ends by itself, if they are all that there is.
    #[must_use]
    pub fn held_until(&self) -> Option<Timestamp> {
        let ends: Option<Vec<Timestamp>> = self.seats.iter().map(|seat| seat.held.map(|held| held.until)).collect();
        ends?.into_iter().max()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::doctor::Terms;

    fn service(capacity: i32) -> Service {
        Service {
            id: ServiceId(Uuid::from_u128(3)),
            rev: 1,
            name: "Taller".to_owned(),
            duration_minutes: 60,
            step_minutes: 60,
            buffer_before_minutes: 5,
            buffer_after_minutes: 10,
            price: None,
            min_notice_minutes: 0,
            horizon_days: 60,
            terms: Terms { capacity, ..Terms::default() },
            archived: false,
        }
    }

    fn seat(id: u128, until: Option<i64>) -> Seat {
        let held = until.map(|until| HeldSeat {
            by: UserId(Uuid::from_u128(100 + id)),
            since: Timestamp::UNIX_EPOCH,
            until: Timestamp::from_second(until).unwrap(),
        });
        Seat { of: AppointmentId(Uuid::from_u128(id)), held }
    }

    fn begun(left: Option<&GroupSession>, first: Seat) -> GroupSession {
        let id = AppointmentId(Uuid::from_u128(1));
        let doctor = UserId(Uuid::from_u128(2));
        Opening { id, doctor, service: &service(2), start: Tick(1000), quotas: Vec::new() }.begin(left, first)
    }

    #[test]
    fn the_first_begins_it_and_the_last_gives_it_up() {
        let one = begun(None, seat(10, None));
        assert_eq!((one.rev, one.claims.len(), one.left(2)), (1, 15, 1));
        let two = one.joined(seat(11, None), 2).unwrap();
        assert_eq!((two.rev, two.left(2), two.left(1)), (2, 0, 0));
        assert!(matches!(two.joined(seat(12, None), 2), Err(Refusal::SlotTaken { .. })));
        assert!(two.without(AppointmentId(Uuid::from_u128(12))).is_none(), "who has no seat gives up none");
        let alone = two.without(one.seats[0].of).unwrap();
        assert_eq!((alone.is_open(), alone.freed.len(), alone.left(2)), (true, 0, 1));
        let empty = alone.without(two.seats[1].of).unwrap();
        assert_eq!((empty.is_open(), &empty.freed, empty.rev), (false, &one.claims, 4));
        let again = begun(Some(&empty), seat(13, None));
        assert_eq!((again.rev, again.is_open(), again.seats.len()), (5, true, 1));
    }

    #[test]
    fn it_is_held_as_long_as_holds_are_all_that_there_is() {
        let held = begun(None, seat(10, Some(50))).joined(seat(11, Some(40)), 2).unwrap();
        let second = |seconds| Timestamp::from_second(seconds).ok();
        assert_eq!((held.first_end(), held.held_until()), (second(40), second(50)));
        let (hold, _) = held.hold_of(UserId(Uuid::from_u128(110))).unwrap();
        let booked = held.confirmed(hold);
        assert_eq!((booked.first_end(), booked.held_until(), booked.seats.len()), (second(40), None, 2));
        assert!(booked.hold_of(UserId(Uuid::from_u128(110))).is_none());
    }
}
