//! Clients that book and cancel without a pause, as the contract tells clients to: what is unavailable or was cut off is
//! sent again with the same key, on whichever node there is, until the answer is definite.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cita_cli::{ClientError, Connection};
use cita_protocol::{ErrorCode, Outcome};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::follower::{Follower, Servers};
use crate::harness::Patience;
use crate::harness::clinic::{PATIENCE, Person, Practice, at, connect, date, key, register, text};
use crate::harness::watch::Watcher;

/// Local dates on which they book: tomorrow and the days after.
pub const DAYS: i32 = 3;

/// Clients at work.
pub struct Bookers {
    servers: Servers,
    practice: Practice,
    stop: CancellationToken,
    acknowledged: Arc<watch::Sender<usize>>,
    tasks: Vec<JoinHandle<Log>>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Log {
    /// What was acknowledged last of each appointment.
    pub items: BTreeMap<String, Value>,
    pub refused: usize,
    /// Answers that left the outcome open, cut connections included, or said that nothing was applied.
    pub unknown: usize,
    pub not_applied: usize,
}

struct Booker {
    servers: Servers,
    practice: Practice,
    patient: Person,
    connection: Option<Connection>,
    random: u64,
    stop: CancellationToken,
    acknowledged: Arc<watch::Sender<usize>>,
    log: Log,
}

impl Bookers {
    /// Sets clients to work at the first of the servers.
    pub async fn start(servers: &Servers, practice: &Practice, count: usize) -> Self {
        let (stop, acknowledged) = (CancellationToken::new(), Arc::new(watch::Sender::new(0)));
        let mut tasks = Vec::new();
        for number in 0..count {
            let patient = register(&servers.one(number), "patient", &format!("Paciente {number}")).await;
            let booker = Booker {
                servers: servers.starting_at(number),
                practice: practice.clone(),
                patient,
                connection: None,
                random: u64::from(std::process::id()) + number as u64,
                stop: stop.clone(),
                acknowledged: acknowledged.clone(),
                log: Log::default(),
            };
            tasks.push(tokio::spawn(booker.work()));
        }
        Self { servers: servers.clone(), practice: practice.clone(), stop, acknowledged, tasks }
    }

    /// Waits until that many more mutations have been acknowledged.
    pub async fn until_acknowledged(&self, more: usize) {
        let mut acknowledged = self.acknowledged.subscribe();
        let wanted = *acknowledged.borrow() + more;
        let reached = tokio::time::timeout(PATIENCE, acknowledged.wait_for(|count| *count >= wanted)).await;
        assert!(reached.is_ok_and(|reached| reached.is_ok()), "{more} more are acknowledged in time");
    }

    /// Lets each finish what it is at.
    pub async fn finish(self) -> Log {
        self.stop.cancel();
        let mut whole = Log::default();
        for task in self.tasks {
            let log = task.await.expect("a client works to its end");
            whole.items.extend(log.items);
            whole.refused += log.refused;
            whole.unknown += log.unknown;
            whole.not_applied += log.not_applied;
        }
        whole
    }

    /// Lets each finish, and checks that the database has what was acknowledged and nothing else, that nothing overlaps,
    /// and that every follower ends up with what a fresh snapshot shows.
    pub async fn finish_and_check(self, followers: Vec<Follower>) -> Log {
        let (servers, practice) = (self.servers.clone(), self.practice.clone());
        let log = self.finish().await;
        let url = servers.one(0);
        assert_listed(&url, &practice, &log).await;

        // One last change: whoever has seen its cursor has seen all.
        let doctor = connect(&url, Some(&practice.doctor.token)).await;
        let last = json!({ "id": practice.doctor.id, "bio": "fin" });
        let end = doctor.request("doctor.update", last, Some(key())).await.unwrap().cursor.unwrap().0;
        for follower in followers {
            let seen = follower.until_cursor(&end).await;
            let token = follower.token.as_deref();
            let fresh = Watcher::start(connect(&url, token).await, &follower.topic, None).await;
            let differing = differing(&seen.view.items, &fresh.view.items);
            assert!(differing.is_empty(), "{} after {:?}: seen and fresh, {differing:#?}", follower.topic, seen.ends);
            if token.is_some() {
                let differing = self::differing(&fresh.view.items, &log.items);
                assert!(differing.is_empty(), "the calendar shows what was acknowledged: {differing:#?}");
            }
        }
        log
    }
}

/// What two lists by id do not have alike.
fn differing<'a>(
    one: &'a BTreeMap<String, Value>,
    other: &'a BTreeMap<String, Value>,
) -> Vec<(Option<&'a Value>, Option<&'a Value>)> {
    let ids: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    ids.into_iter().map(|id| (one.get(id), other.get(id))).filter(|(one, other)| one != other).collect()
}

/// Everything that was acknowledged is listed as it was acknowledged, once, and nothing else is.
async fn assert_listed(url: &str, practice: &Practice, log: &Log) {
    let doctor = connect(url, Some(&practice.doctor.token)).await;
    let (mut listed, mut page) = (BTreeMap::new(), Value::Null);
    loop {
        let mut query = json!({ "doctorId": practice.doctor.id, "pageSize": 100 });
        if !page.is_null() {
            query["pageToken"] = page.clone();
        }
        let reply = doctor.request("appointment.list", query, None).await.unwrap().data;
        for item in reply["items"].as_array().unwrap() {
            assert!(listed.insert(text(item, "id"), item.clone()).is_none(), "listed twice: {item}");
        }
        page = reply["nextPageToken"].clone();
        if page.is_null() {
            break;
        }
    }
    let missing: Vec<_> = log.items.iter().filter(|(id, item)| listed.get(*id) != Some(item)).collect();
    assert!(missing.is_empty(), "acknowledged, but not there as such: {missing:#?}");
    let extra: Vec<_> = listed.iter().filter(|(id, _)| !log.items.contains_key(*id)).collect();
    assert!(extra.is_empty(), "there without an acknowledgement: {extra:#?}");
    assert_no_overlap(listed.values());
}

fn assert_no_overlap<'a>(items: impl Iterator<Item = &'a Value>) {
    let mut booked: Vec<_> = items.filter(|item| item["status"] == "booked").collect();
    booked.sort_by_key(|item| text(item, "start"));
    for pair in booked.windows(2) {
        assert!(text(pair[0], "end") <= text(pair[1], "start"), "{pair:#?} overlap");
    }
}

impl Booker {
    async fn work(mut self) -> Log {
        while !self.stop.is_cancelled() {
            let open = self.log.items.iter().filter(|(_, item)| item["status"] == "booked").map(|(id, _)| id.clone());
            let open: Vec<String> = open.collect();
            let outcome = if open.len() > 4 {
                let id = &open[self.below(open.len())];
                self.definite("appointment.cancel", json!({ "id": id })).await
            } else {
                let (day, half_hour) = (1 + self.below(DAYS as usize), self.below(20));
                let time = format!("{:02}:{:02}", 8 + half_hour / 2, half_hour % 2 * 30);
                let day = date(i32::try_from(day).unwrap());
                self.book(self.practice.booking(&at(&day, &time))).await
            };
            match outcome {
                Ok(item) => {
                    let id = text(&item, "id");
                    let revision = item["rev"].as_u64();
                    let before = self.log.items.insert(id, item);
                    assert_eq!(before.map_or(1, |before| before["rev"].as_u64().unwrap() + 1), revision.unwrap());
                    self.acknowledged.send_modify(|count| *count += 1);
                }
                Err(ErrorCode::SlotTaken | ErrorCode::PatientBusy) => self.log.refused += 1,
                Err(code) => panic!("an answer that nobody expects here: {code:?}"),
            }
        }
        self.log
    }

    /// Books; some hold the time before, as one does while filling in a form.
    async fn book(&mut self, slot: Value) -> Result<Value, ErrorCode> {
        if self.below(3) == 0 {
            let hold = self.definite("slot.hold", slot.clone()).await?;
            self.log.items.insert(text(&hold, "id"), hold);
        }
        self.definite("appointment.book", slot).await
    }

    /// Sends a mutation until its outcome is known.
    async fn definite(&mut self, operation: &str, data: Value) -> Result<Value, ErrorCode> {
        let (key, mut patience) = (key(), Patience::default());
        loop {
            if self.connection.is_none() {
                self.connection = Connection::connect(&self.servers.current(), Some(&self.patient.token)).await.ok();
            }
            match &self.connection {
                None => self.servers.move_on(),
                Some(connection) => match connection.request(operation, &data, Some(key.clone())).await {
                    Ok(reply) => return Ok(reply.data),
                    Err(ClientError::Problem(problem)) if problem.code == ErrorCode::Unavailable => {
                        match problem.outcome.expect("a mutation that failed says what is known of it") {
                            Outcome::NotApplied => self.log.not_applied += 1,
                            Outcome::Unknown => self.log.unknown += 1,
                        }
                    }
                    Err(ClientError::Problem(problem)) => return Err(problem.code),
                    Err(ClientError::Closed { .. } | ClientError::Timeout { .. }) => {
                        self.log.unknown += 1;
                        self.connection = None;
                        self.servers.move_on();
                    }
                    Err(error) => panic!("{error}"),
                },
            }
            patience.rest().await;
        }
    }

    /// SplitMix64.
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}
