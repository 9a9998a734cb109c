//! Group commit: bookings that arrive while writes are under way wait for them, and then go out together as one unordered
//! `insert_many`; holds, and changes of what is there, as one `update`. An idle server sends at once. A busy one sends what waits as soon as it is enough, or an
//! answer has come: a few wait for more before they are sent beside many, since of those whom an answer brings back, the first
//! would travel alone otherwise, and the rest would find every place taken. No timer is set for it.
//!
//! Losers are settled before they are sent, since a batch in which documents lose is several times slower, and since a thousand people after
//! one time are to cost one write. Two that want the same never travel together: the later one waits for what becomes of the
//! earlier one. Then, and wherever a time seems taken, one read looks for all who wait whether it is: it is sent after they have asked, so
//! what it finds was true while they did. It also tells whether one of them is the repetition of a success. Whoever is in nobody's way by
//! it is sent.
//!
//! ```text
//! arrives ── wants what is being written ──▶ behind ──┬── after 250 ms: looks, and is sent alone
//!    │                                                ▼ that is decided
//!    ├────── wants what seems taken ─────────────▶ looks ──▶ refused
//!    │                                                │ free
//!    └────── else ──▶ sent with others ◀──────────────┘
//! ```

mod attempts;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque, hash_map};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use mongodb::Collection;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, serialize_to_raw_document_buf};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use self::attempts::{Attempted, Found};
use self::keys::{Fingerprints, Holder, Key, holders};
use super::cluster::Cluster;
use super::documents::AppointmentDoc;
use super::meters;
use super::write::{Verdict, read, until_decided};
use crate::domain::change::Position;
use crate::error::{Error, Outcome, Result};

/// Most documents of one command: more make everybody in it wait longer than it saves.
const LARGEST_BATCH: usize = 64;
/// Commands of bookings that are under way at the same time, as many of holds, and as many of changes.
const BATCHES: usize = 2;
/// Documents that are under way on their own.
const ALONE: usize = 8;
/// Most documents that one read looks for.
const LARGEST_LOOK: usize = 256;
/// Such reads that are under way at the same time.
const LOOKS: usize = 2;
/// Most of a kind that wait. Beyond that the database is further behind than anybody waits for.
const MOST_WAITING: usize = 8_192;
/// The longest that somebody waits for what becomes of an earlier one, or for more to travel with. After that they try on their own: what
/// is under way may hang.
const BEHIND: Duration = Duration::from_millis(250);
/// The longest that somebody waits for what becomes of their document.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what was taken seems taken: longer than the views are behind.
const SEEMS_TAKEN: Duration = Duration::from_millis(500);

/// Sends bookings together, and holds, and changes.
#[derive(Clone)]
pub(super) struct GroupCommit {
    cluster: Cluster,
    documents: Collection<RawDocumentBuf>,
    fingerprints: Fingerprints,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The last number that was given, to somebody who came or to what was found out.
    sequence: u64,
    queues: [Queue; 5],
    /// Who is the first to want something, or who has it, by its fingerprint.
    wanted: HashMap<u64, Owner>,
    /// Who waits for what becomes of an earlier one.
    behind: HashMap<u64, Vec<Item>>,
    /// What seems taken, the oldest first.
    taken: VecDeque<(Instant, u64, Arc<[u64]>)>,
    /// How many of each kind wait or are under way.
    waiting: [usize; 3],
}

#[derive(Clone, Copy)]
struct Owner {
    number: u64,
    /// It is written, or was found. Otherwise that is still to be decided.
    has_it: bool,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    under_way: Vec<Travelling>,
}

/// A command.
struct Travelling {
    /// Number of its first item.
    first: u64,
    since: Instant,
    items: usize,
}

/// What is next for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Bookings,
    Holds,
    Changes,
    /// It is sent, and nobody with it.
    Alone,
    /// A read.
    Look,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Inserted as it is.
    Booking,
    /// By a statement of an `update`, which inserts it with an end that the database's clock says.
    Hold,
    /// By a statement that puts it in the place of the one that is there.
    Change,
}

struct Item {
    number: u64,
    kind: Kind,
    /// The document or the statement, until it is sent.
    write: RawDocumentBuf,
    keys: Vec<Key>,
    /// Of each key.
    fingerprints: Arc<[u64]>,
    came: Instant,
    answer: oneshot::Sender<Result<Landed>>,
}

/// Of an `update`.
#[derive(Serialize)]
struct Statement<'a> {
    q: &'a Document,
    u: &'a AppointmentDoc,
    upsert: bool,
}

/// Where a document was written, and until when the hold that it is lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub at: Position,
    pub until: Option<DateTime>,
}

/// What became of a document.
pub(super) type Landed = Verdict<Written>;

impl GroupCommit {
    pub(super) fn new(cluster: &Cluster, documents: Collection<RawDocumentBuf>) -> Self {
        Self { cluster: cluster.clone(), documents, fingerprints: Fingerprints::default(), state: Arc::default() }
    }

    /// Inserts a document. `seems_taken`: it probably loses.
    ///
    /// # Errors
    /// `unavailable` when the outcome could not be learnt, or when too many wait.
    pub(super) async fn insert(&self, document: &AppointmentDoc, seems_taken: bool) -> Result<Landed> {
        self.write(Kind::Booking, Key::of(document), raw(document)?, seems_taken).await
    }

    /// Takes a hold: `statement` inserts the document, unless one of its id is there, which collides.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub(super) async fn hold(
        &self,
        document: &AppointmentDoc,
        statement: &Document,
        seems_taken: bool,
    ) -> Result<Landed> {
        self.write(Kind::Hold, Key::of(document), raw(statement)?, seems_taken).await
    }

    /// Puts a document in the place of the one that the guard describes, which has its id: it collides with that where the guard does not
    /// match, for it would be inserted then. Thus each of several statements tells; MongoDB counts only how many have matched.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub(super) async fn replace(&self, guard: &Document, document: &AppointmentDoc) -> Result<Landed> {
        let statement = raw(&Statement { q: guard, u: document, upsert: true })?;
        self.write(Kind::Change, Vec::new(), statement, false).await
    }

    async fn write(&self, kind: Kind, keys: Vec<Key>, write: RawDocumentBuf, seems_taken: bool) -> Result<Landed> {
        let came = Instant::now();
        let fingerprints: Arc<[u64]> = keys.iter().map(|key| self.fingerprints.of(key)).collect();
        let (answer, mut landed) = oneshot::channel();
        let number = {
            let mut state = self.state.lock();
            if !state.let_in(kind) {
                return Err(self.unavailable(Outcome::NotApplied));
            }
            let number = state.next_number();
            state.forget();
            let seems_taken = seems_taken || fingerprints.iter().any(|fingerprint| state.seems_taken(fingerprint));
            state.place(Item { number, kind, write, keys, fingerprints, came, answer }, seems_taken);
            self.send_what_waits(&mut state);
            number
        };
        if let Ok(landed) = timeout(BEHIND, &mut landed).await {
            return landed.unwrap_or_else(|_| Err(self.unavailable(Outcome::Unknown)));
        }
        {
            let mut state = self.state.lock();
            state.step_out(number);
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
        for next in [Next::Bookings, Next::Holds, Next::Changes, Next::Alone, Next::Look] {
            while let Some(batch) = state.take(next) {
                let work = match next {
                    Next::Look => {
                        let keys = state.looked_for(&batch);
                        self.clone().look(batch, keys)
                    }
                    _ => self.clone().send(next, batch),
                };
                // A task of its own: it outlives whoever asked.
                tokio::spawn(work);
            }
        }
    }

    /// Boxed, since what it leads to may send again.
    fn send(self, next: Next, mut batch: Vec<Item>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            meters::GroupCommit::meters().sent(batch.len());
            let writes: Arc<[RawDocumentBuf]> = batch.iter_mut().map(|item| std::mem::take(&mut item.write)).collect();
            // Nobody travels with another kind.
            let kind = batch.first().map_or(Kind::Booking, |item| item.kind);
            let attempt = || attempts::attempt(kind, self.cluster.clone(), self.documents.clone(), writes.clone());
            let decided = until_decided(&self.cluster, attempt).await;
            self.decide(next, batch, decided);
        })
    }

    /// Answers those who were sent, and sends what waits.
    fn decide(&self, next: Next, batch: Vec<Item>, decided: Result<Verdict<Attempted>>) {
        let mut state = self.state.lock();
        state.queues[next as usize].ended(&batch);
        match decided {
            Ok(Verdict::Done { value: (found, at), repeated }) => {
                for (item, found) in batch.into_iter().zip(found) {
                    state.settle(&item, &found);
                    item.answer(found.landed(at, repeated).ok_or_else(|| self.unavailable(Outcome::Unknown)));
                }
            }
            failed => {
                let outcome = match failed {
                    Err(Error::Unavailable { outcome: Some(outcome), .. }) => outcome,
                    _ => Outcome::Unknown,
                };
                for item in batch {
                    let behind = state.leave(&item);
                    state.place_behind(behind, false);
                    item.answer(Err(self.unavailable(outcome)));
                }
            }
        }
        self.send_what_waits(&mut state);
    }

    /// Looks whether somebody has what these want. Whoever finds nothing in their way is sent, and everybody where that cannot be
    /// read: the write decides.
    fn look(self, batch: Vec<Item>, keys: HashSet<Key>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let collection: Collection<Holder> = self.documents.clone_with_type();
            let filter = holders(&keys);
            let found = read(&self.cluster, async move {
                let found = collection.find(filter).projection(Holder::projection()).await?;
                found.map_ok(|holder| holder.keys()).try_collect::<Vec<_>>().await
            });
            let taken: HashSet<Key> = found.await.unwrap_or_default().into_iter().flatten().collect();
            let mut state = self.state.lock();
            state.queues[Next::Look as usize].ended(&batch);
            for item in batch {
                let met = item.wants().filter(|(key, _)| taken.contains(key)).min_by_key(|(key, _)| key.order());
                match met.map(|(key, fingerprint)| (key.collision(), fingerprint)) {
                    Some(((index, value), fingerprint)) => {
                        meters::GroupCommit::meters().settled(1);
                        state.let_out(item.kind);
                        state.note_taken([fingerprint].into());
                        item.answer(Ok(Verdict::Duplicate { index, value, repeated: false }));
                    }
                    // Nobody waits for it any more, and it was never sent.
                    None if item.answer.is_closed() => state.let_out(item.kind),
                    None => state.place(item, false),
                }
            }
            self.send_what_waits(&mut state);
        })
    }
}

fn raw(document: &impl Serialize) -> Result<RawDocumentBuf> {
    serialize_to_raw_document_buf(document).map_err(|error| Error::Internal(error.to_string()))
}

impl Next {
    /// Most that are under way, and most items in each.
    fn limits(self) -> (usize, usize) {
        match self {
            Self::Bookings | Self::Holds | Self::Changes => (BATCHES, LARGEST_BATCH),
            Self::Alone => (ALONE, 1),
            Self::Look => (LOOKS, LARGEST_LOOK),
        }
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Counts one more, unless too many of its kind wait.
    fn let_in(&mut self, kind: Kind) -> bool {
        let waiting = &mut self.waiting[kind as usize];
        if *waiting >= MOST_WAITING {
            return false;
        }
        *waiting += 1;
        meters::GroupCommit::meters().waiting(1.0);
        true
    }

    /// Counts one less.
    fn let_out(&mut self, kind: Kind) {
        let waiting = &mut self.waiting[kind as usize];
        *waiting = waiting.saturating_sub(1);
        meters::GroupCommit::meters().waiting(-1.0);
    }

    fn seems_taken(&self, fingerprint: &u64) -> bool {
        self.wanted.get(fingerprint).is_some_and(|owner| owner.has_it)
    }

    /// Puts an item behind whoever is about to have the same, among those that look whether it is taken, or among those that are
    /// sent next. Whoever has waited for [`BEHIND`] is behind nobody.
    fn place(&mut self, item: Item, seems_taken: bool) {
        let owners = item.fingerprints.iter().filter_map(|fingerprint| self.wanted.get(fingerprint));
        let first = owners.filter(|owner| !owner.has_it).map(|owner| owner.number).next();
        if let Some(first) = first.filter(|_| item.came.elapsed() < BEHIND) {
            return self.behind.entry(first).or_default().push(item);
        }
        let next = match item.kind {
            _ if seems_taken => Next::Look,
            _ if first.is_some() => Next::Alone,
            Kind::Booking => Next::Bookings,
            Kind::Hold => Next::Holds,
            Kind::Change => Next::Changes,
        };
        if next != Next::Look {
            let mine = Owner { number: item.number, has_it: false };
            for fingerprint in item.fingerprints.iter() {
                let owner = self.wanted.entry(*fingerprint).or_insert(mine);
                if owner.has_it {
                    *owner = mine;
                }
            }
        }
        self.queues[next as usize].items.push_back(item);
    }

    /// Lets an item go on its own that waits behind another one.
    fn step_out(&mut self, number: u64) {
        let behind = self.behind.values_mut();
        let mut found = behind.filter_map(|items| {
            let place = items.iter().position(|item| item.number == number)?;
            Some(items.remove(place))
        });
        if let Some(item) = found.next() {
            self.place(item, true);
        }
    }

    /// What is done next, if there is room for it.
    fn take(&mut self, next: Next) -> Option<Vec<Item>> {
        let (most, largest) = next.limits();
        let queue = &mut self.queues[next as usize];
        let first = queue.items.front()?.number;
        if queue.under_way.len() >= most || queue.waits_for_more(&self.behind) {
            return None;
        }
        let items = queue.items.len().min(largest);
        queue.under_way.push(Travelling { first, since: Instant::now(), items });
        Some(queue.items.drain(..items).collect())
    }

    /// What to look for: what the items are, what they want of their doctors, and what else of theirs seems taken.
    fn looked_for(&self, batch: &[Item]) -> HashSet<Key> {
        let wants = batch.iter().flat_map(Item::wants);
        let looked_for = wants
            .filter(|(key, fingerprint)| matches!(key, Key::Id(_) | Key::Claim(..)) || self.seems_taken(fingerprint));
        looked_for.map(|(key, _)| key.clone()).collect()
    }

    /// What an item wants is not about to be its own any more. Returns who waits behind it.
    fn leave(&mut self, item: &Item) -> Vec<Item> {
        self.let_out(item.kind);
        // Whoever has stepped out may want what somebody else came for first.
        self.forget_owned(&item.fingerprints, |owner| owner.number == item.number);
        self.behind.remove(&item.number).unwrap_or_default()
    }

    /// What an attempt has found out about an item. Those behind it look whether it concerns them.
    fn settle(&mut self, item: &Item, found: &Found) {
        let behind = match found {
            Found::Written(_) | Found::Astray => self.settle_written(item),
            Found::Collided { collision, tick } => {
                let behind = self.leave(item);
                let met = item.wants().filter(|(key, _)| key.has_collided(collision, *tick));
                self.note_taken(met.map(|(_, fingerprint)| fingerprint).collect());
                behind
            }
        };
        self.place_behind(behind, true);
    }

    /// What is next for those who were behind one that is decided.
    fn place_behind(&mut self, behind: Vec<Item>, seems_taken: bool) {
        for one in behind {
            match one.answer.is_closed() {
                // Nobody waits for it any more, and it was never sent.
                true => self.let_out(one.kind),
                false => self.place(one, seems_taken),
            }
        }
    }

    /// An item has what it wants, which seems taken for a while: all of it where somebody waits behind it, whom this returns. Otherwise
    /// its first tick will do, by which those after the same time know it.
    fn settle_written(&mut self, item: &Item) -> Vec<Item> {
        let behind = self.leave(item);
        let is_claim = |(key, _): &(&Key, u64)| matches!(key, Key::Claim(..));
        let fingerprints = match behind.is_empty() {
            true => item.wants().find(is_claim).map(|(_, fingerprint)| fingerprint).into_iter().collect(),
            false => item.fingerprints.clone(),
        };
        self.note_taken(fingerprints);
        behind
    }

    /// For a while these seem taken.
    fn note_taken(&mut self, fingerprints: Arc<[u64]>) {
        if fingerprints.is_empty() {
            return;
        }
        let number = self.next_number();
        for fingerprint in fingerprints.iter() {
            let owner = self.wanted.entry(*fingerprint).or_insert(Owner { number, has_it: true });
            if owner.has_it {
                owner.number = number;
            }
        }
        self.taken.push_back((Instant::now(), number, fingerprints));
    }

    /// Ends that while.
    fn forget(&mut self) {
        let now = Instant::now();
        while self.taken.front().is_some_and(|(since, ..)| now - *since > SEEMS_TAKEN) {
            let Some((_, number, fingerprints)) = self.taken.pop_front() else { return };
            self.forget_owned(&fingerprints, |owner| owner.has_it && owner.number == number);
        }
    }

    fn forget_owned(&mut self, fingerprints: &[u64], is_meant: impl Fn(&Owner) -> bool) {
        for fingerprint in fingerprints {
            if let hash_map::Entry::Occupied(owned) = self.wanted.entry(*fingerprint)
                && is_meant(owned.get())
            {
                owned.remove();
            }
        }
    }
}

impl Queue {
    /// Whether fewer wait than four fifths of what the commands under way have on average. Those that may hang do not count, and for somebody
    /// who has waited long, or behind whom others wait, nobody waits for more.
    fn waits_for_more(&self, behind: &HashMap<u64, Vec<Item>>) -> bool {
        let now = Instant::now();
        let young = || self.under_way.iter().filter(|command| now - command.since < BEHIND);
        let (commands, travelling): (usize, usize) = (young().count(), young().map(|command| command.items).sum());
        self.items.len() * commands * 5 < travelling * 4
            && self.items.iter().all(|item| now - item.came < BEHIND && !behind.contains_key(&item.number))
    }

    /// A command is decided.
    fn ended(&mut self, batch: &[Item]) {
        let first = batch.first().map(|item| item.number);
        self.under_way.retain(|command| Some(command.first) != first);
    }
}

impl Item {
    /// What it wants, with the fingerprints.
    fn wants(&self) -> impl Iterator<Item = (&Key, u64)> {
        self.keys.iter().zip(self.fingerprints.iter().copied())
    }

    /// Whoever has gone does not hear it.
    fn answer(self, landed: Result<Landed>) {
        drop(self.answer.send(landed));
    }
}

impl Found {
    /// Nothing where nobody can say what it amounts to.
    fn landed(self, at: Position, repeated: bool) -> Option<Landed> {
        match self {
            Self::Written(until) => Some(Verdict::Done { value: Written { at, until }, repeated }),
            Self::Collided { collision: (index, value), .. } => Some(Verdict::Duplicate { index, value, repeated }),
            Self::Astray => None,
        }
    }
}
