//! REST as a client meets it: operations at their routes, and requests as raw bytes.

use std::collections::HashMap;
use std::sync::OnceLock;

use cita_protocol::Operation;
use cita_protocol::operation::Method;
use jsonschema::Validator;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::clinic::PATIENCE;

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The code of a problem; `None` for a success.
    pub fn code(&self) -> Option<String> {
        if (200..300).contains(&self.status) {
            return None;
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        check(&schemas().problem, "a problem", &problem);
        assert_eq!(problem["status"], self.status, "{self:?}");
        Some(problem["code"].as_str().unwrap().to_owned())
    }

    /// A header that is there once; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        assert!(self.headers.get_all(name).iter().count() < 2, "{name} is there twice: {self:?}");
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Pointers and codes of what is wrong with the fields.
    pub fn fields(&self) -> Vec<String> {
        let of = |error: &Value| format!("{} {}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap());
        self.json()["errors"].as_array().map(|errors| errors.iter().map(of).collect()).unwrap_or_default()
    }
}

/// Somebody at the REST door of a node.
#[derive(Clone, Copy)]
pub struct Rest<'a> {
    pub url: &'a str,
    pub token: Option<&'a str>,
}

impl Rest<'_> {
    /// Sends a request.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let mut request = client().request(method.parse().unwrap(), format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = timeout(PATIENCE, request.send()).await.expect("an answer in time").expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.expect("a whole body") }
    }

    /// Sends an operation to its route: what stands in the path there, the rest in the query or the body.
    pub async fn call(&self, operation: Operation, data: &Value, key: Option<&str>) -> Answer {
        let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        let (method, path, body) = request(operation, data);
        self.send(&method, &path, &headers, body.as_ref()).await
    }
}

/// Method, path with query, and body of an operation.
pub fn request(operation: Operation, data: &Value) -> (String, String, Option<Value>) {
    let route = operation.route().unwrap_or_else(|| panic!("{} has a route", operation.name()));
    let mut fields = data.as_object().expect("an object").clone();
    let segments = route.path.split('/').map(|segment| {
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(name) => escaped(&plain(&fields.remove(name).unwrap_or_else(|| panic!("{name} in {data}")))),
            None => segment.to_owned(),
        }
    });
    let mut path = segments.collect::<Vec<_>>().join("/");
    let method = format!("{:?}", route.method).to_uppercase();
    if !matches!(route.method, Method::Get | Method::Delete) {
        return (method, path, Some(json!(fields)));
    }
    for (index, (name, value)) in fields.iter().enumerate() {
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(&format!("{}={}", escaped(name), escaped(&plain(value))));
    }
    (method, path, None)
}

fn plain(value: &Value) -> String {
    if let Some(list) = value.as_array() {
        return list.iter().map(plain).collect::<Vec<_>>().join(",");
    }
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Percent-encodes everything but letters, digits and `-_.~`.
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// A client that follows no redirects.
pub fn client() -> reqwest::Client {
    // Connections belong to the runtime of a test: none is kept for the next.
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.pool_max_idle_per_host(0).build().expect("a client")
}

/// Host and port of a node.
pub fn address(url: &str) -> &str {
    url.strip_prefix("http://").expect("a plain address")
}

/// Sends bytes, and reads until the server closes.
pub async fn raw(url: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address(url)).await.expect("the node listens");
    // It may answer, and close, before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The schemas that are committed.
fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let read = |name: &str| {
            let path = format!("{}/protocol/schema/{name}", env!("CARGO_MANIFEST_DIR"));
            serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let (server, operations) = (read("server.json"), read("operations.json"));
        let output = |entry: &Value| {
            let schema = json!({ "$ref": entry["output"]["$ref"], "$defs": operations["$defs"] });
            (entry["name"].as_str().unwrap().to_owned(), validator(&schema))
        };
        Schemas {
            hello: validator(&json!({ "$ref": "#/$defs/Hello", "$defs": server["$defs"] })),
            frame: validator(&server),
            problem: validator(&read("problem.json")),
            outputs: operations["operations"].as_array().unwrap().iter().map(output).collect(),
        }
    })
}

struct Schemas {
    frame: Validator,
    hello: Validator,
    problem: Validator,
    outputs: HashMap<String, Validator>,
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).expect("a good schema")
}

fn check(validator: &Validator, what: &str, value: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {}\n{value}", errors.join("; "));
}

/// Holds a frame of the server against the schema that is committed for it.
pub fn check_frame(frame: &Value) {
    check(&schemas().frame, "a frame", frame);
    if frame["type"] == "hello" {
        check(&schemas().hello, "hello", &frame["data"]);
    }
}

/// Holds the output of an operation against the schema that is committed for it.
pub fn check_output(operation: Operation, output: &Value) {
    check(&schemas().outputs[operation.name()], operation.name(), output);
}
