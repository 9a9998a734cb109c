//! The commands on waitlists, their texts and examples. No behaviour.

use clap::{Args, Subcommand, ValueEnum};

use super::SlotRange;

#[derive(Debug, Subcommand)]
pub enum WaitlistCommand {
    /// Be offered what others give up
    #[command(after_help = "\
Examples:
  cita-cli waitlist join rojas general
  cita-cli waitlist join rojas general --from 2026-12-01 --to 2026-12-18 --after 08:00 --before 12:30 --on tuesday --on thursday")]
    Join(Join),
    /// List what you wait for, or who waits for you
    List,
    /// Take what you are offered: it is booked
    #[command(after_help = "Example:\n  cita-cli waitlist accept 0193b0a2-…")]
    Accept(Answer),
    /// Wait on for another time than the one that you are offered
    Pass(Answer),
    /// Wait no more
    Leave(Answer),
}

#[derive(Debug, Args)]
pub struct Join {
    #[command(flatten)]
    pub range: SlotRange,
    /// Not before this time of the day, 08:30
    #[arg(long, value_name = "TIME")]
    pub after: Option<String>,
    /// Over by this time of the day, 12:30
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,
    /// Day of the week that suits, may be repeated; default: any
    #[arg(long, value_enum, value_name = "DAY")]
    pub on: Vec<DayArgument>,
    /// Idempotency key; give that of an earlier attempt to learn its outcome
    #[arg(long)]
    pub key: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DayArgument {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

#[derive(Debug, Args)]
pub struct Answer {
    /// Id of what you wait for
    pub id: String,
    /// Idempotency key; give that of an earlier attempt to learn its outcome
    #[arg(long)]
    pub key: Option<String>,
}
