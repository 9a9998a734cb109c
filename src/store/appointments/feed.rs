//! What stands in a calendar feed, and no more of each appointment than that.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use mongodb::bson::{DateTime, Document, Uuid, doc};
use serde::Deserialize;

use super::AppointmentStore;
use crate::domain::appointment::Status;
use crate::domain::calendar_feed::{Event, MOST_EVENTS, SHOWN};
use crate::domain::ids::{AppointmentId, DoctorId, UserId};
use crate::error::{Error, Result};
use crate::store::value::{bson_id, bson_time, instant, uuid_of};
use crate::store::write::read;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventDoc {
    #[serde(rename = "_id")]
    id: Uuid,
    rev: u32,
    status: String,
    doctor_id: Uuid,
    doctor_name: String,
    patient_name: String,
    service_name: String,
    start: DateTime,
    end: DateTime,
    created_at: DateTime,
    updated_at: DateTime,
}

impl AppointmentStore {
    /// The appointments of somebody that begin in a window, as a patient and, if they are one, as the doctor `calendar`; the earliest
    /// first, at most [`MOST_EVENTS`].
    ///
    /// # Errors
    /// `unavailable` when the cluster does not answer.
    pub async fn events(
        &self,
        patient: UserId,
        calendar: Option<DoctorId>,
        window: (Timestamp, Timestamp),
    ) -> Result<Vec<Event>> {
        let statuses = SHOWN.map(Status::as_str).to_vec();
        let of = |name: &str, id: UserId| -> Document {
            doc! {
                name: bson_id(id.0),
                "kind": { "$exists": false },
                "status": { "$in": &statuses },
                "start": { "$gte": bson_time(window.0), "$lt": bson_time(window.1) },
            }
        };
        let mut whose = vec![of("patientId", patient)];
        whose.extend(calendar.map(|doctor| of("doctorId", doctor)));
        let projection = doc! {
            "rev": 1, "status": 1, "doctorId": 1, "doctorName": 1, "patientName": 1, "serviceName": 1, "start": 1, "end": 1,
            "createdAt": 1, "updatedAt": 1,
        };
        let collection: Collection<EventDoc> = self.collection.clone_with_type();
        let documents: Vec<EventDoc> = read(&self.cluster, async move {
            let found =
                collection.find(doc! { "$or": whose }).projection(projection).sort(doc! { "start": 1, "_id": 1 });
            found.limit(i64::try_from(MOST_EVENTS).unwrap_or(i64::MAX)).await?.try_collect().await
        })
        .await?;
        documents.into_iter().map(EventDoc::into_event).collect()
    }
}

impl EventDoc {
    fn into_event(self) -> Result<Event> {
        let status = Status::named(&self.status);
        let status = status.ok_or_else(|| Error::Internal("an appointment has an unknown status".to_owned()))?;
        Ok(Event {
            id: AppointmentId(uuid_of(self.id)),
            rev: self.rev,
            is_tentative: status == Status::Pending,
            doctor: UserId(uuid_of(self.doctor_id)),
            doctor_name: self.doctor_name,
            patient_name: self.patient_name,
            service_name: self.service_name,
            start: instant(self.start)?,
            end: instant(self.end)?,
            created_at: instant(self.created_at)?,
            updated_at: instant(self.updated_at)?,
        })
    }
}
