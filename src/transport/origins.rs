//! Which web pages may act for the user of a browser: a list of exact origins, and what a request says of its own.
//!
//! Only a browser sends cookies that its user did not ask for, so only requests with cookies are judged here. Who shows
//! a token in the request itself is nobody's deputy.

use std::str::FromStr;

use axum::http::header::{HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method};
use url::Url;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// An origin as browsers write it: scheme, host, and the port where it is not the scheme's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && !text.contains('*'));
        let url = url.ok_or("an origin is http:// or https://, a host without wildcards, and perhaps a port")?;
        let canonical = url.origin().ascii_serialization();
        if canonical == text { Ok(Self(canonical)) } else { Err(format!("browsers write this origin as {canonical}")) }
    }
}

/// Where a request says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// It does not say.
    Unknown,
    Allowed,
    Foreign,
}

impl Origin {
    fn of(url: &str) -> Option<Self> {
        Some(Self(Url::parse(url).ok()?.origin().ascii_serialization()))
    }
}

/// The origins that are allowed.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Those of pages that are served here.
    own: Vec<Origin>,
    others: Vec<Origin>,
}

impl Origins {
    /// Those of the configuration, and Cita's own pages: those at its `public_url`; at a desk also those that a browser there
    /// opens from this `local_port`.
    #[must_use]
    pub fn new(configured: &[Origin], public_url: Option<&str>, local_port: Option<u16>, encrypted: bool) -> Self {
        let (scheme, its_port) = if encrypted { ("https", 443) } else { ("http", 80) };
        let local = local_port.into_iter().flat_map(|port| {
            // A browser leaves out the port of the scheme.
            let port = if port == its_port { String::new() } else { format!(":{port}") };
            ["localhost", "127.0.0.1"].map(|host| Origin(format!("{scheme}://{host}{port}")))
        });
        let own = public_url.and_then(Origin::of).into_iter().chain(local).collect();
        Self { own, others: configured.to_vec() }
    }

    /// Where the WebSockets of Cita's own pages lead: what begins with `http` begins with `ws` there.
    pub fn own_sockets(&self) -> impl Iterator<Item = String> {
        self.own.iter().map(|origin| origin.0.replacen("http", "ws", 1))
    }

    /// Whether the cookies of a request count: it changes nothing and no other site is behind it, or its origin is allowed.
    #[must_use]
    pub fn trust_cookies(&self, method: &Method, headers: &HeaderMap) -> bool {
        let is_safe = matches!(*method, Method::GET | Method::HEAD);
        match self.source(headers) {
            Source::Foreign => false,
            Source::Allowed if !is_safe => true,
            Source::Unknown if !is_safe => false,
            Source::Allowed | Source::Unknown => {
                headers.get_all(SEC_FETCH_SITE).iter().all(|site| site.as_bytes() != b"cross-site")
            }
        }
    }

    /// Whether a page that is allowed has sent this. The cookies of a WebSocket's handshake count only then: browsers
    /// always name the origin there, and let any page ask.
    #[must_use]
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        self.source(headers) == Source::Allowed
    }

    /// Whether a page that is not allowed has sent this.
    #[must_use]
    pub fn is_foreign(&self, headers: &HeaderMap) -> bool {
        self.source(headers) == Source::Foreign
    }

    fn all(&self) -> impl Iterator<Item = &Origin> {
        self.own.iter().chain(&self.others)
    }

    fn source(&self, headers: &HeaderMap) -> Source {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Source::Unknown,
            (Some(only), None) if self.all().any(|origin| origin.0.as_bytes() == only.as_bytes()) => Source::Allowed,
            _ => Source::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const HERE: &str = "https://app.example.com";

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn origins() -> Origins {
        Origins::new(&[HERE.parse().expect("an origin")], None, None, true)
    }

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for good in [HERE, "http://localhost:5173", "https://[::1]:8443", "https://xn--clnica-6va.example"] {
            assert_eq!(good.parse(), Ok(Origin(good.to_owned())));
        }
        for wrong in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://*.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com:443",
            "https://APP.example.com",
            "https://user@app.example.com",
            "https://app.example.com?x",
            "https://clínica.example",
            "ftp://app.example.com",
            "file:///tmp",
            "chrome-extension://abc",
            "https://",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn look_alikes_are_foreign() {
        for foreign in [
            "null",
            "",
            "https://evil.example",
            "https://app.example.com.evil.example",
            "https://evilapp.example.com",
            "https://app.example.co",
            "https://app.example.comm",
            "https://example.com",
            "https://sub.app.example.com",
            "http://app.example.com",
            "https://app.example.com:443",
            "https://app.example.com:8443",
            "https://app.example.com/",
            "https://APP.example.com",
            "HTTPS://app.example.com",
            "https://app.example.com ",
            "https://app.example.com@evil.example",
            "https://app.example.com https://evil.example",
            "https://xn--pp-bja.example.com",
        ] {
            let headers = headers(&[("origin", foreign)]);
            assert!(origins().is_foreign(&headers), "{foreign}");
            for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
                assert!(!origins().trust_cookies(&method, &headers), "{method} {foreign}");
            }
            assert!(!origins().allow(&headers), "{foreign}");
        }
        for two in [[HERE, HERE], [HERE, "https://evil.example"], ["null", HERE]] {
            let headers = headers(&two.map(|origin| ("origin", origin)));
            assert!(origins().is_foreign(&headers) && !origins().trust_cookies(&Method::POST, &headers), "{two:?}");
        }
    }

    #[test]
    fn what_changes_something_must_name_its_origin() {
        let trusted = |method, given: &[_]| origins().trust_cookies(&method, &headers(given));
        assert!(trusted(Method::GET, &[]) && trusted(Method::HEAD, &[]));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            assert!(!trusted(method.clone(), &[]), "{method}");
            assert!(trusted(method.clone(), &[("origin", HERE)]), "{method}");
        }
        for site in ["same-origin", "same-site", "none"] {
            assert!(trusted(Method::GET, &[("sec-fetch-site", site)]), "{site}");
        }
        assert!(!trusted(Method::GET, &[("sec-fetch-site", "cross-site")]));
        assert!(!origins().allow(&headers(&[])), "a handshake without an origin is no browser's");
        assert!(origins().allow(&headers(&[("origin", HERE)])));
    }

    #[test]
    fn a_desk_trusts_its_own_pages() {
        let at = |port| Origins::new(&[], None, Some(port), false).own.into_iter().map(|origin| origin.0);
        assert_eq!(at(8080).collect::<Vec<_>>(), ["http://localhost:8080", "http://127.0.0.1:8080"]);
        assert_eq!(at(80).collect::<Vec<_>>(), ["http://localhost", "http://127.0.0.1"]);
    }

    #[test]
    fn the_public_address_is_allowed_by_itself() {
        for (url, origin, socket) in [
            ("https://citas.example", "https://citas.example", "wss://citas.example"),
            ("https://Citas.example:443/panel", "https://citas.example", "wss://citas.example"),
            ("http://192.0.2.7:8080", "http://192.0.2.7:8080", "ws://192.0.2.7:8080"),
        ] {
            let origins = Origins::new(&[HERE.parse().expect("an origin")], Some(url), None, true);
            assert!(origins.allow(&headers(&[("origin", origin)])), "{url}");
            assert!(origins.allow(&headers(&[("origin", HERE)])) && !origins.allow(&headers(&[("origin", "null")])));
            assert_eq!(origins.own_sockets().collect::<Vec<_>>(), [socket], "{url}: not those of other pages");
        }
    }
}
