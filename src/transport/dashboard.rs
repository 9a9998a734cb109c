//! The dashboard: the files that its build has left in `clients/dashboard/dist`. A release carries them inside; every
//! other build reads them when they are asked for, so that it need not be built anew with them.
//!
//! They need no database, and are served from the first moment. What belongs to the API is never answered with a page.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use cita_protocol::ErrorCode;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::origins::Origins;
use super::problem::Refused;
use super::{Shared, health};

/// Where it begins.
pub const START_PATH: &str = "/";
/// Its files with hashed names.
pub const ASSETS_PATH: &str = "/assets/{*file}";
/// The page of every path that the dashboard may know.
const START: &str = "index.html";
/// Files whose names tell their contents.
const HASHED: &str = "assets/";
/// Where no page is: the first part of the paths of others, and of files without which a page is of no use.
const NO_PAGES: [&str; 7] = ["assets", "v1", "docs", "openapi.json", ".well-known", "livez", "readyz"];
/// Codings, best first, and how the file ends that lies packed beside the plain one.
const CODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

const NOT_BUILT: &str = "\
El panel de Cita no está en este programa. «cargo xtask up» lo construye; para eso hace falta Node 20.19 con npm.
La API se puede probar en /docs/.

The dashboard of Cita is not in this program. `cargo xtask up` builds it, for which it needs Node 20.19 with npm.
The API can be tried at /docs/.
";

#[derive(RustEmbed)]
#[folder = "clients/dashboard/dist"]
#[allow_missing = true]
struct Built;

/// Finds a file by its path below the root.
pub type Files = fn(&str) -> Option<EmbeddedFile>;

/// The dashboard as this node serves it.
pub struct Dashboard {
    pub files: Files,
    policy: HeaderValue,
}

/// Answers `/`, and every path that is not in the table of routes.
///
/// # Errors
/// `not_found`; `unavailable` while the node is starting.
pub async fn serve(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if matches!(method, Method::GET | Method::HEAD)
        && let Some(found) = shared.dashboard.find(uri.path().strip_prefix('/').unwrap_or_default(), &headers)
    {
        return Ok(found);
    }
    health::check(&shared, &method)?;
    Err(ErrorCode::NotFound.into())
}

impl Dashboard {
    /// The dashboard of this program, which connects to where its pages come from.
    #[must_use]
    pub fn new(origins: &Origins) -> Self {
        let policy = HeaderValue::from_str(&policy(origins)).expect("the origins of URLs are ASCII");
        Self { files: Built::get, policy }
    }

    fn find(&self, path: &str, asked: &HeaderMap) -> Option<Response> {
        if let Some(file) = self.file(path, asked) {
            return Some(file);
        }
        let first = path.split('/').next().unwrap_or_default();
        let is_page = path.is_empty() || !NO_PAGES.contains(&first) && names(asked, ACCEPT, "text/html");
        is_page.then(|| self.file(START, asked).unwrap_or_else(|| self.not_built()))
    }

    /// A file, packed where the client takes that.
    fn file(&self, path: &str, asked: &HeaderMap) -> Option<Response> {
        if !is_plain(path) {
            return None;
        }
        let plain = (self.files)(path)?;
        let packed = CODINGS.iter().filter(|(coding, _)| names(asked, ACCEPT_ENCODING, coding));
        let packed = packed.map(|&(coding, ending)| Some((coding, (self.files)(&format!("{path}{ending}"))?)));
        let (coding, file) = match packed.flatten().next() {
            Some((coding, packed)) => (Some(coding), packed),
            None => (None, plain),
        };
        Some(self.answer(path, coding, file, asked))
    }

    fn answer(&self, path: &str, coding: Option<&'static str>, file: EmbeddedFile, asked: &HeaderMap) -> Response {
        let tag = tag(&file);
        let fresh = names(asked, IF_NONE_MATCH, &tag) || names(asked, IF_NONE_MATCH, "*");
        let cache = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut headers = self.headers();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes"));
        if fresh {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        (headers, bytes).into_response()
    }

    fn not_built(&self) -> Response {
        (StatusCode::NOT_FOUND, self.headers(), [(CONTENT_TYPE, "text/plain; charset=utf-8")], NOT_BUILT)
            .into_response()
    }

    /// What the browser is told about every file: a worker has the policy that its script came with.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter(
            [
                (REFERRER_POLICY, "no-referrer"),
                (X_FRAME_OPTIONS, "DENY"),
                (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
                (
                    HeaderName::from_static("permissions-policy"),
                    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
                ),
            ]
            .map(|(name, value)| (name, HeaderValue::from_static(value))),
        );
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers
    }
}

/// Nothing from elsewhere, and nothing that stands in a page's own text. Safari before 16 does not take a WebSocket for
/// `'self'`, so they are named.
fn policy(origins: &Origins) -> String {
    let sockets: String = origins.own_sockets().map(|socket| format!(" {socket}")).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'{sockets}; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// Whether a path can be that of a file: plain names, none of them hidden, and none of a packed file, which is no file
/// of its own.
fn is_plain(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    path.split('/').all(is_name) && !CODINGS.iter().any(|(_, ending)| path.ends_with(ending))
}

/// Names the very bytes, so that two codings of a file have two.
fn tag(file: &EmbeddedFile) -> String {
    let digits: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a header that is a list names this, and does not say `q=0` to it.
pub(super) fn names(headers: &HeaderMap, list: HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(list).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        // A tag that a proxy has weakened is as good here.
        name.strip_prefix("W/").unwrap_or(name).eq_ignore_ascii_case(wanted) && !parts.any(is_never)
    })
}

fn is_never(parameter: &str) -> bool {
    let weight = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, weight)| weight.trim().parse() == Ok(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_plain_names() {
        for good in ["index.html", "sw.js", "assets/index-DiwrgTda.js", "assets/a_b/c.css", "icon-192.png"] {
            assert!(is_plain(good), "{good}");
        }
        for wrong in [
            "",
            "assets/",
            "/index.html",
            "..",
            "../Cargo.toml",
            "assets/../../Cargo.toml",
            "assets/..%2f..%2fCargo.toml",
            "assets/%2e%2e/index.html",
            "assets\\..\\index.html",
            "assets//index.js",
            ".vite/manifest.json",
            "index.html.br",
            "assets/index.js.gz",
            "index.html\0",
            "índice.html",
        ] {
            assert!(!is_plain(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_list_names_what_it_does_not_rule_out() {
        let named = |line: &'static str, wanted| {
            names(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(line))]), ACCEPT_ENCODING, wanted)
        };
        for good in ["br", "gzip, deflate, br", "gzip;q=1.0, BR ; q=0.5", "x;q=0, br", "br;x=y"] {
            assert!(named(good, "br"), "{good}");
        }
        for wrong in ["", "gzip", "br;q=0", "gzip, br; Q=0.000", "brotli", "x-br", "*"] {
            assert!(!named(wrong, "br"), "{wrong}");
        }
        assert!(named("\"a\", W/\"b\"", "\"b\"") && !named("\"ab\"", "\"b\""));
        assert!(!names(&HeaderMap::new(), ACCEPT_ENCODING, "br"));
    }
}
