//! The databases of a test run: one pair of throw-away replica sets for all tests, and private pairs for those that kill.
//!
//! Rust has no hook at the end of a test binary and drops no statics. So a small shell process holds the read end of a
//! pipe whose write end only this process has: when this process ends, in whatever way, the pipe closes, and the shell
//! ends what runs on the temporary directory and removes it.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use cita::embedded::{Clusters, default_cache_dir, find_mongod};
use tokio::runtime;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The two replica sets that all tests of this run share; each test uses databases of its own in them.
pub struct SharedMongo {
    pub users_uri: String,
    pub appointments_uri: String,
}

/// The shared replica sets, started by whoever asks first.
pub async fn shared() -> &'static SharedMongo {
    static SHARED: OnceLock<SharedMongo> = OnceLock::new();
    let starting = tokio::task::spawn_blocking(|| SHARED.get_or_init(start_shared));
    starting.await.expect("the shared replica sets start")
}

/// A pair of replica sets for one test alone, to be killed and restarted at will.
pub async fn private() -> Clusters {
    Clusters::start(mongod().await, &scratch_dir()).await.expect("a private pair of replica sets starts")
}

/// A path of its own (not created) in the directory of this run. What runs on it is killed and what lies in it is removed
/// when this process ends.
pub fn scratch_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    run_dir().join(COUNT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// The mongod that tests use: found as the server finds it, `CITA_MONGOD` included.
pub async fn mongod() -> &'static Path {
    static MONGOD: OnceCell<PathBuf> = OnceCell::const_new();
    let find = || async {
        let explicit = env::var_os("CITA_MONGOD").map(PathBuf::from);
        find_mongod(explicit.as_deref(), &default_cache_dir()).await.expect("a mongod is found or fetched")
    };
    MONGOD.get_or_init(find).await
}

/// On a thread and runtime of their own: the runtime of the test that asked first ends with that test.
fn start_shared() -> SharedMongo {
    let (send, receive) = mpsc::channel();
    let serve = move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
        runtime.block_on(async {
            let started = Clusters::start(mongod().await, &scratch_dir()).await;
            let clusters = started.expect("the shared replica sets start");
            let (users_uri, appointments_uri) = (clusters.users.uri(), clusters.appointments.uri());
            send.send(SharedMongo { users_uri, appointments_uri }).expect("the first test waits for this");
            std::future::pending::<()>().await;
        });
    };
    thread::Builder::new().name("shared-mongo".to_owned()).spawn(serve).expect("a thread can be started");
    receive.recv().expect("the shared replica sets start; the panic above says why not")
}

/// The directory of this run, watched from the moment it exists.
fn run_dir() -> &'static Path {
    static RUN: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (dir, _watchdog) = RUN.get_or_init(|| {
        let dir = env::temp_dir().canonicalize().expect("the temporary directory exists");
        let dir = dir.join(format!("cita-test-{}", Uuid::new_v4().simple()));
        let watchdog = watch(&dir);
        std::fs::create_dir(&dir).expect("the temporary directory can be written");
        (dir, watchdog)
    });
    dir
}

/// In a process group of its own, so that Ctrl-C does not end it before its work. Processes are recognised by the
/// random name of the directory in their arguments; the watchdog and its tools have it only in the environment and on
/// standard input.
fn watch(dir: &Path) -> Child {
    const WATCHDOG: &str = r#"
        cat >/dev/null
        ours() {
            if [ -d /proc/self ]; then
                echo "$DIR/" | grep -lsaF -f - /proc/[0-9]*/cmdline | cut -d/ -f3
            else
                ps -axo pid=,command= | awk 'index($0, ENVIRON["DIR"] "/") { print $1 }'
            fi
        }
        for attempt in 1 2 3 4 5 6 7 8 9 10; do
            pids=$(ours)
            [ -z "$pids" ] && break
            kill -s KILL $pids
            sleep 0.2
        done
        rm -rf "$DIR"
    "#;
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG]).env("DIR", dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("`sh` runs")
}
