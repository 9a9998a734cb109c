//! The one table of operations: name, REST route, input and output. WebSocket, REST and OpenAPI dispatch through it.
//!
//! Who may call an operation is not said here but in the server's policy table, `src/domain/access.rs`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    admin, appointment, auth, calendar_feed, doctor, export, holiday, resource, review, series, session, slot,
    time_off, topic, value, waitlist,
};

/// HTTP method of a REST route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// REST door of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: Method,
    /// Path with `{field}` for fields of the input.
    pub path: &'static str,
    /// Status of a success.
    pub status: u16,
}

/// What an operation does to the data, which decides what stands beside its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes nothing; may carry `after`.
    Read,
    /// Changes something; carries an idempotency key, the reply a cursor.
    Mutation,
    /// Changes sessions or the connection; carries no key.
    Connection,
}

macro_rules! operations {
    ($($variant:ident $name:literal $kind:ident [$($method:ident $path:literal $status:literal)?] $input:ty => $output:ty, $summary:literal;)*) => {
        /// Everything that a client can ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $(#[doc = $summary] $variant,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The WebSocket `type`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The operation of a WebSocket `type`.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// What it does to the data.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// Its REST door, where it has one.
            #[must_use]
            pub const fn route(self) -> Option<Route> {
                match self { $(Self::$variant => operations!(@route $($method $path $status)?),)* }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }

            /// JSON Schema of its input.
            #[must_use]
            pub fn input_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Self::$variant => generator.subschema_for::<$input>(),)* }
            }

            /// JSON Schema of its output.
            #[must_use]
            pub fn output_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Self::$variant => generator.subschema_for::<$output>(),)* }
            }
        }

        /// Everything that a client may send over the WebSocket, for generators of client types.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type", content = "data")]
        pub enum ClientMessage {
            $(
                #[doc = $summary]
                #[serde(rename = $name)]
                #[schemars(title = concat!(stringify!($variant), "Frame"))]
                $variant($input),
            )*
            /// Answer to the server's `ping`.
            #[serde(rename = "pong")]
            #[schemars(title = "PongFrame")]
            Pong(value::Empty),
        }
    };
    (@route $method:ident $path:literal $status:literal) => {
        Some(Route { method: Method::$method, path: $path, status: $status })
    };
    (@route) => { None };
}

operations! {
    AuthRegister "auth.register" Connection [Post "/v1/auth/register" 201] auth::RegisterRequest => auth::AuthReply,
        "Create an account and log in.";
    AuthLogin "auth.login" Connection [Post "/v1/auth/login" 200] auth::LoginRequest => auth::AuthReply,
        "Log in with e-mail address and password.";
    AuthRefresh "auth.refresh" Connection [Post "/v1/auth/refresh" 200] auth::RefreshRequest => auth::AuthReply,
        "Exchange a refresh token for a new pair of tokens.";
    AuthLogout "auth.logout" Connection [Post "/v1/auth/logout" 200] value::Empty => value::Empty,
        "End the session of the access token.";
    AuthRenew "auth.renew" Connection [] auth::RenewRequest => auth::RenewReply,
        "Give the open connection a fresh access token of the same user.";
    AuthRequestReset "auth.requestReset" Connection [Post "/v1/auth/request-reset" 200] auth::RequestResetRequest => value::Empty,
        "Ask for a link to choose a new password; the answer does not tell whether there is such an account.";
    AuthResetPassword "auth.resetPassword" Connection [Post "/v1/auth/reset-password" 200] auth::ResetPasswordRequest => value::Empty,
        "Set a new password with the token of a link; all sessions end.";
    AuthVerifyEmail "auth.verifyEmail" Connection [Post "/v1/auth/verify-email" 200] auth::VerifyEmailRequest => value::Empty,
        "Verify an address with the token of a link; a pending one takes its place.";
    AuthRequestVerification "auth.requestVerification" Connection [Post "/v1/auth/request-verification" 200] value::Empty => value::Empty,
        "Send the link that verifies the caller's address once more.";
    SessionList "session.list" Read [Get "/v1/me/sessions" 200] session::SessionListRequest => value::Page<session::Session>,
        "The live sessions of the caller, the one that was used last first.";
    SessionRevoke "session.revoke" Mutation [Delete "/v1/me/sessions/{id}" 200] session::SessionRevokeRequest => value::Empty,
        "End a session of the caller, or all others.";
    MeGet "me.get" Read [Get "/v1/me" 200] auth::MeGetRequest => auth::User,
        "The account of the caller.";
    MeUpdate "me.update" Mutation [Patch "/v1/me" 200] auth::MeUpdateRequest => auth::User,
        "Change the account of the caller.";
    MeExport "me.export" Read [Get "/v1/me/export" 200] export::MeExportRequest => export::Export,
        "Everything that the system holds of the caller.";
    MeDelete "me.delete" Mutation [Delete "/v1/me" 200] auth::MeDeleteRequest => value::Empty,
        "Close the account of the caller and erase the person.";
    CalendarFeedCreate "calendarFeed.create" Mutation [Post "/v1/me/calendar-feed" 201] value::Empty => calendar_feed::CalendarFeed,
        "Make an address under which a calendar program reads the caller's appointments; one from before ends.";
    CalendarFeedRevoke "calendarFeed.revoke" Mutation [Delete "/v1/me/calendar-feed" 200] value::Empty => value::Empty,
        "End the address of the caller's calendar feed.";
    DoctorSearch "doctor.search" Read [Get "/v1/doctors" 200] doctor::DoctorSearchRequest => value::Page<doctor::Doctor>,
        "The doctors who can be booked.";
    DoctorGet "doctor.get" Read [Get "/v1/doctors/{id}" 200] doctor::DoctorGetRequest => doctor::Doctor,
        "The public profile of a doctor.";
    DoctorUpdate "doctor.update" Mutation [Patch "/v1/doctors/{id}" 200] doctor::DoctorUpdateRequest => time_off::DoctorReply,
        "Change a doctor's profile.";
    ServiceList "service.list" Read [Get "/v1/doctors/{doctorId}/services" 200] doctor::ServiceListRequest => value::Page<doctor::Service>,
        "What a doctor offers.";
    ServiceCreate "service.create" Mutation [Post "/v1/doctors/{doctorId}/services" 201] doctor::ServiceCreateRequest => doctor::Service,
        "Offer something new.";
    ServiceUpdate "service.update" Mutation [Patch "/v1/doctors/{doctorId}/services/{id}" 200] doctor::ServiceUpdateRequest => doctor::Service,
        "Change a service; appointments that exist keep their times.";
    ServiceArchive "service.archive" Mutation [Delete "/v1/doctors/{doctorId}/services/{id}" 200] doctor::ServiceArchiveRequest => doctor::Service,
        "Stop offering a service; its appointments stay.";
    AvailabilityGet "availability.get" Read [Get "/v1/doctors/{doctorId}/availability" 200] doctor::AvailabilityGetRequest => doctor::Availability,
        "When a doctor receives patients.";
    AvailabilitySet "availability.set" Mutation [Put "/v1/doctors/{doctorId}/availability" 200] doctor::AvailabilitySetRequest => time_off::AvailabilityReply,
        "Replace a doctor's hours.";
    TimeOffList "timeOff.list" Read [Get "/v1/doctors/{doctorId}/time-off" 200] time_off::TimeOffListRequest => value::Page<time_off::TimeOff>,
        "When a doctor is away.";
    TimeOffCreate "timeOff.create" Mutation [Post "/v1/doctors/{doctorId}/time-off" 201] time_off::TimeOffCreateRequest => time_off::TimeOffReply,
        "Take time off: nothing can be booked into it from then on, and what was booked before is told.";
    TimeOffDelete "timeOff.delete" Mutation [Delete "/v1/doctors/{doctorId}/time-off/{id}" 200] time_off::TimeOffDeleteRequest => value::Empty,
        "Take a time off back.";
    HolidayCalendarList "holidayCalendar.list" Read [Get "/v1/holiday-calendars" 200] holiday::HolidayCalendarListRequest => value::Page<holiday::HolidayCalendar>,
        "The calendars of public holidays that a doctor can choose.";
    HolidayCalendarGet "holidayCalendar.get" Read [Get "/v1/holiday-calendars/{id}" 200] holiday::HolidayCalendarGetRequest => holiday::HolidayYear,
        "The public holidays of a year.";
    SlotSearch "slot.search" Read [Get "/v1/doctors/{doctorId}/slots" 200] slot::SlotSearchRequest => slot::SlotSearchReply,
        "What can be booked now.";
    SlotSearchDoctors "slot.searchDoctors" Read [Get "/v1/slots" 200] slot::DoctorSlotSearchRequest => value::Page<slot::DoctorSlot>,
        "What can be booked now with any of several doctors, the earliest first.";
    SlotExplain "slot.explain" Read [Get "/v1/doctors/{doctorId}/slots/explain" 200] slot::SlotExplainRequest => slot::SlotExplainReply,
        "Whether a time can be booked, and which rule is against it.";
    SlotHold "slot.hold" Mutation [Post "/v1/holds" 201] slot::HoldRequest => appointment::Appointment,
        "Take a slot for some minutes, while the form is filled in.";
    HoldRelease "hold.release" Mutation [Delete "/v1/holds/{id}" 200] slot::HoldReleaseRequest => appointment::Appointment,
        "Give back a slot that you hold.";
    AppointmentBook "appointment.book" Mutation [Post "/v1/appointments" 201] appointment::BookRequest => appointment::Appointment,
        "Book a slot.";
    AppointmentGet "appointment.get" Read [Get "/v1/appointments/{id}" 200] appointment::AppointmentGetRequest => appointment::Appointment,
        "One appointment.";
    AppointmentList "appointment.list" Read [Get "/v1/appointments" 200] appointment::AppointmentListRequest => value::Page<appointment::Appointment>,
        "Appointments by start.";
    AppointmentListOutside "appointment.listOutside" Read [Get "/v1/doctors/{doctorId}/outside" 200] time_off::OutsideListRequest => time_off::OutsideList,
        "Appointments that a doctor's present rules no longer allow, each with times to move it to.";
    AppointmentReschedule "appointment.reschedule" Mutation [Post "/v1/appointments/{id}/reschedule" 200] appointment::RescheduleRequest => appointment::Appointment,
        "Move an appointment; the old time is kept until the new one is won.";
    AppointmentCancel "appointment.cancel" Mutation [Post "/v1/appointments/{id}/cancel" 200] appointment::CancelRequest => appointment::Appointment,
        "Cancel an appointment and free its time.";
    AppointmentApprove "appointment.approve" Mutation [Post "/v1/appointments/{id}/approve" 200] appointment::MoveRequest => appointment::Appointment,
        "Approve a request: it is booked.";
    AppointmentDecline "appointment.decline" Mutation [Post "/v1/appointments/{id}/decline" 200] appointment::DeclineRequest => appointment::Appointment,
        "Decline a request and free its time.";
    AppointmentCheckIn "appointment.checkIn" Mutation [Post "/v1/appointments/{id}/check-in" 200] appointment::MoveRequest => appointment::Appointment,
        "The patient is there.";
    AppointmentComplete "appointment.complete" Mutation [Post "/v1/appointments/{id}/complete" 200] appointment::MoveRequest => appointment::Appointment,
        "The visit took place.";
    AppointmentNoShow "appointment.noShow" Mutation [Post "/v1/appointments/{id}/no-show" 200] appointment::MoveRequest => appointment::Appointment,
        "The patient did not come.";
    AppointmentUndo "appointment.undo" Mutation [Post "/v1/appointments/{id}/undo" 200] appointment::MoveRequest => appointment::Appointment,
        "Take back the check-in, completion or no-show of the last ten minutes.";
    AppointmentSetNotes "appointment.setNotes" Mutation [Put "/v1/appointments/{id}/notes" 200] appointment::SetNotesRequest => appointment::Appointment,
        "Write what the doctor alone reads.";
    SeriesPreview "series.preview" Read [Get "/v1/series/preview" 200] series::SeriesPreviewRequest => series::SeriesPreviewReply,
        "Try a recurring appointment: a verdict for each occurrence.";
    SeriesBook "series.book" Mutation [Post "/v1/series" 201] series::SeriesBookRequest => series::Series,
        "Book a recurring appointment: all its occurrences, or those that are named, or none.";
    SeriesGet "series.get" Read [Get "/v1/series/{id}" 200] series::SeriesGetRequest => series::Series,
        "The appointments of a series.";
    SeriesReschedule "series.reschedule" Mutation [Post "/v1/series/{id}/reschedule" 200] series::SeriesRescheduleRequest => series::Series,
        "Move all appointments of a series that are still to come, or one and those that follow it.";
    SeriesCancel "series.cancel" Mutation [Delete "/v1/series/{id}" 200] series::SeriesCancelRequest => series::Series,
        "Cancel all appointments of a series that are still to come, or one and those that follow it.";
    WaitlistJoin "waitlist.join" Mutation [Post "/v1/waitlist" 201] waitlist::WaitlistJoinRequest => waitlist::WaitlistEntry,
        "Wait for a time of a doctor: what is given up is offered to those who wait.";
    WaitlistList "waitlist.list" Read [Get "/v1/waitlist" 200] waitlist::WaitlistListRequest => value::Page<waitlist::WaitlistEntry>,
        "Who waits for what, the longest waiting first.";
    WaitlistLeave "waitlist.leave" Mutation [Delete "/v1/waitlist/{id}" 200] waitlist::WaitlistAnswerRequest => waitlist::WaitlistEntry,
        "Wait no more; what was offered goes to the next.";
    WaitlistAccept "waitlist.accept" Mutation [Post "/v1/waitlist/{id}/accept" 200] waitlist::WaitlistAcceptRequest => appointment::Appointment,
        "Take what is offered: it is the appointment.";
    WaitlistPass "waitlist.pass" Mutation [Post "/v1/waitlist/{id}/pass" 200] waitlist::WaitlistAnswerRequest => waitlist::WaitlistEntry,
        "Wait for another time than the one that is offered, which goes to the next.";
    AppointmentHistory "appointment.history" Read [Get "/v1/appointments/{id}/history" 200] admin::HistoryRequest => value::Page<admin::HistoryEntry>,
        "Who changed an appointment, when and how.";
    DoctorHistory "doctor.history" Read [Get "/v1/doctors/{id}/history" 200] admin::HistoryRequest => value::Page<admin::HistoryEntry>,
        "Who changed a doctor's profile, services or hours, and when.";
    PatientFind "patient.find" Read [Get "/v1/patients" 200] admin::FindPatientRequest => admin::Patient,
        "The patient with an e-mail address, for the reception.";
    StaffListDoctors "staff.listDoctors" Read [Get "/v1/me/doctors" 200] admin::StaffDoctorsRequest => value::Page<doctor::Doctor>,
        "The doctors that the caller acts for.";
    MeListAudit "me.listAudit" Read [Get "/v1/me/audit" 200] admin::MyAuditRequest => value::Page<admin::AuditEntry>,
        "Log-ins and administration that concern the caller.";
    AdminListUsers "admin.listUsers" Read [Get "/v1/admin/users" 200] admin::ListUsersRequest => value::Page<admin::Account>,
        "The users of the clinic.";
    AdminUpdateUser "admin.updateUser" Mutation [Patch "/v1/admin/users/{id}" 200] admin::UpdateUserRequest => admin::Account,
        "Change a user's role, or disable the account.";
    AdminListDoctors "admin.listDoctors" Read [Get "/v1/admin/doctors" 200] admin::ListDoctorsRequest => value::Page<doctor::Doctor>,
        "The doctors who wait for approval, or those of another state.";
    AdminApproveDoctor "admin.approveDoctor" Mutation [Put "/v1/admin/doctors/{id}/approval" 200] admin::ApproveDoctorRequest => doctor::Doctor,
        "Approve a doctor, or refuse to.";
    AdminSetStaff "admin.setStaff" Mutation [Put "/v1/admin/doctors/{id}/staff" 200] admin::SetStaffRequest => doctor::Doctor,
        "Say who acts for a doctor.";
    ResourceList "resource.list" Read [Get "/v1/resources" 200] resource::ResourceListRequest => value::Page<resource::Resource>,
        "The rooms and devices that doctors share.";
    AdminCreateResource "admin.createResource" Mutation [Post "/v1/admin/resources" 201] resource::CreateResourceRequest => resource::Resource,
        "Make a room or a device.";
    AdminUpdateResource "admin.updateResource" Mutation [Patch "/v1/admin/resources/{id}" 200] resource::UpdateResourceRequest => resource::Resource,
        "Rename a room or a device.";
    AdminArchiveResource "admin.archiveResource" Mutation [Delete "/v1/admin/resources/{id}" 200] resource::ArchiveResourceRequest => resource::Resource,
        "Let no further service have a room or a device.";
    AdminListAudit "admin.listAudit" Read [Get "/v1/admin/audit" 200] admin::ListAuditRequest => value::Page<admin::AuditEntry>,
        "Log-ins and administration: who did what to whom.";
    ReviewList "review.list" Read [Get "/v1/doctors/{doctorId}/reviews" 200] review::ReviewListRequest => value::Page<review::Review>,
        "What patients say of a doctor.";
    ReviewCreate "review.create" Mutation [Post "/v1/doctors/{doctorId}/reviews" 201] review::ReviewCreateRequest => review::Review,
        "Review a visit.";
    ReviewUpdate "review.update" Mutation [Patch "/v1/reviews/{id}" 200] review::ReviewUpdateRequest => review::Review,
        "Change one's own review.";
    ReviewReply "review.reply" Mutation [Put "/v1/reviews/{id}/reply" 200] review::ReviewReplyRequest => review::Review,
        "Answer a review in public, as its doctor.";
    ReviewReport "review.report" Mutation [Post "/v1/reviews/{id}/report" 200] review::ReviewReportRequest => review::Review,
        "Ask the admins to look at a review.";
    AdminListReviews "admin.listReviews" Read [Get "/v1/admin/reviews" 200] review::ListReviewsRequest => value::Page<review::ModeratedReview>,
        "Reviews of every status, with what was reported.";
    AdminHideReview "admin.hideReview" Mutation [Post "/v1/admin/reviews/{id}/hide" 200] review::ModerateReviewRequest => review::ModeratedReview,
        "Keep a review from the public; it no longer counts.";
    AdminRestoreReview "admin.restoreReview" Mutation [Post "/v1/admin/reviews/{id}/restore" 200] review::ModerateReviewRequest => review::ModeratedReview,
        "Show a review, and let it count.";
    Subscribe "subscribe" Connection [] topic::SubscribeRequest => topic::SubscribeReply,
        "Receive a topic: a snapshot, then every change.";
    Unsubscribe "unsubscribe" Connection [] topic::UnsubscribeRequest => topic::UnsubscribeReply,
        "Stop receiving a topic.";
}
