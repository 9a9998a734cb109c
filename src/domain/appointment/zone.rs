//! Appointments whose doctor goes to another zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Action, Appointment};
use crate::domain::history::Actor;
use crate::domain::refusal::Refusal;
use crate::domain::tick::Tick;

impl Appointment {
    /// The next revision, at the same local time in another zone, and as long as it was. A time that the clock skips there is
    /// as much later as the clock skips.
    ///
    /// # Errors
    /// `illegal_transition` unless it is pending or booked.
    pub fn in_zone(&self, from: &TimeZone, to: &TimeZone, by: Actor, now: Timestamp) -> Result<Self, Refusal> {
        self.movable()?;
        let local = from.to_datetime(self.start);
        let start = to.to_ambiguous_timestamp(local).compatible().map_or(self.start, |start| start);
        let ticks = Tick::floor(start).0 - Tick::floor(self.start).0;
        let moved = |tick: Tick| Tick(tick.0 + ticks);
        let mut next = self.clone();
        next.claims = self.claims.iter().copied().map(moved).collect();
        next.freed = self.claims.iter().copied().filter(|tick| !next.claims.contains(tick)).collect();
        next.freed_quotas.clear();
        next.freed_resources.clear();
        next.start = moved(Tick::floor(self.start)).instant();
        next.end = moved(Tick::floor(self.end)).instant();
        next.time_zone = to.iana_name().unwrap_or("UTC").to_owned();
        Ok(next.revised(Action::Rescheduled, by, now, None))
    }
}

/// The order in which appointments are written that move together, so that none meets what another of them still has: those
/// that go later from the last to the first, those that go earlier from the first to the last.
pub fn order_of_writing<T>(moves: &mut [(T, Appointment)], before: impl Fn(&T) -> Timestamp) {
    moves.sort_by_key(|(current, next)| {
        let (from, to) = (before(current).as_second(), next.start.as_second());
        if to > from { (0, -from) } else { (1, from) }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::appointment::Status;
    use crate::domain::availability::parse_zone;
    use crate::domain::ids::{AppointmentId, ServiceId, SessionId, UserId};
    use crate::domain::tick::ticks;
    use uuid::Uuid;

    fn at(start: &str) -> Appointment {
        let start: Timestamp = start.parse().unwrap();
        let tick = Tick::at(start).unwrap();
        Appointment {
            id: AppointmentId(Uuid::nil()),
            rev: 1,
            status: Status::Booked,
            doctor_id: UserId(Uuid::nil()),
            doctor_name: String::new(),
            patient_id: UserId(Uuid::nil()),
            patient_name: String::new(),
            walk_in: None,
            service_id: ServiceId(Uuid::nil()),
            service_name: String::new(),
            start,
            end: Tick(tick.0 + 6).instant(),
            time_zone: "America/Bogota".to_owned(),
            series: None,
            held: None,
            reason: None,
            cancel_reason: None,
            notes: None,
            reviewed: false,
            created_at: start,
            updated_at: start,
            seat: None,
            claims: ticks(tick..Tick(tick.0 + 7)).collect(),
            freed: Vec::new(),
            quotas: Vec::new(),
            freed_quotas: Vec::new(),
            resources: Vec::new(),
            freed_resources: Vec::new(),
            history: Vec::new(),
        }
    }

    #[test]
    fn the_local_time_stays_and_so_does_the_length() {
        let (bogota, madrid) = (parse_zone("America/Bogota").unwrap(), parse_zone("Europe/Madrid").unwrap());
        let by = Actor { user: UserId(Uuid::nil()), session: SessionId(Uuid::nil()) };
        for (start, expected) in [
            ("2026-12-01T14:00:00Z", "2026-12-01T08:00:00Z"),
            ("2026-07-01T14:00:00Z", "2026-07-01T07:00:00Z"),
            // 2:30 there is skipped: 3:30.
            ("2026-03-29T07:30:00Z", "2026-03-29T01:30:00Z"),
        ] {
            let next = at(start).in_zone(&bogota, &madrid, by, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(next.start.to_string(), expected);
            assert_eq!(next.end.duration_since(next.start).as_mins(), 30);
            assert_eq!(next.claims.len(), 7);
            assert_eq!(next.claims[0], Tick::at(next.start).unwrap());
            assert_eq!((next.rev, &*next.time_zone), (2, "Europe/Madrid"));
        }
    }

    #[test]
    fn nobody_is_written_where_another_still_is() {
        let moves =
            [("10:00", "11:00"), ("11:00", "12:00"), ("15:00", "14:00"), ("14:00", "13:00"), ("20:00", "20:00")];
        let time = |time: &str| format!("2026-12-01T{time}:00Z");
        let mut moves: Vec<(Timestamp, Appointment)> =
            moves.iter().map(|(from, to)| (time(from).parse().unwrap(), at(&time(to)))).collect();
        order_of_writing(&mut moves, |from| *from);
        let order: Vec<String> = moves.iter().map(|(from, _)| from.strftime("%H").to_string()).collect();
        assert_eq!(order, ["11", "10", "14", "15", "20"]);
    }
}
