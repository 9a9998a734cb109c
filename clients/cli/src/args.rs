//! The command line: every command, its texts and examples. No behaviour.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Book and watch appointments of a Cita server from the terminal.
///
/// Doctors and services are named by id or by a part of their name that fits only one. Times without an offset are
/// local to the doctor.
#[derive(Debug, Parser)]
#[command(
    name = "cita-cli",
    version,
    after_help = "\
Examples:
  cita-cli doctors
  cita-cli slots rojas general --from tomorrow
  cita-cli login ana@example.com
  cita-cli book rojas general 2026-12-01T09:30
  cita-cli watch slots rojas general
  cita-cli --profile doctor watch calendar

Exit codes: 0 done, 1 refused (the reason is printed), 2 wrong usage, 3 no connection."
)]
pub struct Arguments {
    /// Address of the server
    #[arg(long, env = "CITA_URL", default_value = "http://127.0.0.1:8080", global = true)]
    pub url: String,
    /// Whose log-in to use: one terminal can be a doctor, another a patient
    #[arg(long, env = "CITA_PROFILE", default_value = "default", global = true, value_name = "NAME")]
    pub profile: String,
    /// Print one JSON object per line, for programs
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in and keep the session in this profile
    #[command(after_help = "\
Examples:
  cita-cli login ana@example.com
  cita-cli --profile doctor login gomez@example.com
  echo \"$PASSWORD\" | cita-cli login ana@example.com --password-stdin

The tokens are kept in $XDG_CONFIG_HOME/cita/credentials.json (or ~/.config/cita), readable by you alone.")]
    Login(Login),
    /// Create an account and log in
    #[command(after_help = "\
Examples:
  cita-cli register ana@example.com --name 'Ana Pérez'
  cita-cli --profile doctor register gomez@example.com --name 'Dr. Gómez' --role doctor --time-zone America/Bogota")]
    Register(Register),
    /// End the session of this profile
    Logout,
    /// Show who this profile is
    Whoami,
    /// List the devices on which you are logged in, or end some of their sessions
    #[command(after_help = "\
Examples:
  cita-cli sessions
  cita-cli sessions end 0193b2c8-…
  cita-cli sessions end others
  cita-cli watch sessions")]
    Sessions {
        #[command(subcommand)]
        what: Option<SessionsCommand>,
    },
    /// List the doctors who can be booked
    #[command(after_help = "\
Examples:
  cita-cli doctors
  cita-cli doctors ana cardio --language en --sort price")]
    Doctors(DoctorSearch),
    /// Show what a doctor says of themselves
    #[command(after_help = "Example:\n  cita-cli doctor rojas")]
    Doctor {
        /// Id or part of the name
        doctor: String,
    },
    /// List what a doctor offers
    #[command(after_help = "Example:\n  cita-cli services rojas")]
    Services {
        /// Id or part of the name
        doctor: String,
    },
    /// List the times that can be booked, in the doctor's local time
    #[command(after_help = "\
Examples:
  cita-cli slots rojas general
  cita-cli slots rojas general --from 2026-12-01 --to 2026-12-05")]
    Slots(SlotRange),
    /// Book a time
    #[command(after_help = "\
Examples:
  cita-cli book rojas general 2026-12-01T09:30
  cita-cli book rojas general 2026-12-01T14:30:00Z --reason 'Headache'

When the time has just been taken, free times nearby are printed. When the connection breaks, the booking is sent again
with the same key, so that it happens once.")]
    Book(Book),
    /// Move an appointment; the old time is kept until the new one is won
    #[command(after_help = "Example:\n  cita-cli reschedule 0193b0a2-… 2026-12-02T10:00")]
    Reschedule {
        /// Id of the appointment
        id: String,
        /// RFC 3339, or local time of the doctor: 2026-12-02T10:00
        start: String,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
    },
    /// Cancel an appointment and free its time
    #[command(after_help = "Example:\n  cita-cli cancel 0193b0a2-… --reason 'I feel better'")]
    Cancel {
        /// Id of the appointment
        id: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
    },
    /// Approve a request: it is booked
    #[command(after_help = "Example:\n  cita-cli --profile doctor approve 0193b0a2-…")]
    Approve(Move),
    /// Decline a request and free its time
    #[command(after_help = "Example:\n  cita-cli --profile doctor decline 0193b0a2-… --reason 'Not on Fridays'")]
    Decline {
        /// Id of the appointment
        id: String,
        /// Why; the patient reads it
        #[arg(long)]
        reason: Option<String>,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
    },
    /// The patient is there
    CheckIn(Move),
    /// The visit took place
    Complete(Move),
    /// The patient did not come
    NoShow(Move),
    /// Take back a check-in, completion or no-show of the last ten minutes
    Undo(Move),
    /// Show who changed an appointment, when and how
    #[command(after_help = "Example:\n  cita-cli history 0193b0a2-…")]
    History {
        /// Id of the appointment
        id: String,
    },
    /// List your appointments, as a patient or as a doctor
    Appointments {
        /// Those of the past too
        #[arg(long)]
        all: bool,
    },
    /// Show one appointment
    Show {
        /// Id of the appointment
        id: String,
    },
    /// Watch live: what there is, then every change, until Ctrl-C
    ///
    /// A lost connection is taken up again by itself, and nothing that happened meanwhile is missed.
    #[command(after_help = "\
Examples:
  cita-cli watch slots rojas general        (no log-in needed)
  cita-cli --profile doctor watch calendar
  cita-cli --json watch me | jq .type")]
    Watch {
        #[command(subcommand)]
        what: Watched,
    },
}

#[derive(Debug, Subcommand)]
pub enum Watched {
    /// Free times of a service; needs no log-in
    #[command(after_help = "Example:\n  cita-cli watch slots rojas general --from today --to 2026-12-31")]
    Slots(SlotRange),
    /// A doctor's profile and services; needs no log-in
    #[command(after_help = "Example:\n  cita-cli watch doctor rojas")]
    Doctor {
        /// Id or part of the name
        doctor: String,
    },
    /// A doctor's appointments; for the doctor and admins
    #[command(after_help = "\
Examples:
  cita-cli --profile doctor watch calendar
  cita-cli --profile admin watch calendar rojas")]
    Calendar {
        /// Id or part of the name; default: yourself
        doctor: Option<String>,
        /// First day: YYYY-MM-DD, today or tomorrow; default: yesterday
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// Last day, included; default: 31 days ahead
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
    },
    /// Your own appointments
    Me,
    /// The devices on which you are logged in
    Sessions,
}

#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// End a session: that device is logged out at once
    End {
        /// Id of the session, or `others`: all but this one
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct Login {
    /// E-mail address; asked for when left out
    pub email: Option<String>,
    #[command(flatten)]
    pub password: PasswordSource,
}

#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input (otherwise from CITA_PASSWORD or the keyboard)
    #[arg(long = "password-stdin")]
    pub stdin: bool,
}

#[derive(Debug, Args)]
pub struct Register {
    /// E-mail address
    pub email: String,
    /// Your name, as others see it
    #[arg(long)]
    pub name: String,
    /// What you are to the clinic
    #[arg(long, value_enum, default_value_t = RoleArgument::Patient)]
    pub role: RoleArgument,
    /// Your zone, such as America/Bogota; a doctor's calendar starts in it
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    #[command(flatten)]
    pub password: PasswordSource,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleArgument {
    Patient,
    Doctor,
}

#[derive(Debug, Args)]
pub struct DoctorSearch {
    /// Beginnings of words of name, specialisation or qualifications; all must fit
    pub text: Vec<String>,
    /// Only this specialisation
    #[arg(long, value_name = "NAME")]
    pub specialisation: Option<String>,
    /// Only those who speak it, such as es or pt-BR
    #[arg(long, value_name = "TAG")]
    pub language: Option<String>,
    /// What comes first
    #[arg(long, value_enum, default_value_t = SortArgument::Name)]
    pub sort: SortArgument,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SortArgument {
    /// From A to Z
    Name,
    /// The best rating
    Rating,
    /// The lowest price
    Price,
    /// The longest experience
    Experience,
    /// Whoever has the earliest free time first.
    Available,
}

#[derive(Debug, Args)]
pub struct SlotRange {
    /// Id or part of the doctor's name
    pub doctor: String,
    /// Id or part of the service's name
    pub service: String,
    /// First day: YYYY-MM-DD, today or tomorrow; default: today
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// Last day, included; default: 7 days after the first
    #[arg(long, value_name = "DATE")]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub struct Move {
    /// Id of the appointment
    pub id: String,
    /// Idempotency key; give that of an earlier attempt to learn its outcome
    #[arg(long)]
    pub key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Book {
    /// Id or part of the doctor's name
    pub doctor: String,
    /// Id or part of the service's name
    pub service: String,
    /// RFC 3339, or local time of the doctor: 2026-12-01T09:30
    pub start: String,
    /// Why you come
    #[arg(long)]
    pub reason: Option<String>,
    /// Idempotency key; give that of an earlier attempt to learn its outcome
    #[arg(long)]
    pub key: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_flags_work_after_the_command() {
        let parsed = Arguments::parse_from(["cita-cli", "watch", "me", "--json", "--profile", "doctor"]);
        assert!(parsed.json);
        assert_eq!(parsed.profile, "doctor");
    }
}
