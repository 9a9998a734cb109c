//! Which passwords are accepted (NIST 800-63B): long enough, not known to everybody, not made of what is known of the
//! person. What characters they are made of is not asked.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::refusal::Violation;
use super::secret::Password;

/// Shortest password, in characters.
const MIN: usize = 8;
/// Longest password, in characters: what is hashed is bounded.
const MAX: usize = 128;
/// The name of the service, which nobody has to guess.
const SERVICE: &str = "cita";

/// The form in which a password is counted, judged and hashed: NFKC, so that it does not matter how a keyboard composes
/// an `ñ`. `None` when it is longer than any password may be.
#[must_use]
pub fn normalised(password: &Password) -> Option<Password> {
    let text: String = password.expose().nfkc().take(MAX + 1).collect();
    text.chars().nth(MAX).is_none().then(|| text.into())
}

/// Checks a password that somebody chooses. `name` and `email` are theirs.
///
/// # Errors
/// A violation at `pointer`: `too_short`, `too_long`, `breached` for one of the hundred thousand that are tried first,
/// `guessable` for one that consists of nothing but parts of the name and the address, or the word `cita`.
pub fn check(pointer: &'static str, password: &Password, name: &str, email: &str) -> Result<(), Violation> {
    let Some(password) = normalised(password) else {
        return Err(too_long(pointer));
    };
    let text = password.expose();
    if text.chars().count() < MIN {
        Err(Violation::new(pointer, "too_short", format!("at least {MIN} characters")))
    } else if is_made_of(text, &[name, email, SERVICE]) {
        Err(Violation::new(pointer, "guessable", "more than your name, your address or the word cita"))
    } else if is_breached(text) {
        Err(Violation::new(pointer, "breached", "this password is known to everybody who guesses passwords"))
    } else {
        Ok(())
    }
}

/// The violation of a password that is too long to be looked at.
#[must_use]
pub fn too_long(pointer: &'static str) -> Violation {
    Violation::new(pointer, "too_long", format!("at most {MAX} characters"))
}

/// Whether it stands in the list of those that were seen most often in breaches, as given, in lower case, or without accents.
fn is_breached(text: &str) -> bool {
    let listed = passwords::analyzer::is_common_password::<&str>;
    let lower = text.to_lowercase();
    // The list knows no accents: `contraseña` stands in it as `contrasena`.
    let plain: String = lower.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    listed(text) || listed(&lower) || listed(&plain)
}

/// Whether nothing is left of a text when the words of others are taken out of it. Case, accents and what stands between
/// words do not count.
fn is_made_of(text: &str, others: &[&str]) -> bool {
    let words: Vec<String> = others.iter().flat_map(|other| words(other)).collect();
    let text = words_joined(text);
    // Up to which places the text can be laid out with words. It is bounded, and so are the words.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for start in 0..text.len() {
        if ends[start] {
            for word in words.iter().filter(|word| text[start..].starts_with(word.as_str())) {
                ends[start + word.len()] = true;
            }
        }
    }
    !text.is_empty() && ends[text.len()]
}

fn words(text: &str) -> Vec<String> {
    let folded: String = text.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>().to_lowercase();
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn words_joined(text: &str) -> String {
    words(text).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Result<(), &'static str> {
        check("/password", &text.into(), "María José Ñáñez", "mj.nanez+salud@clinica-norte.example")
            .map_err(|violation| violation.code)
    }

    #[test]
    fn length_counts_in_normalised_characters() {
        assert_eq!(code(""), Err("too_short"));
        assert_eq!(code("x7#kQ2m"), Err("too_short"));
        assert_eq!(code("x7#kQ2mp"), Ok(()));
        assert_eq!(code(" \0ñandú\u{301} "), Ok(()));
        assert_eq!(code(&"🗝".repeat(128)), Ok(()));
        assert_eq!(code(&"🗝".repeat(129)), Err("too_long"));
        // Seven characters, however they are written.
        assert_eq!(code("n\u{303}andu\u{301}es"), Err("too_short"));
        assert_eq!(code(&"n\u{303}".repeat(128)), Ok(()));
        // One character that NFKC makes eighteen of.
        assert_eq!(code(&"\u{fdfa}".repeat(8)), Err("too_long"));
        assert_eq!(code(&"\u{301}".repeat(65_536)), Err("too_long"));
    }

    #[test]
    fn what_it_is_made_of_is_not_asked() {
        for text in ["una clave de prueba", "        x        ", "zzyzx zzyzx", "19283746550192", "ПАРОЛЬдляврача"]
        {
            assert_eq!(code(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_everybody_knows_is_refused_in_any_case() {
        for text in [
            "password",
            "PassWord",
            "12345678",
            "QWERTYUIOP",
            "estrellita",
            "!QAZ2wsx",
            "contraseña",
            "ｐａｓｓｗｏｒｄ",
        ] {
            assert_eq!(code(text), Err("breached"), "{text}");
        }
    }

    #[test]
    fn what_is_known_of_the_person_is_no_password() {
        for text in [
            "maríajosé",
            "Maria Jose Nanez",
            "ñáñezñáñez",
            "NANEZ-salud",
            "clinicanorte",
            "mj.nanez@clinica-norte.example",
            "citacita",
            "cita maria jose",
        ] {
            assert_eq!(code(text), Err("guessable"), "{text}");
        }
        for text in ["mariajose7", "cita a ciegas", "nanezx salud"] {
            assert_eq!(code(text), Ok(()), "{text}");
        }
        assert_eq!(check("/password", &"--------#--".into(), "", "").map_err(|violation| violation.code), Ok(()));
    }

    #[test]
    fn both_ways_to_write_an_accent_are_one_password() {
        let form = |text: &str| normalised(&text.into()).map(|password| password.expose().to_owned());
        assert_eq!(form("Pa\u{308}ssword"), form("Pässword"));
        assert_eq!(form(&"x".repeat(129)), None);
    }
}
