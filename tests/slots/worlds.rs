//! What search shows books, and nothing else does: in random worlds, at every fifth minute of the dates that were searched.

use std::collections::{BTreeMap, BTreeSet};

use cita_cli::Connection;
use cita_protocol::ErrorCode;
use futures::future::join_all;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::clinic::{Clinic, Practice, key, text};
use crate::harness::visits::visit;

/// Worlds of a run, and how many of them at the same time.
const WORLDS: usize = 6;
const MOST_WORLDS: usize = 30;
const AT_ONCE: usize = 3;
/// Dates that are searched in each.
const DATES: i32 = 2;
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Starts this close to where notice or horizon begin are left out: time passes while the test asks.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// The rules of a practice, and what has happened there.
#[derive(Clone, Debug)]
struct World {
    zone: &'static str,
    /// How far ahead the first date is; nothing: a change of the clock, where the zone has one ahead.
    ahead: Option<i32>,
    service: Value,
    /// Hours of each day, in five minutes from midnight.
    week: Vec<Vec<(u32, u32)>>,
    season: Option<Vec<Vec<(u32, u32)>>>,
    /// Hours of the second date.
    exception: Option<Vec<(u32, u32)>>,
    holidays: bool,
    time_off: Option<(u32, u32)>,
    is_known: bool,
    /// Which of the shown times others book and hold, and the viewer holds.
    booked: Vec<Index>,
    held: Vec<Index>,
    own_holds: Vec<Index>,
    /// When the viewer is elsewhere, of the hours of both dates.
    elsewhere: Vec<Index>,
}

fn minutes(from: i32, to: i32) -> impl Strategy<Value = i32> {
    (from / 5..=to / 5).prop_map(|n| n * 5)
}

/// Ranges of one day that do not overlap.
fn ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let bounds = proptest::collection::btree_set(0_u32..288, 0..=6);
    bounds.prop_map(|bounds| {
        let bounds: Vec<u32> = bounds.into_iter().collect();
        bounds.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    })
}

fn service() -> impl Strategy<Value = Value> {
    let limit = || prop_oneof![2 => Just(None), 1 => (1_u32..6).prop_map(Some)];
    let buffers = (select(vec![0, 0, 5, 15]), select(vec![0, 10, 25]));
    let notice = select(vec![0, 0, 90, 1_500]);
    let patients = select(vec!["any", "any", "new", "known"]);
    let times = (minutes(5, 90), minutes(5, 60));
    (times, buffers, notice, select(vec![2, 40, 366]), (limit(), limit()), patients).prop_map(
        |((duration, step), (before, after), notice, horizon, (daily, weekly), patients)| {
            let mut service = json!({
                "name": "Consulta", "durationMinutes": duration, "stepMinutes": step, "bufferBeforeMinutes": before,
                "bufferAfterMinutes": after, "minNoticeMinutes": notice, "horizonDays": horizon, "patients": patients
            });
            for (name, limit) in [("dailyLimit", daily), ("weeklyLimit", weekly)] {
                if let Some(limit) = limit {
                    service[name] = json!(limit);
                }
            }
            service
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let zones = vec![
        "America/Bogota",
        "Europe/Madrid",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Pacific/Chatham",
        "Asia/Kathmandu",
    ];
    let ahead = prop_oneof![Just(None), Just(Some(0)), (1..45).prop_map(Some)];
    let week = || proptest::collection::vec(ranges(), 7);
    let few = |most| proptest::collection::vec(any::<Index>(), 0..=most);
    let hours = (week(), proptest::option::weighted(0.3, week()), proptest::option::weighted(0.3, ranges()));
    let off = proptest::option::weighted(0.5, (0_u32..280, 1_u32..60));
    ((select(zones), ahead, service()), hours, (any::<bool>(), off, any::<bool>()), (few(4), few(2), few(2), few(4)))
        .prop_map(|((zone, ahead, service), (week, season, exception), (holidays, time_off, is_known), others)| {
            let (booked, held, own_holds, elsewhere) = others;
            let time_off = time_off.map(|(from, length)| (from, (from + length).min(287)));
            World {
                zone,
                ahead,
                service,
                week,
                season,
                exception,
                holidays,
                time_off,
                is_known,
                booked,
                held,
                own_holds,
                elsewhere,
            }
        })
}

fn clock(five_minutes: u32) -> String {
    format!("{:02}:{:02}", five_minutes / 12, five_minutes % 12 * 5)
}

fn weekly(week: &[Vec<(u32, u32)>]) -> Value {
    let of = |(day, ranges): (&str, &Vec<(u32, u32)>)| -> Vec<Value> {
        let range = |(from, to): &(u32, u32)| json!({ "weekday": day, "from": clock(*from), "to": clock(*to) });
        ranges.iter().map(range).collect()
    };
    DAYS.into_iter().zip(week).flat_map(of).collect()
}

impl World {
    fn first_date(&self) -> Date {
        let (zone, now) = (TimeZone::get(self.zone).unwrap(), cita::clock::Clock.now());
        let today = zone.to_datetime(now).date();
        let change = zone.following(now).next().map(|change| zone.to_datetime(change.timestamp()).date());
        let change = change.filter(|date| *date < today.saturating_add(300.days()));
        match (self.ahead, change) {
            (Some(days), _) => today.saturating_add(days.days()),
            (None, Some(date)) => date,
            (None, None) => today.saturating_add(3.days()),
        }
    }

    /// Sets the rules up.
    async fn open(&self, clinic: &Clinic) -> Practice {
        let mut service = self.service.clone();
        let practice = clinic.practice().await;
        let doctor = clinic.connect(&practice.doctor).await;
        service["doctorId"] = json!(practice.doctor.id);
        let service = doctor.request("service.create", service, Some(key())).await.unwrap().data;
        Practice { doctor: practice.doctor, service: text(&service, "id") }
    }

    async fn set_hours(&self, doctor: &Connection, practice: &Practice) {
        let (first, second) = (self.first_date(), self.first_date().tomorrow().unwrap());
        let mut hours = json!({
            "doctorId": practice.doctor.id, "timeZone": self.zone, "weekly": weekly(&self.week), "overrides": [],
            "appointments": "keepInstants"
        });
        if let Some(season) = &self.season {
            hours["seasons"] =
                json!([{ "from": second.to_string(), "to": second.to_string(), "weekly": weekly(season) }]);
        }
        if let Some(ranges) = &self.exception {
            let ranges: Vec<Value> =
                ranges.iter().map(|(from, to)| json!({ "from": clock(*from), "to": clock(*to) })).collect();
            hours["overrides"] = json!([{ "date": first.to_string(), "ranges": ranges }]);
        }
        if self.holidays {
            hours["holidayCalendars"] = json!(["CO", "ES", "US", "CL"]);
        }
        doctor.request("availability.set", hours, Some(key())).await.unwrap();
    }

    async fn take_time_off(&self, doctor: &Connection, practice: &Practice) {
        let Some((from, to)) = self.time_off else { return };
        let date = self.first_date().tomorrow().unwrap();
        let bound = |at| json!({ "date": date.to_string(), "time": clock(at) });
        let off = json!({ "doctorId": practice.doctor.id, "from": bound(from), "to": bound(to) });
        doctor.request("timeOff.create", off, Some(key())).await.unwrap();
    }

    /// From when until when each of its starts can be asked for without the answer depending on the moment.
    fn is_settled(&self, start: Timestamp, now: Timestamp) -> bool {
        let minutes = |name: &str| SignedDuration::from_mins(self.service[name].as_i64().unwrap());
        let days = SignedDuration::from_hours(24 * self.service["horizonDays"].as_i64().unwrap());
        let bounds = [now, now + minutes("minNoticeMinutes"), now + days];
        bounds.iter().all(|bound| start.duration_since(*bound).abs() > MARGIN)
    }
}

/// Every fifth minute of some dates of a zone.
fn instants(zone: &str, from: Date, days: i32) -> Vec<Timestamp> {
    let midnight = |date: Date| date.in_tz(zone).unwrap().timestamp();
    let (begin, end) = (midnight(from), midnight(from.saturating_add(days.days())));
    let begin = begin.as_second().div_euclid(300) * 300;
    (0..).map(|n| Timestamp::from_second(begin + n * 300).unwrap()).take_while(|at| *at < end).collect()
}

/// What somebody is shown: starts, and whether each is a conflict; the same by both searches.
async fn shown(who: &Connection, practice: &Practice, from: Date, after: Option<&Value>) -> BTreeMap<String, bool> {
    let (from, to) = (from.to_string(), from.saturating_add((DATES - 1).days()).to_string());
    let mut search = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "from": from, "to": to });
    let mut across = json!({
        "doctorIds": [practice.doctor.id], "serviceIds": [practice.service], "from": from, "to": to, "pageSize": 100
    });
    if let Some(after) = after {
        search["after"] = after.clone();
        across["after"] = after.clone();
    }
    let found = who.request("slot.search", search, None).await.unwrap().data;
    let found = found["slots"].as_array().unwrap().clone();
    let mut again: Vec<Value> = Vec::new();
    loop {
        let page = who.request("slot.searchDoctors", &across, None).await.unwrap().data;
        again.extend(page["items"].as_array().unwrap().iter().map(|slot| {
            let mut slot = slot.clone();
            for field in ["doctorId", "serviceId", "timeZone"] {
                slot.as_object_mut().unwrap().remove(field);
            }
            slot
        }));
        match page.get("nextPageToken") {
            Some(token) => across["pageToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(again, found, "one doctor among several is shown the same");
    found.iter().map(|slot| (text(slot, "start"), slot["conflict"] == true)).collect()
}

/// Fills a world with what others, and the viewer elsewhere, have; and asks everything of it. The rules that were met.
async fn live_in(clinic: &Clinic, world: &World) -> BTreeSet<String> {
    let practice = world.open(clinic).await;
    let (viewer, rival) = (clinic.patient().await, clinic.person("patient", "Rival Ruiz").await);
    if world.is_known {
        // With the other service of the doctor, which is for anybody.
        let start = clinic.anon().await;
        let other = Practice { service: other_service(&start, &practice).await, ..practice.clone() };
        visit(clinic, &other, &viewer, &crate::harness::clinic::at(&crate::harness::clinic::date(60), "09:00")).await;
    }
    let doctor = clinic.connect(&practice.doctor).await;
    let (viewer, rival) = (clinic.connect(&viewer).await, clinic.connect(&rival).await);
    world.set_hours(&doctor, &practice).await;
    let first = world.first_date();
    let instants = instants(world.zone, first, DATES);

    // Some of it is refused, as by a limit or to strangers: then it is not taken.
    let mut own_holds = BTreeSet::new();
    let offered: Vec<String> = shown(&doctor, &practice, first, None).await.into_keys().collect();
    for (indices, who, operation) in [
        (&world.booked, &rival, "appointment.book"),
        (&world.held, &rival, "slot.hold"),
        (&world.own_holds, &viewer, "slot.hold"),
    ] {
        for index in indices.iter().filter(|_| !offered.is_empty()) {
            let start = index.get::<String>(&offered);
            let taken = who.request(operation, practice.booking(start), Some(key())).await;
            if taken.is_ok() && std::ptr::eq(who, &viewer) {
                own_holds.insert(start.clone());
            }
        }
    }
    world.take_time_off(&doctor, &practice).await;
    let colleague = clinic
        .practice_with(json!({ "name": "Fisio", "durationMinutes": 20, "stepMinutes": 5, "horizonDays": 366 }))
        .await;
    let always = json!({
        "doctorId": colleague.doctor.id, "timeZone": "UTC",
        "weekly": DAYS.map(|day| json!({ "weekday": day, "from": "00:00", "to": "23:55" }))
    });
    clinic.connect(&colleague.doctor).await.request("availability.set", always, Some(key())).await.unwrap();
    let mut after = None;
    for index in &world.elsewhere {
        let start = index.get(&instants).to_string();
        if let Ok(booked) = viewer.request("appointment.book", colleague.booking(&start), Some(key())).await {
            after = booked.cursor.map(|cursor| json!(cursor));
        }
    }

    let shown = shown(&viewer, &practice, first, after.as_ref()).await;
    let now = cita::clock::Clock.now();
    let mut met = BTreeSet::new();
    let settled = instants.into_iter().filter(|start| world.is_settled(*start, now)).map(|start| start.to_string());
    // A hold that is booked over is gone with the appointment: what it kept from others would be free.
    let (last, first): (Vec<String>, Vec<String>) = settled.partition(|start| own_holds.contains(start));
    for start in first.into_iter().chain(last) {
        let conflict = shown.get(&start).copied();
        met.insert(ask_for(&viewer, &practice, &start, conflict).await);
    }
    met
}

async fn other_service(anyone: &Connection, practice: &Practice) -> String {
    let services = anyone.request("service.list", json!({ "doctorId": practice.doctor.id }), None).await.unwrap().data;
    let services = services["items"].as_array().unwrap();
    text(services.iter().find(|service| service["id"] != practice.service.as_str()).unwrap(), "id")
}

/// Explains a start and books it; what was shown of it, and what is said of it, must be what happens. The rule, or what it came to.
async fn ask_for(viewer: &Connection, practice: &Practice, start: &str, conflict: Option<bool>) -> String {
    let explain = json!({ "doctorId": practice.doctor.id, "serviceId": practice.service, "start": start });
    let explained = viewer.request("slot.explain", explain, None).await.unwrap().data;
    let mut search = explained.clone();
    search["shown"] = json!(conflict);
    match viewer.request("appointment.book", practice.booking(start), Some(key())).await {
        Ok(booked) => {
            assert_eq!((explained["bookable"] == true, conflict), (true, Some(false)), "{start}: {search}");
            let cancel = json!({ "id": booked.data["id"] });
            viewer.request("appointment.cancel", cancel, Some(key())).await.unwrap();
            "booked".to_owned()
        }
        Err(error) => {
            let problem = error.problem().unwrap_or_else(|| panic!("{error}"));
            assert_eq!(explained["bookable"], false, "{start}: {search} but {problem:?}");
            assert_eq!(explained["code"], problem.code.as_str(), "{start}: {problem:?}");
            assert_eq!(explained["rule"].as_str(), problem.rule.as_deref(), "{start}: {problem:?}");
            let busy = problem.code == ErrorCode::PatientBusy;
            assert_eq!(conflict, busy.then_some(true), "{start}: {search} but {problem:?}");
            problem.rule.clone().unwrap_or_else(|| problem.code.as_str().to_owned())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_any_world_what_is_shown_books_and_what_is_not_is_refused_for_the_reason_that_is_explained() {
    let clinic = Clinic::open_with(&["--hold-seconds", "900"]).await;
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    // A world where nothing happens proves nothing, and what happens in one depends on the date.
    let wanted = ["booked", "hours", "step", "slot_taken", "patient_busy", "time_off", "patients", "notice", "past"];
    let mut worlds = 0;
    while worlds < WORLDS || (worlds < MOST_WORLDS && !wanted.iter().all(|rule| met.contains_key(*rule))) {
        let some: Vec<World> = (0..AT_ONCE).map(|_| world().new_tree(&mut runner).unwrap().current()).collect();
        worlds += some.len();
        // Shown where it fails.
        some.iter().for_each(|world| println!("{world:?}"));
        let lived = some.iter().map(|world| live_in(&clinic, world));
        join_all(lived).await.into_iter().flatten().for_each(|rule| *met.entry(rule).or_default() += 1);
    }
    for rule in wanted {
        assert!(met.contains_key(rule), "{rule} was met in no world: {met:?}");
    }
}
