//! What is offered to whom: only what suits, what the rules allow, and what is left of it.

use serde_json::{Value, json};

use super::{Booked, Waiter, ask, standing, wish};
use crate::harness::cast::{admin, room};
use crate::harness::clinic::{Clinic, Practice, at, date, practice_at, text};
use crate::harness::watch::Watcher;

async fn service(clinic: &Clinic, practice: &Practice, service: Value) -> Practice {
    let doctor = clinic.connect(&practice.doctor).await;
    let mut service = service;
    service["doctorId"] = json!(practice.doctor.id);
    let made = ask(&doctor, "service.create", &service).await.expect("a service is made");
    Practice { service: text(&made, "id"), doctor: practice.doctor.clone() }
}

/// An hour goes to two who want half of it; half an hour to nobody who wants an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_offered_as_far_as_it_fits() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let long = json!({ "name": "Larga", "durationMinutes": 60, "stepMinutes": 30, "horizonDays": 366 });
    let long = service(&clinic, &practice, long).await;
    let day = date(3);
    let hour = Booked::at(&clinic, &long, &at(&day, "09:00")).await;
    let whole = Waiter::join(&clinic, &wish(&long, &day, &day)).await;
    let half = Booked::at(&clinic, &practice, &at(&day, "14:00")).await;
    half.cancel().await;
    assert_eq!(whole.standing().await, ("waiting".to_owned(), None), "it does not fit");
    whole.answer("leave").await.unwrap();

    let mut halves = Vec::new();
    for _ in 0..3 {
        halves.push(Waiter::join(&clinic, &wish(&practice, &day, &day)).await);
    }
    hour.cancel().await;
    assert_eq!(halves[0].standing().await, ("offered".to_owned(), Some(at(&day, "09:00"))));
    assert_eq!(halves[1].standing().await, ("offered".to_owned(), Some(at(&day, "09:30"))));
    assert_eq!(halves[2].standing().await, ("waiting".to_owned(), None));
}

/// Only those are asked for whom the time can be booked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_offered_what_they_could_not_book() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let elsewhere = practice_at(clinic.url(), crate::harness::clinic::simple_service()).await;
    let known = json!({ "name": "Conocidos", "durationMinutes": 30, "horizonDays": 366, "patients": "known" });
    let known = service(&clinic, &practice, known).await;
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    let busy = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    ask(&busy.connection, "appointment.book", &elsewhere.booking(&start)).await.unwrap();
    let mut late = wish(&practice, &day, &day);
    late["times"] = json!({ "from": "09:05", "to": "18:00" });
    let late = Waiter::join(&clinic, &late).await;
    let other_day = Waiter::join(&clinic, &wish(&practice, &date(4), &date(9))).await;
    let other_doctor = Waiter::join(&clinic, &wish(&elsewhere, &day, &day)).await;
    let stranger = clinic.connect(&clinic.patient().await).await;
    let refused = ask(&stranger, "waitlist.join", &wish(&known, &day, &day)).await;
    assert!(refused.is_err(), "not for those who have not been here");
    let fits = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    booked.cancel().await;
    for waiter in [&busy, &late, &other_day, &other_doctor] {
        assert_eq!(waiter.standing().await, ("waiting".to_owned(), None));
    }
    assert_eq!(fits.standing().await, ("offered".to_owned(), Some(start)));
}

/// Moving away gives up the old time, a move within it nothing but the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_moved_away_is_given_up() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let booked = Booked::at(&clinic, &practice, &start).await;
    // Whoever moves does not get their own old time.
    ask(&booked.connection, "waitlist.join", &wish(&practice, &day, &day)).await.unwrap();
    let waiter = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let mut slots = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let moved = json!({ "id": booked.id, "start": at(&day, "15:00") });
    ask(&booked.connection, "appointment.reschedule", &moved).await.unwrap();
    assert_eq!(waiter.standing().await, ("offered".to_owned(), Some(start.clone())));
    slots
        .until(|view| {
            assert_ne!(standing(&view.items, &start), "free");
            standing(&view.items, &start) == "held" && standing(&view.items, &at(&day, "15:00")).is_empty()
        })
        .await;
    assert_eq!(slots.view.changes, 1, "one commit");

    // A series gives up all that it has.
    let owner = clinic.connect(&clinic.patient().await).await;
    let mut series = practice.booking(&at(&date(10), "09:00"));
    series["rrule"] = json!("FREQ=DAILY;COUNT=3");
    let series = ask(&owner, "series.book", &series).await.unwrap();
    let mut waiters = Vec::new();
    for days in [10, 12] {
        waiters.push((days, Waiter::join(&clinic, &wish(&practice, &date(days), &date(days))).await));
    }
    ask(&owner, "series.cancel", &json!({ "id": series["id"] })).await.unwrap();
    for (days, waiter) in &waiters {
        assert_eq!(waiter.standing().await, ("offered".to_owned(), Some(at(&date(*days), "09:00"))));
    }
    let free = Watcher::start(clinic.anon().await, &practice.slots(&date(11)), None).await;
    assert_eq!(standing(&free.view.items, &at(&date(11), "09:00")), "free");

    // Somebody holds a time, does not book it, and others have joined by then.
    let held = ask(&owner, "slot.hold", &practice.booking(&at(&date(20), "09:00"))).await.unwrap();
    let waiter = Waiter::join(&clinic, &wish(&practice, &date(20), &date(20))).await;
    ask(&owner, "hold.release", &json!({ "id": held["id"] })).await.unwrap();
    assert_eq!(waiter.standing().await, ("offered".to_owned(), Some(at(&date(20), "09:00"))));
}

/// Time off comes first; limits of a service are kept by the offer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_within_time_off_is_offered_to_nobody() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let day = date(3);
    let inside = Booked::at(&clinic, &practice, &at(&day, "09:00")).await;
    let outside = Booked::at(&clinic, &practice, &at(&day, "12:00")).await;
    let first = Waiter::join(&clinic, &wish(&practice, &day, &day)).await;
    let doctor = clinic.connect(&practice.doctor).await;
    let off =
        json!({ "doctorId": practice.doctor.id, "from": { "date": day }, "to": { "date": day, "time": "11:00" } });
    ask(&doctor, "timeOff.create", &off).await.unwrap();
    inside.cancel().await;
    assert_eq!(first.standing().await, ("waiting".to_owned(), None));
    outside.cancel().await;
    assert_eq!(first.standing().await, ("offered".to_owned(), Some(at(&day, "12:00"))));

    let limited = json!({ "name": "Una al día", "durationMinutes": 30, "horizonDays": 366, "dailyLimit": 1 });
    let limited = service(&clinic, &practice, limited).await;
    let day = date(5);
    let booked = Booked::at(&clinic, &limited, &at(&day, "09:00")).await;
    let waiter = Waiter::join(&clinic, &wish(&limited, &day, &day)).await;
    booked.cancel().await;
    assert_eq!(waiter.standing().await.0, "offered");
    // The one place of the day is kept with it.
    let refused = ask(&booked.connection, "appointment.book", &limited.booking(&at(&day, "15:00"))).await;
    let problem = refused.unwrap_err();
    let cita_cli::ClientError::Problem(problem) = &problem else { panic!("{problem}") };
    assert_eq!(problem.rule.as_deref(), Some("daily_limit"));
    waiter.answer("accept").await.unwrap();
}

/// What needs a room that somebody else uses is not offered; the offer keeps the room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_needs_its_room() {
    let clinic = Clinic::open().await;
    let room = room(&clinic, &admin(&clinic).await).await;
    let roomed =
        || json!({ "name": "Con consultorio", "durationMinutes": 30, "horizonDays": 366, "resourceIds": [room] });
    let practice = clinic.practice().await;
    let with_room = service(&clinic, &practice, roomed()).await;
    let elsewhere = clinic.practice_with(roomed()).await;
    let (day, start) = (date(3), at(&date(3), "09:00"));
    let waiter = Waiter::join(&clinic, &wish(&with_room, &day, &day)).await;
    let user = Booked::at(&clinic, &elsewhere, &start).await;
    Booked::at(&clinic, &practice, &start).await.cancel().await;
    assert_eq!(waiter.standing().await, ("waiting".to_owned(), None), "the room is in use");
    user.cancel().await;
    Booked::at(&clinic, &practice, &start).await.cancel().await;
    assert_eq!(waiter.standing().await, ("offered".to_owned(), Some(start.clone())));
    let refused = ask(&user.connection, "appointment.book", &elsewhere.booking(&start)).await.unwrap_err();
    let cita_cli::ClientError::Problem(problem) = &refused else { panic!("{refused}") };
    assert_eq!(problem.rule.as_deref(), Some("resource"));
    waiter.answer("accept").await.unwrap();
}
