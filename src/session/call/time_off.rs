//! Time off and the tasks that it leaves: from the wire to the service and back.

use cita_protocol::time_off::{
    OutsideListRequest, TimeOffBound, TimeOffCreateRequest, TimeOffDeleteRequest, TimeOffListRequest, TimeOffReply,
};
use cita_protocol::value::{Empty, Page};

use super::{Answer, Answered, Call, read};
use crate::domain::ids::{TimeOffId, UserId};
use crate::domain::time_off::{Bound, LONGEST_REASON};
use crate::service::doctors::NewTimeOff;
use crate::session::convert;
use crate::session::parse::Fields;

impl Call<'_> {
    pub(super) async fn time_off_list(&self) -> Answered {
        let input: TimeOffListRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/doctorId", &input.doctor_id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let doctor = self.services.doctors.times_off(self.viewer, id).await?;
        let items = doctor.time_off.iter().map(|off| convert::time_off(&doctor, off)).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    pub(super) async fn time_off_create(&self) -> Answered {
        let input: TimeOffCreateRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/doctorId", &input.doctor_id));
        let new = NewTimeOff {
            from: bound(&mut fields, "/from", &input.from),
            to: bound(&mut fields, "/to", &input.to),
            reason: input.reason.map(|reason| fields.line("/reason", &reason, 1, LONGEST_REASON)),
        };
        fields.finish()?;
        let doctors = &self.services.doctors;
        let done = doctors.begin_time_off(self.viewer, self.key()?, id, &new).await?;
        let left = convert::left(&doctors.outside_since(self.viewer, id, done.at).await?);
        let created = Some(done.value.time_off.id.to_string());
        let answer = self.done(&done, |of| TimeOffReply {
            time_off: convert::time_off(&of.doctor, &of.time_off),
            left: left.clone(),
        });
        Ok(Answer { created, ..answer })
    }

    pub(super) async fn time_off_delete(&self) -> Answered {
        let input: TimeOffDeleteRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let id = TimeOffId(fields.id("/id", &input.id));
        fields.finish()?;
        let done = self.services.doctors.end_time_off(self.viewer, self.key()?, doctor, id, input.rev).await?;
        Ok(self.done(&done, |()| Empty {}))
    }

    pub(super) async fn outside(&self) -> Answered {
        let input: OutsideListRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/doctorId", &input.doctor_id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        Ok(read(&convert::outside(&self.services.doctors.outside(self.viewer, id).await?)))
    }
}

fn bound(fields: &mut Fields, pointer: &str, bound: &TimeOffBound) -> Bound {
    Bound {
        date: fields.date(&format!("{pointer}/date"), &bound.date),
        time: bound.time.as_ref().map(|time| fields.time(&format!("{pointer}/time"), time)),
    }
}
