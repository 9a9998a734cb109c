//! The plan of the demo clinic, pure: whole doctors, and which appointments they have. Writes nothing.
//!
//! The same whenever it is made for the same `now`, so that what is begun by one start is completed by the next.

mod group;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use uuid::Uuid;

pub(super) use self::group::{PlannedGroup, group_sessions};
use super::data::{self, Exception, Offer, Physician};
use crate::domain::account::User;

use crate::domain::appointment::{Appointment, Booking, Move};
use crate::domain::availability::{parse_zone, validate_availability, validate_service};
use crate::domain::doctor::{Approval, Availability, Doctor, LocalRange, Profile, Rating, Service, Terms};
use crate::domain::history::Actor;
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, ResourceId, ServiceId, SessionId, UserId, WaitlistId};
use crate::domain::refusal::Refusal;
use crate::domain::resource::{Resource, ResourceKind};
use crate::domain::slots;
use crate::domain::tick::{Tick, ticks};
use crate::domain::waitlist::{WaitStatus, WaitlistEntry, Wish};
use crate::error::{Error, Result};
use crate::service::request::{derived_id, key_digest};
use crate::store::idempotency::Request;

/// Name of the mutation in what documents remember.
const OPERATION: &str = "demo.seed";
/// Whose the rooms and devices are.
const NOBODY: UserId = UserId(Uuid::nil());
/// Nobody is logged in.
const NO_SESSION: SessionId = SessionId(Uuid::nil());
/// Days of the past that have appointments, counted from today.
const PAST: Range<i64> = -10..0;
/// Today, of which a part is past.
const TODAY: Range<i64> = 0..1;
/// Days to come that have appointments.
const COMING: Range<i64> = 1..21;
/// Appointments of a doctor in the past: at least, and as many more at most.
const PAST_COUNT: (usize, usize) = (6, 3);
/// Appointments of a doctor today.
const TODAY_COUNT: (usize, usize) = (3, 3);
/// Appointments of a doctor to come.
const COMING_COUNT: (usize, usize) = (20, 8);
/// How often a time is drawn until one is free; a doctor who works one day a week needs many.
const DRAWS: usize = 100;
/// The patient booked this many days ahead: at least, and as many more at most. Longer than any notice, shorter than
/// any horizon.
const LEAD_DAYS: (usize, usize) = (2, 8);

/// Days ahead for which somebody waits.
const WAITING_DAYS: i64 = 60;

/// An appointment that is to be written.
#[derive(Debug)]
pub(super) struct Planned {
    pub appointment: Appointment,
    pub request: Request,
    /// What the patient says of it.
    pub review: Option<(u32, Option<&'static str>)>,
}

/// The rooms and devices of the clinic, each with the request that makes it.
pub(super) fn resources(now: Timestamp) -> Vec<(Resource, Request)> {
    let resource = |(name, kind): &(&'static str, ResourceKind)| {
        let resource = Resource {
            id: resource_id(name),
            rev: 1,
            name: (*name).to_owned(),
            kind: *kind,
            archived: false,
            created_at: now,
            updated_at: now,
            history: Vec::new(),
        };
        (resource, request(NOBODY, format!("resource {name}"), now))
    };
    data::RESOURCES.iter().map(resource).collect()
}

/// The same at every start, whoever makes it.
fn resource_id(name: &str) -> ResourceId {
    ResourceId(derived_id(&request(NOBODY, format!("resource {name}"), Timestamp::UNIX_EPOCH), 0))
}

/// The doctors of the clinic, for the accounts of [`data::DOCTORS`] in their order, the first of them with a reception.
pub(super) fn doctors(accounts: &[User], reception: &User, now: Timestamp) -> Result<Vec<Doctor>> {
    let calendars = data::DOCTORS.iter().zip(accounts).enumerate().map(|(index, (physician, account))| {
        let staff = if index < data::AT_THE_RECEPTION { vec![reception.id] } else { Vec::new() };
        Ok(Doctor { staff, ..doctor(physician, account, now)? })
    });
    calendars.collect()
}

fn doctor(physician: &Physician, account: &User, now: Timestamp) -> Result<Doctor> {
    let services = physician.services.iter().enumerate().map(|(index, offer)| service(account.id, index, offer, now));
    Ok(Doctor {
        id: account.id,
        rev: 1,
        name: physician.name.to_owned(),
        approval: Approval::Approved,
        profile: Profile {
            specialisation: Some(physician.specialisation.to_owned()),
            qualifications: physician.qualifications.iter().map(|&line| line.to_owned()).collect(),
            experience_years: Some(physician.experience_years),
            bio: Some(physician.bio.to_owned()),
            languages: physician.languages.iter().map(|&language| language.to_owned()).collect(),
            address: Some(physician.address.to_owned()),
            photo_url: None,
            price: physician.services.first().map(|offer| (offer.pesos * 100, "COP".to_owned())),
        },
        rating: Rating::default(),
        availability: availability(physician, now)?,
        services: services.collect::<Result<_>>()?,
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: now,
    })
}

fn availability(physician: &Physician, now: Timestamp) -> Result<Availability> {
    let time_zone = parse_zone(physician.zone)
        .ok_or_else(|| Error::Internal(format!("the demo's zone {} is unknown", physician.zone)))?;
    let today = now.to_zoned(time_zone.clone()).date();
    let weekly = physician.weekly.iter().flat_map(|(days, ranges)| days.iter().map(move |day| (*day, *ranges)));
    let dates = physician.exceptions.iter().filter_map(|exception| date_of(exception, today));
    let availability = Availability {
        weekly: weekly.flat_map(|(day, ranges)| ranges.iter().map(move |range| (day, *range))).collect(),
        // Should two be about one date, the later in the list holds.
        overrides: dates.collect::<BTreeMap<_, _>>().into_iter().collect(),
        ..Availability::closed(time_zone)
    };
    validate_availability(availability).map_err(|violations| Refusal::Invalid(violations).into())
}

fn service(doctor: DoctorId, index: usize, offer: &Offer, now: Timestamp) -> Result<Service> {
    let service = Service {
        id: ServiceId(derived_id(&request(doctor, format!("service {index}"), now), 0)),
        rev: 1,
        name: offer.name.to_owned(),
        duration_minutes: offer.minutes,
        step_minutes: offer.step,
        buffer_before_minutes: offer.buffers.0,
        buffer_after_minutes: offer.buffers.1,
        price: Some((offer.pesos * 100, "COP".to_owned())),
        min_notice_minutes: offer.notice_hours * 60,
        horizon_days: offer.horizon_days,
        terms: Terms {
            capacity: offer.capacity,
            resources: offer.takes.map(resource_id).into_iter().collect(),
            ..Terms::default()
        },
        archived: false,
    };
    validate_service(&service).map_err(Refusal::Invalid)?;
    Ok(service)
}

/// The date that an exception is about, with the hours of that date; the next one, if it comes every year.
fn date_of(exception: &Exception, today: Date) -> Option<(Date, Vec<LocalRange>)> {
    match *exception {
        Exception::EveryYear { month, day, ranges } => {
            let this_year = Date::new(today.year(), month, day).ok()?;
            let next = if this_year < today { this_year.checked_add(1.year()).ok()? } else { this_year };
            Some((next, ranges.to_vec()))
        }
        Exception::InDays { days, ranges } => Some((today.checked_add(days.days()).ok()?, ranges.to_vec())),
    }
}

/// The appointments of the clinic. No doctor and no patient is in two places, and no room in two hands.
pub(super) fn appointments(doctors: &[Doctor], patients: &[User], now: Timestamp) -> Vec<Planned> {
    let mut patients = Patients { all: patients, busy: HashSet::new(), in_use: HashSet::new() };
    doctors.iter().enumerate().flat_map(|(index, doctor)| agenda(index, doctor, &mut patients, now)).collect()
}

/// The first patient waits for an earlier time of the first doctor.
pub(super) fn waiting(doctors: &[Doctor], patients: &[User], now: Timestamp) -> Option<(WaitlistEntry, Request)> {
    let (doctor, patient) = (doctors.first()?, patients.first()?);
    let service = doctor.services.first()?;
    let zone = &doctor.availability.time_zone;
    let today = now.to_zoned(zone.clone()).date();
    let to = today.checked_add(WAITING_DAYS.days()).ok()?;
    let wish = Wish { from: today, to, times: None, weekdays: Vec::new() };
    let request = request(doctor.id, "waitlist".to_owned(), now);
    let entry = WaitlistEntry {
        id: WaitlistId(derived_id(&request, 0)),
        rev: 1,
        status: WaitStatus::Waiting,
        doctor_id: doctor.id,
        doctor_name: doctor.name.clone(),
        patient_id: patient.id,
        patient_name: patient.name.clone(),
        service_id: service.id,
        service_name: service.name.clone(),
        ends_at: wish.ends_at(zone),
        wish,
        time_zone: doctor.zone_name().to_owned(),
        joined_at: now,
        updated_at: now,
        place: 0,
        offer: None,
        passed: Vec::new(),
        missed: 0,
        appointment: None,
    };
    Some((entry, request))
}

/// Patients, when they are somewhere, and when what doctors share is in use.
struct Patients<'a> {
    all: &'a [User],
    busy: HashSet<(PatientId, Tick)>,
    in_use: HashSet<(ResourceId, Tick)>,
}

/// A time that was drawn.
struct Drawn<'a> {
    service: &'a Service,
    patient: &'a User,
    start: Tick,
}

fn agenda<'a>(index: usize, doctor: &'a Doctor, patients: &mut Patients<'a>, now: Timestamp) -> Vec<Planned> {
    let mut dice = Dice(index as u64);
    let mut taken = HashSet::new();
    let spans = [(PAST, PAST_COUNT), (TODAY, TODAY_COUNT), (COMING, COMING_COUNT)];
    let spans = spans.map(|(days, count)| (days, dice.count(count)));
    let days = spans.into_iter().flat_map(|(days, count)| std::iter::repeat_n(days, count));
    days.enumerate()
        .filter_map(|(number, days)| {
            let drawn = draw(doctor, days, patients, &mut taken, &mut dice, now)?;
            Some(planned(number, doctor, &drawn, &mut dice, now))
        })
        .collect()
}

/// Draws until doctor and patient are both free, and takes their time.
fn draw<'a>(
    doctor: &'a Doctor,
    days: Range<i64>,
    patients: &mut Patients<'a>,
    taken: &mut HashSet<Tick>,
    dice: &mut Dice,
    now: Timestamp,
) -> Option<Drawn<'a>> {
    let today = now.to_zoned(doctor.availability.time_zone.clone()).date();
    let dates: Vec<_> = days.filter_map(|day| today.checked_add(day.days()).ok()).collect();
    let services: Vec<&Service> = doctor.services.iter().filter(|service| !service.is_group()).collect();
    for _ in 0..DRAWS {
        let (service, patient) = (*dice.one_of(&services)?, dice.one_of(patients.all)?);
        let candidates = slots::candidates(doctor, service, *dice.one_of(&dates)?);
        let Some(candidate) = dice.one_of(&candidates) else { continue };
        let visit = || ticks(candidate.start..candidate.end);
        let spent: Vec<_> = visit().map(|tick| (patient.id, tick)).collect();
        let used: Vec<_> = service.terms.resources.iter().flat_map(|id| visit().map(move |tick| (*id, tick))).collect();
        let free = ticks(candidate.footprint.clone()).all(|tick| !taken.contains(&tick))
            && used.iter().all(|used| !patients.in_use.contains(used));
        if free && spent.iter().all(|spent| !patients.busy.contains(spent)) {
            patients.in_use.extend(used);
            taken.extend(ticks(candidate.footprint.clone()));
            patients.busy.extend(spent);
            return Some(Drawn { service, patient, start: candidate.start });
        }
    }
    None
}

fn planned(number: usize, doctor: &Doctor, drawn: &Drawn<'_>, dice: &mut Dice, now: Timestamp) -> Planned {
    let lead = SignedDuration::from_hours(24 * dice.count(LEAD_DAYS) as i64);
    let request = request(doctor.id, format!("appointment {number}"), now);
    let booking = Booking {
        id: AppointmentId(derived_id(&request, 0)),
        doctor,
        service: drawn.service,
        patient_id: drawn.patient.id,
        patient_name: &drawn.patient.name,
        walk_in: None,
        start: drawn.start,
        quotas: Vec::new(),
        reason: dice.one_of(data::REASONS).copied().flatten().map(str::to_owned),
        pending: false,
        overridden: None,
        by: Actor { user: drawn.patient.id, session: NO_SESSION },
        now: now.min(drawn.start.instant() - lead),
    };
    let booked = booking.into_appointment();
    // Thrown for every one, so that what is drawn next does not hang on the time of day.
    let review = dice.one_of(data::REVIEWS).copied().flatten();
    match fulfilled(&booked, doctor.id).filter(|visit| visit.end <= now) {
        Some(visit) => Planned { appointment: visit, request, review },
        None => Planned { appointment: booked, request, review: None },
    }
}

/// A visit that took place at its time.
fn fulfilled(booked: &Appointment, doctor: DoctorId) -> Option<Appointment> {
    let by = Actor { user: doctor, session: NO_SESSION };
    let arrived = booked.moved(Move::CheckIn, by, booked.start).ok()?;
    arrived.moved(Move::Complete, by, booked.end).ok()
}

/// What the seed asks for a doctor. The key alone says what that is.
fn request(doctor: DoctorId, key: String, now: Timestamp) -> Request {
    Request {
        user: doctor,
        session: NO_SESSION,
        operation: OPERATION,
        key: key_digest(&key),
        fingerprint: [0; 32],
        at: now,
    }
}

/// Chance that falls the same way each time: SplitMix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `least + more`.
    fn count(&mut self, (least, more): (usize, usize)) -> usize {
        least + (self.throw() % (more as u64 + 1)) as usize
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.count((0, list.len().saturating_sub(1))))
    }
}

#[cfg(test)]
mod tests;
