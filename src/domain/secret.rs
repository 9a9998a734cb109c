//! Texts that must not be seen: whatever prints one prints `[redacted]`.

use std::fmt;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(String);

        impl $name {
            /// The text itself. Never for a log, an error or a reply that is not meant to carry it.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[redacted]")
            }
        }
    };
}

secret! {
    /// What a person types to log in, exactly as given.
    Password
}
secret! {
    /// A hashed password: a PHC string.
    PasswordHash
}
secret! {
    /// A signed JWT that proves who calls.
    AccessToken
}
secret! {
    /// An opaque text that works once, for a new pair of tokens.
    RefreshToken
}
secret! {
    /// An opaque text in a link: one that was sent by e-mail and works once, or the one of a calendar feed.
    LinkToken
}
secret! {
    /// How a MongoDB cluster is reached: it may hold a password.
    ConnectionUri
}
secret! {
    /// What the server's own keys are encrypted under. The same on every node, and not in the database.
    ServerSecret
}
secret! {
    /// Address of a mail server, with the user and the password for it.
    SmtpUrl
}

/// What derives a secret from something that is not kept beside it: alone, it makes none.
#[derive(Clone, PartialEq, Eq)]
pub struct DerivationKey([u8; 32]);

impl DerivationKey {
    /// The bytes themselves, for the derivation and the document.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for DerivationKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for DerivationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Password;

    #[test]
    fn what_prints_a_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", Some(Password::from("hunter22"))), "Some([redacted])");
    }
}
