//! Booking: over a hold of one's own, or by one insert.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::holds::{ATTEMPTS, Over, Way};
use super::terms::{Asked, allows, beyond, overridden};
use super::{Appointments, GENERATIONS, unchanged};
use crate::domain::account::{Identity, Viewer};
use crate::domain::appointment::{Appointment, Booking, WalkIn};
use crate::domain::ids::{AppointmentId, DoctorId, PatientId, ServiceId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::slots::{self as rules, Rule};
use crate::error::Result;
use crate::service::request::{self, Done};
use crate::store::appointments::{Inserted, Stored};
use crate::store::idempotency::Request;
use crate::views::calendar::{Calendar, Occupancy};

/// What is to be booked.
#[derive(Clone, Debug)]
pub struct Book {
    pub doctor: DoctorId,
    pub service: ServiceId,
    pub start: Timestamp,
    pub reason: Option<String>,
    pub patient: For,
    /// The caller's hold on this time; one that they have is found without it too.
    pub hold: Option<AppointmentId>,
    /// Why the practice sets the rules aside, if it does.
    pub exception: Option<String>,
}

/// Whom something is booked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    Caller,
    User(PatientId),
    /// Somebody without an account.
    WalkIn {
        name: String,
        walk_in: WalkIn,
    },
}

impl Appointments {
    /// Books a slot, over the caller's own hold if there is one.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `hold_expired`, `slot_unavailable`, `slot_taken`, `patient_busy`, `idempotency_key_reused`, `unavailable`.
    pub async fn book(&self, viewer: &Viewer, key: &str, book: Book) -> Result<Done<Appointment>> {
        const OPERATION: &str = "appointment.book";
        let identity = viewer.identity()?;
        let now = self.clock.now();
        let request = book.request(identity, OPERATION, key, now);
        // Of a walk-in, the same for each repetition, and nobody's account.
        let stranger = UserId(request::derived_id(&request.of("appointment.book/patient"), 0));
        let patient = self.patient_of(OPERATION, viewer, book.doctor, &book.patient, stranger).await?;
        let practice = self.is_practice(viewer, book.doctor).await.map_err(unchanged)?;
        if book.exception.is_some() && !practice {
            return Err(Refusal::Forbidden.into());
        }
        let calendar = match self.calendar(viewer, book.doctor).await {
            Ok(calendar) => calendar,
            Err(error) => return self.remembered(&request).await?.ok_or(error),
        };
        let hold = match self.over(&book, &request, &calendar).await? {
            Over::Original(done) => return Ok(*done),
            Over::Hold(hold) => Some(hold),
            Over::Nothing => None,
        };
        self.place(viewer, &request, &book, patient, calendar, hold).await
    }

    /// Books by the rules, over a hold if there is one.
    pub(super) async fn place(
        &self,
        viewer: &Viewer,
        request: &Request,
        book: &Book,
        patient: PatientId,
        calendar: Arc<Calendar>,
        hold: Option<Box<Stored>>,
    ) -> Result<Done<Appointment>> {
        let (identity, now) = (viewer.identity()?, request.at);
        let practice = self.is_practice(viewer, book.doctor).await.map_err(unchanged)?;
        // A time that could be held stays one that can be booked: by then it may be too late for others.
        let asked_at = hold.as_ref().map_or(now, |hold| hold.appointment.created_at);
        let (calendar, allowed) = self.offered(viewer, calendar, book.asked(asked_at)).await?;
        let (start, rule) = match self.admits(&calendar.doctor, book, patient, allowed).await? {
            Ok(allowed) => allowed,
            // A success that is remembered stays one, whatever the rules say by now.
            Err(refusal) => return self.remembered(request).await?.ok_or(refusal.into()),
        };
        // Nobody keeps a calendar while they wait for the database: what keeps it up to date would have to copy it.
        let doctor = calendar.doctor.clone();
        drop(calendar);
        let service = doctor.service(book.service)?;
        let (patient_name, walk_in) = match self.written_of(identity, patient, &book.patient).await {
            Ok(written) => written,
            Err(error) => return self.remembered(request).await?.ok_or(error),
        };
        let exception = book.exception.as_deref();
        let mut booking = Booking {
            id: AppointmentId(Uuid::nil()),
            doctor: &doctor,
            service,
            patient_id: patient,
            patient_name: &patient_name,
            walk_in,
            start,
            quotas: Vec::new(),
            reason: book.reason.clone(),
            pending: service.terms.requires_approval && !practice,
            overridden: overridden(rule, exception),
            by: request.actor(),
            now,
        };
        if let Some(hold) = hold {
            if let Some(done) = self.confirm(&hold, &booking, request).await? {
                return Ok(done);
            }
            if book.hold.is_some() {
                return Err(Refusal::HoldExpired.into());
            }
            // It has run out, so the time is anybody's, at the rules of now.
            let (_, late) = allows(&doctor, book.asked(now))?;
            booking.overridden = overridden(late.or(rule), exception);
        }
        for generation in 0..GENERATIONS {
            let booking = Booking { id: AppointmentId(request::derived_id(request, generation)), ..booking.clone() };
            if let Some(done) = self.try_book(viewer, &booking, exception, request).await? {
                return Ok(done);
            }
        }
        Err(Refusal::IdempotencyKeyReused.into())
    }

    /// One insert, again when what was in the way has run out. `None`: the key was used more than a day ago.
    async fn try_book(
        &self,
        viewer: &Viewer,
        booking: &Booking<'_>,
        exception: Option<&str>,
        request: &Request,
    ) -> Result<Option<Done<Appointment>>> {
        if booking.service.is_group() {
            let calendar = self.calendar(viewer, booking.doctor.id).await?;
            return self.try_seat(&calendar, booking, exception, request).await;
        }
        let (service, start) = (booking.service.id, booking.start.instant());
        let date = rules::local_date(booking.doctor, booking.start);
        let (mut attempt, mut lost) = (0, BTreeSet::new());
        while attempt < ATTEMPTS + lost.len() {
            attempt += 1;
            let (places, seems_taken) = {
                let calendar = self.calendar(viewer, booking.doctor.id).await?;
                let occupancy = calendar.occupancy(booking.service.footprint(booking.start));
                (calendar.places(booking.service, date, &lost), occupancy != Occupancy::Free)
            };
            let (quotas, limit) = match places {
                Ok(quotas) => (quotas, None),
                Err(limit) => match beyond(limit, exception) {
                    Ok(limit) => (Vec::new(), Some(limit)),
                    Err(refusal) => return self.remembered(request).await?.map(Some).ok_or(refusal.into()),
                },
            };
            let overridden = booking.overridden.clone().or_else(|| overridden(limit, exception));
            let appointment = Booking { quotas, overridden, ..booking.clone() }.into_appointment();
            let refusal = match self.store.insert(&appointment, request, seems_taken).await? {
                Inserted::Done(at) => return Ok(Some(self.acknowledged(appointment, at))),
                Inserted::Exists => return self.recall(appointment.id, request).await,
                Inserted::Outnumbered(place) => {
                    lost.insert(place);
                    continue;
                }
                Inserted::Refused(refusal) => refusal,
            };
            let calendar = self.calendar(viewer, booking.doctor.id).await?;
            let way = match refusal {
                Refusal::SlotTaken { .. } | Refusal::SlotUnavailable { rule: Rule::Resource } => {
                    self.make_way(&calendar, &appointment, true, request).await?
                }
                _ => Way::Taken,
            };
            match way {
                Way::Taken => return Err(self.with_alternatives(refusal, &calendar, service, start)),
                Way::Freed => {}
                // One that this node had not seen.
                Way::Own(hold) => match self.confirm(&hold, booking, request).await? {
                    Some(done) => return Ok(Some(done)),
                    None => drop(self.end_run_out(std::slice::from_ref(&*hold), request.at).await?),
                },
            }
        }
        let calendar = self.calendar(viewer, booking.doctor.id).await?;
        Err(self.with_alternatives(Refusal::SlotTaken { alternatives: Vec::new() }, &calendar, service, start))
    }
}

impl Book {
    /// What the rules are asked.
    fn asked(&self, at: Timestamp) -> Asked {
        Asked { service: self.service, start: self.start, exception: self.exception.is_some(), at }
    }

    fn request(&self, identity: &Identity, operation: &'static str, key: &str, now: Timestamp) -> Request {
        let parts = [
            self.doctor.to_string(),
            self.service.to_string(),
            self.start.to_string(),
            self.patient.told(identity),
            format!("{:?}", self.reason),
            self.hold.map(|hold| hold.to_string()).unwrap_or_default(),
            format!("{:?}", self.exception),
        ];
        request::request(identity, operation, key, &parts.each_ref().map(String::as_str), now)
    }
}

impl For {
    /// For what tells requests apart.
    pub(in crate::service) fn told(&self, identity: &Identity) -> String {
        match self {
            Self::Caller => identity.user.to_string(),
            Self::User(patient) => patient.to_string(),
            Self::WalkIn { .. } => format!("{self:?}"),
        }
    }
}
