//! A replica set of three loses members in the middle of bookings: the others go on, and so does everybody else.

use cita_protocol::{ErrorCode, Outcome};

use super::bookers::{Bookers, DAYS};
use super::follower::{Follower, Servers};
use crate::harness::clinic::{Clinic, Node, at, database, date, key};
use crate::harness::members::Members;
use crate::harness::mongo::shared;
use crate::harness::{eventually, until};

/// Two nodes on three members, and those who book and watch.
struct Ward {
    clinic: Clinic,
    other: Node,
    members: Members,
    bookers: Bookers,
    followers: Vec<Follower>,
}

impl Ward {
    async fn open() -> Self {
        let members = Members::start(3, &["--oplogSize", "64"]).await;
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let users = database(&shared().await.users_uri, &name);
        let options = &["--heartbeat-ms", "300"];
        let clinic = Clinic::open_on(&users, &database(&members.uri(), &name), options).await;
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
        Self { clinic, other, members, bookers, followers }
    }

    /// Everybody finishes, and what is there is what was acknowledged.
    async fn close(self) {
        self.bookers.until_acknowledged(100).await;
        let anew: usize = self.followers.iter().map(|follower| follower.seen().anew).sum();
        assert_eq!(anew, 0, "the stream goes on at the next primary, and so do those who watch");
        let log = self.bookers.finish_and_check(self.followers).await;
        println!("{} unknown, {} not applied", log.unknown, log.not_applied);
        drop(self.other);
        self.clinic.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_of_three_is_killed_and_comes_back() {
    let mut ward = Ward::open().await;
    let first = ward.members.primary().await;
    ward.members.kill(first).await;
    ward.bookers.until_acknowledged(100).await;
    // What it had written and nobody else had is rolled back.
    ward.members.restart(first).await;
    ward.members.until_settled().await;
    ward.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_are_restarted_one_after_the_other() {
    let mut ward = Ward::open().await;
    for _ in 0..3 {
        let primary = ward.members.primary().await;
        ward.members.ask_to_stop(primary).await;
        ward.bookers.until_acknowledged(50).await;
        ward.members.restart(primary).await;
        ward.members.until_settled().await;
    }
    ward.close().await;
}

/// It holds all its connections and answers nothing; what it says when it goes on, it says as somebody who has been replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_of_three_stands_still_and_goes_on() {
    let mut ward = Ward::open().await;
    let first = ward.members.primary().await;
    ward.members.freeze(first).await;
    ward.bookers.until_acknowledged(100).await;
    ward.members.thaw(first).await;
    ward.members.until_settled().await;
    ward.close().await;
}

/// What the last one writes, nobody else has: nothing is acknowledged, and what was begun is settled once there are others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_members_one_is_left() {
    let mut ward = Ward::open().await;
    let other = ward.clinic.practice().await;
    let patient = ward.clinic.connect(&ward.clinic.patient().await).await;
    let last = ward.members.primary().await;
    let gone: Vec<usize> = (0..3).filter(|member| *member != last).collect();
    for member in &gone {
        ward.members.kill(*member).await;
    }
    let (booking, key) = (other.booking(&at(&date(2), "09:00")), key());
    let refused = patient.request("appointment.book", &booking, Some(key.clone())).await.unwrap_err();
    let problem = refused.problem().expect("it is answered");
    assert_eq!((problem.code, problem.outcome), (ErrorCode::Unavailable, Some(Outcome::Unknown)));
    until(async || reqwest::get(format!("{}/readyz", ward.other.url)).await.unwrap().status() == 503).await;
    for member in gone {
        ward.members.restart(member).await;
    }
    ward.members.until_settled().await;
    let booked = eventually(async || patient.request("appointment.book", &booking, Some(key.clone())).await.ok()).await;
    assert_eq!(booked.data["status"], "booked");
    ward.close().await;
}
