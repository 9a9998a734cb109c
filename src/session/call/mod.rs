//! One operation from its input to its answer: the way that WebSocket and REST share.

mod accounts;
mod admin;
mod appointments;
mod auth;
mod calendar_feed;
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
pub use calendar_feed::{Calendar, calendar};

use std::future::ready;
use std::time::Instant;

use bytes::Bytes;
use cita_protocol::value::Page;
use cita_protocol::{ErrorCode, Operation, Problem};
use futures::FutureExt as _;
use futures::future::BoxFuture;
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
    let call = Call { services, viewer, request };
    let answered = match access::admit(request.operation.name(), viewer) {
        Ok(()) => call.operation().await,
        Err(refusal) => Err(refusal.into()),
    };
    answered.map_err(|failed| match failed {
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
    /// Each operation is as large as it has to be: without the boxes, all of them would be copied about as the largest.
    fn operation(&self) -> BoxFuture<'_, Answered> {
        match self.request.operation {
            Operation::AuthRegister => self.register().boxed(),
            Operation::AuthLogin => self.login().boxed(),
            Operation::AuthRefresh => self.refresh().boxed(),
            Operation::AuthLogout => self.logout().boxed(),
            Operation::AuthRequestReset => self.request_reset().boxed(),
            Operation::AuthResetPassword => self.reset_password().boxed(),
            Operation::AuthVerifyEmail => self.verify_email().boxed(),
            Operation::AuthRequestVerification => self.request_verification().boxed(),
            Operation::SessionList => self.session_list().boxed(),
            Operation::SessionRevoke => self.session_revoke().boxed(),
            Operation::MeGet => self.me().boxed(),
            Operation::MeUpdate => self.me_update().boxed(),
            Operation::MeExport => self.me_export().boxed(),
            Operation::MeDelete => self.me_delete().boxed(),
            Operation::CalendarFeedCreate => self.calendar_feed_create().boxed(),
            Operation::CalendarFeedRevoke => self.calendar_feed_revoke().boxed(),
            Operation::DoctorSearch => self.doctor_search().boxed(),
            Operation::DoctorGet => self.doctor_get().boxed(),
            Operation::DoctorUpdate => self.doctor_update().boxed(),
            Operation::ServiceList => self.service_list().boxed(),
            Operation::ServiceCreate => self.service_create().boxed(),
            Operation::ServiceUpdate => self.service_update().boxed(),
            Operation::ServiceArchive => self.service_archive().boxed(),
            Operation::AvailabilityGet => self.availability_get().boxed(),
            Operation::AvailabilitySet => self.availability_set().boxed(),
            Operation::TimeOffList => self.time_off_list().boxed(),
            Operation::TimeOffCreate => self.time_off_create().boxed(),
            Operation::TimeOffDelete => self.time_off_delete().boxed(),
            Operation::AppointmentListOutside => self.outside().boxed(),
            Operation::HolidayCalendarList => self.holiday_calendars().boxed(),
            Operation::HolidayCalendarGet => self.holidays().boxed(),
            Operation::SlotSearch => self.slot_search().boxed(),
            Operation::SlotSearchDoctors => self.slot_search_doctors().boxed(),
            Operation::SlotExplain => self.slot_explain().boxed(),
            Operation::SlotHold => self.hold().boxed(),
            Operation::HoldRelease => self.release().boxed(),
            Operation::AppointmentBook => self.book().boxed(),
            Operation::AppointmentGet => self.appointment_get().boxed(),
            Operation::AppointmentList => self.appointment_list().boxed(),
            Operation::AppointmentReschedule => self.reschedule().boxed(),
            Operation::AppointmentCancel => self.cancel().boxed(),
            Operation::AppointmentApprove => self.advance(Move::Approve).boxed(),
            Operation::AppointmentDecline => self.decline().boxed(),
            Operation::AppointmentCheckIn => self.advance(Move::CheckIn).boxed(),
            Operation::AppointmentComplete => self.advance(Move::Complete).boxed(),
            Operation::AppointmentNoShow => self.advance(Move::NoShow).boxed(),
            Operation::AppointmentUndo => self.advance(Move::Undo).boxed(),
            Operation::AppointmentSetNotes => self.set_notes().boxed(),
            Operation::SeriesPreview => self.series_preview().boxed(),
            Operation::SeriesBook => self.series_book().boxed(),
            Operation::SeriesGet => self.series_get().boxed(),
            Operation::SeriesReschedule => self.series_reschedule().boxed(),
            Operation::SeriesCancel => self.series_cancel().boxed(),
            Operation::WaitlistJoin => self.waitlist_join().boxed(),
            Operation::WaitlistList => self.waitlist_list().boxed(),
            Operation::WaitlistLeave => self.waitlist_leave().boxed(),
            Operation::WaitlistAccept => self.waitlist_accept().boxed(),
            Operation::WaitlistPass => self.waitlist_pass().boxed(),
            Operation::AppointmentHistory => self.appointment_history().boxed(),
            Operation::DoctorHistory => self.doctor_history().boxed(),
            Operation::PatientFind => self.find_patient().boxed(),
            Operation::StaffListDoctors => self.staff_list_doctors().boxed(),
            Operation::MeListAudit => self.my_audit().boxed(),
            Operation::AdminListUsers => self.admin_list_users().boxed(),
            Operation::AdminUpdateUser => self.admin_update_user().boxed(),
            Operation::AdminListDoctors => self.admin_list_doctors().boxed(),
            Operation::AdminApproveDoctor => self.admin_approve_doctor().boxed(),
            Operation::AdminSetStaff => self.admin_set_staff().boxed(),
            Operation::ResourceList => self.resource_list().boxed(),
            Operation::AdminCreateResource => self.admin_create_resource().boxed(),
            Operation::AdminUpdateResource => self.admin_update_resource().boxed(),
            Operation::AdminArchiveResource => self.admin_archive_resource().boxed(),
            Operation::AdminListAudit => self.admin_list_audit().boxed(),
            Operation::ReviewList => self.review_list().boxed(),
            Operation::ReviewCreate => self.review_create().boxed(),
            Operation::ReviewUpdate => self.review_update().boxed(),
            Operation::ReviewReply => self.review_reply().boxed(),
            Operation::ReviewReport => self.review_report().boxed(),
            Operation::AdminListReviews => self.admin_list_reviews().boxed(),
            Operation::AdminHideReview => self.admin_moderate_review(Moderation::Hide).boxed(),
            Operation::AdminRestoreReview => self.admin_moderate_review(Moderation::Restore).boxed(),
            // They need an open connection, which answers them itself.
            Operation::AuthRenew | Operation::Subscribe | Operation::Unsubscribe => {
                ready(Err(Problem::new(ErrorCode::UnknownType).into())).boxed()
            }
        }
    }

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
