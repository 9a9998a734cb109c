//! Times off: a rule, and days that take what is free. One begins with its rule, and then has its days; it ends with all of them at once.

use jiff::civil::Date;

use super::{Doctors, REPLACE_ATTEMPTS, stale_unless, unchanged};
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::doctor::{Doctor, HistoryEntry};
use crate::domain::entry::TimeOffDay;
use crate::domain::history;
use crate::domain::ids::{DoctorId, TimeOffId};
use crate::domain::refusal::Refusal;
use crate::domain::slots;
use crate::domain::tick::{Tick, ticks};
use crate::domain::time_off::{self, Bound, TimeOff, span};
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::service::releases::{GivenUp, day_of, heirs};
use crate::service::request::{self, Done};
use crate::store::idempotency::Request;
use crate::store::together::{Changes, Together};

/// A time off as it is asked for.
#[derive(Clone, Debug)]
pub struct NewTimeOff {
    pub from: Bound,
    pub to: Bound,
    pub reason: Option<String>,
}

/// A time off, and the doctor who has it, or had it.
#[derive(Clone, Debug)]
pub struct OfDoctor {
    pub doctor: Doctor,
    pub time_off: TimeOff,
}

impl Doctors {
    /// The times off of a doctor: those that are not over, and those that ended lately.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn times_off(&self, viewer: &Viewer, id: DoctorId) -> Result<Doctor> {
        self.authorise_practice("timeOff.list", viewer, id).await?;
        Ok(Doctor::clone(&self.slots.calendar(viewer, id).await?.doctor))
    }

    /// Takes time off. From then on nothing can be booked into it; what was booked before stays.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `validation_failed`, `idempotency_key_reused`, `unavailable`.
    pub async fn begin_time_off(
        &self,
        viewer: &Viewer,
        key: &str,
        id: DoctorId,
        new: &NewTimeOff,
    ) -> Result<Done<OfDoctor>> {
        const OPERATION: &str = "timeOff.create";
        self.authorise_practice(OPERATION, viewer, id).await.map_err(unchanged)?;
        let identity = viewer.identity()?;
        // Of this doctor: staff may use the same key for another one.
        let request = self.request(identity, OPERATION, &format!("{id} {key}"), &[format!("{id} {new:?}")]);
        let ids = || (0..=u8::MAX).map(|generation| TimeOffId(request::derived_id(&request, generation)));
        for _ in 0..REPLACE_ATTEMPTS {
            let Some((stored, at)) = self.store.find(id).await.map_err(unchanged)? else {
                self.open_own_calendar(identity, id).await?;
                continue;
            };
            let doctor = &stored.doctor;
            let has = |id: &TimeOffId| doctor.time_off.iter().any(|off| off.id == *id);
            let zone = &doctor.availability.time_zone;
            if stored.recalls(&request)? {
                let known = ids().take_while(has).last();
                let known = doctor.time_off.iter().find(|off| Some(off.id) == known).cloned();
                // One that was deleted since is told as it was asked for.
                let time_off = match known {
                    Some(known) => {
                        // Whoever asked first may not have come so far.
                        self.take_free(doctor, &known).await?;
                        known
                    }
                    None => made(ids().next(), span(zone, new.from, new.to, jiff::Timestamp::MIN), new)?,
                };
                return Ok(Done { value: OfDoctor { doctor: doctor.clone(), time_off }, at });
            }
            let time_off = made(ids().find(|id| !has(id)), span(zone, new.from, new.to, request.at), new)?;
            let mut next = doctor.clone();
            time_off::add(&mut next.time_off, time_off.clone(), request.at).map_err(Refusal::from)?;
            revise(&mut next, &request);
            // The rule comes first: whoever goes on booking meanwhile sees it, and does not hold up the days for long.
            let changes = Changes::default().doctor(&stored, &next, &request);
            if let Together::Done(at) = self.appointments.write_together(changes).await? {
                self.committed.acknowledged(at);
                self.take_free(&next, &time_off).await?;
                return Ok(Done { value: OfDoctor { doctor: next, time_off }, at });
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::NotApplied) })
    }

    /// Takes what is still free of a time off that has begun.
    async fn take_free(&self, doctor: &Doctor, time_off: &TimeOff) -> Result<()> {
        // Days of this one alone: what another has stays there.
        let alone = Doctor { time_off: vec![time_off.clone()], ..doctor.clone() };
        let all: Vec<Tick> = ticks(time_off.from..time_off.to).collect();
        for _ in 0..REPLACE_ATTEMPTS {
            let changes = Changes::default().taken_if_free(heirs(&alone, &all));
            // Otherwise somebody handed over to a day that was being made.
            if let Together::Done(at) = self.appointments.write_together(changes).await.map_err(unknown)? {
                self.committed.acknowledged(at);
                return self.releases.settle(Some(&GivenUp::of_doctor(doctor.id, &all))).await.map_err(unknown);
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// Ends a time off, or takes it back: what its days took is free, unless another one covers it.
    ///
    /// # Errors
    /// As [`Self::begin_time_off`], and `stale_rev`.
    pub async fn end_time_off(
        &self,
        viewer: &Viewer,
        key: &str,
        doctor: DoctorId,
        id: TimeOffId,
        rev: Option<u32>,
    ) -> Result<Done<()>> {
        const OPERATION: &str = "timeOff.delete";
        self.authorise_practice(OPERATION, viewer, doctor).await.map_err(unchanged)?;
        let request = self.request(viewer.identity()?, OPERATION, key, &[format!("{doctor} {id} {rev:?}")]);
        for _ in 0..REPLACE_ATTEMPTS {
            let (stored, at) = self.store.find(doctor).await.map_err(unchanged)?.ok_or(Refusal::NotFound)?;
            if stored.recalls(&request)? {
                return Ok(Done { value: (), at });
            }
            let current = &stored.doctor;
            let time_off = current.time_off.iter().find(|off| off.id == id).ok_or(Refusal::NotFound)?;
            stale_unless(rev, time_off.rev)?;
            let mut next = current.clone();
            next.time_off.retain(|off| off.id != id);
            revise(&mut next, &request);
            let days = self.appointments.days_off(doctor, time_off).await.map_err(unchanged)?;
            let mut freed: Vec<Tick> = days.iter().flat_map(|day| &day.claims).copied().collect();
            freed.sort_unstable();
            let changes = Changes::default().doctor(&stored, &next, &request);
            let ended = days.iter().map(TimeOffDay::ended).chain(never_began(current, time_off, &days));
            let changes = changes.ended(ended).taken(heirs(&next, &freed));
            if let Together::Done(at) = self.appointments.write_together(changes).await? {
                self.committed.acknowledged(at);
                return Ok(Done { value: (), at });
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::NotApplied) })
    }

    /// Asks the policy about something of a doctor's practice.
    pub(super) async fn authorise_practice(&self, operation: &str, viewer: &Viewer, id: DoctorId) -> Result<()> {
        access::admit(operation, viewer)?;
        let staff = self.slots.staff(viewer, id).await?;
        Ok(access::authorise(operation, viewer, Object::of_doctor(id).with_staff(&staff))?)
    }
}

/// The dates around a time off that have no day, ended before they began. Whoever hands time over by an older zone may name one.
fn never_began<'a>(
    doctor: &'a Doctor,
    time_off: &'a TimeOff,
    days: &'a [TimeOffDay],
) -> impl Iterator<Item = TimeOffDay> + 'a {
    // Two zones are at most 26 hours apart.
    let from = slots::local_date(doctor, time_off.from).saturating_sub(jiff::Span::new().days(2));
    let to = slots::local_date(doctor, Tick(time_off.to.0 - 1)).saturating_add(jiff::Span::new().days(2));
    let missing = move |date: &Date| days.iter().all(|day| day.date != *date);
    let dates = from.series(jiff::Span::new().days(1)).take_while(move |date| *date <= to).filter(missing);
    dates.map(|date| TimeOffDay { ended: true, ..day_of(doctor.id, time_off.id, date, Vec::new()) })
}

fn made(
    id: Option<TimeOffId>,
    span: Result<std::ops::Range<Tick>, Vec<crate::domain::refusal::Violation>>,
    new: &NewTimeOff,
) -> Result<TimeOff, Refusal> {
    let (id, span) = (id.ok_or(Refusal::IdempotencyKeyReused)?, span.map_err(Refusal::Invalid)?);
    Ok(TimeOff { id, rev: 1, from: span.start, to: span.end, reason: new.reason.clone() })
}

/// What every revision has.
pub(super) fn revise(next: &mut Doctor, request: &Request) {
    next.rev += 1;
    next.updated_at = request.at;
    let (action, by) = (request.operation.to_owned(), request.actor());
    history::append(&mut next.history, HistoryEntry { rev: next.rev, action, by, at: request.at });
}

/// What fails after the change was made: to be repeated with the same key.
pub(super) fn unknown(error: Error) -> Error {
    error.with_outcome(Outcome::Unknown)
}
