//! What the store measures of the clusters: how long reads and writes take, what fails, and what stays undecided.

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::failure::Failure;
use crate::error::{ClusterName, Outcome};

const READ: &str = "cita_mongodb_read_seconds";
const WRITE: &str = "cita_mongodb_write_seconds";
const FAILURES: &str = "cita_mongodb_failures_total";
const UNDECIDED: &str = "cita_mongodb_undecided_total";
const TOGETHER: &str = "cita_bookings_together";
const QUEUED: &str = "cita_bookings_waiting";
const SETTLED: &str = "cita_bookings_settled_total";

/// Says what each name means.
pub fn describe() {
    describe_histogram!(READ, Unit::Seconds, "From a read to its result or failure");
    describe_histogram!(WRITE, Unit::Seconds, "From a write to the database's decision on it, repetitions included");
    describe_counter!(FAILURES, "Attempts that failed, by what that says of them");
    describe_counter!(UNDECIDED, "Writes that were given up at their deadline, by what is known of them");
    describe_histogram!(TOGETHER, Unit::Count, "Bookings, holds or changes that were sent in one command");
    describe_gauge!(
        QUEUED,
        Unit::Count,
        "Bookings, holds and changes that wait to be sent, or for what becomes of another one"
    );
    describe_counter!(
        SETTLED,
        "Bookings and holds that were refused without being sent, since a read showed that their time was taken"
    );
    LazyLock::force(&GROUP_COMMIT);
    LazyLock::force(&USERS);
    LazyLock::force(&APPOINTMENTS);
}

static USERS: LazyLock<Meters> = LazyLock::new(|| Meters::new(ClusterName::Users));
static APPOINTMENTS: LazyLock<Meters> = LazyLock::new(|| Meters::new(ClusterName::Appointments));

static GROUP_COMMIT: LazyLock<GroupCommit> = LazyLock::new(|| GroupCommit {
    together: histogram!(TOGETHER),
    waiting: gauge!(QUEUED),
    settled: counter!(SETTLED),
});

/// What is measured of what travels together.
pub(super) struct GroupCommit {
    together: Histogram,
    waiting: Gauge,
    settled: Counter,
}

impl GroupCommit {
    /// The one of this process.
    pub(super) fn meters() -> &'static Self {
        &GROUP_COMMIT
    }

    /// A command is being sent.
    pub(super) fn sent(&self, bookings: usize) {
        self.together.record(bookings as f64);
    }

    /// So many more, or fewer, wait or are under way.
    pub(super) fn waiting(&self, more: f64) {
        self.waiting.increment(more);
    }

    /// So many were refused without being sent.
    pub(super) fn settled(&self, bookings: usize) {
        self.settled.increment(bookings as u64);
    }
}

/// The meters of a cluster.
pub(super) fn of(cluster: ClusterName) -> &'static Meters {
    match cluster {
        ClusterName::Users => &USERS,
        ClusterName::Appointments => &APPOINTMENTS,
    }
}

/// What is measured of one cluster.
pub(super) struct Meters {
    read: Histogram,
    write: Histogram,
    duplicate: Counter,
    not_sent: Counter,
    conflict: Counter,
    unknown: Counter,
    refused: Counter,
    unread: Counter,
    undecided: Counter,
    not_applied: Counter,
}

impl Meters {
    fn new(cluster: ClusterName) -> Self {
        let cluster = cluster.as_str();
        let failure = |kind: &'static str| counter!(FAILURES, "cluster" => cluster, "kind" => kind);
        let undecided = |outcome: &'static str| counter!(UNDECIDED, "cluster" => cluster, "outcome" => outcome);
        Self {
            read: histogram!(READ, "cluster" => cluster),
            write: histogram!(WRITE, "cluster" => cluster),
            duplicate: failure("duplicate"),
            not_sent: failure("not_sent"),
            conflict: failure("conflict"),
            unknown: failure("unknown"),
            refused: failure("refused"),
            unread: failure("read"),
            undecided: undecided("unknown"),
            not_applied: undecided("not_applied"),
        }
    }

    /// A read ended.
    pub(super) fn read(&self, took: Duration, failed: bool) {
        self.read.record(took);
        self.unread.increment(u64::from(failed));
    }

    /// The database decided on a write.
    pub(super) fn decided(&self, took: Duration) {
        self.write.record(took);
    }

    /// An attempt to write failed.
    pub(super) fn failed(&self, failure: &Failure) {
        let counter = match failure {
            Failure::Duplicate { .. } => &self.duplicate,
            Failure::NotSent => &self.not_sent,
            Failure::Conflict => &self.conflict,
            Failure::Unknown => &self.unknown,
            Failure::Refused => &self.refused,
        };
        counter.increment(1);
    }

    /// A write was given up.
    pub(super) fn gave_up(&self, outcome: Outcome) {
        match outcome {
            Outcome::Unknown => self.undecided.increment(1),
            Outcome::NotApplied => self.not_applied.increment(1),
        }
    }
}
