//! The two cookies of a browser's session, read strictly and written in one way.
//!
//! Parsed here and not by a library: those in use trim all of Unicode's white space, so that a neighbouring host could
//! pass off a cookie named U+2000 and `__Host-…` as one that only this host can set.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::session::call::CookieChange;

/// Where the refresh cookie is sent, and the only place where it counts.
pub const REFRESH_PATH: &str = "/v1/auth/refresh";

/// What the cookies are called, and whether they may travel unencrypted.
#[derive(Clone, Copy, Debug)]
pub struct CookieNames {
    access: &'static str,
    refresh: &'static str,
    /// Ends both `Set-Cookie`s.
    secure: &'static str,
}

/// What a request has of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Nothing,
    One(&'a str),
    /// Several of the name, one of which a neighbouring host may have planted; or no text.
    Unclear,
}

impl CookieNames {
    /// The names of cookies that travel encrypted, and of those that need not. A browser takes a `__Host-` cookie from this
    /// very host alone, encrypted, for all paths. That of the refresh token has a path of its own, so that it is not shown
    /// with every request; `__Secure-` allows that.
    #[must_use]
    pub const fn new(encrypted: bool) -> Self {
        match encrypted {
            true => Self { access: "__Host-cita_access", refresh: "__Secure-cita_refresh", secure: "; Secure" },
            false => Self { access: "cita_access", refresh: "cita_refresh", secure: "" },
        }
    }

    /// The access token that the cookies show.
    #[must_use]
    pub fn access<'a>(&self, headers: &'a HeaderMap) -> Found<'a> {
        find(headers, self.access)
    }

    /// The refresh token that the cookies show.
    #[must_use]
    pub fn refresh<'a>(&self, headers: &'a HeaderMap) -> Found<'a> {
        find(headers, self.refresh)
    }

    /// The two `Set-Cookie` headers of a change.
    #[must_use]
    pub fn write(&self, change: &CookieChange) -> Vec<HeaderValue> {
        let (access, access_seconds, refresh, refresh_seconds) = match change {
            CookieChange::Set { access, access_seconds, refresh, refresh_seconds } => {
                (access.expose(), *access_seconds, refresh.expose(), *refresh_seconds)
            }
            CookieChange::Clear => ("", 0, "", 0),
        };
        let cookies = [
            self.cookie(self.access, access, "/", access_seconds),
            self.cookie(self.refresh, refresh, REFRESH_PATH, refresh_seconds),
        ];
        // Tokens are letters, digits, `-`, `_` and dots: none is left out.
        cookies.iter().filter_map(|cookie| secret_header(cookie)).collect()
    }

    fn cookie(&self, name: &str, value: &str, path: &str, seconds: i64) -> String {
        format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{}", self.secure)
    }
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn find<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..equals].trim_ascii() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    });
    match (values.next(), values.next()) {
        (None, _) => Found::Nothing,
        (Some(value), None) => std::str::from_utf8(value).map_or(Found::Unclear, Found::One),
        (Some(_), Some(_)) => Found::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use cita_protocol::Operation;

    use super::*;

    fn read(lines: &[&str]) -> (Found<'static>, Found<'static>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
        }
        let headers: &'static HeaderMap = Box::leak(Box::new(headers));
        let names = CookieNames::new(true);
        (names.access(headers), names.refresh(headers))
    }

    #[test]
    fn a_cookie_is_the_only_one_of_its_name() {
        let one = Found::One("a.b.c");
        assert_eq!(read(&[]), (Found::Nothing, Found::Nothing));
        assert_eq!(read(&["__Host-cita_access=a.b.c"]).0, one);
        assert_eq!(read(&["x=y; __Host-cita_access=a.b.c;__Secure-cita_refresh=r"]), (one, Found::One("r")));
        assert_eq!(read(&["x=ñ; junk; =; __Host-cita_access=a.b.c"]).0, one, "what others set is theirs");
        assert_eq!(read(&["__Host-cita_access="]).0, Found::One(""));
        assert_eq!(read(&["__Host-cita_access=\"a.b.c\""]).0, Found::One("\"a.b.c\""), "quotes are no part of a token");
        for twice in [
            &["__Host-cita_access=a; __Host-cita_access=a"][..],
            &["__Host-cita_access=a", "__Host-cita_access=b"],
            &["__Host-cita_access=a; __Host-cita_access "],
            &["__Host-cita_access=a; __Host-cita_access ="],
        ] {
            let expected = if twice[0].ends_with("access ") { Found::One("a") } else { Found::Unclear };
            assert_eq!(read(twice).0, expected, "{twice:?}");
        }
        let many: String = (0..200).map(|number| format!("c{number}=x; ")).collect();
        assert_eq!(read(&[&format!("{many}__Host-cita_access=a.b.c")]).0, one);
    }

    #[test]
    fn other_names_are_others() {
        for other in [
            "cita_access=a",
            "__host-cita_access=a",
            "__Host-cita_accessx=a",
            "x__Host-cita_access=a",
            "\u{2000}__Host-cita_access=a",
            "\u{a0}__Host-cita_access=a",
            "\"__Host-cita_access\"=a",
            "$Version=1, __Host-cita_access=a",
        ] {
            assert_eq!(read(&[other]).0, Found::Nothing, "{other}");
        }
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_other_sites() {
        let set = CookieChange::Set {
            access: "a.b.c".into(),
            access_seconds: 600,
            refresh: "r".into(),
            refresh_seconds: 2_592_000,
        };
        let text = |encrypted, change: &CookieChange| {
            let written = CookieNames::new(encrypted).write(change);
            written.iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            text(true, &set),
            [
                "__Host-cita_access=a.b.c; Path=/; Max-Age=600; HttpOnly; SameSite=Strict; Secure",
                "__Secure-cita_refresh=r; Path=/v1/auth/refresh; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure",
            ]
        );
        assert_eq!(
            text(false, &CookieChange::Clear),
            [
                "cita_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
                "cita_refresh=; Path=/v1/auth/refresh; Max-Age=0; HttpOnly; SameSite=Strict",
            ]
        );
        assert!(!format!("{set:?}").contains("a.b.c"));
    }

    #[test]
    fn the_path_is_that_of_the_operation() {
        assert_eq!(Operation::AuthRefresh.route().map(|route| route.path), Some(REFRESH_PATH));
    }
}
