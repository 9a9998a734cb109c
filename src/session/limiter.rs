//! How fast somebody may ask, whichever door they use: a bucket for each of them and each class of operations.
//!
//! A bucket holds what ten seconds give, so that a page that opens is not held up. Who is known has a bucket of their own,
//! everybody else shares that of their address: in IPv6 that of its /64, of which a client has all addresses.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use cita_protocol::operation::Kind;
use cita_protocol::{ErrorCode, Operation, Problem};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::domain::access::{self, Tier};
use crate::domain::account::Viewer;
use crate::domain::ids::UserId;
use crate::domain::peer::Peer;

/// Seconds in which what a bucket holds is given anew.
pub const WINDOW_SECONDS: u32 = 10;
/// How much more somebody at the same machine may ask for, in development: load generators and tests run there.
const DESK_FACTOR: u32 = 100;

/// What operations are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Read,
    Mutation,
    /// What opens, renews or ends a session, and tokens that are not good.
    Auth,
    Subscribe,
}

/// Requests a second, sustained, of each class.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub read: u32,
    pub mutation: u32,
    pub auth: u32,
    pub subscribe: u32,
}

/// What is left to somebody after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub class: Class,
    /// Requests a second, sustained.
    pub per_second: u32,
    /// Requests that may follow at once.
    pub remaining: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(UserId),
    Address(IpAddr),
}

type Buckets = RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// The buckets of everybody.
pub struct Limiter {
    everybody: [(u32, Buckets); 4],
    /// Of those at the same machine, in development.
    desk: Option<[(u32, Buckets); 4]>,
}

impl Class {
    const ALL: [Self; 4] = [Self::Read, Self::Mutation, Self::Auth, Self::Subscribe];

    fn of(operation: Operation) -> Self {
        match (operation.kind(), operation) {
            (Kind::Read, _) => Self::Read,
            (Kind::Mutation, _) => Self::Mutation,
            (Kind::Connection, Operation::Subscribe | Operation::Unsubscribe) => Self::Subscribe,
            (Kind::Connection, operation) if operation.name().starts_with("auth.") => Self::Auth,
            (Kind::Connection, _) => Self::Mutation,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mutation => "mutation",
            Self::Auth => "auth",
            Self::Subscribe => "subscribe",
        }
    }
}

impl Rate {
    /// Requests that a full bucket holds.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.per_second.saturating_mul(WINDOW_SECONDS)
    }

    /// Seconds until the bucket is full again.
    #[must_use]
    pub const fn seconds_to_full(&self) -> u32 {
        self.burst().saturating_sub(self.remaining).div_ceil(self.per_second)
    }
}

impl Limiter {
    /// Full buckets. In `development` those of the same machine are larger.
    #[must_use]
    pub fn new(rates: Rates, development: bool) -> Self {
        let desk = development.then(|| buckets(rates, DESK_FACTOR));
        Self { everybody: buckets(rates, 1), desk }
    }

    /// Takes a request out of its caller's bucket, and tells what is left.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check(&self, operation: Operation, viewer: &Viewer, peer: Peer) -> (Rate, Result<(), Problem>) {
        let class = Class::of(operation);
        let key = match viewer {
            // Whoever tries passwords or refresh tokens does not become another by showing a token of theirs.
            Viewer::User(identity) if class != Class::Auth || !is_public(operation) => Key::User(identity.user),
            Viewer::User(_) | Viewer::Anonymous => address(peer),
        };
        self.take(class, key, peer)
    }

    /// Takes a new connection out of its caller's bucket for subscriptions; out of the address's where nobody is known.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check_handshake(&self, viewer: Option<&Viewer>, peer: Peer) -> (Rate, Result<(), Problem>) {
        let user = viewer.and_then(Viewer::user);
        self.take(Class::Subscribe, user.map_or_else(|| address(peer), Key::User), peer)
    }

    /// Takes a token that was not good out of the bucket of the address: guessing is bounded.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check_bad_token(&self, peer: Peer) -> (Rate, Result<(), Problem>) {
        self.take(Class::Auth, address(peer), peer)
    }

    fn take(&self, class: Class, key: Key, peer: Peer) -> (Rate, Result<(), Problem>) {
        let set = match &self.desk {
            Some(desk) if peer.0.to_canonical().is_loopback() => desk,
            _ => &self.everybody,
        };
        let (per_second, buckets) = &set[class as usize];
        let rate = |remaining| Rate { class, per_second: *per_second, remaining };
        match buckets.check_key(&key) {
            Ok(left) => (rate(left.remaining_burst_capacity()), Ok(())),
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                let retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
                (rate(0), Err(Problem { retry_after_ms, ..Problem::new(ErrorCode::RateLimited) }))
            }
        }
    }

    /// Drops the buckets that are full: a client that has asked for nothing in the last ten seconds needs none.
    pub fn drop_full(&self) {
        for (_, buckets) in self.everybody.iter().chain(self.desk.iter().flatten()) {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }
}

fn is_public(operation: Operation) -> bool {
    access::rule_of(operation.name()).is_some_and(|rule| rule.tier == Tier::Public)
}

fn address(peer: Peer) -> Key {
    Key::Address(match peer.0.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    })
}

fn buckets(rates: Rates, factor: u32) -> [(u32, Buckets); 4] {
    Class::ALL.map(|class| {
        let rate = match class {
            Class::Read => rates.read,
            Class::Mutation => rates.mutation,
            Class::Auth => rates.auth,
            Class::Subscribe => rates.subscribe,
        };
        let rate = NonZeroU32::new(rate.saturating_mul(factor)).unwrap_or(NonZeroU32::MIN);
        let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(WINDOW_SECONDS - 1));
        (rate.get(), RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)).with_middleware())
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::{Identity, Role};
    use crate::domain::ids::SessionId;

    const RATES: Rates = Rates { read: 2, mutation: 1, auth: 1, subscribe: 1 };

    fn peer(address: &str) -> Peer {
        Peer(address.parse().expect("an address"))
    }

    fn user(id: u128) -> Viewer {
        Viewer::User(Identity {
            user: UserId(Uuid::from_u128(id)),
            session: SessionId(Uuid::from_u128(id)),
            role: Role::Patient,
            name: String::new(),
            expires_at: Timestamp::MAX,
        })
    }

    /// How many of 60 requests pass. No second goes by meanwhile, or one or two pass more.
    fn passed(limiter: &Limiter, operation: Operation, viewer: &Viewer, address: &str) -> usize {
        (0..60).filter(|_| limiter.check(operation, viewer, peer(address)).1.is_ok()).count()
    }

    #[test]
    fn a_bucket_holds_what_ten_seconds_give() {
        let limiter = Limiter::new(RATES, false);
        let read = Operation::DoctorSearch;
        let (rate, first) = limiter.check(read, &Viewer::Anonymous, peer("192.0.2.1"));
        assert!(first.is_ok());
        assert_eq!((rate.class, rate.burst(), rate.remaining, rate.seconds_to_full()), (Class::Read, 20, 19, 1));
        assert!((19..=22).contains(&passed(&limiter, read, &Viewer::Anonymous, "192.0.2.1")));
        let (rate, refused) = limiter.check(read, &Viewer::Anonymous, peer("192.0.2.1"));
        let refused = refused.expect_err("the bucket is empty");
        assert_eq!((refused.code, rate.remaining), (ErrorCode::RateLimited, 0));
        assert!((1..=500).contains(&refused.retry_after_ms.expect("when to come back")));
        // Other classes, addresses and people have buckets of their own.
        assert!(passed(&limiter, Operation::AppointmentBook, &Viewer::Anonymous, "192.0.2.1") >= 10);
        assert!(passed(&limiter, read, &Viewer::Anonymous, "192.0.2.2") >= 20);
        assert!(passed(&limiter, read, &user(1), "192.0.2.1") >= 20);
        assert!(passed(&limiter, read, &user(1), "192.0.2.3") <= 2, "wherever they are");
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let limiter = Limiter::new(RATES, false);
        let read = Operation::DoctorSearch;
        assert!(passed(&limiter, read, &Viewer::Anonymous, "2001:db8:1:2::1") >= 20);
        assert!(passed(&limiter, read, &Viewer::Anonymous, "2001:db8:1:2:ffff::9") <= 2);
        assert!(passed(&limiter, read, &Viewer::Anonymous, "2001:db8:1:3::1") >= 20);
        assert!(passed(&limiter, read, &Viewer::Anonymous, "192.0.2.1") >= 20);
        assert!(passed(&limiter, read, &Viewer::Anonymous, "::ffff:192.0.2.1") <= 2, "the same address");
    }

    #[test]
    fn guesses_are_counted_by_address() {
        let limiter = Limiter::new(RATES, false);
        assert!(passed(&limiter, Operation::AuthLogin, &user(1), "192.0.2.1") >= 10);
        assert!(passed(&limiter, Operation::AuthRegister, &user(2), "192.0.2.1") <= 2);
        assert!(limiter.check_bad_token(peer("192.0.2.1")).1.is_err());
        assert!(passed(&limiter, Operation::AuthRenew, &user(1), "192.0.2.1") >= 10, "their own session is theirs");
    }

    #[test]
    fn a_desk_is_given_more() {
        for (development, address, more) in
            [(true, "127.0.0.1", true), (true, "::1", true), (true, "192.0.2.1", false), (false, "127.0.0.1", false)]
        {
            let limiter = Limiter::new(RATES, development);
            let passed = passed(&limiter, Operation::Subscribe, &user(1), address);
            assert_eq!(passed == 60, more, "{development} {address}: {passed}");
        }
    }

    #[test]
    fn full_buckets_are_dropped() {
        let limiter = Limiter::new(Rates { read: 1_000_000, ..RATES }, false);
        limiter.check(Operation::DoctorSearch, &Viewer::Anonymous, peer("192.0.2.1")).1.expect("one passes");
        limiter.check(Operation::AppointmentBook, &Viewer::Anonymous, peer("192.0.2.1")).1.expect("one passes");
        let held = || limiter.everybody.each_ref().map(|(_, buckets)| buckets.len());
        assert_eq!(held(), [1, 1, 0, 0]);
        // A millionth of a second later the first is full again, the other in a second.
        while held()[0] > 0 {
            limiter.drop_full();
        }
        assert_eq!(held(), [0, 1, 0, 0]);
    }
}
