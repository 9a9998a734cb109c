//! The database is killed, or gives up its primary, in the middle of bookings.

use cita::embedded::Clusters;
use mongodb::Client;
use mongodb::bson::doc;

use super::bookers::{Bookers, DAYS};
use super::follower::{Follower, Servers};
use crate::harness::clinic::{Clinic, database, date};
use crate::harness::mongo::private;

/// What the clients went through.
struct Ran {
    /// Answers that were not definite.
    open: usize,
    anew: usize,
}

/// Books on two nodes while `fault` happens, and checks what is left.
async fn under(fault: impl AsyncFnOnce(&mut Clusters)) -> Ran {
    let mut clusters = private().await;
    let (users, appointments) = (clusters.users.uri(), clusters.appointments.uri());
    let options = &["--heartbeat-ms", "300"];
    let clinic = Clinic::open_on(&database(&users, "cita"), &database(&appointments, "cita"), options).await;
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
    fault(&mut clusters).await;
    bookers.until_acknowledged(100).await;

    // The followers are gone after the check: their counts are taken while they are there.
    let anew = followers.iter().map(|follower| follower.seen().anew).sum();
    let log = bookers.finish_and_check(followers).await;
    drop(other);
    clinic.close().await;
    clusters.stop().await;
    Ran { open: log.unknown + log.not_applied, anew }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_killed_in_the_middle_of_bookings() {
    let ran = under(async |clusters| {
        clusters.appointments.kill().await;
        clusters.appointments.restart().await.unwrap();
    })
    .await;
    assert_eq!(ran.anew, 0, "the stream goes on where it was, and so do those who watch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_steps_down_in_the_middle_of_bookings() {
    let ran = under(async |clusters| {
        let client = Client::with_uri_str(clusters.appointments.uri()).await.unwrap();
        let admin = client.database("admin");
        admin.run_command(doc! { "replSetStepDown": 1, "force": true }).await.unwrap();
    })
    .await;
    assert_eq!((ran.anew, ran.open), (0, 0), "a step-down is nothing that a client notices");
}
