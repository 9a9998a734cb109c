//! Running the clinic: users and their roles, approval of doctors, who acts for whom, and the reception's look-ups.
//!
//! Each change is in the audit before it is made, so that nothing is done without a trace; what came of it stands in the
//! history of the doctor, or in the account.

use std::sync::Arc;

use uuid::Uuid;

use super::audit::Audit;
use super::auth::Auth;
use super::doctors::Doctors;
use super::request::{self, Done};
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Role, User, Viewer, normalised_email};
use crate::domain::audit::{Deed, Outcome};
use crate::domain::doctor::{Approval, Doctor, STAFF_LIMIT};
use crate::domain::ids::{DoctorId, UserId};
use crate::domain::peer::Peer;
use crate::domain::refusal::{Refusal, Violation};
use crate::error::{self, ClusterName, Error, Result};
use crate::store::cluster::Cluster;
use crate::store::users::{self, Account, Query};

/// How often a change is decided anew because somebody else changed the same account.
const REPLACE_ATTEMPTS: usize = 16;

/// What admins do, and what the reception looks up.
pub struct Admin {
    users: Cluster,
    auth: Arc<Auth>,
    doctors: Arc<Doctors>,
    audit: Audit,
    clock: Clock,
}

/// What is changed of an account; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    pub role: Option<Role>,
    pub disabled: Option<bool>,
}

impl Admin {
    #[must_use]
    pub fn new(users: Cluster, auth: Arc<Auth>, doctors: Arc<Doctors>, audit: Audit, clock: Clock) -> Self {
        Self { users, auth, doctors, audit, clock }
    }

    /// Accounts, oldest first.
    ///
    /// # Errors
    /// `forbidden`, `validation_failed`, `unavailable`.
    pub async fn list_users(&self, viewer: &Viewer, query: &Query) -> Result<Vec<Account>> {
        access::authorise("admin.listUsers", viewer, Object::default())?;
        users::list(&self.users, query).await
    }

    /// Changes a role or disables an account, and ends the user's sessions: no token of the old role lives on.
    ///
    /// Nobody does it to themselves. Two admins can still do it to each other; `cita create-admin` helps then. A doctor
    /// stays one: what others see of them ends by taking back the approval.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale_rev`, `validation_failed`, `idempotency_key_reused`, `unavailable`.
    pub async fn update_user(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        id: UserId,
        rev: Option<u32>,
        change: &UserChange,
    ) -> Result<Done<Account>> {
        const OPERATION: &str = "admin.updateUser";
        access::authorise(OPERATION, viewer, Object::default())?;
        let identity = viewer.identity()?;
        if id == identity.user {
            return Err(Violation::new("/id", "invalid", "nobody does this to themselves").into());
        }
        let parts = [format!("{id} {rev:?} {change:?}")];
        let request =
            request::request(identity, OPERATION, key, &parts.each_ref().map(String::as_str), self.clock.now());
        for _ in 0..REPLACE_ATTEMPTS {
            let found = users::find_stored(&self.users, id).await.map_err(unchanged)?;
            let (stored, at) =
                found.filter(|(stored, _)| stored.account.closed_at.is_none()).ok_or(Refusal::NotFound)?;
            if stored.recalls(&request)? {
                self.auth.end_sessions(id, None).await?;
                return Ok(Done { value: stored.account, at });
            }
            if rev.is_some_and(|rev| rev != stored.account.user.rev) {
                return Err(Refusal::StaleRev.into());
            }
            let mut next = stored.account.clone();
            change.apply(&mut next, request.at)?;
            if (next.user.role, next.disabled_at) == (stored.account.user.role, stored.account.disabled_at) {
                // What changes nothing ends nothing.
                return Ok(Done { value: stored.account, at });
            }
            let deed = Deed::new(OPERATION, Outcome::Asked).by(identity.user, identity.session).from(peer);
            self.audit.record(deed.to(id.0).with(change.in_words())).await.map_err(unchanged)?;
            if let Some(at) = users::replace(&self.users, &stored, &next, Some(&request)).await? {
                // The account stands as it was asked for; a repetition ends what could not be ended.
                self.auth.end_sessions(id, None).await.map_err(unknown)?;
                next.user.rev += 1;
                return Ok(Done { value: next, at });
            }
        }
        Err(Error::Unavailable { cluster: ClusterName::Users, outcome: Some(error::Outcome::NotApplied) })
    }

    /// Doctors of a state, in the order in which they registered.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn list_doctors(
        &self,
        viewer: &Viewer,
        approval: Approval,
        after: Option<DoctorId>,
        limit: i64,
    ) -> Result<Vec<Doctor>> {
        access::authorise("admin.listDoctors", viewer, Object::default())?;
        self.doctors.of_approval(approval, after, limit).await
    }

    /// Approves a doctor, or refuses to, or takes it back.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale_rev`, `idempotency_key_reused`, `unavailable`.
    pub async fn approve_doctor(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        id: DoctorId,
        rev: Option<u32>,
        approval: Approval,
    ) -> Result<Done<Doctor>> {
        self.asked(viewer, peer, "admin.approveDoctor", id.0, format!("approval: {}", approval.as_str())).await?;
        self.doctors.approve(viewer, key, id, rev, approval).await
    }

    /// Says who acts for a doctor.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `stale_rev`, `validation_failed`, `idempotency_key_reused`, `unavailable`.
    pub async fn set_staff(
        &self,
        viewer: &Viewer,
        peer: Peer,
        key: &str,
        id: DoctorId,
        rev: Option<u32>,
        mut staff: Vec<UserId>,
    ) -> Result<Done<Doctor>> {
        const OPERATION: &str = "admin.setStaff";
        access::authorise(OPERATION, viewer, Object::of_doctor(id))?;
        staff.sort_unstable();
        staff.dedup();
        if staff.len() > STAFF_LIMIT {
            return Err(Violation::new("/staff", "too_many", format!("at most {STAFF_LIMIT} people")).into());
        }
        for (index, user) in staff.iter().enumerate() {
            let found = users::find(&self.users, *user).await.map_err(unchanged)?;
            if found.is_none_or(|account| account.user.role != Role::Staff || account.usable().is_err()) {
                let detail = "is no user of the role staff: give the role with admin.updateUser";
                return Err(Violation::new(format!("/staff/{index}"), "invalid", detail).into());
            }
        }
        self.asked(viewer, peer, OPERATION, id.0, format!("staff: {} people", staff.len())).await?;
        self.doctors.set_staff(viewer, key, id, rev, staff).await
    }

    /// The patient with exactly this address, to be booked for. Somebody who has not verified it is not found: the address may
    /// be another's, who would be booked for and read about by a stranger.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `validation_failed`, `unavailable`.
    pub async fn find_patient(&self, viewer: &Viewer, email: &str) -> Result<User> {
        access::authorise("patient.find", viewer, Object::default())?;
        let email = normalised_email(email)?;
        let found = users::find_by_email(&self.users, &email).await?;
        let found = found.filter(|account| account.usable().is_ok() && account.user.email_verified);
        found.map(|account| account.user).ok_or_else(|| Refusal::NotFound.into())
    }

    async fn asked(
        &self,
        viewer: &Viewer,
        peer: Peer,
        operation: &'static str,
        object: Uuid,
        change: String,
    ) -> Result<()> {
        access::authorise(operation, viewer, Object::default())?;
        let identity = viewer.identity()?;
        let deed = Deed::new(operation, Outcome::Asked).by(identity.user, identity.session).from(peer);
        self.audit.record(deed.to(object).with(change)).await.map_err(unchanged)
    }
}

impl UserChange {
    fn apply(&self, account: &mut Account, now: jiff::Timestamp) -> Result<(), Refusal> {
        let current = account.user.role;
        if let Some(role) = self.role.filter(|role| *role != current) {
            if role == Role::Doctor || current == Role::Doctor {
                let detail = "doctors register as such and stay doctors: take back the approval instead";
                return Err(Violation::new("/role", "invalid", detail).into());
            }
            account.user.role = role;
        }
        match self.disabled {
            Some(true) => account.disabled_at = account.disabled_at.or(Some(now)),
            Some(false) => account.disabled_at = None,
            None => {}
        }
        Ok(())
    }

    fn in_words(&self) -> String {
        let role = self.role.map(|role| format!("role: {}", role.as_str()));
        let disabled = self.disabled.map(|disabled| format!("disabled: {disabled}"));
        role.into_iter().chain(disabled).collect::<Vec<_>>().join(", ")
    }
}

/// A failure before anything of a mutation was written.
fn unchanged(error: Error) -> Error {
    error.with_outcome(error::Outcome::NotApplied)
}

/// A failure after the account was written.
fn unknown(error: Error) -> Error {
    error.with_outcome(error::Outcome::Unknown)
}
