//! Holds: from the wire to the service and back.

use cita_protocol::slot::{HoldReleaseRequest, HoldRequest};

use super::{Answer, Answered, Call};
use crate::domain::ids::{AppointmentId, ServiceId, UserId};
use crate::service::appointments::Hold;
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn hold(&self) -> Answered {
        let input: HoldRequest = self.input()?;
        let mut fields = Fields::default();
        let hold = Hold {
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            service: ServiceId(fields.id("/serviceId", &input.service_id)),
            start: fields.instant("/start", &input.start),
            patient: input.patient_id.map(|patient| UserId(fields.id("/patientId", &patient))),
        };
        fields.finish()?;
        let done = self.services.appointments.hold(self.viewer, self.key()?, hold).await?;
        let created = Some(done.value.id.to_string());
        Ok(Answer { created, ..self.done(&done, convert::appointment) })
    }

    pub(super) async fn release(&self) -> Answered {
        let input: HoldReleaseRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        fields.finish()?;
        let done = self.services.appointments.release(self.viewer, self.key()?, id, input.rev).await?;
        Ok(self.done(&done, convert::appointment))
    }
}
