//! What the documents say of the configuration is what the code does.

use std::fs;
use std::path::Path;

use cita::config::Cli;
use cita::session::Limits;
use cita::transport::ws::most_bytes;
use clap::{CommandFactory as _, Parser as _};

/// The README's configuration table names every option, in order, with its variable and default, and no other.
#[test]
fn the_readme_lists_every_option() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme.split("<!-- configuration:begin -->").nth(1).unwrap();
    let table = table.split("<!-- configuration:end -->").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `--")).collect();
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let options: Vec<_> = serve.get_arguments().filter(|option| option.get_env().is_some()).collect();
    assert!(options.len() > 10);
    assert_eq!(rows.len(), options.len(), "one row an option:\n{table}");
    for (row, option) in rows.iter().zip(options) {
        let (long, env) = (option.get_long().unwrap(), option.get_env().unwrap().to_str().unwrap());
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1], format!("`--{long}`"));
        assert_eq!(cells[2], format!("`{env}`"), "of --{long}");
        let default = option.get_default_values().first().map(|value| format!("`{}`", value.to_str().unwrap()));
        assert!(default.is_none_or(|default| default == cells[3]), "default of --{long}: {row}");
    }
}

/// Every option says what it is for.
#[test]
fn every_option_has_help() {
    for command in [Cli::command().find_subcommand("serve").unwrap()] {
        for option in command.get_arguments() {
            assert!(option.get_help().is_some(), "--{} has no help", option.get_id());
        }
    }
}

/// `.env.example` names every variable once, in the order of the options, with its default where it has one.
#[test]
fn the_example_of_an_environment_has_every_variable() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let found: Vec<_> =
        lines.filter_map(|line| line.split_once('=')).filter(|(name, _)| name.starts_with("CITA_")).collect();
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let options: Vec<_> = serve.get_arguments().filter(|option| option.get_env().is_some()).collect();
    assert_eq!(found.len(), options.len(), "{found:?}");
    for ((name, value), option) in found.into_iter().zip(options) {
        assert_eq!(name, option.get_env().unwrap());
        let default = option.get_default_values().first().map(|value| value.to_str().unwrap());
        assert!(default.is_none_or(|default| default == value), "default of {name}: {value}");
        if default.is_none() && !value.is_empty() {
            // An example is one that would be taken.
            let line = ["cita".to_owned(), format!("--{}={value}", option.get_long().unwrap())];
            assert_eq!(Cli::try_parse_from(line).err().map(|error| error.kind()), None, "{name}={value}");
        }
    }
}

/// What docs/OPERATIONS.md says that a connection takes at most is what its limits add up to.
#[test]
fn the_memory_of_a_connection_is_what_its_limits_allow() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/OPERATIONS.md")).unwrap();
    let told = format!(
        "| a connection at all its bounds at once | {:.1} MiB",
        most_bytes(&Limits::default()) as f64 / 1024.0 / 1024.0
    );
    assert!(text.contains(&told), "`{told}` is not in docs/OPERATIONS.md");
}
