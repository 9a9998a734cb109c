//! Free time: from the wire to the services and back.

use cita_protocol::slot::{SlotExplainReply, SlotExplainRequest, SlotSearchReply, SlotSearchRequest};
use cita_protocol::value::TimeZone;

use super::{Answered, Call, read};
use crate::domain::ids::{ServiceId, UserId};
use crate::service::slots::{self, LONGEST_WINDOW_DAYS};
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn slot_search(&self) -> Answered {
        let input: SlotSearchRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let service = ServiceId(fields.id("/serviceId", &input.service_id));
        let (from, to) = (fields.date("/from", &input.from), fields.date("/to", &input.to));
        input.time_zone.iter().for_each(|zone| drop(fields.zone("/timeZone", zone)));
        fields.finish()?;
        let dates = slots::dates(from, to, LONGEST_WINDOW_DAYS)?;
        self.wait(input.after.as_ref()).await?;
        let (zone, found) = self.services.slots.search(self.viewer, doctor, service, &dates).await?;
        let time_zone = input.time_zone.unwrap_or(TimeZone(zone));
        Ok(read(&SlotSearchReply { time_zone, slots: found.iter().map(convert::slot).collect() }))
    }

    pub(super) async fn slot_explain(&self) -> Answered {
        let input: SlotExplainRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let service = ServiceId(fields.id("/serviceId", &input.service_id));
        let start = fields.instant("/start", &input.start);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let explained = self.services.appointments.explain(self.viewer, doctor, service, start).await?;
        let problem = explained.refusal.map(|refusal| convert::problem(refusal.into()));
        Ok(read(&SlotExplainReply {
            start: convert::instant(start),
            time_zone: TimeZone(explained.time_zone),
            bookable: problem.is_none(),
            code: problem.as_ref().map(|problem| problem.code),
            rule: problem.and_then(|problem| problem.rule),
            taken_by: explained.taken_by.iter().map(|taken| convert::id(taken.0)).collect(),
        }))
    }
}
