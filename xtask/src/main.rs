//! The commands of a Cita checkout: start everything, run every test, regenerate what is generated.
//! It is compiled before anything else can happen, so it knows clap and the standard library only.

mod chromium;
mod clients;
mod generate;

use std::env;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};

use self::clients::Client;

/// The commands of a Cita checkout.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build Cita and start everything: its two databases, a demo clinic, the server, the dashboard in the browser.
    ///
    /// The dashboard and the TypeScript client that it is made with are built first, when they have changed. Without Node 20.19
    /// and npm the server starts all the same, and its start page says so.
    ///
    /// MongoDB is looked for in CITA_MONGOD, on PATH and in the cache, and fetched once when it is nowhere. Data is kept
    /// in .cita of this checkout unless CITA_DATA_DIR says otherwise. Ctrl-C stops all of it.
    Up(Up),
    /// Run every test there is.
    ///
    /// First those in Rust, then those of the clients in TypeScript and in the browser, which need Node 20.19 with npm, and
    /// Chromium: the one that CHROMIUM names, one on PATH, or Debian's, which is installed where that can be done without a
    /// password. Tests use databases of their own, started for the run and removed after it.
    Test(Test),
    /// Write anew what is generated from the source: the JSON Schemas of the wire protocol, the tables of its page, and the
    /// types of the TypeScript client, for which it needs Node 20.19 with npm.
    Generate(Generate),
}

#[derive(Args)]
struct Up {
    /// Build with optimisation: slower to build, faster to run.
    #[arg(long)]
    release: bool,
    /// Do not build the dashboard: what was built before is served, if anything was.
    #[arg(long)]
    no_dashboard: bool,
    /// Options for `cita serve`, after `--`; `cargo xtask up -- --help` lists them.
    #[arg(last = true, value_name = "OPTION")]
    serve: Vec<String>,
}

#[derive(Args)]
struct Test {
    /// Run only Rust tests whose name contains one of these; `typescript`, `dashboard` and `clients` (both) are the tests of
    /// those clients.
    filter: Vec<String>,
}

#[derive(Args)]
struct Generate {
    /// Fail when what is there differs from what the source generates, and name the files.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Up(options) => up(&options),
        Task::Test(options) => test(&options),
        Task::Generate(options) => generate::run(options.check),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cargo xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes `cargo run`, which becomes `cita`: one process from here on, so that every signal reaches the server and its
/// exit status is the one that is seen.
fn up(options: &Up) -> Result<(), Failure> {
    if !options.no_dashboard {
        match clients::build() {
            Err(Failure::Missing(what)) => {
                eprintln!("cargo xtask: {what}\ncargo xtask: going on without the dashboard")
            }
            built => built?,
        }
    }
    let mut cargo = cargo("run");
    cargo.args(["--package", "cita", "--bin", "cita"]);
    if options.release {
        cargo.arg("--release");
    }
    cargo.args(["--", "serve"]).args(&options.serve);
    if env::var_os("CITA_DEMO").is_none() {
        cargo.env("CITA_DEMO", "true");
    }
    Err(Failure::Start(format!("{cargo:?}"), cargo.exec()))
}

fn test(options: &Test) -> Result<(), Failure> {
    let all = options.filter.is_empty();
    let (of_clients, of_rust): (Vec<&String>, Vec<&String>) =
        options.filter.iter().partition(|filter| Client::ALL.iter().any(|client| client.is_meant_by(filter)));
    let clients: Vec<Client> = Client::ALL
        .into_iter()
        .filter(|client| all || of_clients.iter().any(|filter| client.is_meant_by(filter)))
        .collect();
    let browser = if clients.is_empty() { None } else { clients::prepare(&clients)? };
    if all || !of_rust.is_empty() {
        let mut cargo = cargo("test");
        cargo.args(["--workspace", "--"]).args(of_rust);
        complete(cargo)?;
    }
    if clients.is_empty() {
        return Ok(());
    }
    // The tests in Rust have built it, if they were run.
    if !all {
        let mut cargo = cargo("build");
        cargo.args(["--package", "cita", "--bin", "cita"]);
        complete(cargo)?;
    }
    clients::test(&clients, &beside("cita")?, browser.as_deref())
}

/// The cargo that runs this, in the root of the checkout.
fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(command).current_dir(root());
    cargo
}

fn complete(mut command: Command) -> Result<(), Failure> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Failed(shown, status.to_string())),
        Err(error) => Err(Failure::Start(shown, error)),
    }
}

/// A file of this name where cargo has put this program, which is where it puts `cita` too.
fn beside(name: &str) -> Result<PathBuf, Failure> {
    let program = env::current_exe().map_err(failed(Path::new("the path of this program")))?;
    Ok(program.with_file_name(name))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::File(path, error)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the checkout")
}

/// Why a task did not succeed.
enum Failure {
    Start(String, io::Error),
    Failed(String, String),
    File(String, io::Error),
    /// Something that has to be installed.
    Missing(String),
    Stale(Vec<String>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(command, error) => write!(f, "{command} cannot be started: {error}"),
            Self::Failed(command, status) => write!(f, "{command} failed ({status})"),
            Self::File(path, error) => write!(f, "{path} cannot be read or written: {error}"),
            Self::Missing(what) => f.write_str(what),
            Self::Stale(files) => {
                writeln!(f, "generated files were stale; they are right now, commit them:")?;
                write!(f, "  {}", files.join("\n  "))
            }
        }
    }
}
