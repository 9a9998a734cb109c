//! Coming back: on the same node, on another, on a new one, too late, and with a cursor that nobody wrote.

use cita::live::cursor::Cursor;
use cita_cli::Connection;
use cita_protocol::ErrorCode;
use serde_json::json;

use crate::harness::clinic::{Clinic, Person, Practice, at, connect, date, key, text};
use crate::harness::watch::Watcher;

async fn book(connection: &Connection, practice: &Practice, start: &str) -> (String, String) {
    let reply = connection.request("appointment.book", practice.booking(start), Some(key())).await.unwrap();
    (text(&reply.data, "id"), reply.cursor.expect("a mutation has a cursor").0)
}

async fn cancel(connection: &Connection, id: &str) -> String {
    let reply = connection.request("appointment.cancel", json!({ "id": id }), Some(key())).await.unwrap();
    reply.cursor.expect("a mutation has a cursor").0
}

/// Watches as somebody, leaves, and comes back at `url` after two more bookings, a cancellation and a move.
async fn comes_back(clinic: &Clinic, url: &str, practice: &Practice, who: Option<&Person>, topic: &str) {
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let token = who.map(|person| person.token.as_str());
    let day = date(5);
    let (kept, _) = book(&connection, practice, &at(&day, "08:00")).await;
    let (gone, cursor) = book(&connection, practice, &at(&day, "09:00")).await;
    let mut before = Watcher::start(connect(clinic.url(), token).await, topic, None).await;
    before.until_cursor(&cursor).await;
    before.connection.close().await;

    book(&connection, practice, &at(&day, "10:00")).await;
    book(&connection, practice, &at(&day, "11:00")).await;
    cancel(&connection, &gone).await;
    let moved = json!({ "id": kept, "start": at(&day, "08:30") });
    let moved = connection.request("appointment.reschedule", moved, Some(key())).await.unwrap();

    let after = connect(url, token).await;
    let reply = after.request("subscribe", json!({ "topic": topic, "after": before.view.cursor }), None).await.unwrap();
    assert_eq!(reply.data["resumed"], true, "{topic} goes on where it was");
    let mut returned = Watcher { connection: after, topic: topic.to_owned(), view: before.view.clone(), resumed: true };
    returned.until_cursor(&moved.cursor.unwrap().0).await;
    let fresh = Watcher::start(connect(url, token).await, topic, None).await;
    assert_eq!(returned.view.items, fresh.view.items, "what was missed and what was seen make the whole");
    assert_eq!((returned.view.snapshots, returned.view.resets), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_told_on_any_node() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let other = clinic.node_with(&["--heartbeat-ms", "300"]).await;
    for url in [clinic.url(), other.url.as_str()] {
        let practice = clinic.practice().await;
        comes_back(&clinic, url, &practice, None, &practice.slots(&date(5))).await;
        let practice = clinic.practice().await;
        let topic = practice.calendar();
        comes_back(&clinic, url, &practice, Some(&practice.doctor), &topic).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_later_continues_what_its_predecessor_served() {
    let mut clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let (_, cursor) = book(&connection, &practice, &at(&date(5), "08:00")).await;
    let mut before = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    before.until_cursor(&cursor).await;
    let (missed, _) = book(&connection, &practice, &at(&date(5), "09:00")).await;
    clinic.take_node().stop().await;

    let successor = clinic.node().await;
    let after = Some(cursor.as_str());
    let mut returned =
        Watcher::start(successor.connect(Some(&practice.doctor)).await, &practice.calendar(), after).await;
    assert!(returned.resumed);
    returned.until(|view| view.items.contains_key(&missed)).await;
    assert_eq!(returned.view.changes, 1, "what was known is not told again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_continued_begins_anew() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let (id, cursor) = book(&connection, &practice, &at(&date(5), "08:00")).await;
    // Long before the node's ring; another history; damaged; garbage; nothing.
    let old = "10000000000000000000000000000000000000000c1f5";
    let other_history = cursor.replacen(&cursor[1..9], "00000001", 1);
    // Its check digit is any hexadecimal digit: a fixed one would be the right one once in sixteen runs.
    let wrong = if cursor.ends_with('0') { '1' } else { '0' };
    let damaged = format!("{}{wrong}", &cursor[..cursor.len() - 1]);
    for after in [old, &other_history, &damaged, "garbage", "", &"9".repeat(10_000)] {
        let topics = [(practice.slots(&date(5)), None), (practice.calendar(), Some(&practice.doctor))];
        for (topic, who) in topics {
            let connection = match who {
                Some(person) => clinic.connect(person).await,
                None => clinic.anon().await,
            };
            let watcher = Watcher::start(connection, &topic, Some(after)).await;
            assert!(!watcher.resumed, "{topic} after {after:.60}");
            assert_eq!((watcher.view.resets, watcher.view.snapshots), (1, 1), "{topic} after {after:.60}");
            assert!(who.is_none() || watcher.view.items.contains_key(&id));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_the_ring_has_dropped_leads_to_a_reset() {
    let clinic = Clinic::open_with(&["--ring-mb", "1"]).await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let (id, cursor) = book(&connection, &practice, &at(&date(5), "08:00")).await;
    // A megabyte of changes: every reschedule with a long reason is a few kilobytes of document.
    let long = json!({
        "doctorId": practice.doctor.id, "serviceId": practice.service, "start": at(&date(6), "08:00"), "reason": "ñ".repeat(1_000)
    });
    let reply = connection.request("appointment.book", long, Some(key())).await.unwrap();
    let busy = text(&reply.data, "id");
    for round in 0..400 {
        let time = ["09:00", "10:00"][round % 2];
        let start = json!({ "id": busy, "start": at(&date(6), time) });
        connection.request("appointment.reschedule", start, Some(key())).await.unwrap();
    }
    let watcher = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), Some(&cursor)).await;
    assert_eq!((watcher.resumed, watcher.view.resets), (false, 1));
    assert!(watcher.view.items.contains_key(&id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_for_what_was_seen_elsewhere() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let connection = clinic.connect(&patient).await;
    let visitor = other.connect(None).await;
    for time in ["08:00", "09:00", "10:00", "11:00", "12:00"] {
        let start = at(&date(2), time);
        let (_, cursor) = book(&connection, &practice, &start).await;
        let search = json!({
            "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date(2), "to": date(2), "after": cursor
        });
        let found = visitor.request("slot.search", search, None).await.unwrap().data;
        let starts: Vec<&str> =
            found["slots"].as_array().unwrap().iter().filter_map(|slot| slot["start"].as_str()).collect();
        assert!(!starts.contains(&start.as_str()), "the other node has seen it");
        assert!(!starts.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_does_not_wait_for_another_history() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let visitor = clinic.anon().await;
    let patient = clinic.connect(&clinic.patient().await).await;
    let (_, cursor) = book(&patient, &practice, &at(&date(2), "08:00")).await;
    let mut other = Cursor::parse(&cursor).expect("the server's own cursor");
    other.epoch ^= 1;
    for after in [other.to_string(), "garbage".to_owned()] {
        let request = json!({ "id": practice.doctor.id, "after": after });
        let refused = visitor.request("doctor.get", request, None).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::ValidationFailed), "{after}");
    }
}
