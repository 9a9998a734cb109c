//! Holds on seats: everybody sees what is left, and they end as those on a time do.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{Scene, code, day, nine};
use crate::harness::clinic::{at, key, text};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_has_its_seat_until_it_is_booked_or_released() {
    let scene = Scene::set(2).await;
    let (one, two, three) = (scene.clinic.patient().await, scene.clinic.patient().await, scene.clinic.patient().await);
    let mut workshop = Watcher::start(scene.clinic.anon().await, &scene.workshop.slots(&day()), None).await;
    let mut alone = Watcher::start(scene.clinic.anon().await, &scene.alone.slots(&day()), None).await;
    let slot = scene.workshop.booking(&nine());
    let (connection, own) = (scene.clinic.connect(&one).await, key());
    let held = connection.request("slot.hold", &slot, Some(own.clone())).await.unwrap().data;
    assert_eq!(held["status"], "held");
    workshop.until(|view| view.items[&nine()]["seatsLeft"] == 1).await;
    // For everything else the doctor's time is held, as long as there is nothing but the hold.
    let seen = alone.until(|view| view.items[&nine()]["status"] == "held").await;
    assert_eq!(seen.items[&nine()]["heldUntil"], held["expiresAt"], "as the database has it");
    assert_eq!(connection.request("slot.hold", &slot, Some(own)).await.unwrap().data, held);
    assert_eq!(connection.request("slot.hold", &slot, Some(key())).await.unwrap().data, held, "one each");

    let second = scene.booked(&two, &nine()).await;
    workshop.until(|view| view.items[&nine()]["status"] == "held" && view.items[&nine()]["seatsLeft"] == 0).await;
    assert_eq!(workshop.view.items[&nine()]["heldUntil"], held["expiresAt"]);
    alone.until(|view| !view.items.contains_key(&nine())).await;
    assert_eq!(code(&scene.book(&three, &nine()).await), Some(ErrorCode::SlotTaken));
    assert_eq!(code(&scene.ask(&three, "slot.hold", slot.clone()).await), Some(ErrorCode::SlotTaken));
    // Who holds it is shown it, and books it; the id stays.
    let search = json!({ "doctorId": scene.workshop.doctor.id, "serviceId": scene.workshop.service, "from": day(), "to": day() });
    let found = scene.ask(&one, "slot.search", search).await.unwrap();
    let shown = found["slots"].as_array().unwrap().iter().find(|slot| slot["start"] == nine()).unwrap().clone();
    assert_eq!(shown["status"], "held");
    let booking = key();
    let booked = connection.request("appointment.book", &slot, Some(booking.clone())).await.unwrap().data;
    assert_eq!((&booked["id"], &booked["status"], &booked["rev"]), (&held["id"], &json!("booked"), &json!(2)));
    assert_eq!(connection.request("appointment.book", &slot, Some(booking)).await.unwrap().data, booked);
    workshop.until(|view| !view.items.contains_key(&nine())).await;

    scene.ask(&two, "appointment.cancel", json!({ "id": second })).await.unwrap();
    let third = scene.ask(&three, "slot.hold", slot.clone()).await.unwrap();
    let released = scene.ask(&three, "hold.release", json!({ "id": third["id"] })).await.unwrap();
    assert_eq!(released["status"], "expired");
    workshop.until(|view| view.items.get(&nine()).is_some_and(|slot| slot["seatsLeft"] == 1)).await;
    assert_eq!(
        code(&scene.ask(&three, "hold.release", json!({ "id": third["id"] })).await),
        Some(ErrorCode::HoldExpired)
    );
    let mut over = slot;
    over["holdId"] = third["id"].clone();
    assert_eq!(code(&scene.ask(&three, "appointment.book", over).await), Some(ErrorCode::HoldExpired));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_runs_out_gives_its_seat_up() {
    let scene = Scene::set_with(json!({ "capacity": 2 }), &["--hold-seconds", "2"]).await;
    let (one, two) = (scene.clinic.patient().await, scene.clinic.patient().await);
    let mut workshop = Watcher::start(scene.clinic.anon().await, &scene.workshop.slots(&day()), None).await;
    let mut alone = Watcher::start(scene.clinic.anon().await, &scene.alone.slots(&day()), None).await;
    let mut mine = Watcher::start(scene.clinic.connect(&one).await, "me/appointments", None).await;
    let held = scene.ask(&one, "slot.hold", scene.workshop.booking(&nine())).await.unwrap();
    let other = scene.ask(&two, "slot.hold", scene.workshop.booking(&nine())).await.unwrap();
    workshop.until(|view| view.items[&nine()]["status"] == "held").await;
    mine.until(|view| view.items.contains_key(&text(&held, "id"))).await;
    // Nobody does anything: it is told all the same, and with the last the time is everybody's.
    workshop.until(|view| view.items[&nine()]["seatsLeft"] == 2).await;
    alone.until(|view| view.items[&nine()]["status"] == "free").await;
    mine.until(|view| view.items.is_empty()).await;
    for (who, hold) in [(&one, &held), (&two, &other)] {
        let mut over = scene.workshop.booking(&nine());
        over["holdId"] = hold["id"].clone();
        assert_eq!(code(&scene.ask(who, "appointment.book", over).await), Some(ErrorCode::HoldExpired));
    }
    scene.booked(&two, &nine()).await;
}

/// Holds on seats count among the three that a person may have; both kinds see each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_holds_of_either_kind() {
    let scene = Scene::set(5).await;
    let one = scene.clinic.patient().await;
    let hold = async |practice: &crate::harness::clinic::Practice, time: &str| {
        scene.ask(&one, "slot.hold", practice.booking(&at(&day(), time))).await
    };
    hold(&scene.workshop, "09:00").await.unwrap();
    hold(&scene.alone, "13:00").await.unwrap();
    let third = hold(&scene.workshop, "11:00").await.unwrap();
    for practice in [&scene.workshop, &scene.alone] {
        let refused: Result<Value, _> = hold(practice, "15:00").await;
        assert_eq!(refused.unwrap_err().rule.as_deref(), Some("holds"));
    }
    scene.ask(&one, "hold.release", json!({ "id": third["id"] })).await.unwrap();
    hold(&scene.alone, "11:00").await.expect("what is released is free for the other service, too");
}
