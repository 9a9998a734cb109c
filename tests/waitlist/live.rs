//! The topics: who waits is seen by those whom it concerns, and whoever comes back has missed nothing.

use cita::error::ClusterName;
use cita::store::cluster::Cluster;
use cita_protocol::ErrorCode;
use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::json;

use super::{Booked, Waiter, ask, two_nodes, wish};
use crate::harness::cast::{admin, receptionist};
use crate::harness::clinic::{Clinic, at, connect, date, text};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_has_missed_nothing() {
    let options = ["--heartbeat-ms", "300"];
    let (clinic, other) = two_nodes(&options).await;
    for url in [clinic.url(), other.url.as_str()] {
        let practice = clinic.practice().await;
        let day = date(5);
        let booked = Booked::at(&clinic, &practice, &at(&day, "09:00")).await;
        let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        let second = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        let third = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        let of_doctor = format!("doctors/{}/waitlist", practice.doctor.id);
        let topics = [(&practice.doctor, of_doctor.as_str()), (&first.person, "me/waitlist")];
        let mut before = Vec::new();
        for (who, topic) in topics {
            let mut watcher = Watcher::start(clinic.connect(who).await, topic, None).await;
            let here = watcher.view.cursor.clone();
            watcher.until_cursor(&here).await;
            let Watcher { connection, view, .. } = watcher;
            connection.close().await;
            before.push((who, topic, view));
        }
        booked.cancel().await;
        first.answer("pass").await.unwrap();
        second.answer("accept").await.unwrap();
        let last = third.connection.request(
            "waitlist.leave",
            json!({ "id": third.entry }),
            Some(crate::harness::clinic::key()),
        );
        let last = last.await.unwrap().cursor.unwrap().0;
        for (who, topic, view) in before {
            let connection = connect(url, Some(&who.token)).await;
            let asked = json!({ "topic": topic, "after": view.cursor });
            let reply = connection.request("subscribe", asked, None).await.unwrap();
            assert_eq!(reply.data["resumed"], true, "{topic} goes on where it was");
            let mut returned = Watcher { connection, view, resumed: true, topic: topic.to_owned() };
            returned.until_cursor(&last).await;
            let fresh = Watcher::start(connect(url, Some(&who.token)).await, &returned.topic, None).await;
            assert_eq!(returned.view.items, fresh.view.items, "what was missed and what was seen make the whole");
            assert_eq!((returned.view.snapshots, returned.view.resets), (1, 0));
            assert_eq!(fresh.view.statuses().into_iter().collect::<Vec<_>>(), [(&*first.entry, "waiting")]);
        }
    }
}

/// The queue is nobody's business but the practice's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_learns_nothing_of_the_others() {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let practice = clinic.practice().await;
    let day = date(5);
    let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let second = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let mut own = second.watch(clinic.url()).await;
    let before = own.view.items.clone();
    Booked::at(&clinic, &practice, &at(&day, "09:00")).await.cancel().await;
    first.answer("accept").await.unwrap();
    let joined = ask(&first.connection, "waitlist.join", &wish(&practice, &day, &day)).await.unwrap();
    let last =
        first.connection.request("waitlist.leave", json!({ "id": joined["id"] }), Some(crate::harness::clinic::key()));
    own.until_cursor(&last.await.unwrap().cursor.unwrap().0).await;
    assert_eq!((own.view.changes, &own.view.items), (0, &before));
    let listed = second.connection.request("waitlist.list", json!({ "doctorId": practice.doctor.id }), None).await;
    let listed = listed.unwrap().data;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["id"], second.entry);
}

/// Staff see the queue as long as they act for the doctor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_no_longer_acts_for_a_doctor_sees_the_queue_no_more() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let admin = admin(&clinic).await;
    let staff = receptionist(&clinic, &admin, Some(&practice.doctor)).await;
    let waiter = Waiter::join(&clinic, &wish(&practice, &date(3), &date(3))).await;
    let topic = format!("doctors/{}/waitlist", practice.doctor.id);
    let desk = Watcher::start(clinic.connect(&staff).await, &topic, None).await;
    assert!(desk.view.items.contains_key(&waiter.entry));
    let set = json!({ "id": practice.doctor.id, "staff": [] });
    ask(&clinic.connect(&admin).await, "admin.setStaff", &set).await.unwrap();
    loop {
        let frame = desk.connection.next_event().await.expect("the connection stays");
        if frame.kind == "error" {
            assert_eq!((&frame.data["topic"], &frame.data["code"]), (&json!(topic), &json!("forbidden")));
            break;
        }
    }
    let again = desk.connection.request("subscribe", json!({ "topic": topic }), None).await;
    assert_eq!(again.unwrap_err().code(), Some(ErrorCode::Forbidden));
}

/// When its last day is over an entry ends, and everybody sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_is_over_ends_the_entry() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let waiter = Waiter::join(&clinic, &wish(&practice, &date(0), &date(3))).await;
    let mut own = waiter.watch(clinic.url()).await;
    let cluster = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address");
    let entries = cluster.db.collection::<Document>("waitlist");
    let id: Bson = mongodb::bson::Uuid::parse_str(&waiter.entry).expect("an id").into();
    let mut document = entries.find_one(doc! { "_id": &id }).await.unwrap().expect("the entry");
    // As if it had been joined long ago.
    document.insert("endsAt", DateTime::from_millis(0));
    document.insert("rev", 2);
    entries.replace_one(doc! { "_id": &id }, document).await.unwrap();
    own.until(|view| view.items.is_empty()).await;
    let entry = waiter.look().await;
    assert_eq!((text(&entry, "status").as_str(), &entry["rev"]), ("expired", &json!(3)));
}
