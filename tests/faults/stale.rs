//! The stream of changes stands still, and nothing else is wrong: `/readyz` says so, and goes on saying it.

use cita::domain::change::{FeedEvent, Position};
use cita::error::ClusterName;
use cita::feed::Feed;
use cita::store::cluster::Cluster;
use futures::FutureExt as _;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::follower::{Follower, Servers};
use super::reply::behind_proxy;
use crate::harness::clinic::{PATIENCE, at, database, date, key};
use crate::harness::mongo::shared;
use crate::harness::proxy::Fault;
use crate::harness::until;

async fn readyz(url: &str) -> (u16, Value) {
    let response = reqwest::get(format!("{url}/readyz")).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_stream_stands_still_is_not_ready() {
    let (clinic, proxy) = behind_proxy().await;
    let practice = clinic.practice().await;
    let patient = clinic.connect(&clinic.patient().await).await;
    let servers = Servers::new(&[clinic.url()]);
    let follower = Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await;
    // Each stream that it opens hangs, while everything else is answered.
    proxy.disturb("getMore", Fault::HoldReply, usize::MAX);
    let late = json!({ "status": "degraded", "clusters": { "users": "up", "appointments": "catching_up" } });
    until(async || readyz(clinic.url()).await == (503, late.clone())).await;
    let booking = practice.booking(&at(&date(2), "09:00"));
    let booked = patient.request("appointment.book", booking, Some(key())).await.expect("the database decides").data;
    let opened = proxy.disturbed();
    while proxy.disturbed() < opened + 2 {
        assert_eq!(readyz(clinic.url()).await, (503, late.clone()), "a stream that was opened again tells nothing yet");
        follower.until_pinged(1).await;
    }
    proxy.calm();
    until(async || readyz(clinic.url()).await.0 == 200).await;
    let seen = follower.until(|seen| seen.view.items.values().any(|item| *item == booked)).await;
    assert_eq!((seen.ends, seen.anew), (vec![], 0), "nobody has missed anything");
}

/// Whoever takes what the feed tells has stopped: nothing is wrong with the database or the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_nobody_listens_to_any_more_is_not_live() {
    let name = format!("t{}", Uuid::new_v4().simple());
    let uri = database(&shared().await.appointments_uri, &name);
    let cluster = Cluster::new(ClusterName::Appointments, &uri).await.unwrap();
    let (events, mut told) = mpsc::channel(1);
    let (live, mut is_live) = watch::channel(false);
    let mend = Box::new(|| std::future::ready(Ok(())).boxed());
    let feed = tokio::spawn(Feed::new(cluster.clone(), events, live, mend, None).run());
    let mut position = Position::default();
    let mut take = async || match told.recv().await.expect("the feed runs") {
        FeedEvent::Lost(at) | FeedEvent::Position(at) => position = position.max(at),
        FeedEvent::Commit(commit) => position = position.max(commit.at),
    };
    // Until it is live it is listened to.
    live_while_told(&mut is_live, &mut take).await;
    let documents = cluster.db.collection::<Document>("anything");
    for number in 0..20 {
        documents.insert_one(doc! { "number": number }).await.unwrap();
    }
    let stalled = timeout(PATIENCE, is_live.wait_for(|live| !*live)).await;
    drop(stalled.expect("it is noticed").expect("the feed runs"));
    live_while_told(&mut is_live, &mut take).await;
    feed.abort();
}

/// Waits until a feed is live, for which it has to be listened to.
async fn live_while_told(is_live: &mut watch::Receiver<bool>, take: &mut impl AsyncFnMut()) {
    let listened = async {
        loop {
            take().await;
        }
    };
    tokio::select! {
        live = timeout(PATIENCE, is_live.wait_for(|live| *live)) => drop(live.expect("in time").expect("the feed runs")),
        () = listened => {}
    }
}
