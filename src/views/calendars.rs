//! The calendars of the doctors that somebody asks for: loaded when first needed, kept by the feed. Where there is no room for more, those that
//! nobody has asked for the longest are dropped.
//!
//! Readers get a calendar as it is at one position, and compute on it without holding a lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use dashmap::DashMap;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::calendar::Calendar;
use super::meters::Meters;
use super::ring::Ring;
use crate::domain::change::{Change, Commit, Position};
use crate::domain::entry;
use crate::domain::ids::DoctorId;
use crate::error::Error;

/// Reads a doctor's calendar from the database, true at the position that it holds. `None`: no such doctor.
pub type Loader = Box<dyn Fn(DoctorId) -> BoxFuture<'static, Result<Option<Calendar>, Error>> + Send + Sync>;

/// Where the bound is passed, so much of it is made free at once: whoever comes next need not look for the longest unused again.
const SPARE: usize = 8;
/// A snapshot that is older than the ring is read again this often.
const LOAD_ATTEMPTS: usize = 3;

/// The ring and the calendars, which change together.
pub struct Calendars {
    state: Mutex<State>,
    loader: Loader,
    /// Joins concurrent loads of one doctor.
    loading: DashMap<DoctorId, Arc<tokio::sync::Mutex<()>>>,
    meters: Meters,
}

struct State {
    ring: Ring,
    kept: HashMap<DoctorId, Kept>,
    uses: u64,
    /// How many need a doctor's calendar all the time.
    watched: HashMap<DoctorId, usize>,
    /// Of all that are kept.
    bytes: usize,
    limit: usize,
    /// Up to so many bytes there is nothing to drop: the last look left more than the limit.
    in_vain: usize,
}

/// Somebody who needs a doctor's calendar for as long as this lives: it is not dropped to make room.
pub struct Watched {
    calendars: Arc<Calendars>,
    doctor: DoctorId,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = self.calendars.state.lock();
        let state = &mut *state;
        if let Entry::Occupied(mut count) = state.watched.entry(self.doctor) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
                state.in_vain = 0;
            }
        }
    }
}

/// Somebody who loads a calendar, or waits for whoever does. The last to leave, in whatever way, takes the place along.
struct Loading<'a> {
    calendars: &'a Calendars,
    doctor: DoctorId,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        // One for the place itself, one for this.
        self.calendars.loading.remove_if(&self.doctor, |_, turn| Arc::strong_count(turn) <= 2);
    }
}

struct Kept {
    calendar: Arc<Calendar>,
    last_use: u64,
}

impl Calendars {
    /// A ring of at most `ring_bytes`, and no calendars yet; of about `limit` bytes at most, but for those that are watched.
    #[must_use]
    pub fn new(loader: Loader, ring_bytes: usize, limit: usize) -> Self {
        let (kept, watched) = (HashMap::new(), HashMap::new());
        let state = State { ring: Ring::new(ring_bytes), kept, uses: 0, watched, bytes: 0, limit, in_vain: 0 };
        Self { state: Mutex::new(state), loader, loading: DashMap::new(), meters: Meters::default() }
    }

    /// A doctor's calendar as this node has it. `None`: there is no such doctor.
    ///
    /// # Errors
    /// `unavailable` when it had to be read and the cluster does not answer.
    pub async fn get(&self, doctor: DoctorId) -> Result<Option<Arc<Calendar>>, Error> {
        if let Some(calendar) = self.kept(doctor) {
            return Ok(Some(calendar));
        }
        let loading = Loading { calendars: self, doctor, turn: self.loading.entry(doctor).or_default().clone() };
        let _turn = loading.turn.lock().await;
        match self.kept(doctor) {
            Some(calendar) => Ok(Some(calendar)),
            None => self.load(doctor).await,
        }
    }

    /// A doctor's calendar if it is kept.
    #[must_use]
    pub fn kept(&self, doctor: DoctorId) -> Option<Arc<Calendar>> {
        let mut state = self.state.lock();
        state.uses += 1;
        let uses = state.uses;
        state.kept.get_mut(&doctor).map(|kept| {
            kept.last_use = uses;
            kept.calendar.clone()
        })
    }

    /// Keeps a doctor's calendar from being dropped to make room, for as long as what is returned lives.
    #[must_use]
    pub fn watch(self: &Arc<Self>, doctor: DoctorId) -> Watched {
        *self.state.lock().watched.entry(doctor).or_default() += 1;
        Watched { calendars: self.clone(), doctor }
    }

    async fn load(&self, doctor: DoctorId) -> Result<Option<Arc<Calendar>>, Error> {
        for _ in 0..LOAD_ATTEMPTS {
            self.meters.loading();
            let Some(calendar) = (self.loader)(doctor).await? else { return Ok(None) };
            if let Some(calendar) = self.state.lock().keep(doctor, calendar) {
                return Ok(Some(calendar));
            }
        }
        Err(Error::unreadable(crate::error::ClusterName::Appointments))
    }

    /// Applies a commit to the ring and to every calendar that it touches.
    pub fn apply(&self, commit: Arc<Commit>) {
        let mut state = self.state.lock();
        for doctor in state.concerned(&commit) {
            let Some(kept) = state.kept.get_mut(&doctor) else { continue };
            // In place, unless somebody is reading it at this moment.
            let calendar = Arc::make_mut(&mut kept.calendar);
            let before = calendar.bytes();
            calendar.apply(&commit);
            let (after, is_whole) = (calendar.bytes(), calendar.is_whole());
            state.bytes = state.bytes - before + after;
            if !is_whole {
                // It knows nothing of a room that the doctor uses from now on: it is read again when next needed.
                state.forget(doctor);
            }
        }
        state.make_room();
        state.ring.push(commit);
    }

    /// Notes that there was nothing more up to `position`.
    pub fn advance(&self, position: Position) {
        self.state.lock().ring.advance(position);
    }

    /// Forgets everything and goes on after `position`.
    pub fn reset(&self, position: Position) {
        let mut state = self.state.lock();
        state.kept.clear();
        (state.bytes, state.in_vain) = (0, 0);
        state.ring.reset(position);
    }

    /// The commits after `position`; `None` when that cannot be told.
    #[must_use]
    pub fn after(&self, position: Position) -> Option<Vec<Arc<Commit>>> {
        self.news(position, usize::MAX).map(|(commits, _)| commits)
    }

    /// The commits after `position`, the first `most` of them, and how far they reach; `None` when that cannot be told.
    #[must_use]
    pub fn news(&self, position: Position, most: usize) -> Option<(Vec<Arc<Commit>>, Position)> {
        let state = self.state.lock();
        let commits: Vec<_> = state.ring.after(position)?.take(most).cloned().collect();
        let last = commits.last().filter(|_| commits.len() == most);
        let reached = last.map_or_else(|| state.ring.position(), |last| last.at);
        Some((commits, reached))
    }

    /// Sets the gauges of what is held.
    pub fn tell(&self) {
        let state = self.state.lock();
        let (calendars, calendar_bytes, (commits, bytes)) = (state.kept.len(), state.bytes, state.ring.size());
        drop(state);
        self.meters.held(calendars, calendar_bytes, bytes, commits);
    }

    /// What the calendars take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// How far the ring has come.
    #[must_use]
    pub fn position(&self) -> Position {
        self.state.lock().ring.position()
    }
}

impl State {
    /// The doctors whose calendars a commit changes, as far as they are kept.
    fn concerned(&self, commit: &Commit) -> Vec<DoctorId> {
        let mut doctors: Vec<DoctorId> = commit.changes.iter().filter_map(Change::doctor).collect();
        let shared: Vec<&entry::Entry> = commit.entries().filter(|entry| entry.resources().next().is_some()).collect();
        if !shared.is_empty() {
            let users = self.kept.iter().filter(|(_, kept)| shared.iter().any(|entry| kept.calendar.uses(entry)));
            doctors.extend(users.map(|(doctor, _)| *doctor));
        }
        doctors
    }

    /// Brings a loaded calendar up to the ring's position and keeps it. `None` when the ring cannot bridge the gap.
    fn keep(&mut self, doctor: DoctorId, mut calendar: Calendar) -> Option<Arc<Calendar>> {
        if calendar.position() < self.ring.position() {
            for commit in self.ring.after(calendar.position())? {
                calendar.apply(commit);
            }
            if !calendar.is_whole() {
                return None;
            }
        }
        let calendar = Arc::new(calendar);
        self.uses += 1;
        self.bytes += calendar.bytes();
        self.kept.insert(doctor, Kept { calendar: calendar.clone(), last_use: self.uses });
        self.make_room();
        Some(calendar)
    }

    fn forget(&mut self, doctor: DoctorId) {
        if let Some(kept) = self.kept.remove(&doctor) {
            self.bytes -= kept.calendar.bytes();
            self.in_vain = 0;
        }
    }

    /// Drops the longest unused, but those that are watched and the one that was used last. Where that was not enough, it looks
    /// again once there is as much more as it makes free at a time: every commit comes here.
    fn make_room(&mut self) {
        if self.bytes <= self.limit.max(self.in_vain) {
            return;
        }
        let unwatched =
            self.kept.iter().filter(|(doctor, kept)| !self.watched.contains_key(doctor) && kept.last_use < self.uses);
        let mut idle: Vec<(u64, DoctorId)> = unwatched.map(|(doctor, kept)| (kept.last_use, *doctor)).collect();
        idle.sort_unstable();
        let enough = self.limit - self.limit / SPARE;
        for (_, doctor) in idle {
            if self.bytes <= enough {
                break;
            }
            self.forget(doctor);
        }
        if self.bytes > self.limit {
            self.in_vain = self.bytes + self.limit / SPARE;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn news_come_in_pieces_that_say_how_far_they_reach() {
        let calendars = Calendars::new(Box::new(|_| async { Ok(None) }.boxed()), 1_000, 0);
        let news = |after, most| {
            let (commits, reached) = calendars.news(Position(after), most)?;
            Some((commits.iter().map(|commit| commit.at.0).collect::<Vec<_>>(), reached.0))
        };
        calendars.reset(Position(5));
        assert_eq!(news(5, 2), Some((vec![], 5)));
        for at in [6, 8, 9] {
            calendars.apply(Arc::new(Commit { at: Position(at), changes: Vec::new(), bytes: 10 }));
        }
        calendars.advance(Position(20));
        assert_eq!(news(5, 2), Some((vec![6, 8], 8)));
        assert_eq!(news(8, 2), Some((vec![9], 20)));
        assert_eq!(news(5, 3), Some((vec![6, 8, 9], 9)), "whether there is more shows with the next");
        assert_eq!((news(4, 2), news(21, 2)), (None, None));
    }
}
