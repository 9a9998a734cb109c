//! The policy: who may do what, in one table. Every door asks it; what is not in it is refused.

use super::account::{Identity, Role, Viewer};
use super::ids::{DoctorId, PatientId};
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
    /// The patient whose appointment it is.
    Patient,
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
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The operation's name on the wire, or `topic:` and the shape of a topic.
    pub operation: &'static str,
    pub tier: Tier,
    pub grants: &'static [Grant],
    pub otherwise: Otherwise,
}

/// What an operation is about, as far as the policy cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub doctor: Option<DoctorId>,
    pub patient: Option<PatientId>,
}

const ANYONE: &[Grant] = &[Grant::Anyone];
const CALENDAR: &[Grant] = &[Grant::Doctor, Grant::Admin];
const PARTIES: &[Grant] = &[Grant::Patient, Grant::Doctor, Grant::Admin];

const fn rule(operation: &'static str, tier: Tier, grants: &'static [Grant], otherwise: Otherwise) -> Rule {
    Rule { operation, tier, grants, otherwise }
}

/// The policy.
pub const POLICY: &[Rule] = {
    use Otherwise::{Hidden, Refused};
    use Tier::{Optional, Protected, Public};
    &[
        rule("auth.register", Public, ANYONE, Refused),
        rule("auth.login", Public, ANYONE, Refused),
        rule("auth.refresh", Public, ANYONE, Refused),
        rule("auth.logout", Protected, ANYONE, Refused),
        rule("auth.renew", Optional, ANYONE, Refused),
        rule("session.list", Protected, ANYONE, Refused),
        // Of the caller's own; another's does not exist for them.
        rule("session.revoke", Protected, ANYONE, Hidden),
        rule("me.get", Protected, ANYONE, Refused),
        rule("doctor.search", Public, ANYONE, Refused),
        // A doctor who is not approved yet is a draft: see `draft`.
        rule("doctor.get", Optional, ANYONE, Refused),
        rule("doctor.update", Protected, CALENDAR, Refused),
        rule("service.list", Public, ANYONE, Refused),
        rule("service.create", Protected, CALENDAR, Refused),
        rule("service.update", Protected, CALENDAR, Refused),
        rule("service.archive", Protected, CALENDAR, Refused),
        rule("availability.get", Public, ANYONE, Refused),
        rule("availability.set", Protected, CALENDAR, Refused),
        rule("slot.search", Optional, ANYONE, Refused),
        rule("appointment.book", Protected, PARTIES, Refused),
        rule("appointment.get", Protected, PARTIES, Hidden),
        rule("appointment.list", Protected, PARTIES, Refused),
        rule("appointment.reschedule", Protected, PARTIES, Hidden),
        rule("appointment.cancel", Protected, PARTIES, Hidden),
        rule("subscribe", Optional, ANYONE, Refused),
        rule("unsubscribe", Optional, ANYONE, Refused),
        rule(DRAFT, Optional, CALENDAR, Hidden),
        rule(SLOTS_TOPIC, Public, ANYONE, Refused),
        rule(CALENDAR_TOPIC, Protected, CALENDAR, Refused),
        rule(MY_APPOINTMENTS_TOPIC, Protected, ANYONE, Refused),
    ]
};

/// Anything of a doctor who is not approved.
pub const DRAFT: &str = "draft";
/// Topic of a doctor's slots.
pub const SLOTS_TOPIC: &str = "topic:doctors/{id}/slots";
/// Topic of a doctor's appointments.
pub const CALENDAR_TOPIC: &str = "topic:doctors/{id}/appointments";
/// Topic of the caller's own appointments.
pub const MY_APPOINTMENTS_TOPIC: &str = "topic:me/appointments";

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
pub fn authorise(operation: &str, viewer: &Viewer, object: Object) -> Result<(), Refusal> {
    admit(operation, viewer)?;
    let rule = rule_of(operation).ok_or(Refusal::Forbidden)?;
    let identity = viewer.identity().ok();
    if rule.grants.iter().any(|grant| grant.fits(identity, object)) {
        return Ok(());
    }
    Err(match rule.otherwise {
        Otherwise::Hidden => Refusal::NotFound,
        Otherwise::Refused => Refusal::Forbidden,
    })
}

impl Grant {
    fn fits(self, identity: Option<&Identity>, object: Object) -> bool {
        match (self, identity) {
            (Self::Anyone, _) => true,
            (_, None) => false,
            (Self::Doctor, Some(identity)) => identity.role == Role::Doctor && object.doctor == Some(identity.user),
            (Self::Patient, Some(identity)) => object.patient == Some(identity.user),
            (Self::Admin, Some(identity)) => identity.role == Role::Admin,
        }
    }
}

impl Object {
    /// Something of a doctor's calendar.
    #[must_use]
    pub fn of_doctor(doctor: DoctorId) -> Self {
        Self { doctor: Some(doctor), patient: None }
    }

    /// Something between a doctor and a patient.
    #[must_use]
    pub fn between(doctor: DoctorId, patient: PatientId) -> Self {
        Self { doctor: Some(doctor), patient: Some(patient) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{SessionId, UserId};
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

    /// Every row × every kind of caller × every kind of object, against a second statement of the rules.
    #[test]
    fn the_table_grants_what_the_words_say() {
        let (doctor, patient) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let object = Object::between(doctor, patient);
        let callers = [
            ("anonymous", Viewer::Anonymous),
            ("doctor", person(1, Role::Doctor)),
            ("patient", person(2, Role::Patient)),
            ("other doctor", person(3, Role::Doctor)),
            ("other patient", person(4, Role::Patient)),
            ("patient with the doctor's id", person(1, Role::Patient)),
            ("admin", person(5, Role::Admin)),
        ];
        for rule in POLICY {
            for (name, viewer) in &callers {
                let open = rule.grants.contains(&Grant::Anyone);
                let expected = match (*name, rule.tier) {
                    ("anonymous", Tier::Protected) => Err(Refusal::Unauthenticated),
                    _ if open => Ok(()),
                    ("admin" | "doctor", _) => Ok(()),
                    ("patient", _) if rule.grants.contains(&Grant::Patient) => Ok(()),
                    _ if rule.otherwise == Otherwise::Hidden => Err(Refusal::NotFound),
                    _ => Err(Refusal::Forbidden),
                };
                assert_eq!(authorise(rule.operation, viewer, object), expected, "{name}: {}", rule.operation);
            }
        }
    }
}
