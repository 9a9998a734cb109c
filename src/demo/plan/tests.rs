//! The plan is one that the rules allow, on whatever day the clinic is made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use uuid::Uuid;

use super::*;
use crate::domain::account::{NewAccount, Role, normalised_email};
use crate::domain::appointment::Status;
use crate::domain::ids::UserId;
use crate::domain::notifications::Notifications;
use crate::domain::profile::{EXPERIENCE_MAX, QUALIFICATIONS};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn accounts<'a>(role: Role, names: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<User> {
    let account = |(index, (name, mailbox)): (usize, (&str, &str))| User {
        id: UserId(Uuid::from_u128(role.as_str().len() as u128 * 1_000 + index as u128)),
        rev: 1,
        role,
        name: name.to_owned(),
        email: data::email(mailbox),
        email_verified: true,
        pending_email: None,
        locale: None,
        time_zone: None,
        notifications: Notifications::default(),
        calendar_feed: None,
        created_at: Timestamp::UNIX_EPOCH,
        external: None,
    };
    names.enumerate().map(account).collect()
}

fn clinic(now: Timestamp) -> (Vec<Doctor>, Vec<User>) {
    let physicians = accounts(Role::Doctor, data::DOCTORS.iter().map(|doctor| (doctor.name, doctor.mailbox)));
    let reception = accounts(Role::Staff, [data::RECEPTION].into_iter()).remove(0);
    (doctors(&physicians, &reception, now).expect("valid"), accounts(Role::Patient, data::PATIENTS.iter().copied()))
}

/// Every day of a year and more, at different times: each weekday, changes of the clock, holidays.
fn moments() -> impl Iterator<Item = Timestamp> {
    (0..380).map(|day| at("2026-05-01T00:00:00Z") + SignedDuration::from_hours(day * 25))
}

#[test]
fn everybody_has_an_address_of_their_own_that_is_accepted() {
    let doctors = data::DOCTORS.iter().map(|doctor| (doctor.name, doctor.mailbox, doctor.zone));
    let patients = data::PATIENTS.iter().map(|(name, mailbox)| (*name, *mailbox, data::ZONE));
    let people: Vec<_> = doctors.chain(patients).chain([(data::ADMIN.0, data::ADMIN.1, data::ZONE)]).collect();
    for (name, mailbox, zone) in &people {
        let email = data::email(mailbox);
        assert_eq!(normalised_email(&email), Ok(email.clone()));
        let locale = Some(data::LOCALE.to_owned());
        let (name, time_zone) = ((*name).to_owned(), Some((*zone).to_owned()));
        NewAccount { role: Role::Patient, email, name, locale, time_zone }.checked().expect("accepted");
    }
    let addresses: BTreeSet<_> = people.iter().map(|(_, mailbox, _)| mailbox).collect();
    assert_eq!(addresses.len(), people.len());
}

#[test]
fn every_doctor_is_complete_whenever_the_clinic_is_made() {
    for now in moments() {
        let (doctors, _) = clinic(now);
        assert_eq!(doctors.len(), data::DOCTORS.len());
        for (doctor, physician) in doctors.iter().zip(data::DOCTORS) {
            assert!(doctor.is_approved(), "{}", doctor.name);
            let profile = &doctor.profile;
            assert!(profile.qualifications.len() <= QUALIFICATIONS.0 && !profile.qualifications.is_empty());
            assert!(profile.experience_years.is_some_and(|years| years <= EXPERIENCE_MAX));
            assert_eq!(profile.price, doctor.services[0].price);
            assert_eq!(doctor.rating, Rating::default(), "what the reviews come to");
            assert_eq!(doctor.availability.overrides.is_empty(), physician.exceptions.is_empty(), "{now}");
            assert_eq!(validate_availability(doctor.availability.clone()).as_ref(), Ok(&doctor.availability));
            assert!((1..=3).contains(&doctor.services.len()));
        }
        let services: BTreeSet<_> =
            doctors.iter().flat_map(|doctor| &doctor.services).map(|service| service.id).collect();
        assert_eq!(services.len(), data::DOCTORS.iter().map(|doctor| doctor.services.len()).sum::<usize>());
    }
}

#[test]
fn yearly_exceptions_are_about_the_next_such_date() {
    let closed = Exception::EveryYear { month: 12, day: 24, ranges: &[] };
    for (today, next) in [
        (date(2026, 12, 23), date(2026, 12, 24)),
        (date(2026, 12, 24), date(2026, 12, 24)),
        (date(2026, 12, 25), date(2027, 12, 24)),
    ] {
        assert_eq!(date_of(&closed, today), Some((next, Vec::new())));
    }
}

#[test]
fn every_appointment_could_be_booked_when_it_was() {
    for now in moments() {
        let (doctors, patients) = clinic(now);
        let by_id: BTreeMap<_, _> = doctors.iter().map(|doctor| (doctor.id, doctor)).collect();
        for Planned { appointment, .. } in appointments(&doctors, &patients, now) {
            let doctor = by_id[&appointment.doctor_id];
            let service = doctor.service(appointment.service_id).expect("offered");
            let start = Tick::at(appointment.start).expect("on the grid");
            let candidates = slots::candidates(doctor, service, slots::local_date(doctor, start));
            assert!(candidates.iter().any(|candidate| candidate.start == start), "{appointment:?}");
            assert!(appointment.created_at <= now);
            assert_eq!(slots::check(doctor, service, appointment.start, appointment.created_at), Ok(start));
        }
    }
}

#[test]
fn two_doctors_share_a_room_and_services_take_only_what_there_is() {
    let now = at("2026-08-03T14:00:00Z");
    let (doctors, _) = clinic(now);
    let made: BTreeMap<_, _> = resources(now).into_iter().map(|(resource, _)| (resource.id, resource.kind)).collect();
    assert_eq!(made.len(), data::RESOURCES.len());
    let taken: Vec<_> = doctors.iter().flat_map(Doctor::resources).collect();
    assert!(taken.iter().all(|id| made.contains_key(id)));
    let rooms = taken.iter().filter(|id| made[*id] == ResourceKind::Room);
    assert_eq!(rooms.count(), 2);
}

#[test]
fn nobody_is_in_two_places() {
    for now in moments() {
        let (doctors, patients) = clinic(now);
        let (mut claims, mut spent, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut used = BTreeSet::new();
        for Planned { appointment, request, .. } in appointments(&doctors, &patients, now) {
            assert!(ids.insert(appointment.id), "two of one id");
            assert_eq!(appointment.id.0, derived_id(&request, 0));
            assert!(!appointment.claims.is_empty());
            for tick in &appointment.claims {
                assert!(claims.insert((appointment.doctor_id, *tick)), "{appointment:?}");
            }
            for tick in ticks(appointment.patient_ticks()) {
                assert!(spent.insert((appointment.patient_id, tick)), "{appointment:?}");
                for resource in &appointment.resources {
                    assert!(used.insert((*resource, tick)), "{appointment:?}");
                }
            }
        }
    }
}

#[test]
fn a_group_session_is_in_nobodys_way() {
    for now in moments() {
        let (doctors, patients) = clinic(now);
        let planned = appointments(&doctors, &patients, now);
        let groups = group_sessions(&doctors, &patients, &planned, now);
        let [group] = &groups[..] else { panic!("{now}: {}", groups.len()) };
        assert_eq!((group.session.seats.len(), group.seats.len()), (2, 2));
        for Planned { appointment: seat, request, .. } in &group.seats {
            assert_eq!(
                (seat.seat, seat.start, seat.end),
                (Some(group.session.id), group.session.start, group.session.end)
            );
            assert_eq!(seat.id.0, derived_id(request, 0));
            let meets = |one: &Appointment| one.start < seat.end && seat.start < one.end;
            let theirs =
                planned.iter().map(|planned| &planned.appointment).filter(|one| one.patient_id == seat.patient_id);
            assert!(theirs.filter(|one| meets(one)).count() == 0, "{now}");
        }
        let mut taken = planned.iter().map(|planned| &planned.appointment);
        assert!(taken.all(|one| one.doctor_id != group.session.doctor_id
            || one.claims.iter().all(|tick| !group.session.claims.contains(tick))));
    }
}

#[test]
fn every_doctor_has_some_past_and_mostly_coming_appointments() {
    for now in moments() {
        let (doctors, patients) = clinic(now);
        let planned = appointments(&doctors, &patients, now);
        let weeks = |weeks: i64| now + SignedDuration::from_hours(weeks * 7 * 24 + 24);
        for doctor in &doctors {
            let own = || planned.iter().map(|planned| &planned.appointment).filter(|own| own.doctor_id == doctor.id);
            let coming = own().filter(|own| own.start >= now).count();
            assert!((20..=45).contains(&own().count()) && coming >= 15, "{} {now}: {coming} coming", doctor.name);
            let is_over = |own: &&Appointment| own.end <= now;
            assert!(own().filter(is_over).all(|own| own.status == Status::Fulfilled && own.rev == 3));
            assert!(own().filter(|own| !is_over(own)).all(|own| own.status == Status::Booked));
            assert!(own().all(|own| own.start > weeks(-2) && own.start < weeks(3)));
        }
    }
}

#[test]
fn the_plan_of_a_day_is_the_same_at_every_start() {
    let plan = |now| {
        let (doctors, patients) = clinic(now);
        let planned = appointments(&doctors, &patients, now).into_iter().map(|planned| planned.appointment);
        planned.map(|own| (own.id, own.patient_id, own.service_id, own.start, own.reason)).collect::<Vec<_>>()
    };
    assert_eq!(plan(at("2026-08-03T14:00:00Z")), plan(at("2026-08-03T21:59:59.999Z")));
}
