//! What a feed measures of itself: how far it is behind the database, and how often it began anew.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::error::ClusterName;

const LAG: &str = "cita_feed_lag_seconds";
const DELAY: &str = "cita_feed_delay_seconds";
const RESTARTS: &str = "cita_feed_restarts_total";
const COMMITS: &str = "cita_feed_commits_total";
const QUEUE: &str = "cita_feed_queue";

/// How often the gauges are set: also while the stream stands still, which is when they matter.
const EVERY: Duration = Duration::from_secs(1);
/// With less than this a feed is no longer catching up.
const CAUGHT_UP_MS: i64 = 1_000;

/// Says what each name means.
pub fn describe() {
    describe_gauge!(LAG, Unit::Seconds, "How long ago the feed last knew everything that its cluster has committed");
    describe_histogram!(DELAY, Unit::Seconds, "From a commit in the database to its arrival at this node");
    describe_counter!(RESTARTS, "Streams that were resumed, or lost and started anew");
    describe_counter!(COMMITS, "Commits that the feed has handed on");
    describe_gauge!(QUEUE, "Commits that wait to be pushed");
}

/// The meters of one feed.
pub struct Meters {
    lag: Gauge,
    delay: Histogram,
    resumed: Counter,
    lost: Counter,
    commits: Counter,
    queue: Gauge,
    clock: Clock,
    /// Everything that was committed before this instant has been handed on; in milliseconds since the epoch.
    complete_ms: AtomicI64,
    /// 1 until the feed has caught up with the present: what it reads until then is old for no fault of its own.
    catching_up: AtomicI64,
}

impl Meters {
    /// Meters at zero.
    pub fn new(cluster: ClusterName) -> Self {
        let cluster = cluster.as_str();
        let clock = Clock;
        Self {
            lag: gauge!(LAG, "cluster" => cluster),
            delay: histogram!(DELAY, "cluster" => cluster),
            resumed: counter!(RESTARTS, "cluster" => cluster, "kind" => "resumed"),
            lost: counter!(RESTARTS, "cluster" => cluster, "kind" => "lost"),
            commits: counter!(COMMITS, "cluster" => cluster),
            queue: gauge!(QUEUE, "cluster" => cluster),
            clock,
            complete_ms: AtomicI64::new(clock.now().as_millisecond()),
            catching_up: AtomicI64::new(1),
        }
    }

    /// A stream broke and is continued.
    pub fn resumed(&self) {
        self.resumed.increment(1);
        self.catching_up.store(1, Ordering::Relaxed);
    }

    /// A stream broke and cannot be continued.
    pub fn lost(&self) {
        self.lost.increment(1);
        self.catching_up.store(1, Ordering::Relaxed);
    }

    /// A batch of `commits` was handed on. `written`: when the database wrote its first and its last event, in milliseconds
    /// since the epoch; an empty one says that there was nothing more to tell.
    pub fn handed_on(&self, commits: usize, written: Option<(i64, i64)>) {
        self.commits.increment(commits as u64);
        let now = self.clock.now().as_millisecond();
        let (first, last) = written.unwrap_or((now, now));
        // The clocks of two machines differ: nothing arrives before it is sent.
        self.complete_ms.store(last.min(now), Ordering::Relaxed);
        let delay_ms = (now - first).max(0);
        if delay_ms < CAUGHT_UP_MS {
            self.catching_up.store(0, Ordering::Relaxed);
        }
        if written.is_some() && self.catching_up.load(Ordering::Relaxed) == 0 {
            self.delay.record(Duration::from_millis(delay_ms.unsigned_abs()));
        }
    }

    /// Sets the gauges now and then, for as long as it is polled.
    pub async fn keep_telling<T>(&self, queue: mpsc::Sender<T>) {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            let behind = self.clock.now().as_millisecond() - self.complete_ms.load(Ordering::Relaxed);
            self.lag.set(Duration::from_millis(behind.max(0).unsigned_abs()));
            self.queue.set((queue.max_capacity() - queue.capacity()) as f64);
        }
    }
}
