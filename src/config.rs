//! The configuration: flags of `cita serve`, each with its environment variable. The only place where they are named;
//! `--help` and the README's table are made from it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::domain::secret::SmtpUrl;

/// Calendars and appointments, live: over WebSocket, REST and SSE.
#[derive(Debug, Parser)]
#[command(name = "cita", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What a plain `cita` takes: the same as `cita serve`.
    #[command(flatten)]
    pub serve: Config,
}

/// What `cita` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until Ctrl-C or SIGTERM (the default).
    Serve(Box<Config>),
    /// Print the OpenAPI document of the REST interface.
    Openapi,
}

/// Options of `cita serve`.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// IP address and port to listen on; port 0 picks a free one.
    #[arg(long, env = "CITA_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Directory of the MongoDB that Cita starts for itself.
    #[arg(long, env = "CITA_DATA_DIR", value_name = "DIRECTORY", default_value = ".cita")]
    pub data_dir: PathBuf,

    /// MongoDB of the accounts: a replica set, 6.0 or newer. Needs --appointments-uri as well.
    #[arg(long, env = "CITA_USERS_URI", value_name = "URI", hide_env_values = true, requires = "appointments_uri")]
    pub users_uri: Option<String>,

    /// MongoDB of the calendars and appointments. Needs --users-uri as well.
    #[arg(long, env = "CITA_APPOINTMENTS_URI", value_name = "URI", hide_env_values = true, requires = "users_uri")]
    pub appointments_uri: Option<String>,

    /// The mongod to start where no URIs are given; default: one on PATH, else one that is fetched.
    #[arg(long, env = "CITA_MONGOD", value_name = "FILE")]
    pub mongod: Option<PathBuf>,

    /// Seed a demo clinic on the first start and print its log-ins.
    #[arg(long, env = "CITA_DEMO", value_name = "true|false", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub demo: bool,

    /// `development` approves doctors at once.
    #[arg(long, env = "CITA_MODE", value_name = "MODE", default_value = "development")]
    pub mode: Mode,

    /// Address of Cita for people, for the links in mails; default: `http://` and the address that it listens on.
    #[arg(long, env = "CITA_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Mail server: `smtps://user:password@mail.example`, or `smtp://user:password@mail.example?tls=required`.
    #[arg(long, env = "CITA_SMTP_URL", value_name = "URL", hide_env_values = true, requires = "mail_from")]
    pub smtp_url: Option<SmtpUrl>,

    /// Whom mails are from: `citas@clinica.example`, or `Citas <citas@clinica.example>`.
    #[arg(long, env = "CITA_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,

    /// Directory that mails are written to instead of being sent; default: `mail` in the data directory.
    #[arg(long, env = "CITA_MAIL_SPOOL", value_name = "DIRECTORY", conflicts_with = "smtp_url")]
    pub mail_spool: Option<PathBuf>,

    /// Issuer of the access tokens, the same on every node.
    #[arg(long, env = "CITA_ISSUER", value_name = "TEXT", default_value = "cita")]
    pub issuer: String,

    /// Megabytes of committed changes that a node remembers for clients that come back.
    #[arg(long, env = "CITA_RING_MB", value_name = "MEGABYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub ring_mb: u32,

    /// Messages a second that one WebSocket may send, sustained; twice as many in a burst.
    #[arg(long, env = "CITA_WS_RATE", value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ws_rate: u32,

    /// Topics that one connection may watch; each date of a slots range counts.
    #[arg(long, env = "CITA_WS_SUBSCRIPTIONS", value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub ws_subscriptions: u32,

    /// Kilobytes of changes that may wait for one connection before it is closed as too slow.
    #[arg(long, env = "CITA_WS_BACKLOG_KB", value_name = "KILOBYTES", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub ws_backlog_kb: u32,

    /// Milliseconds between the server's pings; a connection that is silent for two of them is closed.
    #[arg(long, env = "CITA_HEARTBEAT_MS", value_name = "MILLISECONDS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub heartbeat_ms: u64,

    /// Seconds that a stopping server gives to what is under way.
    #[arg(long, env = "CITA_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub drain_seconds: u64,

    /// Form of the log lines.
    #[arg(long, env = "CITA_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged, such as `info` or `warn,cita::feed=debug`.
    #[arg(long, env = "CITA_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// How careful the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// For a desk: new doctors can be booked at once.
    Development,
    /// For the public.
    Production,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a link can begin with: scheme, host, perhaps a port and a path. Without a slash at the end, and short enough
/// for a line of a mail.
fn public_url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_good = |rest: &str| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && rest.chars().all(|c| c.is_ascii_graphic() && !"?#@\"<>\\".contains(c))
    };
    if text.len() <= 200 && rest.is_some_and(is_good) {
        Ok(text.to_owned())
    } else {
        Err("give a URL such as https://citas.example".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_begin_with_a_plain_url() {
        for (given, taken) in [
            ("https://citas.example", "https://citas.example"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://[::1]:8443/citas/", "https://[::1]:8443/citas"),
        ] {
            assert_eq!(public_url(given).as_deref(), Ok(taken));
        }
        for url in [
            "",
            "citas.example",
            "https://",
            "https:///x",
            "ftp://x",
            "https://x/?a",
            "https://x#a",
            "https://a@b",
            "https://a b",
            "javascript:alert(1)",
        ] {
            assert!(public_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_configuration_does_not_show_the_password_of_the_mail_server() {
        let line = ["cita", "--smtp-url", "smtps://cita:hunter22@mail.example", "--mail-from", "a@b.co"];
        let config = Cli::try_parse_from(line).expect("options are understood").serve;
        assert!(config.smtp_url.as_ref().is_some_and(|url| url.expose().contains("hunter22")));
        assert!(!format!("{config:?}").contains("hunter22"));
        let spool = ["--mail-spool", "x"];
        for wrong in [&line[..3], &[&line[..], &spool[..]].concat()] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
