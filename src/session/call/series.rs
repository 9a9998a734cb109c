//! Series of appointments: from the wire to the service and back.

use cita_protocol::series::{
    SeriesBookRequest, SeriesCancelRequest, SeriesGetRequest, SeriesPreviewReply, SeriesPreviewRequest,
    SeriesRescheduleRequest,
};
use cita_protocol::value::TimeZone;

use super::appointments::booked_for;
use super::{Answer, Answered, Call, read};
use crate::domain::appointment::WalkIn;
use crate::domain::ids::{AppointmentId, SeriesId, ServiceId, UserId};
use crate::domain::recurrence::MOST_OCCURRENCES;
use crate::service::appointments::For;
use crate::service::series::{BookSeries, Plan};
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn series_preview(&self) -> Answered {
        let input: SeriesPreviewRequest = self.input()?;
        let mut fields = Fields::default();
        let patient = match (input.patient_id, input.walk_in.unwrap_or(false)) {
            (patient, false) => booked_for(&mut fields, patient, None),
            (patient, true) => {
                if patient.is_some() {
                    fields.refuse("/walkIn", "invalid", "is for patients without an account");
                }
                For::WalkIn { name: String::new(), walk_in: WalkIn::default() }
            }
        };
        let plan = Plan {
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            service: ServiceId(fields.id("/serviceId", &input.service_id)),
            start: fields.instant("/start", &input.start),
            rrule: input.rrule,
            patient,
        };
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let (zone, judged) = self.services.series.preview(self.viewer, &plan).await?;
        let occurrences = judged.iter().map(convert::occurrence).collect();
        Ok(read(&SeriesPreviewReply { time_zone: TimeZone(zone), occurrences }))
    }

    pub(super) async fn series_book(&self) -> Answered {
        let input: SeriesBookRequest = self.input()?;
        let mut fields = Fields::default();
        let plan = Plan {
            patient: booked_for(&mut fields, input.patient_id, input.walk_in),
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            service: ServiceId(fields.id("/serviceId", &input.service_id)),
            start: fields.instant("/start", &input.start),
            rrule: input.rrule,
        };
        let reason = input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000));
        if input.only.as_ref().is_some_and(|only| !(1..=MOST_OCCURRENCES).contains(&only.len())) {
            fields.refuse("/only", "out_of_range", "names 1 to 100 occurrences");
        }
        let only = input.only.map(|only| {
            let starts = only.iter().take(MOST_OCCURRENCES).enumerate();
            starts.map(|(index, start)| fields.instant(&format!("/only/{index}"), start)).collect()
        });
        fields.finish()?;
        let done = self.services.series.book(self.viewer, self.key()?, BookSeries { plan, reason, only }).await?;
        let created = Some(done.value.id.to_string());
        Ok(Answer { created, ..self.done(&done, convert::series) })
    }

    pub(super) async fn series_get(&self) -> Answered {
        let input: SeriesGetRequest = self.input()?;
        let mut fields = Fields::default();
        let id = SeriesId(fields.id("/id", &input.id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        Ok(read(&convert::series(&self.services.series.get(self.viewer, id).await?)))
    }

    pub(super) async fn series_reschedule(&self) -> Answered {
        let input: SeriesRescheduleRequest = self.input()?;
        let mut fields = Fields::default();
        let id = SeriesId(fields.id("/id", &input.id));
        let from = input.from.map(|from| AppointmentId(fields.id("/from", &from)));
        let start = fields.instant("/start", &input.start);
        fields.finish()?;
        let done = self.services.series.reschedule(self.viewer, self.key()?, id, from, start).await?;
        Ok(self.done(&done, convert::series))
    }

    pub(super) async fn series_cancel(&self) -> Answered {
        let input: SeriesCancelRequest = self.input()?;
        let mut fields = Fields::default();
        let id = SeriesId(fields.id("/id", &input.id));
        let from = input.from.map(|from| AppointmentId(fields.id("/from", &from)));
        let reason = input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000));
        fields.finish()?;
        let done = self.services.series.cancel(self.viewer, self.key()?, id, from, reason).await?;
        Ok(self.done(&done, convert::series))
    }
}
