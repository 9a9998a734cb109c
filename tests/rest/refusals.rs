//! Requests that are none: what every route refuses, and the bytes beneath HTTP.

use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::cast::Cast;
use crate::harness::clinic::Clinic;
use crate::harness::rest::{Rest, escaped, raw, request};

const JSON: &str = "Content-Type: application/json";

/// Method, path, headers and body, and the status and code that they get.
type Refusal<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, u16, &'a str);

/// A request as bytes, its status, its headers in lower case, and its body.
async fn send(url: &str, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String, String) {
    let head: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let bytes = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}{length}\r\n{body}");
    let answer = raw(url, bytes.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path:.100}: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_problems() {
    let clinic = Clinic::open().await;
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(64 * 1024));
    let deep = format!(r#"{{"email":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let nothing: &[&str] = &[];
    let login = "/v1/auth/login";
    let cases: &[Refusal<'_>] = &[
        ("GET", "/v1/nothing", nothing, "", 404, "not_found"),
        ("GET", "/v1/me/", nothing, "", 404, "not_found"),
        ("GET", "/V1/me", nothing, "", 404, "not_found"),
        ("GET", "//v1/me", nothing, "", 404, "not_found"),
        ("GET", "/v1//me", nothing, "", 404, "not_found"),
        ("GET", "/v1/me%00", nothing, "", 404, "not_found"),
        ("GET", "/v1%2Fme", nothing, "", 404, "not_found"),
        ("GET", "/v1/%2e%2e/openapi.json", nothing, "", 404, "not_found"),
        ("GET", "/v1/../openapi.json", nothing, "", 404, "not_found"),
        ("GET", "/v1/doctors/%ff", nothing, "", 404, "not_found"),
        ("GET", "/v1/doctors/%c0%ae", nothing, "", 404, "not_found"),
        ("GET", "/docs/%2e%2e%2fCargo.toml", nothing, "", 404, "not_found"),
        ("GET", "/docs/nothing.js", nothing, "", 404, "not_found"),
        ("GET", "/v1/waitlist", nothing, "", 404, "not_found"),
        ("TRACE", "/v1/me", nothing, "", 405, "method_not_allowed"),
        ("BREW", "/v1/me", nothing, "", 405, "method_not_allowed"),
        ("DELETE", "/livez", nothing, "", 405, "method_not_allowed"),
        ("POST", "/v1/ws", nothing, "", 405, "method_not_allowed"),
        ("POST", "/v1/events", nothing, "", 405, "method_not_allowed"),
        ("POST", "/openapi.json", nothing, "", 405, "method_not_allowed"),
        ("POST", "/v1/me", &["X-HTTP-Method-Override: GET"], "", 405, "method_not_allowed"),
        ("GET", "/v1/doctors", &["Authorization: Bearer bad"], "", 401, "unauthenticated"),
        ("GET", "/v1/doctors", &["Authorization: Basic x"], "", 401, "unauthenticated"),
        ("GET", "/v1/doctors", &["Authorization: "], "", 401, "unauthenticated"),
        ("GET", "/v1/me?access_token=x", nothing, "", 401, "unauthenticated"),
        ("GET", "/v1/events?topic=t", &["Authorization: Basic x"], "", 401, "unauthenticated"),
        ("GET", "/v1/doctors?pageSize=x", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/doctors?pageSize=1&pageSize=1", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/doctors?user%5B%24ne%5D=", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/doctors?user[$ne]=", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/doctors?specialisation[$regex]=.", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/doctors?sort=$where", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/doctors?__proto__=x", nothing, "", 422, "validation_failed"),
        ("POST", login, nothing, "{}", 415, "unsupported_media_type"),
        ("POST", login, &["Content-Type: text/plain"], "{}", 415, "unsupported_media_type"),
        ("POST", login, &["Content-Type: application/x-www-form-urlencoded"], "email=x", 415, "unsupported_media_type"),
        ("POST", login, &["Content-Type: application/json; charset=latin1"], "{}", 415, "unsupported_media_type"),
        ("POST", login, &[JSON, "Content-Encoding: gzip"], "{}", 415, "unsupported_media_type"),
        ("POST", login, &[JSON, JSON], "{}", 415, "unsupported_media_type"),
        ("POST", login, &[JSON], "{", 400, "malformed_message"),
        ("POST", login, &[JSON], "[]", 400, "malformed_message"),
        ("POST", login, &[JSON], "null", 400, "malformed_message"),
        ("POST", login, &[JSON], "{} {}", 400, "malformed_message"),
        ("POST", login, &[JSON], "\u{feff}{}", 400, "malformed_message"),
        ("POST", login, &[JSON], r#"{"email":"a","email":"b"}"#, 400, "malformed_message"),
        ("POST", login, &[JSON], r#"{"email":"\ud800"}"#, 400, "malformed_message"),
        ("POST", login, &[JSON], r#"{"email":1e400}"#, 400, "malformed_message"),
        ("POST", login, &[JSON], &deep, 400, "malformed_message"),
        ("POST", login, &[JSON], &large, 413, "message_too_large"),
        ("POST", login, &[JSON], "{}", 422, "validation_failed"),
        ("POST", "/v1/auth/login?email=x", &[JSON], "{}", 422, "validation_failed"),
        ("GET", "/v1/events", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/events?topic=nothing", nothing, "", 422, "validation_failed"),
        ("GET", "/v1/events?topic=me/appointments", nothing, "", 401, "unauthenticated"),
    ];
    for &(method, path, headers, body, status, code) in cases {
        let (found, head, body) = send(clinic.url(), method, path, headers, body).await;
        let problem: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method} {path}: {head} {body}"));
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{method} {path} {headers:?}");
        assert!(head.contains("\r\ncontent-type: application/problem+json"), "{head}");
        assert_eq!(head.contains("\r\nallow: "), status == 405, "{method} {path}: {head}");
        assert_eq!(head.contains("\r\nwww-authenticate: bearer"), status == 401, "{method} {path}: {head}");
        assert!(head.contains("\r\nx-request-id: ") && head.contains("\r\ncache-control: no-store"), "{head}");
        assert!(!head.contains("retry-after") && problem.get("outcome").is_none(), "{head}");
    }
    for (path, allowed) in [("/v1/me", "delete,get,head,patch"), (login, "post"), ("/v1/doctors/x", "get,head,patch")] {
        let (_, head, _) = send(clinic.url(), "BREW", path, &[], "").await;
        let allow = head.lines().find_map(|line| line.strip_prefix("allow: ")).expect("what is allowed");
        let sorted = |list: &str| {
            let mut list: Vec<_> = list.split(',').map(|item| item.trim().to_owned()).collect();
            list.sort();
            list
        };
        assert_eq!(sorted(allow), sorted(allowed), "{path}");
    }
}

/// No page of another site is helped to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_origins_are_given_nothing() {
    let clinic = Clinic::open().await;
    for (method, path) in [("OPTIONS", "/v1/me"), ("GET", "/v1/doctors"), ("GET", "/livez")] {
        let headers = ["Origin: https://evil.example", "Access-Control-Request-Method: GET"];
        let (_, head, _) = send(clinic.url(), method, path, &headers, "").await;
        assert!(!head.contains("access-control-"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_http_are_refused() {
    let clinic = Clinic::open().await;
    let post = format!("POST /v1/auth/login HTTP/1.1\r\nHost: x\r\n{JSON}\r\n");
    let many: String = (0..101).map(|number| format!("X-{number}: x\r\n")).collect();
    let chunks = format!("8000\r\n{}\r\n", " ".repeat(0x8000)).repeat(4);
    let cases = [
        ("\r\n\r\nnonsense\r\n\r\n".to_owned(), "400"),
        ("GET /v1/me HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(), "4"),
        ("GET /v1/me HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n".to_owned(), "400"),
        ("GET /v1/me HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n".to_owned(), "400"),
        (format!("GET /v1/me HTTP/1.1\r\nHost: x\r\n{many}\r\n"), "431"),
        (format!("GET /v1/me HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(450_000)), "431"),
        (format!("GET /v1/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000)), "4"),
        (format!("{post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"), "400"),
        (format!("{post}Content-Length: -1\r\n\r\n{{}}"), "400"),
        (format!("{post}Content-Length: 99999999999999999999\r\n\r\n{{}}"), "400"),
        (format!("{post}Content-Length: 99999999999\r\n\r\n{{"), "413"),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n{chunks}"), "413"),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "400"),
        (format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), "400"),
        (format!("{post}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), "422"),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "4"),
    ];
    for (bytes, status) in cases {
        let answer = raw(clinic.url(), bytes.as_bytes()).await;
        let found = answer.split(' ').nth(1).unwrap_or_default();
        assert!(found.starts_with(status), "{status}, not {answer:.80}, for {bytes:.100}");
    }
    // Length and chunks at once: one of them counts, and what follows is no second request.
    let smuggled = format!(
        "{post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\nGET /livez HTTP/1.1\r\n\
         Host: x\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(clinic.url(), smuggled.as_bytes()).await;
    let answers = answer.matches("HTTP/1.1 ").count();
    assert!(answer.starts_with("HTTP/1.1 400") && answers == 1 || answer.starts_with("HTTP/1.1 422"), "{answer}");
}

/// Ids that are none, in every place of every route.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_id_names_nothing() {
    let cast = Cast::meet().await;
    let rest = Rest { url: cast.clinic.url(), token: Some(&cast.admin.token) };
    let appointment = cast.appointment().await;
    let good = &cast.practice.doctor.id;
    let wrong: Vec<String> = vec![
        good.to_uppercase(),
        format!("{{{good}}}"),
        format!("urn:uuid:{good}"),
        good.replace('-', ""),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\0"),
        format!("{good}%00"),
        good[..35].to_owned(),
        format!("{good}0"),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(),
        "507f1f77bcf86cd799439011".to_owned(),
        "../../etc/passwd".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        "0".to_owned(),
        "-1".to_owned(),
        "null".to_owned(),
        "me".to_owned(),
        "*".to_owned(),
        r#"{"$ne":null}"#.to_owned(),
        r#"{"$oid":"507f1f77bcf86cd799439011"}"#.to_owned(),
        "' OR 1=1 --".to_owned(),
        "x".repeat(10_000),
        "ñ".to_owned(),
        "\u{202e}".to_owned(),
    ];
    for &operation in Operation::ALL {
        let Some(route) = operation.route().filter(|route| route.path.contains('{')) else { continue };
        let input = match operation {
            Operation::AppointmentGet => json!({ "id": appointment }),
            _ => cast.valid_input(operation).await,
        };
        for field in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            for wrong in &wrong {
                let mut data = input.clone();
                data[field] = json!(wrong);
                let (method, path, body) = request(operation, &data);
                let token = format!("Authorization: Bearer {}", cast.admin.token);
                let headers = [token.as_str(), JSON, "Idempotency-Key: k"];
                let body = body.map(|body| body.to_string()).unwrap_or_default();
                let (status, _, body) = send(rest.url, &method, &path, &headers, &body).await;
                assert!(matches!(status, 404 | 422), "{method} {path:.100}: {status} {body}");
            }
        }
    }
    assert_eq!(escaped("../ñ"), "..%2F%C3%B1");
}
