//! Refresh tokens: how one is made, read, and judged against its session.
//!
//! `base64url(session id, 16 bytes ‖ family, 16 bytes ‖ turn, 16 bytes)`. The family part stays for the life of the
//! session, the turn part is another with each token; only their SHA-256 are kept. So any token that the session ever had
//! is told from a forged one, with no list of old tokens: whoever knows a session's id cannot end it by making one up.
//!
//! The next turn is HMAC-SHA256(rotation key of the session, family ‖ turn). So two who refresh with the same token at the
//! same time get the same successor, on whichever nodes they are, and so does who asks again because the answer got lost.
//! A holder of an old token cannot work out the ones after it, having no rotation key. A reader of the database has the
//! key, and no token to begin with: only hashes of random parts. Only both together can.
//!
//! ```text
//! current                                    → the next pair; the session moves on to it
//! the one before, at most 60 s after         → the next token again, which is the current one; nothing moves
//! any older one, or the one before later     → refused, and the session ends: one of two holders is a thief
//! ```

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::digests::{same, sha256};
use super::random;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::secret::{DerivationKey, RefreshToken};
use crate::domain::session::{Digest, REFRESH_LIFETIME, REUSE_GRACE, Refresh, Session};
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
    /// It is the one before, and may be: its successor is the one that works.
    Predecessor,
    /// Forged, or of a session that has expired.
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

    /// The token after this one: always the same.
    fn next(&self, key: &DerivationKey) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let tag = hmac::sign(&key, &[self.family, self.turn].concat());
        let mut turn = [0; PART];
        turn.copy_from_slice(&tag.as_ref()[..PART]);
        Self { turn, ..*self }
    }

    /// The token after this one, of the session that it belongs to.
    pub(super) fn successor(&self, session: &Session) -> Result<Self> {
        let refresh = session.refresh.as_ref().ok_or(Refusal::Unauthenticated)?;
        Ok(self.next(&refresh.rotation_key))
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
    pub(super) fn begin(
        &self,
        user: UserId,
        device: Option<String>,
        network: String,
        now: Timestamp,
    ) -> Result<Session> {
        let rotation_key = DerivationKey::from(random::bytes()?);
        Ok(Session {
            id: self.session,
            rev: 1,
            user,
            device,
            network,
            created_at: now,
            last_seen_at: now,
            expires_at: now + REFRESH_LIFETIME,
            revoked_at: None,
            refresh: Some(Refresh { family: sha256(&self.family), current: self.digest(), rotation_key }),
        })
    }

    /// What is kept of it.
    pub(super) fn digest(&self) -> Digest {
        sha256(&[self.family, self.turn].concat())
    }

    /// What it means for its session.
    pub(super) fn judge(&self, session: &Session, now: Timestamp) -> Verdict {
        let Some(refresh) = &session.refresh else { return Verdict::Refused };
        if !same(&sha256(&self.family), &refresh.family) || session.expires_at <= now {
            Verdict::Refused
        } else if session.revoked_at.is_some() {
            Verdict::Revoked
        } else if same(&self.digest(), &refresh.current) {
            Verdict::Current
        } else if same(&self.next(&refresh.rotation_key).digest(), &refresh.current)
            && now.duration_since(session.last_seen_at) <= REUSE_GRACE
        {
            Verdict::Predecessor
        } else {
            Verdict::Stolen
        }
    }
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
        let begun = token.begin(UserId(Uuid::from_u128(1)), None, "192.0.2.0/24".to_owned(), T0);
        (token, begun.expect("randomness"))
    }

    /// The token after one, and the session that has moved on to it.
    fn turned(token: &Presented, session: &Session, now: Timestamp) -> (Presented, Session) {
        let next = token.next(&session.refresh.as_ref().expect("it has tokens").rotation_key);
        let session = session.rotated(next.digest(), "198.51.100.0/24".to_owned(), now);
        (next, session)
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
    fn each_token_works_once_and_has_one_successor() {
        let (first, begun) = begun();
        let (second, session) = turned(&first, &begun, at(600));
        assert_eq!(second.judge(&session, at(600)), Verdict::Current);
        assert_eq!(session.network, "198.51.100.0/24");
        for seconds in [600 - 60, 600, 660] {
            assert_eq!(first.judge(&session, at(seconds)), Verdict::Predecessor, "a slow tab");
        }
        let again = turned(&first, &begun, at(601)).0;
        assert_eq!(again.to_token().expose(), second.to_token().expose(), "whoever asks, and whenever");
        assert_eq!(first.judge(&session, at(661)), Verdict::Stolen);
        let (_, session) = turned(&second, &session, at(601));
        assert_eq!(first.judge(&session, at(601)), Verdict::Stolen, "two turns ago, within the grace");
        assert_eq!(second.judge(&session, at(601)), Verdict::Predecessor);
    }

    #[test]
    fn a_successor_is_of_its_own_session_and_token() {
        let (first, session) = begun();
        let (second, moved) = turned(&first, &session, at(1));
        let (third, _) = turned(&second, &moved, at(2));
        let (_, other) = begun();
        let elsewhere = turned(&first, &other, at(1)).0;
        let mut turns = [first.turn, second.turn, third.turn, elsewhere.turn];
        turns.sort_unstable();
        assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "each is another");
        assert!(!format!("{session:?}").contains("rotation_key: DerivationKey"), "it is not shown");
    }

    #[test]
    fn an_older_token_is_recognised_however_often_the_thief_has_rotated() {
        let (first, session) = begun();
        let (mut token, mut session) = turned(&first, &session, T0);
        for turn in 0..50 {
            (token, session) = turned(&token, &session, at(turn));
        }
        assert_eq!(first.judge(&session, at(50)), Verdict::Stolen);
    }

    #[test]
    fn a_session_of_another_issuer_has_no_tokens_here() {
        let (token, session) = begun();
        assert_eq!(token.judge(&Session { refresh: None, ..session }, T0), Verdict::Refused);
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
