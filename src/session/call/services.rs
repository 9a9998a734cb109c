//! What doctors offer: from the wire to the service and back.

use cita_protocol::doctor::{
    ClearableTerm, ServiceArchiveRequest, ServiceCreateRequest, ServiceListRequest, ServiceUpdateRequest,
};
use cita_protocol::value::Page;

use super::{Answer, Answered, Call, read};
use crate::domain::doctor::Doctor;
use crate::domain::ids::{ServiceId, UserId};
use crate::service::doctors::{Changed, ServiceChange, TermsChange};
use crate::service::request::Done;
use crate::session::convert;
use crate::session::parse::Fields;

/// What a request says of a service, but for its name and duration, which a new one must have.
macro_rules! service_change {
    ($fields:expr, $input:expr, $cleared:expr) => {{
        let cleared = $cleared;
        ServiceChange {
            name: None,
            duration_minutes: None,
            step_minutes: $input.step_minutes.map(|n| $fields.number(n)),
            buffer_before_minutes: $input.buffer_before_minutes.map(|n| $fields.number(n)),
            buffer_after_minutes: $input.buffer_after_minutes.map(|n| $fields.number(n)),
            price: set_or_cleared(
                $input.price.as_ref().map(|price| $fields.price(price)),
                cleared(ClearableTerm::Price),
            ),
            min_notice_minutes: $input.min_notice_minutes.map(|n| $fields.number(n)),
            horizon_days: $input.horizon_days.map(|n| $fields.number(n)),
            terms: TermsChange {
                requires_approval: $input.requires_approval,
                capacity: $input.capacity.map(|n| $fields.number(n)),
                daily_limit: set_or_cleared(
                    $input.daily_limit.map(|n| $fields.number(n)),
                    cleared(ClearableTerm::DailyLimit),
                ),
                weekly_limit: set_or_cleared(
                    $input.weekly_limit.map(|n| $fields.number(n)),
                    cleared(ClearableTerm::WeeklyLimit),
                ),
                cancel_cutoff_minutes: $input.cancel_cutoff_minutes.map(|n| $fields.number(n)),
                reschedule_cutoff_minutes: $input.reschedule_cutoff_minutes.map(|n| $fields.number(n)),
                location: $input.location.as_ref().map(|text| $fields.line("/location", text, 0, 200)),
                video_url: $input.video_url.as_ref().map(|text| $fields.https_url("/videoUrl", text)),
                patients: $input.patients.map(convert::patients_of),
                resources: $input.resource_ids.as_ref().map(|ids| $fields.resources("/resourceIds", ids)),
            },
        }
    }};
}

impl Call<'_> {
    pub(super) async fn service_list(&self) -> Answered {
        let input: ServiceListRequest = self.input()?;
        let doctor = self.doctor(&input.doctor_id, "/doctorId", input.after.as_ref()).await?;
        let items = doctor.services.iter().map(|service| convert::service(&doctor, service)).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    pub(super) async fn service_create(&self) -> Answered {
        let input: ServiceCreateRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let change = ServiceChange {
            name: Some(fields.line("/name", &input.name, 1, 100)),
            duration_minutes: Some(fields.number(input.duration_minutes)),
            ..service_change!(fields, input, |_| false)
        };
        fields.finish()?;
        let (done, id) = self.services.doctors.create_service(self.viewer, self.key()?, doctor, &change).await?;
        let answer = self.service_done(&done, id)?;
        Ok(Answer { created: Some(id.to_string()), ..answer })
    }

    pub(super) async fn service_update(&self) -> Answered {
        let input: ServiceUpdateRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let id = ServiceId(fields.id("/id", &input.id));
        let given = [
            (ClearableTerm::Price, input.price.is_some()),
            (ClearableTerm::DailyLimit, input.daily_limit.is_some()),
            (ClearableTerm::WeeklyLimit, input.weekly_limit.is_some()),
        ];
        if given.into_iter().any(|(field, given)| given && input.clear.contains(&field)) {
            fields.refuse("/clear", "invalid", "a field is either set or cleared");
        }
        let change = ServiceChange {
            name: input.name.as_ref().map(|name| fields.line("/name", name, 1, 100)),
            duration_minutes: input.duration_minutes.map(|n| fields.number(n)),
            ..service_change!(fields, input, |field| input.clear.contains(&field))
        };
        fields.finish()?;
        let doctors = &self.services.doctors;
        let done = doctors.update_service(self.viewer, self.key()?, doctor, id, input.rev, &change).await?;
        self.service_done(&done, id)
    }

    pub(super) async fn service_archive(&self) -> Answered {
        let input: ServiceArchiveRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let id = ServiceId(fields.id("/id", &input.id));
        fields.finish()?;
        let done = self.services.doctors.archive_service(self.viewer, self.key()?, doctor, id, input.rev).await?;
        self.service_done(&done, id)
    }

    fn service_done(&self, done: &Done<Doctor>, id: ServiceId) -> Answered {
        let service = done.value.service(id)?;
        Ok(self.done(done, |doctor| convert::service(doctor, service)))
    }
}

fn set_or_cleared<T>(set: Option<T>, cleared: bool) -> Option<Changed<T>> {
    match set {
        Some(value) => Some(Some(value)),
        None => cleared.then_some(None),
    }
}
