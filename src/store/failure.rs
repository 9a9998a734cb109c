//! What a failed write means: a collision, certainly not applied, or unknown.

use mongodb::error::{Error as DriverError, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};

/// Most characters of an error in the log.
const BRIEF: usize = 200;
/// Error code of a duplicate key.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// What is known after a write has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A unique index decided against it: its name, and the value that collided, where that is a text or plain binary, of
    /// which it has the hexadecimal digits.
    Duplicate { index: String, value: Option<String> },
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
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY => duplicate(&write.message),
        ErrorKind::InsertMany(many) => {
            let first = many.write_errors.iter().flatten().find(|write| write.code == DUPLICATE_KEY);
            first.map_or(Failure::Unknown, |write| duplicate(&write.message))
        }
        ErrorKind::Command(command) if command.code == DUPLICATE_KEY => duplicate(&command.message),
        ErrorKind::Write(WriteFailure::WriteError(_))
        | ErrorKind::BsonSerialization(..)
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::Authentication { .. } => Failure::Refused,
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => Failure::NotSent,
        _ => Failure::Unknown,
    }
}

pub(super) fn duplicate(message: &str) -> Failure {
    // The value stands last: `dup key: { doctorId: BinData(4, …), claims: "day:…" }`. Ticks have no quotes.
    let last = message.rsplit_once(": ").map(|(_, last)| last);
    let text = last.and_then(|last| last.strip_prefix('"')?.split_once('"'));
    let binary = last.and_then(|last| last.strip_prefix("BinData(0, ")?.split_once(')'));
    let value = text.or(binary).map(|(value, _)| value.to_owned());
    Failure::Duplicate { index: index_name(message), value }
}

/// The tick that collided, if it was one.
pub(super) fn tick_of(message: &str) -> Option<i32> {
    let (_, last) = message.rsplit_once(": ")?;
    last.split_once(' ').map_or(last, |(first, _)| first).parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collision_tells_its_index_and_what_collided() {
        let message = |value: &str| {
            format!(
                "E11000 duplicate key error collection: cita.appointments index: doctor_claims dup key: {{ doctorId: \
                 UUID(\"01a2036c-8691-7d27-ba6e-22ba5bbe78fd\"), claims: {value} }}"
            )
        };
        let collided = |value: Option<&str>| Failure::Duplicate {
            index: "doctor_claims".to_owned(),
            value: value.map(str::to_owned),
        };
        let place = "day:084194c0-c299-8532-aef6-4cc9ea756e6e:2026-12-01:3";
        assert_eq!(duplicate(&message(&format!("\"{place}\""))), collided(Some(place)));
        assert_eq!(duplicate(&message("5953112")), collided(None));
        assert_eq!(tick_of(&message("5953112")), Some(5_953_112));
        assert_eq!(tick_of(&message(&format!("\"{place}\""))), None);
        assert_eq!(duplicate(&message("BinData(0, 700A)")), collided(Some("700A")));
    }
}
