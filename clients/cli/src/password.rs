//! Where a password comes from: standard input, the environment, or a terminal that does not show it.

use std::env;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::process::{Command, Stdio};

use crate::args::PasswordSource;
use crate::failure::Failure;

const VARIABLE: &str = "CITA_PASSWORD";

/// The password of this log-in.
pub async fn password(source: &PasswordSource) -> Result<String, Failure> {
    if source.stdin {
        return read_line().await;
    }
    if let Ok(password) = env::var(VARIABLE) {
        return Ok(password);
    }
    if !stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "no password: pass --password-stdin, set {VARIABLE}, or run this on a terminal"
        )));
    }
    hidden_line("Password: ").await
}

/// Asks for a line on the terminal.
pub async fn ask(prompt: &str) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("no e-mail address: cita-cli login EMAIL"));
    }
    show(prompt);
    read_line().await
}

async fn hidden_line(prompt: &str) -> Result<String, Failure> {
    show(prompt);
    let _hidden = Hidden::begin();
    read_line().await
}

/// While it lives, the terminal does not show what is typed. Ctrl-C drops it too.
struct Hidden;

impl Hidden {
    /// Best effort: where there is no `stty`, the password shows while it is typed.
    fn begin() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        stty("echo");
        show("\n");
    }
}

fn stty(setting: &str) {
    let _ = Command::new("stty").arg(setting).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
}

fn show(text: &str) {
    // A prompt that cannot be shown is no reason to fail.
    let _ = stderr().write_all(text.as_bytes());
}

async fn read_line() -> Result<String, Failure> {
    let read = || {
        let mut line = String::new();
        stdin().read_line(&mut line).map(|_| line)
    };
    let line = tokio::task::spawn_blocking(read)
        .await
        .map_err(std::io::Error::other)
        .and_then(|line| line)
        .map_err(|error| Failure::local(format!("cannot read standard input: {error}")))?;
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err(Failure::usage("nothing was entered"));
    }
    Ok(line.to_owned())
}
