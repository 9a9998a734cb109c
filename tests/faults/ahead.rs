//! The hub and its calendars alone, fed by hand: a calendar that was just read may be ahead of the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cita::clock::Clock;
use cita::domain::appointment::{Appointment, Booking};
use cita::domain::availability::parse_zone;
use cita::domain::change::{Change, Commit, FeedEvent, Position};
use cita::domain::doctor::{Approval, Availability, Doctor, LocalRange, Profile, Rating, Service, Terms};
use cita::domain::entry::Entry;
use cita::domain::history::Actor;
use cita::domain::ids::{AppointmentId, DoctorId, ServiceId, SessionId, UserId};
use cita::domain::tick::Tick;
use cita::live::cursor::Cursor;
use cita::live::frame::Frame;
use cita::live::hub::{Hub, Subscriber, SubscriberId};
use cita::live::outbox::Outbox;
use cita::live::subscriptions::Subscriptions;
use cita::session::encode;
use cita::views::calendar::Calendar;
use cita::views::calendars::{Calendars, Loader};
use cita::views::committed::Committed;
use cita::views::revocations::Revocations;
use futures::FutureExt as _;
use jiff::Timestamp;
use jiff::civil::{Date, date, time};
use uuid::Uuid;

const DAY: Date = date(2026, 12, 1);
const NINE: &str = "2026-12-01T14:00:00Z";
const BEGINNING: Position = Position(10);
const BOOKED_AT: Position = Position(20);
const CALENDAR_BYTES: usize = 128 * 1024;

fn service() -> Service {
    Service {
        id: ServiceId(Uuid::from_u128(2)),
        rev: 1,
        name: "Consulta".to_owned(),
        duration_minutes: 30,
        step_minutes: 30,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        price: None,
        min_notice_minutes: 0,
        horizon_days: 90,
        terms: Terms::default(),
        archived: false,
    }
}

fn doctor(id: DoctorId) -> Doctor {
    let hours = vec![LocalRange { from: time(8, 0, 0, 0), to: time(18, 0, 0, 0) }];
    let time_zone = parse_zone("America/Bogota").unwrap();
    Doctor {
        id,
        rev: 1,
        name: "Daniel Duarte".to_owned(),
        approval: Approval::Approved,
        rating: Rating::default(),
        profile: Profile::default(),
        availability: Availability { overrides: vec![(DAY, hours)], ..Availability::closed(time_zone) },
        services: vec![service()],
        time_off: Vec::new(),
        staff: Vec::new(),
        history: Vec::new(),
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// An appointment at 9:00.
fn booked(doctor: &Doctor) -> Appointment {
    let patient = UserId(Uuid::from_u128(3));
    let booking = Booking {
        id: AppointmentId(Uuid::from_u128(4)),
        doctor,
        service: &doctor.services[0],
        patient_id: patient,
        patient_name: "Paula Pérez",
        walk_in: None,
        start: Tick::at(NINE.parse().unwrap()).unwrap(),
        quotas: Vec::new(),
        reason: None,
        pending: false,
        overridden: None,
        by: Actor { user: patient, session: SessionId(Uuid::nil()) },
        now: Timestamp::UNIX_EPOCH,
    };
    booking.into_appointment()
}

/// A node without its surroundings.
struct Alone {
    hub: Hub,
    calendars: Arc<Calendars>,
    doctor: Doctor,
    /// Of the one who watches.
    subscriptions: Arc<Subscriptions>,
    /// Whether the database has the appointment, which makes it [`BOOKED_AT`]; before, it is at [`BEGINNING`].
    in_database: Arc<AtomicBool>,
}

impl Alone {
    /// The stream is at [`BEGINNING`].
    fn new() -> Self {
        let in_database = Arc::new(AtomicBool::new(false));
        let is_booked = in_database.clone();
        let loader: Loader = Box::new(move |id| {
            let (doctor, is_booked) = (doctor(id), is_booked.load(Ordering::SeqCst));
            let at = if is_booked { BOOKED_AT } else { BEGINNING };
            let taken = if is_booked { vec![Entry::Appointment(Arc::new(booked(&doctor)))] } else { Vec::new() };
            std::future::ready(Ok(Some(Calendar::new(at, doctor, taken)))).boxed()
        });
        let calendars = Arc::new(Calendars::new(loader, 1024 * 1024, CALENDAR_BYTES));
        let (committed, revocations) = (Arc::new(Committed::default()), Arc::new(Revocations::default()));
        let hub = Hub::new(calendars.clone(), committed, revocations, encode::frames, Clock, 1);
        hub.appointments(FeedEvent::Lost(BEGINNING));
        Self { hub, calendars, doctor: doctor(UserId(Uuid::from_u128(1))), subscriptions: Arc::default(), in_database }
    }

    fn book(&self) {
        self.in_database.store(true, Ordering::SeqCst);
    }

    /// The stream tells what the database has.
    fn tell(&self) {
        let changes = vec![Change::Entry(Entry::Appointment(Arc::new(booked(&self.doctor))))];
        self.hub.appointments(FeedEvent::Commit(Commit { at: BOOKED_AT, changes, bytes: 1 }));
    }

    /// Reads the calendar unless it is kept.
    async fn read(&self) {
        self.calendars.get(self.doctor.id).await.unwrap().unwrap();
    }

    fn join(&self, outbox: &Arc<Outbox>, after: Option<Cursor>) -> Option<()> {
        let opening = |_| Frame::new("reply", None, None, "{}");
        let subscriber = Subscriber {
            id: SubscriberId(1),
            outbox,
            subscriptions: &self.subscriptions,
            viewer: Arc::new(cita::domain::account::Viewer::Anonymous),
            opening: &opening,
        };
        self.hub.join_slots(self.doctor.id, service().id, &[DAY], after, &subscriber)
    }
}

fn outbox() -> Arc<Outbox> {
    Arc::new(Outbox::new(1024 * 1024))
}

/// What has been queued, or why it has ended.
fn queued(outbox: &Outbox) -> String {
    match outbox.take().now_or_never() {
        Some(Ok(frames)) => frames.iter().map(|frame| String::from_utf8_lossy(&frame.text()).into_owned()).collect(),
        Some(Err(ending)) => format!("{ending:?}"),
        None => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hides_nothing_from_who_comes_back() {
    let (node, outbox) = (Alone::new(), outbox());
    node.book();
    node.read().await;
    let known = node.hub.cursor_at(BEGINNING);
    assert_eq!(node.join(&outbox, Some(known)), None, "what lies between is not known to the stream yet");
    node.tell();
    assert_eq!(node.join(&outbox, Some(known)), Some(()));
    let told = queued(&outbox);
    assert!(told.contains(&format!(r#""removed":["{NINE}"]"#)), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_snapshot_for_who_is_new() {
    let (node, outbox) = (Alone::new(), outbox());
    node.book();
    node.read().await;
    assert_eq!(node.join(&outbox, None), Some(()));
    let told = queued(&outbox);
    assert!(told.contains("snapshot") && !told.contains(&format!(r#""start":"{NINE}""#)), "{told}");
    node.tell();
    assert_eq!(queued(&outbox), "", "they have it already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watched_while_it_was_dropped_and_read_again_is_told_to_come_back() {
    let (node, outbox) = (Alone::new(), outbox());
    node.read().await;
    assert_eq!(node.join(&outbox, None), Some(()));
    assert!(queued(&outbox).contains(NINE));
    // When it is needed again, the database has gone on.
    node.calendars.reset(BEGINNING);
    assert!(node.calendars.kept(node.doctor.id).is_none());
    node.book();
    node.read().await;
    node.tell();
    assert_eq!(queued(&outbox), "Lost", "they were never told of the booking");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_ask_for_stays_within_its_bound_and_what_is_watched_stays() {
    let (node, outbox) = (Alone::new(), outbox());
    node.read().await;
    assert_eq!(node.join(&outbox, None), Some(()));
    assert!(queued(&outbox).contains(NINE));
    let others: Vec<_> = (0..200).map(|other| UserId(Uuid::from_u128(100 + other))).collect();
    for other in others.iter().chain(&others) {
        let calendar = node.calendars.get(*other).await.unwrap().unwrap();
        assert_eq!((calendar.doctor.id, calendar.offered(&service(), DAY).count()), (*other, 20));
        assert!(node.calendars.bytes() <= CALENDAR_BYTES, "{}", node.calendars.bytes());
    }
    let kept = others.iter().filter(|other| node.calendars.kept(**other).is_some()).count();
    assert!((10..100).contains(&kept), "as many as fit: {kept}");
    node.tell();
    let told = queued(&outbox);
    assert!(told.contains(&format!(r#""removed":["{NINE}"]"#)), "{told}");
    // Once nobody watches it any more, it makes room like every other.
    node.hub.leave(SubscriberId(1), &node.subscriptions, |_| true);
    for other in &others {
        node.calendars.get(*other).await.unwrap().unwrap();
    }
    assert!(node.calendars.kept(node.doctor.id).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_those_that_are_watched_pass_the_bound_alone_it_is_not_looked_for_room_each_time() {
    let (node, mut watched) = (Alone::new(), Vec::new());
    let mut doctors = (100..).map(|doctor| UserId(Uuid::from_u128(doctor)));
    while node.calendars.bytes() <= CALENDAR_BYTES {
        let doctor = doctors.next().unwrap();
        watched.push(node.calendars.watch(doctor));
        node.calendars.get(doctor).await.unwrap().unwrap();
    }
    let of_watched = node.calendars.bytes();
    let others: Vec<_> = doctors.by_ref().take(2).collect();
    for other in &others {
        node.calendars.get(*other).await.unwrap().unwrap();
    }
    let are_kept = || others.iter().all(|other| node.calendars.kept(*other).is_some());
    assert!(are_kept(), "it was in vain a moment ago");
    for other in doctors.by_ref().take(100) {
        node.calendars.get(other).await.unwrap().unwrap();
        assert!(node.calendars.bytes() <= of_watched + CALENDAR_BYTES / 4, "{}", node.calendars.bytes());
    }
    assert!(!are_kept());
    // Once they are no longer watched, they make room at once.
    watched.clear();
    node.calendars.get(others[0]).await.unwrap().unwrap();
    assert!(node.calendars.bytes() <= CALENDAR_BYTES, "{}", node.calendars.bytes());
}
