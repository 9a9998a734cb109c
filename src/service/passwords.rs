//! Passwords: hashed with argon2id, off the async threads, and never by more than half of the cores: a flood of log-ins
//! must leave room for bookings.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::domain::password::{normalised, too_long};
use crate::domain::refusal::Refusal;
use crate::domain::secret::{Password, PasswordHash};
use crate::error::{Error, Result};

/// Most that are hashed at once, however many cores there are. Fewer than the wrong passwords that the throttle lets an
/// account have at once, so that tries that are still under way do not use them up.
const TURNS_MAX: usize = 8;
/// How many may wait for each turn: about two seconds' work.
const QUEUE: usize = 64;
/// How long a request waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come back.
const RETRY_AFTER_MS: u64 = 2_000;
/// What the password of nobody is compared with, so that an unknown address takes as long as a known one. It has the
/// parameters of every other hash (19 MiB, 2 passes, 1 lane); its password is not known to anybody.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2l0YSBub2JvZHkgc2FsdA$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Hashes and compares passwords.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    queue: Semaphore,
}

/// The right to hash one password. The next may begin when it has been used, or is dropped.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Passwords {
    /// With a turn for every second core.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_turns((cores / 2).clamp(1, TURNS_MAX))
    }

    /// The hash to keep for somebody who logs in elsewhere: no password is known to match it.
    pub(super) fn of_nobody() -> PasswordHash {
        NOBODY.into()
    }

    fn with_turns(turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)), queue: Semaphore::new(turns * QUEUE) }
    }

    /// Waits for a turn; those who wait get theirs in order.
    ///
    /// # Errors
    /// `rate_limited` when too many wait, or it takes too long.
    pub(super) async fn turn(&self) -> Result<Turn> {
        let busy = || Refusal::RateLimited { retry_after_ms: RETRY_AFTER_MS };
        let _place = self.queue.try_acquire().map_err(|_| busy())?;
        match timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(busy().into()),
        }
    }
}

impl Turn {
    /// The hash to keep of a password.
    pub(super) async fn hash(self, password: &Password) -> Result<PasswordHash> {
        let password = normalised(password).ok_or_else(|| too_long("/password"))?;
        let hash = move || Argon2::default().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string());
        let hash = self.work(hash).await?;
        hash.map(PasswordHash::from).map_err(|error| Error::Internal(format!("argon2: {error}")))
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash it takes as long, and is not.
    pub(super) async fn verify(self, password: &Password, hash: Option<&PasswordHash>) -> Result<bool> {
        let known = hash.map(|hash| hash.expose().to_owned());
        // No longer password was ever accepted, so none is hashed to find out.
        let password = normalised(password);
        self.work(move || {
            let text = password.as_ref().map_or("", Password::expose).as_bytes();
            let same = Argon2::default().verify_password(text, known.as_deref().unwrap_or(NOBODY)).is_ok();
            same && known.is_some() && password.is_some()
        })
        .await
    }

    async fn work<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        // The turn goes with the work: a caller that leaves does not make room for more than there are turns.
        let work = move || {
            let result = work();
            drop(self);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|died| Error::Internal(format!("hashing died: {died}")))
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc;
    use futures::future::join_all;

    use super::*;

    async fn hash(text: &str) -> PasswordHash {
        let turn = Passwords::with_turns(1).turn().await.expect("nobody waits");
        turn.hash(&text.into()).await.expect("hashes")
    }

    async fn verify(text: &str, hash: Option<&PasswordHash>) -> bool {
        let turn = Passwords::with_turns(1).turn().await.expect("nobody waits");
        turn.verify(&text.into(), hash).await.expect("compares")
    }

    #[tokio::test]
    async fn a_password_is_compared_as_given_but_for_how_it_is_composed() {
        let hash = hash(" Pässword\0").await;
        for (text, same) in [
            (" Pässword\0", true),
            (" Pa\u{308}ssword\0", true),
            ("Pässword\0", false),
            (" pässword\0", false),
            (" Password\0", false),
            (" Pässword", false),
        ] {
            assert_eq!(verify(text, Some(&hash)).await, same, "{text:?}");
        }
    }

    #[tokio::test]
    async fn nobody_and_too_long_never_match() {
        let empty = hash("").await;
        assert!(!verify(&"x".repeat(1 << 20), Some(&empty)).await);
        assert!(!verify("password", None).await);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_each_in_it_gets_a_turn() {
        let passwords = Passwords::with_turns(2);
        let taken = (passwords.turn().await.expect("the first"), passwords.turn().await.expect("the second"));
        let all = join_all((0..2 * QUEUE + 10).map(async |_| passwords.turn().await.is_ok()));
        // When these two are given back, the others stand in the queue or were told that it is full.
        let (turns, ()) = tokio::join!(all, async { drop(taken) });
        assert_eq!(turns.iter().filter(|had| **had).count(), 2 * QUEUE);
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
