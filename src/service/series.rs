//! Recurring appointments: tried, booked, moved and cancelled together. What is decided of each is decided as for a single
//! one; one transaction writes them all.

mod verdicts;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;

use self::verdicts::{Own, Wanted, against, within_rules};
use super::appointments::{Appointments, For, GENERATIONS, REPLACE_ATTEMPTS, unchanged, unknown};
use super::places::Places;
use super::releases::GivenUp;
use super::request::{self, Done};
use crate::domain::access::{self, Object};
use crate::domain::account::{Identity, Viewer};
use crate::domain::appointment::{Appointment, Booking, PartOf, Status};
use crate::domain::change::Position;
use crate::domain::doctor::Service;
use crate::domain::entry::Quota;
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, SeriesId, ServiceId, UserId};
use crate::domain::recurrence::{self, Occurrence};
use crate::domain::refusal::Refusal;
use crate::domain::series::{self as rules, Judged, Verdict};
use crate::domain::slots::{Rule, local_date};
use crate::domain::tick::Tick;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::appointments::Stored;
use crate::store::idempotency::Request;
use crate::store::together::{Changes, Together};
use crate::views::calendar::{Calendar, Counted};

/// Recurring appointments.
pub struct SeriesOfAppointments {
    appointments: Arc<Appointments>,
}

/// A rule and what it is for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub doctor: DoctorId,
    pub service: ServiceId,
    pub start: Timestamp,
    pub rrule: String,
    pub patient: For,
}

/// What is to be booked.
#[derive(Clone, Debug)]
pub struct BookSeries {
    pub plan: Plan,
    pub reason: Option<String>,
    /// Starts of the occurrences that are wanted; `None`: all.
    pub only: Option<Vec<Timestamp>>,
}

/// Appointments of a series, by start.
#[derive(Clone, Debug)]
pub struct Booked {
    pub id: SeriesId,
    pub rrule: String,
    pub appointments: Vec<Appointment>,
}

/// What is to become of the appointments of a series.
enum Change {
    Reschedule { start: Timestamp },
    Cancel { reason: Option<String> },
}

/// Which ones, and from which on.
struct Target {
    id: SeriesId,
    from: Option<AppointmentId>,
}

impl SeriesOfAppointments {
    #[must_use]
    pub fn new(appointments: Arc<Appointments>) -> Self {
        Self { appointments }
    }

    /// The verdict on every occurrence of a rule, and the zone of their local times.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `validation_failed`, `unavailable`.
    pub async fn preview(&self, viewer: &Viewer, plan: &Plan) -> Result<(String, Vec<Judged>)> {
        let nobody = UserId(uuid::Uuid::nil());
        let who = self.appointments.patient_of("series.preview", viewer, plan.doctor, &plan.patient, nobody).await?;
        let calendar = self.calendar(viewer, plan.doctor).await?;
        let service = rules::alone(calendar.doctor.service(plan.service)?)?;
        let occurrences = self.expand(&calendar, plan)?;
        let mut judged = self.judge(&calendar, service, who, occurrences, &Own::default()).await?;
        if !self.is_for(plan, service, who).await? {
            let by_rule = |one: &Judged| matches!(one.verdict, Verdict::Unavailable(rule) if rule != Rule::Resource);
            for one in judged.iter_mut().filter(|one| !by_rule(one)) {
                one.verdict = Verdict::Unavailable(Rule::Patients);
            }
        }
        Ok((calendar.doctor.zone_name().to_owned(), judged))
    }

    /// Whether a service is for the patient of a plan.
    async fn is_for(&self, plan: &Plan, service: &Service, patient: PatientId) -> Result<bool> {
        let known_by = (!matches!(plan.patient, For::WalkIn { .. })).then_some(patient);
        self.appointments.takes(plan.doctor, service, known_by).await
    }

    /// Books all occurrences that are wanted, or none.
    ///
    /// # Errors
    /// As of a single booking, with the occurrences that are against it; `validation_failed`.
    pub async fn book(&self, viewer: &Viewer, key: &str, book: BookSeries) -> Result<Done<Booked>> {
        const OPERATION: &str = "series.book";
        let identity = viewer.identity()?;
        let plan = &book.plan;
        let request = book.request(identity, OPERATION, key, self.appointments.clock.now());
        let stranger = UserId(request::derived_id(&request.of("series.book/patient"), 0));
        let patient = self.appointments.patient_of(OPERATION, viewer, plan.doctor, &plan.patient, stranger).await?;
        let calendar = match self.calendar(viewer, plan.doctor).await.map_err(unchanged) {
            Ok(calendar) => calendar,
            Err(error) => return self.remembered(&request).await?.ok_or(error),
        };
        let service = match rules::alone(calendar.doctor.service(plan.service)?) {
            Ok(service) => service,
            Err(refusal) => return self.remembered(&request).await?.ok_or(Refusal::from(refusal).into()),
        };
        let practice = self.appointments.is_practice(viewer, plan.doctor).await.map_err(unchanged)?;
        if !self.is_for(plan, service, patient).await.map_err(unchanged)? {
            let refusal = Refusal::SlotUnavailable { rule: Rule::Patients };
            return self.remembered(&request).await?.ok_or(refusal.into());
        }
        let mut lost = BTreeSet::new();
        let (mut generation, mut ways) = (0, 0);
        while generation < GENERATIONS {
            let wanted = match self.wanted(&calendar, service, &book, request.at, &lost) {
                Ok(wanted) => wanted,
                // A success that is remembered stays one, whatever the rules say by now.
                Err(refusal) => return self.remembered(&request).await?.ok_or(refusal.into()),
            };
            let (name, walk_in) = match self.appointments.written_of(identity, patient, &plan.patient).await {
                Ok(written) => written,
                Err(error) => return self.remembered(&request).await?.ok_or(error),
            };
            let id = SeriesId(request::derived_id(&request, generation));
            let appointment = |(place, one): (usize, &Wanted)| {
                let booking = Booking {
                    id: AppointmentId(request::part_id(id.0, place)),
                    doctor: &calendar.doctor,
                    service,
                    patient_id: patient,
                    patient_name: &name,
                    walk_in: walk_in.clone(),
                    start: one.start,
                    quotas: one.quotas.clone(),
                    pending: service.terms.requires_approval && !practice,
                    overridden: None,
                    reason: book.reason.clone(),
                    by: request.actor(),
                    now: request.at,
                };
                Appointment { series: Some(PartOf { id, rrule: plan.rrule.clone() }), ..booking.into_appointment() }
            };
            let appointments: Vec<Appointment> = wanted.iter().enumerate().map(appointment).collect();
            match self.appointments.store.insert_together(&appointments, &request).await? {
                Together::Done(at) => return self.acknowledged(appointments, at),
                Together::Refused { refusal, lost } => {
                    if ways < wanted.len()
                        && self.makes_way(&calendar, &refusal, appointments.get(lost), &request).await?
                    {
                        ways += 1;
                        continue;
                    }
                    let occurrences = wanted.iter().map(|one| one.occurrence).collect();
                    let judged = self.judge(&calendar, service, patient, occurrences, &Own::default()).await;
                    let refusal = against(refusal, lost, judged.map_err(unchanged)?);
                    return Err(refusal.in_zone(calendar.doctor.zone_name()).into());
                }
                Together::Outnumbered(place) => drop(lost.insert(place)),
                Together::Stale | Together::NotOffered(_) => {
                    if let Some(done) = self.recall(id, &request).await.map_err(unknown)? {
                        return Ok(done);
                    }
                    generation += 1;
                }
            }
        }
        Err(Refusal::IdempotencyKeyReused.into())
    }

    /// The appointments of a series.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `unavailable`.
    pub async fn get(&self, viewer: &Viewer, id: SeriesId) -> Result<Booked> {
        access::admit("series.get", viewer)?;
        let (stored, _) = self.appointments.store.of_series(id).await?;
        let stored = self.authorised("series.get", viewer, stored).await?;
        booked(stored.into_iter().map(|one| one.appointment).collect()).ok_or(Refusal::NotFound.into())
    }

    /// Moves those that are still to come, all or none, so that the first of them starts at `start`.
    ///
    /// # Errors
    /// As of a single one, with the occurrences that are against it.
    pub async fn reschedule(
        &self,
        viewer: &Viewer,
        key: &str,
        id: SeriesId,
        from: Option<AppointmentId>,
        start: Timestamp,
    ) -> Result<Done<Booked>> {
        const OPERATION: &str = "series.reschedule";
        let parts = [id.to_string(), format!("{from:?}"), start.to_string()];
        let parts = parts.each_ref().map(String::as_str);
        let request = request::request(viewer.identity()?, OPERATION, key, &parts, self.appointments.clock.now());
        self.change(viewer, &request, &Target { id, from }, &Change::Reschedule { start }).await
    }

    /// Cancels those that are still to come, all or none.
    ///
    /// # Errors
    /// `not_found`, `illegal_transition`, `idempotency_key_reused`, `unavailable`.
    pub async fn cancel(
        &self,
        viewer: &Viewer,
        key: &str,
        id: SeriesId,
        from: Option<AppointmentId>,
        reason: Option<String>,
    ) -> Result<Done<Booked>> {
        const OPERATION: &str = "series.cancel";
        let parts = [id.to_string(), format!("{from:?}"), format!("{reason:?}")];
        let parts = parts.each_ref().map(String::as_str);
        let request = request::request(viewer.identity()?, OPERATION, key, &parts, self.appointments.clock.now());
        self.change(viewer, &request, &Target { id, from }, &Change::Cancel { reason }).await
    }

    /// Reads, decides and replaces, again while others change the same appointments.
    async fn change(
        &self,
        viewer: &Viewer,
        request: &Request,
        target: &Target,
        change: &Change,
    ) -> Result<Done<Booked>> {
        access::admit(request.operation, viewer)?;
        let store = &self.appointments.store;
        let (mut attempt, mut outnumbered, mut ways) = (0, BTreeSet::new(), 0);
        let mut lost_to: Option<AppointmentId> = None;
        while attempt < REPLACE_ATTEMPTS + outnumbered.len() + ways {
            attempt += 1;
            // The first look may be a moment old, since the guards decide. What follows a lost guard must know why: after
            // this read, a majority has everything that could have been in the way.
            let settle = if lost_to.is_some() { unknown } else { unchanged };
            if let Some(id) = lost_to {
                store.find_latest(id).await.map_err(settle)?;
            }
            let (stored, at) = store.of_series(target.id).await.map_err(settle)?;
            let stored = self.authorised(request.operation, viewer, stored).await.map_err(settle)?;
            let original: Vec<Appointment> =
                stored.iter().filter_map(|one| one.recall(request).transpose()).collect::<Result<_>>()?;
            if !original.is_empty() {
                return self.acknowledged(original, at);
            }
            let current: Vec<Appointment> = stored.iter().map(|one| one.appointment.clone()).collect();
            let places = rules::affected(&current, target.from, request.at)?;
            let affected: Vec<&Appointment> = places.iter().map(|place| &current[*place]).collect();
            let (next, backwards) =
                self.decide(viewer, &affected, change, request, &outnumbered).await.map_err(settle)?;
            let mut changes: Vec<(&Stored, Appointment)> =
                places.iter().map(|place| &stored[*place]).zip(next.iter().cloned()).collect();
            if backwards {
                changes.reverse();
            }
            // One that was moved into a group session by itself gives up its seat.
            let left = try_join_all(changes.iter().map(|(of, to)| store.seat_left(of, to))).await.map_err(settle)?;
            let given_up = GivenUp::by(&next)
                .map(|given_up| left.iter().flatten().fold(given_up, |given_up, seat| given_up.and_left(seat.next())));
            let releases = &self.appointments.releases;
            // In this order, each guarded by the revision that it replaces.
            let all = Changes::default().left(left.into_iter().flatten());
            let all = changes.iter().fold(all, |all, (one, next)| all.appointment(one, next, request));
            match releases.hand_over(given_up.as_ref(), all).await? {
                Together::Done(at) => {
                    let done = self.acknowledged(next, at)?;
                    releases.settle(given_up.as_ref()).await.map_err(unknown)?;
                    return Ok(done);
                }
                Together::Stale | Together::NotOffered(_) => lost_to = affected.first().map(|one| one.id),
                Together::Outnumbered(place) => drop(outnumbered.insert(place)),
                Together::Refused { refusal, lost } => {
                    if ways < changes.len() {
                        let calendar = self.appointments.calendar_of(&next[0]).await.map_err(unchanged)?;
                        let refused = changes.get(lost).map(|(_, next)| next);
                        if self.makes_way(&calendar, &refusal, refused, request).await? {
                            ways += 1;
                            continue;
                        }
                    }
                    let lost = if backwards { changes.len() - 1 - lost } else { lost };
                    return Err(self.in_the_way(&affected, change, refusal, lost).await);
                }
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// The next revisions, or why there are none; and whether they must be written from the last to the first, so that none
    /// meets what another of them still has.
    async fn decide(
        &self,
        viewer: &Viewer,
        affected: &[&Appointment],
        change: &Change,
        request: &Request,
        outnumbered: &BTreeSet<Quota>,
    ) -> Result<(Vec<Appointment>, bool)> {
        let (by, now) = (request.actor(), request.at);
        self.before_cutoffs(viewer, affected, change, now).await?;
        match change {
            Change::Cancel { reason } => {
                let next = affected.iter().map(|one| one.cancelled(reason.clone(), by, now));
                Ok((next.collect::<Result<_, Refusal>>()?, false))
            }
            Change::Reschedule { start } => {
                let (calendar, service) = self.rules_of(affected).await?;
                let (moves, later) = rules::moved(affected, &calendar.doctor.availability.time_zone, *start);
                // In the order of writing: the places of those that are gone by then are left.
                let counted = affected.iter().map(|one| Counted {
                    places: &one.quotas,
                    date: Some(local_date(&calendar.doctor, Tick::floor(one.start))),
                });
                let mut order: Vec<(Occurrence, Counted<'_>)> = moves.into_iter().zip(counted).collect();
                let moved = affected.iter().map(|one| one.id).collect();
                let mut left = Places::new(&calendar, &service, outnumbered, &moved);
                if later {
                    order.reverse();
                }
                let mut wanted = within_rules(&calendar, &service, &order, now, &mut left)?;
                if later {
                    wanted.reverse();
                }
                let to = wanted.into_iter().map(|one| (one.start, one.quotas));
                let zone = calendar.doctor.zone_name();
                let next = affected.iter().zip(to).map(|(one, to)| {
                    let next = one.rescheduled(&service, to, None, by, now)?;
                    Ok(Appointment { time_zone: zone.to_owned(), ..next })
                });
                Ok((next.collect::<Result<_, Refusal>>()?, later))
            }
        }
    }

    /// Patients are bound by the cut-offs of the service, for each appointment that they change.
    async fn before_cutoffs(
        &self,
        viewer: &Viewer,
        affected: &[&Appointment],
        change: &Change,
        now: Timestamp,
    ) -> Result<()> {
        let (_, service) = self.rules_of(affected).await?;
        let minutes = match change {
            Change::Cancel { .. } => service.terms.cancel_cutoff_minutes,
            Change::Reschedule { .. } => service.terms.reschedule_cutoff_minutes,
        };
        if minutes > 0
            && let Some(first) = affected.first()
            && !self.appointments.is_practice(viewer, first.doctor_id).await?
        {
            // As with a single one, a request can be taken back at any time.
            let is_bound = |one: &&&Appointment| match change {
                Change::Cancel { .. } => one.status != Status::Pending,
                Change::Reschedule { .. } => true,
            };
            affected.iter().filter(is_bound).try_for_each(|one| one.before_cutoff(minutes, now))?;
        }
        Ok(())
    }

    /// The calendar and the service of appointments, which have them in common.
    async fn rules_of(&self, affected: &[&Appointment]) -> Result<(Arc<Calendar>, Service)> {
        let one = affected.first().ok_or(Refusal::NotFound)?;
        let calendar = self.appointments.calendar_of(one).await?;
        let service = calendar.doctor.service(one.service_id)?.clone();
        Ok((calendar, service))
    }

    fn expand(&self, calendar: &Calendar, plan: &Plan) -> Result<Vec<Occurrence>, Refusal> {
        Ok(recurrence::expand(&plan.rrule, &calendar.doctor.availability.time_zone, plan.start)?)
    }

    /// Those that the viewer may know of.
    async fn authorised(&self, operation: &str, viewer: &Viewer, stored: Vec<Stored>) -> Result<Vec<Stored>> {
        let first = stored.first().ok_or(Refusal::NotFound)?;
        let staff = self.appointments.slots.staff(viewer, first.appointment.doctor_id).await?;
        let may = |one: &Stored| {
            let object = Object::between(one.appointment.doctor_id, one.appointment.patient_id).with_staff(&staff);
            access::authorise(operation, viewer, object)
        };
        may(first)?;
        Ok(stored.into_iter().filter(|one| may(one).is_ok()).collect())
    }

    /// The calendar of a doctor, with everything that this node has acknowledged.
    async fn calendar(&self, viewer: &Viewer, doctor: DoctorId) -> Result<Arc<Calendar>> {
        self.appointments.committed.catch_up().await;
        self.appointments.calendar(viewer, doctor).await
    }

    /// The original result of a request that was carried out before, within the time that it is remembered.
    async fn remembered(&self, request: &Request) -> Result<Option<Done<Booked>>> {
        for generation in 0..GENERATIONS {
            let id = SeriesId(request::derived_id(request, generation));
            let first = AppointmentId(request::part_id(id.0, 0));
            if self.appointments.store.find_latest(first).await.map_err(unchanged)?.is_none() {
                return Ok(None);
            }
            if let Some(done) = self.recall(id, request).await.map_err(unchanged)? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    /// The original result of a request whose ids exist already; `None` when that was more than a day ago.
    async fn recall(&self, id: SeriesId, request: &Request) -> Result<Option<Done<Booked>>> {
        let first = AppointmentId(request::part_id(id.0, 0));
        let Some((stored, _)) = self.appointments.store.find_latest(first).await? else {
            // The collision was with a write that did not last.
            return Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) });
        };
        if stored.recall(request)?.is_none() {
            return Ok(None);
        }
        // They were written together: what is true of one for a majority is true of all.
        let (stored, at) = self.appointments.store.of_series(id).await?;
        let original = stored.iter().filter_map(|one| one.recall(request).transpose()).collect::<Result<Vec<_>>>()?;
        self.acknowledged(original, at).map(Some)
    }

    fn acknowledged(&self, appointments: Vec<Appointment>, at: Position) -> Result<Done<Booked>> {
        self.appointments.committed.acknowledged(at);
        let value = booked(appointments).ok_or_else(|| Error::Internal("a series of nothing".to_owned()))?;
        Ok(Done { value, at })
    }
}

impl BookSeries {
    fn request(&self, identity: &Identity, operation: &'static str, key: &str, now: Timestamp) -> Request {
        let parts = [
            self.plan.doctor.to_string(),
            self.plan.service.to_string(),
            self.plan.start.to_string(),
            self.plan.rrule.clone(),
            self.plan.patient.told(identity),
            format!("{:?}", self.reason),
            format!("{:?}", self.only),
        ];
        request::request(identity, operation, key, &parts.each_ref().map(String::as_str), now)
    }
}

/// Appointments of one series, by start.
fn booked(mut appointments: Vec<Appointment>) -> Option<Booked> {
    appointments.sort_by_key(|one| one.start);
    let PartOf { id, rrule } = appointments.first()?.series.clone()?;
    Some(Booked { id, rrule, appointments })
}
