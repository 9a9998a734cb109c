//! Appointments that are booked, moved and cancelled together: one transaction each.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt as _;
use mongodb::bson::{Bson, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use serde::Deserialize;

use super::appointments::{AppointmentStore, Stored};
use super::documents::{AppointmentDoc, Outcome, patient_span, patient_tick};
use super::idempotency::Request;
pub use super::together::Together;
use super::together::{Changes, together};
use super::transaction::in_transaction;
use super::value::bson_id;
use super::whole::reached;
use super::write::read;
use crate::domain::appointment::Appointment;
use crate::domain::change::Position;
use crate::domain::entry::TimeOffDay;
use crate::domain::ids::{PatientId, SeriesId};
use crate::domain::recurrence::MOST_OCCURRENCES;
use crate::domain::tick::Tick;
use crate::error::Result;

impl AppointmentStore {
    /// Books appointments, all or none.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn insert_together(&self, appointments: &[Appointment], request: &Request) -> Result<Together> {
        let document = |appointment: &Appointment| {
            let keys = request.remember(&[], Some(Outcome::of(appointment)));
            AppointmentDoc::from_domain(appointment, keys)
        };
        let documents: Arc<[AppointmentDoc]> = appointments.iter().map(document).collect();
        let (collection, lost) = (self.collection.clone(), Arc::new(AtomicUsize::new(0)));
        let at_fault = lost.clone();
        let written = in_transaction(&self.cluster, move |session| {
            let (collection, documents, lost) = (collection.clone(), documents.clone(), lost.clone());
            Box::pin(async move {
                let inserted = collection.insert_many(documents.iter()).session(session).await;
                inserted.map(|_| Some(())).inspect_err(|error| {
                    if let Some(index) = first_at_fault(error) {
                        lost.store(index, Ordering::Relaxed);
                    }
                })
            })
        })
        .await?;
        together(written, at_fault.load(Ordering::Relaxed))
    }

    /// Writes the next revisions of appointments, all or none, in the given order, each guarded by the revision that it
    /// replaces. What they give up in days of time off, these take.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt.
    pub async fn replace_together(
        &self,
        changes: &[(&Stored, Appointment)],
        request: &Request,
        heirs: Vec<TimeOffDay>,
    ) -> Result<Together> {
        let all =
            changes.iter().fold(Changes::default(), |all, (current, next)| all.appointment(current, next, request));
        self.write_together(all.taken(heirs)).await
    }

    /// Every appointment of a series, by start, with the position of the read.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn of_series(&self, series: SeriesId) -> Result<(Vec<Stored>, Position)> {
        let store = self.clone();
        let (documents, at) = read(&self.cluster, async move {
            let mut session = store.cluster.session().await?;
            let found = store.collection.find(doc! { "seriesId": bson_id(series.0) }).sort(doc! { "start": 1 });
            let mut cursor = found.limit(MOST_OCCURRENCES as i64).session(&mut session).await?;
            let documents: Vec<AppointmentDoc> = cursor.stream(&mut session).try_collect().await?;
            Ok((documents, reached(&session)))
        })
        .await?;
        Ok((documents.into_iter().map(Stored::new).collect::<Result<_>>()?, at))
    }

    /// The ticks of a range that a patient spends with anybody.
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn spent_by(&self, patient: PatientId, range: Range<Tick>) -> Result<Vec<Tick>> {
        let (from, to) = patient_span(patient, &range);
        let filter = doc! { "shared": { "$exists": true, "$elemMatch": { "$gte": from, "$lt": to } } };
        let collection = self.collection.clone_with_type::<Shared>();
        let found: Vec<Shared> = read(&self.cluster, async move {
            collection.find(filter).projection(doc! { "shared": 1 }).await?.try_collect().await
        })
        .await?;
        let ticks = found.iter().flat_map(|document| &document.shared).filter_map(|claim| patient_tick(patient, claim));
        Ok(ticks.filter(|tick| range.contains(tick)).collect())
    }
}

#[derive(Deserialize)]
struct Shared {
    shared: Vec<Bson>,
}

/// Place of the first document that a server refused.
fn first_at_fault(error: &DriverError) -> Option<usize> {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(many) => many.write_errors.iter().flatten().map(|write| write.index).min(),
        _ => None,
    }
}
