//! The first admin: made by a command, and let in by a link that works once. There is no default password.

use jiff::Timestamp;

use super::audit::Audit;
use super::links::Link;
use super::passwords::Passwords;
use super::random;
use crate::domain::account::{NewAccount, Role, User};
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::ids::UserId;
use crate::domain::notifications::Notifications;
use crate::domain::proof::RESET_LIFETIME;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::secret::LinkToken;
use crate::domain::session::LIVE_SESSIONS;
use crate::error::{ClusterName, Error, Outcome, Result};
use crate::store::cluster::Cluster;
use crate::store::sessions;
use crate::store::users::{self, Account};

/// How often a change is decided anew because another change of the account was faster.
const RACES: usize = 8;

/// An admin who has to choose a password.
#[derive(Debug)]
pub struct Invitation {
    pub user: User,
    /// What `auth.resetPassword` takes, once.
    pub token: LinkToken,
    pub expires_at: Timestamp,
}

/// Makes an admin: a new account, or of the account that has the address. Either gets a link for a new password.
///
/// Whoever registered an account may not be who reads its mails: what it had to log in with is worth nothing from then on,
/// and its sessions end.
///
/// # Errors
/// `validation_failed`, also for a doctor, who stays one; unavailable: then repeat it, for sessions may be left.
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
                notifications: Notifications::default(),
                calendar_feed: None,
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
        if stored.account.user.email != account.email {
            // It has got another address meanwhile.
            continue;
        }
        let kept = stored.account.clone();
        // Whoever runs the server vouches for the address.
        let (email_verified, pending_email, external) = (true, None, None);
        let calendar_feed = kept.user.calendar_feed.map(|feed| feed.revoked(now));
        let user = User { role: Role::Admin, email_verified, pending_email, external, calendar_feed, ..kept.user };
        let password = Passwords::of_nobody();
        let next = Account { user, password, verification: None, reset: Some(proof), ..kept };
        if users::replace(users, &stored, &next, None).await?.is_some() {
            end_sessions(users, id, now).await?;
            return Ok(Invitation { user: next.user, token, expires_at });
        }
    }
    Err(contended())
}

/// Ends every session. The nodes hear of it from their feeds.
async fn end_sessions(users: &Cluster, user: UserId, now: Timestamp) -> Result<()> {
    for _ in 0..RACES {
        let (live, _) = sessions::live_of(users, user, now, 0, LIVE_SESSIONS + 1).await?;
        if live.is_empty() {
            return Ok(());
        }
        for session in live {
            // One that was used meanwhile is found again.
            sessions::replace(users, &session.revoked(now)).await?;
        }
    }
    Err(contended())
}

fn contended() -> Error {
    Error::Unavailable { cluster: ClusterName::Users, outcome: Some(Outcome::NotApplied) }
}
