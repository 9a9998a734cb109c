//! Group commit: bookings that arrive while writes are under way wait for them, and then go out together as one unordered
//! `insert_many`. There is no timer: an idle server sends at once, a busy one sends what waits.
//!
//! Losers are settled before they are sent, since a batch in which documents lose is several times slower. Two that want the
//! same never travel together: the later one waits for what becomes of the earlier one. What an attempt finds out holds for
//! whoever asked before it was sent, and is answered without a write; whoever asked later tries as well. Only one thing is left to
//! ask then, for all of them with one read: whether a refused one is the repetition of a success. So a thousand people after one
//! time cost a few inserts, and others do not feel them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use mongodb::Collection;
use mongodb::bson::{Bson, RawDocumentBuf, Uuid, doc, serialize_to_raw_document_buf};
use mongodb::error::{Error as DriverError, ErrorKind};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::appointments::{CLAIMS_INDEX, PRIMARY_INDEX, SHARED_INDEX};
use super::cluster::Cluster;
use super::documents::{AppointmentDoc, Claim};
use super::failure::{DUPLICATE_KEY, Failure, duplicate, tick_of};
use super::meters;
use super::whole::reached;
use super::write::{Verdict, read, until_decided};
use crate::domain::change::Position;
use crate::error::{Error, Outcome, Result};

/// Most documents of one `insert_many`: more make everybody in it wait longer than it saves.
const LARGEST_BATCH: usize = 64;
/// Batches that are under way at the same time.
const BATCHES: usize = 2;
/// Documents that are under way on their own.
const ALONE: usize = 8;
/// Most that wait. Beyond that the database is further behind than anybody waits for.
const MOST_WAITING: usize = 8_192;
/// The longest that somebody waits for what becomes of an earlier one. After that they try on their own: it may hang.
const BEHIND: Duration = Duration::from_millis(250);
/// The longest that somebody waits for what becomes of their document.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends bookings together.
#[derive(Clone)]
pub(super) struct GroupCommit {
    cluster: Cluster,
    documents: Collection<RawDocumentBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What arrives, and what is sent, in one order.
    events: u64,
    /// What is sent with others, and what is not.
    queues: [Queue; 2],
    /// Who is the first to want something.
    wanted: HashMap<Key, u64>,
    /// Who waits for what becomes of an earlier one.
    behind: HashMap<u64, Vec<Item>>,
    waiting: usize,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    under_way: usize,
}

/// How a document travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travel {
    Together,
    /// On its own: it probably loses.
    Alone,
}

struct Item {
    /// When it arrived.
    arrival: u64,
    travel: Travel,
    id: Uuid,
    /// Until it is sent.
    document: RawDocumentBuf,
    keys: Arc<[Key]>,
    answer: oneshot::Sender<Result<Landed>>,
}

/// Something of which there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Id(Uuid),
    /// Of a doctor.
    Claim(Uuid, Claim),
    Shared(Vec<u8>),
}

#[derive(Deserialize)]
struct Known {
    #[serde(rename = "_id")]
    id: Uuid,
}

/// The index and the value, as [`Failure::Duplicate`] has them.
type Collision = (String, Option<String>);

/// What became of a document.
pub(super) type Landed = Verdict<Position>;

/// What an attempt found out about one of its documents.
#[derive(Clone, Debug)]
enum Found {
    Inserted,
    /// As [`Failure::Duplicate`] has it; `tick`: where that collided.
    Collided {
        index: String,
        value: Option<String>,
        tick: Option<i32>,
    },
}

impl GroupCommit {
    pub(super) fn new(cluster: &Cluster, documents: Collection<RawDocumentBuf>) -> Self {
        Self { cluster: cluster.clone(), documents, state: Arc::default() }
    }

    /// Inserts a document.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt, or when too many wait.
    pub(super) async fn insert(&self, document: &AppointmentDoc, travel: Travel) -> Result<Landed> {
        let (id, keys) = (document.id, keys(document).into());
        let document = serialize_to_raw_document_buf(document).map_err(|error| Error::Internal(error.to_string()))?;
        let (answer, mut landed) = oneshot::channel();
        let arrival = {
            let mut state = self.state.lock();
            if state.waiting >= MOST_WAITING {
                return Err(self.unavailable(Outcome::NotApplied));
            }
            state.wait(1);
            let arrival = state.next_event();
            state.place(Item { arrival, travel, id, document, keys, answer });
            self.send_what_waits(&mut state);
            arrival
        };
        if let Ok(landed) = timeout(BEHIND, &mut landed).await {
            return landed.unwrap_or_else(|_| Err(self.unavailable(Outcome::Unknown)));
        }
        {
            let mut state = self.state.lock();
            state.step_out(arrival);
            self.send_what_waits(&mut state);
        }
        match timeout(PATIENCE - BEHIND, landed).await {
            Ok(Ok(landed)) => landed,
            // It may be written yet.
            Ok(Err(_)) | Err(_) => Err(self.unavailable(Outcome::Unknown)),
        }
    }

    fn unavailable(&self, outcome: Outcome) -> Error {
        Error::Unavailable { cluster: self.cluster.name, outcome: Some(outcome) }
    }

    fn send_what_waits(&self, state: &mut State) {
        for (travel, most, largest) in [(Travel::Together, BATCHES, LARGEST_BATCH), (Travel::Alone, ALONE, 1)] {
            while let Some(batch) = state.take(travel, most, largest) {
                let sent = state.next_event();
                // A task of its own: it outlives whoever asked.
                tokio::spawn(self.clone().send(travel, batch, sent));
            }
        }
    }

    /// Boxed, since what it leads to may send again.
    fn send(self, travel: Travel, mut batch: Vec<Item>, sent: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            meters::GroupCommit::meters().sent(batch.len());
            let documents = batch.iter_mut().map(|item| std::mem::take(&mut item.document));
            let documents: Arc<[RawDocumentBuf]> = documents.collect();
            let decided = until_decided(&self.cluster, || insert(self.clone(), documents.clone())).await;
            let refused = self.decide(travel, batch, sent, decided);
            if !refused.is_empty() {
                self.refuse(refused).await;
            }
        })
    }

    /// Answers those who were sent, and sends what waits. Returns those for whom it is decided as well.
    fn decide(
        &self,
        travel: Travel,
        batch: Vec<Item>,
        sent: u64,
        decided: Result<Verdict<(Vec<Found>, Position)>>,
    ) -> Vec<(Item, Collision)> {
        let mut refused = Vec::new();
        let mut state = self.state.lock();
        state.queues[travel as usize].under_way -= 1;
        match decided {
            Ok(Verdict::Done { value: (found, at), repeated }) => {
                for (item, found) in batch.into_iter().zip(found) {
                    refused.extend(state.settle(&item, &found, sent));
                    item.answer(Ok(found.landed(at, repeated)));
                }
            }
            failed => {
                let outcome = match failed {
                    Err(Error::Unavailable { outcome: Some(outcome), .. }) => outcome,
                    _ => Outcome::Unknown,
                };
                for item in batch {
                    state.leave(&item).into_iter().for_each(|one| state.place(one));
                    item.answer(Err(self.unavailable(outcome)));
                }
            }
        }
        self.send_what_waits(&mut state);
        refused
    }

    /// Answers those who need not be sent, unless one of them was before: then it is a repetition.
    async fn refuse(&self, refused: Vec<(Item, Collision)>) {
        meters::GroupCommit::meters().settled(refused.len());
        let ids: Vec<Uuid> = refused.iter().map(|(item, _)| item.id).collect();
        let documents: Collection<Known> = self.documents.clone_with_type();
        let known = read(&self.cluster, async move {
            let found = documents.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 }).await?;
            found.map_ok(|known| known.id).try_collect().await
        });
        let known: Result<HashSet<Uuid>> = known.await;
        for (item, (index, value)) in refused {
            let landed = match &known {
                Ok(known) if known.contains(&item.id) => Ok((PRIMARY_INDEX.to_owned(), None)),
                Ok(_) => Ok((index, value)),
                Err(_) => Err(self.unavailable(Outcome::NotApplied)),
            };
            item.answer(landed.map(|(index, value)| Verdict::Duplicate { index, value, repeated: false }));
        }
    }
}

impl State {
    fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    fn wait(&mut self, more: isize) {
        self.waiting = self.waiting.saturating_add_signed(more);
        meters::GroupCommit::meters().waiting(more as f64);
    }

    /// Puts an item behind whoever wants the same, or among those that are sent next.
    fn place(&mut self, item: Item) {
        if let Some(first) = item.keys.iter().find_map(|key| self.wanted.get(key)) {
            self.behind.entry(*first).or_default().push(item);
            return;
        }
        self.wanted.extend(item.keys.iter().map(|key| (key.clone(), item.arrival)));
        self.queues[item.travel as usize].items.push_back(item);
    }

    /// Lets an item go on its own that waits behind another one.
    fn step_out(&mut self, arrival: u64) {
        let behind = self.behind.values_mut();
        let mut found = behind.filter_map(|items| {
            let place = items.iter().position(|item| item.arrival == arrival)?;
            Some(items.remove(place))
        });
        if let Some(item) = found.next() {
            self.queues[Travel::Alone as usize].items.push_back(item);
        }
    }

    /// What is sent next, if there is room for it.
    fn take(&mut self, travel: Travel, most: usize, largest: usize) -> Option<Vec<Item>> {
        let queue = &mut self.queues[travel as usize];
        if queue.items.is_empty() || queue.under_way >= most {
            return None;
        }
        queue.under_way += 1;
        let count = queue.items.len().min(largest);
        Some(queue.items.drain(..count).collect())
    }

    /// What an item wants is nobody's. Returns who waits behind it.
    fn leave(&mut self, item: &Item) -> Vec<Item> {
        self.wait(-1);
        for key in item.keys.iter() {
            // Whoever has stepped out may want what somebody else came for first.
            if self.wanted.get(key) == Some(&item.arrival) {
                self.wanted.remove(key);
            }
        }
        self.behind.remove(&item.arrival).unwrap_or_default()
    }

    /// What an attempt means for others. Returns those for whom it is decided; the others behind it have their turn.
    fn settle(&mut self, item: &Item, found: &Found, sent: u64) -> Vec<(Item, Collision)> {
        let behind = self.leave(item);
        let alone = std::mem::take(&mut self.queues[Travel::Alone as usize].items);
        let decided = |one: &Item| found.against(&item.keys, &one.keys).filter(|_| one.arrival < sent);
        let mut refused = Vec::new();
        for one in behind {
            match decided(&one) {
                Some(collision) => {
                    self.wait(-1);
                    refused.push((one, collision));
                }
                // Nobody waits for it any more, and it was never sent.
                None if one.answer.is_closed() => self.wait(-1),
                None => self.place(one),
            }
        }
        for one in alone {
            match decided(&one) {
                Some(collision) => {
                    self.leave(&one).into_iter().for_each(|one| self.place(one));
                    refused.push((one, collision));
                }
                None => self.queues[Travel::Alone as usize].items.push_back(one),
            }
        }
        refused
    }
}

impl Item {
    /// Whoever has gone does not hear it.
    fn answer(self, landed: Result<Landed>) {
        drop(self.answer.send(landed));
    }
}

impl Found {
    fn landed(self, at: Position, repeated: bool) -> Landed {
        match self {
            Self::Inserted => Verdict::Done { value: at, repeated },
            Self::Collided { index, value, .. } => Verdict::Duplicate { index, value, repeated },
        }
    }

    /// The index, and what collides there, that is against whoever is behind: they want what was inserted, or what it collided with.
    fn against(&self, own: &[Key], theirs: &[Key]) -> Option<Collision> {
        match self {
            // In the order in which the database would look.
            Self::Inserted => {
                theirs.iter().filter(|key| own.contains(key)).min_by_key(|key| key.order()).map(Key::collision)
            }
            Self::Collided { index, value, tick } => {
                let collision = (index.clone(), value.clone());
                let met = own.iter().find(|key| match key {
                    Key::Claim(_, Claim::Tick(own)) => *tick == Some(*own) && index == CLAIMS_INDEX,
                    _ => key.collision() == collision,
                })?;
                theirs.contains(met).then_some(collision)
            }
        }
    }
}

impl Key {
    /// Which collision is told where there are several.
    fn order(&self) -> u8 {
        match self {
            Self::Id(_) => 0,
            Self::Claim(_, Claim::Tick(_)) => 1,
            Self::Claim(_, Claim::Place(_)) => 2,
            Self::Shared(_) => 3,
        }
    }

    /// As [`Failure::Duplicate`] would tell it.
    fn collision(&self) -> Collision {
        match self {
            Self::Id(_) => (PRIMARY_INDEX.to_owned(), None),
            Self::Claim(_, Claim::Tick(_)) => (CLAIMS_INDEX.to_owned(), None),
            Self::Claim(_, Claim::Place(place)) => (CLAIMS_INDEX.to_owned(), Some(place.clone())),
            Self::Shared(bytes) => {
                (SHARED_INDEX.to_owned(), Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect()))
            }
        }
    }
}

fn keys(document: &AppointmentDoc) -> Vec<Key> {
    let claims = document.claims.iter().flatten().map(|claim| Key::Claim(document.doctor_id, claim.clone()));
    let shared = document.shared.iter().flatten().filter_map(|claim| match claim {
        Bson::Binary(binary) => Some(Key::Shared(binary.bytes.clone())),
        _ => None,
    });
    std::iter::once(Key::Id(document.id)).chain(claims).chain(shared).collect()
}

/// One attempt. That some of the documents collide decides on them, and is no failure of the others.
async fn insert(to: GroupCommit, documents: Arc<[RawDocumentBuf]>) -> Result<(Vec<Found>, Position), DriverError> {
    let mut session = to.cluster.session().await?;
    let mut found = vec![Found::Inserted; documents.len()];
    let sent = to.documents.insert_many(documents.iter()).ordered(false).session(&mut session).await;
    if let Err(error) = sent {
        let ErrorKind::InsertMany(many) = error.kind.as_ref() else { return Err(error) };
        let errors = many.write_errors.as_deref().unwrap_or_default();
        let decided = many.write_concern_error.is_none() && !errors.is_empty();
        if !decided || errors.iter().any(|error| error.code != DUPLICATE_KEY) {
            // What became of the others is not known.
            return Err(DriverError::custom("not all of a batch was decided"));
        }
        for error in errors {
            if let (Some(place), Failure::Duplicate { index, value }) =
                (found.get_mut(error.index), duplicate(&error.message))
            {
                *place = Found::Collided { index, value, tick: tick_of(&error.message) };
            }
        }
    }
    Ok((found, reached(&session)))
}
