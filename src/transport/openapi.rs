//! The OpenAPI 3.1 document, made from the table of operations, the policy and the JSON Schemas of the wire types.

use std::collections::BTreeSet;

use cita_protocol::operation::{Kind, Method};
use cita_protocol::{
    AFTER_HEADER, CALENDAR_PATH, CURSOR_HEADER, EVENTS_PATH, ErrorCode, IDEMPOTENCY_KEY_HEADER, Problem, WEBSOCKET_PATH,
};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::limits::Limits;
use super::shape::{Door, path_fields, properties, resolved};
use crate::domain::access::{Tier, rule_of};

const SCHEMAS: &str = "#/components/schemas/";
const JSON: &str = "application/json";

/// The document. The same code makes the same bytes.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for door in Door::all() {
        let operation = schemas.operation(&door);
        insert(&mut paths, door.route.path, method(door.route.method), operation);
    }
    insert(&mut paths, EVENTS_PATH, "get", events());
    insert(&mut paths, CALENDAR_PATH, "get", calendar());
    let responses = problem_responses();
    let problem = schemas.problem();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cita",
            "version": env!("CARGO_PKG_VERSION"),
            "description": description(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": responses,
        },
    });
    let used = schemas.used_by(&document, &problem);
    document["components"]["schemas"] = Value::Object(used);
    document
}

fn description() -> String {
    format!(
        "Calendars of doctors and appointments of patients, live.\n\nThe same operations travel over the WebSocket at \
         `{WEBSOCKET_PATH}` (subprotocol `cita.v1`), as `{{\"type\", \"id\", \"key\", \"data\"}}` with the `operationId` \
         as `type` and everything else of the input in `data`. Live topics are there and, as server-sent events, at \
         `{EVENTS_PATH}`."
    )
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
    }
}

fn insert(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let item = paths.entry(path).or_insert_with(|| json!({}));
    item[method] = operation;
}

fn tag(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn tags() -> Value {
    let mut tags: Vec<Value> = Vec::new();
    for door in Door::all() {
        let tag = json!({"name": tag(door.operation.name())});
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.push(json!({"name": "live"}));
    tags.into()
}

/// The schemas that the operations refer to, collected on the way.
struct Schemas {
    generator: SchemaGenerator,
    /// Inputs without the fields that stand in the path.
    bodies: Map<String, Value>,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { generator: settings.into_generator(), bodies: Map::new() }
    }

    fn problem(&mut self) -> Value {
        self.generator.subschema_for::<Problem>().to_value()
    }

    fn operation(&mut self, door: &Door) -> Value {
        let name = door.operation.name();
        let mut operation = json!({
            "operationId": name,
            "summary": door.operation.summary(),
            "tags": [tag(name)],
            "security": security(name),
        });
        let input = door.operation.input_schema(&mut self.generator).to_value();
        let in_body = !matches!(door.route.method, Method::Get | Method::Delete);
        let parameters = self.parameters(door, &input, !in_body);
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if in_body && let Some(body) = self.body(door, &input) {
            operation["requestBody"] = body;
        }
        operation["responses"] = self.responses(door, operation.get("requestBody").is_some());
        operation
    }

    fn parameters(&self, door: &Door, input: &Value, in_query: bool) -> Vec<Value> {
        let definitions = self.generator.definitions();
        let required = required(input, definitions);
        let fields: Vec<_> = path_fields(door.route.path).collect();
        let mut parameters = Vec::new();
        for (name, schema) in properties(input, definitions) {
            let in_path = fields.contains(&name.as_str());
            if in_path || in_query {
                let place = if in_path { "path" } else { "query" };
                parameters.push(parameter(place, &name, in_path || required.contains(&name), without_null(schema)));
            }
        }
        parameters.extend(header_parameters(door));
        parameters
    }

    /// The body: the input itself, or what the path leaves of it. `None` where that is nothing.
    fn body(&mut self, door: &Door, input: &Value) -> Option<Value> {
        let definitions = self.generator.definitions();
        let mut schema = resolved(input, definitions).clone();
        let in_path: Vec<_> = path_fields(door.route.path).collect();
        let properties = schema.get_mut("properties")?.as_object_mut()?;
        properties.retain(|name, _| !in_path.contains(&name.as_str()));
        if properties.is_empty() {
            return None;
        }
        let required: Vec<_> =
            required(input, definitions).into_iter().filter(|name| !in_path.contains(&name.as_str())).collect();
        let needed = !required.is_empty();
        match schema.as_object_mut() {
            Some(schema) if required.is_empty() => drop(schema.shift_remove("required")),
            _ => schema["required"] = required.into(),
        }
        let schema = if in_path.is_empty() { input.clone() } else { self.named_body(input, schema) };
        Some(json!({"required": needed, "content": {JSON: {"schema": schema}}}))
    }

    fn named_body(&mut self, input: &Value, schema: Value) -> Value {
        let Some(name) = input.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(SCHEMAS)) else {
            return schema;
        };
        let name = format!("{name}Body");
        let reference = json!({"$ref": format!("{SCHEMAS}{name}")});
        self.bodies.insert(name, schema);
        reference
    }

    fn responses(&mut self, door: &Door, has_body: bool) -> Value {
        let output = door.operation.output_schema(&mut self.generator).to_value();
        let mut success = json!({"description": "Done.", "content": {JSON: {"schema": output}}});
        let headers = success_headers(door);
        if !headers.is_empty() {
            success["headers"] = headers.into();
        }
        let mut responses = Map::from_iter([(door.route.status.to_string(), success)]);
        for status in problem_statuses(door, has_body) {
            responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/Problem{status}")}));
        }
        responses.into()
    }

    /// The schemas that the document refers to, by name; inputs that stand in paths and queries alone fall away.
    fn used_by(mut self, document: &Value, problem: &Value) -> Map<String, Value> {
        let mut all = self.generator.take_definitions(true);
        all.extend(self.bodies);
        let mut names = BTreeSet::new();
        let mut open = vec![document, problem];
        while let Some(value) = open.pop() {
            for name in references(value) {
                if let Some(schema) = all.get(name)
                    && names.insert(name.to_owned())
                {
                    open.push(schema);
                }
            }
        }
        names.iter().filter_map(|name| Some((name.clone(), all.get(name)?.clone()))).collect()
    }
}

/// Names of the schemas that are referred to anywhere in a value.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => {
            let own = map.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(SCHEMAS));
            own.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn required(input: &Value, definitions: &Map<String, Value>) -> Vec<String> {
    let required = resolved(input, definitions).get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A parameter is there or not; it is never `null`.
fn without_null(mut schema: Value) -> Value {
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            schema["type"] = kind.clone();
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|schema| !is_null(schema));
        if let [Value::Object(only)] = any.as_mut_slice() {
            let only = std::mem::take(only);
            if let Some(schema) = schema.as_object_mut() {
                schema.shift_remove("anyOf");
                schema.extend(only);
            }
        }
    }
    schema
}

fn parameter(place: &str, name: &str, required: bool, mut schema: Value) -> Value {
    let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
    let is_list = schema["type"] == "array" || schema["type"][0] == "array";
    let mut parameter = json!({"name": name, "in": place, "required": required, "schema": schema});
    if is_list {
        // With commas between its values.
        parameter["style"] = json!("form");
        parameter["explode"] = json!(false);
    }
    if let Some(description) = description {
        parameter["description"] = description;
    }
    parameter
}

fn header_parameters(door: &Door) -> Vec<Value> {
    let mut headers = Vec::new();
    if door.operation.kind() == Kind::Mutation {
        let description = "Chosen by the client, once for each thing that it wants done: repeated with the same key, a \
                           success is answered again for 24 hours.";
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 128, "description": description});
        headers.push(parameter("header", &canonical(IDEMPOTENCY_KEY_HEADER), true, schema));
    }
    if door.field("rev").is_some() {
        let description = "The revision that the caller expects, as in the `ETag` of a reply.";
        let schema = json!({"type": "string", "examples": ["\"3\""], "description": description});
        headers.push(parameter("header", "If-Match", false, schema));
    }
    if door.field("after").is_some() {
        let description = "Answer only once this cursor has been seen.";
        let schema = json!({"type": "string", "maxLength": 128, "description": description});
        headers.push(parameter("header", &canonical(AFTER_HEADER), false, schema));
    }
    headers
}

fn success_headers(door: &Door) -> Map<String, Value> {
    let header = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    let mut headers = Map::new();
    if door.operation.kind() == Kind::Mutation {
        headers.insert(canonical(CURSOR_HEADER), header("The position at which the change is true."));
    }
    if door.route.status == 201 {
        headers.insert("Location".into(), header("Where it can be read."));
    }
    if door.returns_rev {
        headers.insert("ETag".into(), header("The revision."));
    }
    headers
}

/// A header as people write it: `Cita-After`.
fn canonical(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}

/// Who may call without a token is read from the policy; a token that is given must be good everywhere.
fn security(operation: &str) -> Value {
    match rule_of(operation).map(|rule| rule.tier) {
        Some(Tier::Public) => json!([]),
        Some(Tier::Optional) => json!([{}, {"bearer": []}]),
        Some(Tier::Protected) | None => json!([{"bearer": []}]),
    }
}

/// The statuses of the registry that an operation can end with.
fn problem_statuses(door: &Door, has_body: bool) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from([400, 401, 404, 422, 429, 500, 503]);
    if rule_of(door.operation.name()).is_none_or(|rule| rule.tier == Tier::Protected) {
        statuses.insert(403);
    }
    if door.operation.kind() != Kind::Read {
        statuses.insert(409);
    }
    if door.field("rev").is_some() {
        statuses.insert(412);
    }
    if has_body || door.route.method != Method::Get {
        statuses.extend([408, 413, 415]);
    }
    statuses
}

/// One response for each status of the registry, naming its codes.
fn problem_responses() -> Map<String, Value> {
    let statuses: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.status()).collect();
    let response = |status| {
        let codes = ErrorCode::ALL.iter().filter(|code| code.status() == status);
        let lines = codes.map(|code| format!("`{}`: {}", code.as_str(), code.title()));
        let schema = json!({"$ref": format!("{SCHEMAS}Problem")});
        let content = json!({"application/problem+json": {"schema": schema}});
        let description = lines.collect::<Vec<_>>().join("\n\n");
        (format!("Problem{status}"), json!({"description": description, "content": content}))
    };
    statuses.into_iter().map(response).collect()
}

/// The event stream is no operation of the table: it is `subscribe` for clients that only listen.
fn events() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let topics = json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": Limits::default().stream_topics,
        "description": "A topic; may repeat."});
    let date = |description: &str| json!({"type": "string", "format": "date", "description": description});
    let problems = [400, 401, 403, 404, 422, 429, 500, 503];
    let mut responses = Map::new();
    let description = "For each frame an event: `event` is its type, `id` its cursor, `data` its data.";
    let content = json!({"text/event-stream": {"schema": {"type": "string"}}});
    responses.insert("200".into(), json!({"description": description, "content": content}));
    for status in problems {
        responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/Problem{status}")}));
    }
    json!({
        "operationId": "events",
        "summary": "Receive topics as server-sent events: a snapshot, then every change.",
        "tags": ["live"],
        "security": [{}, {"bearer": []}],
        "parameters": [
            parameter("query", "topic", true, topics),
            parameter("query", "from", false, date("First date of topics with a range.")),
            parameter("query", "to", false, date("Last date of topics with a range, included.")),
            parameter("query", "after", false, text("Continue after this cursor.")),
            parameter("header", "Last-Event-ID", false, text("Continue after this cursor; browsers send it by themselves.")),
        ],
        "responses": responses,
    })
}

/// Neither is a calendar feed, whose address is its credential.
fn calendar() -> Value {
    let content = json!({"text/calendar": {"schema": {"type": "string"}}});
    let mut responses = Map::new();
    responses.insert("200".into(), json!({"description": "iCalendar (RFC 5545).", "content": content}));
    responses.insert("304".into(), json!({"description": "It is as `If-None-Match` has it."}));
    for status in [404, 429, 500, 503] {
        responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/Problem{status}")}));
    }
    let file = json!({"type": "string", "description": "The secret of the feed, and `.ics`."});
    json!({
        "operationId": "calendar",
        "summary": "Read a calendar feed, as calendar programs do.",
        "tags": ["calendarFeed"],
        "security": [{}],
        "parameters": [parameter("path", "file", true, file)],
        "responses": responses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(map) => {
                let own = map.get("$ref").and_then(Value::as_str);
                own.into_iter().chain(map.values().flat_map(pointers)).collect()
            }
            Value::Array(items) => items.iter().flat_map(pointers).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_operation_of_rest_is_there() {
        let document = document();
        for door in Door::all() {
            let operation = &document["paths"][door.route.path][method(door.route.method)];
            assert_eq!(operation["operationId"], door.operation.name());
            assert!(operation["responses"].get(door.route.status.to_string()).is_some());
        }
        assert!(
            document["paths"][EVENTS_PATH]["get"].is_object() && document["paths"][CALENDAR_PATH]["get"].is_object()
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let pointers: BTreeSet<_> = pointers(&document).into_iter().collect();
        for pointer in &pointers {
            let target = pointer.strip_prefix('#').and_then(|path| document.pointer(path));
            assert!(target.is_some(), "{pointer}");
        }
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert!(pointers.contains(format!("{SCHEMAS}{name}").as_str()), "{name}");
        }
    }

    #[test]
    fn the_document_is_always_the_same() {
        assert_eq!(document().to_string(), document().to_string());
    }

    #[test]
    fn each_field_stands_in_one_place() {
        let document = document();
        let cancel = &document["paths"]["/v1/appointments/{id}/cancel"]["post"];
        let places = |operation: &Value| {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let place = |p: &Value| format!("{} {}", p["in"].as_str().unwrap_or(""), p["name"].as_str().unwrap_or(""));
            parameters.iter().map(place).collect::<Vec<_>>()
        };
        assert_eq!(places(cancel), ["path id", "header Idempotency-Key", "header If-Match"]);
        assert_eq!(cancel["requestBody"]["required"], false);
        let body = &document["components"]["schemas"]["CancelRequestBody"];
        let fields: Vec<_> = body["properties"].as_object().expect("fields").keys().collect();
        assert_eq!(fields, ["rev", "reason"]);
        assert_eq!(body["additionalProperties"], false);
        let slots = &document["paths"]["/v1/doctors/{doctorId}/slots"]["get"];
        let expected = ["path doctorId", "query serviceId", "query from", "query to", "query timeZone", "query after"];
        assert_eq!(places(slots), [&expected[..], &["header Cita-After"]].concat());
        assert!(!slots["parameters"].to_string().contains("null"));
        assert_eq!(document["paths"]["/v1/me"]["get"]["security"], json!([{"bearer": []}]));
        assert_eq!(document["paths"]["/v1/auth/login"]["post"]["security"], json!([]));
    }
}
