//! What goes to the terminal: lines for people, JSON for programs, colours where they are wanted.

use std::env;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::exit;

use serde::Serialize;

/// Colours by meaning.
#[derive(Clone, Copy, Debug)]
pub enum Paint {
    Good,
    Bad,
    Notice,
    Strong,
    Faint,
}

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    colour: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { json, colour: !json && wanted && able }
    }

    /// The text in its colour, where colours are wanted.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Notice => "33",
            Paint::Strong => "1",
            Paint::Faint => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line for people; nothing in JSON mode.
    pub fn line(self, text: impl AsRef<str>) {
        if !self.json {
            print(text.as_ref());
        }
    }

    /// A JSON object on a line of its own, in JSON mode.
    pub fn object(self, value: &impl Serialize) {
        if self.json {
            print(&to_json(value));
        }
    }

    /// About the command itself, on standard error.
    pub fn note(self, text: impl AsRef<str>) {
        let text = text.as_ref();
        if self.json {
            eprint_line(&to_json(&serde_json::json!({"type": "note", "data": {"text": text}})));
        } else {
            eprint_line(text);
        }
    }

    /// An error, on standard error: the object in JSON mode, else the lines.
    pub fn error(self, value: &impl Serialize, lines: &[String]) {
        if self.json {
            eprint_line(&to_json(value));
        } else {
            lines.iter().for_each(|line| eprint_line(line));
        }
    }
}

fn to_json(value: &impl Serialize) -> String {
    // Only maps with keys that are not strings fail, and there are none on the wire.
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Text that others wrote, without the control characters that could steer this terminal.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn print(text: &str) {
    let mut out = stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever read us has enough, as in `cita-cli doctors | head -1`.
        exit(if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

fn eprint_line(text: &str) {
    // Nowhere is left to tell when this fails.
    let _ = writeln!(stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(plain("Ana\x1b[2J\n\u{9b}1m Pérez"), "Ana[2J1m Pérez");
    }
}
