//! From the domain to the wire: the entities, and the errors of the registry.

mod admin;
pub mod calendar;
mod hours;
mod reviews;
mod series;
mod waitlist;

use std::sync::Arc;

use cita_protocol::appointment::{Appointment as WireAppointment, AppointmentStatus, WalkIn as WireWalkIn};
use cita_protocol::auth::{
    AuthReply, ConnectedUser, Notifications as WireNotifications, Role as WireRole, User as WireUser,
};
use cita_protocol::doctor::{
    AllowedPatients, Approval as WireApproval, Doctor as WireDoctor, DoctorSort, FirstSlot, LiveDoctor,
    Rating as WireRating, Service as WireService,
};
use cita_protocol::export::{
    Export as WireExport, ExportList, ExportedAppointment, ExportedDoctor, ExportedSession, ExternalIdentity,
};
use cita_protocol::session::Session as WireSession;
use cita_protocol::slot::{DoctorSlot, LiveSlot as WireLiveSlot, Slot, SlotStatus};
use cita_protocol::value::{Id, Instant, Money, TimeZone};
use cita_protocol::{ErrorCode, FieldError, Outcome as WireOutcome, Problem};
use jiff::Timestamp;
use uuid::Uuid;

pub use self::admin::{
    account, appointment_event, approval_of, audit_entry, doctor_event, doctor_for, role_of, staff_of,
};
pub use self::hours::{availability, holiday_calendar, holidays, keep_of, left, outside, time_off};
pub use self::reviews::{exported_report, exported_review, moderated_review, review, review_for};
pub use self::series::{occurrence, series};
pub use self::waitlist::{wait_status_of, waitlist_entry};
use crate::domain::access::{self, Object};
use crate::domain::account::{Identity, Role, User, Viewer};
use crate::domain::appointment::{Appointment, Status};
use crate::domain::doctor::{Approval, Doctor, Patients, Rating, Service};
use crate::domain::ids::SessionId;
use crate::domain::listing::Sort;
use crate::domain::notifications::Notifications;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::session::Session;
use crate::error::{ClusterName, Error, Outcome};
use crate::live::project::LiveSlot;
use crate::service::auth::Grant;
use crate::service::export::{Complete, Export};
use crate::service::slots::{First, Found, OfDoctor};

pub fn id(id: Uuid) -> Id {
    Id(id.to_string())
}

pub fn instant(instant: Timestamp) -> Instant {
    Instant(instant.to_string())
}

fn number(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

pub fn role(role: Role) -> WireRole {
    match role {
        Role::Patient => WireRole::Patient,
        Role::Doctor => WireRole::Doctor,
        Role::Staff => WireRole::Staff,
        Role::Admin => WireRole::Admin,
    }
}

pub fn user(user: &User) -> WireUser {
    WireUser {
        id: id(user.id.0),
        rev: user.rev,
        role: role(user.role),
        name: user.name.clone(),
        email: user.email.clone(),
        email_verified: user.email_verified,
        pending_email: user.pending_email.clone(),
        locale: user.locale.clone(),
        time_zone: user.time_zone.clone().map(TimeZone),
        notifications: notifications(user.notifications),
        calendar_feed_at: user
            .calendar_feed
            .as_ref()
            .filter(|feed| feed.is_live())
            .map(|feed| instant(feed.created_at)),
        created_at: instant(user.created_at),
    }
}

fn notifications(chosen: Notifications) -> WireNotifications {
    let Notifications { changes, reminders, offers, reminder_minutes } = chosen;
    WireNotifications { changes, reminders, offers, reminder_minutes }
}

pub fn export(export: &Export) -> WireExport {
    let own = Some(export.user.id);
    WireExport {
        exported_at: instant(export.at),
        user: user(&export.user),
        external: export
            .user
            .external
            .as_ref()
            .map(|external| ExternalIdentity { issuer: external.issuer.clone(), subject: external.subject.clone() }),
        sessions: complete(&export.sessions, |session| ExportedSession {
            id: id(session.id.0),
            device: session.device.clone(),
            created_at: instant(session.created_at),
            network: session.network.clone(),
            last_seen_at: instant(session.last_seen_at),
            expires_at: instant(session.expires_at),
            revoked_at: session.revoked_at.map(instant),
        }),
        doctor: export.doctor.as_ref().map(|rules| ExportedDoctor {
            profile: WireDoctor { staff: Some(staff_of(rules)), ..doctor(rules) },
            services: rules.services.iter().map(|offered| service(rules, offered)).collect(),
            availability: availability(rules),
            time_off: rules.time_off.iter().map(|off| time_off(rules, off)).collect(),
            history: rules.history.iter().map(|entry| doctor_event(own, false, entry)).collect(),
        }),
        appointments: complete(&export.appointments, |found| {
            let doctor = own == Some(found.doctor_id);
            ExportedAppointment {
                appointment: WireAppointment { notes: found.notes.clone().filter(|_| doctor), ..appointment(found) },
                history: found
                    .history_for(doctor, doctor)
                    .iter()
                    .map(|entry| appointment_event(own, false, &found.time_zone, entry))
                    .collect(),
            }
        }),
        waitlist: complete(&export.waitlist, waitlist_entry),
        reviews: complete(&export.reviews, |review| exported_review(export.user.id, review)),
        review_reports: ExportList {
            items: export.reported.items.iter().filter_map(|review| exported_report(export.user.id, review)).collect(),
            truncated: export.reported.truncated,
        },
        audit: complete(&export.audit, audit_entry),
    }
}

fn complete<T, W>(list: &Complete<T>, convert: impl Fn(&T) -> W) -> ExportList<W> {
    ExportList { items: list.items.iter().map(convert).collect(), truncated: list.truncated }
}

/// A session, as one that asks is told; in the live topic nobody asks.
pub fn session(session: &Session, asking: Option<SessionId>) -> WireSession {
    WireSession {
        id: id(session.id.0),
        rev: session.rev,
        device: session.device.clone(),
        network: session.network.clone(),
        created_at: instant(session.created_at),
        last_seen_at: instant(session.last_seen_at),
        expires_at: instant(session.expires_at),
        current: asking.map(|asking| asking == session.id),
    }
}

pub fn connected_user(identity: &Identity) -> ConnectedUser {
    ConnectedUser { id: id(identity.user.0), role: role(identity.role), name: identity.name.clone() }
}

pub fn grant(grant: &Grant) -> AuthReply {
    AuthReply {
        access_token: grant.access_token.expose().to_owned(),
        refresh_token: Some(grant.refresh_token.expose().to_owned()),
        expires_at: instant(grant.expires_at),
        user: user(&grant.user),
    }
}

/// What a doctor shows to everybody: see [`doctor_for`].
pub fn doctor(doctor: &Doctor) -> WireDoctor {
    WireDoctor {
        id: id(doctor.id.0),
        rev: doctor.rev,
        name: doctor.name.clone(),
        approval: match doctor.approval {
            Approval::Pending => WireApproval::Pending,
            Approval::Approved => WireApproval::Approved,
            Approval::Rejected => WireApproval::Rejected,
        },
        time_zone: TimeZone(doctor.zone_name().to_owned()),
        specialisation: doctor.profile.specialisation.clone(),
        bio: doctor.profile.bio.clone(),
        languages: doctor.profile.languages.clone(),
        address: doctor.profile.address.clone(),
        qualifications: doctor.profile.qualifications.clone(),
        experience_years: doctor.profile.experience_years,
        photo_url: doctor.profile.photo_url.clone(),
        price: doctor.profile.price.as_ref().map(money),
        rating: rating(doctor.rating),
        first_slot: None,
        staff: None,
    }
}

/// A doctor with the first time that can be booked.
pub fn available_doctor((found, first): &(Arc<Doctor>, Option<First>)) -> WireDoctor {
    let first_slot = first.map(|first| FirstSlot {
        service_id: id(first.service.0),
        start: instant(first.start),
        end: instant(first.end),
    });
    WireDoctor { first_slot, ..doctor(found) }
}

/// To hundredths; nothing while nobody has said anything.
fn rating(Rating { sum, count }: Rating) -> Option<WireRating> {
    let average = |count| (f64::from(sum) / f64::from(count) * 100.0).round() / 100.0;
    (count > 0).then(|| WireRating { average: average(count), count })
}

pub fn live_doctor(doctor: &Doctor) -> LiveDoctor {
    let services = doctor.services.iter().map(|offered| service(doctor, offered)).collect();
    LiveDoctor { doctor: self::doctor(doctor), services }
}

/// The domain's word for a sort of the wire; `None` for the one that is computed from calendars.
pub fn sort_of(sort: DoctorSort) -> Option<Sort> {
    match sort {
        DoctorSort::Name => Some(Sort::Name),
        DoctorSort::Rating => Some(Sort::Rating),
        DoctorSort::Price => Some(Sort::Price),
        DoctorSort::Experience => Some(Sort::Experience),
        DoctorSort::Available => None,
    }
}

fn money((amount, currency): &(i64, String)) -> Money {
    Money { amount_minor: *amount, currency: currency.clone() }
}

pub fn service(doctor: &Doctor, service: &Service) -> WireService {
    let terms = &service.terms;
    WireService {
        id: id(service.id.0),
        doctor_id: id(doctor.id.0),
        rev: service.rev,
        name: service.name.clone(),
        duration_minutes: number(service.duration_minutes),
        step_minutes: number(service.step_minutes),
        buffer_before_minutes: number(service.buffer_before_minutes),
        buffer_after_minutes: number(service.buffer_after_minutes),
        price: service.price.as_ref().map(money),
        requires_approval: terms.requires_approval,
        min_notice_minutes: number(service.min_notice_minutes),
        horizon_days: number(service.horizon_days),
        capacity: number(terms.capacity),
        daily_limit: terms.daily_limit.map(number),
        weekly_limit: terms.weekly_limit.map(number),
        cancel_cutoff_minutes: number(terms.cancel_cutoff_minutes),
        reschedule_cutoff_minutes: number(terms.reschedule_cutoff_minutes),
        location: terms.location.clone(),
        video_url: terms.video_url.clone(),
        patients: match terms.patients {
            Patients::Any => AllowedPatients::Any,
            Patients::New => AllowedPatients::New,
            Patients::Known => AllowedPatients::Known,
        },
        resource_ids: terms.resources.iter().map(|resource| id(resource.0)).collect(),
        archived: service.archived,
    }
}

/// The domain's word for whom a service is for.
pub fn patients_of(patients: AllowedPatients) -> Patients {
    match patients {
        AllowedPatients::Any => Patients::Any,
        AllowedPatients::New => Patients::New,
        AllowedPatients::Known => Patients::Known,
    }
}

pub fn free_slot((start, end): &(Timestamp, Timestamp)) -> Slot {
    Slot { start: instant(*start), end: instant(*end), status: SlotStatus::Free, seats_left: None, conflict: false }
}

pub fn slot(slot: &Found) -> Slot {
    let status = slot_status(slot.held);
    let (start, end) = (instant(slot.start), instant(slot.end));
    Slot { start, end, status, seats_left: slot.seats_left, conflict: slot.conflict }
}

pub fn doctor_slot(of: &OfDoctor) -> DoctorSlot {
    DoctorSlot {
        doctor_id: id(of.doctor.0),
        service_id: id(of.service.0),
        time_zone: TimeZone(of.time_zone.clone()),
        slot: slot(&of.found),
    }
}

fn slot_status(held: bool) -> SlotStatus {
    if held { SlotStatus::Held } else { SlotStatus::Free }
}

pub fn live_slot(slot: &LiveSlot) -> WireLiveSlot {
    WireLiveSlot {
        start: instant(slot.start),
        end: instant(slot.end),
        status: slot_status(slot.held_until.is_some()),
        held_until: slot.held_until.map(instant),
        seats_left: slot.seats_left,
        bookable_from: instant(slot.bookable_from),
        bookable_until: instant(slot.bookable_until),
    }
}

/// An appointment with those parts that this viewer may see.
pub fn appointment_for(viewer: &Viewer, of: &Appointment) -> WireAppointment {
    let sees_notes = access::authorise(access::NOTES_PART, viewer, Object::of_doctor(of.doctor_id)).is_ok();
    WireAppointment { notes: of.notes.clone().filter(|_| sees_notes), ..appointment(of) }
}

/// An appointment as all its parties see it, in lists and topics: without the notes.
pub fn appointment(appointment: &Appointment) -> WireAppointment {
    WireAppointment {
        id: id(appointment.id.0),
        rev: appointment.rev,
        status: status(appointment.status),
        doctor_id: id(appointment.doctor_id.0),
        doctor_name: appointment.doctor_name.clone(),
        patient_id: id(appointment.patient_id.0),
        patient_name: appointment.patient_name.clone(),
        walk_in: appointment.walk_in.as_ref().map(|walk_in| WireWalkIn { phone: walk_in.phone.clone() }),
        service_id: id(appointment.service_id.0),
        service_name: appointment.service_name.clone(),
        resource_ids: appointment.resources.iter().map(|resource| id(resource.0)).collect(),
        start: instant(appointment.start),
        end: instant(appointment.end),
        time_zone: TimeZone(appointment.time_zone.clone()),
        series_id: appointment.series.as_ref().map(|series| id(series.id.0)),
        reason: appointment.reason.clone(),
        cancel_reason: appointment.cancel_reason.clone(),
        notes: None,
        created_at: instant(appointment.created_at),
        updated_at: instant(appointment.updated_at),
        expires_at: appointment.held.filter(|_| appointment.status == Status::Held).map(|held| instant(held.until)),
        waitlist_id: appointment.held.and_then(|held| held.entry()).map(|entry| id(entry.0)),
    }
}

fn status(status: Status) -> AppointmentStatus {
    match status {
        Status::Held => AppointmentStatus::Held,
        Status::Expired => AppointmentStatus::Expired,
        Status::Pending => AppointmentStatus::Pending,
        Status::Booked => AppointmentStatus::Booked,
        Status::Arrived => AppointmentStatus::Arrived,
        Status::Fulfilled => AppointmentStatus::Fulfilled,
        Status::Noshow => AppointmentStatus::Noshow,
        Status::Cancelled => AppointmentStatus::Cancelled,
    }
}

/// The domain's word for a status of the wire.
pub fn status_of(status: AppointmentStatus) -> Status {
    match status {
        AppointmentStatus::Held => Status::Held,
        AppointmentStatus::Expired => Status::Expired,
        AppointmentStatus::Pending => Status::Pending,
        AppointmentStatus::Booked => Status::Booked,
        AppointmentStatus::Arrived => Status::Arrived,
        AppointmentStatus::Fulfilled => Status::Fulfilled,
        AppointmentStatus::Noshow => Status::Noshow,
        AppointmentStatus::Cancelled => Status::Cancelled,
    }
}

/// What a client is told of an error. Defects and outages are logged here, once, and not shown.
pub fn problem(error: Error) -> Problem {
    match error {
        Error::Refused(refusal) => refused(refusal),
        Error::Unavailable { cluster, outcome } => {
            tracing::warn!(%cluster, ?outcome, "answered unavailable");
            let part = match cluster {
                ClusterName::Users => "Accounts cannot be reached at the moment.",
                ClusterName::Appointments => "Calendars cannot be reached at the moment.",
            };
            let detail = match outcome {
                Some(Outcome::Unknown) => format!("{part} The change may have been made: repeat it with the same key."),
                _ => part.to_owned(),
            };
            Problem { outcome: outcome.map(wire_outcome), ..Problem::new(ErrorCode::Unavailable).with_detail(detail) }
        }
        Error::Internal(what) => {
            tracing::error!(what, "answered internal");
            Problem::new(ErrorCode::Internal)
        }
    }
}

fn wire_outcome(outcome: Outcome) -> WireOutcome {
    match outcome {
        Outcome::NotApplied => WireOutcome::NotApplied,
        Outcome::Unknown => WireOutcome::Unknown,
    }
}

fn refused(refusal: Refusal) -> Problem {
    let plain = Problem::new;
    match refusal {
        Refusal::Unauthenticated => plain(ErrorCode::Unauthenticated),
        Refusal::TokenExpired => plain(ErrorCode::TokenExpired),
        Refusal::SessionRevoked => plain(ErrorCode::SessionRevoked),
        Refusal::Forbidden => plain(ErrorCode::Forbidden),
        Refusal::NotFound => plain(ErrorCode::NotFound),
        Refusal::SlotTaken { alternatives } => {
            Problem { alternatives: Some(alternatives.iter().map(free_slot).collect()), ..plain(ErrorCode::SlotTaken) }
        }
        Refusal::SlotUnavailable { rule } => {
            Problem { rule: Some(rule.as_str().to_owned()), ..plain(ErrorCode::SlotUnavailable) }
        }
        Refusal::HoldExpired => plain(ErrorCode::HoldExpired),
        Refusal::PatientBusy => plain(ErrorCode::PatientBusy),
        Refusal::OfSeries { why, occurrences } => {
            Problem { occurrences: occurrences.iter().map(occurrence).collect(), ..refused(*why) }
        }
        Refusal::InZone { zone, why } => Problem { time_zone: Some(TimeZone(zone)), ..refused(*why) },
        Refusal::IllegalTransition => plain(ErrorCode::IllegalTransition),
        Refusal::TooLate => Problem { rule: Some("cutoff".to_owned()), ..plain(ErrorCode::IllegalTransition) },
        Refusal::AlreadyReviewed => plain(ErrorCode::AlreadyReviewed),
        Refusal::NotReviewable => plain(ErrorCode::NotReviewable),
        Refusal::EmailTaken => plain(ErrorCode::EmailTaken),
        Refusal::StaleRev => plain(ErrorCode::StaleRev),
        Refusal::Invalid(violations) => {
            Problem { errors: violations.into_iter().map(field_error).collect(), ..plain(ErrorCode::ValidationFailed) }
        }
        Refusal::IdempotencyKeyReused => plain(ErrorCode::IdempotencyKeyReused),
        Refusal::RateLimited { retry_after_ms } => {
            Problem { retry_after_ms: Some(retry_after_ms), ..plain(ErrorCode::RateLimited) }
        }
        Refusal::TooManySubscriptions => plain(ErrorCode::TooManySubscriptions),
    }
}

fn field_error(violation: Violation) -> FieldError {
    FieldError {
        pointer: violation.pointer.into_owned(),
        code: violation.code.to_owned(),
        detail: violation.detail.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_chosen_nothing_is_told_the_same_everywhere() {
        assert_eq!(notifications(Notifications::default()), WireNotifications::default());
    }
}
