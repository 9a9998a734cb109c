//! `cita check-config`, and what `cita serve` says of the same mistakes.

use std::env;
use std::process::{Command, Output};

/// Runs `cita` with these words and variables, and with none of the environment's.
fn cita(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cita"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CITA_")) {
        command.env_remove(name);
    }
    command.args(words).envs(variables.iter().copied()).output().expect("the server's binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn every_mistake_is_named_at_once() {
    let variables = [
        ("CITA_MODE", "production"),
        ("CITA_DEMO", "true"),
        ("CITA_RING_MB", "many"),
        ("CITA_ALLOWED_ORIGINS", "*"),
        ("CITA_USERS_URI", "mongodb://u:geheim@"),
        ("CITA_APPOINTMENTS_URI_FILE", "/nowhere/to/be/found"),
    ];
    for words in [&["check-config", "--listen", "x"][..], &["serve", "--listen", "x"], &["--listen", "x"]] {
        let output = cita(words, &variables);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!((lines[0], lines.len()), ("cita: the configuration cannot be used:", 10), "{told}");
        for (line, words) in lines[1..].iter().zip([
            "invalid value 'x' for '--listen <ADDRESS>'",
            "without wildcards, and perhaps a port (CITA_ALLOWED_ORIGINS)",
            "invalid value 'many' for '--ring-mb <MEGABYTES>': invalid digit found in string (CITA_RING_MB)",
            "leave --demo (CITA_DEMO) out in production",
            "give --secret (CITA_SECRET)",
            "give --smtp-url (CITA_SMTP_URL) and --mail-from (CITA_MAIL_FROM)",
            "give --public-url (CITA_PUBLIC_URL), such as https://",
            "--appointments-uri-file: /nowhere/to/be/found cannot be read",
            "the URI of the users cluster is not usable",
        ]) {
            assert!(line.starts_with("  ") && line.contains(words), "{words} in {line}");
        }
        assert!(!told.contains("geheim") && output.stdout.is_empty(), "{told}");
    }
    // What clap finds no value in is still clap's to say.
    assert_eq!(cita(&["check-config", "--nonsense"], &[]).status.code(), Some(2));
}

#[test]
fn contradictions_stop_the_start_with_the_same_words() {
    let variables = [("CITA_MODE", "production"), ("CITA_DEMO", "true"), ("CITA_LOG", "off")];
    let told = |word| {
        let output = cita(&[word], &variables);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let checked = told("check-config");
    assert_eq!(checked.lines().count(), 6, "{checked}");
    assert!(checked.contains("give --users-uri (CITA_USERS_URI)") && checked.contains("leave --demo"), "{checked}");
    assert_eq!(told("serve"), checked);
}

#[test]
fn a_good_configuration_is_told_without_its_secrets() {
    let variables = [
        ("CITA_MODE", "production"),
        ("CITA_USERS_URI", "mongodb://u:geheim@db"),
        ("CITA_APPOINTMENTS_URI", "mongodb://a:geheim@db"),
        ("CITA_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("CITA_SECRET", "geheim und lang genug für jeden Knoten"),
        ("CITA_SMTP_URL", "smtps://cita:geheim@mail.example"),
        ("CITA_MAIL_FROM", "citas@clinica.example"),
        ("CITA_PUBLIC_URL", "https://citas.example"),
    ];
    let output = cita(&["check-config", "--ring-mb", "128"], &variables);
    let told = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{told}");
    for line in [
        "The configuration is good. In effect:",
        "  --listen 127.0.0.1:8080 (default)",
        "  --users-uri [redacted] (CITA_USERS_URI)",
        "  --mode production (CITA_MODE)",
        "  --trusted-proxies 10.0.0.0/8, ::1 (CITA_TRUSTED_PROXIES)",
        "  --ring-mb 128",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    assert!(!told.contains("geheim"), "{told}");
}
