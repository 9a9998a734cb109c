//! From the domain to the wire: accounts as admins see them, and who did what.

use cita_protocol::admin::{Account as WireAccount, AuditEntry, AuditOutcome, HistoryEntry, OverriddenRule};
use cita_protocol::auth::Role as WireRole;
use cita_protocol::doctor::{Approval as WireApproval, Doctor as WireDoctor};
use cita_protocol::value::{Id, TimeZone};

use super::{doctor, id, instant, role};
use crate::domain::access::{self, Object};
use crate::domain::account::{Role, Viewer};
use crate::domain::appointment;
use crate::domain::audit::{Entry, Outcome};
use crate::domain::doctor::{self as doctors, Approval, Doctor};
use crate::domain::history::Actor;
use crate::domain::ids::{SessionId, UserId};
use crate::store::users::Account;

pub fn role_of(role: WireRole) -> Role {
    match role {
        WireRole::Patient => Role::Patient,
        WireRole::Doctor => Role::Doctor,
        WireRole::Staff => Role::Staff,
        WireRole::Admin => Role::Admin,
    }
}

pub fn approval_of(approval: WireApproval) -> Approval {
    match approval {
        WireApproval::Pending => Approval::Pending,
        WireApproval::Approved => Approval::Approved,
        WireApproval::Rejected => Approval::Rejected,
    }
}

pub fn account(account: &Account) -> WireAccount {
    let user = &account.user;
    WireAccount {
        id: id(user.id.0),
        rev: user.rev,
        role: role(user.role),
        name: user.name.clone(),
        email: user.email.clone(),
        email_verified: user.email_verified,
        disabled: account.disabled_at.is_some(),
        created_at: instant(user.created_at),
    }
}

/// Who acts for a doctor.
pub fn staff_of(doctor: &Doctor) -> Vec<Id> {
    doctor.staff.iter().map(|user| id(user.0)).collect()
}

/// A doctor with those parts that this viewer may see.
pub fn doctor_for(viewer: &Viewer, of: &Doctor) -> WireDoctor {
    let sees_staff = access::authorise(access::STAFF_PART, viewer, Object::of_calendar(of)).is_ok();
    let staff = sees_staff.then(|| staff_of(of));
    WireDoctor { staff, ..doctor(of) }
}

pub fn audit_entry(entry: &Entry) -> AuditEntry {
    AuditEntry {
        id: id(entry.id),
        at: instant(entry.at),
        action: entry.action.clone(),
        outcome: match entry.outcome {
            Outcome::Done => AuditOutcome::Done,
            Outcome::Asked => AuditOutcome::Asked,
            Outcome::Refused => AuditOutcome::Refused,
        },
        actor: entry.actor.map(|user| id(user.0)),
        session: entry.session.map(|session| id(session.0)),
        network: entry.network.clone(),
        object: entry.object.map(id),
        change: entry.change.clone(),
    }
}

/// `all`: also the sessions of others.
pub fn appointment_event(
    own: Option<UserId>,
    all: bool,
    zone: &str,
    entry: &appointment::HistoryEntry,
) -> HistoryEntry {
    HistoryEntry {
        rev: entry.rev,
        at: instant(entry.at),
        action: entry.action.as_str().to_owned(),
        by: id(entry.by.user.0),
        session: session_of(own, all, entry.by).map(|session| id(session.0)),
        start: Some(instant(entry.start)),
        time_zone: Some(TimeZone(zone.to_owned())),
        r#override: entry
            .overridden
            .as_ref()
            .map(|overridden| OverriddenRule { rule: overridden.rule.clone(), reason: overridden.reason.clone() }),
    }
}

/// `all`: also the sessions of others.
pub fn doctor_event(own: Option<UserId>, all: bool, entry: &doctors::HistoryEntry) -> HistoryEntry {
    HistoryEntry {
        rev: entry.rev,
        at: instant(entry.at),
        action: entry.action.clone(),
        by: id(entry.by.user.0),
        session: session_of(own, all, entry.by).map(|session| id(session.0)),
        start: None,
        time_zone: None,
        r#override: None,
    }
}

/// The session of an entry, if it may be seen.
fn session_of(own: Option<UserId>, all: bool, actor: Actor) -> Option<SessionId> {
    (all || own == Some(actor.user)).then_some(actor.session)
}
