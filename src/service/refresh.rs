//! Refresh tokens: how one is made, read, and judged against its session.
//!
//! `base64url(session id, 16 bytes ‖ family, 16 bytes ‖ turn, 16 bytes)`. The family part stays for the life of the
//! session, the turn part is new with each token; only their SHA-256 are kept. So any token that the session ever had is
//! told from a forged one, with no list of old tokens: whoever knows a session's id cannot end it by making one up.
//!
//! ```text
//! current                                    → a new pair
//! the one before, at most 10 s after         → refused: a second tab was slow
//! any older one, or the one before later     → refused, and the session ends: one of two holders is a thief
//! ```

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::random;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::secret::RefreshToken;
use crate::domain::session::{Digest, REFRESH_LIFETIME, REUSE_GRACE, RefreshDigests, Session};
use crate::error::Result;

/// Bytes of each of the three parts.
const PART: usize = 16;

/// A refresh token, taken apart. Not `Debug`: it is a secret.
pub(super) struct Presented {
    session: SessionId,
    family: [u8; PART],
    turn: [u8; PART],
}

/// What a presented token means for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the one that works.
    Current,
    /// Forged, or of a session that has expired, or of a tab that was a moment too slow.
    Refused,
    /// It is of this session, which was ended.
    Revoked,
    /// It was used before: the session must end.
    Stolen,
}

impl Presented {
    /// A first token, of a session that begins.
    pub(super) fn first(session: SessionId) -> Result<Self> {
        Ok(Self { session, family: random::bytes()?, turn: random::bytes()? })
    }

    /// The token after this one.
    pub(super) fn next(&self) -> Result<Self> {
        Ok(Self { turn: random::bytes()?, ..*self })
    }

    /// Takes a token apart; `None` when it is none.
    pub(super) fn parse(token: &RefreshToken) -> Option<Self> {
        let mut bytes = [0; 3 * PART];
        let length = URL_SAFE_NO_PAD.decode_slice(token.expose(), &mut bytes).ok()?;
        let (session, secrets) = bytes.split_first_chunk::<PART>()?;
        let (family, turn) = secrets.split_first_chunk::<PART>()?;
        let turn = turn.try_into().ok()?;
        (length == bytes.len()).then_some(Self {
            session: SessionId(Uuid::from_bytes(*session)),
            family: *family,
            turn,
        })
    }

    /// The token as it travels.
    pub(super) fn to_token(&self) -> RefreshToken {
        URL_SAFE_NO_PAD.encode([*self.session.0.as_bytes(), self.family, self.turn].concat()).into()
    }

    /// The session that it says it is of.
    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    /// The session that begins with this token.
    pub(super) fn begin(&self, user: UserId, device: Option<String>, now: Timestamp) -> Session {
        Session {
            id: self.session,
            rev: 1,
            user,
            device,
            network: None,
            created_at: now,
            rotated_at: now,
            expires_at: now + REFRESH_LIFETIME,
            revoked_at: None,
            refresh: RefreshDigests { family: sha256(&self.family), current: self.digest(), previous: None },
        }
    }

    /// What is kept of it.
    pub(super) fn digest(&self) -> Digest {
        sha256(&[self.family, self.turn].concat())
    }

    /// What it means for its session.
    pub(super) fn judge(&self, session: &Session, now: Timestamp) -> Verdict {
        let digest = self.digest();
        if !same(&sha256(&self.family), &session.refresh.family) || session.expires_at <= now {
            Verdict::Refused
        } else if session.revoked_at.is_some() {
            Verdict::Revoked
        } else if same(&digest, &session.refresh.current) {
            Verdict::Current
        } else if session.refresh.previous.is_some_and(|previous| same(&digest, &previous))
            && now.duration_since(session.rotated_at) <= REUSE_GRACE
        {
            Verdict::Refused
        } else {
            Verdict::Stolen
        }
    }
}

fn same(a: &Digest, b: &Digest) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut out = Digest::default();
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const T0: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: i64) -> Timestamp {
        T0 + SignedDuration::from_secs(seconds)
    }

    fn begun() -> (Presented, Session) {
        let token = Presented::first(SessionId(Uuid::from_u128(7))).expect("randomness");
        let session = token.begin(UserId(Uuid::from_u128(1)), None, T0);
        (token, session)
    }

    #[test]
    fn a_token_survives_its_journey() {
        let (token, session) = begun();
        let back = Presented::parse(&token.to_token()).expect("parses");
        assert_eq!(back.session(), session.id);
        assert_eq!(back.judge(&session, T0), Verdict::Current);
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let good = begun().0.to_token().expose().to_owned();
        let (shorter, longer, padded) = (good[..60].to_owned(), format!("{good}AAAA"), format!("{good}=="));
        for text in
            ["", "a", &shorter, &longer, &padded, &good.replacen(|_| true, "+", 1), &"A".repeat(1 << 20), "é", "a.b.c"]
        {
            assert!(Presented::parse(&text.into()).is_none(), "{text:.70}");
        }
    }

    #[test]
    fn each_token_works_once() {
        let (first, session) = begun();
        let second = first.next().expect("randomness");
        let session = session.rotated(second.digest(), at(600));
        assert_eq!(second.judge(&session, at(600)), Verdict::Current);
        assert_eq!(first.judge(&session, at(660)), Verdict::Refused, "a slow tab");
        assert_eq!(first.judge(&session, at(661)), Verdict::Stolen);
    }

    #[test]
    fn an_older_token_is_recognised_however_often_the_thief_has_rotated() {
        let (first, mut session) = begun();
        let mut token = first.next().expect("randomness");
        for turn in 0..50 {
            token = token.next().expect("randomness");
            session = session.rotated(token.digest(), at(turn));
        }
        assert_eq!(first.judge(&session, at(50)), Verdict::Stolen);
    }

    #[test]
    fn a_forged_token_ends_nothing() {
        let (_, session) = begun();
        let forged = Presented::first(session.id).expect("randomness");
        assert_eq!(forged.judge(&session, at(60)), Verdict::Refused);
        assert_eq!(forged.judge(&session.revoked(at(1)), at(60)), Verdict::Refused);
    }

    #[test]
    fn an_ended_session_has_no_working_token() {
        let (token, session) = begun();
        assert_eq!(token.judge(&session.revoked(at(1)), at(2)), Verdict::Revoked);
        assert_eq!(token.judge(&session, T0 + REFRESH_LIFETIME), Verdict::Refused);
        assert_eq!(token.judge(&session, T0 + REFRESH_LIFETIME - SignedDuration::from_secs(1)), Verdict::Current);
    }
}
