//! What is for and against the occurrences of a series: by the rules, by what others have, and by what the database refused.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use jiff::Timestamp;

use super::{BookSeries, Change, SeriesOfAppointments};
use crate::domain::appointment::Appointment;
use crate::domain::doctor::Service;
use crate::domain::entry::Quota;
use crate::domain::ids::{AppointmentId, PatientId, UserId};
use crate::domain::recurrence::Occurrence;
use crate::domain::refusal::Refusal;
use crate::domain::series::{self as rules, Judged, Taken, Verdict};
use crate::domain::slots::{Rule, local_date};
use crate::domain::tick::{Tick, ticks};
use crate::error::{Error, Result};
use crate::service::appointments::{Way, unchanged};
use crate::service::places::Places;
use crate::service::slots;
use crate::store::idempotency::Request;
use crate::views::calendar::{Calendar, Counted, Occupancy};

/// An occurrence that is to be written.
pub(super) struct Wanted {
    pub(super) occurrence: Occurrence,
    pub(super) start: Tick,
    pub(super) quotas: Vec<Quota>,
}

/// What one's own appointments have of a doctor's and a patient's time: nothing that is in their way.
#[derive(Default)]
pub(super) struct Own {
    moved: HashSet<AppointmentId>,
    doctor: HashSet<Tick>,
    patient: HashSet<Tick>,
}

impl SeriesOfAppointments {
    /// The occurrences that are wanted, as long as the rules allow them all.
    pub(super) fn wanted(
        &self,
        calendar: &Calendar,
        service: &Service,
        book: &BookSeries,
        now: Timestamp,
        outnumbered: &BTreeSet<Quota>,
    ) -> Result<Vec<Wanted>, Refusal> {
        let occurrences = rules::chosen(self.expand(calendar, &book.plan)?, book.only.as_deref())?;
        let none = HashSet::new();
        let mut left = Places::new(calendar, service, outnumbered, &none);
        let order: Vec<(Occurrence, Counted<'_>)> =
            occurrences.into_iter().map(|one| (one, Counted::default())).collect();
        within_rules(calendar, service, &order, now, &mut left)
    }

    /// The verdicts on occurrences, with what others have by now, and what is free instead.
    pub(super) async fn judge(
        &self,
        calendar: &Calendar,
        service: &Service,
        patient: PatientId,
        occurrences: Vec<Occurrence>,
        own: &Own,
    ) -> Result<Vec<Judged>> {
        // What took a time may have been seen by now.
        let newer = self.appointments.calendars.kept(calendar.doctor.id);
        let calendar = newer.as_deref().unwrap_or(calendar);
        let now = self.appointments.clock.now();
        let starts = || occurrences.iter().filter_map(|one| one.start);
        let spent: HashSet<Tick> = match (starts().min(), starts().max()) {
            (Some(first), Some(last)) => {
                let range = Tick::floor(first)..Tick::floor(last).plus_minutes(service.duration_minutes);
                self.appointments.store.spent_by(patient, range).await?.into_iter().collect()
            }
            _ => HashSet::new(),
        };
        let (doctor, none) = (&calendar.doctor, BTreeSet::new());
        let mut left = Places::new(calendar, service, &none, &own.moved);
        let mut all = Vec::with_capacity(occurrences.len());
        for occurrence in occurrences {
            let taken = Taken {
                places: |date| left.look(date, Counted::default()).map(drop),
                doctor: |range: Range<Tick>| {
                    ticks(range).any(|tick| {
                        !own.doctor.contains(&tick) && calendar.occupancy(tick..Tick(tick.0 + 1)) != Occupancy::Free
                    })
                },
                patient: |range: Range<Tick>| {
                    ticks(range).any(|tick| !own.patient.contains(&tick) && spent.contains(&tick))
                },
                // One's own are the same doctor's.
                resources: |range: Range<Tick>| calendar.in_use(&service.terms.resources, range) != Occupancy::Free,
            };
            let mut judged = rules::judge(doctor, service, occurrence, now, &taken);
            match (judged.verdict, occurrence.start) {
                // Those that could be booked count for those that follow.
                (Verdict::Free, Some(start)) => {
                    drop(left.take(local_date(doctor, Tick::floor(start)), Counted::default()));
                }
                (Verdict::Taken | Verdict::Unavailable(_), Some(start)) => {
                    judged.alternatives = slots::alternatives(calendar, service, start, now);
                }
                _ => {}
            }
            all.push(judged);
        }
        Ok(all)
    }

    /// Why appointments cannot be moved, as far as it can be told.
    pub(super) async fn in_the_way(
        &self,
        affected: &[&Appointment],
        change: &Change,
        refusal: Refusal,
        lost: usize,
    ) -> Error {
        let Change::Reschedule { start } = change else {
            return Error::Internal("a collision of appointments that take nothing new".to_owned());
        };
        let told = async {
            let (calendar, service) = self.rules_of(affected).await?;
            let (moves, _) = rules::moved(affected, &calendar.doctor.availability.time_zone, *start);
            let patient = affected.first().map_or(UserId(uuid::Uuid::nil()), |one| one.patient_id);
            let own = Own {
                moved: affected.iter().map(|one| one.id).collect(),
                doctor: affected.iter().flat_map(|one| one.claims.iter().copied()).collect(),
                patient: affected.iter().flat_map(|one| ticks(one.patient_ticks())).collect(),
            };
            let judged = self.judge(&calendar, &service, patient, moves, &own).await?;
            Ok((judged, calendar))
        };
        match told.await {
            Ok((judged, calendar)) => against(refusal, lost, judged).in_zone(calendar.doctor.zone_name()).into(),
            Err(error) => unchanged(error),
        }
    }

    /// Whether what was in the way of an occurrence has run out, and is out of the way now.
    pub(super) async fn makes_way(
        &self,
        calendar: &Calendar,
        refusal: &Refusal,
        wanted: Option<&Appointment>,
        request: &Request,
    ) -> Result<bool> {
        let is_time = matches!(refusal, Refusal::SlotTaken { .. } | Refusal::SlotUnavailable { rule: Rule::Resource });
        let Some(wanted) = wanted.filter(|_| is_time) else { return Ok(false) };
        Ok(matches!(self.appointments.make_way(calendar, wanted, false, request).await?, Way::Freed))
    }
}

/// Occurrences, each with where it counts before: what they are once written, in this order.
///
/// # Errors
/// `slot_unavailable` with all that the rules are against. What others took is not looked at.
pub(super) fn within_rules(
    calendar: &Calendar,
    service: &Service,
    order: &[(Occurrence, Counted<'_>)],
    now: Timestamp,
    left: &mut Places<'_>,
) -> Result<Vec<Wanted>, Refusal> {
    let (mut wanted, mut judged) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
    for (occurrence, counted) in order {
        let places = |date| left.look(date, *counted).map(drop);
        let taken = Taken { places, doctor: |_| false, patient: |_| false, resources: |_| false };
        let one = rules::judge(&calendar.doctor, service, *occurrence, now, &taken);
        if let (Verdict::Free, Some(start)) = (one.verdict, occurrence.start.and_then(Tick::at)) {
            let quotas = left.take(local_date(&calendar.doctor, start), *counted).unwrap_or_default();
            wanted.push(Wanted { occurrence: *occurrence, start, quotas });
        }
        judged.push(one);
    }
    judged.sort_by_key(|one| one.local);
    rules::refusal(&judged).map_or(Ok(wanted), |refusal| Err(refusal.in_zone(calendar.doctor.zone_name())))
}

/// What the database refused, with the verdicts that go with it. The view may not know yet what took the one that lost.
pub(super) fn against(refusal: Refusal, lost: usize, mut judged: Vec<Judged>) -> Refusal {
    if let Some(one) = judged.get_mut(lost).filter(|one| one.verdict == Verdict::Free) {
        one.verdict = match refusal {
            Refusal::PatientBusy => Verdict::Busy,
            Refusal::SlotUnavailable { rule } => Verdict::Unavailable(rule),
            _ => Verdict::Taken,
        };
    }
    rules::refusal(&judged).unwrap_or(refusal)
}
