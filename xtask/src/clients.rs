//! The clients in TypeScript, through npm: their packages, builds, tests and generated types.
//!
//! What was done last is written down beside the program, so that nothing is done again that would come out the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use super::chromium;
use super::{Failure, beside, complete, failed, root};

/// Versions of Node that the packages take: what `engines` of the lock file says.
const NODE: &str = "20.19, 22.12, 24 or newer";
/// Where the workspace of npm begins.
const WORKSPACE: &str = "clients";
/// What is neither a source nor worth looking at.
const NO_SOURCES: [&str; 3] = ["dist", "node_modules", "tests"];

/// A member of the workspace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Typescript,
    Dashboard,
}

impl Client {
    /// The dashboard is built on the other.
    pub const ALL: [Self; 2] = [Self::Typescript, Self::Dashboard];

    /// Its directory in the workspace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typescript => "typescript",
            Self::Dashboard => "dashboard",
        }
    }

    /// The file of its build that the others hang on.
    fn first(self) -> &'static str {
        match self {
            Self::Typescript => "index.js",
            Self::Dashboard => "index.html",
        }
    }

    /// Whether a filter of tests names it.
    pub fn is_meant_by(self, filter: &str) -> bool {
        filter == self.name() || filter == WORKSPACE
    }
}

/// Builds both, if anything that they are made of has changed.
pub fn build() -> Result<(), Failure> {
    let (made_of, stamp) = (sources()?, beside("clients.built")?);
    let is_there = |client: Client| workspace().join(client.name()).join("dist").join(client.first()).is_file();
    if Client::ALL.into_iter().all(is_there) && fs::read_to_string(&stamp).is_ok_and(|built| built == made_of) {
        return Ok(());
    }
    install()?;
    for client in Client::ALL {
        run("build", client, &[])?;
    }
    // As it was before: what has changed meanwhile is built the next time.
    fs::write(&stamp, made_of).map_err(failed(&stamp))
}

/// Finds what their tests need beside themselves: nobody should wait for minutes to be told that it is missing. The browser, where
/// one is needed.
pub fn prepare(clients: &[Client]) -> Result<Option<PathBuf>, Failure> {
    check_node()?;
    clients.contains(&Client::Dashboard).then(chromium::find).transpose()
}

/// Runs their tests against this `cita`, in this browser.
pub fn test(clients: &[Client], cita: &Path, browser: Option<&Path>) -> Result<(), Failure> {
    build()?;
    let mut environment = vec![("CITA_BIN", cita)];
    environment.extend(browser.map(|browser| ("CHROMIUM", browser)));
    clients.iter().try_for_each(|&client| run("test", client, &environment))
}

/// Writes the types of the wire anew, from the schemas.
pub fn generate() -> Result<(), Failure> {
    run("generate", Client::Typescript, &[])
}

/// Installs the packages that the lock file names, if it has changed.
pub fn install() -> Result<(), Failure> {
    check_node()?;
    let (lock, stamp) = (workspace().join("package-lock.json"), beside("clients.installed")?);
    let wanted = fs::read(&lock).map_err(failed(&lock))?;
    let is_there = workspace().join("node_modules").is_dir();
    if is_there && fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    // What breaks off leaves nothing that could be taken for whole.
    match fs::remove_file(&stamp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&stamp)(error)),
        _ => println!("cargo xtask: npm ci in {WORKSPACE}"),
    }
    let mut npm = npm();
    npm.args(["ci", "--prefer-offline", "--no-audit", "--no-fund"]);
    // Of a machine that reaches no registry, for one: it is as if they were missing.
    complete(npm).map_err(|failure| {
        Failure::Missing(format!(
            "the packages of the dashboard and the TypeScript client are not installed: {failure}"
        ))
    })?;
    fs::write(&stamp, wanted).map_err(failed(&stamp))
}

fn run(script: &str, client: Client, environment: &[(&str, &Path)]) -> Result<(), Failure> {
    println!("cargo xtask: npm run {script} in {WORKSPACE}/{}", client.name());
    let mut npm = npm();
    npm.args(["run", script, "--workspace", client.name()]).envs(environment.iter().copied());
    complete(npm)
}

fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(workspace());
    npm
}

fn workspace() -> PathBuf {
    root().join(WORKSPACE)
}

fn check_node() -> Result<(), Failure> {
    let found = match (version("node"), version("npm")) {
        (Some(node), Some(_)) if suits(&node) => return Ok(()),
        (Some(node), Some(_)) => format!("what is on PATH is {node}"),
        (Some(_), None) => "npm is not on PATH".to_owned(),
        (None, _) => "node is not on PATH".to_owned(),
    };
    Err(Failure::Missing(format!(
        "the dashboard and the TypeScript client need Node {NODE} with npm, and {found}; https://nodejs.org has it for every \
         system"
    )))
}

fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Of a version as Node writes it: `v20.20.2`.
fn suits(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map_while(|part| part.parse().ok());
    matches!((parts.next(), parts.next()), (Some(20), Some(19..)) | (Some(22), Some(12..)) | (Some(24..), Some(0..)))
}

/// Every file that a build reads, with its size and when it was written.
fn sources() -> Result<String, Failure> {
    let mut files = ["package.json", "package-lock.json"].map(|file| workspace().join(file)).to_vec();
    let mut waiting = Client::ALL.map(|client| workspace().join(client.name())).to_vec();
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).map_err(failed(&dir))? {
            let entry = entry.map_err(failed(&dir))?;
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name.starts_with('.') || NO_SOURCES.contains(&name.as_ref()) {
                continue;
            }
            match entry.file_type().map_err(failed(&path))?.is_dir() {
                true => waiting.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let lines: Result<Vec<String>, Failure> = files.iter().map(|file| line(file).map_err(failed(file))).collect();
    Ok(lines?.join("\n"))
}

fn line(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    let written = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(format!("{} {} {written}", file.display(), metadata.len()))
}
