//! The cursor that clients hold: a position in each cluster, opaque to them and good on every node.

use crate::domain::change::Position;
use crate::views::committed::Positions;

/// Version of the text form.
const VERSION: &str = "1";
const DIGITS: usize = 8 + 16 + 16 + 4;

/// A point in the history of both clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which history: a cursor of other databases means nothing here.
    pub epoch: u32,
    pub positions: Positions,
}

impl Cursor {
    /// A cursor that no ring continues: what an unreadable one stands for.
    pub const NEVER: Self = Self { epoch: 0, positions: Positions { appointments: Position(0), users: Position(0) } };

    /// The same point, as far as the appointments cluster is concerned.
    #[must_use]
    pub fn of_appointments(self) -> Self {
        Self { positions: Positions::of_appointments(self.positions.appointments), ..self }
    }

    /// The same point, as far as the users cluster is concerned.
    #[must_use]
    pub fn of_users(self) -> Self {
        Self { positions: Positions::of_users(self.positions.users), ..self }
    }

    /// Reads the text form; `None` for anything that this code did not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(VERSION)?;
        let lower_hex = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if digits.len() != DIGITS || !lower_hex {
            return None;
        }
        let number = |range| u64::from_str_radix(&digits[range], 16).ok();
        let cursor = Self {
            epoch: u32::try_from(number(0..8)?).ok()?,
            positions: Positions { appointments: Position(number(8..24)?), users: Position(number(24..40)?) },
        };
        (number(40..44)? == u64::from(cursor.check())).then_some(cursor)
    }

    /// A cursor that was damaged on its way must not pass for another one (FNV-1a, folded).
    fn check(&self) -> u16 {
        let Positions { appointments, users } = self.positions;
        let bytes =
            self.epoch.to_be_bytes().into_iter().chain(appointments.0.to_be_bytes()).chain(users.0.to_be_bytes());
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        (hash >> 16) as u16 ^ hash as u16
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Positions { appointments, users } = self.positions;
        write!(f, "{VERSION}{:08x}{:016x}{:016x}{:04x}", self.epoch, appointments.0, users.0, self.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let positions = Positions { appointments: Position(0x63A1_B2C3_0000_0007), users: Position(9) };
        let cursor = Cursor { epoch: 77, positions };
        let text = cursor.to_string();
        assert_eq!(Cursor::parse(&text), Some(cursor));
        for index in 0..text.len() {
            for digit in "0123456789abcdefAG+-".chars() {
                let mut damaged = text.clone();
                damaged.replace_range(index..=index, &digit.to_string());
                assert_eq!(Cursor::parse(&damaged).is_some(), damaged == text, "{damaged}");
            }
        }
        for garbage in ["", "1", &text[1..], &format!("{text}0"), "…", "1…………………………………………………………"]
        {
            assert_eq!(Cursor::parse(garbage), None);
        }
    }
}
