//! One operation from its input to its answer: the way that WebSocket and REST share.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cita_protocol::appointment::{
    AppointmentGetRequest, AppointmentListRequest, BookRequest, CancelRequest, RescheduleRequest,
};
use cita_protocol::auth::{LoginRequest, MeGetRequest, RefreshRequest, RegisterRequest, RegisterRole};
use cita_protocol::doctor::{
    AvailabilityGetRequest, AvailabilitySetRequest, DoctorGetRequest, DoctorSearchRequest, DoctorUpdateRequest,
    ServiceArchiveRequest, ServiceCreateRequest, ServiceListRequest, ServiceUpdateRequest,
};
use cita_protocol::slot::{SlotSearchReply, SlotSearchRequest};
use cita_protocol::value::{Empty, Id, Page, TimeZone};
use cita_protocol::{ErrorCode, Operation, Problem};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::parse::{self, Fields};
use super::{Services, convert, encode, input};
use crate::domain::access;
use crate::domain::account::{NewAccount, Role, Viewer};
use crate::domain::doctor::{Availability, Doctor};
use crate::domain::ids::{AppointmentId, DoctorId, ServiceId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::secret::{Password, RefreshToken};
use crate::error::{Error, Result};
use crate::live::cursor::Cursor;
use crate::service::appointments::Book;
use crate::service::auth::{Grant, Registration};
use crate::service::doctors::{ProfileChange, ServiceChange};
use crate::service::request::Done;
use crate::service::slots::{self, LONGEST_WINDOW_DAYS};
use crate::store::appointments::Query;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub operation: Operation,
    /// Idempotency key of a mutation.
    pub key: Option<&'a str>,
    /// JSON text of the input.
    pub data: &'a str,
}

/// What it is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// JSON text of the output.
    pub data: String,
    /// The cursor of a mutation's commit.
    pub cursor: Option<String>,
    /// Id of what was created.
    pub created: Option<String>,
}

/// Why there is no answer: an error of this room's inner half, or a problem that was found at the border.
enum Failed {
    Error(Error),
    Problem(Problem),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

type Answered = std::result::Result<Answer, Failed>;

/// Who a token belongs to.
///
/// # Errors
/// `unauthenticated`, `token_expired`, `session_revoked`, `unavailable`.
pub async fn authenticate(services: &Services, token: &str) -> std::result::Result<Viewer, Problem> {
    services.auth.authenticate(token).await.map(Viewer::User).map_err(convert::problem)
}

/// Carries out an operation.
///
/// # Errors
/// What the registry has for it.
pub async fn call(services: &Services, viewer: &Viewer, request: Request<'_>) -> std::result::Result<Answer, Problem> {
    let answer = async {
        access::admit(request.operation.name(), viewer)?;
        let call = Call { services, viewer, request };
        match request.operation {
            Operation::AuthRegister => call.register().await,
            Operation::AuthLogin => call.login().await,
            Operation::AuthRefresh => call.refresh().await,
            Operation::AuthLogout => call.logout().await,
            Operation::MeGet => call.me().await,
            Operation::DoctorSearch => call.doctor_search().await,
            Operation::DoctorGet => call.doctor_get().await,
            Operation::DoctorUpdate => call.doctor_update().await,
            Operation::ServiceList => call.service_list().await,
            Operation::ServiceCreate => call.service_create().await,
            Operation::ServiceUpdate => call.service_update().await,
            Operation::ServiceArchive => call.service_archive().await,
            Operation::AvailabilityGet => call.availability_get().await,
            Operation::AvailabilitySet => call.availability_set().await,
            Operation::SlotSearch => call.slot_search().await,
            Operation::AppointmentBook => call.book().await,
            Operation::AppointmentGet => call.appointment_get().await,
            Operation::AppointmentList => call.appointment_list().await,
            Operation::AppointmentReschedule => call.reschedule().await,
            Operation::AppointmentCancel => call.cancel().await,
            // They need an open connection, which answers them itself.
            Operation::AuthRenew | Operation::Subscribe | Operation::Unsubscribe => {
                Err(Problem::new(ErrorCode::UnknownType).into())
            }
        }
    };
    answer.await.map_err(|failed| match failed {
        Failed::Error(error) => convert::problem(error),
        Failed::Problem(problem) => problem,
    })
}

/// An operation that is being carried out.
struct Call<'a> {
    services: &'a Services,
    viewer: &'a Viewer,
    request: Request<'a>,
}

impl Call<'_> {
    fn input<T: serde::de::DeserializeOwned>(&self) -> std::result::Result<T, Problem> {
        input::read(self.request.data)
    }

    fn key(&self) -> Result<&str, Refusal> {
        parse::key(self.request.key)
    }

    async fn register(&self) -> Answered {
        let input: RegisterRequest = self.input()?;
        let role = match input.role {
            RegisterRole::Patient => Role::Patient,
            RegisterRole::Doctor => Role::Doctor,
        };
        let account = NewAccount {
            role,
            email: input.email,
            name: input.name,
            locale: input.locale,
            time_zone: input.time_zone.map(|zone| zone.0),
        };
        let registration = Registration { account, password: Password::from(input.password), device: input.device };
        let grant = self.services.auth.register(registration).await?;
        if grant.user.role == Role::Doctor {
            let user = &grant.user;
            let opened = self.services.doctors.open_calendar(user.id, &user.name, user.time_zone.as_deref()).await;
            if let Err(error) = opened {
                // It is made when it is first needed.
                tracing::warn!(%error, "calendar of a new doctor not opened yet");
            }
        }
        Ok(Answer { created: Some(grant.user.id.to_string()), ..granted(&grant) })
    }

    async fn login(&self) -> Answered {
        let input: LoginRequest = self.input()?;
        let password = Password::from(input.password);
        Ok(granted(&self.services.auth.login(&input.email, &password, input.device).await?))
    }

    async fn refresh(&self) -> Answered {
        let input: RefreshRequest = self.input()?;
        Ok(granted(&self.services.auth.refresh(&RefreshToken::from(input.refresh_token)).await?))
    }

    async fn logout(&self) -> Answered {
        let _: Empty = self.input()?;
        let identity = self.viewer.identity()?;
        self.services.auth.logout(identity).await?;
        self.services.hub.revoke(identity.session);
        Ok(read(&Empty {}))
    }

    async fn me(&self) -> Answered {
        let input: MeGetRequest = self.input()?;
        self.wait(input.after.as_ref()).await?;
        Ok(read(&convert::user(&self.services.auth.me(self.viewer.identity()?.user).await?)))
    }

    async fn doctor_search(&self) -> Answered {
        let input: DoctorSearchRequest = self.input()?;
        let mut fields = Fields::default();
        let limit = fields.page_size(input.page_size);
        let after = fields.page_token(input.page_token.as_ref(), doctor_token);
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        let specialisation = input.specialisation.as_deref();
        let found = self.services.doctors.search(self.viewer, specialisation, after, limit + 1).await?;
        Ok(page(found, limit, convert::doctor, |doctor| {
            URL_SAFE_NO_PAD.encode(format!("{}{}", doctor.id, doctor.name))
        }))
    }

    async fn doctor_get(&self) -> Answered {
        let input: DoctorGetRequest = self.input()?;
        let doctor = self.doctor(&input.id, "/id", input.after.as_ref()).await?;
        Ok(read(&convert::doctor(&doctor)))
    }

    async fn doctor_update(&self) -> Answered {
        let input: DoctorUpdateRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/id", &input.id));
        let change = ProfileChange {
            specialisation: input.specialisation.map(|text| fields.line("/specialisation", &text, 0, 100)),
            bio: input.bio.map(|text| fields.text("/bio", &text, 0, 4_000)),
            languages: input.languages.map(|tags| fields.languages("/languages", &tags)),
            address: input.address.map(|text| fields.line("/address", &text, 0, 200)),
        };
        fields.finish()?;
        let done = self.services.doctors.update(self.viewer, self.key()?, id, input.rev, &change).await?;
        Ok(self.done(&done, convert::doctor))
    }

    async fn service_list(&self) -> Answered {
        let input: ServiceListRequest = self.input()?;
        let doctor = self.doctor(&input.doctor_id, "/doctorId", input.after.as_ref()).await?;
        let items = doctor.services.iter().map(|service| convert::service(&doctor, service)).collect();
        Ok(read(&Page { items, next_page_token: None }))
    }

    async fn service_create(&self) -> Answered {
        let input: ServiceCreateRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        not_yet(&mut fields, input.requires_approval, input.capacity);
        let change = ServiceChange {
            name: Some(fields.line("/name", &input.name, 1, 100)),
            duration_minutes: Some(fields.number(input.duration_minutes)),
            step_minutes: input.step_minutes.map(|n| fields.number(n)),
            buffer_before_minutes: input.buffer_before_minutes.map(|n| fields.number(n)),
            buffer_after_minutes: input.buffer_after_minutes.map(|n| fields.number(n)),
            price: input.price.map(|price| fields.price(&price)),
            min_notice_minutes: input.min_notice_minutes.map(|n| fields.number(n)),
            horizon_days: input.horizon_days.map(|n| fields.number(n)),
        };
        fields.finish()?;
        let (done, id) = self.services.doctors.create_service(self.viewer, self.key()?, doctor, &change).await?;
        let answer = self.service_done(&done, id)?;
        Ok(Answer { created: Some(id.to_string()), ..answer })
    }

    async fn service_update(&self) -> Answered {
        let input: ServiceUpdateRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let id = ServiceId(fields.id("/id", &input.id));
        not_yet(&mut fields, input.requires_approval, input.capacity);
        let change = ServiceChange {
            name: input.name.map(|name| fields.line("/name", &name, 1, 100)),
            duration_minutes: input.duration_minutes.map(|n| fields.number(n)),
            step_minutes: input.step_minutes.map(|n| fields.number(n)),
            buffer_before_minutes: input.buffer_before_minutes.map(|n| fields.number(n)),
            buffer_after_minutes: input.buffer_after_minutes.map(|n| fields.number(n)),
            price: input.price.map(|price| fields.price(&price)),
            min_notice_minutes: input.min_notice_minutes.map(|n| fields.number(n)),
            horizon_days: input.horizon_days.map(|n| fields.number(n)),
        };
        fields.finish()?;
        let doctors = &self.services.doctors;
        let done = doctors.update_service(self.viewer, self.key()?, doctor, id, input.rev, &change).await?;
        self.service_done(&done, id)
    }

    async fn service_archive(&self) -> Answered {
        let input: ServiceArchiveRequest = self.input()?;
        let mut fields = Fields::default();
        let doctor = UserId(fields.id("/doctorId", &input.doctor_id));
        let id = ServiceId(fields.id("/id", &input.id));
        fields.finish()?;
        let done = self.services.doctors.archive_service(self.viewer, self.key()?, doctor, id, input.rev).await?;
        self.service_done(&done, id)
    }

    async fn availability_get(&self) -> Answered {
        let input: AvailabilityGetRequest = self.input()?;
        let doctor = self.doctor(&input.doctor_id, "/doctorId", input.after.as_ref()).await?;
        Ok(read(&convert::availability(&doctor)))
    }

    async fn availability_set(&self) -> Answered {
        let input: AvailabilitySetRequest = self.input()?;
        let mut fields = Fields::default();
        let id = UserId(fields.id("/doctorId", &input.doctor_id));
        let hours = Availability {
            rev: 0,
            time_zone: fields.zone("/timeZone", &input.time_zone),
            weekly: fields.weekly(&input.weekly),
            overrides: fields.overrides(&input.overrides),
        };
        fields.finish()?;
        let doctors = &self.services.doctors;
        let done = doctors.set_availability(self.viewer, self.key()?, id, input.rev, hours).await?;
        Ok(self.done(&done, convert::availability))
    }

    async fn slot_search(&self) -> Answered {
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

    async fn book(&self) -> Answered {
        let input: BookRequest = self.input()?;
        let mut fields = Fields::default();
        let book = Book {
            doctor: UserId(fields.id("/doctorId", &input.doctor_id)),
            service: ServiceId(fields.id("/serviceId", &input.service_id)),
            start: fields.instant("/start", &input.start),
            reason: input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000)),
            patient: input.patient_id.map(|patient| UserId(fields.id("/patientId", &patient))),
        };
        fields.finish()?;
        let done = self.services.appointments.book(self.viewer, self.key()?, book).await?;
        let created = Some(done.value.id.to_string());
        Ok(Answer { created, ..self.done(&done, convert::appointment) })
    }

    async fn appointment_get(&self) -> Answered {
        let input: AppointmentGetRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        fields.finish()?;
        self.wait(input.after.as_ref()).await?;
        Ok(read(&convert::appointment(&self.services.appointments.get(self.viewer, id).await?)))
    }

    async fn appointment_list(&self) -> Answered {
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

    async fn reschedule(&self) -> Answered {
        let input: RescheduleRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        let start = fields.instant("/start", &input.start);
        fields.finish()?;
        let done = self.services.appointments.reschedule(self.viewer, self.key()?, id, input.rev, start).await?;
        Ok(self.done(&done, convert::appointment))
    }

    async fn cancel(&self) -> Answered {
        let input: CancelRequest = self.input()?;
        let mut fields = Fields::default();
        let id = AppointmentId(fields.id("/id", &input.id));
        let reason = input.reason.map(|reason| fields.text("/reason", &reason, 0, 1_000));
        fields.finish()?;
        let done = self.services.appointments.cancel(self.viewer, self.key()?, id, input.rev, reason).await?;
        Ok(self.done(&done, convert::appointment))
    }

    /// The doctor of a read, once the point that it asks for has been seen.
    async fn doctor(
        &self,
        id: &Id,
        pointer: &str,
        after: Option<&cita_protocol::Cursor>,
    ) -> std::result::Result<std::sync::Arc<Doctor>, Failed> {
        let mut fields = Fields::default();
        let id: DoctorId = UserId(fields.id(pointer, id));
        fields.finish()?;
        self.wait(after).await?;
        let calendar = self.services.doctors.get(self.request.operation.name(), self.viewer, id).await?;
        Ok(calendar.doctor.clone())
    }

    async fn wait(&self, after: Option<&cita_protocol::Cursor>) -> std::result::Result<(), Failed> {
        let mut fields = Fields::default();
        let after: Option<Cursor> = fields.after(after);
        if after.is_some_and(|cursor| !self.services.hub.knows(cursor)) {
            fields.refuse("/after", "invalid", "this cursor belongs to other databases");
        }
        fields.finish()?;
        // Accounts are read where they are; everything else comes from the appointments cluster.
        match after.map(Cursor::of_appointments) {
            Some(cursor) if !self.services.hub.wait_for(cursor).await => {
                let detail = "This server has not seen that cursor yet.";
                Err(Problem::new(ErrorCode::Unavailable).with_detail(detail).into())
            }
            _ => Ok(()),
        }
    }

    fn done<T, W: Serialize>(&self, done: &Done<T>, convert: impl Fn(&T) -> W) -> Answer {
        let cursor = Some(self.services.hub.cursor_at(done.at).to_string());
        Answer { data: encode::json(&convert(&done.value)), cursor, created: None }
    }

    fn service_done(&self, done: &Done<Doctor>, id: ServiceId) -> Answered {
        let service = done.value.service(id)?;
        Ok(self.done(done, |doctor| convert::service(doctor, service)))
    }
}

/// What comes with later work is refused rather than ignored.
fn not_yet(fields: &mut Fields, requires_approval: Option<bool>, capacity: Option<u32>) {
    if requires_approval == Some(true) {
        fields.refuse("/requiresApproval", "invalid", "approval by the doctor is not offered yet");
    }
    if capacity.is_some_and(|capacity| capacity != 1) {
        fields.refuse("/capacity", "out_of_range", "group sessions are not offered yet");
    }
}

fn granted(grant: &Grant) -> Answer {
    read(&convert::grant(grant))
}

fn read<W: Serialize>(output: &W) -> Answer {
    Answer { data: encode::json(output), cursor: None, created: None }
}

/// A page of `limit` of what was found; one more than that was asked for, to tell whether there is more.
fn page<T, W: Serialize>(
    mut found: Vec<T>,
    limit: i64,
    convert: impl Fn(&T) -> W,
    token: impl Fn(&T) -> String,
) -> Answer {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next_page_token = found.last().filter(|_| more).map(token);
    read(&Page { items: found.iter().map(convert).collect(), next_page_token })
}

/// Where a page of doctors ended: id and name.
fn doctor_token(token: &str) -> Option<(String, DoctorId)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (id, name) = text.split_at_checked(36)?;
    Some((name.to_owned(), UserId(Uuid::try_parse(id).ok()?)))
}

/// Where a page of appointments ended: start and id.
fn appointment_token(token: &str) -> Option<(Timestamp, AppointmentId)> {
    let (start, id) = token.split_once('_')?;
    Some((Timestamp::from_millisecond(start.parse().ok()?).ok()?, AppointmentId(Uuid::try_parse(id).ok()?)))
}
