//! A replica set of three loses members in the middle of bookings: the others go on, and so does everybody else.

use cita_protocol::{ErrorCode, Outcome};

use super::ward::Ward;
use crate::harness::clinic::{at, database, date, key};
use crate::harness::members::Members;
use crate::harness::mongo::shared;
use crate::harness::{eventually, until};

async fn ward_on_three() -> (Members, Ward) {
    let members = Members::start(3, &["--oplogSize", "64"]).await;
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let (users, appointments) = (database(&shared().await.users_uri, &name), database(&members.uri(), &name));
    let ward = Ward::open_on(&users, &appointments).await;
    (members, ward)
}

async fn close(ward: Ward) {
    let ran = ward.close().await;
    assert_eq!(ran.anew, 0, "the stream goes on at the next primary, and so do those who watch");
    println!("{} answers were left open", ran.open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_of_three_is_killed_and_comes_back() {
    let (mut members, ward) = ward_on_three().await;
    let first = members.primary().await;
    members.kill(first).await;
    ward.bookers.until_acknowledged(100).await;
    // What it had written and nobody else had is rolled back.
    members.restart(first).await;
    members.until_settled().await;
    close(ward).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_are_restarted_one_after_the_other() {
    let (mut members, ward) = ward_on_three().await;
    for _ in 0..3 {
        let primary = members.primary().await;
        members.ask_to_stop(primary).await;
        ward.bookers.until_acknowledged(50).await;
        members.restart(primary).await;
        members.until_settled().await;
    }
    close(ward).await;
}

/// It holds all its connections and answers nothing; what it says when it goes on, it says as somebody who has been replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_of_three_stands_still_and_goes_on() {
    let (mut members, ward) = ward_on_three().await;
    let first = members.primary().await;
    members.freeze(first).await;
    ward.bookers.until_acknowledged(100).await;
    members.thaw(first).await;
    members.until_settled().await;
    close(ward).await;
}

/// What the last one writes, nobody else has: nothing is acknowledged, and what was begun is settled once there are others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_members_one_is_left() {
    let (mut members, ward) = ward_on_three().await;
    let other = ward.clinic.practice().await;
    let patient = ward.clinic.connect(&ward.clinic.patient().await).await;
    let last = members.primary().await;
    let gone: Vec<usize> = (0..3).filter(|member| *member != last).collect();
    for member in &gone {
        members.kill(*member).await;
    }
    let (booking, key) = (other.booking(&at(&date(2), "09:00")), key());
    let refused = patient.request("appointment.book", &booking, Some(key.clone())).await.unwrap_err();
    let problem = refused.problem().expect("it is answered");
    assert_eq!((problem.code, problem.outcome), (ErrorCode::Unavailable, Some(Outcome::Unknown)));
    until(async || reqwest::get(format!("{}/readyz", ward.other.url)).await.unwrap().status() == 503).await;
    for member in gone {
        members.restart(member).await;
    }
    members.until_settled().await;
    let booked = eventually(async || patient.request("appointment.book", &booking, Some(key.clone())).await.ok()).await;
    assert_eq!(booked.data["status"], "booked");
    close(ward).await;
}
