//! Passwords: hashed with argon2id, off the async threads, as many at once as there are cores.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::domain::account::PASSWORD_MAX;
use crate::domain::refusal::Refusal;
use crate::domain::secret::{Password, PasswordHash};
use crate::error::{Error, Result};

/// How long a request waits for its turn before it is told to come back. Bounds what a flood of log-ins can pile up.
const TURN: Duration = Duration::from_secs(5);
/// When to come back.
const RETRY_AFTER_MS: u64 = 2_000;
/// What the password of nobody is compared with, so that an unknown address takes as long as a known one. It has the
/// parameters of every other hash (19 MiB, 2 passes, 1 lane); its password is not known to anybody.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2l0YSBub2JvZHkgc2FsdA$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Hashes and compares passwords.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// With a turn for each core.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { turns: Arc::new(Semaphore::new(cores)) }
    }

    /// The hash to keep for somebody who logs in elsewhere: no password is known to match it.
    pub(super) fn of_nobody() -> PasswordHash {
        NOBODY.into()
    }

    /// The hash to keep of a password.
    pub(super) async fn hash(&self, password: &Password) -> Result<PasswordHash> {
        let password = password.clone();
        let hash = move || Argon2::default().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string());
        let hash = self.in_turn(hash).await?;
        hash.map(PasswordHash::from).map_err(|error| Error::Internal(format!("argon2: {error}")))
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash it takes as long, and is not.
    pub(super) async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<bool> {
        let known = hash.map(|hash| hash.expose().to_owned());
        let password = password.clone();
        self.in_turn(move || {
            let text = if is_bounded(&password) { password.expose().as_bytes() } else { b"" };
            let same = Argon2::default().verify_password(text, known.as_deref().unwrap_or(NOBODY)).is_ok();
            same && known.is_some() && is_bounded(&password)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Refusal::RateLimited { retry_after_ms: RETRY_AFTER_MS }.into());
        };
        // The turn goes with the work: a caller that leaves does not make room for more than there are cores.
        let work = move || {
            let result = work();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|died| Error::Internal(format!("hashing died: {died}")))
    }
}

/// No longer password than this was ever accepted, so none is hashed to find out.
fn is_bounded(password: &Password) -> bool {
    password.expose().chars().nth(PASSWORD_MAX).is_none()
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc;

    use super::*;

    #[tokio::test]
    async fn a_password_is_compared_exactly_as_given() {
        let passwords = Passwords::new();
        let hash = passwords.hash(&" Pässword\0".into()).await.expect("hashes");
        for (text, same) in
            [(" Pässword\0", true), ("Pässword\0", false), (" Pa\u{308}ssword\0", false), (" Pässword", false)]
        {
            assert_eq!(passwords.verify(&text.into(), Some(&hash)).await.ok(), Some(same), "{text:?}");
        }
    }

    #[tokio::test]
    async fn nobody_and_too_long_never_match() {
        let passwords = Passwords::new();
        let empty = passwords.hash(&"".into()).await.expect("hashes");
        assert_eq!(passwords.verify(&"x".repeat(1 << 20).into(), Some(&empty)).await.ok(), Some(false));
        assert_eq!(passwords.verify(&"password".into(), None).await.ok(), Some(false));
    }

    #[test]
    fn the_hash_of_nobody_costs_what_every_hash_costs() {
        let nobody = phc::PasswordHash::new(NOBODY).expect("parses");
        let real = Argon2::default().hash_password(b"password").expect("hashes");
        assert_eq!((nobody.algorithm, nobody.version, &nobody.params), (real.algorithm, real.version, &real.params));
        assert_eq!(real.params.to_string(), "m=19456,t=2,p=1");
        assert_eq!(nobody.salt.map(|salt| salt.len()), real.salt.map(|salt| salt.len()));
        assert_eq!(nobody.hash.map(|hash| hash.len()), real.hash.map(|hash| hash.len()));
    }
}
