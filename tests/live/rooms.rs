//! Rooms that doctors share: used once at a time, and shown as free exactly when they can be booked.

use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::cast::{admin, room};
use crate::harness::clinic::{Clinic, Practice, at, date, key, text};
use crate::harness::watch::{View, Watcher};

/// Two doctors whose services take one room; those of the second have buffers.
struct House {
    clinic: Clinic,
    practices: [Practice; 2],
}

async fn house() -> House {
    let clinic = Clinic::open_with(&["--heartbeat-ms", "300"]).await;
    let room = room(&clinic, &admin(&clinic).await).await;
    let service = |minutes, buffer| {
        json!({ "name": "Con consultorio", "durationMinutes": minutes, "stepMinutes": 15, "bufferAfterMinutes": buffer,
            "horizonDays": 30, "resourceIds": [room] })
    };
    let practices = [clinic.practice_with(service(30, 0)).await, clinic.practice_with(service(45, 15)).await];
    House { clinic, practices }
}

async fn book(connection: &Connection, practice: &Practice, time: &str) -> Result<Value, ClientError> {
    let booking = practice.booking(&at(&date(2), time));
    connection.request("appointment.book", booking, Some(key())).await.map(|reply| reply.data)
}

fn rule_of(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Problem(problem) if problem.code == ErrorCode::SlotUnavailable => problem.rule.clone(),
        _ => None,
    }
}

async fn shown(clinic: &Clinic, practice: &Practice) -> Vec<String> {
    let search =
        json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": date(2), "to": date(2) });
    let found = clinic.anon().await.request("slot.search", search, None).await.unwrap().data;
    found["slots"].as_array().unwrap().iter().map(|slot| text(slot, "start")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_used_by_one_doctor_at_a_time() {
    let House { clinic, practices } = house().await;
    let [first, second] = &practices;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let (one, two) = (clinic.connect(&one).await, clinic.connect(&two).await);
    let mut watcher = Watcher::start(clinic.anon().await, &second.slots(&date(2)), None).await;
    let start = at(&date(2), "09:00");
    assert!(watcher.view.items.contains_key(&start));
    let booked = book(&one, first, "09:00").await.expect("the room is free");
    watcher.until(|view| !view.items.contains_key(&start)).await;
    assert!(!shown(&clinic, second).await.contains(&start), "not searched either");
    let refused = book(&two, second, "09:00").await.unwrap_err();
    assert_eq!(rule_of(&refused).as_deref(), Some("resource"), "{refused}");
    let explained = json!({ "doctorId": second.doctor.id, "serviceId": second.service, "start": start });
    let explained = two.request("slot.explain", explained, None).await.unwrap().data;
    assert!(explained.to_string().contains("\"resource\""), "{explained}");

    let elsewhere = at(&date(2), "14:00");
    let moved = json!({ "id": booked["id"], "start": elsewhere });
    one.request("appointment.reschedule", moved, Some(key())).await.expect("the room is free then");
    watcher.until(|view| view.items.contains_key(&start) && !view.items.contains_key(&elsewhere)).await;
    one.request("appointment.cancel", json!({ "id": booked["id"] }), Some(key())).await.expect("it is open");
    watcher.until(|view| view.items.contains_key(&elsewhere)).await;
    book(&two, second, "14:00").await.expect("a slot that is shown is a slot that books");
}

/// Who holds a time holds the room: it really books, and others see and are told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_keeps_the_room() {
    let House { clinic, practices } = house().await;
    let [first, second] = &practices;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let (one, two) = (clinic.connect(&one).await, clinic.connect(&two).await);
    let mut watcher = Watcher::start(clinic.anon().await, &second.slots(&date(2)), None).await;
    let start = at(&date(2), "09:00");
    let free = watcher.view.items.clone();
    let is_held = |view: &View| view.items.get(&start).is_some_and(|slot| slot["status"] == "held");
    let hold = one.request("slot.hold", first.booking(&start), Some(key())).await.unwrap().data;
    let seen = watcher.until(is_held).await;
    assert_eq!(seen.items[&start]["heldUntil"], hold["expiresAt"]);
    assert!(!shown(&clinic, second).await.contains(&start), "not searched");
    assert_eq!(rule_of(&book(&two, second, "09:00").await.unwrap_err()).as_deref(), Some("resource"));
    let refused = two.request("slot.hold", second.booking(&start), Some(key())).await.unwrap_err();
    assert_eq!(rule_of(&refused).as_deref(), Some("resource"), "{refused}");
    let explained = two.request("slot.explain", second.booking(&start), None).await.unwrap().data;
    assert_eq!((&explained["code"], &explained["rule"]), (&json!("slot_unavailable"), &json!("resource")));

    one.request("hold.release", json!({ "id": hold["id"] }), Some(key())).await.expect("it is live");
    watcher.until(|view| view.items == free).await;
    let hold = two.request("slot.hold", second.booking(&start), Some(key())).await.expect("the room is free").data;
    assert_eq!(rule_of(&book(&one, first, "09:00").await.unwrap_err()).as_deref(), Some("resource"));
    let booked = book(&two, second, "09:00").await.expect("what is held can be booked");
    assert_eq!((&booked["id"], &booked["resourceIds"]), (&hold["id"], &hold["resourceIds"]));
    assert_eq!(
        rule_of(&book(&one, first, "09:30").await.unwrap_err()).as_deref(),
        Some("resource"),
        "it kept the room"
    );
}

/// A series is told of the room like of everything else that is against it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_needs_the_room_each_time() {
    let House { clinic, practices } = house().await;
    let [first, second] = &practices;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let (one, two) = (clinic.connect(&one).await, clinic.connect(&two).await);
    let taken = second.booking(&at(&date(9), "09:00"));
    two.request("appointment.book", taken, Some(key())).await.expect("the room is free");
    let mut series = first.booking(&at(&date(2), "09:00"));
    series["rrule"] = json!("FREQ=WEEKLY;COUNT=3");
    let preview = one.request("series.preview", series.clone(), None).await.unwrap().data;
    let verdicts: Vec<_> = preview["occurrences"].as_array().unwrap().iter().map(|one| text(one, "status")).collect();
    assert_eq!(verdicts, ["free", "unavailable", "free"]);
    assert_eq!(preview["occurrences"][1]["rule"], "resource");
    let refused = one.request("series.book", series.clone(), Some(key())).await.unwrap_err();
    assert_eq!(rule_of(&refused).as_deref(), Some("resource"), "{refused}");
    let problem = refused.problem().unwrap();
    assert_eq!(json!(problem.occurrences), json!([preview["occurrences"][1]]), "as the preview has them");
    series["only"] = json!([preview["occurrences"][0]["start"], preview["occurrences"][2]["start"]]);
    let booked = one.request("series.book", series, Some(key())).await.expect("the rest is free").data;
    let forward = json!({ "id": booked["id"], "start": at(&date(2), "09:30") });
    one.request("series.reschedule", forward, Some(key())).await.expect("its own rooms are in no way");
    let blocked = at(&date(2), "14:00");
    let taken = second.booking(&at(&date(16), "14:00"));
    two.request("appointment.book", taken, Some(key())).await.expect("the room is free");
    let onto = json!({ "id": booked["id"], "start": blocked });
    let refused = one.request("series.reschedule", onto, Some(key())).await.unwrap_err();
    assert_eq!(rule_of(&refused).as_deref(), Some("resource"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buffers_take_the_doctor_and_not_the_room() {
    let House { clinic, practices } = house().await;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    book(&clinic.connect(&one).await, &practices[1], "09:00").await.expect("45 minutes and a buffer of 15");
    let refused = book(&clinic.connect(&two).await, &practices[0], "09:30").await.unwrap_err();
    assert_eq!(rule_of(&refused).as_deref(), Some("resource"));
    book(&clinic.connect(&two).await, &practices[0], "09:45").await.expect("the room is free again");
}

/// Twenty patients, two doctors, one room: never two at once; what remains shown is what books, and who watched has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racers_never_share_a_room_and_every_view_is_the_truth() {
    let House { clinic, practices } = house().await;
    let mut watchers = Vec::new();
    for practice in &practices {
        watchers.push(Watcher::start(clinic.anon().await, &practice.slots(&date(2)), None).await);
    }
    let before: Vec<View> = watchers.iter().map(|watcher| watcher.view.clone()).collect();
    let mut connections = Vec::new();
    for _ in 0..20 {
        let patient = clinic.patient().await;
        connections.push(clinic.connect(&patient).await);
    }
    let races = join_all(connections.iter().enumerate().map(|(number, connection)| {
        let practices = &practices;
        async move {
            let mut kept = Vec::new();
            for round in 0..8 {
                let step = (number * 7 + round * 5) % 16;
                let time = format!("{:02}:{:02}", 8 + step / 4, step % 4 * 15);
                match book(connection, &practices[(number + round) % 2], &time).await {
                    Ok(booked) => kept.push(booked),
                    Err(error) => assert!(
                        matches!(
                            error.code(),
                            Some(ErrorCode::SlotTaken | ErrorCode::SlotUnavailable | ErrorCode::PatientBusy)
                        ),
                        "{error}"
                    ),
                }
                if round % 3 == 2
                    && let Some(last) = kept.pop()
                {
                    let cancel = json!({ "id": last["id"] });
                    connection.request("appointment.cancel", cancel, Some(key())).await.expect("it is open");
                }
            }
            kept
        }
    }));
    let mut kept: Vec<(String, String)> =
        races.await.concat().iter().map(|item| (text(item, "start"), text(item, "end"))).collect();
    kept.sort();
    assert!(!kept.is_empty());
    for pair in kept.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap in the room");
    }
    for ((practice, mut watcher), before) in practices.iter().zip(watchers).zip(before) {
        // Somebody who was away all the time is told the net of it.
        let mut back = Watcher::start(clinic.anon().await, &watcher.topic, Some(&before.cursor)).await;
        assert!(back.resumed);
        back.view = before;
        let doctor = clinic.connect(&practice.doctor).await;
        let last = json!({ "id": practice.doctor.id, "bio": "fin" });
        let end = doctor.request("doctor.update", last, Some(key())).await.unwrap().cursor.unwrap().0;
        watcher.until_cursor(&end).await;
        let fresh = Watcher::start(clinic.anon().await, &watcher.topic, None).await;
        assert_eq!(watcher.view.items, fresh.view.items, "{}", watcher.topic);
        back.until_cursor(&end).await;
        assert_eq!(back.view.items, fresh.view.items, "{} resumed", watcher.topic);
        assert_eq!(watcher.view.items.keys().cloned().collect::<Vec<_>>(), shown(&clinic, practice).await);
    }
    what_is_shown_is_what_books(&clinic, &practices).await;
}

/// Each start of the morning, with a patient of its own, of either doctor in turn.
async fn what_is_shown_is_what_books(clinic: &Clinic, practices: &[Practice; 2]) {
    for step in 0..16 {
        let practice = &practices[step % 2];
        let time = format!("{:02}:{:02}", 8 + step / 4, step % 4 * 15);
        let is_shown = shown(clinic, practice).await.contains(&at(&date(2), &time));
        let patient = clinic.patient().await;
        let booked = book(&clinic.connect(&patient).await, practice, &time).await;
        assert_eq!(booked.is_ok(), is_shown, "{time}: {booked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_takes_only_what_there_is() {
    let clinic = Clinic::open().await;
    let boss = admin(&clinic).await;
    let practice = clinic.practice().await;
    let (boss_at, doctor) = (clinic.connect(&boss).await, clinic.connect(&practice.doctor).await);
    let room = room(&clinic, &boss).await;
    let update = async |ids: Value| {
        let data = json!({ "doctorId": practice.doctor.id, "id": practice.service, "resourceIds": ids });
        doctor.request("service.update", data, Some(key())).await
    };
    let done = update(json!([room])).await.expect("there is such a room");
    assert_eq!(done.data["resourceIds"], json!([room]));
    let of_room =
        json!({ "doctorId": practice.doctor.id, "name": "Eco", "durationMinutes": 30, "resourceIds": [room] });
    let eco = key();
    let made = doctor.request("service.create", &of_room, Some(eco.clone())).await.expect("it is made").data;
    let unknown = uuid::Uuid::new_v4().to_string();
    let refused = update(json!([room, unknown])).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Problem(problem) if problem.errors[0].pointer == "/resourceIds/1"));
    let renamed = json!({ "id": room, "rev": 1, "name": "Consultorio 9" });
    let done = boss_at.request("admin.updateResource", renamed.clone(), Some(key())).await.unwrap().data;
    assert_eq!((&done["rev"], &done["name"]), (&json!(2), &json!("Consultorio 9")));
    let stale = boss_at.request("admin.updateResource", renamed, Some(key())).await.unwrap_err();
    assert_eq!(stale.code(), Some(ErrorCode::StaleRev));
    let twice = key();
    let archive = async || {
        let answer = boss_at.request("admin.archiveResource", json!({ "id": room }), Some(twice.clone())).await;
        answer.expect("it is archived, once").data
    };
    let first = archive().await;
    assert_eq!((first.clone(), &first["archived"], &first["rev"]), (archive().await, &json!(true), &json!(3)));
    assert_eq!(update(json!([room])).await.unwrap_err().code(), Some(ErrorCode::ValidationFailed));
    // What was done before is answered again, whatever has become of the room.
    let again = doctor.request("service.create", &of_room, Some(eco)).await.expect("it was made").data;
    assert_eq!(again, made);
    let listed = doctor.request("resource.list", json!({}), None).await.unwrap().data;
    assert_eq!(listed["items"], json!([first]));
    let mut made = vec![text(&first, "id")];
    for name in ["Z", "A"] {
        let data = json!({ "name": name, "kind": "device" });
        made.push(text(&boss_at.request("admin.createResource", data, Some(key())).await.unwrap().data, "id"));
    }
    let (mut seen, mut page) = (Vec::new(), json!({ "pageSize": 1 }));
    loop {
        let listed = doctor.request("resource.list", page.clone(), None).await.unwrap().data;
        seen.extend(listed["items"].as_array().unwrap().iter().map(|item| text(item, "id")));
        let Some(next) = listed.get("nextPageToken") else { break };
        page["pageToken"] = next.clone();
    }
    assert_eq!(seen, made, "in the order in which they were made");
}

/// A doctor whose services begin to use a room sees who has it already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_added_to_a_service_brings_its_bookings_along() {
    let House { clinic, practices } = house().await;
    let newcomer = clinic.practice().await;
    let start = at(&date(2), "09:00");
    assert!(shown(&clinic, &newcomer).await.contains(&start));
    let patient = clinic.patient().await;
    book(&clinic.connect(&patient).await, &practices[0], "09:00").await.expect("the room is free");
    assert!(shown(&clinic, &newcomer).await.contains(&start), "another room");
    let doctor = clinic.connect(&practices[0].doctor).await;
    let services = json!({ "doctorId": practices[0].doctor.id });
    let services = doctor.request("service.list", services, None).await.unwrap().data;
    let change = json!({ "doctorId": newcomer.doctor.id, "id": newcomer.service,
        "resourceIds": services["items"][0]["resourceIds"] });
    clinic.connect(&newcomer.doctor).await.request("service.update", change, Some(key())).await.unwrap();
    assert!(!shown(&clinic, &newcomer).await.contains(&start), "somebody is in it");
}
