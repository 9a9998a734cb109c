//! Tokens on disk: one entry per profile and server, in a file that only its owner reads.
//!
//! Several commands may run at once with one profile, and a refresh token works once. Whoever changes the file holds
//! its lock, and replaces it whole.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use cita_protocol::Instant;
use cita_protocol::auth::{AuthReply, User};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::times;

/// Before a token's end, what is left is too short to work with.
const EARLY: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// A session of one profile at one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub profile: String,
    pub server: String,
    pub access_token: String,
    pub refresh_token: Option<String>,
    pub expires_at: Instant,
    pub user: User,
}

impl Session {
    pub fn new(profile: &str, server: &str, reply: AuthReply) -> Self {
        Self {
            profile: profile.to_owned(),
            server: server.to_owned(),
            access_token: reply.access_token,
            refresh_token: reply.refresh_token,
            expires_at: reply.expires_at,
            user: reply.user,
        }
    }

    /// Whether the access token has ended or is about to, by this machine's clock.
    pub fn is_over(&self) -> bool {
        times::timestamp(&self.expires_at).is_none_or(|end| end - EARLY <= times::now())
    }

    fn belongs_to(&self, profile: &str, server: &str) -> bool {
        self.profile == profile && self.server == server
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    sessions: Vec<Session>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// Proof that no other command changes tokens; released when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Store {
    /// `$XDG_CONFIG_HOME/cita/credentials.json`, or the same under `~/.config`.
    pub fn of_user() -> Result<Self, Failure> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .ok_or_else(|| Failure::local("set HOME or XDG_CONFIG_HOME: there is no place to keep the session"))?;
        Ok(Self::at(base.join("cita").join("credentials.json")))
    }

    fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The session of this profile at this server.
    pub fn get(&self, profile: &str, server: &str) -> Result<Option<Session>, Failure> {
        let contents = self.read()?;
        let found = contents.sessions.into_iter().find(|session| session.belongs_to(profile, server));
        Ok(found)
    }

    /// Waits until no other command changes tokens, in a thread, so that a live view is not held up.
    pub async fn lock(&self) -> Result<Lock, Failure> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.lock_now())
            .await
            .unwrap_or_else(|error| Err(self.failure("cannot wait for", error)))
    }

    fn lock_now(&self) -> Result<Lock, Failure> {
        self.make_directory()?;
        let path = self.path.with_extension("lock");
        let file = private()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| Failure::local(format!("cannot lock {}: {error}", path.display())))?;
        Ok(Lock { _file: file })
    }

    /// Keeps this session in place of the one before.
    pub fn put(&self, _lock: &Lock, session: Session) -> Result<(), Failure> {
        let mut contents = self.read()?;
        contents.sessions.retain(|other| !other.belongs_to(&session.profile, &session.server));
        contents.sessions.push(session);
        self.write(&contents)
    }

    /// Forgets the session.
    pub fn remove(&self, _lock: &Lock, profile: &str, server: &str) -> Result<(), Failure> {
        let mut contents = self.read()?;
        contents.sessions.retain(|other| !other.belongs_to(profile, server));
        self.write(&contents)
    }

    fn read(&self) -> Result<Contents, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(self.failure("cannot read", error)),
        };
        serde_json::from_str(&text)
            .map_err(|error| self.failure("cannot understand", error).with_hint("Delete the file, then log in again."))
    }

    /// A crash leaves the old file or the new one, never half of one.
    fn write(&self, contents: &Contents) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(contents).map_err(|error| self.failure("cannot write", error))?;
        let temporary = self.path.with_extension("new");
        write_private(&temporary, &text)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .map_err(|error| self.failure("cannot write", error))
    }

    fn make_directory(&self) -> Result<(), Failure> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)
            .map_err(|error| Failure::local(format!("cannot make {}: {error}", directory.display())))
    }

    fn failure(&self, what: &str, error: impl std::fmt::Display) -> Failure {
        Failure::local(format!("{what} {}: {error}", self.path.display()))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = private().create(true).truncate(true).write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Files that only their owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use cita_protocol::auth::{Notifications, Role};

    use super::*;

    /// A store in a directory of its own, removed at the end.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new() -> (Self, Store) {
            let directory = env::temp_dir().join(format!("cita-cli-{}", uuid::Uuid::new_v4()));
            let store = Store::at(directory.join("cita").join("credentials.json"));
            (Self(directory), store)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn session(profile: &str, token: &str) -> Session {
        Session {
            profile: profile.into(),
            server: "http://s".into(),
            access_token: token.into(),
            refresh_token: Some("r".into()),
            expires_at: "2020-01-01T00:00:00Z".into(),
            user: User {
                id: "u".into(),
                rev: 1,
                role: Role::Patient,
                name: "Ana".into(),
                email: "ana@example.com".into(),
                email_verified: true,
                pending_email: None,
                locale: None,
                time_zone: None,
                notifications: Notifications::default(),
                calendar_feed_at: None,
                created_at: "2020-01-01T00:00:00Z".into(),
            },
        }
    }

    #[test]
    fn profiles_do_not_touch_each_other() {
        let (_directory, store) = Temporary::new();
        assert_eq!(store.get("a", "http://s").unwrap(), None);
        let lock = store.lock_now().unwrap();
        store.put(&lock, session("a", "1")).unwrap();
        store.put(&lock, session("b", "2")).unwrap();
        store.put(&lock, session("a", "3")).unwrap();
        assert_eq!(store.get("a", "http://s").unwrap(), Some(session("a", "3")));
        assert_eq!(store.get("a", "http://other").unwrap(), None);
        store.remove(&lock, "a", "http://s").unwrap();
        assert_eq!(store.get("a", "http://s").unwrap(), None);
        assert_eq!(store.get("b", "http://s").unwrap(), Some(session("b", "2")));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let (_directory, store) = Temporary::new();
        let lock = store.lock_now().unwrap();
        store.put(&lock, session("a", "1")).unwrap();
        let mode = fs::metadata(&store.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let (_directory, store) = Temporary::new();
        store.make_directory().unwrap();
        fs::write(&store.path, "{").unwrap();
        let failure = store.get("a", "http://s").unwrap_err();
        assert!(failure.to_string().contains("credentials.json"), "{failure}");
    }

    #[test]
    fn tokens_end() {
        let mut session = session("a", "1");
        assert!(session.is_over());
        session.expires_at = "2999-01-01T00:00:00Z".into();
        assert!(!session.is_over());
    }
}
