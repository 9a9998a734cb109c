//! Tells people by e-mail what becomes of their appointments, and reminds them: once in the cluster, so by whichever node holds
//! the lease.
//!
//! It takes in what is committed, at its own pace, and writes down how far it has come: past what is delivered, or what the mail
//! server would not take. A node that takes over goes on from there. So every mail is sent at least once, and one that is
//! sent again has the same `Message-ID`. While the mail server is away the work stands still, and nothing piles up here: what is
//! told then is read anew. A node whose mails do not get out leaves the lease to others.
//!
//! What is committed it learns from what its node keeps anyway, and from a change stream only where that does not reach back so far.
//! Neither tells who did it: that is read with the history of the appointment, where somebody may have to be told.

mod reminders;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::mail::{AT_ONCE, Delivery, LAST_DELIVERIES, Post};
use super::meters;
use crate::clock::Clock;
use crate::domain::account::User;
use crate::domain::appointment::Appointment;
use crate::domain::change::{Change, Commit, Position};
use crate::domain::ids::{AppointmentId, UserId, WaitlistId};
use crate::domain::mail::{Mail, Subject};
use crate::domain::notice::{self, Draft};
use crate::domain::waitlist::{WaitStatus, WaitlistEntry};
use crate::error::{Error, Result};
use crate::feed::tail::{self, Ended, Tail};
use crate::store::appointments::AppointmentStore;
use crate::store::cluster::Cluster;
use crate::store::leases::Lease;
use crate::store::reminders::ReminderStore;
use crate::store::users;
use crate::store::waitlist::WaitlistStore;

/// Name of the lease.
const LEASE: &str = "notices";
/// How often the lease is kept, and how often the other nodes ask for it: a third of how long it lasts.
const KEEP_EVERY: Duration = Duration::from_secs(3);
/// What a stopping node gives to a lease that is being asked for: one that is taken then is given back.
const LAST_ASKING: Duration = Duration::from_secs(1);
/// The pause once everything is told: what is committed meanwhile comes together, and costs the database less.
const REST: Duration = Duration::from_millis(500);
/// Commits that are told at once.
const COMMITS_AT_ONCE: usize = 1_024;
/// Documents that are read or written at once.
const DOCUMENTS_AT_ONCE: usize = 500;
/// How often reminders are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause after a mail server, or its directory, has failed all tries of a mail without a word about it.
const AWAY_PAUSE: Duration = Duration::from_secs(30);
/// After so many of these in a row another node may try, even if that tells some people twice.
const AWAY_LIMIT: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What this node keeps of what was committed after a position, at most so many commits, and how far these reach; nothing where it
/// does not reach back so far.
pub type Recent = Box<dyn Fn(Position, usize) -> Option<(Vec<Arc<Commit>>, Position)> + Send + Sync>;

/// Tells people.
pub struct Notifier {
    appointments: Cluster,
    users: Cluster,
    recent: Recent,
    visits: AppointmentStore,
    waitlist: WaitlistStore,
    reminders: ReminderStore,
    post: Post,
    clock: Clock,
    /// The notices that are settled while one before them is not: they are not sent again with it.
    ahead: Mutex<HashSet<String>>,
}

/// Those of the people in question whom a mail may be sent.
type People = HashMap<UserId, User>;

/// What was committed next.
struct News {
    commits: Vec<Arc<Commit>>,
    reached: Position,
    /// There was no more at that time.
    is_all: bool,
}

/// What is stored by now of what somebody may have to be told about.
struct Stored {
    visits: HashMap<AppointmentId, Appointment>,
    entries: HashMap<WaitlistId, WaitlistEntry>,
}

/// A mail of a commit.
struct Outgoing {
    /// Which commit of the batch.
    number: usize,
    notice: String,
    mail: Mail,
}

/// What is in the way.
enum Hindrance {
    /// Go on from the last position.
    Interrupted(String),
    /// What came after that position cannot be told any more.
    Lost(String),
    /// No mail gets out of this node.
    Away,
}

impl From<Ended> for Hindrance {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Interrupted(reason) => Self::Interrupted(reason),
            Ended::Lost(reason) => Self::Lost(reason),
        }
    }
}

/// What follows from a change comes again with it.
impl From<Error> for Hindrance {
    fn from(error: Error) -> Self {
        Self::Interrupted(error.to_string())
    }
}

impl Notifier {
    #[must_use]
    pub fn new(appointments: Cluster, users: Cluster, recent: Recent, post: Post, clock: Clock) -> Self {
        let visits = AppointmentStore::new(appointments.clone());
        let waitlist = WaitlistStore::new(appointments.clone());
        let reminders = ReminderStore::new(appointments.clone());
        let ahead = Mutex::default();
        Self { appointments, users, recent, visits, waitlist, reminders, post, clock, ahead }
    }

    /// Runs until `stop`, whenever this node has the lease; then gives it back.
    pub async fn run(self, stop: CancellationToken) {
        let owner = Uuid::new_v4();
        while !stop.is_cancelled() {
            let asked = tokio::select! {
                asked = Lease::acquire(&self.appointments, LEASE, owner) => asked,
                () = after(LAST_ASKING, &stop) => return,
            };
            let mut pause = KEEP_EVERY;
            match asked {
                Ok(Some(lease)) => pause = self.hold(lease, &stop).await,
                Ok(None) => meters::behind(0),
                Err(error) => tracing::warn!(%error, "the lease of notices could not be asked for"),
            }
            rest(pause, &stop).await;
        }
    }

    /// Returns for how long others may ask for the lease.
    async fn hold(&self, lease: Lease, stop: &CancellationToken) -> Duration {
        tracing::info!(fence = lease.fence(), "this node tells people of their appointments");
        let mut pause = KEEP_EVERY;
        tokio::select! {
            left_to_others = self.work(&lease, stop) => pause = left_to_others,
            () = self.keep(&lease) => {
                tracing::warn!(fence = lease.fence(), "the lease of notices has ended");
                return pause;
            }
            () = after(LAST_DELIVERIES, stop) => tracing::warn!("stopped before every mail was delivered: they are sent later"),
        }
        lease.give_back().await;
        pause
    }

    /// Keeps a lease until somebody else has it, or may have it.
    async fn keep(&self, lease: &Lease) {
        let keep = async {
            loop {
                sleep(KEEP_EVERY).await;
                self.measure(lease);
                match lease.keep().await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => tracing::warn!(%error, "the lease of notices could not be kept"),
                }
            }
        };
        tokio::select! { () = keep => {}, () = lease.ended() => {} }
    }

    /// By two clocks, this node's and the database's.
    fn measure(&self, lease: &Lease) {
        let Some(Position(position)) = lease.position() else { return };
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or_default();
        meters::behind(now.saturating_sub(position >> 32));
    }

    /// Works until `stop`, again from where it came to whenever something is in the way; or until this node is of no use. Returns
    /// for how long others may ask for the lease.
    async fn work(&self, lease: &Lease, stop: &CancellationToken) -> Duration {
        let (mut pause, mut away) = (FIRST_PAUSE, 0);
        while !stop.is_cancelled() {
            let before = lease.position();
            let ended = self.follow(lease, stop).await;
            if lease.position() > before {
                (pause, away) = (FIRST_PAUSE, 0);
            }
            match ended {
                _ if stop.is_cancelled() => break,
                Ok(()) => break,
                Err(Hindrance::Interrupted(reason)) => tracing::warn!(reason, "notices were interrupted, going on"),
                Err(Hindrance::Lost(reason)) => {
                    tracing::error!(
                        reason,
                        "people are not told of some changes of their appointments: notices begin anew"
                    );
                    meters::lost();
                    lease.reached(None);
                }
                Err(Hindrance::Away) => {
                    away += 1;
                    if away == AWAY_LIMIT || self.ahead.lock().is_empty() {
                        tracing::warn!("no mail gets out of this node: others may tell people of their appointments");
                        return AWAY_PAUSE;
                    }
                    tracing::warn!("no mail gets out of this node, trying again");
                    pause = AWAY_PAUSE;
                }
            }
            rest(pause, stop).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        KEEP_EVERY
    }

    async fn follow(&self, lease: &Lease, stop: &CancellationToken) -> Result<(), Hindrance> {
        self.reminders.ensure_indexes().await?;
        let mut position = match lease.position() {
            Some(position) => position,
            None => tail::present(&self.appointments).await?,
        };
        lease.reached(Some(position));
        write_down(lease).await?;
        let (mut tail, mut looked) = (None, None::<Instant>);
        while !stop.is_cancelled() {
            let News { commits, reached, is_all } = self.next(&mut tail, position).await?;
            let mut mailed = false;
            for some in commits.chunks(COMMITS_AT_ONCE) {
                mailed |= self.tell(lease, some, stop).await?;
            }
            position = reached;
            lease.reached(Some(position));
            if mailed {
                write_down(lease).await?;
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                looked = self.remind(lease, stop).await?.then(Instant::now);
            }
            if is_all && looked.is_some() {
                rest(REST, stop).await;
            }
        }
        Ok(())
    }

    /// What was committed after a position, as much as comes at once.
    async fn next(&self, tail: &mut Option<Tail>, after: Position) -> Result<News, Hindrance> {
        if let Some((commits, reached)) = (self.recent)(after, COMMITS_AT_ONCE) {
            *tail = None;
            let is_all = commits.len() < COMMITS_AT_ONCE;
            return Ok(News { commits, reached, is_all });
        }
        let tail = match tail {
            Some(tail) => tail,
            None => {
                let opened = tail.insert(Tail::open(&self.appointments, after).await?);
                tracing::info!("notices catch up by a change stream");
                opened
            }
        };
        let commits: Vec<_> = tail.next().await?.into_iter().map(Arc::new).collect();
        Ok(News { is_all: commits.is_empty(), commits, reached: tail.position() })
    }

    /// Tells of commits, each reader in their order, and notes how far it has come. Returns whether anything was sent.
    ///
    /// # Errors
    /// When it did not come to the end: what is left is told by whoever goes on from there.
    async fn tell(&self, lease: &Lease, commits: &[Arc<Commit>], stop: &CancellationToken) -> Result<bool, Hindrance> {
        let now = self.clock.now();
        let changes: Vec<&Appointment> = commits.iter().flat_map(|commit| changed(commit, now)).collect();
        let offers: Vec<&WaitlistEntry> = commits.iter().flat_map(|commit| offered(commit)).collect();
        let concerned = changes.iter().flat_map(|visit| [visit.patient_id, visit.doctor_id]);
        let people = self.people(concerned.chain(offers.iter().map(|entry| entry.patient_id))).await?;
        let stored = self.stored(&changes, &offers, &people).await?;
        let then = commits.iter().map(|commit| stored.then(commit, now)).collect::<Result<Vec<_>, _>>()?;
        self.schedule(&changes, &then, &stored.visits, &people, now).await?;

        let (mut sizes, mut outgoing) = (Vec::new(), Vec::new());
        for (commit, then) in commits.iter().zip(&then) {
            let mut drafts = notice::of_changes(then, now);
            drafts.extend(offered(commit).filter_map(|offer| notice::of_offer(stored.still(offer)?, now)));
            let before = outgoing.len();
            for draft in drafts {
                let (reader, notice) = (draft.to, draft.notice.id.clone());
                if let Some(mail) = addressed(draft, &people).filter(|_| !self.ahead.lock().contains(&notice)) {
                    outgoing.push((reader, Outgoing { number: sizes.len(), notice, mail }));
                }
            }
            sizes.push((commit.at, outgoing.len() - before));
        }
        let mailed = !outgoing.is_empty();
        let progress = &Progress { lease, state: Mutex::new((sizes, 0)) };
        let deliver = |mails: Vec<Outgoing>| async move {
            for Outgoing { number, notice, mail } in mails {
                self.deliver(&mail, lease, stop).await?;
                self.ahead.lock().insert(notice);
                progress.settled(number);
            }
            Ok::<_, Hindrance>(())
        };
        all_of(by_reader(outgoing).into_iter().map(deliver).collect()).await?;
        progress.note();
        self.ahead.lock().clear();
        Ok(mailed)
    }

    /// Delivers a mail, or has it refused.
    ///
    /// # Errors
    /// This node is not to send it, or not now.
    async fn deliver(&self, mail: &Mail, lease: &Lease, stop: &CancellationToken) -> Result<(), Hindrance> {
        if lease.is_held() && !stop.is_cancelled() {
            match self.post.deliver(mail, stop).await {
                Delivery::Open if stop.is_cancelled() => {}
                Delivery::Open => return Err(Hindrance::Away),
                settled => {
                    meters::settled(settled == Delivery::Delivered);
                    return Ok(());
                }
            }
        }
        Err(Hindrance::Interrupted("the lease has ended, or the node stops".to_owned()))
    }

    /// What is stored of the appointments and offers of which somebody who can be reached may have to be told.
    async fn stored(&self, changes: &[&Appointment], offers: &[&WaitlistEntry], people: &People) -> Result<Stored> {
        let told = |id: UserId| people.get(&id).is_some_and(|user| user.notifications.changes);
        let reminded = |id: UserId| people.get(&id).is_some_and(|user| user.notifications.reminders);
        let concerns =
            |visit: &&&Appointment| told(visit.patient_id) || told(visit.doctor_id) || reminded(visit.patient_id);
        let ids: HashSet<_> = changes.iter().filter(concerns).map(|visit| visit.id).collect();
        let (mut visits, mut entries) = (HashMap::new(), HashMap::new());
        for some in ids.into_iter().collect::<Vec<_>>().chunks(DOCUMENTS_AT_ONCE) {
            visits.extend(self.visits.all_with_ids(some).await?.into_iter().map(|visit| (visit.id, visit)));
        }
        let wants =
            |offer: &&&WaitlistEntry| people.get(&offer.patient_id).is_some_and(|user| user.notifications.offers);
        let ids: HashSet<_> = offers.iter().filter(wants).map(|offer| offer.id).collect();
        for some in ids.into_iter().collect::<Vec<_>>().chunks(DOCUMENTS_AT_ONCE) {
            entries.extend(self.waitlist.all_with_ids(some).await?.into_iter().map(|entry| (entry.id, entry)));
        }
        Ok(Stored { visits, entries })
    }

    async fn people(&self, ids: impl Iterator<Item = UserId>) -> Result<People> {
        let ids: Vec<UserId> = ids.collect::<HashSet<_>>().into_iter().collect();
        let mut people = People::new();
        for some in ids.chunks(DOCUMENTS_AT_ONCE) {
            let found = users::reachable(&self.users, some.iter().copied()).await?;
            people.extend(found.into_iter().map(|user| (user.id, user)));
        }
        Ok(people)
    }
}

impl Stored {
    /// The appointments of a commit as they were then.
    ///
    /// # Errors
    /// A new primary has not noticed yet what the other members have: it will.
    fn then(&self, commit: &Commit, now: Timestamp) -> Result<Vec<Appointment>, Hindrance> {
        let stored = changed(commit, now).filter_map(|change| Some((self.visits.get(&change.id)?, change.rev)));
        let then: Option<Vec<_>> = stored.map(|(visit, rev)| notice::as_of(visit, rev)).collect();
        let is_ahead = |offer: &WaitlistEntry| self.entries.get(&offer.id).is_some_and(|entry| entry.rev < offer.rev);
        then.filter(|_| !offered(commit).any(is_ahead))
            .ok_or_else(|| Hindrance::Interrupted("the database is behind what it has told".to_owned()))
    }

    /// An offer of a commit, where it stands still.
    fn still(&self, offer: &WaitlistEntry) -> Option<&WaitlistEntry> {
        self.entries.get(&offer.id).filter(|entry| entry.offer == offer.offer)
    }
}

/// How far the commits of a batch are told.
struct Progress<'a> {
    lease: &'a Lease,
    /// How many mails of each are not settled, and how many of the commits are told whole before the first that is not.
    state: Mutex<(Vec<(Position, usize)>, usize)>,
}

impl Progress<'_> {
    /// One more mail of a commit is settled.
    fn settled(&self, number: usize) {
        self.state.lock().0[number].1 -= 1;
        self.note();
    }

    /// Notes how far it has come.
    fn note(&self) {
        let (left, whole) = &mut *self.state.lock();
        while let Some((at, 0)) = left.get(*whole) {
            self.lease.reached(Some(*at));
            *whole += 1;
        }
    }
}

/// The mails of each reader in their order.
fn by_reader(outgoing: Vec<(UserId, Outgoing)>) -> Vec<Vec<Outgoing>> {
    let (mut queues, mut places) = (Vec::<Vec<_>>::new(), HashMap::new());
    for (reader, mail) in outgoing {
        let place = *places.entry(reader).or_insert(queues.len());
        if place == queues.len() {
            queues.push(Vec::new());
        }
        queues[place].push(mail);
    }
    queues
}

/// Does pieces of work, some at once. Once something is in the way of one, none begins any more; those under way go on.
async fn all_of<P: Future<Output = Result<(), Hindrance>>>(pieces: Vec<P>) -> Result<(), Hindrance> {
    let hindrance = Mutex::new(None);
    let found = &hindrance;
    let begin = |piece: P| async move {
        let is_free = found.lock().is_none();
        if is_free && let Err(new) = piece.await {
            *found.lock() = Some(new);
        }
    };
    let pieces: Vec<_> = pieces.into_iter().map(begin).collect();
    futures::stream::iter(pieces).buffer_unordered(AT_ONCE).collect::<()>().await;
    hindrance.into_inner().map_or(Ok(()), Err)
}

/// Writes down how far it has come.
async fn write_down(lease: &Lease) -> Result<(), Hindrance> {
    match lease.keep().await? {
        true => Ok(()),
        false => Err(Hindrance::Interrupted("the lease has ended".to_owned())),
    }
}

/// The appointments that a commit changes, and of which somebody may have to be told.
fn changed(commit: &Commit, now: Timestamp) -> impl Iterator<Item = &Appointment> {
    let appointments = commit.entries().filter_map(|entry| entry.appointment()).map(AsRef::as_ref);
    appointments.filter(move |appointment| notice::is_telling(appointment, now))
}

/// What is offered by it.
fn offered(commit: &Commit) -> impl Iterator<Item = &WaitlistEntry> {
    commit.changes.iter().filter_map(|change| match change {
        Change::Waitlist(entry) if entry.status == WaitStatus::Offered => Some(entry.as_ref()),
        _ => None,
    })
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

/// Some time after `stop`.
async fn after(stopped: Duration, stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(stopped).await;
}
