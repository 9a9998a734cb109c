//! The browser that the dashboard is tested in: found, or installed where that can be done without asking anybody.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Failure;

/// What it is called where.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const INSTALL: [&str; 4] = ["install", "--yes", "--no-install-recommends", "chromium"];

/// The browser that `CHROMIUM` names, one on `PATH`, or Debian's, installed now.
pub fn find() -> Result<PathBuf, Failure> {
    if let Some(named) = env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    if let Some(found) = on_path() {
        return Ok(found);
    }
    println!("cargo xtask: there is no Chromium; trying to install it with apt-get");
    if !apt_get(&INSTALL) && apt_get(&["update"]) {
        apt_get(&INSTALL);
    }
    on_path().ok_or_else(|| {
        Failure::Missing(format!(
            "the dashboard is tested in Chromium, and none of {} is on PATH: install it, or name it with CHROMIUM",
            NAMES.join(", ")
        ))
    })
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    NAMES.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|file| file.is_file())
}

/// Whether it did that, as root or with a `sudo` that asks for no password.
fn apt_get(arguments: &[&str]) -> bool {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let words: &[&str] = if is_root { &["apt-get"] } else { &["sudo", "-n", "apt-get"] };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
