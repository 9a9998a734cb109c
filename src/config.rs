//! The configuration: flags of `cita serve`, each with its environment variable. The only place where they are named;
//! `--help` and the README's table are made from it.

pub mod check;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::domain::secret::{ConnectionUri, ServerSecret, SmtpUrl};
use crate::transport::forwarded::TrustedProxy;
use crate::transport::origins::Origin;

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
    /// Name every mistake of a configuration, or say what is in effect. Takes what `serve` takes.
    CheckConfig(Box<Config>),
    /// Print the OpenAPI document of the REST interface.
    Openapi,
    /// Make a new key to sign access tokens with.
    RotateKeys(Box<RotateKeys>),
    /// Make an admin, and print a link with which they choose their password.
    CreateAdmin(Box<CreateAdmin>),
    /// Ask a running server whether it is ready, and end with 0 when it is: for containers, which have no curl.
    Health(Box<Health>),
}

/// Options of `cita health`.
#[derive(Clone, Debug, Args)]
pub struct Health {
    /// Where the server is, such as https://citas.example; default: on this machine, where its own options let it listen.
    #[arg(long, value_name = "URL", value_parser = public_url)]
    pub url: Option<String>,

    /// Ask only whether it runs, not whether it is ready.
    #[arg(long)]
    pub live: bool,

    /// What the server has.
    #[arg(long, env = "CITA_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// What the server has.
    #[arg(long, env = "CITA_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
}

/// Options of `cita rotate-keys`.
#[derive(Clone, Debug, Args)]
pub struct RotateKeys {
    #[command(flatten)]
    pub accounts: Accounts,

    /// The present keys are no longer secret: the new one signs at once, and what the others have signed is refused.
    /// Everybody has to refresh. Without it the new key takes over in two minutes, and nobody notices.
    #[arg(long)]
    pub compromised: bool,
}

/// Options of `cita create-admin`.
#[derive(Clone, Debug, Args)]
pub struct CreateAdmin {
    #[command(flatten)]
    pub accounts: Accounts,

    /// E-mail address of the admin. An account that has it becomes an admin's: its old password and sessions end.
    #[arg(long, value_name = "ADDRESS")]
    pub email: String,

    /// Name of the admin, where there is no account yet.
    #[arg(long, value_name = "NAME", default_value = "Admin")]
    pub name: String,

    /// Address of Cita for people, which the link begins with.
    #[arg(long, env = "CITA_PUBLIC_URL", value_name = "URL", value_parser = public_url, default_value = "http://127.0.0.1:8080")]
    pub public_url: String,
}

/// Where the accounts are: for commands that work on them alone, beside a running server or without one. The same as for
/// `cita serve`.
#[derive(Clone, Debug, Args)]
pub struct Accounts {
    /// MongoDB of the accounts. Without it: the one that Cita starts for itself, or has started.
    #[arg(long, env = "CITA_USERS_URI", value_name = "URI", hide_env_values = true)]
    pub users_uri: Option<ConnectionUri>,

    /// File that holds what --users-uri would say.
    #[arg(long, env = "CITA_USERS_URI_FILE", value_name = "FILE")]
    pub users_uri_file: Option<PathBuf>,

    /// Directory of the MongoDB that Cita starts for itself.
    #[arg(long, env = "CITA_DATA_DIR", value_name = "DIRECTORY", default_value = ".cita")]
    pub data_dir: PathBuf,

    /// The mongod to start where no URI is given and none runs.
    #[arg(long, env = "CITA_MONGOD", value_name = "FILE")]
    pub mongod: Option<PathBuf>,

    /// What private keys are encrypted under, as the servers have it.
    #[arg(long, env = "CITA_SECRET", value_name = "TEXT", hide_env_values = true)]
    pub secret: Option<ServerSecret>,

    /// File that holds what --secret would.
    #[arg(long, env = "CITA_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

/// Options of `cita serve`.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// IP address and port to listen on; port 0 picks a free one.
    #[arg(long, env = "CITA_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Certificate chain in PEM: the listener speaks TLS. Read again when it changes. Needs --tls-key as well.
    #[arg(long, env = "CITA_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of that certificate, in PEM, unencrypted.
    #[arg(long, env = "CITA_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// IP address and port of `GET /metrics`, for Prometheus. It asks for no token: keep it among yourselves. Off by default.
    #[arg(long, env = "CITA_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,

    /// Directory of the MongoDB that Cita starts for itself.
    #[arg(long, env = "CITA_DATA_DIR", value_name = "DIRECTORY", default_value = ".cita")]
    pub data_dir: PathBuf,

    /// MongoDB of the accounts: a replica set, 6.0 or newer. Needs --appointments-uri as well.
    #[arg(long, env = "CITA_USERS_URI", value_name = "URI", hide_env_values = true)]
    pub users_uri: Option<ConnectionUri>,

    /// File that holds what --users-uri would say.
    #[arg(long, env = "CITA_USERS_URI_FILE", value_name = "FILE")]
    pub users_uri_file: Option<PathBuf>,

    /// MongoDB of the calendars and appointments. Needs --users-uri as well.
    #[arg(long, env = "CITA_APPOINTMENTS_URI", value_name = "URI", hide_env_values = true)]
    pub appointments_uri: Option<ConnectionUri>,

    /// File that holds what --appointments-uri would say.
    #[arg(long, env = "CITA_APPOINTMENTS_URI_FILE", value_name = "FILE")]
    pub appointments_uri_file: Option<PathBuf>,

    /// The mongod to start where no URIs are given; default: one on PATH, else one that is fetched.
    #[arg(long, env = "CITA_MONGOD", value_name = "FILE")]
    pub mongod: Option<PathBuf>,

    /// Seed a demo clinic on the first start and print its log-ins.
    #[arg(long, env = "CITA_DEMO", value_name = "true|false", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub demo: bool,

    /// `development` is for a desk: doctors are approved at once. `production` is for the public, and refuses what is not.
    #[arg(long, env = "CITA_MODE", value_name = "MODE", default_value = "development")]
    pub mode: Mode,

    /// Address of Cita for people: the dashboard is there, and links in mails begin with it; default: `http://` and the address that it listens on, which
    /// production refuses: there it begins with `https://`.
    #[arg(long, env = "CITA_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Mail server: `smtps://user:password@mail.example`, or `smtp://user:password@mail.example?tls=required`. Production
    /// takes nothing less, but for a server on this machine.
    #[arg(long, env = "CITA_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<SmtpUrl>,

    /// File that holds what --smtp-url would.
    #[arg(long, env = "CITA_SMTP_URL_FILE", value_name = "FILE")]
    pub smtp_url_file: Option<PathBuf>,

    /// Whom mails are from: `citas@clinica.example`, or `Citas <citas@clinica.example>`.
    #[arg(long, env = "CITA_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,

    /// Directory that mails are written to instead of being sent; default: `mail` in the data directory, without those about appointments.
    #[arg(long, env = "CITA_MAIL_SPOOL", value_name = "DIRECTORY")]
    pub mail_spool: Option<PathBuf>,

    /// Issuer of the access tokens, the same on every node.
    #[arg(long, env = "CITA_ISSUER", value_name = "TEXT", default_value = "cita")]
    pub issuer: String,

    /// Origins of other pages that may use cookies and read answers, such as https://app.example.com; several with commas.
    /// That of --public-url need not be named.
    #[arg(long, env = "CITA_ALLOWED_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<Origin>,

    /// Proxies whose X-Forwarded-For is believed: addresses and networks, with commas.
    #[arg(long, env = "CITA_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',')]
    pub trusted_proxies: Vec<TrustedProxy>,

    /// Reads a second, sustained, for each user, or for each address without a log-in; ten times as many in a burst.
    #[arg(long, env = "CITA_RATE_READ", value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate_read: u32,

    /// Mutations a second, likewise.
    #[arg(long, env = "CITA_RATE_WRITE", value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate_write: u32,

    /// Log-ins and the like a second, likewise, and bad tokens.
    #[arg(long, env = "CITA_RATE_AUTH", value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate_auth: u32,

    /// Subscriptions a second, likewise.
    #[arg(long, env = "CITA_RATE_SUBSCRIBE", value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate_subscribe: u32,
    /// What the keys that sign access tokens are encrypted under in the database: at least 32 characters, the same on every
    /// node. Without it they are kept as they are.
    #[arg(long, env = "CITA_SECRET", value_name = "TEXT", hide_env_values = true)]
    pub secret: Option<ServerSecret>,

    /// File that holds what --secret would.
    #[arg(long, env = "CITA_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// Issuer of other access tokens that are good here, exactly as in their `iss`. Needs the two options below as well.
    #[arg(long, env = "CITA_EXTERNAL_ISSUER", value_name = "TEXT")]
    pub external_issuer: Option<String>,

    /// Where that issuer publishes its keys: https, or http on this machine.
    #[arg(long, env = "CITA_EXTERNAL_JWKS_URL", value_name = "URL")]
    pub external_jwks_url: Option<String>,

    /// What stands for this server in the `aud` of its tokens.
    #[arg(long, env = "CITA_EXTERNAL_AUDIENCE", value_name = "TEXT")]
    pub external_audience: Option<String>,

    /// Megabytes of committed changes that a node remembers for clients that come back.
    #[arg(long, env = "CITA_RING_MB", value_name = "MEGABYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub ring_mb: u32,

    /// Megabytes of doctors' calendars that a node keeps, about; the longest unused are dropped and read again when needed.
    #[arg(long, env = "CITA_CALENDARS_MB", value_name = "MEGABYTES", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub calendars_mb: u32,

    /// WebSockets a second that a node lets in, all clients together; the others are told when to come.
    #[arg(long, env = "CITA_WS_HANDSHAKES", value_name = "NUMBER", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub ws_handshakes: u32,

    /// Messages a second that one WebSocket may send, sustained; twice as many in a burst.
    #[arg(long, env = "CITA_WS_RATE", value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ws_rate: u32,

    /// Topics that one connection may watch; each date of a slots range counts.
    #[arg(long, env = "CITA_WS_SUBSCRIPTIONS", value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub ws_subscriptions: u32,

    /// Kilobytes of changes that may wait for one connection before it is closed as too slow.
    #[arg(long, env = "CITA_WS_BACKLOG_KB", value_name = "KILOBYTES", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub ws_backlog_kb: u32,

    /// Seconds that a hold lasts.
    #[arg(long, env = "CITA_HOLD_SECONDS", value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=900))]
    pub hold_seconds: u32,

    /// Seconds for which a time that was given up is kept for each of those who wait for it.
    #[arg(long, env = "CITA_OFFER_SECONDS", value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub offer_seconds: u32,

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

/// Shortest secret, in characters.
const SECRET_MIN: usize = 32;

/// Fewest different characters of a secret.
const SECRET_VARIETY: usize = 10;

/// Looks whether a secret is long enough and no repetition. Not done by the parser of the command line, which repeats what it refuses.
///
/// # Errors
/// A sentence for the person who configured it.
pub fn check_secret(secret: Option<&ServerSecret>) -> Result<(), String> {
    let Some(text) = secret.map(ServerSecret::expose) else { return Ok(()) };
    let different = text.chars().collect::<std::collections::HashSet<_>>().len();
    if text.chars().count() < SECRET_MIN {
        Err(format!(
            "CITA_SECRET has fewer than {SECRET_MIN} characters: make one with `openssl rand -base64 33`, the same for every node"
        ))
    } else if different < SECRET_VARIETY {
        Err(format!(
            "CITA_SECRET has fewer than {SECRET_VARIETY} different characters, which can be guessed: make one with `openssl rand \
             -base64 33`"
        ))
    } else {
        Ok(())
    }
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
            let config = Cli::try_parse_from(wrong).expect("options are understood").serve;
            assert_eq!(check::complete(config).expect_err("it is refused").len(), 1, "{wrong:?}");
        }
    }
}
