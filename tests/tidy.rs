//! The house rules: which room may name which, that every file says what it is for, and that none outgrows its reader.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const LONGEST: usize = 600;

/// A room, and what none of its files may name. The table of docs/ARCHITECTURE.md.
const NEVER: &[(&str, &[&str])] = &[
    (
        "src/domain",
        &[
            "tokio",
            "axum",
            "mongodb",
            "serde_json",
            "cita_protocol",
            "metrics",
            "store",
            "feed",
            "views",
            "live",
            "service",
            "session",
            "transport",
        ],
    ),
    ("src/store", &["axum", "cita_protocol", "feed", "views", "live", "service", "session", "transport"]),
    ("src/feed", &["axum", "cita_protocol", "views", "live", "service", "session", "transport"]),
    ("src/views", &["axum", "mongodb", "cita_protocol", "store", "feed", "live", "service", "session", "transport"]),
    ("src/live", &["axum", "mongodb", "cita_protocol", "store", "feed", "service", "session", "transport"]),
    ("src/service", &["axum", "mongodb", "cita_protocol", "feed", "live", "notify", "session", "transport"]),
    ("src/session", &["axum", "mongodb", "feed", "transport"]),
    ("src/transport", &["mongodb", "store", "feed", "service", "views"]),
    ("src/notify", &["axum", "cita_protocol", "views", "live", "service", "session", "transport"]),
    (
        "src/embedded",
        &["axum", "cita_protocol", "domain", "store", "feed", "views", "live", "service", "session", "transport"],
    ),
    ("src/demo", &["axum", "mongodb", "cita_protocol", "feed", "live", "session", "transport"]),
    ("protocol/src", &["cita", "tokio", "axum", "mongodb", "serde_json"]),
    ("clients/cli/src", &["cita", "axum", "mongodb"]),
];

/// Names that say nothing.
const NO_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(dir)];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false if entry.path().extension().is_some_and(|extension| extension == "rs") => {
                    found.push(entry.path())
                }
                false => {}
            }
        }
    }
    assert!(!found.is_empty(), "{dir} has Rust files");
    found.sort();
    found
}

/// The product code of a file: without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    product.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Whether code names a crate (`axum::`) or a room (`crate::live`, `super::super::live` is not used).
fn names(code: &str, what: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let room = format!("crate::{what}");
    let in_room = code.match_indices(&room).any(|(at, _)| !code[at + room.len()..].starts_with(is_word));
    let path = format!("{what}::");
    let in_path = code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !is_word(c) && c != ':')
    });
    in_room || in_path
}

#[test]
fn the_check_of_names_finds_what_it_should() {
    assert!(names("use axum::Router;", "axum"));
    assert!(names("    axum::serve(x)", "axum"));
    assert!(names("use crate::live::hub::Hub;", "live"));
    assert!(names("use crate::live;", "live"));
    assert!(!names("use crate::lively::x;", "live"));
    assert!(!names("use my_axum::x; crate::store::axum::y", "axum"));
    assert!(!names(&code("// use axum::Router;"), "axum"));
}

#[test]
fn no_room_names_what_it_may_not() {
    let mut broken = Vec::new();
    for (room, never) in NEVER {
        for file in rust_files(room) {
            let code = code(&fs::read_to_string(&file).unwrap());
            let named = never.iter().filter(|what| names(&code, what));
            broken.extend(named.map(|what| format!("{} names {what}", file.strip_prefix(root()).unwrap().display())));
        }
    }
    assert!(broken.is_empty(), "the import table is broken:\n{}", broken.join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let homes: [(&str, &[&str]); 6] = [
        ("mongodb", &["src/store", "src/feed", "src/embedded", "src/app.rs"]),
        ("axum", &["src/transport"]),
        ("chrono", &["src/domain/recurrence.rs"]),
        ("tokio_rustls", &["src/transport"]),
        ("rust_embed", &["src/transport/dashboard.rs"]),
        ("metrics_exporter_prometheus", &["src/telemetry.rs"]),
    ];
    for file in rust_files("src") {
        let (code, path) = (code(&fs::read_to_string(&file).unwrap()), file.strip_prefix(root()).unwrap());
        for (library, homes) in homes {
            let at_home = homes.iter().any(|home| path.starts_with(home));
            assert!(at_home || !names(&code, library), "{} names {library}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_too_long() {
    for dir in ["src", "protocol/src", "clients/cli/src", "xtask/src", "tests"] {
        for file in rust_files(dir) {
            let (text, path) =
                (fs::read_to_string(&file).unwrap(), file.strip_prefix(root()).unwrap().display().to_string());
            assert!(text.starts_with("//! "), "{path} does not begin with what it is for (`//! …`)");
            assert!(text.lines().count() <= LONGEST, "{path} is longer than {LONGEST} lines");
            let stem = file.file_stem().unwrap().to_str().unwrap();
            assert!(!NO_NAMES.contains(&stem), "{path}: the name says nothing");
        }
    }
}

/// A test that waits for time to pass is slow or wrong: wait for a condition.
#[test]
fn no_test_sleeps() {
    let sleep = concat!("sleep", "(");
    let harness = root().join("tests/harness/mod.rs");
    for file in rust_files("tests").into_iter().filter(|file| *file != harness) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(sleep), "{} sleeps", file.strip_prefix(root()).unwrap().display());
    }
}
