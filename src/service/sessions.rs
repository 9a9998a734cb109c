//! The sessions of a user: listed, limited and ended. An end is a write of the session's document; every node hears of
//! it from the feed.

use jiff::Timestamp;

use super::auth::{Auth, RACES, contended, not_applied};
use crate::domain::account::Identity;
use crate::domain::audit::{Deed, Outcome as Audited};
use crate::domain::change::Position;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::peer::Peer;
use crate::domain::refusal::Refusal;
use crate::domain::session::{LIVE_SESSIONS, Session};
use crate::error::{Error, Outcome, Result};
use crate::store::sessions::{self, Replaced};

/// Sessions that have ended, for the one who asked.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pub sessions: Vec<SessionId>,
    /// Where all of them had ended.
    pub at: Position,
}

/// Which of the caller's sessions are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    One(SessionId),
    /// All but the one that the caller has.
    Others,
}

impl Auth {
    /// The live sessions of a user, the one that was used last first, with the position of the read.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn sessions(&self, user: UserId) -> Result<(Vec<Session>, Position)> {
        sessions::live_of(&self.users, user, self.now(), 0, LIVE_SESSIONS).await
    }

    /// The same as a snapshot, with the position at which it is true, and without what is kept of the refresh tokens.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn sessions_snapshot(&self, user: UserId) -> Result<(Position, Vec<Session>)> {
        sessions::snapshot_of(&self.users, user, self.now(), LIVE_SESSIONS).await
    }

    /// Ends sessions of `identity`. Ending one twice is no error, so this needs no memory of its idempotency key.
    ///
    /// # Errors
    /// `not_found` for a session that is not theirs; unavailable.
    pub async fn revoke(&self, identity: &Identity, peer: Peer, which: Revoked) -> Result<Ended> {
        let ended = self.revoke_some(identity, which).await?;
        let object = if let Revoked::One(session) = which { session.0 } else { identity.user.0 };
        let change = if which == Revoked::Others { "all others" } else { "one" };
        let deed = Deed::new("session.revoke", Audited::Done).by(identity.user, identity.session).from(peer);
        self.audit.record_beside(deed.to(object).with(change));
        Ok(ended)
    }

    async fn revoke_some(&self, identity: &Identity, which: Revoked) -> Result<Ended> {
        let session = match which {
            Revoked::Others => return self.end_sessions(identity.user, Some(identity.session)).await,
            Revoked::One(session) => session,
        };
        let now = self.now();
        for _ in 0..RACES {
            let found = sessions::find_latest(&self.users, session).await.map_err(not_applied)?;
            let (session, at) = found.ok_or(Refusal::NotFound)?;
            if session.user != identity.user {
                return Err(Refusal::NotFound.into());
            }
            let at = if session.revoked_at.is_some() { Replaced::Won(at) } else { self.end(&session, now).await? };
            if let Replaced::Won(at) = at {
                return Ok(Ended { sessions: vec![session.id], at });
            }
        }
        Err(contended())
    }

    /// Ends the session of `identity`. Ending it twice is no error.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn logout(&self, identity: &Identity, peer: Peer) -> Result<()> {
        let deed = Deed::new("auth.logout", Audited::Done).by(identity.user, identity.session).from(peer);
        self.audit.record_beside(deed.to(identity.user.0));
        match self.revoke_some(identity, Revoked::One(identity.session)).await {
            // A token without a session cannot be ended otherwise.
            Err(Error::Refused(Refusal::NotFound)) => {
                self.revocations.insert(identity.session, self.now());
                Ok(())
            }
            ended => ended.map(|_| ()),
        }
    }

    /// Ends every session of a user, or every one but `except`: after another password or role, a ban or an erasure. What
    /// makes new sessions impossible, or different, is written before; one that opens meanwhile may stay.
    ///
    /// # Errors
    /// Unavailable: some may have ended, so repeat it.
    pub async fn end_sessions(&self, user: UserId, except: Option<SessionId>) -> Result<Ended> {
        let now = self.now();
        let mut ended = Ended::default();
        // More than the limit of live ones are possible for a moment, and each may be overtaken by its rotation.
        for _ in 0..RACES {
            let found = sessions::live_of(&self.users, user, now, 0, LIVE_SESSIONS + 1).await;
            let (mut live, at) = found.map_err(|error| ended.so_far(error))?;
            live.retain(|session| Some(session.id) != except);
            ended.at = ended.at.max(at);
            if live.is_empty() {
                return Ok(ended);
            }
            for session in live {
                match self.end(&session, now).await.map_err(|error| ended.so_far(error))? {
                    Replaced::Won(at) => {
                        ended.sessions.push(session.id);
                        ended.at = ended.at.max(at);
                    }
                    Replaced::Lost => {}
                }
            }
        }
        Err(ended.so_far(contended()))
    }

    /// Ends the least recently used sessions of a user who has just opened one too many.
    ///
    /// That this fails does not undo the log-in: the next one ends them.
    pub(super) async fn make_room(&self, opened: &Session, now: Timestamp) {
        let surplus = async {
            let (surplus, _) = sessions::live_of(&self.users, opened.user, now, LIVE_SESSIONS, LIVE_SESSIONS).await?;
            for session in surplus.iter().filter(|session| session.id != opened.id) {
                // One that was used meanwhile is not the least recently used any more.
                self.end(session, now).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = surplus.await {
            tracing::warn!(%error, "the oldest sessions of a user could not be ended");
        }
    }

    /// Ends a session at the revision that was read.
    pub(super) async fn end(&self, session: &Session, now: Timestamp) -> Result<Replaced> {
        let replaced = sessions::replace(&self.users, &session.revoked(now)).await?;
        if replaced != Replaced::Lost {
            self.revocations.insert(session.id, now);
        }
        Ok(replaced)
    }
}

impl Ended {
    /// The error of a part, as that of the whole: what has ended already was applied.
    fn so_far(&self, error: Error) -> Error {
        match error {
            Error::Unavailable { outcome: Some(Outcome::Unknown), .. } => error,
            _ if self.sessions.is_empty() => not_applied(error),
            _ => error.with_outcome(Outcome::Unknown),
        }
    }
}
