//! `cita`: reads the command line, starts the server, and says what a person needs to know.

use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use cita::app::{App, Serving};
use cita::config::{Cli, Command, Config, CreateAdmin, Health, RotateKeys, check};
use cita::{administration, probe, telemetry, transport};
use clap::Parser as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let config = match cli.command {
        Some(Command::Openapi) => {
            print(&format!("{:#}", transport::openapi::document()));
            return ExitCode::SUCCESS;
        }
        Some(Command::CheckConfig(config)) => return check_config(*config),
        Some(Command::RotateKeys(options)) => return end(rotate_keys(&options)),
        Some(Command::CreateAdmin(options)) => return end(create_admin(&options)),
        Some(Command::Health(options)) => return end(health(&options)),
        Some(Command::Serve(config)) => *config,
        None => cli.serve,
    };
    end(serve(config))
}

fn end(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => complain(&complaint),
    }
}

/// What a command line that cannot be read is answered: every mistake at once, where they are mistakes of values.
fn refuse(error: &clap::Error) -> ExitCode {
    match check::mistakes(std::env::args_os()) {
        Some(mistakes) => complain(&check::list(&mistakes)),
        None => error.exit(),
    }
}

fn check_config(config: Config) -> ExitCode {
    match check::complete(config) {
        Ok(_) => {
            print(&format!("The configuration is good. In effect:\n{}", check::in_effect(std::env::args_os())));
            ExitCode::SUCCESS
        }
        Err(mistakes) => complain(&check::list(&mistakes)),
    }
}

fn complain(complaint: &str) -> ExitCode {
    eprintln!("cita: {complaint}");
    ExitCode::FAILURE
}

/// Runs what the process is for. Its runtime is not dropped but ends with the process: while it is dropped, some of its tasks are gone and
/// others still run, and where one of MongoDB's driver asks another one that is gone, it panics.
fn run<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    Ok(ManuallyDrop::new(runtime).block_on(work))
}

fn rotate_keys(options: &RotateKeys) -> Result<(), String> {
    let rotated = run(administration::rotate_keys(options))?.map_err(|error| chain(&error))?;
    let others = match options.compromised {
        true => "what the other keys have signed is refused: everybody has to refresh",
        false => "what the other keys have signed is good until it ends by itself",
    };
    print(&format!("The key {} signs from {}; {others}.", rotated.kid, rotated.signs_from));
    Ok(())
}

fn create_admin(options: &CreateAdmin) -> Result<(), String> {
    let made = run(administration::create_admin(options))?.map_err(|error| chain(&error))?;
    let (url, token, until) = (&options.public_url, made.token.expose(), made.expires_at);
    print(&format!(
        "{} is an admin. Until {until} this link sets the password, once:\n  \
           {url}/reset-password#token={token}\n\
         or, without a browser:\n  \
           curl {url}/v1/auth/reset-password -H 'content-type: application/json' \\\n       \
           -d '{{\"token\":\"{token}\",\"password\":\"…\"}}'",
        made.user.email
    ));
    Ok(())
}

fn health(options: &Health) -> Result<(), String> {
    let answer = run(probe::ask(options))??;
    print(answer.trim_end());
    Ok(())
}

fn serve(config: Config) -> Result<(), String> {
    let _telling = telemetry::start(&config)?;
    run(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let app = App::bind(config).await.map_err(|error| chain(&error))?;
        app.run(stop, announce).await.map_err(|error| chain(&error))
    })?
}

/// Ctrl-C and SIGTERM drain. A second one changes nothing: the databases must be stopped in order.
fn stop_on_signal(stop: CancellationToken) -> Result<(), String> {
    let open = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let (mut interrupt, mut terminate) = (open(SignalKind::interrupt())?, open(SignalKind::terminate())?);
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            stop.cancel();
        }
    });
    Ok(())
}

fn announce(serving: &Serving) {
    let (address, s) = (serving.address, if serving.encrypted { "s" } else { "" });
    let logins = serving.logins.as_ref().map(|logins| format!("{logins}\n")).unwrap_or_default();
    print(&format!(
        "Cita serves at http{s}://{address}\n  \
           Dashboard           http{s}://{address}/\n  \
           API documentation   http{s}://{address}/docs\n  \
           WebSocket           ws{s}://{address}/v1/ws\n\
         {logins}Ctrl-C stops it."
    ));
}

/// Writes to standard output. Whoever has stopped reading it has seen enough.
fn print(text: &str) {
    let _seen_or_not = writeln!(std::io::stdout(), "{text}");
}

/// An error with everything that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
