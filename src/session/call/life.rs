//! The life of an appointment: from the wire to the service and back.

use cita_protocol::appointment::{DeclineRequest, MoveRequest, SetNotesRequest};

use super::{Answered, Call};
use crate::domain::appointment::Move;
use crate::domain::ids::AppointmentId;
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn advance(&self, to: Move) -> Answered {
        let input: MoveRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        fields.finish()?;
        let done = self.services.appointments.advance(self.viewer, self.key()?, id, input.rev, to).await?;
        Ok(self.done(&done, |moved| convert::appointment_for(self.viewer, moved)))
    }

    pub(super) async fn decline(&self) -> Answered {
        let input: DeclineRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        let reason = input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000));
        fields.finish()?;
        let done = self.services.appointments.decline(self.viewer, self.key()?, id, input.rev, reason).await?;
        Ok(self.done(&done, |declined| convert::appointment_for(self.viewer, declined)))
    }

    pub(super) async fn set_notes(&self) -> Answered {
        let input: SetNotesRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        let notes = fields.text("/notes", &input.notes, 0, 4_000);
        fields.finish()?;
        let notes = Some(notes).filter(|notes| !notes.is_empty());
        let done = self.services.appointments.set_notes(self.viewer, self.key()?, id, input.rev, notes).await?;
        Ok(self.done(&done, |noted| convert::appointment_for(self.viewer, noted)))
    }
}
