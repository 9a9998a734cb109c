//! Tells people by e-mail what becomes of their appointments, and reminds them: once in the cluster, so by whichever node holds
//! the lease.
//!
//! It reads what is committed, at its own pace, and writes down how far it has come: past what is delivered, or what the mail
//! server would not take. A node that takes over goes on from there. So every mail is sent at least once, and one that is
//! sent again has the same `Message-ID`. While the mail server is away the work stands still, and nothing piles up here.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::mail::{AT_ONCE, LAST_DELIVERIES, Post};
use super::meters;
use crate::clock::Clock;
use crate::domain::account::User;
use crate::domain::appointment::{Appointment, Status};
use crate::domain::change::{Change, Commit, Position};
use crate::domain::ids::UserId;
use crate::domain::mail::{Mail, Subject};
use crate::domain::notice::{self, Draft};
use crate::error::Result;
use crate::feed::tail::{Ended, Tail};
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::Cluster;
use crate::store::failure::brief;
use crate::store::leases::Lease;
use crate::store::reminders::{Reminder, ReminderStore};
use crate::store::users;

/// Name of the lease.
const LEASE: &str = "notices";
/// How often the lease is kept, and how often the other nodes ask for it: a third of how long it lasts.
const KEEP_EVERY: Duration = Duration::from_secs(3);
/// The pause after each batch of changes: what is committed meanwhile comes together, and costs the database less.
const REST: Duration = Duration::from_millis(500);
/// How often reminders are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause after a mail server, or its directory, has failed all tries of a mail without a word about it.
const AWAY_PAUSE: Duration = Duration::from_secs(30);
/// Reminders that are read at once.
const DUE_AT_ONCE: i64 = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tells people.
pub struct Notifier {
    appointments: Cluster,
    users: Cluster,
    visits: AppointmentStore,
    reminders: ReminderStore,
    post: Post,
    clock: Clock,
}

/// Those of the people in question whom a mail may be sent.
type People = HashMap<UserId, User>;

/// What is told of one commit.
struct Told {
    at: Position,
    drafts: Vec<Draft>,
}

impl Notifier {
    #[must_use]
    pub fn new(appointments: Cluster, users: Cluster, post: Post, clock: Clock) -> Self {
        let visits = AppointmentStore::new(appointments.clone());
        let reminders = ReminderStore::new(appointments.clone());
        Self { appointments, users, visits, reminders, post, clock }
    }

    /// Runs until `stop`, whenever this node has the lease; then gives it back.
    pub async fn run(self, stop: CancellationToken) {
        let owner = Uuid::new_v4();
        while !stop.is_cancelled() {
            let asked = tokio::select! {
                asked = Lease::acquire(&self.appointments, LEASE, owner) => asked,
                () = stop.cancelled() => return,
            };
            match asked {
                Ok(Some(lease)) => self.hold(lease, &stop).await,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the lease of notices could not be asked for"),
            }
            rest(KEEP_EVERY, &stop).await;
        }
    }

    async fn hold(&self, lease: Lease, stop: &CancellationToken) {
        tracing::info!(fence = lease.fence(), "this node tells people of their appointments");
        let too_late = async {
            stop.cancelled().await;
            sleep(LAST_DELIVERIES).await;
        };
        tokio::select! {
            () = self.work(&lease, stop) => {}
            () = keep(&lease) => {
                tracing::warn!(fence = lease.fence(), "another node tells people of their appointments from now on");
                return;
            }
            () = too_late => tracing::warn!("stopped before every mail was delivered: they are sent later"),
        }
        lease.give_back().await;
    }

    /// Works until `stop`, again from where it came to whenever something is in the way.
    async fn work(&self, lease: &Lease, stop: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let before = lease.position();
            let ended = self.follow(lease, stop).await;
            if lease.position() > before {
                pause = FIRST_PAUSE;
            }
            match ended {
                _ if stop.is_cancelled() => return,
                Ok(()) => return,
                Err(Ended::Interrupted(reason)) => tracing::warn!(reason, "notices were interrupted, going on"),
                Err(Ended::Lost(reason)) => {
                    tracing::error!(
                        reason,
                        "people are not told of some changes of their appointments: notices begin anew"
                    );
                    meters::lost();
                    lease.reached(None);
                }
            }
            rest(pause, stop).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn follow(&self, lease: &Lease, stop: &CancellationToken) -> Result<(), Ended> {
        let made = self.reminders.ensure_indexes().await;
        made.map_err(|error| Ended::Interrupted(brief(&error)))?;
        let mut tail = Tail::open(&self.appointments, lease.position()).await?;
        lease.reached(Some(tail.position()));
        lease.keep().await?;
        let mut looked: Option<Instant> = None;
        while !stop.is_cancelled() {
            let commits = tail.next().await?;
            let mailed = self.tell(lease, &commits, stop).await?;
            lease.reached(Some(tail.position()));
            if mailed {
                lease.keep().await?;
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                self.remind(lease, stop).await?;
                looked = Some(Instant::now());
            }
            rest(REST, stop).await;
        }
        Ok(())
    }

    /// Tells of commits, each reader in their order, and notes how far it has come. Returns whether anything was sent.
    ///
    /// # Errors
    /// When it did not come to the end: what is left is told by whoever goes on from there.
    async fn tell(&self, lease: &Lease, commits: &[Commit], stop: &CancellationToken) -> Result<bool, Ended> {
        let now = self.clock.now();
        let told: Vec<Told> = commits.iter().map(|commit| told_of(commit, now)).collect();
        let to_remind: Vec<&Appointment> = commits.iter().flat_map(changed).collect();
        let people = self.people(&told, &to_remind).await?;
        self.schedule(&to_remind, &people, now).await?;
        let addressed = |told: Told| {
            let mails = told.drafts.into_iter().filter_map(|draft| Some((draft.to, addressed(draft, &people)?)));
            (told.at, mails.collect::<Vec<_>>())
        };
        let told: Vec<_> = told.into_iter().map(addressed).filter(|(_, mails)| !mails.is_empty()).collect();
        let progress = &Progress::of(&told, lease);
        let mailed = !told.is_empty();
        let deliver = |mails: Vec<(usize, Mail)>| async move {
            for (number, mail) in mails {
                if !self.deliver(&mail, lease, stop).await {
                    return;
                }
                progress.settled(number);
            }
        };
        // Those under way end, whatever comes: a mail is not cut off.
        let queues: Vec<_> = by_reader(told).into_iter().map(deliver).collect();
        futures::stream::iter(queues).buffer_unordered(AT_ONCE).collect::<()>().await;
        match progress.is_all() {
            true => Ok(mailed),
            false => Err(Ended::Interrupted("the lease has run out, or the node stops".to_owned())),
        }
    }

    /// Delivers a mail, for as long as the mail server says nothing about it. `false`: this node is to send it no more.
    async fn deliver(&self, mail: &Mail, lease: &Lease, stop: &CancellationToken) -> bool {
        while lease.is_held() && !stop.is_cancelled() {
            let delivered = self.post.deliver(mail, stop).await;
            if delivered.as_ref().err().is_none_or(|failure| failure.is_answer) {
                meters::settled(delivered.is_ok());
                return true;
            }
            rest(AWAY_PAUSE, stop).await;
        }
        false
    }

    async fn people(&self, told: &[Told], to_remind: &[&Appointment]) -> Result<People> {
        let recipients = told.iter().flat_map(|told| &told.drafts).map(|draft| draft.to);
        let patients = to_remind.iter().filter(|visit| notice::can_be_near(visit)).map(|visit| visit.patient_id);
        let ids: HashSet<UserId> = recipients.chain(patients).collect();
        if ids.is_empty() {
            return Ok(People::new());
        }
        let found = users::reachable(&self.users, ids).await?;
        Ok(found.into_iter().map(|user| (user.id, user)).collect())
    }

    /// Writes the reminders of what is confirmed or moved, and drops those of what is cancelled. Nobody is reminded of what they
    /// were told of later than they would have been reminded.
    async fn schedule(&self, changed: &[&Appointment], people: &People, now: Timestamp) -> Result<()> {
        let latest: HashMap<_, _> = changed.iter().map(|visit| (visit.id, *visit)).collect();
        let reminder = |visit: &&Appointment| {
            let patient = people.get(&visit.patient_id).filter(|_| notice::can_be_near(visit))?;
            let due = due(patient, visit.start).filter(|due| *due > now)?;
            Some(Reminder { of: visit.id, start: visit.start, due })
        };
        let put: Vec<Reminder> = latest.values().filter_map(reminder).collect();
        let over: Vec<_> =
            latest.values().filter(|visit| visit.status == Status::Cancelled).map(|visit| visit.id).collect();
        self.reminders.put(&put).await?;
        self.reminders.drop_of(&over).await
    }

    /// Sends the reminders that are due.
    async fn remind(&self, lease: &Lease, stop: &CancellationToken) -> Result<()> {
        loop {
            let due = self.reminders.due(self.clock.now(), DUE_AT_ONCE).await?;
            let is_last = i64::try_from(due.len()).is_ok_and(|count| count < DUE_AT_ONCE);
            for reminder in due {
                if !self.remind_of(&reminder, lease, stop).await? {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// `false`: this node is to remind nobody any more.
    async fn remind_of(&self, reminder: &Reminder, lease: &Lease, stop: &CancellationToken) -> Result<bool> {
        if !lease.is_held() || !self.reminders.take(reminder, lease.fence()).await? {
            return Ok(lease.is_held());
        }
        let now = self.clock.now();
        let found = self.visits.find(reminder.of).await?.map(|(stored, _)| stored.appointment);
        // What was moved has another reminder, or will have.
        let still =
            found.filter(|visit| notice::can_be_near(visit) && visit.start == reminder.start && visit.start > now);
        if let Some(visit) = still {
            let people = self.people(&[], &[&visit]).await?;
            let due = people.get(&visit.patient_id).and_then(|patient| due(patient, visit.start));
            if let Some(later) = due.filter(|due| *due > now) {
                self.reminders.put_off(reminder, later, lease.fence()).await?;
                return Ok(true);
            }
            if let Some(mail) = addressed(notice::reminder(&visit), &people)
                && !self.deliver(&mail, lease, stop).await
            {
                return Ok(false);
            }
        }
        self.reminders.done(reminder, lease.fence()).await?;
        Ok(true)
    }
}

/// How far the commits of a batch are told.
struct Progress<'a> {
    lease: &'a Lease,
    /// How many mails of each are not settled, and how many of the commits are told whole before the first that is not.
    state: Mutex<(Vec<(Position, usize)>, usize)>,
}

impl<'a> Progress<'a> {
    fn of(told: &[(Position, Vec<(UserId, Mail)>)], lease: &'a Lease) -> Self {
        Self { lease, state: Mutex::new((told.iter().map(|(at, mails)| (*at, mails.len())).collect(), 0)) }
    }

    /// One more mail of a commit is settled.
    fn settled(&self, number: usize) {
        let (left, whole) = &mut *self.state.lock();
        left[number].1 -= 1;
        while let Some((at, 0)) = left.get(*whole) {
            self.lease.reached(Some(*at));
            *whole += 1;
        }
    }

    fn is_all(&self) -> bool {
        let (left, whole) = &*self.state.lock();
        *whole == left.len()
    }
}

/// The mails of each reader in their order, with the number of the commit that each belongs to.
fn by_reader(told: Vec<(Position, Vec<(UserId, Mail)>)>) -> Vec<Vec<(usize, Mail)>> {
    let (mut queues, mut places) = (Vec::<Vec<_>>::new(), HashMap::new());
    for (number, (_, mails)) in told.into_iter().enumerate() {
        for (reader, mail) in mails {
            let place = *places.entry(reader).or_insert(queues.len());
            if place == queues.len() {
                queues.push(Vec::new());
            }
            queues[place].push((number, mail));
        }
    }
    queues
}

/// Keeps a lease until somebody else has it, or may have it.
async fn keep(lease: &Lease) {
    while lease.is_held() {
        sleep(KEEP_EVERY).await;
        match lease.keep().await {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the lease of notices could not be kept"),
        }
    }
}

/// When somebody wants to be reminded of an appointment, if they do.
fn due(patient: &User, start: Timestamp) -> Option<Timestamp> {
    let chosen = patient.notifications;
    let ahead = SignedDuration::from_mins(i64::from(chosen.reminder_minutes));
    chosen.reminders.then(|| start.checked_sub(ahead).ok()).flatten()
}

/// The appointments that a commit changes.
fn changed(commit: &Commit) -> impl Iterator<Item = &Appointment> {
    commit.entries().filter_map(|entry| entry.appointment()).map(AsRef::as_ref)
}

fn told_of(commit: &Commit, now: Timestamp) -> Told {
    let mut drafts = notice::of_changes(changed(commit), now);
    drafts.extend(commit.changes.iter().filter_map(|change| match change {
        Change::Waitlist(entry) => notice::of_offer(entry, now),
        _ => None,
    }));
    Told { at: commit.at, drafts }
}

/// The mail of a draft, if its reader can be written to and wants it.
fn addressed(draft: Draft, people: &People) -> Option<Mail> {
    let user = people.get(&draft.to).filter(|user| draft.notice.is_wanted(user.notifications))?;
    Some(Mail {
        to: user.email.clone(),
        name: user.name.clone(),
        locale: user.locale.clone(),
        subject: Subject::Notice { notice: Box::new(draft.notice), zone: user.time_zone.clone() },
    })
}

async fn rest(pause: Duration, stop: &CancellationToken) {
    tokio::select! { () = sleep(pause) => {}, () = stop.cancelled() => {} }
}
