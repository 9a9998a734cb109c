//! What is served beside the operations: health, the OpenAPI document and its page.

use std::collections::BTreeSet;

use cita_protocol::Operation;
use serde_json::{Value, json};

use crate::harness::clinic::Clinic;
use crate::harness::rest::Rest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_how_it_is() {
    let clinic = Clinic::open().await;
    let rest = Rest { url: clinic.url(), token: None };
    let live = rest.send("GET", "/livez", &[], None).await;
    assert_eq!((live.status, live.body.as_str()), (200, ""));
    let ready = rest.send("GET", "/readyz", &[], None).await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));
    let clusters = &ready.json()["clusters"];
    assert!(clusters.get("users").is_some() && clusters.get("appointments").is_some(), "{clusters}");
    // A bad token is nothing to them.
    let bad = Rest { url: clinic.url(), token: Some("x") };
    assert_eq!(bad.send("GET", "/readyz", &[], None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_describes_what_is_served() {
    let clinic = Clinic::open().await;
    let rest = Rest { url: clinic.url(), token: None };
    let answer = rest.send("GET", "/openapi.json", &[], None).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");

    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in &references {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        assert!(references.contains(&format!("#/components/schemas/{name}")), "{name} is used by nothing");
        let alone = json!({ "$ref": format!("#/components/schemas/{name}"), "components": document["components"] });
        jsonschema::draft202012::options().build(&alone).unwrap_or_else(|error| panic!("{name}: {error}: {schema}"));
    }

    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(described.insert(format!("{method} {path}")), "twice: {method} {path}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for field in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let named = |parameter: &&Value| parameter["name"] == field && parameter["in"] == "path";
                assert_eq!(parameters.iter().filter(named).count(), 1, "{method} {path}: {field}");
            }
        }
    }
    let routes = Operation::ALL.iter().filter_map(|operation| operation.route());
    let mut served: BTreeSet<_> =
        routes.map(|route| format!("{} {}", format!("{:?}", route.method).to_lowercase(), route.path)).collect();
    served.extend(["get /v1/events", "get /v1/calendar/{file}"].map(str::to_owned));
    assert_eq!(described, served);
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_works_without_the_internet() {
    let clinic = Clinic::open().await;
    let rest = Rest { url: clinic.url(), token: None };
    let answer = rest.send("GET", "/docs", &[], None).await;
    assert_eq!((answer.status, answer.header("location")), (308, "/docs/"));
    let page = rest.send("GET", "/docs/", &[], None).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(!page.body.contains("://"), "{}", page.body);
    let parts = page.body.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let mut files: BTreeSet<_> = parts.map(|part| part.trim_start_matches("./").to_owned()).collect();
    assert!(files.len() >= 3, "{files:?}");
    files.insert("swagger-initializer.js".to_owned());
    for file in files {
        let path = if file.starts_with('/') { file.clone() } else { format!("/docs/{file}") };
        assert_eq!(rest.send("GET", &path, &[], None).await.status, 200, "{path}");
    }
}
