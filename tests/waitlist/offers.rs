//! The promise: between the one who gives a time up and the one to whom it is offered nobody gets it, and then it goes from hand
//! to hand until somebody wants it.

use cita_protocol::ErrorCode;
use futures::future::join_all;
use serde_json::json;

use super::{Booked, Waiter, ask, code, standing, two_nodes, wish};
use crate::harness::clinic::{Clinic, at, connect, date, text};
use crate::harness::watch::Watcher;

/// Others go for the time without a pause, and see its slot: there is no moment at which it is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_offered_before_anybody_can_have_it() {
    let (clinic, other) = two_nodes(&[]).await;
    let practice = clinic.practice().await;
    let mut racers = Vec::new();
    for number in 0..4 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        let node = if number % 2 == 0 { clinic.url() } else { &other.url };
        racers.push(connect(node, Some(&patient.token)).await);
    }
    let day = date(3);
    for round in 0..6 {
        let start = at(&day, &format!("{:02}:00", 8 + round));
        let slot = practice.booking(&start);
        let booked = Booked::at(&clinic, &practice, &start).await;
        let waiter = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        let there = other.connect(Some(&waiter.person)).await;
        let mut slots = Watcher::start(other.connect(None).await, &practice.slots(&day), None).await;
        let (done, is_done) = tokio::sync::watch::channel(false);
        let race = racers.iter().map(|racer| async {
            let (mut operations, mut tries) = (["appointment.book", "slot.hold"].iter().cycle(), 0);
            while tries < 3 || !*is_done.borrow() {
                let outcome = ask(racer, operations.next().unwrap(), &slot).await;
                assert_eq!(code(&outcome), Some(ErrorCode::SlotTaken), "{outcome:?}");
                tries += 1;
            }
        });
        let change = async {
            booked.cancel().await;
            let offer = waiter.look().await["offer"].clone();
            assert_eq!(offer["start"], start, "with the cancellation, not after it");
            // It is held until then, for everybody to see.
            let seen = slots.until(|view| {
                assert_ne!(standing(&view.items, &start), "free");
                standing(&view.items, &start) == "held"
            });
            assert_eq!(seen.await.items[&start]["heldUntil"], offer["expiresAt"]);
            // From another device.
            let accept = json!({ "id": waiter.entry, "reason": "Control" });
            let accepted = ask(&there, "waitlist.accept", &accept).await.unwrap();
            slots
                .until(|view| {
                    assert_ne!(standing(&view.items, &start), "free");
                    standing(&view.items, &start).is_empty()
                })
                .await;
            done.send(true).unwrap();
            (offer, accepted)
        };
        let ((offer, accepted), _) = futures::join!(change, join_all(race));
        assert_eq!((&accepted["id"], &accepted["status"]), (&offer["holdId"], &json!("booked")));
        assert_eq!((&accepted["waitlistId"], &accepted["reason"]), (&json!(waiter.entry), &json!("Control")));
        assert_eq!(accepted["patientId"], waiter.person.id);
        let entry = waiter.look().await;
        assert_eq!((&entry["status"], &entry["appointmentId"]), (&json!("fulfilled"), &accepted["id"]));
        assert!(entry.get("offer").is_none());
    }
}

/// The first says nothing, the second does not want it, the third takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_goes_from_hand_to_hand() {
    let (clinic, other) = two_nodes(&["--offer-seconds", "3"]).await;
    let practice = clinic.practice().await;
    let (day, start) = (date(4), at(&date(4), "10:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(Waiter::join(&clinic, &wish(&practice, &day, &day)).await);
    }
    let [first, second, third] = &waiters[..] else { panic!("three") };
    let mut of_first = first.watch(&other.url).await;
    let mut of_second = second.watch(clinic.url()).await;
    let mut of_third = third.watch(&other.url).await;
    let doctor = other.connect(Some(&practice.doctor)).await;
    let mut queue = Watcher::start(doctor, &format!("doctors/{}/waitlist", practice.doctor.id), None).await;
    assert_eq!(queue.view.items.len(), 3);
    let mut slots = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let mut own = Watcher::start(other.connect(Some(&first.person)).await, "me/appointments", None).await;

    booked.cancel().await;
    of_first.until(|view| view.statuses()[&*first.entry] == "offered").await;
    own.until(|view| view.items.values().any(|item| item["waitlistId"] == first.entry)).await;
    assert_eq!(of_second.view.changes, 0);
    // Nobody does anything: it runs out, and goes on in the same commit.
    of_second.until(|view| view.statuses()[&*second.entry] == "offered").await;
    of_first.until(|view| view.statuses()[&*first.entry] == "waiting").await;
    own.until(|view| view.items.is_empty()).await;
    let passed = second.answer("pass").await.unwrap();
    assert_eq!((&passed["status"], passed.get("offer")), (&json!("waiting"), None));
    of_third.until(|view| view.statuses()[&*third.entry] == "offered").await;
    let accepted = third.answer("accept").await.unwrap();
    of_third.until(|view| view.items.is_empty()).await;
    queue.until(|view| view.items.len() == 2 && view.statuses().values().all(|status| *status == "waiting")).await;
    assert_eq!(queue.view.items[&first.entry]["patientName"], first.person.name);
    // Each offer in one change: two entries at once from the second on.
    slots
        .until(|view| {
            assert_ne!(standing(&view.items, &start), "free");
            standing(&view.items, &start).is_empty() && view.changes >= 4
        })
        .await;

    // Those who did not want it are not asked again, nor is whoever gives it up: it is free as ever.
    ask(&third.connection, "waitlist.join", &wish(&practice, &day, &day)).await.unwrap();
    ask(&third.connection, "appointment.cancel", &json!({ "id": accepted["id"] })).await.unwrap();
    slots.until(|view| standing(&view.items, &start) == "free").await;
    for waiter in [first, second] {
        assert_eq!(waiter.standing().await, ("waiting".to_owned(), None));
    }
    // But for other times they still wait, the first first.
    let booked = Booked::at(&clinic, &practice, &at(&day, "11:00")).await;
    booked.cancel().await;
    assert_eq!(first.standing().await, ("offered".to_owned(), Some(at(&day, "11:00"))));
    assert_eq!(second.standing().await, ("waiting".to_owned(), None));
}

/// What waits is in the database: whichever node is there goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_outlives_the_node_that_made_it() {
    let mut clinic = Clinic::open_with(&["--offer-seconds", "2"]).await;
    let practice = clinic.practice().await;
    let (day, start) = (date(4), at(&date(4), "10:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let second = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    booked.cancel().await;
    assert_eq!(first.standing().await.0, "offered");
    clinic.take_node().stop().await;

    let successor = clinic.node_with(&["--offer-seconds", "300"]).await;
    let mut own = second.watch(&successor.url).await;
    own.until(|view| view.statuses()[&*second.entry] == "offered").await;
    assert_eq!(text(&own.view.items[&second.entry]["offer"], "start"), start);
    let mut own = first.watch(&successor.url).await;
    own.until(|view| view.statuses()[&*first.entry] == "waiting").await;
}

/// Who never answers is asked three times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_offers_without_an_answer_are_enough() {
    let clinic = Clinic::open_with(&["--offer-seconds", "1"]).await;
    let practice = clinic.practice().await;
    let day = date(4);
    let waiter = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let mut own = waiter.watch(clinic.url()).await;
    for hour in 8..11 {
        let start = at(&day, &format!("{hour:02}:00"));
        Booked::at(&clinic, &practice, &start).await.cancel().await;
        own.until(|view| view.items.values().any(|item| item["offer"]["start"] == start)).await;
        own.until(|view| view.items.values().all(|item| item["status"] == "waiting")).await;
    }
    assert!(own.view.items.is_empty());
    assert_eq!(waiter.standing().await.0, "expired");
    let refused = waiter.answer("accept").await;
    assert_eq!(code(&refused), Some(ErrorCode::HoldExpired));
}
