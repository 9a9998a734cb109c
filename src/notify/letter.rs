//! What the mails about an account say, in Spanish and in English. Plain text, and nothing in it that somebody else has chosen:
//! who registers with a foreign address must not be able to write to it. That is why nobody is greeted by name.

use super::notice;
use crate::domain::mail::Subject;
use crate::domain::secret::LinkToken;

/// Subject line and text of a mail.
pub(super) struct Letter {
    pub(super) subject: &'static str,
    pub(super) text: String,
}

/// The languages that there are; Spanish is for everybody who does not read English.
#[derive(Clone, Copy)]
pub(super) enum Language {
    Spanish,
    English,
}

impl Letter {
    /// The mail about a subject, in the language of a BCP 47 tag. Links begin with `public_url`.
    pub(super) fn about(subject: &Subject, locale: Option<&str>, public_url: &str) -> Self {
        let language = Language::of(locale);
        let (subject, text) = match subject {
            Subject::Verification { token } => {
                language.verification(&Link { page: "verify-email", public_url, token }.lines(language))
            }
            Subject::Reset { token } => {
                language.reset(&Link { page: "reset-password", public_url, token }.lines(language))
            }
            Subject::PasswordChanged => language.password_changed(),
            Subject::EmailChanging => language.email_changing(),
            Subject::EmailTaken => language.email_taken(),
            Subject::Notice { notice, zone } => notice::written(language, notice, zone.as_deref(), public_url),
        };
        Self { subject, text }
    }
}

/// A page that is opened with a token. It stands behind the `#`, which browsers send to no server, so that no log has it.
struct Link<'a> {
    page: &'static str,
    public_url: &'a str,
    token: &'a LinkToken,
}

impl Link<'_> {
    fn lines(&self, language: Language) -> String {
        let Self { page, public_url, token } = self;
        let or = match language {
            Language::Spanish => "Si el enlace no se abre, use este código:",
            Language::English => "If the link does not open, use this code:",
        };
        let token = token.expose();
        format!("{public_url}/{page}#token={token}\n\n{or}\n\n{token}\n")
    }
}

impl Language {
    fn of(locale: Option<&str>) -> Self {
        let language = locale.and_then(|tag| tag.split('-').next());
        if language.is_some_and(|language| language.eq_ignore_ascii_case("en")) { Self::English } else { Self::Spanish }
    }

    fn verification(self, link: &str) -> (&'static str, String) {
        match self {
            Self::Spanish => (
                "Confirme su dirección de correo",
                format!(
                    "Para confirmar que esta dirección es suya, abra este enlace:\n\n{link}\n\
                     Sirve una sola vez y por poco tiempo. Si no abrió una cuenta, no haga nada.\n"
                ),
            ),
            Self::English => (
                "Confirm your e-mail address",
                format!(
                    "To confirm that this address is yours, open this link:\n\n{link}\n\
                     It works once, and for a short time. If you did not open an account, do nothing.\n"
                ),
            ),
        }
    }

    fn reset(self, link: &str) -> (&'static str, String) {
        match self {
            Self::Spanish => (
                "Elija una contraseña nueva",
                format!(
                    "Para elegir una contraseña nueva, abra este enlace:\n\n{link}\n\
                     Sirve una sola vez y por poco tiempo. Si no lo pidió, no haga nada: su contraseña sigue igual.\n"
                ),
            ),
            Self::English => (
                "Choose a new password",
                format!(
                    "To choose a new password, open this link:\n\n{link}\n\
                     It works once, and for a short time. If you did not ask for it, do nothing: your password stays as it is.\n"
                ),
            ),
        }
    }

    fn password_changed(self) -> (&'static str, String) {
        let (subject, text) = match self {
            Self::Spanish => (
                "Su contraseña cambió",
                "La contraseña de su cuenta se acaba de cambiar.\n\n\
                 Si no fue usted, pida de inmediato una contraseña nueva y avise a la clínica.\n",
            ),
            Self::English => (
                "Your password was changed",
                "The password of your account has just been changed.\n\n\
                 If that was not you, ask for a new password at once, and tell the clinic.\n",
            ),
        };
        (subject, text.to_owned())
    }

    fn email_changing(self) -> (&'static str, String) {
        let (subject, text) = match self {
            Self::Spanish => (
                "Su dirección de correo va a cambiar",
                "Desde su cuenta se pidió usar otra dirección de correo. Valdrá cuando se confirme desde ella.\n\n\
                 Si no fue usted, cambie de inmediato su contraseña y avise a la clínica.\n",
            ),
            Self::English => (
                "Your e-mail address is about to change",
                "Somebody who is logged in to your account wants another e-mail address for it. It counts once it is \
                 confirmed from there.\n\n\
                 If that was not you, change your password at once, and tell the clinic.\n",
            ),
        };
        (subject, text.to_owned())
    }

    fn email_taken(self) -> (&'static str, String) {
        let (subject, text) = match self {
            Self::Spanish => (
                "Usted ya tiene una cuenta",
                "Se quiso usar esta dirección para otra cuenta, pero usted ya tiene una con ella.\n\n\
                 Si fue usted, inicie sesión; si olvidó la contraseña, pida una nueva. Si no fue usted, no haga nada.\n",
            ),
            Self::English => (
                "You already have an account",
                "Somebody wanted to use this address for another account, but you already have one with it.\n\n\
                 If it was you, log in; if you have forgotten your password, ask for a new one. If not, do nothing.\n",
            ),
        };
        (subject, text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(subject: &Subject, locale: Option<&str>) -> Letter {
        Letter::about(subject, locale, "https://citas.example")
    }

    #[test]
    fn the_language_is_that_of_the_person_and_spanish_otherwise() {
        for (locale, subject) in [
            (None, "Su contraseña cambió"),
            (Some("es-CO"), "Su contraseña cambió"),
            (Some("fr"), "Su contraseña cambió"),
            (Some("enm"), "Su contraseña cambió"),
            (Some("en"), "Your password was changed"),
            (Some("EN-gb"), "Your password was changed"),
        ] {
            assert_eq!(letter(&Subject::PasswordChanged, locale).subject, subject, "{locale:?}");
        }
    }

    #[test]
    fn a_link_has_its_token_behind_the_hash_and_once_more_by_itself() {
        let token = || LinkToken::from("AbC-_9");
        for locale in ["es", "en"] {
            let verification = letter(&Subject::Verification { token: token() }, Some(locale)).text;
            assert!(verification.contains("\nhttps://citas.example/verify-email#token=AbC-_9\n"), "{verification}");
            let reset = letter(&Subject::Reset { token: token() }, Some(locale)).text;
            assert!(reset.contains("\nhttps://citas.example/reset-password#token=AbC-_9\n"), "{reset}");
            assert!(verification.contains("\nAbC-_9\n") && reset.contains("\nAbC-_9\n"));
        }
    }

    #[test]
    fn subjects_are_short() {
        let token = || LinkToken::from("x");
        for subject in [
            Subject::Verification { token: token() },
            Subject::Reset { token: token() },
            Subject::PasswordChanged,
            Subject::EmailChanging,
            Subject::EmailTaken,
        ] {
            for locale in ["es", "en"] {
                let letter = letter(&subject, Some(locale));
                assert!(letter.subject.chars().count() <= 50, "{}", letter.subject);
                assert!(letter.text.ends_with(".\n"), "{}", letter.text);
            }
        }
    }
}
