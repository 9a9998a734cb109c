//! The command line: every command, its texts and examples. No behaviour.

mod soonest;
mod waitlist;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::soonest::Soonest;
pub use self::waitlist::{Answer, DayArgument, Join, WaitlistCommand};

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
    /// Show when a doctor receives patients
    #[command(after_help = "Example:\n  cita-cli hours rojas")]
    Hours {
        /// Id or part of the name
        doctor: String,
    },
    /// List the rooms and devices that doctors share; for admins also: add, rename and archive them
    #[command(after_help = "\
Examples:
  cita-cli --profile doctor resources
  cita-cli --profile admin resources add 'Consultorio 2'
  cita-cli --profile admin resources add Ecógrafo --kind device
  cita-cli --profile admin resources rename 0193b0a2-… 'Consultorio 3'
  cita-cli --profile admin resources archive 0193b0a2-…")]
    Resources {
        #[command(subcommand)]
        what: Option<ResourcesCommand>,
    },
    /// List, take and take back a doctor's time off; for the doctor, their staff and admins
    #[command(after_help = "\
Examples:
  cita-cli --profile doctor time-off list
  cita-cli --profile doctor time-off add 2026-12-20 2027-01-06 --reason Vacation
  cita-cli --profile desk time-off --doctor rojas add 2026-12-04T12:00 2026-12-04T15:30
  cita-cli --profile doctor time-off remove 0193b0a2-…")]
    TimeOff {
        /// Id or part of the name; default: yourself
        #[arg(long, value_name = "DOCTOR")]
        doctor: Option<String>,
        #[command(subcommand)]
        what: TimeOffCommand,
    },
    /// List the appointments that a doctor's present hours and time off no longer allow, with times to move them to
    #[command(after_help = "Example:\n  cita-cli --profile doctor outside")]
    Outside {
        /// Id or part of the name; default: yourself
        doctor: Option<String>,
    },
    /// List the times that can be booked, in the doctor's local time
    #[command(after_help = "\
Examples:
  cita-cli slots rojas general
  cita-cli slots rojas general --from 2026-12-01 --to 2026-12-05")]
    Slots(SlotRange),
    /// Show who has time first
    #[command(after_help = "\
Examples:
  cita-cli soonest
  cita-cli soonest --specialisation Cardiología --service control")]
    Soonest(Soonest),
    /// Book a time
    #[command(after_help = "\
Examples:
  cita-cli book rojas general 2026-12-01T09:30
  cita-cli book rojas general 2026-12-01T14:30:00Z --reason 'Headache'

When the time has just been taken, free times nearby are printed. When the connection breaks, the booking is sent again
with the same key, so that it happens once.")]
    Book(Book),
    /// Keep a time for some minutes, before you book it
    #[command(after_help = "\
Examples:
  cita-cli hold rojas general 2026-12-01T09:30
  cita-cli book rojas general 2026-12-01T09:30      (uses the hold)")]
    Hold(Hold),
    /// Give back a time that you hold
    #[command(after_help = "Example:\n  cita-cli release 0193b0a2-…")]
    Release {
        /// Id of the hold
        id: String,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
    },
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
    /// Try, book and cancel recurring appointments
    Series {
        #[command(subcommand)]
        what: SeriesCommand,
    },
    /// Wait for a time of a doctor, and answer what you are offered
    Waitlist {
        #[command(subcommand)]
        what: WaitlistCommand,
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
    /// Read what patients say of a doctor
    #[command(after_help = "Example:\n  cita-cli reviews rojas")]
    Reviews {
        /// Id or part of the name
        doctor: String,
    },
    /// Review a visit that took place
    #[command(after_help = "Example:\n  cita-cli review 0193b0a2-… 5 'She explains everything'")]
    Review {
        /// Id of the appointment
        appointment: String,
        /// 1 to 5, the best
        #[arg(value_parser = clap::value_parser!(u32).range(1..=5))]
        rating: u32,
        /// What you have to say; everybody can read it
        text: Option<String>,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
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
pub enum ResourcesCommand {
    /// Make a room or a device
    Add {
        /// Its name
        name: String,
        /// What it is
        #[arg(long, value_enum, default_value_t = KindArgument::Room)]
        kind: KindArgument,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
    },
    /// Give it another name
    Rename {
        /// Id of the room or device
        id: String,
        /// The new name
        name: String,
    },
    /// Let no further service have it; those that have it keep it
    Archive {
        /// Id of the room or device
        id: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KindArgument {
    Room,
    Device,
}

#[derive(Debug, Subcommand)]
pub enum TimeOffCommand {
    /// Those that are not over
    List,
    /// Take time off: nothing can be booked into it from then on
    Add(TimeOffAdd),
    /// Take one back: its time is free again
    Remove {
        /// Id of the time off
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct TimeOffAdd {
    /// First day, 2026-12-20, or a local time of the doctor, 2026-12-20T12:00
    pub from: String,
    /// Last day, included, or a local time; default: the first day alone
    pub to: Option<String>,
    /// Why, for the practice alone
    #[arg(long)]
    pub reason: Option<String>,
    /// Idempotency key; give that of an earlier attempt to learn its outcome
    #[arg(long)]
    pub key: Option<String>,
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
    /// What you wait for, and what you are offered; with a doctor, who waits for them
    #[command(after_help = "\
Examples:
  cita-cli watch waitlist
  cita-cli --profile desk watch waitlist rojas")]
    Waitlist {
        /// Id or part of the name; default: what you wait for yourself
        doctor: Option<String>,
    },
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

#[derive(Debug, Subcommand)]
pub enum SeriesCommand {
    /// Show for each occurrence whether it can be booked; books nothing
    #[command(after_help = "Example:\n  cita-cli series preview rojas general 2026-12-01T09:30 'FREQ=WEEKLY;COUNT=10'")]
    Preview(Plan),
    /// Book all occurrences, or those given with --only; if one cannot be had, none is booked
    #[command(after_help = "\
Examples:
  cita-cli series book rojas general 2026-12-01T09:30 'FREQ=WEEKLY;COUNT=10'
  cita-cli series book rojas general 2026-12-01T09:30 'FREQ=WEEKLY;COUNT=3' --only 2026-12-01T09:30 --only 2026-12-15T09:30")]
    Book(BookSeries),
    /// Cancel all appointments that are still to come, or one and those that follow it
    #[command(after_help = "Example:\n  cita-cli series cancel 0193b0a2-… --from 0193b0a9-…")]
    Cancel {
        /// Id of the series
        id: String,
        /// Id of the first appointment to cancel; default: all
        #[arg(long, value_name = "APPOINTMENT")]
        from: Option<String>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Idempotency key; give that of an earlier attempt to learn its outcome
        #[arg(long)]
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Plan {
    /// Id or part of the doctor's name
    pub doctor: String,
    /// Id or part of the service's name
    pub service: String,
    /// The first occurrence: RFC 3339, or local time of the doctor: 2026-12-01T09:30
    pub start: String,
    /// Rule of RFC 5545 with COUNT or UNTIL, such as FREQ=WEEKLY;BYDAY=MO,TH;COUNT=10
    pub rrule: String,
}

#[derive(Debug, Args)]
pub struct BookSeries {
    #[command(flatten)]
    pub plan: Plan,
    /// Start of an occurrence that is wanted, may be repeated; default: all
    #[arg(long, value_name = "START")]
    pub only: Vec<String>,
    /// Why you come
    #[arg(long)]
    pub reason: Option<String>,
    /// Idempotency key; give that of an earlier attempt to learn its outcome
    #[arg(long)]
    pub key: Option<String>,
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

#[derive(Debug, Args)]
pub struct Hold {
    /// Id or part of the doctor's name
    pub doctor: String,
    /// Id or part of the service's name
    pub service: String,
    /// RFC 3339, or local time of the doctor: 2026-12-01T09:30
    pub start: String,
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
