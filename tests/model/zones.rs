//! What the model makes of a doctor who goes to another zone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::judge::{INVALID, Why, refuse};
use super::state::{Appointment, Model};
use super::step::Keep;
use super::waiting::ticks;

/// The zones of the doctors at first, and others. None changes its clock. The hours of the first two overlap, so that patients and
/// rooms are in demand by both; the last is so far away that most of a day is on another date there.
pub const ZONES: [&str; 4] = ["America/Bogota", "America/Caracas", "Pacific/Galapagos", "Asia/Tokyo"];

/// Appointments by their places.
type Placed<'a> = Vec<(usize, &'a Appointment)>;

impl Model {
    /// Those of a doctor's appointments that move along to another zone, as they are then, by their places. What they leave is offered
    /// to nobody who waits.
    pub fn moved_to(
        &self,
        doctor: usize,
        zone: &TimeZone,
        keep: Keep,
        who: usize,
        now: Timestamp,
    ) -> Result<Vec<(usize, Appointment)>, Vec<Why>> {
        let present = &self.doctors[doctor].zone;
        let is_ahead = |one: &Appointment| one.doctor == doctor && one.is_movable() && one.start > now;
        let (ahead, others): (Placed<'_>, Placed<'_>) =
            self.appointments.iter().enumerate().partition(|(_, one)| is_ahead(one));
        if zone == present || ahead.is_empty() || keep == Keep::Instants {
            return Ok(Vec::new());
        }
        if keep == Keep::Unsaid || ahead.iter().any(|(_, one)| one.seat.is_some()) {
            return refuse(INVALID);
        }
        let left: BTreeSet<i64> = ahead.iter().flat_map(|(_, one)| ticks(one.takes)).collect();
        let away = self.doctors[doctor].off.iter().flat_map(|off| ticks(Some((off.from, off.to))));
        // What time off has not, since somebody was there before.
        let away: BTreeSet<i64> = away.filter(|tick| !left.contains(tick)).collect();
        let mut moved = Vec::new();
        for (place, one) in ahead {
            let start = present.to_datetime(one.start).to_zoned(zone.clone()).expect("a local time").timestamp();
            let shift = start.duration_since(one.start);
            let mut next = Appointment { start, end: one.end + shift, ..one.clone() };
            next.takes = one.takes.map(|(from, to)| (from + shift, to + shift));
            next.zone = zone.iana_name().expect("a zone with a name").to_owned();
            next.revise("rescheduled", who, None);
            let (first, last) = next.takes.expect("it is ahead");
            let is_in_the_way = |(_, other): &(usize, &Appointment)| {
                (other.doctor == doctor && other.takes_any(first, last))
                    || other.keeps_busy(&next.patient, next.start, next.end)
                    || other.keeps_room(doctor, &next.rooms, next.start, next.end)
            };
            if others.iter().any(is_in_the_way) || !away.is_disjoint(&ticks(next.takes)) {
                return refuse(INVALID);
            }
            moved.push((place, next));
        }
        Ok(moved)
    }
}
