//! What the process tells of itself: the log, one line a request and a connection, with ids, without secrets or personal
//! data; measurements, in Prometheus' text format; and spans, where they are compiled in.

mod lines;
#[cfg(feature = "otel")]
mod traces;

use std::fs;
#[cfg(not(feature = "otel"))]
use std::io::IsTerminal as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Handle;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
#[cfg(not(feature = "otel"))]
use crate::config::LogFormat;
use crate::error::ClusterName;
use crate::health::{ClusterStatus, Readiness, Status};
use crate::{feed, live, notify, session, store, transport, views};

const BUILD: &str = "cita_build_info";
const READY: &str = "cita_ready";
const CLUSTER_UP: &str = "cita_cluster_up";
const BUSY: &str = "cita_runtime_busy_ratio";
const TASKS: &str = "cita_runtime_tasks";
const MEMORY: &str = "process_resident_memory_bytes";
const OPEN_FILES: &str = "process_open_fds";
const MOST_FILES: &str = "process_max_fds";

/// Upper bounds of the buckets of everything that takes time, in seconds.
const SECONDS: [f64; 15] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The same of what is counted in one go.
const COUNTS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// How often gauges are set, and what was measured is put into its buckets.
pub const EVERY: Duration = Duration::from_secs(5);

/// The log and the traces of this process. Dropped at the very end, it sends what still waits to be sent.
#[must_use]
pub struct Telling(());

impl Drop for Telling {
    fn drop(&mut self) {
        #[cfg(feature = "otel")]
        traces::stop();
        lines::write_out();
    }
}

/// Starts logging to standard error.
///
/// # Errors
/// A sentence for the person who configured the filter.
pub fn start(config: &Config) -> Result<Telling, String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("CITA_LOG is no filter: {error}. Try `info` or `warn,cita::feed=debug`."))?;
    lines::start().map_err(|error| format!("no thread for the log: {error}"))?;
    begin(config, filter)?;
    Ok(Telling(()))
}

#[cfg(feature = "otel")]
fn begin(config: &Config, filter: EnvFilter) -> Result<(), String> {
    traces::start(config.log_format, filter)
}

#[cfg(not(feature = "otel"))]
fn begin(config: &Config, filter: EnvFilter) -> Result<(), String> {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines::Lines);
    let started = match config.log_format {
        LogFormat::Text => log.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    // Whoever embeds Cita may have a log of their own already.
    started.or(Ok(()))
}

/// What the process has measured; the nodes of one process share it.
#[derive(Clone)]
pub struct Measurements(PrometheusHandle);

impl Measurements {
    /// Begins to measure. What was made before this measures nothing: it comes first.
    ///
    /// # Errors
    /// A sentence, when whoever embeds Cita measures already.
    pub fn start() -> Result<Self, String> {
        static STARTED: OnceLock<Result<Measurements, String>> = OnceLock::new();
        STARTED.get_or_init(|| Self::install().map_err(|error| format!("nothing can be measured: {error}"))).clone()
    }

    fn install() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        let handle =
            builder.set_buckets_for_metric(Matcher::Suffix("_together".to_owned()), &COUNTS)?.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Measures the process and its readiness, for as long as it is polled.
    pub async fn keep_measuring(self, readiness: Arc<Readiness>) {
        let mut every = tokio::time::interval(EVERY);
        let mut busy = Busy::new();
        loop {
            every.tick().await;
            tell_readiness(&readiness);
            busy.tell();
            let upkeep = self.0.clone();
            // Reads of /proc, and buckets of everything: beside those who serve.
            let _told_or_not = tokio::task::spawn_blocking(move || {
                tell_process();
                upkeep.run_upkeep();
            })
            .await;
        }
    }
}

fn describe() {
    describe_gauge!(BUILD, "1, with the version that runs");
    describe_gauge!(READY, "Whether the node is ready, as in /readyz");
    describe_gauge!(CLUSTER_UP, "Whether a cluster answers and its changes arrive");
    describe_gauge!(BUSY, "Share of the time that the threads which serve were busy");
    describe_gauge!(TASKS, "Tasks of the runtime");
    describe_gauge!(MEMORY, Unit::Bytes, "Memory of the process");
    describe_gauge!(OPEN_FILES, "Open file descriptors");
    describe_gauge!(MOST_FILES, "File descriptors that may be open");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    feed::meters::describe();
    live::meters::describe();
    notify::meters::describe();
    session::meters::describe();
    store::meters::describe();
    transport::meters::describe();
    views::meters::describe();
}

fn tell_readiness(readiness: &Readiness) {
    let report = readiness.report();
    gauge!(READY).set(if report.status == Status::Ready { 1.0 } else { 0.0 });
    for (name, status) in
        [(ClusterName::Users, report.clusters.users), (ClusterName::Appointments, report.clusters.appointments)]
    {
        gauge!(CLUSTER_UP, "cluster" => name.as_str()).set(if status == ClusterStatus::Up { 1.0 } else { 0.0 });
    }
}

/// How busy the runtime's threads were since they were last asked.
struct Busy {
    asked: Instant,
    total: Duration,
}

impl Busy {
    fn new() -> Self {
        Self { asked: Instant::now(), total: Self::total() }
    }

    fn total() -> Duration {
        let metrics = Handle::current().metrics();
        (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
    }

    fn tell(&mut self) {
        let (now, total) = (Self { asked: Instant::now(), total: Self::total() }, self.total);
        let metrics = Handle::current().metrics();
        let time = now.asked.duration_since(self.asked).as_secs_f64() * metrics.num_workers() as f64;
        if time > 0.0 {
            gauge!(BUSY).set((now.total.saturating_sub(total).as_secs_f64() / time).min(1.0));
        }
        gauge!(TASKS).set(metrics.num_alive_tasks() as f64);
        *self = now;
    }
}

/// What Linux tells of the process; elsewhere nothing.
fn tell_process() {
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    let line = |file: &str, begin: &str| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix(begin)).and_then(number)
    };
    if let Some(kilobytes) = line("/proc/self/status", "VmRSS:") {
        gauge!(MEMORY).set(kilobytes * 1024.0);
    }
    if let Some(most) = line("/proc/self/limits", "Max open files") {
        gauge!(MOST_FILES).set(most);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!(OPEN_FILES).set(open.count() as f64);
    }
}
