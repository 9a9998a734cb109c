//! Who watches: a subscription at whichever server, a whole audience of them, and how long news takes to reach them all.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use memchr::memmem;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::booking::{Booker, Outcome, cita_socket, kind_of, pong, quantile, watched_start};
use super::machine;
use super::place::{Doctor, Kind, Patient, Place, WATCHED_DAY, WATCHED_SLOTS, date, watched_tick};
use super::wire::Wire;

/// Handshakes at the same time.
pub const HANDSHAKES: usize = 64;
/// Bookings under way at the same time, where they come at a rate; and in a burst.
const BOOKERS: usize = 8;
pub const BURST_BOOKERS: usize = 16;
/// Longest that news may take to reach everybody.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection with one subscription: the slots of a doctor on the date that is watched.
pub struct Watcher {
    kind: Kind,
    pub wire: Wire,
    /// Where Cita's snapshot ended.
    pub cursor: String,
}

impl Watcher {
    pub async fn open(kind: Kind, address: SocketAddr, doctor: &Doctor, token: &str) -> Self {
        let mut watcher = match kind {
            Kind::Cita => {
                let mut watcher = Self { kind, wire: cita_socket(address, token).await, cursor: String::new() };
                watcher.wire.say(&subscribe(&slots_topic(doctor), None)).await.expect("the server listens");
                watcher.snapshot().await;
                watcher
            }
            Kind::Express => Self::at_express(address, doctor, token).await,
            Kind::Parse => Self::at_parse(address, doctor, token).await,
            Kind::Limits | Kind::Broadcast => {
                let mut wire = Wire::connect(address).await.expect("the server takes connections");
                assert_eq!(wire.upgrade("/broadcast", "").await.expect("an answer").status, 101);
                Self { kind, wire, cursor: String::new() }
            }
        };
        watcher.wire.shrink();
        watcher
    }

    /// A connection to Cita that has asked for a topic.
    pub fn of_cita(wire: Wire) -> Self {
        Self { kind: Kind::Cita, wire, cursor: String::new() }
    }

    /// Reads on to the end of a snapshot, and keeps its cursor.
    pub async fn snapshot(&mut self) {
        loop {
            let frame = self.wire.hear().await.expect("a snapshot");
            match kind_of(&frame) {
                b"snapshot" if !contains(&frame, br#""more":true"#) => {
                    self.cursor = cursor_of(&frame);
                    return;
                }
                b"error" => panic!("not subscribed: {}", String::from_utf8_lossy(&frame)),
                b"ping" => pong(&mut self.wire).await,
                _ => {}
            }
        }
    }

    async fn at_express(address: SocketAddr, doctor: &Doctor, token: &str) -> Self {
        let mut wire = Wire::connect(address).await.expect("the server takes connections");
        let answer = wire.upgrade("/socket.io/?EIO=4&transport=websocket", "").await.expect("an answer");
        assert_eq!(answer.status, 101, "{}", answer.text());
        expect(&mut wire, b"0{").await;
        wire.say(&format!(r#"40{{"token":"{token}"}}"#)).await.expect("the server listens");
        expect(&mut wire, b"40{").await;
        let (doctor, date) = (&doctor.id, date(WATCHED_DAY));
        let watch = format!(r#"421["watch",{{"doctorId":"{doctor}","date":"{date}"}}]"#);
        wire.say(&watch).await.expect("the server listens");
        expect(&mut wire, br#"431[{"ok":true"#).await;
        Self { kind: Kind::Express, wire, cursor: String::new() }
    }

    async fn at_parse(address: SocketAddr, doctor: &Doctor, token: &str) -> Self {
        let mut wire = Wire::connect(address).await.expect("the server takes connections");
        assert_eq!(wire.upgrade("/parse", "").await.expect("an answer").status, 101);
        let connect = format!(r#"{{"op":"connect","applicationId":"bench","sessionToken":"{token}"}}"#);
        wire.say(&connect).await.expect("the server listens");
        expect(&mut wire, br#"{"op":"connected""#).await;
        let (doctor, date) = (&doctor.id, date(WATCHED_DAY));
        let query = format!(r#"{{"className":"Appointment","where":{{"doctor":"{doctor}","date":"{date}"}}}}"#);
        let subscribe = format!(r#"{{"op":"subscribe","requestId":1,"sessionToken":"{token}","query":{query}}}"#);
        wire.say(&subscribe).await.expect("the server listens");
        expect(&mut wire, br#"{"op":"subscribed""#).await;
        Self { kind: Kind::Parse, wire, cursor: String::new() }
    }

    /// Waits for a message, and hands over the ticks of the bookings that it tells of.
    pub async fn told(&mut self, mut of: impl FnMut(u32)) -> io::Result<()> {
        let frame = self.wire.hear().await?;
        match self.kind {
            Kind::Cita => match kind_of(&frame) {
                b"change" => removed(&frame, of),
                b"ping" => self.wire.say(r#"{"type":"pong","data":{}}"#).await?,
                _ => {}
            },
            Kind::Express if *frame == *b"2" => self.wire.say("3").await?,
            Kind::Express if frame.starts_with(b"42[\"appointment\"") => {
                of(tick_after(&frame, br#""start":""#));
            }
            Kind::Parse if frame.starts_with(br#"{"op":"create""#) => {
                of(tick_after(&frame, br#""start":{"__type":"Date","iso":""#));
            }
            Kind::Limits => of(tick_after(&frame, br#""start":""#)),
            Kind::Broadcast => removed(&frame, of),
            _ => {}
        }
        Ok(())
    }
}

/// Frame of a subscription to a topic, or of its continuation.
pub fn subscribe(topic: &str, after: Option<&str>) -> String {
    let after = after.map(|cursor| format!(r#","after":"{cursor}""#)).unwrap_or_default();
    format!(r#"{{"type":"subscribe","id":"s","data":{{"topic":"{topic}"{after}}}}}"#)
}

pub fn slots_topic(doctor: &Doctor) -> String {
    format!("doctors/{}/slots/{}/{}", doctor.id, doctor.service, date(WATCHED_DAY))
}

async fn expect(wire: &mut Wire, beginning: &[u8]) {
    let frame = wire.hear().await.expect("an answer");
    assert!(frame.starts_with(beginning), "{}", String::from_utf8_lossy(&frame));
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

/// Where a part of a text ends.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memmem::find(text, part).map(|at| at + part.len())
}

pub fn cursor_of(frame: &[u8]) -> String {
    let at = find(frame, br#""cursor":""#).unwrap_or_else(|| panic!("no cursor: {}", String::from_utf8_lossy(frame)));
    frame[at..].iter().take_while(|byte| **byte != b'"').map(|byte| char::from(*byte)).collect()
}

/// The starts that a change of slots takes away.
pub fn removed(frame: &[u8], mut of: impl FnMut(u32)) {
    let Some(at) = find(frame, br#""removed":["#) else { return };
    let mut rest = &frame[at..];
    while let [b'"', start @ ..] = rest {
        of(tick(start));
        let end = start.iter().position(|byte| *byte == b'"').expect("a string ends");
        rest = &start[end + 1..];
        rest = rest.strip_prefix(b",").unwrap_or(rest);
    }
}

fn tick_after(frame: &[u8], name: &[u8]) -> u32 {
    tick(&frame[find(frame, name).unwrap_or_else(|| panic!("no start: {}", String::from_utf8_lossy(frame)))..])
}

/// Fives of minutes since 1970 of an instant that is written `2026-12-01T14:05…` in UTC.
fn tick(text: &[u8]) -> u32 {
    let number = |from: usize, to: usize| text[from..to].iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days since 1970 by the civil calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    days * 288 + number(11, 13) * 12 + number(14, 16) / 5
}

/// When each slot of the date was asked for and acknowledged, in microseconds since the beginning.
struct Stamps {
    origin: Instant,
    asked: Vec<AtomicU32>,
    answered: Vec<AtomicU32>,
}

impl Stamps {
    fn now(&self) -> u32 {
        u32::try_from(self.origin.elapsed().as_micros()).expect("less than an hour")
    }
}

/// What somebody has heard: the slot, and when.
type Heard = (u32, u32);

/// Many who watch the same date. As many threads read as there are processors, each for its share of them: with the threads of one
/// runtime, one of them often reads for all while a processor has nothing to do.
pub struct Audience {
    size: usize,
    readers: Vec<JoinHandle<Vec<Heard>>>,
    heard: Arc<AtomicU64>,
    stamps: Arc<Stamps>,
    leave: CancellationToken,
}

/// How long news took, in milliseconds, and what was used for it.
#[derive(Debug)]
pub struct Pushed {
    pub from_start: (f64, f64),
    pub from_answer: (f64, f64),
    /// Deliveries that came, of those that should have.
    pub share: f64,
}

impl Audience {
    pub async fn gather(place: &Place, kind: Kind, address: SocketAddr, size: usize) -> Self {
        let open = |n: usize| {
            let patient = &place.patients[n % place.doctors.len()];
            Watcher::open(kind, address, &place.watched, &patient.token)
        };
        let watchers: Vec<Watcher> = stream::iter(0..size).map(open).buffer_unordered(HANDSHAKES).collect().await;
        let atomics = || (0..WATCHED_SLOTS).map(|_| AtomicU32::new(0)).collect();
        let stamps = Arc::new(Stamps { origin: Instant::now(), asked: atomics(), answered: atomics() });
        let (heard, leave) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let mut shares: Vec<Vec<Watcher>> = (0..count).map(|_| Vec::new()).collect();
        for (nth, watcher) in watchers.into_iter().enumerate() {
            shares[nth % count].push(watcher);
        }
        let readers = shares.into_iter().map(|share| {
            let (stamps, heard, leave) = (stamps.clone(), heard.clone(), leave.clone());
            thread::spawn(move || read(share, &stamps, &heard, &leave))
        });
        let readers = readers.collect();
        Self { size, readers, heard, stamps, leave }
    }

    /// Books slots at a rate, each at its time whatever became of those before it, and waits until everybody knows.
    pub async fn paced(
        &self,
        place: &Place,
        kind: Kind,
        address: SocketAddr,
        slots: (u32, u32),
        per_second: u32,
    ) -> Duration {
        let begun = Instant::now();
        let step = Duration::from_secs(1) / per_second;
        self.book(place, kind, address, slots, BOOKERS, |nth| Some(begun + Duration::from_millis(200) + step * nth))
            .await
    }

    /// Books slots as fast as it goes, and waits until everybody knows. Gives the time from the first request to the last delivery.
    pub async fn burst(&self, place: &Place, kind: Kind, address: SocketAddr, slots: (u32, u32)) -> Duration {
        self.book(place, kind, address, slots, BURST_BOOKERS, |_| None).await
    }

    async fn book(
        &self,
        place: &Place,
        kind: Kind,
        address: SocketAddr,
        (from, count): (u32, u32),
        bookers: usize,
        due: impl Fn(u32) -> Option<Instant>,
    ) -> Duration {
        let before = self.heard.load(Ordering::Relaxed);
        let open =
            (0..bookers).map(|n| Booker::open(kind, address, &place.patients[place.patients.len() - 1 - n].token));
        let mut bookers = futures::future::join_all(open).await;
        let next = AtomicU32::new(0);
        let begun = Instant::now();
        futures::future::join_all(bookers.iter_mut().map(async |booker| {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= count {
                    return;
                }
                if let Some(due) = due(nth) {
                    tokio::time::sleep_until(due.into()).await;
                }
                let slot = (from + nth) as usize;
                self.stamps.asked[slot].store(self.stamps.now(), Ordering::Relaxed);
                let outcome = booker.book(&place.watched, &watched_start(from + nth)).await;
                self.stamps.answered[slot].store(self.stamps.now(), Ordering::Relaxed);
                assert_eq!(outcome, Outcome::Booked, "nobody else asks for it");
            }
        }))
        .await;
        let all = before + u64::from(count) * self.size as u64;
        let patience = Instant::now() + PATIENCE;
        while self.heard.load(Ordering::Relaxed) < all && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed()
    }

    /// Everybody leaves, and tells what they heard of some slots.
    pub fn leave(mut self, (from, count): (u32, u32)) -> Pushed {
        self.leave.cancel();
        let (mut from_start, mut from_answer) = (Vec::new(), Vec::new());
        let micros = |at: u32, since: &AtomicU32| {
            Duration::from_micros(u64::from(at.saturating_sub(since.load(Ordering::Relaxed))))
        };
        for reader in std::mem::take(&mut self.readers) {
            for (slot, at) in reader.join().expect("a reader ends well") {
                if (from..from + count).contains(&slot) {
                    from_start.push(micros(at, &self.stamps.asked[slot as usize]));
                    from_answer.push(micros(at, &self.stamps.answered[slot as usize]));
                }
            }
        }
        from_start.sort_unstable();
        from_answer.sort_unstable();
        let both = |sorted: &[Duration]| (quantile(sorted, 0.5), quantile(sorted, 0.99));
        let share = from_start.len() as f64 / (f64::from(count) * self.size as f64);
        Pushed { from_start: both(&from_start), from_answer: both(&from_answer), share }
    }
}

/// Nobody is left to see the server go.
impl Drop for Audience {
    fn drop(&mut self) {
        self.leave.cancel();
        let failed = self.readers.drain(..).filter_map(|reader| reader.join().err()).count();
        assert!(failed == 0 || thread::panicking(), "{failed} readers have failed");
    }
}

/// Reads for some of them until they leave.
fn read(watchers: Vec<Watcher>, stamps: &Arc<Stamps>, heard: &Arc<AtomicU64>, leave: &CancellationToken) -> Vec<Heard> {
    let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
    let (told, base) = (Arc::new(Mutex::new(Vec::new())), watched_tick());
    runtime.block_on(async {
        let mut listeners = JoinSet::new();
        for mut watcher in watchers {
            watcher.wire = watcher.wire.moved().expect("a socket can be watched");
            let (stamps, heard, told) = (stamps.clone(), heard.clone(), told.clone());
            listeners.spawn(async move {
                loop {
                    let news = watcher.told(|tick| {
                        if let Some(slot) = tick.checked_sub(base).filter(|slot| *slot < WATCHED_SLOTS) {
                            told.lock().push((slot, stamps.now()));
                            heard.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                    news.await.expect("the server stays");
                }
            });
        }
        tokio::select! {
            () = leave.cancelled() => {}
            Some(ended) = listeners.join_next() => ended.expect("a listener does not fail"),
        }
    });
    std::mem::take(&mut *told.lock())
}

/// A place for the limits: there is nobody to know.
pub fn nobody(people: usize) -> Place {
    let doctor = Doctor { id: String::new(), service: String::new() };
    Place {
        kind: Kind::Limits,
        doctors: vec![doctor.clone(); people],
        watched: doctor,
        searched: Vec::new(),
        patients: vec![Patient::default(); people + BURST_BOOKERS],
        owner: Patient::default(),
        issued: Instant::now(),
        template: String::new(),
    }
}

/// Processor seconds so far, of a server and of its databases.
pub fn used(server: u32, mongods: &[u32]) -> (f64, f64) {
    (machine::cpu_seconds(&[server]), machine::cpu_seconds(mongods))
}
