//! The meeting point: commits come in from the feed in order, and go out to whoever watches what they change.
//!
//! One lock orders commits and subscriptions, so that a subscription sees each commit either in its snapshot or as a
//! change, never both and never neither. What is done under it is computed from memory.

mod doctors;
mod groups;
mod reviews;
mod sessions;
mod slots;
mod waitlist;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use dashmap::DashMap;
use jiff::Timestamp;
use jiff::civil::Date;
use parking_lot::Mutex;

use self::groups::{Group, Member, enter, exit};
use super::cursor::Cursor;
use super::frame::Frame;
use super::meters::Meters;
use super::outbox::{Ending, Outbox};
use super::project::{self, Update};
use super::subscriptions::Subscriptions;
use super::topic::Topic;
use super::writer::write_soon;
use crate::clock::Clock;
use crate::domain::access::{self, Object};
use crate::domain::account::{Role, Viewer};
use crate::domain::change::{Change, Commit, FeedEvent, Position};
use crate::domain::doctor::Doctor;
use crate::domain::entry::Entry;
use crate::domain::ids::{DoctorId, ServiceId, SessionId, UserId};
use crate::domain::refusal::Refusal;
use crate::spans;
use crate::views::calendar::Calendar;
use crate::views::calendars::Calendars;
use crate::views::committed::{Committed, Positions};
use crate::views::revocations::Revocations;
use crate::views::ring::Ring;

/// What a topic tells its subscribers, to be written as frames.
pub enum Message<'a> {
    /// All items, in as many parts as it takes.
    Snapshot(&'a Update),
    Change(&'a Update),
    /// Forget the items.
    Reset,
    /// The right to the topic is gone: nothing more of it comes.
    Ended(&'a Refusal),
}

/// Writes a message of a topic as frames; given by the room that knows the wire.
pub type Encode = fn(topic: &str, message: Message<'_>, cursor: &str) -> Vec<Frame>;

/// Identifies a connection among the subscribers of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriberId(pub u64);

/// Who subscribes, and what they are told first.
pub struct Subscriber<'a> {
    pub id: SubscriberId,
    pub outbox: &'a Arc<Outbox>,
    /// What the connection is subscribed to: of each name once, the latest.
    pub subscriptions: &'a Arc<Subscriptions>,
    /// Who watches: what they may see is asked again when that changes.
    pub viewer: Arc<Viewer>,
    /// The frame that answers the request, by whether it is resumed.
    pub opening: &'a (dyn Fn(bool) -> Frame + Sync),
}

impl Subscriber<'_> {
    fn may_see(&self, doctor: &Doctor) -> bool {
        sees(&self.viewer, doctor)
    }
}

/// A snapshot is older than what is remembered: read it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld;

/// The meeting point of commits and subscriptions.
pub struct Hub {
    state: Mutex<State>,
    calendars: Arc<Calendars>,
    committed: Arc<Committed>,
    revocations: Arc<Revocations>,
    /// The connections of each session.
    sessions: DashMap<SessionId, Vec<(SubscriberId, Arc<Outbox>)>>,
    encode: Encode,
    clock: Clock,
    /// Which history cursors belong to.
    epoch: u32,
    /// Idle connections to which the present commit has something to say.
    idle: Mutex<Vec<Arc<Outbox>>>,
    meters: Arc<Meters>,
}

struct State {
    slots: HashMap<DoctorId, HashMap<View, Group>>,
    calendars: HashMap<DoctorId, HashMap<(Timestamp, Timestamp), Group>>,
    doctors: HashMap<DoctorId, HashMap<(), Group>>,
    reviews: HashMap<DoctorId, HashMap<(), Group>>,
    waitlists: HashMap<DoctorId, HashMap<(), Group>>,
    mine: HashMap<UserId, HashMap<(), Group>>,
    my_waitlists: HashMap<UserId, HashMap<(), Group>>,
    sessions: HashMap<UserId, HashMap<(), Group>>,
    /// The latest commits of the users cluster: they join a snapshot to what is pushed.
    users: Ring,
    views: Arc<Calendars>,
    meters: Arc<Meters>,
}

/// What is known of a doctor's watched slots before a commit.
enum Before {
    /// The calendar is not in memory.
    Dropped,
    /// The calendar has the commit already.
    ReadAgain,
    /// The zone of the dates, and the slots that the commit may change. `None`: there is no such service.
    Slots { zone: String, slots: Vec<(View, Option<Vec<project::LiveSlot>>)> },
}

/// What is watched of a doctor's slots: those of a service on a date.
type View = (ServiceId, Date);

/// Whether somebody may know of a doctor.
fn sees(viewer: &Viewer, doctor: &Doctor) -> bool {
    doctor.is_approved() || access::authorise(access::DRAFT, viewer, Object::of_calendar(doctor)).is_ok()
}

/// Whether somebody may watch a doctor's appointments.
fn calendar_right(viewer: &Viewer, doctor: &Doctor) -> Result<(), Refusal> {
    access::authorise(access::CALENDAR_TOPIC, viewer, Object::of_calendar(doctor))
}

impl Hub {
    #[must_use]
    pub fn new(
        calendars: Arc<Calendars>,
        committed: Arc<Committed>,
        revocations: Arc<Revocations>,
        encode: Encode,
        clock: Clock,
        epoch: u32,
    ) -> Self {
        let (meters, sessions) = (Arc::new(Meters::default()), DashMap::new());
        let state = Mutex::new(State::new(meters.clone(), calendars.clone()));
        Self {
            state,
            calendars,
            committed,
            revocations,
            sessions,
            encode,
            clock,
            epoch,
            idle: Mutex::default(),
            meters,
        }
    }

    /// Takes in what the feed of the appointments cluster tells.
    pub fn appointments(&self, event: FeedEvent) {
        let mut state = self.state.lock();
        match event {
            FeedEvent::Commit(commit) => {
                let began = Instant::now();
                let _span = spans::push(commit.at, commit.changes.len()).entered();
                let commit = Arc::new(commit);
                self.push_doctors(&mut state, &commit);
                let before = self.slots_before(&state, &commit);
                self.calendars.apply(commit.clone());
                self.push_appointments(&state, &commit);
                self.push_reviews(&state, &commit);
                self.push_waitlists(&state, &commit);
                self.push_slots(&mut state, before, commit.at);
                self.committed.appointments(commit.at);
                drop(state);
                self.write_soon();
                self.meters.pushed_commit(began.elapsed());
            }
            FeedEvent::Position(position) => {
                self.calendars.advance(position);
                self.committed.appointments(position);
            }
            FeedEvent::Lost(position) => {
                self.calendars.reset(position);
                self.committed.appointments(position);
                state.end_all(Ending::Lost);
            }
        }
    }

    /// Queues frames for a member. Who was idle is written to once the commit has been told to everybody.
    fn tell(&self, member: &Member, frames: &[Frame]) {
        // Each of them is pushed, the first of which may find nothing before it.
        let idle = frames.iter().fold(false, |idle, frame| member.outbox.push(frame.clone()) | idle);
        if idle {
            self.idle.lock().push(member.outbox.clone());
        }
    }

    /// Has written what was queued for those who were idle.
    fn write_soon(&self) {
        write_soon(std::mem::take(&mut *self.idle.lock()));
    }

    /// Ends the connections of a session and remembers that it has ended.
    pub fn revoke(&self, session: SessionId) {
        self.revocations.insert(session, self.clock.now());
        for (_, outbox) in self.sessions.remove(&session).map(|(_, list)| list).into_iter().flatten() {
            outbox.end(Ending::SessionRevoked);
        }
    }

    /// Ends every connection of somebody known: what their tokens were signed with is believed no more, and which it was is not
    /// remembered. Their clients come back with new tokens.
    pub fn end_known(&self) {
        for entry in &self.sessions {
            entry.value().iter().for_each(|(_, outbox)| outbox.end(Ending::TokenInvalid));
        }
    }

    /// Ends the connections of every session that is known to have ended: for after revocations were read rather than told.
    pub fn end_revoked(&self) {
        let open: Vec<SessionId> = self.sessions.iter().map(|entry| *entry.key()).collect();
        for session in open.into_iter().filter(|session| self.revocations.contains(*session)) {
            self.revoke(session);
        }
    }

    /// Whether a session is known here to have ended.
    #[must_use]
    pub fn has_ended(&self, session: SessionId) -> bool {
        self.revocations.contains(session)
    }

    /// Notes that a connection belongs to a session, so that it ends with it.
    pub fn connected(&self, session: SessionId, id: SubscriberId, outbox: &Arc<Outbox>) {
        self.sessions.entry(session).or_default().push((id, outbox.clone()));
        if self.revocations.contains(session) {
            outbox.end(Ending::SessionRevoked);
        }
    }

    /// Forgets a connection of a session.
    pub fn disconnected(&self, session: SessionId, id: SubscriberId) {
        if let Some(mut connections) = self.sessions.get_mut(&session) {
            connections.retain(|(other, _)| *other != id);
        }
        self.sessions.remove_if(&session, |_, connections| connections.is_empty());
    }

    /// The cursor of everything that has been pushed on this node.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, positions: self.committed.now() }
    }

    /// Queues a frame that tells the cursor of everything that has been pushed. Not in the middle of a subscription that is
    /// being made, whose own frames may be older.
    pub fn tell_position(&self, outbox: &Outbox, frame: impl FnOnce(&str) -> Frame) {
        let _between_commits_and_subscriptions = self.state.lock();
        outbox.send(frame(&self.cursor().to_string()));
    }

    /// Whether a cursor belongs to this history.
    #[must_use]
    pub fn knows(&self, cursor: Cursor) -> bool {
        cursor.epoch == self.epoch
    }

    /// The cursor of a position in the appointments cluster.
    #[must_use]
    pub fn cursor_at(&self, position: Position) -> Cursor {
        Cursor { epoch: self.epoch, positions: Positions::of_appointments(position) }
    }

    /// The cursor of a position in the users cluster.
    #[must_use]
    pub fn cursor_of_users(&self, position: Position) -> Cursor {
        Cursor { epoch: self.epoch, positions: Positions::of_users(position) }
    }

    /// The cursor of a position in the cluster that a topic draws from.
    fn cursor_of(&self, topic: &Topic, at: Position) -> Cursor {
        match topic {
            Topic::MySessions { .. } => self.cursor_of_users(at),
            _ => self.cursor_at(at),
        }
    }

    /// Waits until this node has seen a cursor, at most 2 s. Returns whether it has.
    pub async fn wait_for(&self, cursor: Cursor) -> bool {
        self.knows(cursor) && self.committed.wait_for(cursor.positions).await
    }

    /// Continues a topic of appointments, of reviews or of a waitlist after a cursor: `false` when what was missed can no longer be told.
    pub fn resume(&self, topic: &Topic, after: Cursor, subscriber: &Subscriber<'_>) -> bool {
        let mut state = self.state.lock();
        let Some(missed) = self.missed(after).filter(|_| self.may_watch(topic, subscriber)) else { return false };
        subscriber.outbox.send((subscriber.opening)(true));
        self.meters.resumed(topic);
        self.tell_missed(topic, &missed, subscriber.outbox);
        state.join(topic, subscriber, self.calendars.position());
        true
    }

    /// Starts such a topic with a snapshot that is true at `at`.
    ///
    /// # Errors
    /// [`TooOld`]: nothing was sent; read the snapshot again.
    pub fn start(
        &self,
        topic: &Topic,
        at: Position,
        snapshot: &Update,
        reset: bool,
        subscriber: &Subscriber<'_>,
    ) -> Result<(), TooOld> {
        let mut state = self.state.lock();
        if !self.may_watch(topic, subscriber) {
            return Err(TooOld);
        }
        let position = self.calendars.position();
        let since = if at < position { self.calendars.after(at).ok_or(TooOld)? } else { Vec::new() };
        subscriber.outbox.send((subscriber.opening)(false));
        self.send_snapshot(topic, snapshot, at, reset, subscriber.outbox);
        self.tell_missed(topic, &since, subscriber.outbox);
        state.join(topic, subscriber, at.max(position));
        Ok(())
    }

    /// Whether staff still act for the doctor whose calendar is about to be joined, and whether the doctor is still shown whose
    /// reviews are: since the subscriber was asked, a commit may have come in, which ends only what has been joined.
    fn may_watch(&self, topic: &Topic, subscriber: &Subscriber<'_>) -> bool {
        match topic {
            Topic::Calendar { doctor, .. } | Topic::Waitlist { doctor }
                if subscriber.viewer.role() == Some(Role::Staff) =>
            {
                let calendar = self.calendars.kept(*doctor);
                calendar.is_some_and(|calendar| calendar_right(&subscriber.viewer, &calendar.doctor).is_ok())
            }
            Topic::Reviews { doctor } => {
                self.calendars.kept(*doctor).is_some_and(|calendar| subscriber.may_see(&calendar.doctor))
            }
            _ => true,
        }
    }

    /// Starts or continues the slots of a service on some dates. `None`: the calendar is not in memory or shows a draft that
    /// the subscriber may not see, load it; or it is ahead of the feed, wait for that.
    pub fn join_slots(
        &self,
        doctor: DoctorId,
        service: ServiceId,
        dates: &[Date],
        after: Option<Cursor>,
        subscriber: &Subscriber<'_>,
    ) -> Option<()> {
        let mut state = self.state.lock();
        let calendar = self.calendars.kept(doctor).filter(|calendar| subscriber.may_see(&calendar.doctor))?;
        let at = self.calendars.position().max(calendar.position());
        // With other rules there are other starts: that is told by a snapshot.
        let missed = after.and_then(|after| self.missed(after)).filter(|missed| !changes_rules(missed, doctor));
        if missed.is_some() && calendar.position() > self.calendars.position() {
            // Read ahead of the feed: what lies between is in it already, and among nothing that was missed.
            return None;
        }
        subscriber.outbox.send((subscriber.opening)(missed.is_some()));
        let touched = missed.as_ref().map(|missed| project::touched(&calendar, missed));
        for date in dates {
            let topic = Topic::Slots { doctor, service, date: *date };
            match &touched {
                Some(touched) => {
                    self.meters.resumed(&topic);
                    let rules = calendar.doctor.service(service).ok()?;
                    let net = project::net(&calendar, rules, *date, touched);
                    self.send_change(&topic, &net, at, subscriber.outbox);
                }
                None => {
                    let snapshot = project::snapshot(&calendar, free(&calendar, service, *date)?);
                    self.send_snapshot(&topic, &snapshot, at, after.is_some(), subscriber.outbox);
                }
            }
            state.join(&topic, subscriber, at);
        }
        Some(())
    }

    /// Ends the subscriptions of a connection whose names are wanted, and tells how many these are.
    pub fn leave(&self, id: SubscriberId, subscriptions: &Subscriptions, wanted: impl Fn(&str) -> bool) -> usize {
        let mut state = self.state.lock();
        let leaving = subscriptions.named(wanted);
        for topic in &leaving {
            state.leave(topic, id);
            subscriptions.remove(&topic.to_string());
        }
        leaving.len()
    }

    /// The commits after a cursor; `None` when they cannot all be told.
    fn missed(&self, after: Cursor) -> Option<Vec<Arc<Commit>>> {
        self.knows(after).then(|| self.calendars.after(after.positions.appointments))?
    }

    fn tell_missed(&self, topic: &Topic, missed: &[Arc<Commit>], outbox: &Outbox) {
        for commit in missed {
            let update = project::entities(topic, commit, self.clock.now());
            self.send_change(topic, &update, commit.at, outbox);
        }
    }

    fn send_change(&self, topic: &Topic, update: &Update, at: Position, outbox: &Outbox) {
        if !update.is_empty() {
            let cursor = self.cursor_of(topic, at).to_string();
            for frame in (self.encode)(&topic.to_string(), Message::Change(update), &cursor) {
                outbox.send(frame);
            }
        }
    }

    fn send_snapshot(&self, topic: &Topic, snapshot: &Update, at: Position, reset: bool, outbox: &Outbox) {
        let (name, cursor) = (topic.to_string(), self.cursor_of(topic, at).to_string());
        self.meters.snapshot(topic, reset);
        if reset {
            (self.encode)(&name, Message::Reset, &cursor).into_iter().for_each(|frame| outbox.send(frame));
        }
        for frame in (self.encode)(&name, Message::Snapshot(snapshot), &cursor) {
            outbox.send(frame);
        }
    }

    fn push_appointments(&self, state: &State, commit: &Commit) {
        let now = self.clock.now();
        let (mut doctors, mut patients) = (Vec::new(), Vec::new());
        for change in &commit.changes {
            let Change::Entry(Entry::Appointment(appointment)) = change else { continue };
            doctors.push(appointment.doctor_id);
            patients.push(appointment.patient_id);
            patients.extend(appointment.held.map(|held| held.by));
        }
        doctors.sort_unstable();
        doctors.dedup();
        patients.sort_unstable();
        patients.dedup();
        let calendars = doctors.iter().filter_map(|doctor| state.calendars.get(doctor)).flat_map(HashMap::values);
        let mine = patients.iter().filter_map(|patient| state.mine.get(patient)).flat_map(HashMap::values);
        for group in calendars.chain(mine) {
            self.push(group, &project::appointments(&group.topic, commit, now), commit.at);
        }
    }

    fn push(&self, group: &Group, update: &Update, at: Position) {
        if !update.is_empty() {
            self.push_message(group, Message::Change(update), at);
        }
    }

    /// Another zone has other dates: what the date had before is not what it has now.
    fn push_reset(&self, group: &Group, snapshot: &Update, at: Position) {
        self.meters.snapshot(&group.topic, true);
        self.push_message(group, Message::Reset, at);
        self.push_message(group, Message::Snapshot(snapshot), at);
    }

    fn push_message(&self, group: &Group, message: Message<'_>, at: Position) {
        let frames = (self.encode)(&group.name, message, &self.cursor_of(&group.topic, at).to_string());
        let mut told = 0;
        for member in group.members.iter().filter(|member| member.floor < at) {
            told += 1;
            self.tell(member, &frames);
        }
        self.meters.delivered(&group.topic, told, &frames);
    }
}

fn free(calendar: &Calendar, service: ServiceId, date: Date) -> Option<Vec<project::LiveSlot>> {
    calendar.doctor.service(service).ok().map(|service| project::open_slots(calendar, service, date))
}

fn changes_rules(commits: &[Arc<Commit>], doctor: DoctorId) -> bool {
    let mut changes = commits.iter().flat_map(|commit| &commit.changes);
    changes.any(|change| matches!(change, Change::Doctor(changed) if changed.id == doctor))
}

impl State {
    fn new(meters: Arc<Meters>, views: Arc<Calendars>) -> Self {
        let (slots, calendars, doctors, reviews, waitlists) = Default::default();
        let (mine, my_waitlists, sessions) = Default::default();
        let users = Ring::new(sessions::RECENT_BYTES);
        Self { slots, calendars, doctors, reviews, waitlists, mine, my_waitlists, sessions, users, views, meters }
    }

    fn join(&mut self, topic: &Topic, subscriber: &Subscriber<'_>, floor: Position) {
        // A connection that has ended has left all topics: nobody would leave this one.
        if subscriber.outbox.ending().is_some() {
            return;
        }
        let name = topic.to_string();
        if let Some(old) = subscriber.subscriptions.get(&name) {
            self.leave(&old, subscriber.id);
        }
        subscriber.subscriptions.add(name, topic.clone());
        let member = Member {
            id: subscriber.id,
            outbox: subscriber.outbox.clone(),
            subscriptions: subscriber.subscriptions.clone(),
            viewer: subscriber.viewer.clone(),
            floor,
            _counted: self.meters.subscribed(topic),
        };
        let nothing = || None;
        match topic {
            Topic::Slots { doctor, service, date } => {
                let needs = || Some(self.views.watch(*doctor));
                enter(&mut self.slots, *doctor, (*service, *date), topic, member, needs);
            }
            Topic::Calendar { doctor, window } => enter(&mut self.calendars, *doctor, *window, topic, member, nothing),
            Topic::Doctor { doctor } => enter(&mut self.doctors, *doctor, (), topic, member, nothing),
            Topic::Reviews { doctor } => enter(&mut self.reviews, *doctor, (), topic, member, nothing),
            Topic::Waitlist { doctor } => enter(&mut self.waitlists, *doctor, (), topic, member, nothing),
            Topic::MyAppointments { user } => enter(&mut self.mine, *user, (), topic, member, nothing),
            Topic::MyWaitlist { user } => enter(&mut self.my_waitlists, *user, (), topic, member, nothing),
            Topic::MySessions { user } => enter(&mut self.sessions, *user, (), topic, member, nothing),
        }
    }

    fn leave(&mut self, topic: &Topic, id: SubscriberId) {
        match topic {
            Topic::Slots { doctor, service, date } => exit(&mut self.slots, *doctor, &(*service, *date), id),
            Topic::Calendar { doctor, window } => exit(&mut self.calendars, *doctor, window, id),
            Topic::Doctor { doctor } => exit(&mut self.doctors, *doctor, &(), id),
            Topic::Reviews { doctor } => exit(&mut self.reviews, *doctor, &(), id),
            Topic::Waitlist { doctor } => exit(&mut self.waitlists, *doctor, &(), id),
            Topic::MyAppointments { user } => exit(&mut self.mine, *user, &(), id),
            Topic::MyWaitlist { user } => exit(&mut self.my_waitlists, *user, &(), id),
            Topic::MySessions { user } => exit(&mut self.sessions, *user, &(), id),
        }
    }

    /// Ends whoever watches anything of the appointments cluster.
    fn end_all(&mut self, ending: Ending) {
        let slots = self.slots.drain().flat_map(|(_, groups)| groups.into_values());
        let calendars = self.calendars.drain().flat_map(|(_, groups)| groups.into_values());
        slots.chain(calendars).for_each(|mut group| group.end_all(ending));
        let others =
            [&mut self.doctors, &mut self.reviews, &mut self.waitlists, &mut self.mine, &mut self.my_waitlists];
        for groups in others {
            groups.drain().flat_map(|(_, views)| views.into_values()).for_each(|mut group| group.end_all(ending));
        }
    }
}
