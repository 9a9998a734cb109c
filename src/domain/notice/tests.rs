//! Who is told what.

use uuid::Uuid;

use super::*;
use crate::domain::appointment::{HistoryEntry, Move, PartOf, WalkIn};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, ServiceId, SessionId};

const DOCTOR: UserId = UserId(Uuid::from_u128(1));
const PATIENT: UserId = UserId(Uuid::from_u128(2));
const RECEPTION: UserId = UserId(Uuid::from_u128(3));

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-26T12:00:00Z")
}

fn by(user: UserId) -> Actor {
    Actor { user, session: SessionId(Uuid::from_u128(9)) }
}

fn appointment(action: Action, by: UserId) -> Appointment {
    let start = at("2026-12-01T14:00:00Z");
    let status = if action == Action::Requested { Status::Pending } else { Status::Booked };
    let actor = self::by(by);
    Appointment {
        id: AppointmentId(Uuid::from_u128(7)),
        rev: 1,
        status,
        doctor_id: DOCTOR,
        doctor_name: "Daniel Duarte".to_owned(),
        patient_id: PATIENT,
        patient_name: "Paula Pérez".to_owned(),
        walk_in: None,
        service_id: ServiceId(Uuid::from_u128(4)),
        service_name: "Consulta".to_owned(),
        start,
        end: at("2026-12-01T14:30:00Z"),
        time_zone: "America/Bogota".to_owned(),
        series: None,
        reason: Some("Dolor".to_owned()),
        cancel_reason: None,
        notes: Some("Nota privada".to_owned()),
        reviewed: false,
        created_at: now(),
        updated_at: now(),
        held: None,
        seat: None,
        claims: Vec::new(),
        freed: Vec::new(),
        quotas: Vec::new(),
        freed_quotas: Vec::new(),
        resources: Vec::new(),
        freed_resources: Vec::new(),
        history: vec![HistoryEntry { rev: 1, action, by: actor, at: now(), start, overridden: None }],
    }
}

fn told(appointment: &Appointment) -> Vec<(UserId, Side, Event)> {
    let drafts = of_changes([appointment], now());
    drafts.iter().map(|draft| (draft.to, draft.notice.side, draft.notice.event)).collect()
}

fn patient(event: Event) -> (UserId, Side, Event) {
    (PATIENT, Side::Patient, event)
}

fn doctor(event: Event) -> (UserId, Side, Event) {
    (DOCTOR, Side::Doctor, event)
}

#[test]
fn nobody_is_told_what_they_did_but_that_they_have_booked() {
    let (booked, requested) = (Action::Booked, Action::Requested);
    assert_eq!(told(&appointment(booked, PATIENT)), [patient(Event::Booked), doctor(Event::Booked)]);
    assert_eq!(told(&appointment(booked, RECEPTION)), [patient(Event::Booked)]);
    assert_eq!(told(&appointment(booked, DOCTOR)), [patient(Event::Booked)]);
    assert_eq!(told(&appointment(requested, PATIENT)), [doctor(Event::Requested)]);
    let request = appointment(requested, PATIENT);
    assert_eq!(told(&request.moved(Move::Approve, by(RECEPTION), now()).unwrap()), [patient(Event::Approved)]);
    assert_eq!(told(&request.declined(None, by(DOCTOR), now()).unwrap()), [patient(Event::Declined)]);
    let visit = appointment(booked, RECEPTION);
    assert_eq!(told(&visit.cancelled(None, by(PATIENT), now()).unwrap()), [doctor(Event::Cancelled)]);
    assert_eq!(told(&visit.cancelled(None, by(DOCTOR), now()).unwrap()), [patient(Event::Cancelled)]);
    assert_eq!(told(&visit.noted(None, by(DOCTOR), now()).unwrap()), []);
    assert_eq!(told(&visit.moved(Move::CheckIn, by(RECEPTION), now()).unwrap()), []);
    let own = Appointment { patient_id: DOCTOR, ..appointment(booked, DOCTOR) };
    assert_eq!(told(&own), [(DOCTOR, Side::Patient, Event::Booked)], "once, though on both sides");
}

#[test]
fn holds_walk_ins_and_what_is_over_are_told_to_nobody() {
    assert_eq!(told(&appointment(Action::Held, PATIENT)), []);
    let walk_in = Appointment { walk_in: Some(WalkIn::default()), ..appointment(Action::Booked, RECEPTION) };
    assert_eq!(told(&walk_in), []);
    assert!(!can_be_near(&walk_in) && !can_be_near(&appointment(Action::Requested, PATIENT)));
    let visit = appointment(Action::Booked, PATIENT);
    assert!(of_changes([&visit], visit.end).is_empty());
    // Written anew without having changed, as the erasure of somebody else does.
    assert_eq!(told(&Appointment { rev: 2, ..visit }), []);
}

#[test]
fn what_has_changed_again_is_told_as_it_was() {
    let booked = appointment(Action::Booked, PATIENT);
    let mut moved = booked.clone();
    let later = booked.start + jiff::SignedDuration::from_hours(2);
    (moved.rev, moved.start, moved.end) = (2, later, later + jiff::SignedDuration::from_mins(30));
    moved.history.push(HistoryEntry { rev: 2, action: Action::Rescheduled, start: later, ..booked.history[0].clone() });
    let cancelled = moved.cancelled(Some("Se dañó el equipo".to_owned()), by(DOCTOR), now()).unwrap();
    let then = |rev| as_of(&cancelled, rev).map(|visit| of_changes([&visit], now()));
    assert_eq!(then(1), Some(of_changes([&booked], now())));
    assert_eq!(then(2), Some(of_changes([&moved], now())));
    assert_eq!(then(3), Some(of_changes([&cancelled], now())));
    assert_eq!(then(4), None, "it has not come to that yet");
    assert_eq!(as_of(&cancelled, 1).map(|visit| (visit.end, visit.cancel_reason)), Some((booked.end, None)));
}

#[test]
fn a_reason_is_the_practices_and_for_the_patient() {
    let visit = appointment(Action::Booked, PATIENT);
    let reason = |by_whom| {
        let cancelled = visit.cancelled(Some("Se dañó el equipo".to_owned()), by(by_whom), now()).unwrap();
        of_changes([&cancelled], now()).pop().unwrap().notice.reason
    };
    assert_eq!(reason(DOCTOR).as_deref(), Some("Se dañó el equipo"));
    assert_eq!(reason(PATIENT), None);
}

#[test]
fn what_is_told_has_a_name_of_its_own_that_stays() {
    let visit = appointment(Action::Booked, PATIENT);
    let ids = |of: &Appointment| of_changes([of], now()).into_iter().map(|draft| draft.notice.id).collect::<Vec<_>>();
    let (first, again) = (ids(&visit), ids(&visit));
    assert_eq!(first, again);
    assert_ne!(first[0], first[1]);
    let cancelled = ids(&visit.cancelled(None, by(DOCTOR), now()).unwrap());
    assert!(!first.contains(&cancelled[0]) && reminder(&visit).notice.id != first[0]);
}

#[test]
fn a_series_is_told_once() {
    let part = |number: u128, hours: i64| {
        let start = at("2026-12-01T14:00:00Z") + jiff::SignedDuration::from_hours(hours);
        Appointment {
            id: AppointmentId(Uuid::from_u128(number)),
            series: Some(PartOf { id: SeriesId(Uuid::from_u128(5)), rrule: "FREQ=DAILY".to_owned() }),
            start,
            end: start + jiff::SignedDuration::from_mins(30),
            ..appointment(Action::Booked, PATIENT)
        }
    };
    let parts = [part(11, 24), part(10, 0), part(12, 48)];
    let drafts = of_changes(&parts, now());
    assert_eq!(drafts.len(), 2, "the patient and the doctor");
    for draft in &drafts {
        let starts: Vec<_> = draft.notice.times.iter().map(|time| time.start).collect();
        assert_eq!(starts, [parts[1].start, parts[0].start, parts[2].start]);
    }
    // Told again once its first part is over, it is the same notice, of what is still to come.
    let later = of_changes(&parts[1..], parts[1].end);
    let all = of_changes(&parts[1..], now());
    assert_eq!(later.len(), 2);
    for (later, all) in later.iter().zip(&all) {
        assert_eq!((&later.notice.id, later.notice.times.len()), (&all.notice.id, 1));
    }
    assert!(of_changes(&parts, parts[2].end).is_empty());
    let alone = [appointment(Action::Booked, PATIENT), appointment(Action::Booked, PATIENT)];
    assert_eq!(of_changes(&alone, now()).len(), 4, "without a series each is told");
}

#[test]
fn a_reminder_is_planned_with_what_confirms_or_moves() {
    let booked = appointment(Action::Booked, PATIENT);
    let request = appointment(Action::Requested, PATIENT);
    assert!(plans_reminder(&booked) && !plans_reminder(&request));
    assert!(plans_reminder(&request.moved(Move::Approve, by(DOCTOR), now()).unwrap()));
    assert!(!plans_reminder(&booked.noted(None, by(DOCTOR), now()).unwrap()));
    assert!(!plans_reminder(&booked.moved(Move::CheckIn, by(RECEPTION), now()).unwrap()));
    // Written anew without having changed.
    assert!(!plans_reminder(&Appointment { rev: 2, ..booked }));
}

#[test]
fn everybody_chooses() {
    let notice = |event| Notice { event, ..reminder(&appointment(Action::Booked, PATIENT)).notice };
    let all = Notifications::default();
    for (event, without) in [
        (Event::Cancelled, Notifications { changes: false, ..all }),
        (Event::Requested, Notifications { changes: false, ..all }),
        (Event::Near, Notifications { reminders: false, ..all }),
        (Event::Offered, Notifications { offers: false, ..all }),
    ] {
        assert!(notice(event).is_wanted(all) && !notice(event).is_wanted(without), "{event:?}");
    }
}
