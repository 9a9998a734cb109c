//! Which moves an appointment allows, and what each leaves behind.

use uuid::Uuid;

use super::*;
use crate::domain::appointment::{Held, HoldPlace};
use crate::domain::history;
use crate::domain::ids::{AppointmentId, ServiceId};
use crate::domain::tick::Tick;

const MOVES: [Move; 5] = [Move::Approve, Move::CheckIn, Move::Complete, Move::NoShow, Move::Undo];

fn doctor() -> Actor {
    Actor::system(UserId(Uuid::from_u128(1)))
}

fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minutes).unwrap()
}

/// In a state, with the history that a booking has.
fn appointment(status: Status) -> Appointment {
    let by = Actor::system(UserId(Uuid::from_u128(2)));
    let booked =
        HistoryEntry { rev: 1, action: Action::Booked, by, at: minute(0), start: minute(600), overridden: None };
    Appointment {
        id: AppointmentId(Uuid::nil()),
        rev: 1,
        status,
        doctor_id: doctor().user,
        doctor_name: "Dra. Daniela".to_owned(),
        patient_id: by.user,
        patient_name: "Paula".to_owned(),
        walk_in: None,
        service_id: ServiceId(Uuid::nil()),
        service_name: "Consulta".to_owned(),
        start: minute(600),
        end: minute(630),
        time_zone: "America/Bogota".to_owned(),
        reason: None,
        cancel_reason: None,
        series: None,
        notes: None,
        reviewed: false,
        created_at: minute(0),
        updated_at: minute(0),
        held: None,
        seat: None,
        claims: vec![Tick(1), Tick(2)],
        freed: vec![Tick(9)],
        quotas: Vec::new(),
        freed_quotas: Vec::new(),
        resources: Vec::new(),
        freed_resources: Vec::new(),
        history: vec![booked],
    }
}

#[test]
fn each_move_leads_from_one_state_and_keeps_the_time() {
    let legal = |to, status| match (to, status) {
        (Move::Approve, Status::Pending) => Some(Status::Booked),
        (Move::CheckIn, Status::Booked) => Some(Status::Arrived),
        (Move::Complete, Status::Arrived) => Some(Status::Fulfilled),
        (Move::NoShow, Status::Booked) => Some(Status::Noshow),
        _ => None,
    };
    for status in Status::ALL {
        for to in MOVES {
            let before = appointment(status);
            match (before.moved(to, doctor(), minute(1)), legal(to, status)) {
                (Ok(next), Some(expected)) => {
                    assert_eq!((next.rev, next.status), (2, expected), "{to:?} from {status:?}");
                    assert_eq!((&next.claims, next.freed.len()), (&before.claims, 0), "{to:?} from {status:?}");
                    assert_eq!((next.history.len(), next.history[1].by), (2, doctor()));
                    assert!(status.may_become(expected), "{to:?} from {status:?}");
                }
                (Err(refusal), None) => assert_eq!(refusal, Refusal::IllegalTransition),
                (found, expected) => panic!("{to:?} from {status:?}: {found:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn a_move_is_taken_back_within_ten_minutes() {
    let arrived = appointment(Status::Booked).moved(Move::CheckIn, doctor(), minute(100)).unwrap();
    let fulfilled = arrived.moved(Move::Complete, doctor(), minute(130)).unwrap();
    let noshow = appointment(Status::Booked).moved(Move::NoShow, doctor(), minute(100)).unwrap();
    for (moved, at, back) in
        [(&arrived, 100, Status::Booked), (&fulfilled, 130, Status::Arrived), (&noshow, 100, Status::Booked)]
    {
        for (minutes, allowed) in [(-1, true), (0, true), (10, true), (11, false), (100_000, false)] {
            let undone = moved.moved(Move::Undo, doctor(), minute(at + minutes));
            let expected = if allowed { Ok(back) } else { Err(Refusal::IllegalTransition) };
            assert_eq!(undone.map(|undone| undone.status), expected, "after {minutes} minutes");
        }
        let last = minute(at + 10) + SignedDuration::from_millis(1);
        assert!(moved.moved(Move::Undo, doctor(), last).is_err(), "a moment too late");
    }
}

#[test]
fn only_the_latest_move_is_taken_back() {
    let fulfilled = appointment(Status::Booked)
        .moved(Move::CheckIn, doctor(), minute(100))
        .and_then(|arrived| arrived.moved(Move::Complete, doctor(), minute(101)))
        .unwrap();
    let arrived = fulfilled.moved(Move::Undo, doctor(), minute(102)).unwrap();
    assert_eq!((arrived.rev, arrived.status), (4, Status::Arrived));
    assert!(arrived.moved(Move::Undo, doctor(), minute(103)).is_err(), "the latest is the undoing");
    let again = arrived.moved(Move::Complete, doctor(), minute(104)).unwrap();
    assert!(again.moved(Move::Undo, doctor(), minute(105)).is_ok(), "what was done anew can be undone anew");

    let noted = fulfilled.noted(Some("Reposo".to_owned()), doctor(), minute(102)).unwrap();
    assert_eq!(noted.moved(Move::Undo, doctor(), minute(111)).unwrap().status, Status::Arrived);
    assert!(noted.moved(Move::Undo, doctor(), minute(112)).is_err(), "a note gives no more time");
}

#[test]
fn a_request_that_is_declined_frees_its_time() {
    for status in Status::ALL {
        let declined = appointment(status).declined(Some("No atiendo eso".to_owned()), doctor(), minute(1));
        if status != Status::Pending {
            assert_eq!(declined, Err(Refusal::IllegalTransition), "{status:?}");
            continue;
        }
        let declined = declined.unwrap();
        assert_eq!((declined.status, declined.claims.len()), (Status::Cancelled, 0));
        assert_eq!((declined.freed, declined.history[1].action), (vec![Tick(1), Tick(2)], Action::Declined));
        assert_eq!(declined.cancel_reason.as_deref(), Some("No atiendo eso"));
    }
}

#[test]
fn a_patient_is_bound_by_the_cutoff_to_the_moment() {
    let booked = appointment(Status::Booked);
    for (cutoff, now, allowed) in [(0, 600, true), (0, 601, false), (120, 480, true), (120, 481, false)] {
        let expected = if allowed { Ok(()) } else { Err(Refusal::TooLate) };
        assert_eq!(booked.before_cutoff(cutoff, minute(now)), expected, "{cutoff} minutes, at {now}");
    }
    assert_eq!(booked.before_cutoff(i32::MAX, minute(0)), Err(Refusal::TooLate));
}

#[test]
fn notes_and_overrides_are_seen_by_those_they_are_for() {
    let mut noted = appointment(Status::Booked).noted(Some("Alergia".to_owned()), doctor(), minute(1)).unwrap();
    noted.history[0].overridden = Some(Overridden { rule: "hours".to_owned(), reason: Some("Urgencia".to_owned()) });
    for (doctor, practice, entries) in [(true, true, 2), (false, true, 1), (false, false, 1)] {
        let seen = noted.history_for(doctor, practice);
        assert_eq!((seen.len(), seen[0].overridden.is_some()), (entries, practice));
    }
    let erased = noted.without_patient(UserId(Uuid::from_u128(7)), minute(2));
    assert_eq!((erased.notes, erased.history[0].overridden.as_ref().unwrap().reason.as_ref()), (None, None));
    assert_eq!(noted.without_doctor(minute(2)).notes, None);
}

#[test]
fn whoever_held_the_time_has_nothing_to_do_with_what_becomes_of_it() {
    let held = Some(Held { by: UserId(Uuid::from_u128(7)), until: minute(5), place: HoldPlace::Own(0) });
    let booked = Appointment { held, ..appointment(Status::Booked) };
    assert_eq!(booked.moved(Move::CheckIn, doctor(), minute(1)).unwrap().held, None);
    assert_eq!(booked.noted(None, doctor(), minute(1)).unwrap().held, None);
    let hold = Appointment { held, ..appointment(Status::Held) };
    assert_eq!(hold.hold_ended(Action::Released, doctor(), minute(1)).unwrap().held, held);
}

#[test]
fn any_number_of_notes_pushes_no_override_out() {
    let overridden = Overridden { rule: "hours".to_owned(), reason: Some("Urgencia".to_owned()) };
    let mut noted = appointment(Status::Booked).revised(Action::Rescheduled, doctor(), minute(0), Some(overridden));
    for number in 1..300 {
        noted = noted.noted(Some(number.to_string()), doctor(), minute(number)).unwrap();
    }
    assert_eq!(noted.history.len(), history::HISTORY_LIMIT);
    assert!(noted.history[1].overridden.is_some());
    assert_eq!(noted.history.last().unwrap().rev, noted.rev);
}

#[test]
fn reasons_of_the_latest_overrides_are_kept() {
    let mut often = appointment(Status::Booked);
    for number in 0..15 {
        let overridden = Overridden { rule: "hours".to_owned(), reason: Some(number.to_string()) };
        often = often.revised(Action::Rescheduled, doctor(), minute(number), Some(overridden));
    }
    let kept: Vec<String> = often.history.iter().filter_map(|entry| entry.overridden.clone()?.reason).collect();
    assert_eq!(kept, (5..15).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(often.history.iter().filter(|entry| entry.overridden.is_some()).count(), 15);
}
