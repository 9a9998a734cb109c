//! Whether this node can do its work: what `/readyz` tells, and what holds everything else back until the first time.

use serde::Serialize;
use tokio::sync::watch;

use crate::error::ClusterName;

/// The state of the node, set by `app` and read by `transport`.
#[derive(Debug)]
pub struct Readiness {
    flags: watch::Sender<Flags>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    users: Cluster,
    appointments: Cluster,
    draining: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cluster {
    /// It answers.
    up: bool,
    /// Its changes arrive here.
    live: bool,
    /// Both were true at one time. Stays.
    has_been_ready: bool,
}

/// What `/readyz` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub status: Status,
    pub clusters: Clusters,
}

/// The two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Clusters {
    pub users: ClusterStatus,
    pub appointments: ClusterStatus,
}

/// What the node is fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing is served yet.
    Starting,
    /// Everything works.
    Ready,
    /// What needs the absent cluster is refused, the rest is served.
    Degraded,
    /// Requests are served, new ones belong elsewhere.
    Draining,
}

/// What is known of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterStatus {
    /// It answers and its changes arrive.
    Up,
    /// It answers, its changes do not arrive yet.
    CatchingUp,
    Down,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { flags: watch::Sender::new(Flags::default()) }
    }
}

impl Readiness {
    /// A node that has just started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether a cluster answers. Returns whether it did before.
    pub fn set_up(&self, cluster: ClusterName, up: bool) -> bool {
        let mut before = false;
        self.set(cluster, |state| before = std::mem::replace(&mut state.up, up));
        before
    }

    /// Says whether the changes of a cluster arrive.
    pub fn set_live(&self, cluster: ClusterName, live: bool) {
        self.set(cluster, |state| state.live = live);
    }

    fn set(&self, name: ClusterName, change: impl FnOnce(&mut Cluster)) {
        self.flags.send_modify(|flags| {
            let cluster = match name {
                ClusterName::Users => &mut flags.users,
                ClusterName::Appointments => &mut flags.appointments,
            };
            change(cluster);
            cluster.has_been_ready |= cluster.is_ready();
        });
    }

    /// Says that the node is about to stop.
    pub fn drain(&self) {
        self.flags.send_modify(|flags| flags.draining = true);
    }

    /// Whether both clusters have been ready once: from then on requests are served.
    #[must_use]
    pub fn has_been_ready(&self) -> bool {
        self.flags.borrow().has_been_ready()
    }

    /// Waits until both clusters have been ready once.
    pub async fn first_ready(&self) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.flags.subscribe().wait_for(Flags::has_been_ready).await;
    }

    /// The state in words.
    #[must_use]
    pub fn report(&self) -> Report {
        let flags = *self.flags.borrow();
        let clusters = Clusters { users: flags.users.status(), appointments: flags.appointments.status() };
        let status = if flags.draining {
            Status::Draining
        } else if !flags.has_been_ready() {
            Status::Starting
        } else if flags.users.is_ready() && flags.appointments.is_ready() {
            Status::Ready
        } else {
            Status::Degraded
        };
        Report { status, clusters }
    }
}

impl Flags {
    fn has_been_ready(&self) -> bool {
        self.users.has_been_ready && self.appointments.has_been_ready
    }
}

impl Cluster {
    fn is_ready(self) -> bool {
        self.up && self.live
    }

    fn status(self) -> ClusterStatus {
        match (self.up, self.live) {
            (true, true) => ClusterStatus::Up,
            (true, false) => ClusterStatus::CatchingUp,
            (false, _) => ClusterStatus::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(readiness: &Readiness, cluster: ClusterName) {
        readiness.set_up(cluster, true);
        readiness.set_live(cluster, true);
    }

    #[test]
    fn the_first_time_is_remembered() {
        let readiness = Readiness::new();
        assert_eq!(readiness.report().status, Status::Starting);
        ready(&readiness, ClusterName::Users);
        readiness.set_up(ClusterName::Users, false);
        assert!(!readiness.has_been_ready());
        ready(&readiness, ClusterName::Appointments);
        assert!(readiness.has_been_ready());
        let clusters = Clusters { users: ClusterStatus::Down, appointments: ClusterStatus::Up };
        assert_eq!(readiness.report(), Report { status: Status::Degraded, clusters });
        readiness.set_up(ClusterName::Users, true);
        assert_eq!(readiness.report().status, Status::Ready);
        readiness.set_live(ClusterName::Appointments, false);
        assert_eq!(readiness.report().clusters.appointments, ClusterStatus::CatchingUp);
        readiness.drain();
        assert_eq!(readiness.report().status, Status::Draining);
        assert!(readiness.has_been_ready());
    }

    #[test]
    fn the_report_names_what_is_down() {
        let json = serde_json::to_string(&Readiness::new().report()).expect("a report is JSON");
        assert_eq!(json, r#"{"status":"starting","clusters":{"users":"down","appointments":"down"}}"#);
    }

    #[tokio::test]
    async fn the_first_time_can_be_awaited() {
        let readiness = Readiness::new();
        ready(&readiness, ClusterName::Users);
        let (..) = tokio::join!(readiness.first_ready(), async { ready(&readiness, ClusterName::Appointments) });
    }
}
