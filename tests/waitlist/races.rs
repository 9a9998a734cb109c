//! What must not happen when several do it at once.

use cita::clock::Clock;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Booked, Waiter, ask, code, two_nodes, wish};
use crate::harness::clinic::{at, connect, date, key, text};
use crate::harness::watch::Watcher;

/// An entry is offered one time, whoever gives up what.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_cancel_at_once_offer_each_entry_one_time() {
    let (clinic, other) = two_nodes(&[]).await;
    let practice = clinic.practice().await;
    for (round, (cancelled, entries)) in [(2, 1), (8, 3), (3, 8)].into_iter().enumerate() {
        let day = date(3 + i32::try_from(round).unwrap());
        let (mut booked, mut waiters) = (Vec::new(), Vec::new());
        for number in 0..cancelled {
            booked.push(Booked::at(&clinic, &practice, &at(&day, &format!("{:02}:00", 8 + number))).await);
        }
        for _ in 0..entries {
            waiters.push(Waiter::join(&clinic, &wish(&practice, &day, &day)).await);
        }
        let cancels = booked.iter().enumerate().map(|(number, one)| {
            let url = if number % 2 == 0 { clinic.url() } else { &other.url };
            let token = practice.doctor.token.as_str();
            async move {
                let doctor = connect(url, Some(token)).await;
                ask(&doctor, "appointment.cancel", &json!({ "id": one.id })).await.unwrap()
            }
        });
        join_all(cancels).await;
        let slots = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
        let held: Vec<&Value> = slots.view.items.values().filter(|slot| slot["status"] == "held").collect();
        let expected = cancelled.min(entries);
        assert_eq!(held.len(), expected, "{cancelled} times, {entries} entries");
        let mut offered = Vec::new();
        for waiter in &waiters {
            let (status, start) = waiter.standing().await;
            assert_eq!(status == "offered", start.is_some());
            offered.extend(start);
        }
        offered.sort();
        let starts: Vec<String> = held.iter().map(|slot| text(slot, "start")).collect();
        assert_eq!(offered, starts, "each time to one, each of them one time");
    }
}

/// One answer counts, whoever gives it and from where.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_is_answered_once() {
    let (clinic, other) = two_nodes(&[]).await;
    let practice = clinic.practice().await;
    let day = date(5);
    for round in 0..8 {
        let start = at(&day, &format!("{:02}:00", 8 + round));
        let booked = Booked::at(&clinic, &practice, &start).await;
        let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        let second = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        booked.cancel().await;
        let there = other.connect(Some(&first.person)).await;
        let last = if round % 2 == 0 { "waitlist.leave" } else { "waitlist.pass" };
        let (id, slot) = (json!({ "id": first.entry }), practice.booking(&start));
        let (accepted, booked, answered) = futures::join!(
            ask(&first.connection, "waitlist.accept", &id),
            ask(&there, "appointment.book", &slot),
            ask(&there, last, &id),
        );
        let entry = first.look().await;
        let outcomes = [&accepted, &booked, &answered].map(|outcome| outcome.is_ok());
        match text(&entry, "status").as_str() {
            "fulfilled" => {
                assert!(!outcomes[2] && outcomes[0] != outcomes[1], "{accepted:?} {booked:?} {answered:?}");
                for late in [&accepted, &answered].into_iter().filter(|late| late.is_err()) {
                    assert_eq!(code(late), Some(ErrorCode::IllegalTransition), "it has come to something");
                }
                let appointment = accepted.or(booked).unwrap();
                assert_eq!((&appointment["id"], &appointment["start"]), (&entry["appointmentId"], &json!(start)));
                assert_eq!(second.standing().await.0, "waiting");
                second.answer("leave").await.unwrap();
            }
            status => {
                assert_eq!(outcomes, [false, false, true], "{accepted:?} {booked:?} {answered:?}");
                assert_eq!(status, if round % 2 == 0 { "left" } else { "waiting" });
                let late = if status == "left" { ErrorCode::IllegalTransition } else { ErrorCode::HoldExpired };
                assert_eq!(code(&accepted), Some(late), "there is no offer any more");
                assert_eq!(second.standing().await, ("offered".to_owned(), Some(start)));
                second.answer("leave").await.unwrap();
            }
        }
        if entry["status"] == "waiting" {
            first.answer("leave").await.unwrap();
        }
    }
}

/// Those who accept at the last moment have it, or it has run out: never both, never neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepting_and_running_out_do_not_both_happen() {
    const OFFERS: i32 = 12;
    let (clinic, _other) = two_nodes(&["--offer-seconds", "2"]).await;
    let practice = clinic.practice().await;
    let mut waiters = Vec::new();
    let mut booked = Vec::new();
    for number in 0..OFFERS {
        let day = date(3 + number);
        booked.push(Booked::at(&clinic, &practice, &at(&day, "09:00")).await);
        waiters.push(Waiter::join(&clinic, &wish(&practice, &day, &day)).await);
    }
    for one in &booked {
        one.cancel().await;
    }
    let accepting = waiters.iter().zip(0..OFFERS).map(|(waiter, number)| async move {
        let entry = waiter.look().await;
        let Some(until) = entry["offer"]["expiresAt"].as_str() else { return (waiter, None) };
        let until: Timestamp = until.parse().unwrap();
        let moment = until - SignedDuration::from_millis(i64::from((OFFERS / 2 - number) * 8));
        while Clock.now() < moment {
            tokio::task::yield_now().await;
        }
        (waiter, Some(waiter.answer("accept").await))
    });
    let outcomes = join_all(accepting).await;
    let mut queue = Watcher::start(
        clinic.connect(&practice.doctor).await,
        &format!("doctors/{}/waitlist", practice.doctor.id),
        None,
    )
    .await;
    queue.until(|view| view.statuses().values().all(|status| *status == "waiting")).await;
    let mut taken = 0;
    for (waiter, outcome) in outcomes {
        let entry = waiter.look().await;
        match outcome {
            Some(Ok(appointment)) => {
                assert_eq!((&entry["status"], &entry["appointmentId"]), (&json!("fulfilled"), &appointment["id"]));
                taken += 1;
            }
            Some(refused) => {
                assert_eq!(code(&refused), Some(ErrorCode::HoldExpired), "{refused:?}");
                assert_eq!(entry["status"], "waiting");
            }
            None => assert_eq!(entry["status"], "waiting"),
        }
    }
    let listed = ask_list(&clinic.connect(&practice.doctor).await, "booked").await;
    assert_eq!(listed, taken);
}

async fn ask_list(connection: &cita_cli::Connection, status: &str) -> usize {
    let listed = connection.request("appointment.list", json!({ "status": status, "pageSize": 100 }), None).await;
    listed.unwrap().data["items"].as_array().unwrap().len()
}

/// The same answer at both nodes, again and again: whichever comes later meets what the other has done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_sent_twice_at_once_is_one() {
    let (clinic, other) = two_nodes(&[]).await;
    let practice = clinic.practice().await;
    for round in 0..12 {
        let day = date(3 + round);
        let booked = Booked::at(&clinic, &practice, &at(&day, "09:00")).await;
        let waiter = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
        booked.cancel().await;
        let there = other.connect(Some(&waiter.person)).await;
        let (data, own) = (json!({ "id": waiter.entry }), key());
        let (one, two) = futures::join!(
            waiter.connection.request("waitlist.accept", &data, Some(own.clone())),
            there.request("waitlist.accept", &data, Some(own.clone())),
        );
        assert_eq!(one.expect("it is offered").data, two.expect("it is the same").data, "round {round}");
    }
}

/// However often it is sent, it is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_can_be_repeated() {
    let (clinic, other) = two_nodes(&[]).await;
    let practice = clinic.practice().await;
    let (day, start) = (date(5), at(&date(5), "09:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    let person = clinic.patient().await;
    let (here, there) = (clinic.connect(&person).await, other.connect(Some(&person)).await);
    let often = async |operation: &str, data: &Value| {
        let key = key();
        let send = |number: usize| {
            let connection = if number.is_multiple_of(2) { &here } else { &there };
            connection.request(operation, data.clone(), Some(key.clone()))
        };
        let replies = join_all((0..6).map(send)).await;
        let replies: Vec<Value> = replies.into_iter().map(|reply| reply.unwrap().data).collect();
        assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
        replies[0].clone()
    };
    let joined = often("waitlist.join", &wish(&practice, &day, &day)).await;
    booked.cancel().await;
    let id = json!({ "id": joined["id"] });
    often("waitlist.pass", &id).await;
    let again = Booked::at(&clinic, &practice, &at(&day, "10:00")).await;
    again.cancel().await;
    let accepted = often("waitlist.accept", &id).await;
    // It is answered as it was, whatever became of the appointment.
    let reused = here.request("waitlist.accept", json!({ "id": joined["id"], "reason": "Otra" }), Some(key())).await;
    assert_eq!(reused.unwrap_err().code(), Some(ErrorCode::IllegalTransition));
    assert_eq!(accepted["status"], "booked");
    // That it was offered stays with it.
    let (data, own) = (json!({ "id": accepted["id"] }), key());
    assert_eq!(accepted["waitlistId"], joined["id"]);
    let cancelled = ask(&here, "appointment.cancel", &data).await.unwrap();
    assert_eq!(cancelled["waitlistId"], joined["id"]);
    let joined = ask(&here, "waitlist.join", &wish(&practice, &day, &day)).await.unwrap();
    let third = Booked::at(&clinic, &practice, &at(&day, "11:00")).await;
    third.cancel().await;
    let accept = || here.request("waitlist.accept", json!({ "id": joined["id"] }), Some(own.clone()));
    let first = accept().await.unwrap().data;
    ask(&there, "appointment.cancel", &json!({ "id": first["id"] })).await.unwrap();
    assert_eq!(accept().await.unwrap().data, first, "as it was answered");
    let other = often("waitlist.join", &wish(&practice, &day, &day)).await;
    often("waitlist.leave", &json!({ "id": other["id"] })).await;
    let listed = here.request("waitlist.list", json!({}), None).await.unwrap().data;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
}
