//! Writes what is derived from the wire types: the JSON Schemas of `protocol/schema/` and the tables of `PROTOCOL.md`.
//! `cargo xtask generate` runs it. It decides nothing: every name and number comes from the crate.

use std::error::Error;
use std::fs;
use std::path::Path;

use cita_protocol::frame::{CloseCode, ServerMessage};
use cita_protocol::operation::{ClientMessage, Kind, Method, Operation, Route};
use cita_protocol::{Cursor, ErrorCode, Problem};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn main() -> Result<(), Box<dyn Error>> {
    let protocol = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schemas = protocol.join("schema");
    fs::create_dir_all(&schemas)?;
    for (name, schema) in [
        ("client.json", client()),
        ("server.json", server()),
        ("operations.json", operations()),
        ("problem.json", problem()),
    ] {
        fs::write(schemas.join(name), format!("{:#}\n", head_first(schema)))?;
    }

    let page = protocol.join("PROTOCOL.md");
    let mut text = fs::read_to_string(&page)?;
    for (name, table) in
        [("operations", operations_table()), ("errors", errors_table()), ("close codes", close_codes_table())]
    {
        text = with_part(&text, name, &table)?;
    }
    fs::write(page, text)?;
    Ok(())
}

/// Frames from the client: `id` and `key` stand beside `type` and `data`, inside each member of the union.
fn client() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.root_schema_for::<ClientMessage>().to_value();
    for frame in frames(&mut schema) {
        let operation = kind_of(frame).and_then(|kind| Operation::named(&kind));
        let mut beside = Vec::new();
        if operation.is_some() {
            let description = "Chosen by the client and given back in the reply.";
            beside.push(("id", json!({"description": description, "type": "string", "minLength": 1, "maxLength": 64})));
        }
        if operation.is_some_and(|operation| operation.kind() == Kind::Mutation) {
            let description = "Idempotency key: printable characters.";
            beside
                .push(("key", json!({"description": description, "type": "string", "minLength": 1, "maxLength": 128})));
            require(frame, "key");
        }
        put_beside(frame, beside);
        frame.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    tidy(&mut schema);
    schema
}

/// Frames from the server, with `id` and `cursor` where they can stand.
fn server() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let cursor = generator.subschema_for::<Cursor>().to_value();
    let mut schema = generator.root_schema_for::<ServerMessage>().to_value();
    for frame in frames(&mut schema) {
        let kind = kind_of(frame).unwrap_or_default();
        let mut beside = Vec::new();
        if matches!(kind.as_str(), "reply" | "error") {
            beside.push(("id", json!({"description": "The `id` of the request.", "type": "string"})));
        }
        if matches!(kind.as_str(), "reply" | "snapshot" | "change" | "ping") {
            beside.push(("cursor", cursor.clone()));
        }
        if matches!(kind.as_str(), "change" | "ping") {
            require(frame, "cursor");
        }
        put_beside(frame, beside);
    }
    tidy(&mut schema);
    open(&mut schema);
    schema
}

/// What each operation takes and gives, with the definitions that they share.
fn operations() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let rows: Vec<Value> = Operation::ALL.iter().map(|operation| row(*operation, &mut generator)).collect();
    let mut schema = json!({
        "$schema": DIALECT,
        "title": "Operations",
        "description": "Every operation of Cita; `input` and `output` refer to `$defs`.",
        "operations": rows,
        "$defs": generator.take_definitions(true),
    });
    tidy(&mut schema["$defs"]);
    schema
}

fn row(operation: Operation, generator: &mut SchemaGenerator) -> Value {
    let mut row = Map::new();
    row.insert("name".to_owned(), operation.name().into());
    row.insert("kind".to_owned(), kind(operation.kind()).into());
    if let Some(Route { method: verb, path, status }) = operation.route() {
        row.insert("rest".to_owned(), json!({"method": method(verb), "path": path, "status": status}));
    }
    row.insert("summary".to_owned(), operation.summary().into());
    row.insert("input".to_owned(), operation.input_schema(generator).to_value());
    row.insert("output".to_owned(), operation.output_schema(generator).to_value());
    Value::Object(row)
}

fn problem() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Problem>().to_value();
    tidy(&mut schema);
    open(&mut schema);
    schema
}

/// The same with what a reader looks for at the top.
fn head_first(mut schema: Value) -> Value {
    let mut sorted = Map::new();
    if let Value::Object(fields) = &mut schema {
        for name in ["$schema", "title", "description"] {
            sorted.extend(fields.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
        sorted.append(fields);
    }
    Value::Object(sorted)
}

/// The members of a union of frames.
fn frames(schema: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    schema["oneOf"].as_array_mut().expect("a union of several frames").iter_mut().filter_map(Value::as_object_mut)
}

fn kind_of(frame: &Map<String, Value>) -> Option<String> {
    frame.get("properties")?.pointer("/type/const")?.as_str().map(str::to_owned)
}

fn require(frame: &mut Map<String, Value>, field: &str) {
    if let Some(required) = frame.get_mut("required").and_then(Value::as_array_mut) {
        required.push(field.into());
    }
}

/// Puts fields after `type` and before `data`, as frames are written.
fn put_beside(frame: &mut Map<String, Value>, fields: Vec<(&str, Value)>) {
    if let Some(properties) = frame.get_mut("properties").and_then(Value::as_object_mut) {
        let data = properties.shift_remove("data");
        properties.extend(fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
        properties.extend(data.map(|data| ("data".to_owned(), data)));
    }
}

/// Says what generators of types understand: a field that may be left out is never `null`, and an enum is one `enum`.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy);
            never_null(fields);
            one_enum(fields);
        }
        _ => {}
    }
}

fn never_null(schema: &mut Map<String, Value>) {
    let null = json!({"type": "null"});
    if schema.get("default") == Some(&Value::Null) {
        schema.shift_remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf")
        && choices.contains(&null)
    {
        choices.retain(|choice| *choice != null);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.shift_remove("anyOf");
            schema.extend(only);
        }
    }
}

/// Makes one `enum` of a union of words, and keeps what was said about each in the description.
fn one_enum(schema: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = schema.get("oneOf") else { return };
    let mut words = Vec::new();
    let mut description = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    description.push('\n');
    for choice in choices {
        match (choice.get("const"), choice.get("enum")) {
            (Some(word), _) => {
                words.push(word.clone());
                if let (Some(word), Some(meaning)) = (word.as_str(), choice["description"].as_str()) {
                    description.push_str(&format!("\n- `{word}`: {meaning}"));
                }
            }
            (None, Some(Value::Array(more))) => words.extend(more.iter().cloned()),
            _ => return,
        }
    }
    schema.shift_remove("oneOf");
    schema.insert("description".to_owned(), description.into());
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), words.into());
}

/// What the server sends may have more fields one day, which clients ignore.
fn open(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(open),
        Value::Object(fields) => {
            if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
                fields.shift_remove("additionalProperties");
            }
            fields.values_mut().for_each(open);
        }
        _ => {}
    }
}

fn operations_table() -> String {
    let mut table =
        String::from("| `type` | REST | kind | input | output | what it does |\n|---|---|---|---|---|---|\n");
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    for operation in Operation::ALL {
        let rest = operation.route().map_or_else(
            || "–".to_owned(),
            |route| format!("`{} {}` → {}", method(route.method), route.path, route.status),
        );
        let [input, output] = [operation.input_schema(&mut generator), operation.output_schema(&mut generator)]
            .map(|schema| definition(&schema.to_value()));
        let (name, kind, summary) = (operation.name(), kind(operation.kind()), operation.summary());
        table.push_str(&format!("| `{name}` | {rest} | {kind} | `{input}` | `{output}` | {summary} |\n"));
    }
    table
}

fn definition(schema: &Value) -> String {
    schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned()
}

fn errors_table() -> String {
    let mut table = String::from("| status | `code` | retry | title |\n|---|---|---|---|\n");
    for code in ErrorCode::ALL {
        let retry = if code.retryable() { "yes" } else { "no" };
        table.push_str(&format!("| {} | `{}` | {retry} | {} |\n", code.status(), code.as_str(), code.title()));
    }
    table
}

fn close_codes_table() -> String {
    let mut table = String::from("| code | name | reason in the frame | what to do |\n|---|---|---|---|\n");
    for code in CloseCode::ALL {
        let advice = match code.code() {
            4000..=4099 => "reconnect and resume",
            4100..=4199 => "get a new token, then reconnect",
            _ => "do not come back before the client is mended",
        };
        table.push_str(&format!("| {} | {code:?} | {} | {advice} |\n", code.code(), code.reason()));
    }
    table
}

/// Replaces what stands between the marks of a generated part.
fn with_part(text: &str, name: &str, part: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let missing = || format!("PROTOCOL.md has no marks of the generated part `{name}`");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{part}{end}{after}"))
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "read",
        Kind::Mutation => "mutation",
        Kind::Connection => "connection",
    }
}

const fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}
