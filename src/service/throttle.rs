//! Throttles wrong passwords: nobody can try many, and nobody can lock an owner out by trying.
//!
//! Only failures count: a try is charged before the password is compared, and given back when it was right. What is
//! refused is not charged. Failures are forgiven one by one as time passes, counted
//!
//! - by the address that they come from,
//! - by account, for all networks together where its owner has not been lately,
//! - by account and network, where they have: strangers cannot use up what the owner has.
//!
//! It is in the memory of this node: with n nodes somebody has n times as many tries, and a restart forgives all.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use jiff::Timestamp;

use crate::domain::peer::{Network, Peer};
use crate::domain::refusal::Refusal;

/// How often what is forgiven is swept out.
const SWEEP_EVERY_MS: i64 = 60_000;
/// How long somebody is known where they have set a new password.
const VOUCHED_FOR_MS: i64 = 60 * 60 * 1_000;
/// Most that is remembered. Each entry has cost the hashing of a password and lives for half a minute after it, so
/// this is not reached; if it were, memory counts for more than the failures.
const CAPACITY: usize = 100_000;

/// So many failures at once, then one in so much time.
#[derive(Clone, Copy)]
struct Rate {
    burst: i64,
    every_ms: i64,
}

const BY_PEER: Rate = Rate { burst: 30, every_ms: 2_000 };
const BY_STRANGERS: Rate = Rate { burst: 10, every_ms: 30_000 };
const BY_KNOWN: Rate = Rate { burst: 10, every_ms: 5_000 };

/// Counts failures. Of addresses of accounts it keeps a keyed hash only.
#[derive(Default)]
pub(super) struct Throttle {
    secret: RandomState,
    /// When the last of the failures will be forgiven, in milliseconds since 1970.
    forgiven: DashMap<Key, i64>,
    /// Where owners have proven themselves otherwise, and until when that counts.
    vouched: DashMap<(u64, Network), i64>,
    swept: AtomicI64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// An IPv4 address, or the network of an IPv6 address that one customer has (64 bits).
    Peer(IpAddr),
    Strangers(u64),
    Known(u64, Network),
}

/// Somebody who tries a password.
#[derive(Clone, Copy)]
pub(super) struct Try {
    account: u64,
    peer: Peer,
}

/// Whether the owner of the account has been in the network that a try comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Strangers,
    Known,
}

/// What a try was charged to.
#[derive(Clone, Copy)]
pub(super) struct Charge([Key; 2]);

impl Throttle {
    /// A try at the account with an address, which need not exist.
    pub(super) fn attempt(&self, address: &str, peer: Peer) -> Try {
        Try { account: self.secret.hash_one(address), peer }
    }

    /// Whether the address that a try comes from has failures left. Charges nothing.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn check_peer(&self, attempt: Try, now: Timestamp) -> Result<(), Refusal> {
        self.check(attempt.peer_key(), now)
    }

    /// Whether the account that is tried has failures left. Charges nothing.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn check_account(&self, attempt: Try, from: From, now: Timestamp) -> Result<(), Refusal> {
        self.check(attempt.account_key(from), now)
    }

    /// Charges a try, as if it had failed.
    ///
    /// # Errors
    /// `rate_limited`; nothing is charged then.
    pub(super) fn charge(&self, attempt: Try, from: From, now: Timestamp) -> Result<Charge, Refusal> {
        self.sweep(now.as_millisecond());
        let (peer, account) = (attempt.peer_key(), attempt.account_key(from));
        self.charge_one(peer, now)?;
        if let Err(refusal) = self.charge_one(account, now) {
            self.give_back_one(peer);
            return Err(refusal);
        }
        Ok(Charge([peer, account]))
    }

    /// Gives back what a try was charged that did not fail.
    pub(super) fn give_back(&self, charge: Charge) {
        for key in charge.0 {
            self.give_back_one(key);
        }
    }

    /// Forgives all failures at an account: its owner has proven in another way who they are.
    pub(super) fn forgive(&self, address: &str) {
        let forgiven = self.secret.hash_one(address);
        self.forgiven.retain(|key, _| match key {
            Key::Peer(_) => true,
            Key::Strangers(account) | Key::Known(account, _) => *account != forgiven,
        });
    }

    /// Knows the owner of an account where they are, for an hour.
    pub(super) fn vouch(&self, attempt: Try, now: Timestamp) {
        let now = now.as_millisecond();
        if self.vouched.len() >= CAPACITY {
            self.vouched.retain(|_, until| *until > now);
        }
        if self.vouched.len() < CAPACITY {
            self.vouched.insert((attempt.account, attempt.peer.network()), now + VOUCHED_FOR_MS);
        }
    }

    /// Whether that was within the hour.
    pub(super) fn is_vouched_for(&self, attempt: Try, now: Timestamp) -> bool {
        let until = self.vouched.get(&(attempt.account, attempt.peer.network()));
        until.is_some_and(|until| *until > now.as_millisecond())
    }

    fn check(&self, key: Key, now: Timestamp) -> Result<(), Refusal> {
        let forgiven = self.forgiven.get(&key).map_or(0, |forgiven| *forgiven);
        key.rate().with_one_more(forgiven, now.as_millisecond()).map(drop)
    }

    fn charge_one(&self, key: Key, now: Timestamp) -> Result<(), Refusal> {
        let mut forgiven = self.forgiven.entry(key).or_insert(0);
        *forgiven = key.rate().with_one_more(*forgiven, now.as_millisecond())?;
        Ok(())
    }

    fn give_back_one(&self, key: Key) {
        if let Some(mut forgiven) = self.forgiven.get_mut(&key) {
            *forgiven -= key.rate().every_ms;
        }
    }

    fn sweep(&self, now: i64) {
        let swept = self.swept.load(Ordering::Relaxed);
        let is_due = now - swept >= SWEEP_EVERY_MS || self.forgiven.len() >= CAPACITY;
        // Whoever exchanges it sweeps.
        if is_due && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.forgiven.retain(|_, forgiven| *forgiven > now);
            if self.forgiven.len() >= CAPACITY {
                self.forgiven.clear();
            }
        }
    }
}

impl Rate {
    /// When all is forgiven after one more failure.
    fn with_one_more(self, forgiven: i64, now: i64) -> Result<i64, Refusal> {
        let longest = self.burst * self.every_ms;
        // Bounded from above as well: a clock that was set back must not make anybody wait for longer.
        let next = forgiven.clamp(now, now + longest) + self.every_ms;
        let wait = next - now - longest;
        match u64::try_from(wait) {
            Ok(retry_after_ms @ 1..) => Err(Refusal::RateLimited { retry_after_ms }),
            Ok(0) | Err(_) => Ok(next),
        }
    }
}

impl Key {
    fn rate(self) -> Rate {
        match self {
            Self::Peer(_) => BY_PEER,
            Self::Strangers(_) => BY_STRANGERS,
            Self::Known(..) => BY_KNOWN,
        }
    }
}

impl Try {
    fn peer_key(self) -> Key {
        match self.peer.0.to_canonical() {
            IpAddr::V6(address) => Key::Peer(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()),
            address @ IpAddr::V4(_) => Key::Peer(address),
        }
    }

    fn account_key(self, from: From) -> Key {
        match from {
            From::Strangers => Key::Strangers(self.account),
            From::Known => Key::Known(self.account, self.peer.network()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, ToSpan as _};

    use super::*;

    const T0: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn peer(address: &str) -> Peer {
        Peer(address.parse().expect("an address"))
    }

    /// The n-th of many addresses, each in a network of its own.
    fn stranger(n: u32) -> Peer {
        Peer(std::net::Ipv4Addr::from_bits((20 << 24) + (n << 8) + 1).into())
    }

    /// How many of a number of wrong passwords at one time are compared.
    fn compared(throttle: &Throttle, tries: impl IntoIterator<Item = Try>, from: From, now: Timestamp) -> usize {
        tries.into_iter().filter(|attempt| throttle.charge(*attempt, from, now).is_ok()).count()
    }

    fn check(throttle: &Throttle, attempt: Try, from: From, now: Timestamp) -> Result<(), Refusal> {
        throttle.check_peer(attempt, now)?;
        throttle.check_account(attempt, from, now)
    }

    fn wait<T>(outcome: Result<T, Refusal>) -> Option<u64> {
        match outcome {
            Ok(_) => None,
            Err(Refusal::RateLimited { retry_after_ms }) => Some(retry_after_ms),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_has_thirty_failures_and_then_one_every_two_seconds() {
        let throttle = Throttle::default();
        let tries = |n: u32| throttle.attempt(&format!("{n}@example.com"), peer("203.0.113.7"));
        assert_eq!(compared(&throttle, (0..1_000).map(tries), From::Strangers, T0), 30);
        assert_eq!(wait(check(&throttle, tries(2_000), From::Strangers, T0)), Some(2_000));
        assert_eq!(compared(&throttle, (0..1_000).map(tries), From::Strangers, T0 + 1_999.milliseconds()), 0);
        assert_eq!(compared(&throttle, (2_000..3_000).map(tries), From::Strangers, T0 + 2.seconds()), 1);
        assert_eq!(compared(&throttle, (3_000..4_000).map(tries), From::Strangers, T0 + 1.hours()), 30);
        let other = throttle.attempt("2000@example.com", peer("203.0.113.8"));
        assert_eq!(wait(check(&throttle, other, From::Strangers, T0)), None, "another address is another's");
    }

    #[test]
    fn an_account_has_ten_failures_and_then_one_every_half_minute() {
        let throttle = Throttle::default();
        let tries = |n| throttle.attempt("ana@example.com", stranger(n));
        assert_eq!(compared(&throttle, (0..1_000).map(tries), From::Strangers, T0), 10);
        assert_eq!(wait(check(&throttle, tries(0), From::Strangers, T0 + 1.milliseconds())), Some(29_999));
        assert_eq!(compared(&throttle, (0..1_000).map(tries), From::Strangers, T0 + 30.seconds()), 1);
        let mut in_an_hour = 0;
        for second in 31..=3_630_i64 {
            let now = T0 + SignedDuration::from_secs(second);
            in_an_hour += compared(&throttle, (0..10).map(tries), From::Strangers, now);
        }
        assert_eq!(in_an_hour, 120, "one every 30 s, however often it is tried");
        let other = throttle.attempt("eva@example.com", stranger(5_000));
        assert_eq!(
            wait(check(&throttle, other, From::Strangers, T0 + 1.hours())),
            None,
            "another account is another's"
        );
    }

    #[test]
    fn strangers_cannot_use_up_what_the_owner_has() {
        let throttle = Throttle::default();
        let tries = |n| throttle.attempt("ana@example.com", stranger(n));
        compared(&throttle, (0..1_000).map(tries), From::Strangers, T0);
        let owner = throttle.attempt("ana@example.com", peer("203.0.113.7"));
        assert!(check(&throttle, owner, From::Strangers, T0).is_err());
        assert_eq!(compared(&throttle, [owner; 1_000], From::Known, T0), 10);
        assert_eq!(compared(&throttle, [owner; 1_000], From::Known, T0 + 5.seconds()), 1);
        let elsewhere = throttle.attempt("ana@example.com", peer("198.51.100.7"));
        assert_eq!(wait(check(&throttle, elsewhere, From::Known, T0)), None, "each of their networks for itself");
    }

    #[test]
    fn what_did_not_fail_and_what_was_refused_costs_nothing() {
        let throttle = Throttle::default();
        let attempt = throttle.attempt("ana@example.com", peer("203.0.113.7"));
        for _ in 0..1_000 {
            throttle.give_back(throttle.charge(attempt, From::Strangers, T0).expect("only failures count"));
        }
        assert_eq!(compared(&throttle, [attempt; 1_000], From::Strangers, T0), 10);
        let others = |n: u32| throttle.attempt(&format!("{n}@example.com"), peer("203.0.113.7"));
        assert_eq!(compared(&throttle, (0..1_000).map(others), From::Strangers, T0), 20, "of the 30 of this address");
    }

    #[test]
    fn who_has_proven_themselves_begins_anew() {
        let throttle = Throttle::default();
        let owner = throttle.attempt("ana@example.com", peer("203.0.113.7"));
        for from in [From::Strangers, From::Known] {
            assert_eq!(compared(&throttle, [owner; 20], from, T0), 10);
        }
        let other = throttle.attempt("eva@example.com", peer("203.0.113.8"));
        assert_eq!(compared(&throttle, [other; 20], From::Strangers, T0), 10);
        throttle.forgive("ana@example.com");
        let elsewhere = throttle.attempt("ana@example.com", peer("198.51.100.7"));
        assert_eq!(compared(&throttle, [elsewhere; 20], From::Strangers, T0), 10);
        assert!(check(&throttle, other, From::Strangers, T0).is_err());
    }

    #[test]
    fn one_customer_of_ipv6_is_one_address() {
        let throttle = Throttle::default();
        let tries = |n: u32| {
            let address = format!("2001:db8:7:8:{:x}:{:x}::1", n % 0xffff, n / 7);
            throttle.attempt(&format!("{n}@example.com"), peer(&address))
        };
        assert_eq!(compared(&throttle, (0..1_000).map(tries), From::Strangers, T0), 30);
        let neighbour = throttle.attempt("a@example.com", peer("2001:db8:7:9::1"));
        assert_eq!(wait(check(&throttle, neighbour, From::Strangers, T0)), None);
        let mapped = |n: u32| throttle.attempt(&format!("m{n}@example.com"), peer("::ffff:203.0.113.7"));
        assert_eq!(compared(&throttle, (0..30).map(mapped), From::Strangers, T0), 30);
        let plain = throttle.attempt("b@example.com", peer("203.0.113.7"));
        assert!(check(&throttle, plain, From::Strangers, T0).is_err(), "both spellings are one");
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..u32::try_from(3 * CAPACITY).expect("a small number") {
            let attempt = throttle.attempt(&format!("{n}@example.com"), stranger(n));
            throttle.charge(attempt, From::Strangers, T0 + SignedDuration::from_millis(n.into())).expect("a first try");
            assert!(throttle.forgiven.len() <= CAPACITY + 2);
        }
        let last = throttle.attempt("z@example.com", stranger(0));
        throttle.charge(last, From::Strangers, T0 + 1.hours()).expect("a first try");
        assert_eq!(throttle.forgiven.len(), 2, "what is forgiven is swept out");
    }
}
