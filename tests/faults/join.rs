//! Where a snapshot meets the stream: whatever is committed in between is told once.

use std::sync::Arc;

use cita_cli::Frame;
use serde_json::json;

use super::bookers::{Bookers, DAYS};
use super::follower::{Follower, Servers};
use crate::harness::clinic::{Clinic, connect, date};

/// How many join while bookings go on.
const SUBSCRIPTIONS: usize = 200;
/// How many of them join at the same time.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_while_bookings_go_on_misses_nothing_and_hears_nothing_twice() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "1000"]).await;
    let other = clinic.node_with(&["--heartbeat-ms", "1000"]).await;
    let practice = clinic.practice().await;
    let servers = Servers::new(&[clinic.url(), &other.url]);
    let bookers = Bookers::start(&servers, &practice, 4).await;
    bookers.until_acknowledged(20).await;
    let topics: Vec<String> = (1..=DAYS).map(|days| practice.slots(&date(days))).collect();
    let mut followers = Vec::new();
    for round in 0..SUBSCRIPTIONS / AT_ONCE {
        let joining = (0..AT_ONCE).map(|place| {
            let number = round * AT_ONCE + place;
            let servers = servers.starting_at(number);
            let (practice, topics) = (&practice, &topics);
            async move {
                // Mostly slots, whose frames are small, so that two hundred of them can be kept to the end.
                match number % 5 {
                    0 => Follower::start(&servers, Some(&practice.doctor.token), &practice.calendar()).await,
                    _ => Follower::start(&servers, None, &topics[number / 2 % topics.len()]).await,
                }
            }
        });
        followers.extend(futures::future::join_all(joining).await);
        bookers.until_acknowledged(3).await;
    }
    let changes: usize = followers.iter().map(|follower| follower.seen().view.changes).sum();
    assert!(changes > SUBSCRIPTIONS, "bookings went on while they joined");
    bookers.finish_and_check(followers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_may_leave_and_join_as_often_as_it_likes() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let servers = Servers::new(&[clinic.url()]);
    let bookers = Bookers::start(&servers, &practice, 4).await;
    let connection = Arc::new(connect(clinic.url(), Some(&practice.doctor.token)).await);
    let reading = connection.clone();
    let frames = tokio::spawn(async move {
        let mut frames: Vec<Frame> = Vec::new();
        while let Ok(frame) = reading.next_event().await {
            let last = frame.data["topic"] == "me/appointments";
            frames.push(frame);
            if last {
                return frames;
            }
        }
        panic!("the connection stays");
    });
    let topics = [practice.calendar(), practice.slots(&date(1)), practice.slots(&date(2))];
    for round in 0..100 {
        let topic = json!({ "topic": topics[round % topics.len()] });
        connection.request("subscribe", &topic, None).await.unwrap();
        bookers.until_acknowledged(1).await;
        connection.request("unsubscribe", &topic, None).await.unwrap();
    }
    connection.request("subscribe", json!({ "topic": "me/appointments" }), None).await.unwrap();
    let frames = frames.await.unwrap();
    for topic in &topics {
        // Each subscription is one snapshot, and what follows has later cursors, up to the next snapshot.
        let mut last = None;
        let mut snapshots = 0;
        for frame in frames.iter().filter(|frame| frame.data["topic"] == topic.as_str()) {
            let cursor = frame.cursor.clone().expect("a frame of a topic has a cursor").0;
            match frame.kind.as_str() {
                "snapshot" => snapshots += usize::from(frame.data["more"] != true),
                "change" => assert!(last.is_some_and(|last| last < cursor), "{topic}: a change that was told already"),
                other => panic!("unexpected {other}"),
            }
            last = Some(cursor);
        }
        assert!((33..=34).contains(&snapshots), "{topic} was subscribed to 33 or 34 times: {snapshots}");
    }
    bookers.finish_and_check(Vec::new()).await;
}
