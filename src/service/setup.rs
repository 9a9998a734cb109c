//! The first admin: made by a command, and let in by a link that works once. There is no default password.

use jiff::Timestamp;

use super::audit::Audit;
use super::links::Link;
use super::passwords::Passwords;
use super::random;
use crate::domain::account::{NewAccount, Role, User};
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::ids::UserId;
use crate::domain::proof::RESET_LIFETIME;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::secret::MailToken;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::users::{self, Account};

/// How often a change is decided anew because another change of the account was faster.
const RACES: usize = 8;

/// An admin who has to choose a password.
#[derive(Debug)]
pub struct Invitation {
    pub user: User,
    /// What `auth.resetPassword` takes, once.
    pub token: MailToken,
    pub expires_at: Timestamp,
}

/// Makes an admin: a new account, or of the account that has the address. Either gets a link for a new password.
///
/// # Errors
/// `validation_failed`, also for a doctor, who stays one; unavailable.
pub async fn create_admin(
    users: &Cluster,
    audit: &Audit,
    email: String,
    name: String,
    now: Timestamp,
) -> Result<Invitation> {
    let account = NewAccount { role: Role::Admin, email, name, locale: None, time_zone: None }.checked()?;
    let expires_at = now + RESET_LIFETIME;
    for _ in 0..RACES {
        let existing = users::find_by_email(users, &account.email).await?;
        let id = match &existing {
            Some(existing) if existing.user.role == Role::Doctor => {
                return Err(Violation::new("/email", "invalid", "belongs to a doctor, who stays one").into());
            }
            Some(existing) => existing.user.id,
            None => UserId(random::id(now)?),
        };
        let (token, proof) = Link::issue(id, expires_at)?;
        audit.record(Deed::new("cita create-admin", Audited::Asked).to(id.0).with("role: admin")).await?;
        let Some(_) = existing else {
            let NewAccount { role, email, name, locale, time_zone } = account.clone();
            let (email_verified, pending_email, external) = (true, None, None);
            let created_at = now;
            let user = User {
                id,
                rev: 1,
                role,
                name,
                email,
                email_verified,
                pending_email,
                locale,
                time_zone,
                created_at,
                external,
            };
            let made = Account { reset: Some(proof), ..Account::new(user.clone(), Passwords::of_nobody()) };
            match users::insert(users, &made).await {
                Ok(()) => return Ok(Invitation { user, token, expires_at }),
                Err(Error::Refused(Refusal::EmailTaken)) => continue,
                Err(error) => return Err(error),
            }
        };
        let (stored, _) = users::find_stored(users, id).await?.ok_or(Refusal::NotFound)?;
        let mut next = Account { reset: Some(proof), ..stored.account.clone() };
        next.user.role = Role::Admin;
        if users::replace(users, &stored, &next, None).await?.is_some() {
            return Ok(Invitation { user: next.user, token, expires_at });
        }
    }
    Err(Error::Unavailable { cluster: ClusterName::Users, outcome: Some(Outcome::NotApplied) })
}
