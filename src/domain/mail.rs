//! What a person is told by e-mail.

use super::notice::Notice;
use super::secret::LinkToken;

/// A message to one person.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Normalised address.
    pub to: String,
    /// Name of the person.
    pub name: String,
    /// BCP 47 tag of the language that they read.
    pub locale: Option<String>,
    pub subject: Subject,
}

/// What a message is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Prove that this address is yours.
    Verification { token: LinkToken },
    /// Choose a new password.
    Reset { token: LinkToken },
    /// Your password was changed.
    PasswordChanged,
    /// Somebody who is logged in as you wants another address for your account.
    EmailChanging,
    /// Somebody tried to use your address for another account.
    EmailTaken,
    /// What has become of an appointment, or is to. Times are told in `zone`, which is the reader's, or else the doctor's.
    Notice { notice: Box<Notice>, zone: Option<String> },
}
