//! What is measured, a section each. Every measurement has a server of its own on a fresh copy of its clinic, and nothing else runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use mongodb::bson::Document;

use super::booking::{
    Booker, Client, Outcome, cita_socket, drive, kind_of, pong, quantile, search_client, watched_start,
};
use super::figures::Figures;
use super::live::{Audience, HANDSHAKES, Watcher, contains, cursor_of, nobody, removed, slots_topic, subscribe, used};
use super::place::{Diary, Kind, Place, SEARCHED, Stage, World, visit_at};
use super::server::Server;
use super::wire::Wire;
use super::{cita, machine};

/// How much of everything.
pub struct Scale {
    pub people: usize,
    /// Clients who book at once.
    pub levels: &'static [usize],
    /// Of each measurement at full speed.
    pub length: Duration,
    /// Subscribers, by the names of the figures, with bookings a second and how many.
    pub audiences: &'static [(&'static str, usize, u32, u32)],
    pub storm: usize,
    pub storms: u32,
    /// Idle connections that come first; three times as many are measured after them.
    pub idle: usize,
    pub returning: usize,
    pub replaying: usize,
    pub starts: usize,
}

pub const FULL: Scale = Scale {
    people: 256,
    levels: &[1, 16, 64, 256],
    length: Duration::from_secs(4),
    audiences: &[("one", 1, 50, 280), ("many", 1_000, 20, 120), ("crowd", 5_000, 4, 24)],
    storm: 1_000,
    storms: 4,
    idle: 1_000,
    returning: 5_000,
    replaying: 500,
    starts: 3,
};

/// To see that it works.
pub const QUICK: Scale = Scale {
    people: 64,
    levels: &[1, 16, 64],
    length: Duration::from_secs(1),
    audiences: &[("one", 1, 50, 60), ("many", 100, 20, 30), ("crowd", 300, 4, 8)],
    storm: 200,
    storms: 2,
    idle: 100,
    returning: 300,
    replaying: 50,
    starts: 1,
};

/// Clients of Cita's REST interface: as many as the table tells of.
const REST_CLIENTS: usize = 64;
/// Bookings of a burst: with those that came before at a rate, they fit into the date.
const BURST: u32 = 160;
/// Who search at once.
const SEARCHERS: usize = 16;
/// What those who return have missed.
const MISSED: u32 = 50;
/// What those who are replayed to have missed.
const REPLAYED: u32 = 200;
/// Others who book while a storm is on.
const OTHERS: usize = 4;
/// Clients that saturate MongoDB, and the rate of the one who is watched meanwhile.
const SATURATING: usize = 64;
const PROBES_PER_SECOND: u32 = 20;
/// For a process to come to rest before its memory is read.
const REST: Duration = Duration::from_secs(2);

/// Everything that a section needs.
pub struct Bench {
    pub world: World,
    pub places: Vec<Place>,
    pub scale: &'static Scale,
    pub figures: Figures,
    pub round: u32,
    pub model: Arc<Document>,
    /// What Cita answers to a search.
    pub found: Bytes,
}

/// The sections by name, in their order.
pub const SECTIONS: [&str; 10] =
    ["bookings", "storm", "push", "fairness", "memory", "search", "resume", "lag", "start", "measuring"];

impl Bench {
    pub async fn run(&mut self, section: &str, kind: Kind) {
        self.world.at_rest().await;
        machine_figures(&mut self.figures, self.round);
        match section {
            "bookings" => self.bookings(kind).await,
            "storm" => self.storm(kind).await,
            "push" => self.push(kind).await,
            "measuring" => self.measuring().await,
            "fairness" => self.fairness().await,
            "memory" => self.memory(kind).await,
            "search" => self.search(kind).await,
            "resume" => self.resume().await,
            "lag" => self.lag().await,
            "start" => self.start(kind).await,
            other => unreachable!("{other} is no section"),
        }
    }

    /// The clinic of somebody, to be given back by [`Bench::put`].
    pub(super) fn take(&mut self, kind: Kind) -> Place {
        let at = self.places.iter().position(|place| place.kind == kind).expect("it was set up");
        self.places.swap_remove(at)
    }

    pub(super) fn put(&mut self, place: Place) {
        self.places.push(place);
    }

    /// Sets a clinic up again that a failed measurement has not given back.
    pub async fn restore(&mut self, kind: Kind) {
        let is_gone = self.places.iter().all(|place| place.kind != kind);
        if is_gone && !matches!(kind, Kind::Limits | Kind::Broadcast) {
            self.world.drop_database(&format!("bench_{}", kind.name())).await;
            let place = self.world.set_up(kind, self.scale.people).await;
            self.put(place);
        }
    }

    pub(super) fn add(&mut self, name: &str, value: f64) {
        self.figures.add(self.round, name, value);
    }

    async fn bookings(&mut self, kind: Kind) {
        let name = kind.name();
        let (levels, length) = (self.scale.levels, self.scale.length);
        let (mut results, mut rest) = (Vec::new(), None);
        if kind == Kind::Limits {
            let collection = self.world.raw().await;
            let mongods = self.world.mongods(kind);
            for (nth, level) in levels.iter().enumerate() {
                let inserter = |n: usize| Client::Inserter {
                    collection: collection.clone(),
                    model: self.model.clone(),
                    doctor: (nth * 1_000 + n) as i32,
                    turn: 0,
                };
                results.push((*level, drive((0..*level).map(inserter).collect(), length, None, &mongods).await));
            }
            self.world.drop_database(&collection.namespace().db).await;
        } else {
            let mut place = self.take(kind);
            let stage = self.world.stage(&mut place).await;
            let diary = Arc::new(Diary::new(self.scale.people));
            for level in levels {
                let clients = Client::bookers(&stage, &diary, *level, false).await;
                results.push((*level, drive(clients, length, Some(stage.server.pid), &stage.mongods).await));
            }
            if kind == Kind::Cita {
                let clients = Client::bookers(&stage, &diary, REST_CLIENTS, true).await;
                let driven = drive(clients, length, Some(stage.server.pid), &stage.mongods).await;
                rest = Some(driven);
            }
            stage.close(&self.world).await;
            self.put(place);
        }
        let results = results.into_iter().map(|(level, driven)| (level, name, driven));
        for (level, name, driven) in results.chain(rest.map(|driven| (REST_CLIENTS, "cita_rest", driven))) {
            self.add(&format!("bookings.{level}.{name}.per_second"), driven.per_second);
            self.add(&format!("bookings.{level}.{name}.p50_ms"), driven.p50);
            self.add(&format!("bookings.{level}.{name}.p99_ms"), driven.p99);
            if kind != Kind::Limits {
                self.add(&format!("bookings.{level}.{name}.server_cpu_s_per_1000"), driven.server_cpu);
            }
            self.add(&format!("bookings.{level}.{name}.mongod_cpu_s_per_1000"), driven.mongod_cpu);
        }
    }

    /// Everybody asks for the same slot at once: with nobody else about, to count; then beside others, to see what these feel.
    async fn storm(&mut self, kind: Kind) {
        let name = kind.name();
        let mut place = self.take(kind);
        let stage = self.world.stage(&mut place).await;
        let mut bookers = Vec::new();
        let open = |n: usize| {
            let token = &stage.place.patients[n % stage.place.doctors.len()].token;
            Booker::open(kind, stage.server.address, token)
        };
        bookers.extend(stream::iter(0..self.scale.storm).map(open).buffered(HANDSHAKES).collect::<Vec<_>>().await);
        for turn in 0..self.scale.storms {
            let before = self.world.inserts().await;
            let (taken, winners) = rush(&mut bookers, &stage, 15_000 + turn).await;
            let inserts = self.world.inserts().await - before;
            self.add(&format!("storm.{name}.ms"), machine::millis(taken));
            self.add(&format!("storm.{name}.winners"), winners as f64);
            self.add(&format!("storm.{name}.inserts"), inserts as f64);
        }
        let (calm, beside) = self.beside_a_storm(&stage, &mut bookers).await;
        self.add(&format!("storm.{name}.calm_p99_ms"), quantile(&calm, 0.99));
        self.add(&format!("storm.{name}.others_p99_ms"), quantile(&beside, 0.99));
        stage.close(&self.world).await;
        self.put(place);
    }

    /// Latencies of others, sorted: without a storm, and of what they asked for during one.
    async fn beside_a_storm(&self, stage: &Stage<'_>, bookers: &mut [Booker]) -> (Vec<Duration>, Vec<Duration>) {
        let diary = Diary::new(self.scale.people);
        let (raging, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let others = futures::future::join_all((0..OTHERS).map(async |patient| {
            let token = &stage.place.patients[patient].token;
            let mut booker = Booker::open(stage.place.kind, stage.server.address, token).await;
            let mut latencies = Vec::new();
            while !over.load(Ordering::Relaxed) {
                // The first doctor is the one of the storm.
                let (doctor, start) = diary.visit(patient);
                if doctor == 0 {
                    continue;
                }
                let (asked, before) = (Instant::now(), raging.load(Ordering::Relaxed));
                assert_eq!(booker.book(&stage.place.doctors[doctor], &start).await, Outcome::Booked);
                let during = before || raging.load(Ordering::Relaxed);
                latencies.push((asked.elapsed(), during));
            }
            latencies
        }));
        let storms = async {
            tokio::time::sleep(self.scale.length / 2).await;
            for turn in 0..self.scale.storms {
                raging.store(true, Ordering::Relaxed);
                rush(bookers, stage, 15_100 + turn).await;
                raging.store(false, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            over.store(true, Ordering::Relaxed);
        };
        let (others, ()) = tokio::join!(others, storms);
        let of = |during: bool| {
            let all = others.iter().flatten().filter(|(_, at)| *at == during);
            let mut latencies: Vec<Duration> = all.map(|(latency, _)| *latency).collect();
            latencies.sort_unstable();
            latencies
        };
        (of(false), of(true))
    }

    async fn push(&mut self, kind: Kind) {
        for (name, size, rate, count) in self.scale.audiences {
            match kind {
                // The raw stream tells a thousand at most, to have a limit for that line of the table; the broadcast has nobody to tell of.
                Kind::Limits if *name == "crowd" => continue,
                Kind::Broadcast if *size == 1 => continue,
                Kind::Limits | Kind::Broadcast => {
                    let collection = self.world.raw().await;
                    let database = collection.namespace().db;
                    let server = self.world.start(kind, &database).await;
                    let model = self.model.to_vec().expect("a document has its bytes");
                    let mut wire = Wire::connect(server.address).await.expect("the server takes connections");
                    assert_eq!(wire.ask("PUT", "/model", "", &model).await.expect("an answer").status, 201);
                    let (place, mongods) = (nobody(self.scale.people), self.world.mongods(kind));
                    self.push_to(&place, kind, &server, &mongods, (name, *size, *rate, *count)).await;
                    server.kill().await;
                    self.world.drop_database(&database).await;
                }
                _ => {
                    let mut place = self.take(kind);
                    let stage = self.world.stage(&mut place).await;
                    let what = (*name, *size, *rate, *count);
                    self.push_to(stage.place, kind, &stage.server, &stage.mongods, what).await;
                    stage.close(&self.world).await;
                    self.put(place);
                }
            }
        }
    }

    async fn push_to(
        &mut self,
        place: &Place,
        kind: Kind,
        server: &Server,
        mongods: &[u32],
        (name, size, rate, count): (&str, usize, u32, u32),
    ) {
        let address = server.address;
        let audience = Audience::gather(place, kind, address, size).await;
        // One booking, so that every path has been walked.
        audience.paced(place, kind, address, (0, 1), 50).await;
        let before = used(server.pid, mongods);
        audience.paced(place, kind, address, (1, count), rate).await;
        let after = used(server.pid, mongods);
        let deliveries = f64::from(count) * size as f64 / 1e5;
        let prefix = format!("push.{name}.{}", kind.name());
        if size > 1 {
            self.add(&format!("{prefix}.server_cpu_s_per_100k"), (after.0 - before.0) / deliveries);
            if kind != Kind::Broadcast {
                self.add(&format!("{prefix}.mongod_cpu_s_per_100k"), (after.1 - before.1) / deliveries);
            }
        }
        if name == "many" {
            let before = used(server.pid, mongods);
            let taken = audience.burst(place, kind, address, (count + 1, BURST)).await;
            let after = used(server.pid, mongods);
            let deliveries = f64::from(BURST) * size as f64;
            let prefix = format!("burst.{name}.{}", kind.name());
            self.add(&format!("{prefix}.per_second"), deliveries / taken.as_secs_f64());
            self.add(&format!("{prefix}.server_cpu_s_per_100k"), (after.0 - before.0) / deliveries * 1e5);
            if kind != Kind::Broadcast {
                self.add(&format!("{prefix}.mongod_cpu_s_per_100k"), (after.1 - before.1) / deliveries * 1e5);
            }
        }
        let pushed = audience.leave((1, count));
        assert!(pushed.share >= 1.0, "{} of what was due came: {}", pushed.share, server.said());
        self.add(&format!("{prefix}.start_p50_ms"), pushed.from_start.0);
        self.add(&format!("{prefix}.start_p99_ms"), pushed.from_start.1);
        self.add(&format!("{prefix}.ack_p50_ms"), pushed.from_answer.0);
        self.add(&format!("{prefix}.ack_p99_ms"), pushed.from_answer.1);
    }

    /// What a connection costs that does nothing: authenticated, with the slots of a date as its subscription.
    async fn memory(&mut self, kind: Kind) {
        let mut place = self.take(kind);
        let stage = self.world.stage(&mut place).await;
        let people = stage.place.doctors.len();
        let open = async |n: usize| {
            let (doctor, patient) = (&stage.place.doctors[n % people], &stage.place.patients[n % people]);
            Watcher::open(kind, stage.server.address, doctor, &patient.token).await
        };
        let gather = async |range: std::ops::Range<usize>| {
            stream::iter(range).map(&open).buffer_unordered(HANDSHAKES).collect::<Vec<_>>().await
        };
        let rss = || machine::resident_kib(stage.server.pid);
        let empty = rss();
        // The first ones fill what the process has of memory that is free, and walk every path.
        let first = gather(0..self.scale.idle).await;
        tokio::time::sleep(REST).await;
        let before = rss();
        let idle = gather(self.scale.idle..self.scale.idle * 4).await;
        tokio::time::sleep(REST).await;
        let after = rss();
        let (name, all) = (kind.name(), first.len() + idle.len());
        self.add(&format!("memory.{name}.kib"), (after - before) / idle.len() as f64);
        self.add(&format!("memory.{name}.kib_with_start_up"), (after - empty) / all as f64);
        self.add(&format!("memory.{name}.process_mib"), empty / 1_024.0);
        drop((first, idle));
        stage.close(&self.world).await;
        self.put(place);
    }

    async fn search(&mut self, kind: Kind) {
        let (server, taken) = if kind == Kind::Limits {
            let server = self.world.start(kind, "bench_raw_nothing").await;
            let mut wire = Wire::connect(server.address).await.expect("the server takes connections");
            assert_eq!(wire.ask("PUT", "/bytes", "", &self.found).await.expect("an answer").status, 200);
            (server, None)
        } else {
            let mut place = self.take(kind);
            let Stage { server, database, .. } = self.world.stage_with_appointments(&mut place).await;
            (server, Some((place, database)))
        };
        let nobody = nobody(1);
        let mut clients = Vec::new();
        for n in 0..SEARCHERS {
            let wire = Wire::connect(server.address).await.expect("the server takes connections");
            let doctor = taken.as_ref().map_or(&nobody.watched, |(place, _)| &place.searched[n % SEARCHED]);
            clients.push(search_client(kind, wire, doctor));
        }
        let driven = drive(clients, self.scale.length, Some(server.pid), &self.world.mongods(kind)).await;
        let name = kind.name();
        self.add(&format!("search.{name}.per_second"), driven.per_second);
        self.add(&format!("search.{name}.p50_ms"), driven.p50);
        self.add(&format!("search.{name}.p99_ms"), driven.p99);
        self.add(&format!("search.{name}.server_cpu_s_per_1000"), driven.server_cpu);
        server.kill().await;
        if let Some((place, database)) = taken {
            self.world.drop_database(&database).await;
            self.put(place);
        }
    }

    /// A node dies, and its clients go on at another one; then what a node can tell those who have missed much.
    async fn resume(&mut self) {
        let mut place = self.take(Kind::Cita);
        let stage = self.world.stage(&mut place).await;
        let other = self.world.start(Kind::Cita, &stage.database).await;
        cita::warm(stage.place, other.address).await;
        let count = self.scale.returning;
        let token = |n: usize| stage.place.patients[n % stage.place.doctors.len()].token.as_str();
        let open = |n: usize| Watcher::open(Kind::Cita, stage.server.address, &stage.place.watched, token(n));
        let watchers: Vec<Watcher> = stream::iter(0..count).map(open).buffered(HANDSHAKES).collect().await;
        let cursors: Vec<String> = watchers.iter().map(|watcher| watcher.cursor.clone()).collect();
        let Stage { server, database, place: staged, .. } = stage;
        server.kill().await;
        drop(watchers);
        book_watched(staged, other.address, 0, MISSED).await;

        let topic = slots_topic(&staged.watched);
        let token = |n: usize| staged.patients[n % staged.doctors.len()].token.as_str();
        let begun = Instant::now();
        let (events, resets) = (AtomicU32::new(0), AtomicU32::new(0));
        let back = stream::iter(cursors.iter().enumerate()).map(async |(n, cursor)| {
            let mut wire = cita_socket(other.address, token(n)).await;
            wire.say(&subscribe(&topic, Some(cursor))).await.expect("the server listens");
            let told = catch_up(&mut wire, MISSED, &resets).await;
            events.fetch_add(told, Ordering::Relaxed);
            (wire, begun.elapsed())
        });
        let back: Vec<(Wire, Duration)> = back.buffer_unordered(HANDSHAKES * 4).collect().await;
        let taken = begun.elapsed().as_secs_f64();
        self.add("resume.cita.seconds", taken);
        self.add("resume.cita.events_per_second", f64::from(events.load(Ordering::Relaxed)) / taken);
        self.add("resume.cita.reset_share", f64::from(resets.load(Ordering::Relaxed)) / count as f64);
        drop(back);
        self.replay(staged, other.address).await;
        other.kill().await;
        self.world.drop_database(&database).await;
        self.put(place);
    }

    /// Connections of a doctor that have missed many bookings are told each of them.
    async fn replay(&mut self, place: &Place, address: SocketAddr) {
        let (count, topic) = (self.scale.replaying, format!("doctors/{}/appointments", place.watched.id));
        let open = |_| cita_socket(address, &place.owner.token);
        let mut wires: Vec<Wire> = stream::iter(0..count + 1).map(open).buffered(HANDSHAKES).collect().await;
        let mut first = wires.pop().expect("one more than needed");
        first.say(&subscribe(&topic, None)).await.expect("the server listens");
        let mut first = Watcher::of_cita(first);
        first.snapshot().await;
        book_watched(place, address, MISSED, REPLAYED).await;
        let resets = AtomicU32::new(0);
        let begun = Instant::now();
        let told = futures::future::join_all(wires.iter_mut().map(async |wire| {
            wire.say(&subscribe(&topic, Some(&first.cursor))).await.expect("the server listens");
            catch_up(wire, REPLAYED, &resets).await
        }))
        .await;
        let taken = begun.elapsed().as_secs_f64();
        self.add("replay.cita.per_second", f64::from(told.iter().sum::<u32>()) / taken);
        self.add("replay.cita.reset_share", f64::from(resets.load(Ordering::Relaxed)) / count as f64);
    }

    /// One watches while many others book as fast as they can.
    async fn lag(&mut self) {
        let mut place = self.take(Kind::Cita);
        let stage = self.world.stage(&mut place).await;
        let diary = Arc::new(Diary::new(self.scale.people));
        let clients = Client::bookers(&stage, &diary, SATURATING.min(self.scale.people), false).await;
        let (length, address) = (self.scale.length, stage.server.address);
        let audience = Audience::gather(stage.place, Kind::Cita, address, 1).await;
        let probes = PROBES_PER_SECOND * length.as_secs() as u32;
        let (driven, _) = tokio::join!(
            drive(clients, length, Some(stage.server.pid), &stage.mongods),
            audience.paced(stage.place, Kind::Cita, address, (0, probes), PROBES_PER_SECOND)
        );
        let pushed = audience.leave((0, probes));
        self.add("lag.cita.p50_ms", pushed.from_answer.0);
        self.add("lag.cita.p99_ms", pushed.from_answer.1);
        self.add("lag.cita.bookings_per_second", driven.per_second);
        stage.close(&self.world).await;
        self.put(place);
    }

    /// From nothing to a booking, with the database up.
    async fn start(&mut self, kind: Kind) {
        let mut place = self.take(kind);
        let stage = self.world.stage(&mut place).await;
        let Stage { server, database, place: staged, .. } = stage;
        server.kill().await;
        let diary = Diary::new(staged.doctors.len());
        for patient in 0..self.scale.starts {
            let (doctor, start) = diary.visit(patient);
            self.world.at_rest().await;
            let begun = Instant::now();
            let server = self.world.start(kind, &database).await;
            let serving = begun.elapsed();
            let mut booker = Booker::open(kind, server.address, &staged.patients[patient].token).await;
            assert_eq!(booker.book(&staged.doctors[doctor], &start).await, Outcome::Booked);
            self.add(&format!("start.{}.ms", kind.name()), machine::millis(begun.elapsed()));
            self.add(&format!("start.{}.until_serving_ms", kind.name()), machine::millis(serving));
            server.kill().await;
        }
        self.world.drop_database(&database).await;
        self.put(place);
    }
}

fn machine_figures(figures: &mut Figures, round: u32) {
    figures.add(round, "machine.loop_ms", machine::fixed_loop());
    figures.add(round, "machine.load", machine::load_average());
}

/// All ask for one slot; how long it took until all knew, and how many were given it.
async fn rush(bookers: &mut [Booker], stage: &Stage<'_>, slot: u32) -> (Duration, usize) {
    let (doctor, start) = (&stage.place.doctors[0], visit_at(slot));
    stream::iter(bookers.iter_mut()).for_each_concurrent(HANDSHAKES, Booker::freshen).await;
    let begun = Instant::now();
    let outcomes = futures::future::join_all(bookers.iter_mut().map(|booker| booker.book(doctor, &start))).await;
    (begun.elapsed(), outcomes.iter().filter(|outcome| **outcome == Outcome::Booked).count())
}

/// Books slots of the doctor who is watched, one after the other.
async fn book_watched(place: &Place, address: SocketAddr, from: u32, count: u32) {
    let token = &place.patients[place.patients.len() - 1].token;
    let mut booker = Booker::open(Kind::Cita, address, token).await;
    for slot in from..from + count {
        assert_eq!(booker.book(&place.watched, &watched_start(slot)).await, Outcome::Booked);
    }
}

/// Reads until everything that was missed is told, or a snapshot has come instead. Gives the number of changes.
async fn catch_up(wire: &mut Wire, missed: u32, resets: &AtomicU32) -> u32 {
    let mut told = 0;
    while told < missed {
        let frame = wire.hear().await.expect("what was missed");
        match kind_of(&frame) {
            b"change" if contains(&frame, br#""removed":[]"#) => {
                told += frame.windows(9).filter(|window| window == br#""start":""#).count() as u32;
            }
            b"change" => removed(&frame, |_| told += 1),
            b"snapshot" if !contains(&frame, br#""more":true"#) => {
                assert!(!cursor_of(&frame).is_empty());
                resets.fetch_add(1, Ordering::Relaxed);
                return told;
            }
            b"ping" => pong(wire).await,
            b"error" => panic!("not subscribed: {}", String::from_utf8_lossy(&frame)),
            _ => {}
        }
    }
    told
}
