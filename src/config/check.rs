//! What is wrong with a configuration: every mistake at once, with what to do, before anything is started.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _, value_parser};
use url::Url;

use super::{Accounts, Cli, Config, Mode, check_secret};
use crate::clock::Clock;
use crate::domain::peer::is_loopback;
use crate::domain::secret::{ConnectionUri, SmtpUrl};
use crate::error::ClusterName;
use crate::notify::mail::Post;
use crate::service::external::ExternalIssuer;
use crate::store::cluster::check_uri;
use crate::transport::tls::Tls;

/// Longest secret that is read from a file, in bytes.
const SECRET_BYTES: u64 = 64 * 1024;

/// Reads the secrets that lie in files, and checks what only the whole configuration tells.
///
/// # Errors
/// Every mistake, a sentence each.
pub fn complete(mut config: Config) -> Result<Config, Vec<String>> {
    let mut mistakes = contradictions(&config);
    // A line for each secret.
    read("--users-uri", &mut config.users_uri, &mut config.users_uri_file, &mut mistakes);
    read("--appointments-uri", &mut config.appointments_uri, &mut config.appointments_uri_file, &mut mistakes);
    read("--secret", &mut config.secret, &mut config.secret_file, &mut mistakes);
    read("--smtp-url", &mut config.smtp_url, &mut config.smtp_url_file, &mut mistakes);
    mistakes.extend(check_secret(config.secret.as_ref()).err());
    mistakes.extend(external_issuer(&config).err());
    if config.mode == Mode::Production && config.smtp_url.as_ref().is_some_and(may_go_unencrypted) {
        mistakes.push(
            "mails hold links that let people in, and production sends them encrypted: begin --smtp-url (CITA_SMTP_URL) \
             with smtps://, or end it in ?tls=required"
                .to_owned(),
        );
    }
    mistakes.extend(post(&config, config.listen).err());
    mistakes.extend(tls(&config).err());
    let uris = [(ClusterName::Users, &config.users_uri), (ClusterName::Appointments, &config.appointments_uri)];
    let unusable = |(name, uri): (ClusterName, &Option<ConnectionUri>)| check_uri(name, uri.as_ref()?.expose()).err();
    mistakes.extend(uris.into_iter().filter_map(unusable));
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

/// The same for a command that works on the accounts alone.
///
/// # Errors
/// Every mistake, a sentence each.
pub fn accounts(mut accounts: Accounts) -> Result<Accounts, Vec<String>> {
    let mut mistakes = Vec::new();
    read("--users-uri", &mut accounts.users_uri, &mut accounts.users_uri_file, &mut mistakes);
    read("--secret", &mut accounts.secret, &mut accounts.secret_file, &mut mistakes);
    mistakes.extend(check_secret(accounts.secret.as_ref()).err());
    if mistakes.is_empty() { Ok(accounts) } else { Err(mistakes) }
}

/// What does not go together, and what production does without.
fn contradictions(config: &Config) -> Vec<String> {
    let users = config.users_uri.is_some() || config.users_uri_file.is_some();
    let appointments = config.appointments_uri.is_some() || config.appointments_uri_file.is_some();
    let production = config.mode == Mode::Production;
    let https = config.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    let smtp = config.smtp_url.is_some() || config.smtp_url_file.is_some();
    let external = [&config.external_issuer, &config.external_jwks_url, &config.external_audience];
    let external = external.into_iter().flatten().count();
    let checks = [
        (
            production && !users && !appointments,
            "production keeps its data in MongoDB clusters of its own, and the one that Cita starts is for a desk: give \
             --users-uri (CITA_USERS_URI) and --appointments-uri (CITA_APPOINTMENTS_URI)",
        ),
        (users && !appointments, "--users-uri is given alone: give --appointments-uri (CITA_APPOINTMENTS_URI) as well"),
        (appointments && !users, "--appointments-uri is given alone: give --users-uri (CITA_USERS_URI) as well"),
        (
            production && config.demo,
            "the demo clinic has passwords that everybody knows: leave --demo (CITA_DEMO) out in production",
        ),
        (
            production && config.secret.is_none() && config.secret_file.is_none(),
            "production encrypts the keys that it signs tokens with: give --secret (CITA_SECRET), such as `openssl rand \
             -base64 33` makes one, the same for every node",
        ),
        (
            production && !smtp,
            "in production people have to get their mails: give --smtp-url (CITA_SMTP_URL) and --mail-from (CITA_MAIL_FROM)",
        ),
        (
            production && !https,
            "links in mails begin with the address that people know, and in production it is encrypted: give --public-url \
             (CITA_PUBLIC_URL), such as https://citas.example",
        ),
        (
            smtp && config.mail_from.is_none(),
            "--smtp-url needs to know whom mails are from: give --mail-from (CITA_MAIL_FROM)",
        ),
        (smtp && config.mail_spool.is_some(), "--smtp-url and --mail-spool are two places for one mail: leave one out"),
        (
            config.tls_cert.is_some() != config.tls_key.is_some(),
            "a certificate and its key go together: give both --tls-cert (CITA_TLS_CERT) and --tls-key (CITA_TLS_KEY), or neither",
        ),
        (
            external != 0 && external != 3,
            "another issuer needs all of --external-issuer, --external-jwks-url and --external-audience",
        ),
    ];
    checks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mistake)| mistake.to_owned()).collect()
}

/// The other issuer that is configured, once [`complete`] has found all three options or none.
///
/// # Errors
/// What cannot be right.
pub fn external_issuer(config: &Config) -> Result<Option<ExternalIssuer>, String> {
    let (Some(issuer), Some(url), Some(audience)) =
        (&config.external_issuer, &config.external_jwks_url, &config.external_audience)
    else {
        return Ok(None);
    };
    if *issuer == config.issuer {
        return Err("CITA_EXTERNAL_ISSUER is CITA_ISSUER: two issuers need two names".to_owned());
    }
    ExternalIssuer::new(issuer, url, audience).map(Some)
}

/// The certificate of the listener, once [`complete`] has found both files or none.
///
/// # Errors
/// What is wrong with the files.
pub fn tls(config: &Config) -> Result<Option<Tls>, String> {
    match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Tls::open(cert, key).map(Some),
        _ => Ok(None),
    }
}

/// What addresses of the listener begin with.
#[must_use]
pub fn scheme(config: &Config) -> &'static str {
    if config.tls_cert.is_some() { "https" } else { "http" }
}

/// What links begin with: the public URL, or else the address that is listened on.
#[must_use]
pub fn public_url(config: &Config, address: SocketAddr) -> String {
    config.public_url.clone().unwrap_or_else(|| format!("{}://{address}", scheme(config)))
}

/// What delivers mails.
///
/// # Errors
/// What is no mail server, or no address to send from.
pub fn post(config: &Config, address: SocketAddr) -> Result<Post, String> {
    let public_url = public_url(config, address);
    let from = config.mail_from.as_deref().unwrap_or("cita@localhost");
    match &config.smtp_url {
        Some(url) => {
            Post::by_smtp(url, from, public_url, Clock).map_err(|wrong| format!("the configuration of mail: {wrong}"))
        }
        None => {
            let directory = config.mail_spool.clone().unwrap_or_else(|| config.data_dir.join("mail"));
            Post::to_spool(directory, from, public_url, Clock)
        }
    }
}

/// Whether mails could travel to that server for everybody to read. What is no URL is for [`post`] to refuse.
fn may_go_unencrypted(server: &SmtpUrl) -> bool {
    let Ok(url) = Url::parse(server.expose()) else { return false };
    let host = url.host_str().unwrap_or_default();
    let tls = url.query_pairs().find(|(name, _)| name == "tls");
    url.scheme() == "smtp" && !is_loopback(host) && tls.is_none_or(|(_, tls)| tls != "required")
}

/// Takes a secret from its file, where it has one.
fn read<T: From<String>>(option: &str, secret: &mut Option<T>, file: &mut Option<PathBuf>, mistakes: &mut Vec<String>) {
    let Some(path) = file.take() else { return };
    if secret.is_some() {
        mistakes.push(format!("{option} and {option}-file say the same thing: leave one out"));
        return;
    }
    match read_secret(&path) {
        Ok(text) => *secret = Some(T::from(text)),
        Err(error) => mistakes.push(format!("{option}-file: {} cannot be read: {error}", path.display())),
    }
}

/// The text of a file, without the line break that editors put at its end.
fn read_secret(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SECRET_BYTES).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Mistakes as a person is told them, one a line.
#[must_use]
pub fn list(mistakes: &[String]) -> String {
    let lines: String = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
    format!("the configuration cannot be used:{lines}")
}

/// Every mistake of a command line that clap has refused; clap itself stops at the first. `None`: it is not about the
/// values of options.
pub fn mistakes(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<String>> {
    let given = Given::read(arguments)?;
    let (mut mistakes, mut good) = (Vec::new(), Vec::new());
    for (option, values, source) in given.options() {
        let words: Vec<OsString> = values.iter().map(|value| word(&option, value)).collect();
        match alone(&option, &words) {
            Ok(()) => good.extend(words),
            Err(mistake) => mistakes.push(format!("{mistake}{}", origin(&option, source))),
        }
    }
    if mistakes.is_empty() {
        return None;
    }
    // What the others contradict, as if what is bad had been left out.
    let rest = options().mut_args(without_environment).try_get_matches_from(good);
    if let Ok(config) = rest.and_then(|matches| Config::from_arg_matches(&matches)) {
        mistakes.extend(complete(config).err().unwrap_or_default());
    }
    Some(mistakes)
}

/// What a good configuration sets, an option a line, without its secrets.
#[must_use]
pub fn in_effect(arguments: impl IntoIterator<Item = OsString>) -> String {
    let Some(given) = Given::read(arguments) else { return String::new() };
    let lines = given.options().into_iter().map(|(option, values, source)| {
        let text = values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",");
        let text = if option.is_hide_env_values_set() { "[redacted]" } else { text.as_str() };
        format!("  --{} {text}{}", option.get_id().as_str().replace('_', "-"), origin(&option, source))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn options() -> Command {
    Config::augment_args(Command::new("cita").no_binary_name(true))
}

/// The words of a command line and the environment, not yet taken for anything.
struct Given(ArgMatches);

impl Given {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut matches = unread(Cli::command()).try_get_matches_from(arguments).ok()?;
        match matches.remove_subcommand() {
            None => Some(Self(matches)),
            Some((name, matches)) if name == "serve" || name == "check-config" => Some(Self(matches)),
            Some(_) => None,
        }
    }

    fn options(&self) -> Vec<(Arg, Vec<OsString>, ValueSource)> {
        let of = |option: &Arg| {
            let values = self.0.get_raw(option.get_id().as_str())?.map(ToOwned::to_owned).collect();
            Some((option.clone(), values, self.0.value_source(option.get_id().as_str())?))
        };
        options().get_arguments().filter_map(of).collect()
    }
}

/// The same command, which takes any value of any option.
fn unread(command: Command) -> Command {
    let any = |option: Arg| match option.get_action().takes_values() {
        true => option.value_parser(value_parser!(OsString)),
        false => option,
    };
    command.mut_args(any).mut_subcommands(unread)
}

fn without_environment(option: Arg) -> Arg {
    option.env(Resettable::Reset)
}

fn word(option: &Arg, value: &OsString) -> OsString {
    let mut word = OsString::from(format!("--{}=", option.get_long().unwrap_or_default()));
    word.push(value);
    word
}

/// Reads one option as if there were no other.
fn alone(option: &Arg, words: &[OsString]) -> Result<(), String> {
    let command = Command::new("cita").no_binary_name(true).arg(without_environment(option.clone()));
    let Err(error) = command.try_get_matches_from(words) else { return Ok(()) };
    if option.is_hide_env_values_set() {
        return Err(format!("invalid value for '--{}'", option.get_long().unwrap_or_default()));
    }
    let text = error.to_string();
    let sentence = text.split("\n\n").next().unwrap_or(&text).trim_start_matches("error: ");
    Err(sentence.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn origin(option: &Arg, source: ValueSource) -> String {
    match (source, option.get_env()) {
        (ValueSource::EnvVariable, Some(variable)) => format!(" ({})", variable.to_string_lossy()),
        (ValueSource::DefaultValue, _) => " (default)".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn words<'a>(arguments: &[&'a str]) -> Vec<OsString> {
        ["cita"].iter().chain(arguments).map(|word: &&'a str| OsString::from(*word)).collect()
    }

    fn parsed(arguments: &[&str]) -> Config {
        Cli::try_parse_from(words(arguments)).expect("good values").serve
    }

    /// A file with a secret, removed with its directory.
    struct Secret(PathBuf);

    impl Secret {
        fn new(text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cita-secret-{}", uuid::Uuid::new_v4()));
            std::fs::write(&path, text).expect("a file");
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().expect("a path in UTF-8")
        }
    }

    impl Drop for Secret {
        fn drop(&mut self) {
            let _gone = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn five_mistakes_are_named_at_once() {
        for command in [&["serve"][..], &["check-config"], &[]] {
            let options = [
                "--listen=here",
                "--mode=production",
                "--demo",
                "--users-uri=mysql://geheim@db",
                "--ring-mb=0",
                "--allowed-origins=https://a.example,https://b.example/",
                "--trusted-proxies=nobody",
            ];
            let found = mistakes(words(&[command, &options].concat())).expect("mistakes");
            assert_eq!(found.len(), 10, "{found:#?}");
            for (mistake, words) in found.iter().zip([
                "'here' for '--listen <ADDRESS>'",
                "browsers write this origin as https://b.example",
                "'nobody' for '--trusted-proxies <NETWORKS>'",
                "'0' for '--ring-mb <MEGABYTES>'",
                "give --appointments-uri",
                "leave --demo",
                "give --secret",
                "give --smtp-url",
                "give --public-url",
                "the URI of the users cluster is not usable",
            ]) {
                assert!(mistake.contains(words) && !mistake.contains('\n'), "{words} in {mistake}");
            }
            assert!(!format!("{found:?}").contains("geheim"));
        }
        assert!(mistakes(words(&["serve", "--nonsense", "--listen=here"])).is_none(), "clap says what it is");
        assert!(mistakes(words(&["openapi"])).is_none());
    }

    #[test]
    fn production_does_without_what_is_for_a_desk() {
        let complaints = |arguments: &[&str]| complete(parsed(arguments)).err().unwrap_or_default().join("\n");
        let (users, appointments) = ("--users-uri=mongodb://u", "--appointments-uri=mongodb://a");
        assert_eq!(complaints(&[]), "");
        let (secret, smtp) = ("--secret=un secreto largo y variado, que nadie sabe", "--smtp-url=smtps://mail.example");
        let (from, public) = ("--mail-from=citas@clinica.example", "--public-url=https://citas.example");
        let good = ["--mode=production", users, appointments, secret, smtp, from, public];
        assert_eq!(complaints(&good), "");
        for (left_out, complaint) in [
            (1, "alone"),
            (3, "give --secret"),
            (4, "give --smtp-url"),
            (5, "give --mail-from"),
            (6, "give --public-url"),
        ] {
            let mut rest = good.to_vec();
            rest.remove(left_out);
            assert!(complaints(&rest).contains(complaint), "{rest:?}");
        }
        let with = |place: usize, option: &str| {
            let mut changed = good.to_vec();
            changed[place] = option;
            complaints(&changed)
        };
        assert!(with(6, "--public-url=http://citas.example").contains("give --public-url"));
        for encrypted in ["smtp://mail.example?tls=required", "smtp://localhost", "smtp://127.9.9.9:25", "smtp://[::1]"]
        {
            assert_eq!(with(4, &format!("--smtp-url={encrypted}")), "", "{encrypted}");
        }
        for open in [
            "smtp://u:geheim@mail.example",
            "smtp://mail.example?tls=opportunistic",
            "smtp://mail.example?tls=opportunistic&tls=required",
            "smtp://192.0.2.7",
            "smtp://localhost.mail.example",
        ] {
            let complaint = with(4, &format!("--smtp-url={open}"));
            assert!(complaint.contains("?tls=required") && !complaint.contains("geheim"), "{open}: {complaint}");
            let desk = complaints(&[&format!("--smtp-url={open}"), from]);
            assert_eq!(desk, "", "at a desk it may");
        }
        for weak in ["short", &"a".repeat(50), "0123456780123456780123456780123456780"] {
            let complaint = complaints(&[&format!("--secret={weak}")]);
            assert!(complaint.contains("CITA_SECRET has fewer than") && !complaint.contains(weak), "{complaint}");
        }
        assert!(complaints(&["--mode=production"]).contains("give --users-uri"));
        assert!(complaints(&["--mode=production", "--demo", users, appointments]).contains("leave --demo"));
        assert!(complaints(&[users]).contains("give --appointments-uri"));
        assert!(complaints(&[appointments]).contains("give --users-uri"));
    }

    #[test]
    fn secrets_may_lie_in_files() {
        let (users, appointments) = (Secret::new("mongodb://u:geheim@db\n"), Secret::new("mongodb://a\r\n"));
        let files = ["--users-uri-file", users.path(), "--appointments-uri-file", appointments.path()];
        let config = complete(parsed(&files)).expect("both are read");
        assert_eq!(config.users_uri.as_ref().map(ConnectionUri::expose), Some("mongodb://u:geheim@db"));
        assert_eq!(config.appointments_uri.as_ref().map(ConnectionUri::expose), Some("mongodb://a"));
        assert!(!format!("{config:?}").contains("geheim"));
        complete(config).expect("a second time changes nothing");

        let both = [&files[..], &["--users-uri=mongodb://u"]].concat();
        assert!(complete(parsed(&both)).expect_err("which of them?")[0].contains("leave one out"));
        let gone = ["--users-uri-file=/nowhere/to/be/found", files[2], files[3]];
        let found = complete(parsed(&gone)).expect_err("there is none");
        assert!(found.len() == 1 && found[0].contains("/nowhere/to/be/found cannot be read"), "{found:?}");
    }

    #[test]
    fn the_commands_on_the_accounts_read_the_same_files() {
        let (uri, secret) =
            (Secret::new("mongodb://u:geheim@db\n"), Secret::new("geheim, lang und verschieden genug\n"));
        let told = |arguments: &[&str]| {
            let line = words(&[&["rotate-keys"], arguments].concat());
            let command = Cli::try_parse_from(line).expect("good values").command;
            let Some(crate::config::Command::RotateKeys(options)) = command else { panic!("it is a command") };
            accounts(options.accounts)
        };
        let files = ["--users-uri-file", uri.path(), "--secret-file", secret.path()];
        let read = told(&files).expect("both are read");
        assert_eq!(read.users_uri.as_ref().map(ConnectionUri::expose), Some("mongodb://u:geheim@db"));
        assert_eq!(read.secret.as_ref().map(|secret| secret.expose()), Some("geheim, lang und verschieden genug"));
        assert!(!format!("{read:?}").contains("geheim"));

        let both = [&files[..], &["--users-uri=mongodb://u", "--secret=x"]].concat();
        let found = told(&both).expect_err("which of them?");
        assert!(found.len() == 3 && found[..2].iter().all(|mistake| mistake.contains("leave one out")), "{found:?}");
        let found = told(&["--secret-file=/nowhere/to/be/found"]).expect_err("there is none");
        assert!(found.len() == 1 && found[0].contains("/nowhere/to/be/found cannot be read"), "{found:?}");
    }

    #[test]
    fn what_is_in_effect_is_told_without_secrets() {
        let told = in_effect(words(&[
            "check-config",
            "--users-uri=mongodb://u:geheim@db",
            "--allowed-origins=https://a.example,https://b.example",
        ]));
        assert!(told.contains("  --users-uri [redacted]") && !told.contains("geheim"), "{told}");
        assert!(told.contains("  --allowed-origins https://a.example,https://b.example"), "{told}");
        assert!(told.contains("  --ws-rate 1000 (default)"), "{told}");
        let config = parsed(&["--users-uri=mongodb://u:geheim@db", "--appointments-uri=mongodb://a:geheim@db"]);
        assert!(!format!("{config:?}").contains("geheim"));
    }
}
