//! What a door needs to know of an operation's input and output, read from their JSON Schemas.

use cita_protocol::Operation;
use cita_protocol::operation::Route;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

/// An operation with a REST door.
#[derive(Clone, Debug)]
pub struct Door {
    pub operation: Operation,
    pub route: Route,
    fields: Vec<(String, Scalar)>,
    /// Whether what it returns carries a `rev`.
    pub returns_rev: bool,
}

/// What a field's value is, as far as a text can be turned into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text,
    Integer,
    Boolean,
    /// A list of texts, with commas between them.
    Texts,
}

impl Door {
    /// Every operation that REST has.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Operation::ALL.iter().filter_map(|&operation| Self::of(operation)).collect()
    }

    /// The door of an operation, where it has one.
    #[must_use]
    pub fn of(operation: Operation) -> Option<Self> {
        let route = operation.route()?;
        let mut generator = SchemaGenerator::default();
        let input = operation.input_schema(&mut generator).to_value();
        let output = operation.output_schema(&mut generator).to_value();
        let definitions = generator.take_definitions(true);
        let fields = properties(&input, &definitions)
            .iter()
            .map(|(name, schema)| (name.clone(), scalar(schema, &definitions)))
            .collect();
        let returns_rev = properties(&output, &definitions).contains_key("rev");
        Some(Self { operation, route, fields, returns_rev })
    }

    /// What the input's field of this name takes; `None` where there is no such field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Scalar> {
        self.fields.iter().find(|(field, _)| field == name).map(|&(_, scalar)| scalar)
    }
}

/// The fields that stand in a path, in order.
pub fn path_fields(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// The schema that a `$ref` leads to, or the schema itself.
#[must_use]
pub fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

/// The properties of an object's schema.
#[must_use]
pub fn properties(schema: &Value, definitions: &Map<String, Value>) -> Map<String, Value> {
    let properties = resolved(schema, definitions).get("properties").and_then(Value::as_object);
    properties.cloned().unwrap_or_default()
}

/// The alternatives of an optional field without `null`.
fn scalar(schema: &Value, definitions: &Map<String, Value>) -> Scalar {
    let schema = resolved(schema, definitions);
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let found = any.iter().map(|schema| scalar(schema, definitions));
        return found.into_iter().find(|&scalar| scalar != Scalar::Text).unwrap_or(Scalar::Text);
    }
    let is = |name: &str| match schema.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    if is("integer") {
        Scalar::Integer
    } else if is("boolean") {
        Scalar::Boolean
    } else if is("array") {
        Scalar::Texts
    } else {
        Scalar::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(operation: Operation) -> Door {
        Door::of(operation).expect("an operation of REST")
    }

    #[test]
    fn a_door_knows_its_fields() {
        let list = door(Operation::AppointmentList);
        assert_eq!(list.field("pageSize"), Some(Scalar::Integer));
        assert_eq!(list.field("doctorId"), Some(Scalar::Text));
        assert_eq!(list.field("status"), Some(Scalar::Text));
        assert_eq!(list.field("page_size"), None);
        assert_eq!(door(Operation::SlotSearchDoctors).field("doctorIds"), Some(Scalar::Texts));
        assert_eq!(door(Operation::ServiceUpdate).field("requiresApproval"), Some(Scalar::Boolean));
        assert!(door(Operation::AppointmentGet).returns_rev);
        assert!(!list.returns_rev);
    }

    #[test]
    fn every_path_names_fields_of_its_input() {
        for door in Door::all() {
            for field in path_fields(door.route.path) {
                assert!(door.field(field).is_some(), "{}: {field}", door.operation.name());
            }
        }
    }
}
