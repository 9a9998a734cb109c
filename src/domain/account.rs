//! Accounts: who a user is, who calls, and which e-mail addresses and names are accepted.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::calendar_feed::CalendarFeed;
use super::ids::{SessionId, UserId};
use super::notifications::{Notifications, NotificationsChange};
use super::password;
use super::refusal::{Refusal, Violation};
use super::secret::Password;

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_MAX: usize = 254;
/// Longest part before the `@`.
const EMAIL_LOCAL_MAX: usize = 64;
/// Longest label of a domain.
const LABEL_MAX: usize = 63;
/// Longest name of a person or a device, in characters.
const NAME_MAX: usize = 100;
/// Longest language tag: what BCP 47 asks implementations to take.
const LOCALE_MAX: usize = 35;

/// What a user is to the clinic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Patient,
    Doctor,
    /// A receptionist, who acts for the doctors that name them.
    Staff,
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Patient, Self::Doctor, Self::Staff, Self::Admin];

    /// The word for it, in documents, in tokens and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Doctor => "doctor",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A person with an account, at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub rev: u32,
    pub role: Role,
    pub name: String,
    /// Normalised: see [`NewAccount::checked`].
    pub email: String,
    /// Whether the person has shown that they read what is sent to `email`.
    pub email_verified: bool,
    /// The address that takes the place of `email` once it is verified.
    pub pending_email: Option<String>,
    /// BCP 47 tag.
    pub locale: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    pub notifications: Notifications,
    pub calendar_feed: Option<CalendarFeed>,
    pub created_at: Timestamp,
    /// Who they are to another issuer, where they log in there.
    pub external: Option<External>,
}

/// A person as another issuer of tokens names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `sub`: the issuer never gives it to anybody else.
    pub subject: String,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Without credentials.
    Anonymous,
    /// Proven by an access token.
    User(Identity),
}

/// What an access token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    pub session: SessionId,
    pub role: Role,
    pub name: String,
    /// When the proof ends.
    pub expires_at: Timestamp,
}

impl Viewer {
    /// The caller's identity.
    ///
    /// # Errors
    /// `unauthenticated` for an anonymous caller.
    pub fn identity(&self) -> Result<&Identity, Refusal> {
        match self {
            Self::Anonymous => Err(Refusal::Unauthenticated),
            Self::User(identity) => Ok(identity),
        }
    }

    /// The caller's id, when there is one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.identity().ok().map(|identity| identity.user)
    }

    /// The caller's role, when there is one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.identity().ok().map(|identity| identity.role)
    }
}

/// An account that is asked for.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub role: Role,
    pub email: String,
    pub name: String,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
}

impl NewAccount {
    /// The account as it is kept: address in lower case, name trimmed, zone spelled as IANA has it.
    ///
    /// # Errors
    /// `validation_failed` with everything that is wrong.
    pub fn checked(self) -> Result<Self, Refusal> {
        let mut found = Vec::new();
        let checked = self.check(&mut found);
        if found.is_empty() { Ok(checked) } else { Err(Refusal::Invalid(found)) }
    }

    /// The same, for a request that carries a password and the name of a device as well.
    ///
    /// # Errors
    /// `validation_failed` with everything that is wrong.
    pub fn checked_with(self, password: &Password, device: Option<&str>) -> Result<Self, Refusal> {
        let mut found = Vec::new();
        let checked = self.check(&mut found);
        found.extend(password::check("/password", password, &checked.name, &checked.email).err());
        found.extend(check_device(device).err());
        if found.is_empty() { Ok(checked) } else { Err(Refusal::Invalid(found)) }
    }

    fn check(self, found: &mut Vec<Violation>) -> Self {
        let mut keep = |result: Result<String, Violation>| result.map_err(|violation| found.push(violation)).ok();
        Self {
            role: self.role,
            email: keep(normalised_email(&self.email)).unwrap_or_default(),
            name: keep(checked_name(&self.name)).unwrap_or_default(),
            locale: self.locale.and_then(|locale| keep(checked_locale(locale))),
            time_zone: self.time_zone.and_then(|zone| keep(checked_zone(&zone))),
        }
    }
}

/// What is to become of an account; absent fields stay, an empty `locale` or `time_zone` is taken away.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    pub notifications: NotificationsChange,
    pub email: Option<String>,
    pub new_password: Option<Password>,
    /// The one that works now: what `email` and `new_password` need.
    pub current_password: Option<Password>,
}

impl AccountChange {
    /// The change as it is carried out: spelled as [`NewAccount::checked`] spells it.
    ///
    /// # Errors
    /// `validation_failed` with everything that is wrong.
    pub fn checked(self) -> Result<Self, Refusal> {
        let mut found = Vec::new();
        let mut keep = |result: Result<String, Violation>| result.map_err(|violation| found.push(violation)).ok();
        let checked = Self {
            name: self.name.and_then(|name| keep(checked_name(&name))),
            locale: self.locale.and_then(|tag| keep(if tag.is_empty() { Ok(tag) } else { checked_locale(tag) })),
            time_zone: self
                .time_zone
                .and_then(|zone| keep(if zone.is_empty() { Ok(zone) } else { checked_zone(&zone) })),
            notifications: self.notifications,
            email: self.email.and_then(|email| keep(normalised_email(&email))),
            new_password: self.new_password,
            current_password: self.current_password,
        };
        found.extend(checked.notifications.check().err());
        let check = |new| password::check("/newPassword", new, checked.name.as_deref().unwrap_or_default(), "");
        found.extend(checked.new_password.as_ref().and_then(|new| check(new).err()));
        if (checked.email.is_some() || checked.new_password.is_some()) && checked.current_password.is_none() {
            let detail = "a new address or password needs the password that works now";
            found.push(Violation::new("/currentPassword", "required", detail));
        }
        if found.is_empty() { Ok(checked) } else { Err(Refusal::Invalid(found)) }
    }
}

/// The form in which an e-mail address is kept and compared: lower case.
///
/// ASCII only, so that lower case has one meaning (no Turkish İ) and no two spellings of an address look the same; an
/// internationalised domain is given as `xn--…`. The part before the `@` is unquoted. Nothing is trimmed or guessed.
/// `.invalid` is nobody's (RFC 2606): closed accounts have addresses there.
///
/// # Errors
/// A violation at `/email`.
pub fn normalised_email(email: &str) -> Result<String, Violation> {
    if email.chars().count() > EMAIL_MAX {
        return Err(too_long("/email", EMAIL_MAX));
    }
    let valid = email.split_once('@').is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain));
    if valid { Ok(email.to_ascii_lowercase()) } else { Err(invalid("/email", "not an e-mail address")) }
}

/// A dot-atom of RFC 5321.
fn is_local_part(local: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    local.len() <= EMAIL_LOCAL_MAX && local.split('.').all(is_atom)
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_reserved = domain.rsplit('.').next().is_some_and(|top| top.eq_ignore_ascii_case("invalid"));
    !is_reserved
        && (domain.contains('.') || domain.eq_ignore_ascii_case("localhost"))
        && domain.split('.').all(is_label)
}

fn checked_name(name: &str) -> Result<String, Violation> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Violation::new("/name", "required", "a name of at least one character"));
    }
    check_line("/name", name).map(|()| name.to_owned())
}

/// Checks the name that a person gives a device.
///
/// # Errors
/// A violation at `/device`.
pub fn check_device(device: Option<&str>) -> Result<(), Violation> {
    device.map_or(Ok(()), |device| check_line("/device", device))
}

/// What breaks a line of text or reverses its direction: a name with it would read as another.
#[must_use]
pub fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line of text.
fn check_line(pointer: &'static str, text: &str) -> Result<(), Violation> {
    if text.chars().count() > NAME_MAX {
        Err(too_long(pointer, NAME_MAX))
    } else if text.contains(breaks_line) {
        Err(invalid(pointer, "control characters are not allowed"))
    } else {
        Ok(())
    }
}

/// Well-formed by BCP 47; whether the language exists is not asked.
fn checked_locale(locale: String) -> Result<String, Violation> {
    let mut subtags = locale.split('-');
    let is_language =
        subtags.next().is_some_and(|tag| (2..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphabetic()));
    let valid = is_language
        && locale.len() <= LOCALE_MAX
        && subtags.all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
    if valid { Ok(locale) } else { Err(invalid("/locale", "not a BCP 47 language tag")) }
}

fn checked_zone(zone: &str) -> Result<String, Violation> {
    let found = TimeZone::get(zone).ok().filter(|found| !found.is_unknown());
    let name = found.as_ref().and_then(TimeZone::iana_name).map(str::to_owned);
    name.ok_or_else(|| invalid("/timeZone", "not a time zone that IANA knows"))
}

fn invalid(pointer: &'static str, detail: &'static str) -> Violation {
    Violation::new(pointer, "invalid", detail)
}

fn too_long(pointer: &'static str, most: usize) -> Violation {
    Violation::new(pointer, "too_long", Cow::from(format!("at most {most} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(email: &str, name: &str) -> NewAccount {
        NewAccount { role: Role::Patient, email: email.into(), name: name.into(), locale: None, time_zone: None }
    }

    fn pointers(result: Result<NewAccount, Refusal>) -> Vec<String> {
        match result {
            Ok(_) => Vec::new(),
            Err(Refusal::Invalid(violations)) => violations.iter().map(|v| v.pointer.to_string()).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_are_kept_in_lower_case() {
        for (given, kept) in [
            ("Ana.Ruiz+cita@Example.COM", "ana.ruiz+cita@example.com"),
            ("I@EXAMPLE.COM", "i@example.com"),
            ("root@localhost", "root@localhost"),
            ("o'neil@xn--clnica-1va.co", "o'neil@xn--clnica-1va.co"),
        ] {
            assert_eq!(normalised_email(given).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", "a.".repeat(200));
        for email in [
            "",
            "@",
            "a@",
            "@b.co",
            "a",
            "a@b",
            "a@@b.co",
            "a@b@c.co",
            " a@b.co",
            "a@b.co ",
            "a b@c.co",
            "a@b c.co",
            "a@b.co\r\nBcc: x@y.z",
            "a\0@b.co",
            "\"a b\"@c.co",
            "\"a@b\"@c.co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.co",
            "a@.co",
            "a@b..co",
            "a@b.co.",
            "a@-b.co",
            "a@b-.co",
            "a@[127.0.0.1]",
            "İ@example.com",
            "ı@example.com",
            "josé@example.com",
            "a@clínica.co",
            "а@example.com",
            "<a@b.co>",
            "a,b@c.co",
            "a@b.co,c@d.co",
            "00000000-0000-0000-0000-000000000001@closed.invalid",
            "a@b.InValid",
            "{\"$ne\":null}",
            &long_local,
            &long,
        ] {
            assert!(normalised_email(email).is_err(), "{email:?}");
        }
    }

    #[test]
    fn names_are_one_line() {
        assert_eq!(checked_name("  Ana Ruiz\t").as_deref(), Ok("Ana Ruiz"));
        assert_eq!(checked_name("علی‌رضا").as_deref(), Ok("علی‌رضا"));
        for name in ["", " \u{a0}", "a\nb", "a\u{202e}b", "a\u{0}b", "a\u{85}b", &"x".repeat(101)] {
            assert!(checked_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn languages_are_tags() {
        for tag in ["es", "es-CO", "zh-Hant-TW", "de-1996", "gsw", "en-u-hc-h23"] {
            assert!(checked_locale(tag.into()).is_ok(), "{tag}");
        }
        for tag in ["", "e", "es_CO", "es-", "-es", "123", "es--CO", "español", "es-abcdefghi", &"es-".repeat(20)] {
            assert!(checked_locale(tag.into()).is_err(), "{tag}");
        }
    }

    #[test]
    fn zones_are_those_of_iana_in_its_spelling() {
        assert_eq!(checked_zone("america/bogota").as_deref(), Ok("America/Bogota"));
        for zone in ["", "Etc/Unknown", "Bogota", "+05:00", "../../etc/passwd", "America/Bogota\0"] {
            assert!(checked_zone(zone).is_err(), "{zone}");
        }
    }

    #[test]
    fn a_request_is_told_everything_that_is_wrong() {
        let asked = NewAccount { locale: Some("?".into()), time_zone: Some("?".into()), ..account("?", "") };
        let found = pointers(asked.checked_with(&"short".into(), Some("\u{7}")));
        assert_eq!(found, ["/email", "/name", "/locale", "/timeZone", "/password", "/device"]);
        assert!(pointers(account("a@b.co", "A").checked_with(&"long enough".into(), None)).is_empty());
    }

    #[test]
    fn a_change_is_checked_whole_and_proven_where_it_matters() {
        let everything = AccountChange {
            name: Some(String::new()),
            locale: Some("?".into()),
            time_zone: Some("?".into()),
            notifications: NotificationsChange { reminder_minutes: Some(14), ..Default::default() },
            email: Some("?".into()),
            new_password: Some("short".into()),
            current_password: None,
        };
        let Err(Refusal::Invalid(found)) = everything.checked() else { panic!("it was taken") };
        let pointers: Vec<_> = found.iter().map(|violation| &*violation.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/locale",
                "/timeZone",
                "/email",
                "/notifications/reminderMinutes",
                "/newPassword",
                "/currentPassword"
            ]
        );
        let cleared =
            AccountChange { locale: Some(String::new()), time_zone: Some(String::new()), ..Default::default() };
        assert!(cleared.checked().is_ok());
    }

    #[test]
    fn only_a_token_makes_an_identity() {
        assert_eq!(Viewer::Anonymous.identity(), Err(Refusal::Unauthenticated));
        assert_eq!((Viewer::Anonymous.user(), Viewer::Anonymous.role()), (None, None));
        assert!(Role::ALL.into_iter().all(|role| Role::named(role.as_str()) == Some(role)));
        assert_eq!(Role::named("Admin"), None);
    }
}
