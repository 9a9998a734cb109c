//! The directory of one embedded replica set: who owns it, which port it had last, what its mongod logged.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::EmbeddedError;

/// Below the ephemeral ports of Linux and macOS: a client that keeps dialling an ephemeral port on which nobody listens
/// can be given that very port as its own, connect to itself, and so keep a restarted mongod from listening.
const PORTS: std::ops::RangeInclusive<u16> = 20_000..=29_999;
const PORT_FILE: &str = "port";
const PORT_ATTEMPTS: usize = 200;
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// An owned directory; dropping it lets the next Cita have it. The system drops it for a killed process too.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    _lock: File,
}

impl Home {
    /// Creates the directory, readable by its owner only, and takes it for this process.
    pub(super) fn claim(dir: &Path) -> Result<Self, EmbeddedError> {
        let create = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
        create(dir).map_err(EmbeddedError::io("create", dir))?;
        let dir = dir.canonicalize().map_err(EmbeddedError::io("open", dir))?;
        let lock = lock(&dir)?;
        let home = Self { dir, _lock: lock };
        create(&home.db()).map_err(EmbeddedError::io("create", &home.db()))?;
        home.rotate_log();
        Ok(home)
    }

    /// The directory itself, absolute and without links.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where mongod keeps its data.
    pub(super) fn db(&self) -> PathBuf {
        self.dir.join("db")
    }

    /// Where mongod logs.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("mongod.log")
    }

    /// What mongod prints before it has opened its log.
    pub(super) fn output(&self) -> PathBuf {
        self.dir.join("mongod.out")
    }

    /// The port that was used last if it is free now, else any free one.
    pub(super) fn choose_port(&self) -> Result<u16, EmbeddedError> {
        let last = Self::port_of(&self.dir);
        let span = u64::from(PORTS.end() - PORTS.start()) + 1;
        let seed = RandomState::new();
        let random = (0..PORT_ATTEMPTS).map(|attempt| {
            let offset = u16::try_from(seed.hash_one(attempt) % span).expect("the span of the ports fits in 16 bits");
            PORTS.start() + offset
        });
        last.into_iter()
            .chain(random)
            .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            .ok_or(EmbeddedError::NoPort { first: *PORTS.start(), last: *PORTS.end() })
    }

    /// Remembers the port for the next start; a torn file only costs that start another port.
    pub(super) fn remember_port(&self, port: u16) -> Result<(), EmbeddedError> {
        let file = self.port_file();
        fs::write(&file, format!("{port}\n")).map_err(EmbeddedError::io("write", &file))
    }

    /// What mongod complained about first since it was started, in its log, else in print.
    pub(super) fn complaint(&self) -> String {
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let (printed, logged) = (read(self.output()), read(self.log()));
        let logged = logged.rsplit("SERVER RESTARTED").next().unwrap_or_default();
        let severe = |line: &&str| line.contains(r#""s":"E""#) || line.contains(r#""s":"F""#);
        let plain = |line: &&str| !line.trim().is_empty() && !line.starts_with('{');
        let words = logged.lines().find(severe).or_else(|| printed.lines().rfind(|line| plain(line) || severe(line)));
        words.unwrap_or("it logged no error").chars().take(1_000).collect()
    }

    /// The port that the owner of a directory has, if it has come that far.
    pub(super) fn port_of(dir: &Path) -> Option<u16> {
        fs::read_to_string(dir.join(PORT_FILE)).ok()?.trim().parse().ok()
    }

    fn port_file(&self) -> PathBuf {
        self.dir.join(PORT_FILE)
    }

    /// Keeps one old log; mongod itself would either never rotate or never delete.
    fn rotate_log(&self) {
        let log = self.log();
        if log.metadata().is_ok_and(|meta| meta.len() > LOG_LIMIT_BYTES)
            && let Err(error) = fs::rename(&log, self.dir.join("mongod.log.1"))
        {
            tracing::warn!(%error, log = %log.display(), "cannot rotate mongod's log");
        }
    }
}

fn lock(dir: &Path) -> Result<File, EmbeddedError> {
    let path = dir.join("owner.lock");
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(EmbeddedError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(EmbeddedError::InUse { dir: dir.to_owned(), pid: owner(&mut file) });
        }
        Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", &path)(error)),
    }
    let sign = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    sign(&mut file).map_err(EmbeddedError::io("write", &path))?;
    Ok(file)
}

fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let dir = std::env::temp_dir().join(format!("cita-home-{}", std::process::id()));
        let first = Home::claim(&dir).unwrap();
        let second = Home::claim(&dir).unwrap_err();
        assert!(matches!(second, EmbeddedError::InUse { pid, .. } if pid == Some(std::process::id())));
        assert!(second.to_string().contains("another cita"));
        drop(first);
        Home::claim(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_port_is_kept_while_it_is_free() {
        let dir = std::env::temp_dir().join(format!("cita-port-{}", std::process::id()));
        let home = Home::claim(&dir).unwrap();
        let port = home.choose_port().unwrap();
        home.remember_port(port).unwrap();
        assert_eq!(home.choose_port().unwrap(), port);

        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(home.choose_port().unwrap(), port);
        fs::remove_dir_all(&dir).unwrap();
    }
}
