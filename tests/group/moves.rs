//! Seats that move, time off around sessions, and what is refused.

use cita_protocol::ErrorCode;
use serde_json::{Value, json};

use super::{Scene, code, day, nine};
use crate::harness::cast::{admin, room};
use crate::harness::clinic::{at, date, key, text};
use crate::harness::watch::Watcher;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_patient_moves_to_another_session() {
    let scene = Scene::set(2).await;
    let (one, two, three) = (scene.clinic.patient().await, scene.clinic.patient().await, scene.clinic.patient().await);
    let (eleven, two_o_clock) = (at(&day(), "11:00"), at(&day(), "14:00"));
    let (first, second) = (scene.booked(&one, &nine()).await, scene.booked(&two, &nine()).await);
    let third = scene.booked(&three, &eleven).await;
    let mut workshop = Watcher::start(scene.clinic.anon().await, &scene.workshop.slots(&day()), None).await;
    let mut mine = Watcher::start(scene.clinic.connect(&one).await, "me/appointments", None).await;
    let (connection, own) = (scene.clinic.connect(&one).await, key());
    let data = json!({ "id": first, "start": eleven, "rev": 1 });
    let moved = connection.request("appointment.reschedule", &data, Some(own.clone())).await.unwrap().data;
    assert_eq!((&moved["id"], &moved["rev"], &moved["start"]), (&json!(first), &json!(2), &json!(eleven)));
    assert_eq!(moved["end"], at(&day(), "12:00"));
    assert_eq!(connection.request("appointment.reschedule", &data, Some(own)).await.unwrap().data, moved);
    workshop.until(|view| view.items.contains_key(&nine()) && !view.items.contains_key(&eleven)).await;
    mine.until(|view| view.items[&first] == moved).await;

    // The other one finds no seat there, and keeps theirs.
    let refused = scene.ask(&two, "appointment.reschedule", json!({ "id": second, "start": eleven })).await;
    assert_eq!(code(&refused), Some(ErrorCode::SlotTaken));
    assert_eq!(scene.left(&nine()).await, Some(1));
    // The last one to leave takes the session along: the time is free, and a session begins elsewhere.
    scene.ask(&two, "appointment.reschedule", json!({ "id": second, "start": two_o_clock })).await.unwrap();
    assert!(scene.shown(&scene.alone).await.contains_key(&nine()));
    assert_eq!((scene.left(&nine()).await, scene.left(&two_o_clock).await), (Some(2), Some(1)));
    // To where it is: a change like another, with the seat that it has.
    let same = scene.ask(&three, "appointment.reschedule", json!({ "id": third, "start": eleven })).await.unwrap();
    assert_eq!((&same["rev"], scene.left(&eleven).await), (&json!(2), None));
    // Nobody is in two places by moving, either.
    scene.ask(&two, "appointment.book", scene.alone.booking(&at(&day(), "16:00"))).await.unwrap();
    let busy = scene.ask(&two, "appointment.reschedule", json!({ "id": second, "start": at(&day(), "16:00") })).await;
    assert_eq!(code(&busy), Some(ErrorCode::SlotTaken), "the doctor is not free");
    let history = scene.ask(&one, "appointment.history", json!({ "id": first })).await.unwrap();
    assert_eq!(history["items"][1]["action"], "rescheduled");
}

/// A service that becomes one for groups, or ceases to be: what is moved goes by its present terms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_goes_by_the_terms_of_now() {
    let scene = Scene::set(1).await;
    let (one, two) = (scene.clinic.patient().await, scene.clinic.patient().await);
    let alone = scene.booked(&one, &nine()).await;
    let service = |capacity: u32| json!({ "doctorId": scene.workshop.doctor.id, "id": scene.workshop.service, "capacity": capacity });
    scene.ask(&scene.workshop.doctor, "service.update", service(2)).await.unwrap();
    let eleven = at(&day(), "11:00");
    scene.ask(&one, "appointment.reschedule", json!({ "id": alone, "start": eleven })).await.unwrap();
    assert_eq!((scene.left(&nine()).await, scene.left(&eleven).await), (Some(2), Some(1)));
    let second = scene.booked(&two, &eleven).await;
    scene.ask(&scene.workshop.doctor, "service.update", service(1)).await.unwrap();
    scene.ask(&two, "appointment.reschedule", json!({ "id": second, "start": nine() })).await.unwrap();
    let shown = scene.shown(&scene.workshop).await;
    assert!(!shown.contains_key(&nine()) && !shown.contains_key(&eleven), "one is alone, the other keeps the session");
    scene.ask(&one, "appointment.cancel", json!({ "id": alone })).await.unwrap();
    assert!(scene.shown(&scene.workshop).await.contains_key(&eleven));
}

/// Of a series whose service has become one for groups, some may have seats: they give them up with the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_leaves_its_seats() {
    let scene = Scene::set(1).await;
    let one = scene.clinic.patient().await;
    let (connection, own) = (scene.clinic.connect(&one).await, key());
    let (eleven, noon) = (at(&day(), "11:00"), at(&day(), "12:00"));
    let mut plan = scene.workshop.booking(&nine());
    plan["rrule"] = json!("FREQ=DAILY;COUNT=2");
    let booked = connection.request("series.book", &plan, Some(own.clone())).await.unwrap().data;
    let service = json!({ "doctorId": scene.workshop.doctor.id, "id": scene.workshop.service, "capacity": 2 });
    scene.ask(&scene.workshop.doctor, "service.update", service).await.unwrap();
    let again = connection.request("series.book", &plan, Some(own)).await.unwrap().data;
    assert_eq!(again, booked, "what was done stays done, whatever the service has become");
    let to = |start: &str| json!({ "id": booked["appointments"][0]["id"], "start": start });
    scene.ask(&one, "appointment.reschedule", to(&eleven)).await.unwrap();
    assert_eq!(scene.left(&eleven).await, Some(1));
    scene.ask(&one, "series.reschedule", json!({ "id": booked["id"], "start": noon })).await.unwrap();
    assert_eq!(
        (scene.left(&eleven).await, scene.left(&noon).await),
        (None, None),
        "ten minutes of noon are its buffer's"
    );
    scene.ask(&one, "appointment.reschedule", to(&at(&day(), "15:00"))).await.unwrap();
    assert_eq!((scene.left(&eleven).await, scene.left(&at(&day(), "15:00")).await), (Some(2), Some(1)));
    scene.ask(&one, "series.cancel", json!({ "id": booked["id"] })).await.unwrap();
    assert_eq!(scene.left(&at(&day(), "15:00")).await, Some(2));
    assert!(scene.sessions().await.iter().all(|session| !session.contains_key("claims")), "nobody has a seat");
}

/// Whoever comes to a session that has begun stays as long as it does, whatever the service has become.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_its_length() {
    let scene = Scene::set(3).await;
    let (one, two) = (scene.clinic.patient().await, scene.clinic.patient().await);
    let first = scene.booked(&one, &nine()).await;
    let service = json!({ "doctorId": scene.workshop.doctor.id, "id": scene.workshop.service, "durationMinutes": 30 });
    scene.ask(&scene.workshop.doctor, "service.update", service).await.unwrap();
    let ten = at(&day(), "10:00");
    let moved = scene.ask(&one, "appointment.reschedule", json!({ "id": first, "start": nine() })).await.unwrap();
    assert_eq!(moved["end"], ten);
    // Its second half is somebody's: they are told so, and refused.
    let elsewhere = scene.clinic.practice().await;
    scene.ask(&two, "appointment.book", elsewhere.booking(&at(&day(), "09:30"))).await.unwrap();
    let explain = json!({ "doctorId": scene.workshop.doctor.id, "serviceId": scene.workshop.service, "start": nine() });
    let explained = scene.ask(&two, "slot.explain", explain).await.unwrap();
    assert_eq!(explained["code"], "patient_busy");
    assert_eq!(code(&scene.book(&two, &nine()).await), Some(ErrorCode::PatientBusy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_off_takes_what_the_last_one_gives_up() {
    let scene = Scene::set(2).await;
    let doctor = &scene.workshop.doctor;
    let (one, two) = (scene.clinic.patient().await, scene.clinic.patient().await);
    let (first, second) = (scene.booked(&one, &nine()).await, scene.booked(&two, &nine()).await);
    let off = json!({ "doctorId": doctor.id, "from": { "date": day() }, "to": { "date": day() } });
    let made = scene.ask(doctor, "timeOff.create", off).await.unwrap();
    let outside = made["outside"].as_array().unwrap();
    let mut tasks: Vec<String> = outside.iter().map(|task| text(&task["appointment"], "id")).collect();
    tasks.sort();
    let mut both = [first.clone(), second.clone()];
    both.sort();
    assert_eq!(tasks, both, "each is somebody to find another time for");
    assert!(outside.iter().all(|task| task["alternatives"].as_array().is_some_and(|free| !free.is_empty())));
    let third = scene.clinic.patient().await;
    let refused = scene.book(&third, &nine()).await.unwrap_err();
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("time_off")));

    scene.ask(&one, "appointment.cancel", json!({ "id": first })).await.unwrap();
    let to = at(&date(4), "09:00");
    scene.ask(doctor, "appointment.reschedule", json!({ "id": second, "start": to })).await.unwrap();
    let left = scene.ask(doctor, "appointment.listOutside", json!({ "doctorId": doctor.id })).await.unwrap();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(0), "{left}");
    // What they gave up is the time off's: nothing is free in it.
    let sessions = scene.sessions().await;
    assert_eq!(sessions.iter().filter(|session| session.contains_key("claims")).count(), 1);
    let explain = json!({ "doctorId": doctor.id, "serviceId": scene.alone.service, "start": nine() });
    assert_eq!(scene.ask(&one, "slot.explain", explain).await.unwrap()["rule"], "time_off");
    scene.ask(doctor, "timeOff.delete", json!({ "doctorId": doctor.id, "id": made["id"] })).await.unwrap();
    assert_eq!(scene.left(&nine()).await, Some(2));
    scene.booked(&third, &nine()).await;
}

/// Who is alone in a session takes its place within the limit of the day along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_is_no_second_one() {
    let scene = Scene::set_with(json!({ "capacity": 3, "dailyLimit": 1 }), &[]).await;
    let (one, two) = (scene.clinic.patient().await, scene.clinic.patient().await);
    let first = scene.booked(&one, &nine()).await;
    let eleven = at(&day(), "11:00");
    scene.ask(&one, "appointment.reschedule", json!({ "id": first, "start": eleven })).await.unwrap();
    let second = scene.booked(&two, &eleven).await;
    let refused =
        scene.ask(&two, "appointment.reschedule", json!({ "id": second, "start": nine() })).await.unwrap_err();
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("daily_limit")));
    assert_eq!(scene.shown(&scene.workshop).await.into_iter().collect::<Vec<_>>(), [(eleven.clone(), json!(1))]);
    // The same, when the service is one for groups no more.
    scene.ask(&two, "appointment.cancel", json!({ "id": second })).await.unwrap();
    let service = json!({ "doctorId": scene.workshop.doctor.id, "id": scene.workshop.service, "capacity": 1 });
    scene.ask(&scene.workshop.doctor, "service.update", service).await.unwrap();
    scene.ask(&one, "appointment.reschedule", json!({ "id": first, "start": nine() })).await.unwrap();
    let refused = scene.book(&two, &eleven).await.unwrap_err();
    assert_eq!(refused.rule.as_deref(), Some("daily_limit"), "it is still the one of the day");
}

/// What is against a move is told in the order of a booking's reasons: the doctor's time, then the patient's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_time_comes_before_a_busy_patient() {
    let scene = Scene::set(1).await;
    let one = scene.clinic.patient().await;
    let alone = scene.booked(&one, &nine()).await;
    let eleven = at(&day(), "11:00");
    scene.ask(&one, "appointment.book", scene.alone.booking(&eleven)).await.unwrap();
    let service = json!({ "doctorId": scene.workshop.doctor.id, "id": scene.workshop.service, "capacity": 2 });
    scene.ask(&scene.workshop.doctor, "service.update", service).await.unwrap();
    let refused = scene.ask(&one, "appointment.reschedule", json!({ "id": alone, "start": eleven })).await;
    assert_eq!(code(&refused), Some(ErrorCode::SlotTaken));
    // Where there is a seat, it is the patient who is busy: with their other one.
    let one_o_clock = at(&day(), "13:00");
    scene.booked(&one, &one_o_clock).await;
    let refused = scene.ask(&one, "appointment.reschedule", json!({ "id": alone, "start": one_o_clock })).await;
    assert_eq!(code(&refused), Some(ErrorCode::PatientBusy));
}

/// The session has the room, once for all who come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_takes_its_room_from_the_first_to_the_last() {
    let scene = Scene::set(2).await;
    let doctor = &scene.workshop.doctor;
    let room = room(&scene.clinic, &admin(&scene.clinic).await).await;
    let given = json!({ "doctorId": doctor.id, "id": scene.workshop.service, "resourceIds": [room] });
    scene.ask(doctor, "service.update", given).await.unwrap();
    let other =
        scene.clinic.practice_with(json!({ "name": "Consulta", "durationMinutes": 60, "resourceIds": [room] })).await;
    let mut elsewhere = Watcher::start(scene.clinic.anon().await, &other.slots(&day()), None).await;
    assert!(elsewhere.view.items.contains_key(&nine()));
    let (one, two, three) = (scene.clinic.patient().await, scene.clinic.patient().await, scene.clinic.patient().await);
    let first = scene.booked(&one, &nine()).await;
    elsewhere.until(|view| !view.items.contains_key(&nine())).await;
    assert!(elsewhere.view.items.contains_key(&at(&day(), "10:00")), "its buffer is the doctor's alone");
    let second = scene.booked(&two, &nine()).await;
    let refused = scene.ask(&three, "appointment.book", other.booking(&nine())).await.unwrap_err();
    assert_eq!((refused.code, refused.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("resource")));
    scene.ask(&one, "appointment.cancel", json!({ "id": first })).await.unwrap();
    let eleven = at(&day(), "11:00");
    scene.ask(&two, "appointment.reschedule", json!({ "id": second, "start": eleven })).await.unwrap();
    elsewhere.until(|view| view.items.contains_key(&nine()) && !view.items.contains_key(&eleven)).await;
    scene.ask(&three, "appointment.book", other.booking(&nine())).await.unwrap();
    assert!(!scene.shown(&scene.workshop).await.contains_key(&nine()), "the room is in use");
    let refused = scene.book(&one, &nine()).await.unwrap_err();
    assert_eq!(refused.rule.as_deref(), Some("resource"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sessions_do_not_do_is_refused() {
    let scene = Scene::set(2).await;
    let doctor = &scene.workshop.doctor;
    let one = scene.clinic.patient().await;
    let id = scene.booked(&one, &nine()).await;
    let mut series = scene.workshop.booking(&at(&day(), "11:00"));
    series["rrule"] = json!("FREQ=WEEKLY;COUNT=2");
    let pointer = |outcome: Result<Value, cita_protocol::Problem>| {
        let problem = outcome.unwrap_err();
        assert_eq!(problem.code, ErrorCode::ValidationFailed);
        problem.errors[0].pointer.clone()
    };
    for operation in ["series.preview", "series.book"] {
        assert_eq!(pointer(scene.ask(&one, operation, series.clone()).await), "/serviceId", "{operation}");
    }
    let zone = |keep: &str| json!({ "id": doctor.id, "timeZone": "Europe/Madrid", "appointments": keep });
    assert_eq!(pointer(scene.ask(doctor, "doctor.update", zone("keepLocalTimes")).await), "/appointments");
    scene.ask(doctor, "doctor.update", zone("keepInstants")).await.unwrap();
    let kept = scene.ask(&one, "appointment.get", json!({ "id": id })).await.unwrap();
    assert_eq!(kept["start"], nine());
}
