//! The topic of a user's sessions: what the feed of the users cluster tells, and how a snapshot is joined to it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Hub, State, Subscriber, TooOld};
use crate::domain::change::{Change, Commit, FeedEvent, Position};
use crate::domain::ids::UserId;
use crate::domain::session::Session;
use crate::live::outbox::Ending;
use crate::live::project::{self, Update};
use crate::live::topic::Topic;

/// Bytes of commits that join a snapshot to what is pushed: some hundreds, which is far more than happen during a read.
pub(super) const RECENT_BYTES: usize = 256 * 1024;

impl Hub {
    /// Takes in what the feed of the users cluster tells.
    pub fn users(&self, event: FeedEvent) {
        if let FeedEvent::Commit(commit) = &event {
            // First, and without waiting for the lock: who has lost the right is told nothing more.
            sessions(commit).filter(|session| session.revoked_at.is_some()).for_each(|session| self.revoke(session.id));
        }
        let mut state = self.state.lock();
        match event {
            FeedEvent::Commit(commit) => {
                let at = commit.at;
                self.push_sessions(&state, &commit);
                state.users.push(Arc::new(commit));
                self.committed.users(at);
                drop(state);
                self.write_soon();
            }
            FeedEvent::Position(position) => {
                state.users.advance(position);
                self.committed.users(position);
            }
            FeedEvent::Lost(position) => {
                state.users.reset(position);
                self.committed.users(position);
                let groups = state.sessions.drain().flat_map(|(_, groups)| groups.into_values());
                groups.for_each(|mut group| group.end_all(Ending::Lost));
            }
        }
    }

    /// Starts the topic of a user's sessions with a snapshot that is true at `at`.
    ///
    /// # Errors
    /// [`TooOld`]: nothing was sent; read the snapshot again.
    pub fn start_sessions(
        &self,
        user: UserId,
        at: Position,
        items: Vec<Session>,
        reset: bool,
        subscriber: &Subscriber<'_>,
    ) -> Result<(), TooOld> {
        let mut state = self.state.lock();
        let position = state.users.position();
        let since: Vec<Arc<Commit>> =
            if at < position { state.users.after(at).ok_or(TooOld)?.cloned().collect() } else { Vec::new() };
        let topic = Topic::MySessions { user };
        let upserted = items.into_iter().map(Arc::new).collect();
        let snapshot = Update::Sessions { upserted, removed: Vec::new() };
        subscriber.outbox.send((subscriber.opening)(false));
        self.send_snapshot(&topic, &snapshot, at, reset, subscriber.outbox);
        for commit in since {
            self.send_change(&topic, &project::sessions(user, &commit), commit.at, subscriber.outbox);
        }
        state.join(&topic, subscriber, at.max(position));
        Ok(())
    }

    fn push_sessions(&self, state: &State, commit: &Commit) {
        let mut users: Vec<UserId> = sessions(commit).map(|session| session.user).collect();
        users.sort_unstable();
        users.dedup();
        for user in users {
            for group in state.sessions.get(&user).into_iter().flat_map(HashMap::values) {
                self.push(group, &project::sessions(user, commit), commit.at);
            }
        }
    }
}

fn sessions(commit: &Commit) -> impl Iterator<Item = &Arc<Session>> {
    commit.changes.iter().filter_map(|change| match change {
        Change::Session(session) => Some(session),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::clock::Clock;
    use crate::domain::account::Viewer;
    use crate::domain::ids::SessionId;
    use crate::live::frame::Frame;
    use crate::live::hub::{Message, SubscriberId};
    use crate::live::outbox::Outbox;
    use crate::live::subscriptions::Subscriptions;
    use crate::views::calendars::Calendars;

    const ME: UserId = UserId(Uuid::from_u128(1));

    /// Writes what comes and goes as `+rev` and `-`.
    fn told(_topic: &str, message: Message<'_>, _cursor: &str) -> Vec<Frame> {
        let (kind, update) = match message {
            Message::Snapshot(update) => ("snapshot", update),
            Message::Change(update) => ("change", update),
            Message::Reset | Message::Ended(_) => return vec![Frame::new("reset", None, None, "")],
        };
        let Update::Sessions { upserted, removed } = update else { panic!("sessions") };
        let upserted = upserted.iter().map(|session| format!("+{}", session.rev));
        let text: String = upserted.chain(removed.iter().map(|_| "-".to_owned())).collect();
        vec![Frame::new(kind, None, None, &text)]
    }

    fn session(user: UserId, rev: u32) -> Session {
        Session {
            id: SessionId(Uuid::from_u128(7)),
            rev,
            user,
            device: None,
            network: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            last_seen_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            revoked_at: None,
            refresh: None,
        }
    }

    fn commit(at: u64, session: Session) -> FeedEvent {
        FeedEvent::Commit(Commit { at: Position(at), changes: vec![Change::Session(Arc::new(session))], bytes: 500 })
    }

    fn hub() -> Hub {
        let calendars = Calendars::new(Box::new(|_| Box::pin(async { Ok(None) })), 0, 0);
        let hub = Hub::new(Arc::new(calendars), Arc::default(), Arc::default(), told, Clock, 1);
        hub.users(FeedEvent::Lost(Position(10)));
        hub
    }

    /// Starts the topic with a snapshot of `rev` at `at`; then what `after` does. Tells everything that was sent.
    async fn watch(hub: &Hub, at: u64, rev: u32, after: impl FnOnce()) -> Result<Vec<String>, TooOld> {
        let (outbox, subscriptions) = (Arc::new(Outbox::new(1 << 20)), Arc::new(Subscriptions::default()));
        let subscriber = Subscriber {
            id: SubscriberId(1),
            outbox: &outbox,
            subscriptions: &subscriptions,
            viewer: Arc::new(Viewer::Anonymous),
            opening: &|resumed| Frame::new("reply", None, None, if resumed { "resumed" } else { "" }),
        };
        hub.start_sessions(ME, Position(at), vec![session(ME, rev)], false, &subscriber)?;
        after();
        let frames = outbox.take().await.expect("frames");
        let text = |frame: &Frame| format!("{} {}", frame.kind, String::from_utf8_lossy(&frame.data()));
        Ok(frames.iter().map(|frame| text(frame).trim().to_owned()).collect())
    }

    #[tokio::test]
    async fn a_commit_is_in_the_snapshot_or_a_change_and_never_both() {
        let hub = hub();
        for (at, rev) in [(11, 1), (13, 2), (15, 3)] {
            hub.users(commit(at, session(ME, rev)));
        }
        hub.users(commit(16, session(UserId(Uuid::from_u128(2)), 9)));
        // Older than what was pushed: what came between is told as changes.
        let ended = Session { revoked_at: Some(Timestamp::UNIX_EPOCH), ..session(ME, 4) };
        let sent = watch(&hub, 11, 1, || hub.users(commit(17, ended))).await;
        assert_eq!(
            sent,
            Ok(["reply", "snapshot +1", "change +2", "change +3", "change -"].map(str::to_owned).to_vec())
        );
        // Ahead of it: what the stream tells of up to there is not told again.
        let sent = watch(&hub, 20, 6, || {
            hub.users(commit(18, session(ME, 5)));
            hub.users(commit(20, session(ME, 6)));
            hub.users(commit(21, session(ME, 7)));
        });
        assert_eq!(sent.await, Ok(["reply", "snapshot +6", "change +7"].map(str::to_owned).to_vec()));
    }

    #[tokio::test]
    async fn a_snapshot_that_can_no_longer_be_joined_is_read_again() {
        let hub = hub();
        assert_eq!(watch(&hub, 9, 1, || ()).await, Err(TooOld), "before the stream began");
        for at in 11..11 + RECENT_BYTES as u64 / 500 + 10 {
            hub.users(commit(at, session(ME, 1)));
        }
        assert_eq!(watch(&hub, 11, 1, || ()).await, Err(TooOld), "more happened since than is kept");
    }
}
