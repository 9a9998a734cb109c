//! What the live half measures: who watches which kind of topic, what they are sent, and how long a commit takes to all.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::frame::Frame;
use super::topic::{Class, Topic};

const SUBSCRIPTIONS: &str = "cita_subscriptions";
const DELIVERIES: &str = "cita_deliveries_total";
const BYTES: &str = "cita_delivered_bytes_total";
const SNAPSHOTS: &str = "cita_snapshots_total";
const RESETS: &str = "cita_resets_total";
const RESUMES: &str = "cita_resumes_total";
const PUSH: &str = "cita_push_seconds";

/// Says what each name means.
pub fn describe() {
    describe_gauge!(SUBSCRIPTIONS, "Topics that connections watch");
    describe_counter!(DELIVERIES, "Frames of changes that were queued for subscribers");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of these frames");
    describe_counter!(SNAPSHOTS, "Topics that were told from a snapshot, resets among them");
    describe_counter!(RESETS, "Topics whose subscriber had to forget what it knew");
    describe_counter!(RESUMES, "Topics that were continued after a cursor");
    describe_histogram!(PUSH, Unit::Seconds, "From a commit's arrival until it is queued for everybody who watches");
}

/// The meters of a hub. Each class of topics has its own, made once: nothing is looked up for a delivery.
#[derive(Debug)]
pub struct Meters {
    topics: [OfTopics; Class::ALL.len()],
    push: Histogram,
}

#[derive(Debug)]
struct OfTopics {
    subscriptions: Gauge,
    deliveries: Counter,
    bytes: Counter,
    snapshots: Counter,
    resets: Counter,
    resumes: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        let topics = Class::ALL.map(|class| {
            let topic = class.as_str();
            OfTopics {
                subscriptions: gauge!(SUBSCRIPTIONS, "topic" => topic),
                deliveries: counter!(DELIVERIES, "topic" => topic),
                bytes: counter!(BYTES, "topic" => topic),
                snapshots: counter!(SNAPSHOTS, "topic" => topic),
                resets: counter!(RESETS, "topic" => topic),
                resumes: counter!(RESUMES, "topic" => topic),
            }
        });
        Self { topics, push: histogram!(PUSH) }
    }
}

impl Meters {
    fn of(&self, topic: &Topic) -> &OfTopics {
        &self.topics[topic.class() as usize]
    }

    /// Counts a subscription for as long as what is returned lives.
    pub fn subscribed(&self, topic: &Topic) -> Counted {
        Counted::new(self.of(topic).subscriptions.clone())
    }

    /// The same frames were queued for so many subscribers.
    pub fn delivered(&self, topic: &Topic, subscribers: u64, frames: &[Frame]) {
        let meters = self.of(topic);
        meters.deliveries.increment(subscribers * frames.len() as u64);
        meters.bytes.increment(subscribers * frames.iter().map(|frame| frame.len() as u64).sum::<u64>());
    }

    /// A topic was told from a snapshot; with `reset`, to somebody who knew something that cannot be continued.
    pub fn snapshot(&self, topic: &Topic, reset: bool) {
        self.of(topic).snapshots.increment(1);
        self.of(topic).resets.increment(u64::from(reset));
    }

    /// A topic was continued.
    pub fn resumed(&self, topic: &Topic) {
        self.of(topic).resumes.increment(1);
    }

    /// A commit was queued for everybody.
    pub fn pushed_commit(&self, took: Duration) {
        self.push.record(took);
    }
}

/// One of those that a gauge counts, until it is dropped.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// One more.
    #[must_use]
    pub fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
