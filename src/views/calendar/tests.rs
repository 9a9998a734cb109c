//! What has a start, found for a whole date, is what is found for it alone.

use jiff::civil::{Time, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::doctor::{Approval, Availability, LocalRange, Profile, Rating, Terms};
use crate::domain::entry::TimeOffDay;
use crate::domain::ids::TimeOffId;

const DAY: Date = date(2026, 12, 1);

/// A doctor who is there all day, and of whose time each of these is taken by a document of its own.
fn calendar(service: Service, taken: &[(i32, i32)]) -> Calendar {
    let range = LocalRange { from: Time::midnight(), to: Time::constant(23, 55, 0, 0) };
    let doctor = Doctor {
        id: UserId(Uuid::nil()),
        rev: 1,
        name: "Ada".to_owned(),
        approval: Approval::Approved,
        rating: Rating::default(),
        profile: Profile::default(),
        availability: Availability { overrides: vec![(DAY, vec![range])], ..Availability::closed(TimeZone::UTC) },
        services: vec![service],
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let midnight = slots::day(&doctor, DAY).start.0;
    let entries = (1..).zip(taken).map(|(number, (from, length))| {
        Entry::TimeOff(Arc::new(TimeOffDay {
            id: AppointmentId(Uuid::from_u128(number)),
            rev: 1,
            doctor_id: doctor.id,
            time_off: TimeOffId(Uuid::nil()),
            date: DAY,
            claims: (midnight + from..midnight + from + length).map(Tick).collect(),
            freed: Vec::new(),
            ended: false,
        }))
    });
    let entries = entries.collect();
    Calendar::new(Position(1), doctor, entries)
}

#[test]
fn what_it_takes_is_what_it_holds() {
    let service = service(6, 6, 0, 0);
    let empty = calendar(service.clone(), &[]).bytes();
    let mut one = calendar(service, &[(10, 6), (40, 12)]);
    let full = one.bytes();
    assert!(full > empty + 18 * size_of::<(Tick, AppointmentId)>(), "{empty} {full}");
    let ended = |entry: &Entry| match entry {
        Entry::TimeOff(day) => Change::Entry(Entry::TimeOff(Arc::new(day.ended()))),
        other => panic!("{other:?}"),
    };
    let changes: Vec<Change> = one.entries().map(ended).collect();
    one.apply(&Commit { at: Position(2), changes, bytes: 0 });
    assert_eq!(one.bytes(), empty);
}

fn service(duration: i32, step: i32, before: i32, after: i32) -> Service {
    Service {
        id: ServiceId(Uuid::nil()),
        rev: 1,
        name: "Visita".to_owned(),
        duration_minutes: duration * 5,
        step_minutes: step * 5,
        buffer_before_minutes: before * 5,
        buffer_after_minutes: after * 5,
        price: None,
        min_notice_minutes: 0,
        horizon_days: 90,
        terms: Terms::default(),
        archived: false,
    }
}

proptest! {
    #[test]
    fn a_sweep_finds_what_looking_up_each_start_finds(
        (duration, step, before, after) in (1..40, 1..30, 0..20, 0..20),
        taken in proptest::collection::vec((-60..330, 1..25), 0..20),
    ) {
        let service = service(duration, step, before, after);
        let calendar = calendar(service.clone(), &taken);
        let offered: Vec<(Candidate, Occupancy)> = calendar.offered(&service, DAY).collect();
        prop_assert!(!offered.is_empty());
        for (candidate, occupancy) in offered {
            prop_assert_eq!(occupancy, calendar.occupancy(candidate.footprint.clone()), "{:?}", candidate);
        }
    }
}
