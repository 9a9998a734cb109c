//! Two nodes on databases that something happens to, and those who book and watch meanwhile.

use super::bookers::{Bookers, DAYS};
use super::follower::{Follower, Servers};
use crate::harness::clinic::{Clinic, Node, date};

/// Clients at work at both nodes.
pub struct Ward {
    pub clinic: Clinic,
    pub other: Node,
    pub bookers: Bookers,
    followers: Vec<Follower>,
}

/// What the clients went through.
pub struct Ran {
    /// Answers that were not definite.
    pub open: usize,
    /// How often a topic could not be resumed.
    pub anew: usize,
}

impl Ward {
    /// Opens it on fresh databases, and sets everybody to work.
    pub async fn open_on(users_uri: &str, appointments_uri: &str) -> Self {
        let options = &["--heartbeat-ms", "300"];
        let clinic = Clinic::open_on(users_uri, appointments_uri, options).await;
        let other = clinic.node_with(options).await;
        let practice = clinic.practice().await;
        let servers = Servers::new(&[clinic.url(), &other.url]);
        let mut followers = Vec::new();
        for turn in 0..2 {
            let servers = servers.starting_at(turn);
            followers.push(Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await);
            for days in 1..=DAYS {
                followers.push(Follower::start(&servers, None, &practice.slots(&date(days))).await);
            }
        }
        let bookers = Bookers::start(&servers, &practice, 6).await;
        bookers.until_acknowledged(100).await;
        Self { clinic, other, bookers, followers }
    }

    /// Lets everybody work on for a while and finish, and checks what is left.
    pub async fn close(self) -> Ran {
        let Self { clinic, other, bookers, followers } = self;
        bookers.until_acknowledged(100).await;
        // The followers are gone after the check: their counts are taken while they are there.
        let anew = followers.iter().map(|follower| follower.seen().anew).sum();
        let log = bookers.finish_and_check(followers).await;
        drop(other);
        clinic.close().await;
        Ran { open: log.unknown + log.not_applied, anew }
    }
}
