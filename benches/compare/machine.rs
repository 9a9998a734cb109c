//! What the machine says: who used how much of its processors and memory, what it is, and how quiet it was.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Ticks a second in `/proc/<pid>/stat`: the same on every Linux that people run.
const TICKS: f64 = 100.0;
/// Rounds of the fixed loop: some 20 ms.
const TURNS: u64 = 20_000_000;

/// Seconds of processor time that processes have used since they began.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| ticks_of(*pid) / TICKS).sum()
}

fn ticks_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the process may hold spaces; fields are counted after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    ticks(11) + ticks(12)
}

/// Memory of a process that is resident, in KiB.
pub fn resident_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0)
}

/// How long a fixed piece of work takes just now, in milliseconds.
pub fn fixed_loop() -> f64 {
    let begun = Instant::now();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..TURNS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
    millis(begun.elapsed())
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Time that a hypervisor gave to others, and all time, in ticks since the machine began.
pub fn stolen() -> (f64, f64) {
    let stat = read("/proc/stat");
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).collect();
    (ticks.get(7).copied().unwrap_or(0.0), ticks.iter().take(8).sum())
}

/// What it is, as far as Linux tells.
pub fn description() -> Value {
    let line = |text: &str, name: &str| {
        let found = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "cpu": line(&read("/proc/cpuinfo"), "model name"),
        "memory": line(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "openFiles": rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0, |(soft, _)| soft),
        "everything": "the servers, both databases and the load generator run on this machine",
    })
}
