//! Holds, through the doors: one wins, everybody sees it, it ends in three ways and no other, and booking never gives up the time.

use std::collections::HashMap;

use cita::clock::Clock;
use cita::domain::appointment::{Action, Booking, Held, HoldPlace, Status};
use cita::domain::history::Actor;
use cita::domain::ids::{AppointmentId, SessionId, UserId};
use cita::domain::tick::Tick;
use cita::error::ClusterName;
use cita::store::appointments::{AppointmentStore, Confirmed, Holding, Stored};
use cita::store::cluster::Cluster;
use cita::store::doctors::DoctorStore;
use cita::store::idempotency::Request;
use cita::store::together::{Changes, Together};
use cita_cli::{ClientError, Connection};
use cita_protocol::ErrorCode;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::doc;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::cast::{admin, receptionist, room};
use crate::harness::clinic::{Clinic, Person, Practice, at, connect, date, key, text};
use crate::harness::watch::Watcher;

async fn ask(connection: &Connection, operation: &str, data: &Value) -> Result<Value, ClientError> {
    connection.request(operation, data.clone(), Some(key())).await.map(|reply| reply.data)
}

fn code(outcome: &Result<Value, ClientError>) -> Option<ErrorCode> {
    outcome.as_ref().err().and_then(ClientError::code)
}

/// How a slot stands: `free`, `held`, or nothing for what is taken.
fn standing<'a>(items: &'a std::collections::BTreeMap<String, Value>, start: &str) -> &'a str {
    items.get(start).map_or("", |slot| slot["status"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_who_want_to_hold_one_slot_have_one_winner() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let slot = practice.booking(&at(&date(3), "09:00"));
    let mut connections = Vec::new();
    for number in 0..16 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        let node = if number % 2 == 0 { clinic.url() } else { &other.url };
        connections.push(connect(node, Some(&patient.token)).await);
    }
    let outcomes = join_all(connections.iter().map(|connection| ask(connection, "slot.hold", &slot))).await;
    let mut counted: HashMap<Option<ErrorCode>, usize> = HashMap::new();
    outcomes.iter().for_each(|outcome| *counted.entry(code(outcome)).or_default() += 1);
    assert_eq!(counted, HashMap::from([(None, 1), (Some(ErrorCode::SlotTaken), 15)]));
    let won = outcomes.iter().position(Result::is_ok).unwrap();
    let again = ask(&connections[won], "slot.hold", &slot).await.unwrap();
    assert_eq!(&again, outcomes[won].as_ref().unwrap(), "the same live hold, not a second one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_seen_by_everybody_until_it_is_released_or_has_run_out() {
    let clinic = Clinic::open_with(&["--hold-seconds", "2"]).await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let (day, patient) = (date(2), clinic.patient().await);
    let start = at(&day, "10:00");
    let mine = clinic.connect(&patient).await;
    let mut slots = Watcher::start(other.connect(None).await, &practice.slots(&day), None).await;
    let mut own = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    let mut calendar = Watcher::start(other.connect(Some(&practice.doctor)).await, &practice.calendar(), None).await;
    let free = slots.view.items.clone();

    let hold = ask(&mine, "slot.hold", &practice.booking(&start)).await.unwrap();
    let (id, until) = (text(&hold, "id"), text(&hold, "expiresAt"));
    assert_eq!(hold["status"], "held");
    let seen = slots.until(|view| standing(&view.items, &start) == "held").await;
    assert_eq!(seen.items[&start]["heldUntil"], until);
    assert!(seen.items[&start].get("id").is_none() && seen.items[&start].get("patientId").is_none(), "not of whom");
    own.until(|view| view.items.get(&id).is_some_and(|item| item["expiresAt"] == until)).await;
    calendar.until(|view| view.items.get(&id).is_some_and(|item| item["status"] == "held")).await;
    let late = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    assert_eq!(late.view.items, slots.view.items);

    let search = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": day, "to": day });
    let found = async |connection: &Connection| {
        let reply = connection.request("slot.search", search.clone(), None).await.unwrap().data;
        let slots = reply["slots"].as_array().unwrap().clone();
        slots.iter().find(|slot| slot["start"] == start).map(|slot| text(slot, "status"))
    };
    assert_eq!(found(&mine).await.as_deref(), Some("held"), "who holds it can book it");
    assert_eq!(found(&clinic.anon().await).await, None);
    let explained = async |connection: &Connection| {
        let reply = connection.request("slot.explain", practice.booking(&start), None).await.unwrap().data;
        (reply["bookable"].as_bool().unwrap(), reply["code"].as_str().map(str::to_owned))
    };
    assert_eq!(explained(&mine).await, (true, None));
    assert_eq!(explained(&clinic.anon().await).await, (false, Some("slot_taken".to_owned())));

    let stranger = clinic.connect(&clinic.patient().await).await;
    let taken = ask(&stranger, "appointment.book", &practice.booking(&start)).await.unwrap_err();
    let ClientError::Problem(problem) = &taken else { panic!("{taken}") };
    assert!(problem.alternatives.iter().flatten().all(|slot| slot.start.0 != start), "{problem:?}");
    assert_eq!(code(&ask(&stranger, "hold.release", &json!({ "id": id })).await), Some(ErrorCode::NotFound));
    assert_eq!(code(&ask(&mine, "appointment.cancel", &json!({ "id": id })).await), Some(ErrorCode::IllegalTransition));
    // Phones lose their connection every minute.
    drop(mine);
    let mine = other.connect(Some(&patient)).await;
    let release = key();
    let released =
        mine.request("hold.release", json!({ "id": id, "rev": 1 }), Some(release.clone())).await.unwrap().data;
    assert_eq!((&released["status"], &released["rev"]), (&json!("expired"), &json!(2)));
    slots.until(|view| view.items == free).await;
    own.until(|view| view.items.is_empty()).await;
    calendar.until(|view| view.items.is_empty()).await;
    let again = mine.request("hold.release", json!({ "id": id, "rev": 1 }), Some(release)).await.unwrap().data;
    assert_eq!(again, released);
    assert_eq!(code(&ask(&mine, "hold.release", &json!({ "id": id })).await), Some(ErrorCode::HoldExpired));

    // Nobody does anything now.
    let hold = ask(&clinic.connect(&patient).await, "slot.hold", &practice.booking(&start)).await.unwrap();
    slots.until(|view| standing(&view.items, &start) == "held").await;
    slots.until(|view| view.items == free).await;
    own.until(|view| view.items.is_empty()).await;
    let until: Timestamp = text(&hold, "expiresAt").parse().unwrap();
    let past = Clock.now().duration_since(until);
    assert!(past > SignedDuration::from_millis(-200) && past < SignedDuration::from_secs(10), "{past}");
    let listed = mine.request("appointment.list", json!({}), None).await.unwrap().data;
    assert_eq!(listed["items"], json!([]));
    let ended = mine.request("appointment.list", json!({ "status": "expired" }), None).await.unwrap().data;
    assert_eq!(ended["items"].as_array().unwrap().len(), 2);
    let history = mine.request("appointment.history", json!({ "id": hold["id"] }), None).await.unwrap().data;
    let actions: Vec<_> = history["items"].as_array().unwrap().iter().map(|entry| text(entry, "action")).collect();
    assert_eq!(actions, ["held", "expired"]);
}

/// Others go for the time without a pause while its holder books: there is no moment at which it is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn booking_turns_the_hold_into_the_appointment_and_nobody_gets_in_between() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let holder = clinic.patient().await;
    let (here, there) = (clinic.connect(&holder).await, other.connect(Some(&holder)).await);
    let mut racers = Vec::new();
    for number in 0..6 {
        let patient = clinic.person("patient", &format!("Paciente {number}")).await;
        let node = if number % 2 == 0 { clinic.url() } else { &other.url };
        racers.push(connect(node, Some(&patient.token)).await);
    }
    for round in 0..8 {
        let slot = practice.booking(&at(&date(4), &format!("{:02}:00", 8 + round)));
        let hold = ask(&here, "slot.hold", &slot).await.unwrap();
        let (done, is_done) = tokio::sync::watch::channel(false);
        let race = racers.iter().map(|racer| async {
            let (mut operations, mut tries) = (["appointment.book", "slot.hold"].iter().cycle(), 0);
            while tries < 3 || !*is_done.borrow() {
                let outcome = ask(racer, operations.next().unwrap(), &slot).await;
                assert_eq!(code(&outcome), Some(ErrorCode::SlotTaken), "{outcome:?}");
                tries += 1;
            }
        });
        let book = async {
            let mut booking = slot.clone();
            booking["reason"] = json!("Control");
            if round % 2 == 0 {
                booking["holdId"] = hold["id"].clone();
            }
            // On either node, whether it has seen the hold or not.
            let booked = ask(if round % 4 < 2 { &here } else { &there }, "appointment.book", &booking).await.unwrap();
            done.send(true).unwrap();
            booked
        };
        let (booked, _) = futures::join!(book, join_all(race));
        assert_eq!((&booked["id"], &booked["start"], &booked["rev"]), (&hold["id"], &hold["start"], &json!(2)));
        assert_eq!((&booked["status"], &booked["reason"]), (&json!("booked"), &json!("Control")));
        assert!(booked.get("expiresAt").is_none());
    }
    let calendar = Watcher::start(clinic.connect(&practice.doctor).await, &practice.calendar(), None).await;
    assert_eq!(calendar.view.items.len(), 8, "the holder's, and nothing else");
    assert!(calendar.view.items.values().all(|item| item["patientId"] == holder.id && item["status"] == "booked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_has_three_holds_and_not_one_more() {
    let clinic = Clinic::open().await;
    let other = clinic.node().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let (here, there) = (clinic.connect(&patient).await, other.connect(Some(&patient)).await);
    for _ in 0..2 {
        let attempts = (0..8).map(|number| {
            let slot = practice.booking(&at(&date(2), &format!("{:02}:30", 8 + number)));
            let connection = if number % 2 == 0 { &here } else { &there };
            async move { ask(connection, "slot.hold", &slot).await }
        });
        let outcomes = join_all(attempts).await;
        let holds: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(holds.len(), 3, "{outcomes:?}");
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            let ClientError::Problem(problem) = refused else { panic!("{refused}") };
            assert_eq!((problem.code, problem.rule.as_deref()), (ErrorCode::SlotUnavailable, Some("holds")));
        }
        for hold in holds {
            ask(&here, "hold.release", &json!({ "id": hold["id"] })).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_named_must_be_ones_own_of_that_time_and_live() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (one, two) = (clinic.connect(&clinic.patient().await).await, clinic.connect(&clinic.patient().await).await);
    let over = |start: &str, hold: &Value| {
        let mut booking = practice.booking(start);
        booking["holdId"] = hold.clone();
        booking
    };
    let (start, later) = (at(&date(2), "09:00"), at(&date(2), "09:30"));
    let hold = ask(&one, "slot.hold", &practice.booking(&start)).await.unwrap();
    let booked = ask(&one, "appointment.book", &practice.booking(&at(&date(2), "15:00"))).await.unwrap();
    for (connection, booking, expected) in [
        (&two, over(&start, &hold["id"]), ErrorCode::NotFound),
        (&one, over(&start, &json!(Uuid::new_v4())), ErrorCode::NotFound),
        (&one, over(&start, &booked["id"]), ErrorCode::NotFound),
        (&one, over(&later, &hold["id"]), ErrorCode::ValidationFailed),
    ] {
        assert_eq!(code(&ask(connection, "appointment.book", &booking).await), Some(expected), "{booking}");
    }
    ask(&one, "hold.release", &json!({ "id": hold["id"] })).await.unwrap();
    let refused = ask(&one, "appointment.book", &over(&start, &hold["id"])).await;
    assert_eq!(code(&refused), Some(ErrorCode::HoldExpired), "though the time is free");

    // One that is busy keeps the hold.
    let elsewhere = clinic.practice().await;
    let hold = ask(&one, "slot.hold", &elsewhere.booking(&at(&date(2), "15:00"))).await.unwrap();
    let refused = ask(&one, "appointment.book", &elsewhere.booking(&at(&date(2), "15:00"))).await;
    assert_eq!(code(&refused), Some(ErrorCode::PatientBusy));
    ask(&one, "appointment.cancel", &json!({ "id": booked["id"] })).await.unwrap();
    let now = ask(&one, "appointment.book", &elsewhere.booking(&at(&date(2), "15:00"))).await.unwrap();
    assert_eq!((&now["id"], &now["rev"]), (&hold["id"], &json!(2)));
    assert_eq!(
        code(&ask(&one, "hold.release", &json!({ "id": hold["id"] })).await),
        Some(ErrorCode::IllegalTransition)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_over_a_hold_is_answered_the_same_however_often_it_is_sent() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let mine = clinic.connect(&clinic.patient().await).await;
    for (time, named) in [("09:00", false), ("11:00", true)] {
        let slot = practice.booking(&at(&date(2), time));
        let (to_hold, to_book) = (key(), key());
        let hold = mine.request("slot.hold", slot.clone(), Some(to_hold.clone())).await.unwrap().data;
        let mut booking = slot.clone();
        if named {
            booking["holdId"] = hold["id"].clone();
        }
        let book = async || mine.request("appointment.book", booking.clone(), Some(to_book.clone())).await;
        let replies: Vec<_> = join_all((0..6).map(|_| book())).await.into_iter().map(|it| it.unwrap().data).collect();
        assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
        let held = mine.request("slot.hold", slot.clone(), Some(to_hold.clone())).await.unwrap().data;
        assert_eq!(held, hold, "the original result");
        ask(&mine, "appointment.cancel", &json!({ "id": hold["id"] })).await.unwrap();
        assert_eq!(book().await.unwrap().data, replies[0], "whatever became of it since");
        let mut otherwise = booking.clone();
        otherwise["reason"] = json!("otra cosa");
        let refused = mine.request("appointment.book", otherwise, Some(to_book)).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::IdempotencyKeyReused));
        let elsewhere = practice.booking(&at(&date(3), time));
        let refused = mine.request("slot.hold", elsewhere, Some(to_hold)).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::IdempotencyKeyReused));
    }
    let all = mine.request("appointment.list", json!({}), None).await.unwrap().data;
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "nothing was booked twice");
    let ended = mine.request("appointment.list", json!({ "status": "expired" }), None).await.unwrap().data;
    assert_eq!(ended["items"], json!([]), "and what remembers is not shown");
}

/// The desk holds a time before it knows for whom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desk_holds_and_books_for_a_patient() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let staff = receptionist(&clinic, &admin(&clinic).await, Some(&practice.doctor)).await;
    let desk = clinic.connect(&staff).await;
    let mut own = Watcher::start(clinic.connect(&staff).await, "me/appointments", None).await;
    let mut theirs = Watcher::start(clinic.connect(&patient).await, "me/appointments", None).await;
    let slot = practice.booking(&at(&date(2), "09:00"));
    let id = text(&ask(&desk, "slot.hold", &slot).await.unwrap(), "id");
    own.until(|view| view.items.contains_key(&id)).await;
    let mut booking = slot.clone();
    booking["patientId"] = json!(patient.id);
    let booked = ask(&desk, "appointment.book", &booking).await.unwrap();
    assert_eq!((text(&booked, "id"), text(&booked, "patientName")), (id.clone(), patient.name.clone()));
    own.until(|view| view.items.is_empty()).await;
    theirs.until(|view| view.items.contains_key(&id)).await;

    // A patient may not hold for somebody else, nor the desk of another doctor.
    let mut slot = practice.booking(&at(&date(2), "10:00"));
    slot["patientId"] = json!(staff.id);
    assert_eq!(code(&ask(&clinic.connect(&patient).await, "slot.hold", &slot).await), Some(ErrorCode::Forbidden));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_a_patient_ends_their_holds() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let (day, patient) = (date(2), clinic.patient().await);
    let mine = clinic.connect(&patient).await;
    let mut slots = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let free = slots.view.items.clone();
    ask(&mine, "slot.hold", &practice.booking(&at(&day, "09:00"))).await.unwrap();
    slots.until(|view| view.items != free).await;
    ask(&mine, "me.delete", &json!({})).await.unwrap();
    slots.until(|view| view.items == free).await;
}

/// A hold takes its place within the limits of a service, and the others of the day wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_counts_within_limits() {
    let clinic = Clinic::open().await;
    let service = json!({ "name": "Única", "durationMinutes": 30, "dailyLimit": 1 });
    let practice = clinic.practice_with(service).await;
    let (day, patient) = (date(2), clinic.patient().await);
    let (mine, stranger) = (clinic.connect(&patient).await, clinic.connect(&clinic.patient().await).await);
    let mut slots = Watcher::start(clinic.anon().await, &practice.slots(&day), None).await;
    let free = slots.view.items.clone();
    let (start, later) = (at(&day, "09:00"), at(&day, "15:00"));
    let hold = ask(&mine, "slot.hold", &practice.booking(&start)).await.unwrap();
    slots.until(|view| standing(&view.items, &later) == "held" && standing(&view.items, &start) == "held").await;
    let refused = ask(&stranger, "appointment.book", &practice.booking(&later)).await;
    assert_eq!(code(&refused), Some(ErrorCode::SlotUnavailable));
    ask(&mine, "hold.release", &json!({ "id": hold["id"] })).await.unwrap();
    slots.until(|view| view.items == free).await;
    ask(&mine, "slot.hold", &practice.booking(&start)).await.unwrap();
    ask(&mine, "appointment.book", &practice.booking(&start)).await.unwrap();
    slots.until(|view| view.items.is_empty()).await;
}

/// What is asked every second, and by everybody who comes too late, goes along an index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_for_holds_reads_nothing_else() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let patient = clinic.patient().await;
    let mine = clinic.connect(&patient).await;
    for number in 0..40 {
        let start = at(&date(2 + number / 10), &format!("{:02}:00", 8 + number % 10));
        ask(&mine, "appointment.book", &practice.booking(&start)).await.unwrap();
    }
    ask(&mine, "slot.hold", &practice.booking(&at(&date(9), "09:00"))).await.unwrap();
    let db = Cluster::new(ClusterName::Appointments, &clinic.appointments_uri).await.expect("a good address").db;
    let id = |text: &str| mongodb::bson::Uuid::parse_str(text).unwrap();
    let run_out = doc! { "$lte": ["$expiresAt", "$$NOW"] };
    let place = format!("h:{}:0", patient.id.replace('-', ""));
    let tick = Tick::at(at(&date(9), "09:00").parse().unwrap()).unwrap().0;
    for (index, filter) in [
        ("held_until", doc! { "status": "held", "$expr": &run_out }),
        ("shared_claims", doc! { "shared": { "$in": [&place] }, "$expr": &run_out }),
        (
            "doctor_claims",
            doc! {
                "status": "held",
                "$and": [
                    { "$or": [{ "doctorId": id(&practice.doctor.id), "claims": { "$in": [tick, tick + 1] } }] },
                    { "$or": [{ "heldBy": id(&patient.id) }, { "$expr": &run_out }] },
                ],
            },
        ),
        (
            "shared_claims",
            doc! {
                "status": "held",
                "$and": [
                    { "$or": [
                        { "doctorId": id(&practice.doctor.id), "claims": { "$in": [tick, tick + 1] } },
                        { "shared": { "$in": [&place] } },
                    ] },
                    { "$or": [{ "heldBy": id(&patient.id) }, { "$expr": &run_out }] },
                ],
            },
        ),
    ] {
        let find = doc! { "find": "appointments", "filter": filter, "sort": { "start": 1, "_id": 1 }, "limit": 8 };
        let explain = doc! { "explain": find, "verbosity": "executionStats" };
        let explained = db.run_command(explain).await.expect("it is explained");
        let plan = explained.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap().to_string();
        let read = explained.get_document("executionStats").unwrap().get_i32("totalDocsExamined").unwrap();
        // Holds are few: a plan that walks them all is as good.
        assert!(plan.contains(index) || plan.contains("held_until"), "{index}: {plan}");
        assert!(read <= 1, "{index}: {read}: {plan}");
    }
}

/// The store of a clinic, and a hold of a person at it that lasts as long as is said.
pub(super) struct Desk {
    pub store: AppointmentStore,
    doctors: DoctorStore,
}

impl Desk {
    pub async fn of(clinic: &Clinic) -> Self {
        let uri = &clinic.appointments_uri;
        let cluster = Cluster::new(ClusterName::Appointments, uri).await.expect("a good address");
        Self { store: AppointmentStore::new(cluster.clone()), doctors: DoctorStore::new(cluster) }
    }

    async fn hold(&self, practice: &Practice, person: &Person, start: &str, length: SignedDuration) -> Stored {
        let request = request(person);
        let booking = self.booking(practice, person, start).await;
        let held = Held { by: request.user, until: Timestamp::MAX, place: HoldPlace::Own(0) };
        let hold = booking.as_booking().into_hold(held);
        match self.store.hold(&hold, length, &request, false).await.unwrap() {
            Holding::Done(stored, _) => *stored,
            other => panic!("{other:?}"),
        }
    }

    pub async fn booking(&self, practice: &Practice, person: &Person, start: &str) -> Owned {
        let doctor = UserId(practice.doctor.id.parse().unwrap());
        let doctor = self.doctors.find(doctor).await.unwrap().unwrap().0.doctor;
        Owned { doctor, patient: person.clone(), start: Tick::at(start.parse().unwrap()).unwrap() }
    }
}

/// What a booking borrows.
pub(super) struct Owned {
    doctor: cita::domain::doctor::Doctor,
    patient: Person,
    start: Tick,
}

impl Owned {
    pub fn as_booking(&self) -> Booking<'_> {
        let user = UserId(self.patient.id.parse().unwrap());
        Booking {
            id: AppointmentId(Uuid::new_v4()),
            doctor: &self.doctor,
            service: &self.doctor.services[0],
            patient_id: user,
            patient_name: &self.patient.name,
            walk_in: None,
            start: self.start,
            quotas: Vec::new(),
            reason: None,
            pending: false,
            overridden: None,
            by: Actor { user, session: SessionId(Uuid::nil()) },
            now: Clock.now(),
        }
    }
}

pub(super) fn request(person: &Person) -> Request {
    Request {
        user: UserId(person.id.parse().unwrap()),
        session: SessionId(Uuid::nil()),
        operation: "slot.hold",
        key: Uuid::new_v4(),
        fingerprint: [0; 32],
        at: Clock.now(),
    }
}

/// What has run out is taken over by whoever comes first, and does not wait for the sweeper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_run_out_is_in_nobodys_way() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let desk = Desk::of(&clinic).await;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let connection = clinic.connect(&two).await;
    let first = ask(&connection, "appointment.book", &practice.booking(&at(&date(3), "17:00"))).await.unwrap();
    for hour in 8..14 {
        let start = at(&date(3), &format!("{hour:02}:00"));
        desk.hold(&practice, &one, &start, SignedDuration::ZERO).await;
        let outcome = match hour % 3 {
            0 => ask(&connection, "appointment.book", &practice.booking(&start)).await,
            1 => ask(&connection, "appointment.reschedule", &json!({ "id": first["id"], "start": start })).await,
            _ => ask(&connection, "slot.hold", &practice.booking(&start)).await,
        };
        assert_eq!(outcome.unwrap()["start"], start);
    }
    // One's own that has run out is booked as if it were not there, and keeps no place.
    let start = at(&date(4), "09:00");
    let mine = clinic.connect(&one).await;
    let old = desk.hold(&practice, &one, &start, SignedDuration::ZERO).await;
    let booked = ask(&mine, "appointment.book", &practice.booking(&start)).await.unwrap();
    assert_ne!(text(&booked, "id"), old.appointment.id.to_string());
}

/// Nor is it in the way of a series, whichever of its occurrences it is at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_run_out_is_in_no_series_way() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let desk = Desk::of(&clinic).await;
    let connection = clinic.connect(&clinic.patient().await).await;
    for (day, time) in [(4, "09:00"), (4, "11:00"), (5, "09:00"), (5, "11:00")] {
        desk.hold(&practice, &clinic.patient().await, &at(&date(day), time), SignedDuration::ZERO).await;
    }
    let mut series = practice.booking(&at(&date(3), "09:00"));
    series["rrule"] = json!("FREQ=DAILY;COUNT=3");
    let booked = ask(&connection, "series.book", &series).await.unwrap();
    assert_eq!(booked["appointments"].as_array().unwrap().len(), 3);
    let moved = json!({ "id": booked["id"], "start": at(&date(3), "11:00") });
    let moved = ask(&connection, "series.reschedule", &moved).await.unwrap();
    assert_eq!(moved["appointments"][2]["start"], at(&date(5), "11:00"));
}

/// Nor is it in the way of another doctor who uses the same room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_run_out_takes_no_room() {
    let clinic = Clinic::open().await;
    let room = room(&clinic, &admin(&clinic).await).await;
    let service = json!({ "name": "Con consultorio", "durationMinutes": 30, "stepMinutes": 30, "resourceIds": [room] });
    let (practice, other) = (clinic.practice_with(service.clone()).await, clinic.practice_with(service).await);
    let desk = Desk::of(&clinic).await;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let connection = clinic.connect(&two).await;
    let first = ask(&connection, "appointment.book", &other.booking(&at(&date(3), "11:30"))).await.unwrap();
    for hour in 8..11 {
        let start = at(&date(3), &format!("{hour:02}:00"));
        desk.hold(&practice, &one, &start, SignedDuration::ZERO).await;
        let outcome = match hour % 3 {
            0 => ask(&connection, "appointment.book", &other.booking(&start)).await,
            1 => ask(&connection, "appointment.reschedule", &json!({ "id": first["id"], "start": start })).await,
            _ => ask(&connection, "slot.hold", &other.booking(&start)).await,
        };
        assert_eq!(outcome.unwrap()["start"], start);
    }
}

/// A node whose clock is wrong decides nothing: neither does it confirm what has run out, nor end what has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_the_database_decides() {
    let clinic = Clinic::open().await;
    let practice = clinic.practice().await;
    let desk = Desk::of(&clinic).await;
    let (one, two) = (clinic.patient().await, clinic.patient().await);
    let (start, later) = (at(&date(3), "09:00"), at(&date(3), "12:00"));

    let live = desk.hold(&practice, &one, &start, SignedDuration::from_mins(5)).await;
    let until = live.appointment.held.unwrap().until;
    let left = until.duration_since(Clock.now());
    assert!(
        left > SignedDuration::from_mins(4) && left < SignedDuration::from_mins(6),
        "not what the node said: {until}"
    );
    let far = Timestamp::MAX;
    let by = Actor { user: live.appointment.patient_id, session: SessionId(Uuid::nil()) };
    let ended = live.appointment.hold_ended(Action::Expired, by, far).unwrap();
    let outcome = desk.store.write_together(Changes::default().run_out(&live, &ended)).await.unwrap();
    assert!(matches!(outcome, Together::Stale), "it is live, whatever a node believes: {outcome:?}");

    // The node's word is in the document: `until` beyond everything. The database has set its own.
    let over = desk.hold(&practice, &two, &later, SignedDuration::ZERO).await;
    let booking = desk.booking(&practice, &two, &later).await;
    let next = booking.as_booking().over(&over.appointment).unwrap();
    assert_eq!(next.status, Status::Booked);
    let trace = AppointmentId(Uuid::new_v4());
    let confirmed = desk.store.confirm(&over, &next, None, trace, &request(&two)).await.unwrap();
    assert!(matches!(confirmed, Confirmed::Stale), "{confirmed:?}");
    assert!(desk.store.find(trace).await.unwrap().is_none(), "nothing of it stays");

    let booking = desk.booking(&practice, &one, &start).await;
    let next = booking.as_booking().over(&live.appointment).unwrap();
    let confirmed = desk.store.confirm(&live, &next, None, trace, &request(&one)).await.unwrap();
    assert!(matches!(confirmed, Confirmed::Done(_)), "{confirmed:?}");
}
