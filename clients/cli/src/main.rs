//! `cita-cli`: book and watch appointments of a Cita server from the terminal.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may end there"))]

use std::process::exit;

use cita_protocol::Operation;
use clap::Parser;

mod account;
mod appointments;
mod args;
mod client;
mod credentials;
mod directory;
mod failure;
mod hours;
mod moves;
mod output;
mod password;
mod resources;
mod reviews;
mod screen;
mod series;
mod sessions;
mod soonest;
mod times;
mod waitlist;
mod watch;

use args::{Arguments, Command, SeriesCommand, SessionsCommand, WaitlistCommand, Watched};
use client::{Access, Client};
use failure::Failure;
use output::Output;

/// What shells give for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    let code = tokio::select! {
        result = run(arguments, output) => match result {
            Ok(()) => 0,
            Err(failure) => {
                failure.report(output);
                failure.exit_code()
            }
        },
        // Handled, so that a terminal whose echo is off gets it back.
        _ = tokio::signal::ctrl_c() => INTERRUPTED,
    };
    // Not a plain return: a prompt may have left a thread behind that waits for the keyboard.
    exit(code);
}

async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let open = |access| Client::new(&arguments.url, &arguments.profile, access, output);
    match arguments.command {
        Command::Login(login) => account::login(&open(Access::Anonymous)?, login).await,
        Command::Register(register) => account::register(&open(Access::Anonymous)?, register).await,
        Command::Logout => account::logout(&mut open(Access::User)?).await,
        Command::Whoami => account::whoami(&mut open(Access::User)?).await,
        Command::Sessions { what: None } => sessions::list(&mut open(Access::User)?).await,
        Command::Sessions { what: Some(SessionsCommand::End { id }) } => {
            sessions::end(&mut open(Access::User)?, &id).await
        }
        Command::Doctors(search) => directory::doctors(&mut open(Access::Known)?, search).await,
        Command::Doctor { doctor } => directory::doctor(&mut open(Access::Known)?, &doctor).await,
        Command::Services { doctor } => directory::services(&mut open(Access::Known)?, &doctor).await,
        Command::Hours { doctor } => hours::show(&mut open(Access::Known)?, &doctor).await,
        Command::Resources { what } => resources::run(&mut open(Access::User)?, what).await,
        Command::TimeOff { doctor, what } => hours::time_off(&mut open(Access::User)?, doctor, what).await,
        Command::Outside { doctor } => hours::outside(&mut open(Access::User)?, doctor).await,
        Command::Slots(range) => directory::slots(&mut open(Access::Known)?, &range).await,
        Command::Soonest(search) => soonest::list(&mut open(Access::Known)?, search).await,
        Command::Book(book) => appointments::book(&mut open(Access::User)?, book).await,
        Command::Hold(hold) => appointments::hold(&mut open(Access::User)?, hold).await,
        Command::Release { id, key } => appointments::release(&mut open(Access::User)?, &id, key).await,
        Command::Reschedule { id, start, key } => {
            appointments::reschedule(&mut open(Access::User)?, &id, &start, key).await
        }
        Command::Cancel { id, reason, key } => appointments::cancel(&mut open(Access::User)?, &id, reason, key).await,
        Command::Approve(to) => moves::advance(&mut open(Access::User)?, Operation::AppointmentApprove, to).await,
        Command::Decline { id, reason, key } => moves::decline(&mut open(Access::User)?, &id, reason, key).await,
        Command::CheckIn(to) => moves::advance(&mut open(Access::User)?, Operation::AppointmentCheckIn, to).await,
        Command::Complete(to) => moves::advance(&mut open(Access::User)?, Operation::AppointmentComplete, to).await,
        Command::NoShow(to) => moves::advance(&mut open(Access::User)?, Operation::AppointmentNoShow, to).await,
        Command::Undo(to) => moves::advance(&mut open(Access::User)?, Operation::AppointmentUndo, to).await,
        Command::History { id } => moves::history(&mut open(Access::User)?, &id).await,
        Command::Series { what } => match what {
            SeriesCommand::Preview(plan) => series::preview(&mut open(Access::User)?, plan).await,
            SeriesCommand::Book(book) => series::book(&mut open(Access::User)?, book).await,
            SeriesCommand::Cancel { id, from, reason, key } => {
                series::cancel(&mut open(Access::User)?, &id, from, reason, key).await
            }
        },
        Command::Waitlist { what } => match what {
            WaitlistCommand::Join(join) => waitlist::join(&mut open(Access::User)?, join).await,
            WaitlistCommand::List => waitlist::list(&mut open(Access::User)?).await,
            WaitlistCommand::Accept(answer) => waitlist::accept(&mut open(Access::User)?, answer).await,
            WaitlistCommand::Pass(answer) => {
                waitlist::answer(&mut open(Access::User)?, Operation::WaitlistPass, answer).await
            }
            WaitlistCommand::Leave(answer) => {
                waitlist::answer(&mut open(Access::User)?, Operation::WaitlistLeave, answer).await
            }
        },
        Command::Appointments { all } => appointments::list(&mut open(Access::User)?, all).await,
        Command::Show { id } => appointments::show(&mut open(Access::User)?, &id).await,
        Command::Reviews { doctor } => reviews::list(&mut open(Access::Known)?, &doctor).await,
        Command::Review { appointment, rating, text, key } => {
            reviews::write(&mut open(Access::User)?, &appointment, rating, text, key).await
        }
        Command::Watch { what } => match what {
            Watched::Slots(range) => watch::slots(open(Access::Known)?, &range).await,
            Watched::Doctor { doctor } => watch::doctor(open(Access::Known)?, &doctor).await,
            Watched::Calendar { doctor, from, to } => watch::calendar(open(Access::User)?, doctor, from, to).await,
            Watched::Me => watch::me(open(Access::User)?).await,
            Watched::Waitlist { doctor } => watch::waitlist(open(Access::User)?, doctor).await,
            Watched::Sessions => watch::sessions(open(Access::User)?).await,
        },
    }
}
