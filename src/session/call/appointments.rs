//! Appointments: from the wire to the service and back.

use cita_protocol::appointment::{
    AppointmentGetRequest, AppointmentListRequest, BookRequest, CancelRequest, RescheduleRequest, RuleOverride,
    WalkInPatient,
};
use cita_protocol::value::Id;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Answer, Answered, Call, page, read};
use crate::domain::appointment::WalkIn;
use crate::domain::ids::{AppointmentId, ServiceId, UserId};
use crate::service::appointments::{Book, For};
use crate::session::convert;
use crate::session::parse::Fields;
use crate::store::appointments::Query;

impl Call<'_> {
    pub(super) async fn book(&self) -> Answered {
        let input: BookRequest = self.input()?;
        let mut fields = Fields::default();
        let patient = booked_for(&mut fields, input.patient_id, input.walk_in);
        let book = Book {
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            service: ServiceId(fields.id("/serviceId", &input.service_id)),
            start: fields.instant("/start", &input.start),
            reason: input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000)),
            patient,
            hold: input.hold_id.map(|hold| AppointmentId(fields.id("/holdId", &hold))),
            exception: exception(&mut fields, input.r#override),
        };
        fields.finish()?;
        let done = self.services.appointments.book(self.viewer, self.key()?, book).await?;
        let created = Some(done.value.id.to_string());
        Ok(Answer { created, ..self.done(&done, |booked| convert::appointment_for(self.viewer, booked)) })
    }

    pub(super) async fn appointment_get(&self) -> Answered {
        let input: AppointmentGetRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.appointments.get(self.viewer, id).await?;
        Ok(read(&convert::appointment_for(self.viewer, &found)))
    }

    pub(super) async fn appointment_list(&self) -> Answered {
        let input: AppointmentListRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let query = Query {
            doctor: input.doctor_id.map(|id| UserId(fields.id("/doctorId", &id))),
            patient: input.patient_id.map(|id| UserId(fields.id("/patientId", &id))),
            ends_after: input.from.map(|from| fields.instant("/from", &from)),
            starts_before: input.to.map(|to| fields.instant("/to", &to)),
            status: input.status.map(convert::status_of),
            after: fields.page_token(input.page_token.as_ref(), appointment_token),
            limit: limit + 1,
        };
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.appointments.list(self.viewer, query).await?;
        Ok(page(found, limit, convert::appointment, |last| format!("{}_{}", last.start.as_millisecond(), last.id)))
    }

    pub(super) async fn reschedule(&self) -> Answered {
        let input: RescheduleRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        let start = fields.instant("/start", &input.start);
        let exception = exception(&mut fields, input.r#override);
        fields.finish()?;
        let (appointments, key) = (&self.services.appointments, self.key()?);
        let done = appointments.reschedule(self.viewer, key, id, input.rev, start, exception).await?;
        Ok(self.done(&done, |moved| convert::appointment_for(self.viewer, moved)))
    }

    pub(super) async fn cancel(&self) -> Answered {
        let input: CancelRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        let reason = input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000));
        fields.finish()?;
        let done = self.services.appointments.cancel(self.viewer, self.key()?, id, input.rev, reason).await?;
        Ok(self.done(&done, |cancelled| convert::appointment_for(self.viewer, cancelled)))
    }
}

/// Why rules are set aside.
fn exception(fields: &mut Fields, given: Option<RuleOverride>) -> Option<String> {
    given.map(|given| fields.text("/override/reason", &given.reason, 1, 500))
}

/// Whom something is booked for.
pub(super) fn booked_for(fields: &mut Fields, patient: Option<Id>, walk_in: Option<WalkInPatient>) -> For {
    match (patient, walk_in) {
        (None, None) => For::Caller,
        (Some(patient), None) => For::User(UserId(fields.id("/patientId", &patient))),
        (patient, Some(walk_in)) => {
            if patient.is_some() {
                fields.refuse("/walkIn", "invalid", "is for patients without an account");
            }
            let name = fields.line("/walkIn/name", &walk_in.name, 1, 100);
            let phone = walk_in.phone.map(|phone| fields.phone("/walkIn/phone", &phone));
            For::WalkIn { name, walk_in: WalkIn { phone } }
        }
    }
}

/// Where a page of appointments ended: start and id.
fn appointment_token(token: &str) -> Option<(Timestamp, AppointmentId)> {
    let (start, id) = token.split_once('_')?;
    Some((Timestamp::from_millisecond(start.parse().ok()?).ok()?, AppointmentId(Uuid::try_parse(id).ok()?)))
}
