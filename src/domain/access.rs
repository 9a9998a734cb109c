//! The policy: who may do what, in one table. Every door asks it; what is not in it is refused.

use super::account::{Identity, Role, Viewer};
use super::doctor::Doctor;
use super::ids::{DoctorId, PatientId, UserId};
use super::refusal::Refusal;

/// Which credentials an operation needs before its own rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// None.
    Public,
    /// None, and more for somebody it knows.
    Optional,
    /// A valid access token.
    Protected,
}

/// What makes a caller entitled to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Whoever passes the tier.
    Anyone,
    /// The doctor whose calendar it is.
    Doctor,
    /// Staff who act for that doctor.
    Staff,
    /// The patient whose appointment it is.
    Patient,
    /// Staff, whomever they act for.
    AnyStaff,
    /// An admin.
    Admin,
}

/// What a caller without a grant is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// `not_found`: they may not know that it exists.
    Hidden,
    /// `forbidden`.
    Refused,
    /// `forbidden` to those between whom it is, who see it anyway; `not_found` to everybody else.
    RefusedToParties,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The operation's name on the wire; `topic:` and the shape of a topic; `draft`; or `part:` and a part of an object.
    pub operation: &'static str,
    pub tier: Tier,
    pub grants: &'static [Grant],
    pub otherwise: Otherwise,
}

/// What an operation is about, as far as the policy cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object<'a> {
    pub doctor: Option<DoctorId>,
    pub patient: Option<PatientId>,
    /// Who acts for the doctor.
    pub staff: &'a [UserId],
}

const ANYONE: &[Grant] = &[Grant::Anyone];
const OWNER: &[Grant] = &[Grant::Doctor, Grant::Admin];
const ITS_DOCTOR: &[Grant] = &[Grant::Doctor];
const PRACTICE: &[Grant] = &[Grant::Doctor, Grant::Staff, Grant::Admin];
const PATIENT: &[Grant] = &[Grant::Patient];
const PARTIES: &[Grant] = &[Grant::Patient, Grant::Doctor, Grant::Staff, Grant::Admin];
const RECEPTION: &[Grant] = &[Grant::AnyStaff, Grant::Admin];
const WORKERS: &[Grant] = &[Grant::Doctor, Grant::AnyStaff, Grant::Admin];
const ADMIN: &[Grant] = &[Grant::Admin];
const AUTHOR: &[Grant] = &[Grant::Patient];

const fn rule(operation: &'static str, tier: Tier, grants: &'static [Grant], otherwise: Otherwise) -> Rule {
    Rule { operation, tier, grants, otherwise }
}

/// The policy.
pub const POLICY: &[Rule] = {
    use Otherwise::{Hidden, Refused, RefusedToParties};
    use Tier::{Optional, Protected, Public};
    &[
        rule("auth.register", Public, ANYONE, Refused),
        rule("auth.login", Public, ANYONE, Refused),
        rule("auth.refresh", Public, ANYONE, Refused),
        rule("auth.logout", Protected, ANYONE, Refused),
        rule("auth.renew", Optional, ANYONE, Refused),
        rule("auth.requestReset", Public, ANYONE, Refused),
        rule("auth.resetPassword", Public, ANYONE, Refused),
        rule("auth.verifyEmail", Public, ANYONE, Refused),
        rule("auth.requestVerification", Protected, ANYONE, Refused),
        rule("session.list", Protected, ANYONE, Refused),
        // Of the caller's own; another's does not exist for them.
        rule("session.revoke", Protected, ANYONE, Hidden),
        rule("me.get", Protected, ANYONE, Refused),
        rule("me.update", Protected, ANYONE, Refused),
        rule("me.export", Protected, ANYONE, Refused),
        rule("me.delete", Protected, ANYONE, Refused),
        rule("calendarFeed.create", Protected, ANYONE, Refused),
        rule("calendarFeed.revoke", Protected, ANYONE, Refused),
        rule("doctor.search", Public, ANYONE, Refused),
        // A doctor who is not approved yet is a draft: see `draft`.
        rule("doctor.get", Optional, ANYONE, Refused),
        rule("doctor.update", Protected, OWNER, Refused),
        rule("doctor.history", Protected, OWNER, Refused),
        rule("service.list", Public, ANYONE, Refused),
        rule("service.create", Protected, OWNER, Refused),
        rule("service.update", Protected, OWNER, Refused),
        rule("service.archive", Protected, OWNER, Refused),
        rule("availability.get", Public, ANYONE, Refused),
        rule("availability.set", Protected, OWNER, Refused),
        rule("timeOff.list", Protected, PRACTICE, Refused),
        rule("timeOff.create", Protected, PRACTICE, Refused),
        rule("timeOff.delete", Protected, PRACTICE, Refused),
        rule("appointment.listOutside", Protected, PRACTICE, Refused),
        rule("holidayCalendar.list", Public, ANYONE, Refused),
        rule("holidayCalendar.get", Public, ANYONE, Refused),
        rule("slot.search", Optional, ANYONE, Refused),
        rule("slot.searchDoctors", Optional, ANYONE, Refused),
        rule("slot.explain", Optional, ANYONE, Refused),
        rule("slot.hold", Protected, PARTIES, Refused),
        // Its patient is whoever holds it.
        rule("hold.release", Protected, PATIENT, Hidden),
        rule("appointment.book", Protected, PARTIES, Refused),
        rule("appointment.get", Protected, PARTIES, Hidden),
        rule("appointment.list", Protected, PARTIES, Refused),
        rule("appointment.reschedule", Protected, PARTIES, Hidden),
        rule("appointment.cancel", Protected, PARTIES, Hidden),
        rule("appointment.history", Protected, PARTIES, Hidden),
        rule("appointment.approve", Protected, PRACTICE, RefusedToParties),
        rule("appointment.decline", Protected, PRACTICE, RefusedToParties),
        rule("appointment.checkIn", Protected, PRACTICE, RefusedToParties),
        rule("appointment.complete", Protected, PRACTICE, RefusedToParties),
        rule("appointment.noShow", Protected, PRACTICE, RefusedToParties),
        rule("appointment.undo", Protected, PRACTICE, RefusedToParties),
        rule("appointment.setNotes", Protected, ITS_DOCTOR, RefusedToParties),
        rule("series.preview", Protected, PARTIES, Refused),
        rule("series.book", Protected, PARTIES, Refused),
        rule("series.get", Protected, PARTIES, Hidden),
        rule("series.reschedule", Protected, PARTIES, Hidden),
        rule("series.cancel", Protected, PARTIES, Hidden),
        rule("waitlist.join", Protected, PARTIES, Refused),
        rule("waitlist.list", Protected, PARTIES, Refused),
        rule("waitlist.leave", Protected, PARTIES, Hidden),
        rule("waitlist.accept", Protected, PARTIES, Hidden),
        rule("waitlist.pass", Protected, PARTIES, Hidden),
        rule("patient.find", Protected, RECEPTION, Refused),
        rule("staff.listDoctors", Protected, RECEPTION, Refused),
        rule("admin.listUsers", Protected, ADMIN, Refused),
        rule("admin.updateUser", Protected, ADMIN, Refused),
        rule("admin.listDoctors", Protected, ADMIN, Refused),
        rule("admin.approveDoctor", Protected, ADMIN, Refused),
        rule("admin.setStaff", Protected, ADMIN, Refused),
        // Every doctor, whichever: the object is the caller's own.
        rule("resource.list", Protected, WORKERS, Refused),
        rule("admin.createResource", Protected, ADMIN, Refused),
        rule("admin.updateResource", Protected, ADMIN, Refused),
        rule("admin.archiveResource", Protected, ADMIN, Refused),
        rule("admin.listAudit", Protected, ADMIN, Refused),
        rule("me.listAudit", Protected, ANYONE, Refused),
        rule("review.list", Optional, ANYONE, Refused),
        rule("review.create", Protected, AUTHOR, Hidden),
        rule("review.update", Protected, AUTHOR, Hidden),
        rule("review.reply", Protected, ITS_DOCTOR, Hidden),
        rule("review.report", Protected, ANYONE, Refused),
        rule("admin.listReviews", Protected, ADMIN, Refused),
        rule("admin.hideReview", Protected, ADMIN, Refused),
        rule("admin.restoreReview", Protected, ADMIN, Refused),
        rule("subscribe", Optional, ANYONE, Refused),
        rule("unsubscribe", Optional, ANYONE, Refused),
        rule(DRAFT, Optional, PRACTICE, Hidden),
        rule(STAFF_PART, Protected, PRACTICE, Hidden),
        rule(SESSION_PART, Protected, ADMIN, Hidden),
        rule(NOTES_PART, Protected, ITS_DOCTOR, Hidden),
        rule(OVERRIDE_PART, Protected, PRACTICE, Refused),
        rule(HIDDEN_REVIEW, Protected, &[Grant::Patient, Grant::Admin], Hidden),
        rule(DOCTOR_TOPIC, Public, ANYONE, Refused),
        rule(REVIEWS_TOPIC, Public, ANYONE, Refused),
        rule(SLOTS_TOPIC, Public, ANYONE, Refused),
        rule(CALENDAR_TOPIC, Protected, PRACTICE, Refused),
        rule(WAITLIST_TOPIC, Protected, PRACTICE, Refused),
        rule(MY_APPOINTMENTS_TOPIC, Protected, ANYONE, Refused),
        rule(MY_WAITLIST_TOPIC, Protected, ANYONE, Refused),
        rule(MY_SESSIONS_TOPIC, Protected, ANYONE, Refused),
    ]
};

/// Anything of a doctor who is not approved.
pub const DRAFT: &str = "draft";
/// Who acts for a doctor, in the doctor's profile.
pub const STAFF_PART: &str = "part:doctor.staff";
/// From which session a change was made, in a history; everybody sees it in their own entries.
pub const SESSION_PART: &str = "part:history.session";
/// What a doctor noted on an appointment, and that they did.
pub const NOTES_PART: &str = "part:appointment.notes";
/// Setting a service's rules aside with a reason, and seeing that; who is in it is bound neither by approval nor by cut-offs.
pub const OVERRIDE_PART: &str = "part:appointment.override";
/// A review that moderation keeps from the public, and why.
pub const HIDDEN_REVIEW: &str = "part:review.hidden";
/// Topic of a doctor's published reviews.
pub const REVIEWS_TOPIC: &str = "topic:doctors/{id}/reviews";
/// Topic of what a doctor shows to the public.
pub const DOCTOR_TOPIC: &str = "topic:doctors/{id}";
/// Topic of a doctor's slots.
pub const SLOTS_TOPIC: &str = "topic:doctors/{id}/slots";
/// Topic of a doctor's appointments.
pub const CALENDAR_TOPIC: &str = "topic:doctors/{id}/appointments";
/// Topic of those who wait for a doctor.
pub const WAITLIST_TOPIC: &str = "topic:doctors/{id}/waitlist";
/// Topic of what the caller waits for.
pub const MY_WAITLIST_TOPIC: &str = "topic:me/waitlist";
/// Topic of the caller's own appointments.
pub const MY_APPOINTMENTS_TOPIC: &str = "topic:me/appointments";
/// Topic of the caller's own sessions.
pub const MY_SESSIONS_TOPIC: &str = "topic:me/sessions";

/// The row of an operation or topic.
#[must_use]
pub fn rule_of(operation: &str) -> Option<&'static Rule> {
    POLICY.iter().find(|rule| rule.operation == operation)
}

/// Asks the tier of an operation, before anything else of the request is looked at.
///
/// # Errors
/// `unauthenticated` where a token is needed and there is none; `forbidden` for an operation without a row.
pub fn admit(operation: &str, viewer: &Viewer) -> Result<(), Refusal> {
    let rule = rule_of(operation).ok_or(Refusal::Forbidden)?;
    match rule.tier {
        Tier::Public | Tier::Optional => Ok(()),
        Tier::Protected => viewer.identity().map(|_| ()),
    }
}

/// Asks whether a caller may do an operation to an object.
///
/// # Errors
/// What [`admit`] says; `not_found` or `forbidden` by the row where no grant of it fits.
pub fn authorise(operation: &str, viewer: &Viewer, object: Object<'_>) -> Result<(), Refusal> {
    admit(operation, viewer)?;
    let rule = rule_of(operation).ok_or(Refusal::Forbidden)?;
    let identity = viewer.identity().ok();
    let fits = |grants: &[Grant]| grants.iter().any(|grant| grant.fits(identity, object));
    if fits(rule.grants) {
        return Ok(());
    }
    Err(match rule.otherwise {
        Otherwise::Hidden => Refusal::NotFound,
        Otherwise::Refused => Refusal::Forbidden,
        Otherwise::RefusedToParties if fits(PARTIES) => Refusal::Forbidden,
        Otherwise::RefusedToParties => Refusal::NotFound,
    })
}

impl Grant {
    fn fits(self, identity: Option<&Identity>, object: Object<'_>) -> bool {
        match (self, identity) {
            (Self::Anyone, _) => true,
            (_, None) => false,
            (Self::Doctor, Some(identity)) => identity.role == Role::Doctor && object.doctor == Some(identity.user),
            (Self::Staff, Some(identity)) => identity.role == Role::Staff && object.staff.contains(&identity.user),
            (Self::AnyStaff, Some(identity)) => identity.role == Role::Staff,
            (Self::Patient, Some(identity)) => object.patient == Some(identity.user),
            (Self::Admin, Some(identity)) => identity.role == Role::Admin,
        }
    }
}

impl<'a> Object<'a> {
    /// Something that belongs to a doctor alone.
    #[must_use]
    pub fn of_doctor(doctor: DoctorId) -> Self {
        Self { doctor: Some(doctor), ..Self::default() }
    }

    /// Something of a doctor's calendar.
    #[must_use]
    pub fn of_calendar(doctor: &'a Doctor) -> Self {
        Self { doctor: Some(doctor.id), patient: None, staff: &doctor.staff }
    }

    /// Something between a doctor and a patient.
    #[must_use]
    pub fn between(doctor: DoctorId, patient: PatientId) -> Self {
        Self { doctor: Some(doctor), patient: Some(patient), staff: &[] }
    }

    /// The same, with those who act for the doctor.
    #[must_use]
    pub fn with_staff(self, staff: &'a [UserId]) -> Self {
        Self { staff, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SessionId;
    use jiff::Timestamp;
    use uuid::Uuid;

    fn person(id: u128, role: Role) -> Viewer {
        Viewer::User(Identity {
            user: UserId(Uuid::from_u128(id)),
            session: SessionId(Uuid::from_u128(id)),
            role,
            name: String::new(),
            expires_at: Timestamp::MAX,
        })
    }

    #[test]
    fn every_row_stands_once() {
        for (index, rule) in POLICY.iter().enumerate() {
            assert!(POLICY[..index].iter().all(|other| other.operation != rule.operation), "{}", rule.operation);
            assert!(!rule.grants.is_empty(), "{} can be used by nobody", rule.operation);
        }
    }

    #[test]
    fn what_has_no_row_is_refused() {
        let admin = person(1, Role::Admin);
        assert_eq!(authorise("appointment.erase", &admin, Object::default()), Err(Refusal::Forbidden));
    }

    /// What the contract and the issue say in words, once more and independently: whom an operation is for, and what the
    /// others are told.
    fn in_words(operation: &str) -> (&'static [&'static str], &'static str) {
        match operation {
            "auth.register"
            | "auth.login"
            | "auth.refresh"
            | "auth.renew"
            | "auth.requestReset"
            | "auth.resetPassword"
            | "auth.verifyEmail"
            | "doctor.search"
            | "doctor.get"
            | "service.list"
            | "availability.get"
            | "holidayCalendar.list"
            | "holidayCalendar.get"
            | "slot.search"
            | "slot.searchDoctors"
            | "slot.explain"
            | "review.list"
            | "topic:doctors/{id}/reviews"
            | "subscribe"
            | "unsubscribe"
            | "topic:doctors/{id}"
            | "topic:doctors/{id}/slots" => (&["everybody"], "-"),
            "auth.logout"
            | "auth.requestVerification"
            | "session.list"
            | "session.revoke"
            | "me.get"
            | "me.update"
            | "calendarFeed.create"
            | "calendarFeed.revoke"
            | "me.export"
            | "me.delete"
            | "me.listAudit"
            | "review.report"
            | "topic:me/appointments"
            | "topic:me/waitlist"
            | "topic:me/sessions" => (&["every user"], "-"),
            "doctor.update" | "doctor.history" | "service.create" | "service.update" | "service.archive"
            | "availability.set" => (&["its doctor", "admin"], "forbidden"),
            "hold.release" => (&["its patient"], "not_found"),
            "slot.hold" | "appointment.book" | "appointment.list" | "series.preview" | "series.book"
            | "waitlist.join" | "waitlist.list" => (&["its patient", "its doctor", "its staff", "admin"], "forbidden"),
            "series.get" | "series.reschedule" | "series.cancel" | "waitlist.leave" | "waitlist.accept"
            | "waitlist.pass" => (&["its patient", "its doctor", "its staff", "admin"], "not_found"),
            "appointment.get" | "appointment.reschedule" | "appointment.cancel" | "appointment.history" => {
                (&["its patient", "its doctor", "its staff", "admin"], "not_found")
            }
            "appointment.approve"
            | "appointment.decline"
            | "appointment.checkIn"
            | "appointment.complete"
            | "appointment.noShow"
            | "appointment.undo" => (&["its doctor", "its staff", "admin"], "forbidden to its parties"),
            "appointment.setNotes" => (&["its doctor"], "forbidden to its parties"),
            "part:appointment.notes" => (&["its doctor"], "not_found"),
            "part:appointment.override" => (&["its doctor", "its staff", "admin"], "forbidden"),
            "resource.list" => (&["its doctor", "any staff", "admin"], "forbidden"),
            "review.create" | "review.update" => (&["its patient"], "not_found"),
            "review.reply" => (&["its doctor"], "not_found"),
            "part:review.hidden" => (&["its patient", "admin"], "not_found"),
            "patient.find" | "staff.listDoctors" => (&["any staff", "admin"], "forbidden"),
            "draft" => (&["its doctor", "its staff", "admin"], "not_found or nothing"),
            "part:doctor.staff" => (&["its doctor", "its staff", "admin"], "not_found"),
            "part:history.session" => (&["admin"], "not_found"),
            "timeOff.list" | "timeOff.create" | "timeOff.delete" | "appointment.listOutside" => {
                (&["its doctor", "its staff", "admin"], "forbidden")
            }
            "topic:doctors/{id}/appointments" | "topic:doctors/{id}/waitlist" => {
                (&["its doctor", "its staff", "admin"], "forbidden")
            }
            name if name.starts_with("admin.") => (&["admin"], "forbidden"),
            other => panic!("{other} has no words yet"),
        }
    }

    /// Every row × every role × every relation to the object, those included that cannot be.
    #[test]
    fn the_table_grants_what_the_words_say() {
        let (me, somebody) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let mut cells = 0;
        for rule in POLICY {
            let (allowed, otherwise) = in_words(rule.operation);
            for role in [None, Some(Role::Patient), Some(Role::Doctor), Some(Role::Staff), Some(Role::Admin)] {
                let viewer = role.map_or(Viewer::Anonymous, |role| person(1, role));
                for relation in 0..8 {
                    let (owns, attends, acts) = (relation & 1 != 0, relation & 2 != 0, relation & 4 != 0);
                    let staff = [somebody, if acts { me } else { somebody }];
                    let object = Object {
                        doctor: Some(if owns { me } else { somebody }),
                        patient: Some(if attends { me } else { somebody }),
                        staff: &staff,
                    };
                    let fits = |word: &&str| match *word {
                        "everybody" => true,
                        "every user" => role.is_some(),
                        "its patient" => role.is_some() && attends,
                        "its doctor" => role == Some(Role::Doctor) && owns,
                        "its staff" => role == Some(Role::Staff) && acts,
                        "any staff" => role == Some(Role::Staff),
                        "admin" => role == Some(Role::Admin),
                        other => panic!("{other}"),
                    };
                    let parties = ["its patient", "its doctor", "its staff", "admin"];
                    let expected = match (allowed.iter().any(fits), role, otherwise) {
                        (true, _, _) => Ok(()),
                        // What may not be known of is not there, with a token or without.
                        (false, _, "not_found or nothing") => Err(Refusal::NotFound),
                        (false, None, _) => Err(Refusal::Unauthenticated),
                        (false, Some(_), "not_found") => Err(Refusal::NotFound),
                        (false, Some(_), "forbidden to its parties") if !parties.iter().any(fits) => {
                            Err(Refusal::NotFound)
                        }
                        (false, Some(_), _) => Err(Refusal::Forbidden),
                    };
                    assert_eq!(
                        authorise(rule.operation, &viewer, object),
                        expected,
                        "{}: {role:?} {object:?}",
                        rule.operation
                    );
                    cells += 1;
                }
            }
        }
        assert_eq!(cells, POLICY.len() * 5 * 8);
    }
}
