//! Waitlists: from the wire to the service and back.

use cita_protocol::waitlist::{WaitlistAcceptRequest, WaitlistAnswerRequest, WaitlistJoinRequest, WaitlistListRequest};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Answer, Answered, Call, page};
use crate::domain::ids::{ServiceId, UserId, WaitlistId};
use crate::domain::waitlist::Wish;
use crate::service::waitlist::Join;
use crate::session::convert;
use crate::session::parse::Fields;
use crate::store::waitlist::Query;

impl Call<'_> {
    pub(super) async fn waitlist_join(&self) -> Answered {
        let input: WaitlistJoinRequest = self.input()?;
        let mut fields = Fields::default();
        let join = Join {
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            service: ServiceId(fields.id("/serviceId", &input.service_id)),
            wish: Wish {
                from: fields.date("/from", &input.from),
                to: fields.date("/to", &input.to),
                times: input.times.map(|times| fields.day_range("/times", &times)),
                weekdays: fields.weekdays("/weekdays", &input.weekdays),
            },
            patient: input.patient_id.map(|patient| UserId(fields.id("/patientId", &patient))),
        };
        fields.finish()?;
        let done = self.services.waitlist.join(self.viewer, self.key()?, join).await?;
        let created = Some(done.value.id.to_string());
        Ok(Answer { created, ..self.done(&done, convert::waitlist_entry) })
    }

    pub(super) async fn waitlist_list(&self) -> Answered {
        let input: WaitlistListRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let query = Query {
            doctor: input.doctor_id.map(|id| UserId(fields.id("/doctorId", &id))),
            patient: input.patient_id.map(|id| UserId(fields.id("/patientId", &id))),
            status: input.status.map(convert::wait_status_of),
            after: fields.page_token(input.page_token.as_ref(), entry_token),
            limit: limit + 1,
        };
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.waitlist.list(self.viewer, query).await?;
        let token =
            |last: &crate::domain::waitlist::WaitlistEntry| format!("{}_{}", last.joined_at.as_millisecond(), last.id);
        Ok(page(found, limit, convert::waitlist_entry, token))
    }

    pub(super) async fn waitlist_leave(&self) -> Answered {
        let (id, rev) = self.waitlist_answer()?;
        let done = self.services.waitlist.leave(self.viewer, self.key()?, id, rev).await?;
        Ok(self.done(&done, convert::waitlist_entry))
    }

    pub(super) async fn waitlist_pass(&self) -> Answered {
        let (id, rev) = self.waitlist_answer()?;
        let done = self.services.waitlist.pass(self.viewer, self.key()?, id, rev).await?;
        Ok(self.done(&done, convert::waitlist_entry))
    }

    pub(super) async fn waitlist_accept(&self) -> Answered {
        let input: WaitlistAcceptRequest = self.input()?;
        let mut fields = Fields::default();
        let id = WaitlistId(fields.id("/id", &input.id));
        let reason = input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000));
        fields.finish()?;
        let appointments = &self.services.appointments;
        let done = appointments.accept(self.viewer, self.key()?, id, input.rev, reason).await?;
        Ok(self.done(&done, |booked| convert::appointment_for(self.viewer, booked)))
    }

    fn waitlist_answer(&self) -> Result<(WaitlistId, Option<u32>), super::Failed> {
        let input: WaitlistAnswerRequest = self.input()?;
        let mut fields = Fields::default();
        let id = WaitlistId(fields.id("/id", &input.id));
        fields.finish()?;
        Ok((id, input.rev))
    }
}

/// Where a page of entries ended: when the last one joined, and its id.
fn entry_token(token: &str) -> Option<(Timestamp, WaitlistId)> {
    let (joined, id) = token.split_once('_')?;
    Some((Timestamp::from_millisecond(joined.parse().ok()?).ok()?, WaitlistId(Uuid::try_parse(id).ok()?)))
}
