//! Verdicts, choices and moves, without anybody else.

use jiff::civil::date;

use super::*;
use crate::domain::availability::parse_zone;

fn occurrence(start: &str) -> Occurrence {
    let start: Timestamp = start.parse().expect("an instant");
    Occurrence { local: TimeZone::UTC.to_datetime(start), start: Some(start) }
}

fn judged(verdict: Verdict) -> Judged {
    Judged { local: date(2026, 12, 1).at(9, 0, 0, 0), span: None, verdict, alternatives: Vec::new() }
}

#[test]
fn the_reason_is_the_first_in_the_order_of_errors_and_names_all() {
    use Verdict::{Busy, Free, Taken, Unavailable};
    assert_eq!(refusal(&[judged(Free), judged(Free)]), None);
    let of = |verdicts: &[Verdict]| {
        let all: Vec<Judged> = verdicts.iter().copied().map(judged).collect();
        match refusal(&all) {
            Some(Refusal::OfSeries { why, occurrences }) => (*why, occurrences.len()),
            other => panic!("{other:?}"),
        }
    };
    let taken = Refusal::SlotTaken { alternatives: Vec::new() };
    assert_eq!(of(&[Free, Busy]), (Refusal::PatientBusy, 1));
    assert_eq!(of(&[Busy, Taken, Free]), (taken, 2));
    let unavailable = Refusal::SlotUnavailable { rule: Rule::Horizon };
    assert_eq!(of(&[Busy, Taken, Unavailable(Rule::Horizon), Unavailable(Rule::Hours)]), (unavailable, 4));
}

#[test]
fn what_is_chosen_must_be_an_occurrence() {
    let all = || vec![occurrence("2026-12-01T14:00:00Z"), occurrence("2026-12-08T14:00:00Z")];
    let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
    assert_eq!(chosen(all(), None), Ok(all()));
    assert_eq!(chosen(all(), Some(&[at("2026-12-08T14:00:00Z")])), Ok(all()[1..].to_vec()));
    let wrong = [at("2026-12-08T14:00:00Z"), at("2026-12-08T14:00:00Z"), at("2026-12-09T14:00:00Z")];
    let Err(Refusal::Invalid(found)) = chosen(all(), Some(&wrong)) else { panic!("two are wrong") };
    let found: Vec<_> = found.iter().map(|one| (&*one.pointer, one.code)).collect();
    assert_eq!(found, [("/only/1", "duplicate"), ("/only/2", "invalid")]);
}

#[test]
fn a_move_keeps_the_distance_in_local_time() {
    let zone = parse_zone("Europe/Madrid").expect("a zone");
    let at = |day, hour| instant(&zone, date(2027, 3, day).at(hour, 0, 0, 0)).expect("it exists");
    let starts = [at(14, 9), at(21, 9), at(28, 9)];
    let appointments: Vec<Appointment> =
        starts.iter().map(|start| Appointment { start: *start, ..appointment() }).collect();
    let (moves, later) = moved(&appointments.iter().collect::<Vec<_>>(), &zone, at(15, 11));
    assert!(later);
    let expected = [at(15, 11), at(22, 11), at(29, 11)].map(Some);
    assert_eq!(moves.iter().map(|one| one.start).collect::<Vec<_>>(), expected);
    // 2:30 of the 28th is skipped.
    let half_past_two = instant(&zone, date(2027, 3, 14).at(2, 30, 0, 0)).expect("it exists");
    let (moves, later) = moved(&appointments.iter().collect::<Vec<_>>(), &zone, half_past_two);
    assert!(!later);
    assert_eq!(moves[2].start, None);
}

#[test]
fn a_change_reaches_what_is_still_to_come() {
    use crate::domain::appointment::Status;
    let at = |day: i64| Timestamp::from_second(day * 86_400).expect("an instant");
    let one = |number: u128, day, status| Appointment {
        id: AppointmentId(uuid::Uuid::from_u128(number)),
        start: at(day),
        status,
        ..appointment()
    };
    // The third was moved before the second.
    let all = [
        one(0, 1, Status::Booked),
        one(1, 5, Status::Booked),
        one(2, 4, Status::Pending),
        one(3, 6, Status::Cancelled),
        one(4, 7, Status::Booked),
    ];
    assert_eq!(affected(&all, None, at(2)), Ok(vec![2, 1, 4]));
    assert_eq!(affected(&all, Some(all[1].id), at(2)), Ok(vec![1, 4]));
    assert_eq!(affected(&all, Some(all[3].id), at(2)), Ok(vec![4]), "it is closed, those after it are not");
    assert_eq!(affected(&all, None, at(7)), Err(Refusal::IllegalTransition));
    let unknown = AppointmentId(uuid::Uuid::from_u128(9));
    assert_eq!(affected(&all, Some(unknown), at(2)), Err(Refusal::NotFound));
}

fn appointment() -> Appointment {
    let id = uuid::Uuid::nil();
    Appointment {
        id: AppointmentId(id),
        rev: 1,
        status: crate::domain::appointment::Status::Booked,
        doctor_id: crate::domain::ids::UserId(id),
        doctor_name: String::new(),
        patient_id: crate::domain::ids::UserId(id),
        patient_name: String::new(),
        walk_in: None,
        service_id: crate::domain::ids::ServiceId(id),
        service_name: String::new(),
        start: Timestamp::UNIX_EPOCH,
        end: Timestamp::UNIX_EPOCH,
        time_zone: String::new(),
        series: None,
        reason: None,
        cancel_reason: None,
        notes: None,
        reviewed: false,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        held: None,
        seat: None,
        claims: Vec::new(),
        freed: Vec::new(),
        quotas: Vec::new(),
        freed_quotas: Vec::new(),
        resources: Vec::new(),
        freed_resources: Vec::new(),
        history: Vec::new(),
    }
}
