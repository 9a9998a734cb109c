//! One operation from its input to its answer: the way that WebSocket and REST share.

mod accounts;
mod admin;
mod appointments;
mod auth;
mod doctors;
mod holds;
mod holidays;
mod life;
mod resources;
mod reviews;
mod series;
mod services;
mod sessions;
mod slots;
mod time_off;
mod waitlist;

pub use auth::public_keys;

use std::time::Instant;

use bytes::Bytes;
use cita_protocol::value::Page;
use cita_protocol::{ErrorCode, Operation, Problem};
use serde::Serialize;

use super::limiter::Rate;
use super::meters::Door;
use super::parse::{self, Fields};
use super::{Services, convert, encode, input};
use crate::domain::access;
use crate::domain::account::Viewer;
use crate::domain::appointment::Move;
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{AccessToken, RefreshToken};
use crate::error::{Error, Result};
use crate::live::cursor::Cursor;
use crate::service::request::Done;
use crate::service::reviews::Moderation;
use crate::spans;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where the client is.
    pub peer: Peer,
    pub operation: Operation,
    /// Idempotency key of a mutation.
    pub key: Option<&'a str>,
    /// JSON text of the input.
    pub data: &'a str,
    pub cookies: SessionCookies<'a>,
}

/// What the door of a request can do with cookies.
#[derive(Clone, Copy, Debug)]
pub enum SessionCookies<'a> {
    /// None can be set here.
    Unavailable,
    Http {
        /// The page behind the request is not of an allowed origin.
        foreign: bool,
        /// The caller was known by the access cookie.
        known: bool,
        /// What the refresh cookie holds.
        refresh: Option<&'a RefreshToken>,
    },
}

/// What becomes of a browser's cookies.
#[derive(Clone, Debug)]
pub enum CookieChange {
    Set { access: AccessToken, access_seconds: i64, refresh: RefreshToken, refresh_seconds: i64 },
    Clear,
}

/// What it is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// JSON text of the output.
    pub data: Bytes,
    /// The cursor of a mutation's commit.
    pub cursor: Option<String>,
    /// Id of what was created.
    pub created: Option<String>,
    pub cookies: Option<CookieChange>,
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

/// Who a token belongs to. One that Cita did not sign counts against its address, which is then told with the answer.
///
/// # Errors
/// `unauthenticated`, `token_expired`, `session_revoked`, `forbidden`, `unavailable`; `rate_limited` instead of the first.
pub async fn authenticate(
    services: &Services,
    token: &str,
    peer: Peer,
) -> (Option<Rate>, std::result::Result<Viewer, Problem>) {
    match services.auth.authenticate(token, peer).await {
        Ok(identity) => (None, Ok(Viewer::User(identity))),
        Err(Error::Refused(refusal @ (Refusal::Unauthenticated | Refusal::Forbidden))) => {
            let (rate, admitted) = services.limiter.check_bad_token(peer);
            (Some(rate), Err(admitted.err().unwrap_or_else(|| convert::problem(refusal.into()))))
        }
        Err(error) => (None, Err(convert::problem(error))),
    }
}

/// Carries out an operation, and tells what is left to its caller.
///
/// # Errors
/// What the registry has for it.
pub async fn call(
    services: &Services,
    viewer: &Viewer,
    request: Request<'_>,
) -> (Rate, std::result::Result<Answer, Problem>) {
    let (began, operation) = (Instant::now(), request.operation);
    let is_rest = matches!(request.cookies, SessionCookies::Http { .. });
    let (rate, admitted) = services.limiter.check(operation, viewer, request.peer);
    let answer = match admitted {
        Ok(()) => carry_out(services, viewer, request).await,
        Err(problem) => Err(problem),
    };
    // An open connection measures its own, what does not come through here among them.
    if is_rest {
        services.meters.answered(operation, Door::Rest, began.elapsed(), &answer);
    }
    (rate, answer)
}

async fn carry_out(services: &Services, viewer: &Viewer, request: Request<'_>) -> std::result::Result<Answer, Problem> {
    let answer = async {
        access::admit(request.operation.name(), viewer)?;
        let call = Call { services, viewer, request };
        match request.operation {
            Operation::AuthRegister => call.register().await,
            Operation::AuthLogin => call.login().await,
            Operation::AuthRefresh => call.refresh().await,
            Operation::AuthLogout => call.logout().await,
            Operation::AuthRequestReset => call.request_reset().await,
            Operation::AuthResetPassword => call.reset_password().await,
            Operation::AuthVerifyEmail => call.verify_email().await,
            Operation::AuthRequestVerification => call.request_verification().await,
            Operation::SessionList => call.session_list().await,
            Operation::SessionRevoke => call.session_revoke().await,
            Operation::MeGet => call.me().await,
            Operation::MeUpdate => call.me_update().await,
            Operation::MeExport => call.me_export().await,
            Operation::MeDelete => call.me_delete().await,
            Operation::DoctorSearch => call.doctor_search().await,
            Operation::DoctorGet => call.doctor_get().await,
            Operation::DoctorUpdate => call.doctor_update().await,
            Operation::ServiceList => call.service_list().await,
            Operation::ServiceCreate => call.service_create().await,
            Operation::ServiceUpdate => call.service_update().await,
            Operation::ServiceArchive => call.service_archive().await,
            Operation::AvailabilityGet => call.availability_get().await,
            Operation::AvailabilitySet => call.availability_set().await,
            Operation::TimeOffList => call.time_off_list().await,
            Operation::TimeOffCreate => call.time_off_create().await,
            Operation::TimeOffDelete => call.time_off_delete().await,
            Operation::AppointmentListOutside => call.outside().await,
            Operation::HolidayCalendarList => call.holiday_calendars().await,
            Operation::HolidayCalendarGet => call.holidays().await,
            Operation::SlotSearch => call.slot_search().await,
            Operation::SlotSearchDoctors => call.slot_search_doctors().await,
            Operation::SlotExplain => call.slot_explain().await,
            Operation::SlotHold => call.hold().await,
            Operation::HoldRelease => call.release().await,
            Operation::AppointmentBook => call.book().await,
            Operation::AppointmentGet => call.appointment_get().await,
            Operation::AppointmentList => call.appointment_list().await,
            Operation::AppointmentReschedule => call.reschedule().await,
            Operation::AppointmentCancel => call.cancel().await,
            Operation::AppointmentApprove => call.advance(Move::Approve).await,
            Operation::AppointmentDecline => call.decline().await,
            Operation::AppointmentCheckIn => call.advance(Move::CheckIn).await,
            Operation::AppointmentComplete => call.advance(Move::Complete).await,
            Operation::AppointmentNoShow => call.advance(Move::NoShow).await,
            Operation::AppointmentUndo => call.advance(Move::Undo).await,
            Operation::AppointmentSetNotes => call.set_notes().await,
            Operation::SeriesPreview => call.series_preview().await,
            Operation::SeriesBook => call.series_book().await,
            Operation::SeriesGet => call.series_get().await,
            Operation::SeriesReschedule => call.series_reschedule().await,
            Operation::SeriesCancel => call.series_cancel().await,
            Operation::WaitlistJoin => call.waitlist_join().await,
            Operation::WaitlistList => call.waitlist_list().await,
            Operation::WaitlistLeave => call.waitlist_leave().await,
            Operation::WaitlistAccept => call.waitlist_accept().await,
            Operation::WaitlistPass => call.waitlist_pass().await,
            Operation::AppointmentHistory => call.appointment_history().await,
            Operation::DoctorHistory => call.doctor_history().await,
            Operation::PatientFind => call.find_patient().await,
            Operation::StaffListDoctors => call.staff_list_doctors().await,
            Operation::MeListAudit => call.my_audit().await,
            Operation::AdminListUsers => call.admin_list_users().await,
            Operation::AdminUpdateUser => call.admin_update_user().await,
            Operation::AdminListDoctors => call.admin_list_doctors().await,
            Operation::AdminApproveDoctor => call.admin_approve_doctor().await,
            Operation::AdminSetStaff => call.admin_set_staff().await,
            Operation::ResourceList => call.resource_list().await,
            Operation::AdminCreateResource => call.admin_create_resource().await,
            Operation::AdminUpdateResource => call.admin_update_resource().await,
            Operation::AdminArchiveResource => call.admin_archive_resource().await,
            Operation::AdminListAudit => call.admin_list_audit().await,
            Operation::ReviewList => call.review_list().await,
            Operation::ReviewCreate => call.review_create().await,
            Operation::ReviewUpdate => call.review_update().await,
            Operation::ReviewReply => call.review_reply().await,
            Operation::ReviewReport => call.review_report().await,
            Operation::AdminListReviews => call.admin_list_reviews().await,
            Operation::AdminHideReview => call.admin_moderate_review(Moderation::Hide).await,
            Operation::AdminRestoreReview => call.admin_moderate_review(Moderation::Restore).await,
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

    /// The answer to a change in the users cluster.
    fn done_with_users<T, W: Serialize>(&self, done: &Done<T>, convert: impl Fn(&T) -> W) -> Answer {
        let cursor = Some(self.services.hub.cursor_of_users(done.at).to_string());
        Answer { cursor, ..read(&convert(&done.value)) }
    }

    fn done<T, W: Serialize>(&self, done: &Done<T>, convert: impl Fn(&T) -> W) -> Answer {
        spans::acknowledged(done.at);
        let cursor = Some(self.services.hub.cursor_at(done.at).to_string());
        Answer { data: encode::json(&convert(&done.value)).into(), cursor, created: None, cookies: None }
    }
}

fn read<W: Serialize>(output: &W) -> Answer {
    Answer { data: encode::json(output).into(), cursor: None, created: None, cookies: None }
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
