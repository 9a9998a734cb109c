//! Administration, reception and who did what: from the wire to the services and back.

use cita_protocol::admin::{
    ApproveDoctorRequest, FindPatientRequest, HistoryRequest, ListAuditRequest, ListDoctorsRequest, ListUsersRequest,
    MyAuditRequest, Patient, SetStaffRequest, StaffDoctorsRequest, UpdateUserRequest,
};
use cita_protocol::value::{Instant, Page};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Answered, Call, page, read};
use crate::domain::access::{self, Object};
use crate::domain::account::normalised_email;
use crate::domain::doctor::Approval;
use crate::domain::ids::{AppointmentId, UserId};
use crate::service::admin::UserChange;
use crate::session::convert;
use crate::session::parse::Fields;
use crate::store::audit::Query as AuditQuery;
use crate::store::users::Query as UserQuery;

impl Call<'_> {
    pub(super) async fn admin_list_users(&self) -> Answered {
        let input: ListUsersRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let query = UserQuery {
            email: input.email.map(|email| normalised_email(&email)).transpose()?,
            role: input.role.map(convert::role_of),
            after: fields.page_token(input.page_token.as_ref(), user_token),
            limit: limit + 1,
        };
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.admin.list_users(self.viewer, &query).await?;
        Ok(page(found, limit, convert::account, |last| last.user.id.to_string()))
    }

    pub(super) async fn admin_update_user(&self) -> Answered {
        let input: UpdateUserRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/id", &input.id));
        fields.finish()?;
        let change = UserChange { role: input.role.map(convert::role_of), disabled: input.disabled };
        let (peer, key) = (self.request.peer, self.key()?);
        let done = self.services.admin.update_user(self.viewer, peer, key, id, input.rev, &change).await?;
        Ok(self.done_with_users(&done, convert::account))
    }

    pub(super) async fn admin_list_doctors(&self) -> Answered {
        let input: ListDoctorsRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let after = fields.page_token(input.page_token.as_ref(), user_token);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let approval = input.approval.map_or(Approval::Pending, convert::approval_of);
        let found = self.services.admin.list_doctors(self.viewer, approval, after, limit + 1).await?;
        Ok(page(found, limit, |doctor| convert::doctor_for(self.viewer, doctor), |last| last.id.to_string()))
    }

    pub(super) async fn admin_approve_doctor(&self) -> Answered {
        let input: ApproveDoctorRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/id", &input.id));
        fields.finish()?;
        let (peer, key, approval) = (self.request.peer, self.key()?, convert::approval_of(input.approval));
        let done = self.services.admin.approve_doctor(self.viewer, peer, key, id, input.rev, approval).await?;
        Ok(self.done(&done, |doctor| convert::doctor_for(self.viewer, doctor)))
    }

    pub(super) async fn admin_set_staff(&self) -> Answered {
        let input: SetStaffRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/id", &input.id));
        let staff = input.staff.iter().take(101).enumerate();
        let staff = staff.map(|(index, id)| UserId(fields.id(&format!("/staff/{index}"), id))).collect();
        fields.finish()?;
        let (peer, key) = (self.request.peer, self.key()?);
        let done = self.services.admin.set_staff(self.viewer, peer, key, id, input.rev, staff).await?;
        Ok(self.done(&done, |doctor| convert::doctor_for(self.viewer, doctor)))
    }

    pub(super) async fn admin_list_audit(&self) -> Answered {
        let input: ListAuditRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let query = AuditQuery {
            concerns: input.user_id.map(|id| UserId(fields.id("/userId", &id))),
            ..audit_query(&mut fields, input.before.as_ref(), input.page_token.as_ref(), limit)
        };
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.audit.list(self.viewer, &query).await?;
        Ok(page(found, limit, convert::audit_entry, audit_token_of))
    }

    pub(super) async fn my_audit(&self) -> Answered {
        let input: MyAuditRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let query = audit_query(&mut fields, input.before.as_ref(), input.page_token.as_ref(), limit);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.audit.list_own(self.viewer, query).await?;
        Ok(page(found, limit, convert::audit_entry, audit_token_of))
    }

    pub(super) async fn find_patient(&self) -> Answered {
        let input: FindPatientRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        let user = self.services.admin.find_patient(self.viewer, &input.email).await?;
        Ok(read(&Patient { id: convert::id(user.id.0), name: user.name }))
    }

    pub(super) async fn staff_list_doctors(&self) -> Answered {
        let input: StaffDoctorsRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.doctors.acted_for(self.viewer).await?;
        let items = found.iter().map(|doctor| convert::doctor_for(self.viewer, doctor)).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    pub(super) async fn appointment_history(&self) -> Answered {
        let input: HistoryRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let (zone, found) = self.services.appointments.history(self.viewer, id).await?;
        let (own, all) = (self.viewer.user(), self.sees_sessions());
        let items = found.iter().map(|entry| convert::appointment_event(own, all, &zone, entry)).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    pub(super) async fn doctor_history(&self) -> Answered {
        let input: HistoryRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/id", &input.id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let found = self.services.doctors.history(self.viewer, id).await?;
        let (own, all) = (self.viewer.user(), self.sees_sessions());
        let items = found.iter().map(|entry| convert::doctor_event(own, all, entry)).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    /// From which sessions others acted.
    fn sees_sessions(&self) -> bool {
        access::authorise(access::SESSION_PART, self.viewer, Object::default()).is_ok()
    }
}

/// Where a page of users or doctors ended.
fn user_token(token: &str) -> Option<UserId> {
    Uuid::try_parse(token).ok().map(UserId)
}

fn audit_query(fields: &mut Fields, before: Option<&Instant>, token: Option<&String>, limit: i64) -> AuditQuery {
    AuditQuery {
        concerns: None,
        before: before.map(|before| fields.instant("/before", before)),
        after: fields.page_token(token, audit_token),
        limit: limit + 1,
    }
}

fn audit_token_of(last: &crate::domain::audit::Entry) -> String {
    format!("{}_{}", last.at.as_millisecond(), last.id)
}

/// Where a page of the audit ended: time and id.
fn audit_token(token: &str) -> Option<(Timestamp, Uuid)> {
    let (at, id) = token.split_once('_')?;
    Some((Timestamp::from_millisecond(at.parse().ok()?).ok()?, Uuid::try_parse(id).ok()?))
}
