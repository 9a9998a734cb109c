//! Entries through their states, and who is offered what.

use jiff::civil::{date, time};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::domain::availability::parse_zone;
use crate::domain::doctor::{Approval, Availability, Doctor, Profile, Rating, Service, Terms};
use crate::domain::ids::UserId;
use crate::domain::tick::{Tick, ticks};

const NOW: &str = "2026-12-01T12:00:00Z";

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn service(id: u128, duration_minutes: i32) -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(id)),
        rev: 1,
        name: "Visit".to_owned(),
        duration_minutes,
        step_minutes: duration_minutes,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        price: None,
        min_notice_minutes: 0,
        horizon_days: 90,
        terms: Terms::default(),
        archived: false,
    }
}

/// Open from 8 to 18 in Bogotá on Tuesday the 8th, with half hours, whole hours and a group.
fn doctor() -> Doctor {
    let hours = vec![LocalRange { from: time(8, 0, 0, 0), to: time(18, 0, 0, 0) }];
    let zone = parse_zone("America/Bogota").unwrap();
    let group = Service { terms: Terms { capacity: 5, ..Terms::default() }, ..service(3, 30) };
    Doctor {
        id: UserId(Uuid::from_u128(1)),
        rev: 1,
        name: "Ada".to_owned(),
        approval: Approval::Approved,
        rating: Rating::default(),
        profile: Profile::default(),
        availability: Availability { overrides: vec![(date(2026, 12, 8), hours)], ..Availability::closed(zone) },
        services: vec![service(1, 30), service(2, 60), group],
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn entry(service: u128) -> WaitlistEntry {
    WaitlistEntry {
        id: WaitlistId(Uuid::from_u128(7)),
        rev: 1,
        status: WaitStatus::Waiting,
        doctor_id: UserId(Uuid::from_u128(1)),
        doctor_name: "Ada".to_owned(),
        patient_id: UserId(Uuid::from_u128(2)),
        patient_name: "Eva".to_owned(),
        service_id: ServiceId(Uuid::from_u128(service)),
        service_name: "Visit".to_owned(),
        wish: Wish { from: date(2026, 12, 1), to: date(2026, 12, 31), times: None, weekdays: Vec::new() },
        time_zone: "America/Bogota".to_owned(),
        ends_at: instant("2027-01-01T05:00:00Z"),
        joined_at: instant(NOW),
        updated_at: instant(NOW),
        place: 0,
        offer: None,
        passed: Vec::new(),
        missed: 0,
        appointment: None,
    }
}

/// Ticks of the 8th, by hours of UTC.
fn span(from: &str, to: &str) -> Vec<Tick> {
    let tick = |time: &str| Tick::at(instant(&format!("2026-12-08T{time}:00Z"))).unwrap();
    ticks(tick(from)..tick(to)).collect()
}

fn suiting(freed: &Freed<'_>, entry: &WaitlistEntry) -> Vec<String> {
    freed.suiting(entry).map(|start| start.start.instant().to_string()[11..16].to_owned()).collect()
}

#[test]
fn what_is_offered_lies_in_what_was_given_up() {
    let doctor = doctor();
    // 9:00 to 10:30 in Bogotá.
    let mut freed = Freed::new(&doctor, &span("14:00", "15:30"), instant(NOW));
    assert_eq!(suiting(&freed, &entry(1)), ["14:00", "14:30", "15:00"]);
    assert_eq!(suiting(&freed, &entry(2)), ["14:00"]);
    assert_eq!(suiting(&freed, &entry(3)), [""; 0], "groups fill up by themselves");
    assert_eq!(freed.dates(), Some((date(2026, 12, 8), date(2026, 12, 8))));
    let first = freed.suiting(&entry(1)).next().unwrap().clone();
    freed.give(&first);
    assert_eq!(suiting(&freed, &entry(1)), ["14:30", "15:00"]);
    assert_eq!(suiting(&freed, &entry(2)), [""; 0]);
    // Outside of the hours, and in the past.
    assert!(Freed::new(&doctor, &span("11:00", "12:30"), instant(NOW)).is_empty());
    assert!(Freed::new(&doctor, &span("14:00", "15:30"), instant("2026-12-09T00:00:00Z")).is_empty());
    let refused = Doctor { approval: Approval::Rejected, ..doctor };
    assert!(Freed::new(&refused, &span("14:00", "15:30"), instant(NOW)).is_empty());
}

#[test]
fn a_wish_is_for_local_dates_and_times() {
    let doctor = doctor();
    let freed = Freed::new(&doctor, &span("14:00", "16:00"), instant(NOW));
    let with = |change: &dyn Fn(&mut Wish)| {
        let mut entry = entry(1);
        change(&mut entry.wish);
        suiting(&freed, &entry)
    };
    let all = ["14:00", "14:30", "15:00", "15:30"];
    assert_eq!(with(&|wish| wish.from = date(2026, 12, 8)), all);
    assert_eq!(with(&|wish| wish.to = date(2026, 12, 8)), all);
    assert_eq!(with(&|wish| wish.to = date(2026, 12, 7)), [""; 0]);
    assert_eq!(with(&|wish| wish.from = date(2026, 12, 9)), [""; 0]);
    assert_eq!(with(&|wish| wish.weekdays = vec![Weekday::Monday, Weekday::Tuesday]), all);
    assert_eq!(with(&|wish| wish.weekdays = vec![Weekday::Wednesday]), [""; 0]);
    let times =
        |from: (i8, i8), to: (i8, i8)| LocalRange { from: time(from.0, from.1, 0, 0), to: time(to.0, to.1, 0, 0) };
    assert_eq!(with(&|wish| wish.times = Some(times((9, 30), (10, 30)))), ["14:30", "15:00"]);
    assert_eq!(with(&|wish| wish.times = Some(times((9, 10), (10, 20)))), ["14:30"]);
    let passed = WaitlistEntry { passed: vec![instant("2026-12-08T14:00:00Z")], ..entry(1) };
    assert_eq!(suiting(&freed, &passed), all[1..]);
    let left = WaitlistEntry { status: WaitStatus::Left, ..entry(1) };
    assert_eq!(suiting(&freed, &left), [""; 0]);
}

#[test]
fn an_entry_goes_its_way() {
    let (now, start) = (instant(NOW), instant("2026-12-08T14:00:00Z"));
    let hold = AppointmentId(Uuid::from_u128(9));
    let offer = Offer { hold, start, end: start + SignedDuration::from_mins(30), until: now };
    let waiting = entry(1);
    assert_eq!(waiting.passed(now), Err(Refusal::HoldExpired));
    assert_eq!(waiting.fulfilled(now), Err(Refusal::HoldExpired));
    let offered = waiting.offered(offer, now).unwrap();
    assert_eq!((offered.status, offered.rev, offered.offer), (WaitStatus::Offered, 2, Some(offer)));
    assert_eq!(offered.offered(offer, now), Err(Refusal::IllegalTransition), "one at a time");
    assert_eq!(offered.over(now), Err(Refusal::IllegalTransition), "what is offered stays");

    let fulfilled = offered.fulfilled(now).unwrap();
    assert_eq!((fulfilled.status, fulfilled.offer, fulfilled.appointment), (WaitStatus::Fulfilled, None, Some(hold)));
    for ended in [fulfilled, offered.left(now).unwrap(), waiting.left(now).unwrap()] {
        assert_eq!(ended.passed(now), Err(Refusal::IllegalTransition));
        assert_eq!(ended.fulfilled(now), Err(Refusal::IllegalTransition));
        assert_eq!(ended.left(now), Err(Refusal::IllegalTransition));
    }
    let passed = offered.passed(now).unwrap();
    assert_eq!((passed.status, passed.offer, &passed.passed[..]), (WaitStatus::Waiting, None, &[start][..]));
    assert_eq!(waiting.over(now).unwrap().status, WaitStatus::Expired);
}

#[test]
fn who_never_answers_waits_no_more() {
    let now = instant(NOW);
    let offer = |hours: i64| Offer {
        hold: AppointmentId(Uuid::from_u128(9)),
        start: now + SignedDuration::from_hours(hours),
        end: now + SignedDuration::from_hours(hours + 1),
        until: now,
    };
    let missed = |entry: &WaitlistEntry, hours| entry.offered(offer(hours), now).unwrap().missed(now).unwrap();
    let twice = missed(&missed(&entry(1), 1), 2);
    assert_eq!((twice.status, twice.missed, twice.passed.len()), (WaitStatus::Waiting, 2, 2));
    // An answer begins the count anew.
    assert_eq!(twice.offered(offer(3), now).unwrap().passed(now).unwrap().missed, 0);
    let ended = missed(&twice, 3);
    assert_eq!((ended.status, ended.offer), (WaitStatus::Expired, None));

    let mut many = entry(1);
    for hours in 0..100 {
        many = many.offered(offer(hours), now).unwrap().passed(now).unwrap();
    }
    assert_eq!(many.passed.len(), PASSED_LIMIT);
    let later = now + SignedDuration::from_hours(99);
    let next = many.offered(offer(200), later).unwrap().passed(later).unwrap();
    assert_eq!(next.passed, [offer(200).start], "what is past is forgotten");
}

#[test]
fn a_window_has_its_limits() {
    let today = date(2026, 12, 1);
    let wish = |from, to| Wish { from, to, times: None, weekdays: Vec::new() };
    let pointers = |wish: Wish| match wish.validate().and_then(|()| wish.is_ahead(today)) {
        Ok(()) => Vec::new(),
        Err(Refusal::Invalid(found)) => found.into_iter().map(|one| one.pointer.into_owned()).collect(),
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(pointers(wish(today, today)), [""; 0]);
    assert_eq!(pointers(wish(date(2026, 11, 20), today)), [""; 0], "it has begun");
    assert_eq!(pointers(wish(today, date(2027, 3, 2))), [""; 0], "92 dates");
    assert_eq!(pointers(wish(today, date(2027, 3, 3))), ["/to"]);
    assert_eq!(pointers(wish(date(2026, 12, 2), today)), ["/to"]);
    assert_eq!(pointers(wish(date(2026, 11, 1), date(2026, 11, 30))), ["/to"]);
    assert_eq!(pointers(wish(date(2027, 12, 1), date(2027, 12, 2))), [""; 0]);
    assert_eq!(pointers(wish(date(2027, 12, 1), date(2027, 12, 3))), ["/to"]);
    let backwards = LocalRange { from: time(9, 0, 0, 0), to: time(9, 0, 0, 0) };
    assert_eq!(pointers(Wish { times: Some(backwards), ..wish(today, today) }), ["/times/to"]);
    let zone = parse_zone("America/Bogota").unwrap();
    assert_eq!(wish(today, today).ends_at(&zone), instant("2026-12-02T05:00:00Z"));
}
