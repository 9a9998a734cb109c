//! Reviews of visits: written and changed by their authors, answered by the doctor, moderated by admins.
//!
//! What is moderated is in the audit before it is done, as all that admins do.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::{Builder, Uuid};

use super::audit::Audit;
use super::request::{self, Done};
use super::slots::Slots;
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::Viewer;
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::change::Position;
use crate::domain::doctor::Doctor;
use crate::domain::ids::{AppointmentId, DoctorId, ReviewId};
use crate::domain::peer::Peer;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::review::{Edit, Review, Writing};
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::appointments::{AppointmentStore, Stored as StoredVisit};
use crate::store::idempotency::Request;
use crate::store::reviews::{Query, ReviewStore, Written};
use crate::views::committed::Committed;

/// How often a change is decided anew because somebody else changed the same review or visit.
const ATTEMPTS: usize = 32;
/// The longest pause before that: those who met do not meet again.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);
/// Reviews in the snapshot of a live topic.
const LIVE_LIMIT: i64 = 100;

/// Reviews of visits.
pub struct Reviews {
    store: ReviewStore,
    appointments: AppointmentStore,
    slots: Arc<Slots>,
    audit: Audit,
    committed: Arc<Committed>,
    clock: Clock,
}

/// What a patient writes of a visit.
#[derive(Clone, Debug)]
pub struct Write {
    pub doctor: DoctorId,
    pub appointment: AppointmentId,
    pub rating: u32,
    pub text: Option<String>,
}

/// Which reviews are listed.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub doctor: Option<DoctorId>,
    pub published: Option<bool>,
    pub reported: Option<bool>,
    /// The last one of the page before. An id, so that a page token tells nothing of when it was written.
    pub after: Option<ReviewId>,
    pub limit: i64,
}

/// What an admin decides on a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moderation {
    Hide,
    Restore,
}

impl Moderation {
    const fn operation(self) -> &'static str {
        match self {
            Self::Hide => "admin.hideReview",
            Self::Restore => "admin.restoreReview",
        }
    }
}

impl Reviews {
    #[must_use]
    pub fn new(
        store: ReviewStore,
        appointments: AppointmentStore,
        slots: Arc<Slots>,
        audit: Audit,
        committed: Arc<Committed>,
        clock: Clock,
    ) -> Self {
        Self { store, appointments, slots, audit, committed, clock }
    }

    /// The published reviews of a doctor, the newest first.
    ///
    /// # Errors
    /// `not_found`, also for drafts; `validation_failed`; `unavailable`.
    pub async fn list(&self, viewer: &Viewer, doctor: DoctorId, listing: Listing) -> Result<Vec<Review>> {
        access::authorise("review.list", viewer, Object::of_doctor(doctor))?;
        self.slots.calendar(viewer, doctor).await?;
        self.page(Listing { doctor: Some(doctor), published: Some(true), ..listing }).await
    }

    /// Reviews of every status, the newest first.
    ///
    /// # Errors
    /// `forbidden`, `validation_failed`, `unavailable`.
    pub async fn list_all(&self, viewer: &Viewer, listing: Listing) -> Result<Vec<Review>> {
        access::authorise("admin.listReviews", viewer, Object::default())?;
        self.page(listing).await
    }

    async fn page(&self, listing: Listing) -> Result<Vec<Review>> {
        let Listing { doctor, published, reported, limit, .. } = listing;
        let after = match listing.after {
            Some(last) => {
                let unknown = || Violation::new("/pageToken", "invalid", "must be a token as the server gave it");
                let (stored, _) = self.store.find(last).await?.ok_or_else(unknown)?;
                Some((stored.review.created_at, last))
            }
            None => None,
        };
        self.store.list(&Query { doctor, published, reported, after, limit }).await
    }

    /// The newest published reviews of a doctor, with the position at which that is true. The caller has asked the policy.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn snapshot(&self, doctor: DoctorId) -> Result<(Position, Vec<Review>)> {
        self.store.snapshot(doctor, LIVE_LIMIT).await
    }

    /// Reviews a visit of the caller.
    ///
    /// # Errors
    /// `not_found`, also for visits of others; `not_reviewable`, `already_reviewed`, `idempotency_key_reused`, `unavailable`.
    pub async fn create(&self, viewer: &Viewer, key: &str, write: Write) -> Result<Done<Review>> {
        const OPERATION: &str = "review.create";
        let parts = [format!("{write:?}")];
        let request = self.request(viewer, OPERATION, key, &parts)?;
        let id = review_of(write.appointment);
        for attempt in 0..ATTEMPTS {
            let found = match attempt {
                0 => self.appointments.find(write.appointment).await.map_err(unchanged)?,
                _ => self.appointments.find_latest(write.appointment).await.map_err(unknown)?,
            };
            let (visit, _) = found.ok_or(Refusal::NotFound)?;
            let appointment = &visit.appointment;
            access::authorise(OPERATION, viewer, Object::between(appointment.doctor_id, appointment.patient_id))?;
            if appointment.doctor_id != write.doctor {
                return Err(Refusal::NotFound.into());
            }
            if appointment.reviewed {
                return self.written_before(id, &request).await;
            }
            match self.try_create(viewer, id, &visit, &write, &request).await? {
                Some(done) => return Ok(done),
                None => pause().await,
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    /// One attempt. `None`: the visit has changed, or has its review by now.
    async fn try_create(
        &self,
        viewer: &Viewer,
        id: ReviewId,
        visit: &StoredVisit,
        write: &Write,
        request: &Request,
    ) -> Result<Option<Done<Review>>> {
        let marked = visit.appointment.as_reviewed(request.actor(), request.at)?;
        let calendar = self.slots.calendar(viewer, write.doctor).await.map_err(unchanged)?;
        let writing = Writing {
            id,
            appointment: write.appointment,
            doctor: &calendar.doctor,
            rating: write.rating,
            text: write.text.clone(),
            by: request.actor(),
            now: request.at,
        };
        let review = writing.into_review();
        match self.store.insert(&review, visit, &marked, request).await? {
            Written::Done(at) => Ok(Some(self.acknowledged(review, at))),
            Written::Exists | Written::Stale => Ok(None),
        }
    }

    /// A visit that has its review: the same request came before, or another one was first.
    async fn written_before(&self, id: ReviewId, request: &Request) -> Result<Done<Review>> {
        let found = self.store.find_latest(id).await.map_err(unknown)?;
        let (stored, at) = found.ok_or_else(|| Error::Internal("a reviewed visit has no review".to_owned()))?;
        match stored.recalls(request)? {
            true => Ok(self.acknowledged(stored.review, at)),
            false => Err(Refusal::AlreadyReviewed.into()),
        }
    }

    /// Changes a review, as its author.
    ///
    /// # Errors
    /// `not_found`, `not_reviewable`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn update(
        &self,
        viewer: &Viewer,
        key: &str,
        id: ReviewId,
        rev: Option<u32>,
        edit: &Edit,
    ) -> Result<Done<Review>> {
        let request = self.request(viewer, "review.update", key, &[format!("{id} {rev:?} {edit:?}")])?;
        self.change(viewer, &request, id, rev, |review, doctor| {
            review.edited(edit, &doctor.availability.time_zone, request.actor(), request.at)
        })
        .await
    }

    /// Answers a review in public, as its doctor.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn reply(
        &self,
        viewer: &Viewer,
        key: &str,
        id: ReviewId,
        rev: Option<u32>,
        text: Option<String>,
    ) -> Result<Done<Review>> {
        let request = self.request(viewer, "review.reply", key, &[format!("{id} {rev:?} {text:?}")])?;
        self.change(viewer, &request, id, rev, |review, _| {
            Ok(review.replied(text.clone(), request.actor(), request.at))
        })
        .await
    }

    /// Asks the admins to look at a review.
    ///
    /// # Errors
    /// `not_found`, `idempotency_key_reused`, `unavailable`.
    pub async fn report(&self, viewer: &Viewer, key: &str, id: ReviewId, reason: String) -> Result<Done<Review>> {
        let request = self.request(viewer, "review.report", key, &[format!("{id} {reason}")])?;
        self.change(viewer, &request, id, None, |review, _| {
            Ok(review.reported(reason.clone(), request.user, request.at))
        })
        .await
    }

    /// Hides a review from the public, or shows it again.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn moderate(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        (id, rev): (ReviewId, Option<u32>),
        moderation: Moderation,
        reason: String,
    ) -> Result<Done<Review>> {
        let operation = moderation.operation();
        access::authorise(operation, viewer, Object::default())?;
        let request = self.request(viewer, operation, key, &[format!("{id} {rev:?} {reason}")])?;
        let deed = Deed::new(operation, Audited::Asked).by(request.user, request.session).from(peer);
        self.audit.record(deed.to(id.0)).await.map_err(unchanged)?;
        self.change(viewer, &request, id, rev, |review, _| {
            let reason = reason.clone();
            Ok(match moderation {
                Moderation::Hide => review.hidden_for(reason, request.actor(), request.at),
                Moderation::Restore => review.restored(reason, request.actor(), request.at),
            })
        })
        .await
    }

    /// Reads, decides and replaces, again while others change the same review.
    async fn change(
        &self,
        viewer: &Viewer,
        request: &Request,
        id: ReviewId,
        rev: Option<u32>,
        decide: impl Fn(&Review, &Doctor) -> Result<Review, Refusal>,
    ) -> Result<Done<Review>> {
        for attempt in 0..ATTEMPTS {
            // The first look may be a moment old, since the guard decides. What follows a lost guard must know why.
            let found = match attempt {
                0 => self.store.find(id).await.map_err(unchanged)?,
                _ => self.store.find_latest(id).await.map_err(unknown)?,
            };
            let (stored, at) = found.ok_or(Refusal::NotFound)?;
            let current = &stored.review;
            let object = Object::between(current.doctor_id, current.patient_id);
            access::authorise(request.operation, viewer, object)?;
            if !current.is_published() {
                access::authorise(access::HIDDEN_REVIEW, viewer, object)?;
            }
            if stored.recalls(request)? {
                return Ok(self.acknowledged(stored.review, at));
            }
            if rev.is_some_and(|rev| rev != current.rev) {
                return Err(Refusal::StaleRev.into());
            }
            // Of a doctor who is not shown, neither are the reviews.
            let calendar = self.slots.calendar(viewer, current.doctor_id).await.map_err(unchanged)?;
            let next = decide(current, &calendar.doctor)?;
            if let Some(at) = self.store.replace(&stored, &next, request).await? {
                return Ok(self.acknowledged(next, at));
            }
            pause().await;
        }
        Err(Error::Unavailable { cluster: ClusterName::Appointments, outcome: Some(Outcome::Unknown) })
    }

    fn acknowledged(&self, value: Review, at: Position) -> Done<Review> {
        self.committed.acknowledged(at);
        Done { value, at }
    }

    fn request(&self, viewer: &Viewer, operation: &'static str, key: &str, parts: &[String]) -> Result<Request> {
        access::admit(operation, viewer)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Ok(request::request(viewer.identity()?, operation, key, &parts, self.now()))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The id of the review of a visit: there cannot be a second one.
#[must_use]
pub fn review_of(appointment: AppointmentId) -> ReviewId {
    let digest = request::digest([&b"review"[..], appointment.0.as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    ReviewId(Builder::from_custom_bytes(bytes).into_uuid())
}

async fn pause() {
    let random = u32::from(Uuid::new_v4().as_bytes()[0]);
    tokio::time::sleep(LONGEST_PAUSE * random / 256).await;
}

/// A read that failed before anything of a mutation was written.
fn unchanged(error: Error) -> Error {
    error.with_outcome(Outcome::NotApplied)
}

/// A read that failed after a write whose success it was to confirm.
fn unknown(error: Error) -> Error {
    error.with_outcome(Outcome::Unknown)
}
