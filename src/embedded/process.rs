//! One mongod process: its flags, its start and its end, and the one that a killed Cita left running.
//! It ends only its own child, or a process that proves by its arguments and its directory that it was started from here.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::EmbeddedError;
use super::home::Home;

/// How long mongod may take to end in order (it writes a checkpoint) before it is killed, which its journal survives.
const ENDS_WITHIN: Duration = Duration::from_secs(15);
/// How long a killed process may take to disappear.
const DIES_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
const DROP_POLL: Duration = Duration::from_millis(2);
/// The least that MongoDB takes.
const LEAST_CACHE_GB: f64 = 0.25;
/// Whoever needs more has a MongoDB of their own.
const MOST_CACHE_GB: f64 = 1.0;
/// How mongod's storage engine is set. The journal's files: 16 MB instead of 300 MB on disk from the first start, and a faster one.
/// What has changed stays in memory until it takes 40 % of the cache, not 5 %, and at most two threads instead of four write
/// it out: a page that is written anew after every few changes costs a tenth of all work, and four threads keep two processors from
/// answering meanwhile. What was acknowledged is in the journal either way.
const ENGINE: &str = "log=(file_max=16MB,prealloc=false),eviction_dirty_target=40,eviction_dirty_trigger=60,\
                      eviction_updates_target=40,eviction_updates_trigger=60,eviction=(threads_min=1,threads_max=2)";
/// mongod's exit code when its address is in use.
const ADDRESS_IN_USE: i32 = 48;

/// A running mongod; killed when dropped, which blocks for the moment that it takes to be gone.
#[derive(Debug)]
pub(super) struct Mongod {
    child: Child,
    pid: u32,
}

/// What a mongod may keep of its data in memory: an eighth of the machine's, for each of the two; 0.25 GB where that is not told.
/// With little, it spends a part of its time on making room.
fn cache_gb() -> f64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
    (kib / f64::from(1 << 20) / 8.0).clamp(LEAST_CACHE_GB, MOST_CACHE_GB)
}

impl Mongod {
    /// Starts mongod on a loopback port, in a process group of its own: Ctrl-C in a terminal must reach Cita alone, which
    /// drains first and then stops its database.
    pub(super) fn spawn(binary: &Path, name: &str, home: &Home, port: u16) -> Result<Self, EmbeddedError> {
        let output = home.output();
        let stdout = File::create(&output).map_err(EmbeddedError::io("write", &output))?;
        let stderr = stdout.try_clone().map_err(EmbeddedError::io("write", &output))?;
        let mut command = Command::new(binary);
        command
            .args(["--replSet", name, "--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--nounixsocket"])
            .args(["--wiredTigerCacheSizeGB", &format!("{:.2}", cache_gb()), "--oplogSize", "128"])
            .args(["--wiredTigerEngineConfigString", ENGINE])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            // What a node that died was writing is locked for so long: as long as one that lives would try, not a minute.
            .args(["--setParameter", "transactionLifetimeLimitSeconds=10"])
            // The release that is fetched here is open to CVE-2025-14847 over zlib compression.
            .args(["--networkMessageCompressors", "disabled"])
            .args(["--logappend", "--logpath"])
            .arg(home.log())
            .arg("--dbpath")
            .arg(home.db())
            .current_dir(home.dir())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(EmbeddedError::io("run", binary))?;
        let pid = child.id().expect("a child that was not waited for has an id");
        Ok(Self { child, pid })
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end, and kills it when it takes longer than 15 s.
    pub(super) async fn stop(&mut self) {
        if self.exited().is_some() {
            return;
        }
        signal("TERM", self.pid).await;
        if timeout(ENDS_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "mongod did not end within {} s: killed", ENDS_WITHIN.as_secs());
            self.kill().await;
        }
    }

    /// Kills it as a crash would.
    pub(super) async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, pid = self.pid, "cannot kill mongod");
        }
    }
}

impl Drop for Mongod {
    /// Whoever is interrupted in mid-start must leave no process behind, nor a directory that is still in use.
    fn drop(&mut self) {
        if self.exited().is_some() || self.child.start_kill().is_err() {
            return;
        }
        let deadline = std::time::Instant::now() + DIES_WITHIN;
        while self.exited().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(DROP_POLL);
        }
    }
}

/// Whether mongod ended because somebody else has its port.
pub(super) fn lost_its_port(status: ExitStatus) -> bool {
    status.code() == Some(ADDRESS_IN_USE)
}

/// Ends the mongod that a killed Cita left running on this directory. Safe only for who owns the directory.
///
/// Linux tells which process that is; elsewhere mongod itself refuses the directory and says so.
pub(super) async fn end_orphan(home: &Home) -> Result<(), EmbeddedError> {
    let Some(pid) = orphan(home) else { return Ok(()) };
    tracing::warn!(pid, dir = %home.dir().display(), "an earlier cita was killed and left its mongod running: stopping it");
    for (name, patience) in [("TERM", ENDS_WITHIN), ("KILL", DIES_WITHIN)] {
        if is_ours(pid, home) {
            signal(name, pid).await;
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if has_ended(pid) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    if is_ours(pid, home) { Err(EmbeddedError::Orphan { pid, dir: home.dir().to_owned() }) } else { Ok(()) }
}

/// Whether it has given back its port and its locks: it is gone, or a zombie without further threads. Its arguments
/// vanish before that.
fn has_ended(pid: u32) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { return true };
    let zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    zombie && std::fs::read_dir(process.join("task")).map_or(true, |threads| threads.count() <= 1)
}

fn orphan(home: &Home) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.into_iter().find(|pid| is_ours(*pid, home))
}

/// Its arguments name our data directory, and it runs in our directory: the same one on disk, not one that merely has
/// the same path inside some container.
fn is_ours(pid: u32, home: &Home) -> bool {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    let process = Path::new("/proc").join(pid.to_string());
    let names_our_data = std::fs::read(process.join("cmdline")).is_ok_and(|line| {
        let mut arguments = line.split(|byte| *byte == 0);
        let db = arguments.by_ref().skip_while(|argument| argument != b"--dbpath").nth(1);
        db == Some(home.db().as_os_str().as_bytes())
    });
    let identity = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    names_our_data && identity(&process.join("cwd")).is_some_and(|cwd| Some(cwd) == identity(home.dir()))
}

/// Through the shell's own `kill`: the standard library can only kill outright, and unsafe code is forbidden here.
async fn signal(name: &str, pid: u32) {
    let mut command = Command::new("sh");
    command.args(["-c", r#"kill -s "$0" "$1""#, name, &pid.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.status().await {
        tracing::warn!(%error, pid, "cannot send SIG{name} to mongod: `sh` does not run");
    }
}
