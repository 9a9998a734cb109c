//! Waiting for a time of a doctor: joining, leaving, passing on what is offered. What is offered to whom is decided where time
//! is given up (`releases.rs`); accepting is a booking (`appointments/offers.rs`).

use std::sync::Arc;

use super::appointments::{Appointments, For, GENERATIONS, REPLACE_ATTEMPTS, unchanged, unknown};
use super::releases::GivenUp;
use super::request::{self, Done};
use crate::domain::access::{self, Object};
use crate::domain::account::{Role, Viewer};
use crate::domain::appointment::Action;
use crate::domain::change::Position;
use crate::domain::ids::{DoctorId, PatientId, ServiceId, WaitlistId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::slots::Rule;
use crate::domain::waitlist::{OPEN_LIMIT, WaitStatus, WaitlistEntry, Wish};
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::idempotency::Request;
use crate::store::together::{Changes, Together};
use crate::store::waitlist::{Joined, Query, StoredEntry};

/// Those who wait for doctors.
pub struct Waitlist {
    appointments: Arc<Appointments>,
}

/// Who waits for what.
#[derive(Clone, Debug)]
pub struct Join {
    pub doctor: DoctorId,
    pub service: ServiceId,
    pub wish: Wish,
    /// The caller otherwise.
    pub patient: Option<PatientId>,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Leave,
    Pass,
}

impl Waitlist {
    #[must_use]
    pub fn new(appointments: Arc<Appointments>) -> Self {
        Self { appointments }
    }

    /// Waits for a time of a doctor.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `validation_failed`; `slot_unavailable`: what is not offered (`archived`, `not_approved`), not for the
    /// patient (`patients`), or they have as many open entries as allowed (`waitlist`); `idempotency_key_reused`, `unavailable`.
    pub async fn join(&self, viewer: &Viewer, key: &str, join: Join) -> Result<Done<WaitlistEntry>> {
        const OPERATION: &str = "waitlist.join";
        let (identity, appointments) = (viewer.identity()?, &self.appointments);
        // What makes no sense is refused as such, whoever asks.
        join.wish.validate()?;
        let request = request::request(identity, OPERATION, key, &[&format!("{join:?}")], appointments.clock.now());
        let whom = join.patient.map_or(For::Caller, For::User);
        let patient_id = appointments.patient_of(OPERATION, viewer, join.doctor, &whom, identity.user).await?;
        appointments.committed.catch_up().await;
        let calendar = appointments.calendar(viewer, join.doctor).await?;
        let (doctor, service) = (&calendar.doctor, calendar.doctor.service(join.service)?);
        let zone = &doctor.availability.time_zone;
        let ahead = join.wish.is_ahead(zone.to_datetime(request.at).date());
        let allowed = match () {
            () if ahead.is_err() => ahead,
            () if service.terms.capacity != 1 => {
                Err(Violation::new("/serviceId", "invalid", "group sessions have no waitlist").into())
            }
            () if !doctor.is_approved() => Err(Refusal::SlotUnavailable { rule: Rule::NotApproved }),
            () if service.archived => Err(Refusal::SlotUnavailable { rule: Rule::Archived }),
            () if !appointments.takes(join.doctor, service, Some(patient_id)).await.map_err(unchanged)? => {
                Err(Refusal::SlotUnavailable { rule: Rule::Patients })
            }
            () => Ok(()),
        };
        if let Err(refusal) = allowed {
            return self.remembered(&request).await?.ok_or(refusal.into());
        }
        let (patient_name, _) = appointments.written_of(identity, patient_id, &whom).await?;
        let entry = WaitlistEntry {
            id: WaitlistId(request::derived_id(&request, 0)),
            rev: 1,
            status: WaitStatus::Waiting,
            doctor_id: doctor.id,
            doctor_name: doctor.name.clone(),
            patient_id,
            patient_name,
            service_id: service.id,
            service_name: service.name.clone(),
            ends_at: join.wish.ends_at(zone),
            wish: join.wish,
            time_zone: doctor.zone_name().to_owned(),
            joined_at: request.at,
            updated_at: request.at,
            place: 0,
            offer: None,
            passed: Vec::new(),
            missed: 0,
            appointment: None,
        };
        self.insert(entry, &request).await
    }

    /// One insert, again with another place among the patient's open entries, or another use of an old key.
    async fn insert(&self, mut entry: WaitlistEntry, request: &Request) -> Result<Done<WaitlistEntry>> {
        let mut generation = 0;
        loop {
            match self.appointments.releases.waitlist.insert(&entry, request).await? {
                Joined::Done(at) => return Ok(self.acknowledged(entry, at)),
                Joined::PlaceTaken if entry.place + 1 < OPEN_LIMIT => entry.place += 1,
                Joined::PlaceTaken => return Err(Refusal::SlotUnavailable { rule: Rule::Waitlist }.into()),
                Joined::Exists => {
                    if let Some(done) = self.recall(entry.id, request).await? {
                        return Ok(done);
                    }
                    generation += 1;
                    if generation == GENERATIONS {
                        return Err(Refusal::IdempotencyKeyReused.into());
                    }
                    entry.id = WaitlistId(request::derived_id(request, generation));
                }
            }
        }
    }

    /// Entries, the longest waiting first: a patient's own, a doctor's, of a doctor whom staff act for, whatever an admin asks for.
    ///
    /// # Errors
    /// `forbidden`, `validation_failed`, `unavailable`.
    pub async fn list(&self, viewer: &Viewer, mut query: Query) -> Result<Vec<WaitlistEntry>> {
        let identity = viewer.identity()?;
        let staff = match query.doctor {
            Some(doctor) => self.appointments.slots.staff(viewer, doctor).await?,
            None => Vec::new(),
        };
        match identity.role {
            Role::Doctor if query.doctor.is_none() && query.patient.is_none() => query.doctor = Some(identity.user),
            Role::Doctor if query.doctor == Some(identity.user) => {}
            Role::Staff if staff.contains(&identity.user) => {}
            Role::Patient | Role::Doctor | Role::Staff => {
                query.patient.get_or_insert(identity.user);
            }
            Role::Admin if query.doctor.is_none() && query.patient.is_none() => {
                return Err(Violation::new("/doctorId", "required", "name a doctor or a patient").into());
            }
            Role::Admin => {}
        }
        let object = Object { doctor: query.doctor, patient: query.patient, staff: &staff };
        access::authorise("waitlist.list", viewer, object)?;
        self.appointments.releases.waitlist.list(&query).await
    }

    /// The open entries of a patient, or of a doctor, with the position at which that is true. The caller has asked the policy.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn snapshot(
        &self,
        patient: Option<PatientId>,
        doctor: Option<DoctorId>,
    ) -> Result<(Position, Vec<WaitlistEntry>)> {
        self.appointments.releases.waitlist.snapshot(&Query { patient, doctor, ..Query::default() }).await
    }

    /// Withdraws an entry. What it is offered goes to the next.
    ///
    /// # Errors
    /// `not_found`, also for those of others; `illegal_transition`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn leave(
        &self,
        viewer: &Viewer,
        key: &str,
        id: WaitlistId,
        rev: Option<u32>,
    ) -> Result<Done<WaitlistEntry>> {
        self.change(viewer, "waitlist.leave", key, (id, rev), Change::Leave).await
    }

    /// Waits on for another time than the one that is offered, which goes to the next.
    ///
    /// # Errors
    /// As [`Self::leave`], and `hold_expired` when there is no offer, or none any more.
    pub async fn pass(
        &self,
        viewer: &Viewer,
        key: &str,
        id: WaitlistId,
        rev: Option<u32>,
    ) -> Result<Done<WaitlistEntry>> {
        self.change(viewer, "waitlist.pass", key, (id, rev), Change::Pass).await
    }

    /// Reads, decides and replaces, again while others change the same entry.
    async fn change(
        &self,
        viewer: &Viewer,
        operation: &'static str,
        key: &str,
        (id, rev): (WaitlistId, Option<u32>),
        change: Change,
    ) -> Result<Done<WaitlistEntry>> {
        let (parts, now) = (format!("{id} {rev:?}"), self.appointments.clock.now());
        let request = request::request(viewer.identity()?, operation, key, &[&parts], now);
        for attempt in 0..REPLACE_ATTEMPTS {
            let waitlist = &self.appointments.releases.waitlist;
            // The first look may be a moment old, since the guard decides. What follows a lost guard must know why.
            let found = match attempt {
                0 => waitlist.find(id).await.map_err(unchanged)?,
                _ => waitlist.find_latest(id).await.map_err(unknown)?,
            };
            let (stored, at) = found.ok_or(Refusal::NotFound)?;
            let entry = &stored.entry;
            let staff = self.appointments.slots.staff(viewer, entry.doctor_id).await.map_err(unchanged)?;
            let object = Object::between(entry.doctor_id, entry.patient_id).with_staff(&staff);
            access::authorise(operation, viewer, object)?;
            if stored.recalls(&request)? {
                return Ok(self.acknowledged(stored.entry, at));
            }
            if rev.is_some_and(|rev| rev != entry.rev) {
                return Err(Refusal::StaleRev.into());
            }
            let next = match change {
                Change::Leave => entry.left(request.at)?,
                Change::Pass => entry.passed(request.at)?,
            };
            if let Some(done) = self.write(&stored, next, &request).await? {
                return Ok(done);
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// One attempt, together with what becomes of the time that was offered. `None`: somebody was faster.
    async fn write(
        &self,
        stored: &StoredEntry,
        next: WaitlistEntry,
        request: &Request,
    ) -> Result<Option<Done<WaitlistEntry>>> {
        let releases = &self.appointments.releases;
        let Some(offer) = stored.entry.offer else {
            let written = releases.waitlist.replace(stored, &next, Some(request)).await?;
            return Ok(written.map(|at| self.acknowledged(next, at)));
        };
        let Some((hold, _)) = self.appointments.store.find(offer.hold).await.map_err(unchanged)? else {
            return Err(Error::Internal("an offer without its hold".to_owned()));
        };
        let Ok(ended) = hold.appointment.hold_ended(Action::Released, request.actor(), request.at) else {
            return Ok(None);
        };
        let changes = Changes::default().rewritten(&hold, &ended).entry(stored, &next, Some(request));
        let given_up = GivenUp::by(std::slice::from_ref(&ended));
        match releases.hand_over(given_up.as_ref(), changes).await? {
            Together::Done(at) => {
                let done = self.acknowledged(next, at);
                releases.settle(given_up.as_ref()).await.map_err(unknown)?;
                Ok(Some(done))
            }
            _ => Ok(None),
        }
    }

    async fn remembered(&self, request: &Request) -> Result<Option<Done<WaitlistEntry>>> {
        for generation in 0..GENERATIONS {
            let id = WaitlistId(request::derived_id(request, generation));
            let found = self.appointments.releases.waitlist.find_latest(id).await.map_err(unchanged)?;
            let Some((stored, at)) = found else { return Ok(None) };
            if stored.recalls(request)? {
                return Ok(Some(self.acknowledged(stored.entry, at)));
            }
        }
        Ok(None)
    }

    /// What a request came to whose id exists already; `None` when that was more than a day ago.
    async fn recall(&self, id: WaitlistId, request: &Request) -> Result<Option<Done<WaitlistEntry>>> {
        let found = self.appointments.releases.waitlist.find_latest(id).await.map_err(unknown)?;
        let Some((stored, at)) = found else {
            // The collision was with a write that did not last.
            return Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) });
        };
        Ok(if stored.recalls(request)? { Some(self.acknowledged(stored.entry, at)) } else { None })
    }

    fn acknowledged(&self, value: WaitlistEntry, at: Position) -> Done<WaitlistEntry> {
        self.appointments.committed.acknowledged(at);
        Done { value, at }
    }
}
