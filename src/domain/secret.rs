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
    /// An opaque text that was sent by e-mail and works once.
    MailToken
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

#[cfg(test)]
mod tests {
    use super::Password;

    #[test]
    fn what_prints_a_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", Some(Password::from("hunter22"))), "Some([redacted])");
    }
}
