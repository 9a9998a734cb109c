//! What a failed write means: a collision, certainly not applied, or unknown.

use mongodb::error::{Error as DriverError, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};

/// Most characters of an error in the log.
const BRIEF: usize = 200;
/// Error code of a duplicate key.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// What is known after a write has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A unique index decided against it; the name of the index.
    Duplicate { index: String },
    /// It never reached a server.
    NotSent,
    /// A transaction met another one, or lost its server before it was committed: nothing was changed, begin anew.
    Conflict,
    /// It may have been applied: time-out, lost connection, stepped-down primary, write concern not met.
    Unknown,
    /// The server refused it for a reason that repeating does not mend.
    Refused,
}

/// Judges the driver's error of a write.
#[must_use]
pub fn of_write(error: &DriverError) -> Failure {
    match error.kind.as_ref() {
        _ if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => Failure::Conflict,
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY => {
            Failure::Duplicate { index: index_name(&write.message) }
        }
        ErrorKind::InsertMany(many) => {
            let first = many.write_errors.iter().flatten().find(|write| write.code == DUPLICATE_KEY);
            first.map_or(Failure::Unknown, |write| Failure::Duplicate { index: index_name(&write.message) })
        }
        ErrorKind::Command(command) if command.code == DUPLICATE_KEY => {
            Failure::Duplicate { index: index_name(&command.message) }
        }
        ErrorKind::Write(WriteFailure::WriteError(_))
        | ErrorKind::BsonSerialization(..)
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::Authentication { .. } => Failure::Refused,
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => Failure::NotSent,
        _ => Failure::Unknown,
    }
}

/// `E11000 duplicate key error collection: db.coll index: NAME dup key: { … }`
pub(super) fn index_name(message: &str) -> String {
    message.split(" index: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
}

/// What the driver says, in a line for the log: without the state of the topology, which fills a screen.
#[must_use]
pub fn brief(error: &DriverError) -> String {
    match error.kind.as_ref() {
        ErrorKind::ServerSelection { .. } => "no server can be reached".to_owned(),
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::Command(command) => format!("{} ({})", command.message, command.code),
        kind => kind.to_string().chars().take(BRIEF).collect(),
    }
}
