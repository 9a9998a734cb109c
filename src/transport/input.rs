//! One input out of the parts of an HTTP request: path, query, headers and body, merged into the object that
//! the operation takes at every door.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH};
use cita_protocol::operation::{Kind, Method};
use cita_protocol::{AFTER_HEADER, FieldError, IDEMPOTENCY_KEY_HEADER, Problem};
use serde_json::{Map, Value};

use super::problem::{field, invalid};
use super::shape::{Door, Scalar};

/// Names and values, as they were given.
pub type Pairs = Vec<(String, String)>;

/// Merges path, query and headers into the body.
///
/// # Errors
/// `validation_failed` with every part that does not fit.
pub fn merge(
    door: &Door,
    path: Pairs,
    query: Pairs,
    headers: &HeaderMap,
    body: Map<String, Value>,
) -> Result<Map<String, Value>, Problem> {
    let mut input = Input { door, fields: body, errors: Vec::new() };
    input.take_path(path);
    input.take_query(query);
    input.take_if_match(headers);
    input.take_after(headers);
    if input.errors.is_empty() { Ok(input.fields) } else { Err(invalid(input.errors)) }
}

/// The idempotency key of a mutation, when the header is there; its length is judged where every door's is.
///
/// # Errors
/// `validation_failed` for a header that is given twice or is not printable ASCII.
pub fn idempotency_key(door: &Door, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if door.operation.kind() != Kind::Mutation {
        return Ok(None);
    }
    let key = single(headers, &HeaderName::from_static(IDEMPOTENCY_KEY_HEADER));
    key.map(|key| key.map(str::to_owned))
        .map_err(|Unreadable| invalid(vec![field("key", "invalid", "one Idempotency-Key of printable ASCII")]))
}

struct Input<'a> {
    door: &'a Door,
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Input<'_> {
    fn refuse(&mut self, name: &str, code: &str, detail: &str) {
        self.errors.push(field(name, code, detail));
    }

    fn take_path(&mut self, path: Pairs) {
        for (name, value) in path {
            if self.fields.contains_key(&name) {
                self.refuse(&name, "unknown", "stands in the path, not in the body");
            } else {
                self.fields.insert(name, Value::String(value));
            }
        }
    }

    fn take_query(&mut self, query: Pairs) {
        let in_query = matches!(self.door.route.method, Method::Get | Method::Delete);
        for (name, value) in query {
            if !in_query {
                self.refuse(&name, "unknown", "fields stand in the body, not in the query");
            } else if self.fields.contains_key(&name) {
                self.refuse(&name, "duplicate", "given more than once");
            } else {
                self.take_text(name, value);
            }
        }
    }

    /// Fields that the operation does not have are passed on: it refuses them as it does at every door.
    fn take_text(&mut self, name: String, text: String) {
        match (self.door.field(&name), read(self.door.field(&name), &text)) {
            (_, Some(value)) => {
                self.fields.insert(name, value);
            }
            (Some(Scalar::Integer), None) => self.refuse(&name, "invalid", "not a whole number"),
            (_, None) => self.refuse(&name, "invalid", "neither true nor false"),
        }
    }

    fn take_if_match(&mut self, headers: &HeaderMap) {
        if self.door.field("rev").is_none() {
            return;
        }
        match single(headers, &IF_MATCH) {
            Ok(None | Some("*")) => {}
            Ok(Some(tag)) if revision(tag).is_some() => self.expect("rev", revision(tag).into()),
            Ok(Some(_)) | Err(Unreadable) => self.refuse("rev", "invalid", r#"If-Match takes one revision, as in "3""#),
        }
    }

    fn take_after(&mut self, headers: &HeaderMap) {
        if self.door.field("after").is_none() {
            return;
        }
        match single(headers, &HeaderName::from_static(AFTER_HEADER)) {
            Ok(None) => {}
            Ok(Some(cursor)) => self.expect("after", cursor.into()),
            Err(Unreadable) => self.refuse("after", "invalid", "one Cita-After with a cursor"),
        }
    }

    /// Takes a field from a header; that it is in the input as well does no harm as long as both say the same.
    fn expect(&mut self, name: &str, value: Value) {
        match self.fields.get(name) {
            Some(given) if *given != value => self.refuse(name, "duplicate", "the header says otherwise"),
            _ => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

/// A text as a field's value. `None` when it is not of the field's type.
fn read(scalar: Option<Scalar>, text: &str) -> Option<Value> {
    match scalar {
        None | Some(Scalar::Text) => Some(text.into()),
        Some(Scalar::Integer) => integer(text).map(Value::from),
        Some(Scalar::Boolean) => text.parse::<bool>().ok().map(Value::from),
        Some(Scalar::Texts) => Some(text.split(',').collect()),
    }
}

/// An integer as JSON writes it: no `+`, no leading zeros.
fn integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

/// The revision of an entity tag: `"3"`, `W/"3"`, or a bare 3.
fn revision(tag: &str) -> Option<u32> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let digits = tag.strip_prefix('"').map_or(Some(tag), |quoted| quoted.strip_suffix('"'))?;
    u32::try_from(integer(digits)?).ok()
}

/// A header that is there more than once, or holds what is not printable ASCII.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The one value of a header.
///
/// # Errors
/// [`Unreadable`].
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().map_err(|_| Unreadable)).transpose()?;
    // A tab is the one character that `to_str` takes and nobody can see.
    if values.next().is_some() || value.is_some_and(|value| value.contains('\t')) {
        return Err(Unreadable);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use cita_protocol::{ErrorCode, Operation};
    use serde_json::json;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(header) {
            headers.append(name, value);
        }
        headers
    }

    fn merged(operation: Operation, path: &[(&str, &str)], query: &[(&str, &str)], body: &Value) -> Value {
        with_headers(operation, path, query, &[], body)
    }

    /// The input, or the pointers and codes of what was refused.
    fn with_headers(
        operation: Operation,
        path: &[(&str, &str)],
        query: &[(&str, &str)],
        given: &[(&'static str, &'static str)],
        body: &Value,
    ) -> Value {
        let door = Door::of(operation).expect("an operation of REST");
        let body = body.as_object().cloned().expect("an object");
        match merge(&door, pairs(path), pairs(query), &headers(given), body) {
            Ok(input) => Value::Object(input),
            Err(problem) => {
                assert_eq!(problem.code, ErrorCode::ValidationFailed);
                problem.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
            }
        }
    }

    #[test]
    fn path_query_and_body_become_one_object() {
        let list = Operation::AppointmentList;
        let query = [("pageSize", "20"), ("status", "booked"), ("after", "1c"), ("user[$ne]", "")];
        let expected = json!({"pageSize": 20, "status": "booked", "after": "1c", "user[$ne]": ""});
        assert_eq!(merged(list, &[], &query, &json!({})), expected);
        let several =
            merged(Operation::SlotSearchDoctors, &[], &[("doctorIds", "a,b"), ("serviceIds", "")], &json!({}));
        assert_eq!(several, json!({"doctorIds": ["a", "b"], "serviceIds": [""]}));
        let update = merged(Operation::DoctorUpdate, &[("id", "d")], &[], &json!({"bio": "x"}));
        assert_eq!(update, json!({"bio": "x", "id": "d"}));
        let archive = Operation::ServiceArchive;
        let archived = merged(archive, &[("doctorId", "d"), ("id", "s")], &[("rev", "3")], &json!({}));
        assert_eq!(archived, json!({"doctorId": "d", "id": "s", "rev": 3}));
    }

    #[test]
    fn what_is_given_twice_or_in_the_wrong_place_is_refused() {
        let list = Operation::AppointmentList;
        let twice = [("status", "booked"), ("status", "booked"), ("pageSize", "x")];
        assert_eq!(merged(list, &[], &twice, &json!({})), json!(["/status duplicate", "/pageSize invalid"]));
        let update = Operation::DoctorUpdate;
        assert_eq!(merged(update, &[("id", "d")], &[], &json!({"id": "d"})), json!(["/id unknown"]));
        assert_eq!(merged(update, &[("id", "d")], &[("bio", "x")], &json!({})), json!(["/bio unknown"]));
        let get = Operation::AppointmentGet;
        assert_eq!(merged(get, &[("id", "a")], &[("id", "b")], &json!({})), json!(["/id duplicate"]));
        let archive = Operation::ServiceArchive;
        assert_eq!(merged(archive, &[], &[("rev", "3")], &json!({"rev": 3})), json!(["/rev duplicate"]));
    }

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["", " 1", "1 ", "+1", "01", "1.0", "1e2", "-0", "٣", "0x1", "9223372036854775808"] {
            let refused = merged(Operation::DoctorSearch, &[], &[("pageSize", text)], &json!({}));
            assert_eq!(refused, json!(["/pageSize invalid"]), "{text:?}");
        }
        assert_eq!(read(Some(Scalar::Boolean), "true"), Some(json!(true)));
        assert_eq!(read(Some(Scalar::Boolean), "True"), None);
    }

    #[test]
    fn if_match_is_the_revision_that_is_expected() {
        let cancel = |given: &[(&'static str, &'static str)], body: Value| {
            with_headers(Operation::AppointmentCancel, &[], &[], given, &body)
        };
        for tag in [r#""3""#, r#"W/"3""#, "3"] {
            assert_eq!(revision(tag), Some(3), "{tag}");
        }
        assert_eq!(cancel(&[("if-match", r#""3""#)], json!({})), json!({"rev": 3}));
        assert_eq!(cancel(&[("if-match", "3")], json!({"rev": 3})), json!({"rev": 3}));
        assert_eq!(cancel(&[("if-match", "*")], json!({})), json!({}));
        assert_eq!(cancel(&[("if-match", "3")], json!({"rev": 4})), json!(["/rev duplicate"]));
        assert_eq!(cancel(&[("if-match", "3"), ("if-match", "4")], json!({})), json!(["/rev invalid"]));
        for tag in ["", "abc", r#""3"#, r#"3""#, r#""3", "4""#, r#""-1""#, r#""4294967296""#, "w/3", r#""03""#] {
            assert_eq!(cancel(&[("if-match", tag)], json!({})), json!(["/rev invalid"]), "{tag}");
        }
        assert_eq!(with_headers(Operation::MeGet, &[], &[], &[("if-match", "x")], &json!({})), json!({}));
    }

    #[test]
    fn cita_after_is_the_cursor_of_a_read() {
        let after = [("cita-after", "1c")];
        assert_eq!(with_headers(Operation::MeGet, &[], &[], &after, &json!({})), json!({"after": "1c"}));
        assert_eq!(with_headers(Operation::AppointmentBook, &[], &[], &after, &json!({})), json!({}));
        let other = with_headers(Operation::MeGet, &[], &[("after", "1d")], &after, &json!({}));
        assert_eq!(other, json!(["/after duplicate"]));
    }

    #[test]
    fn a_key_is_one_printable_header_of_a_mutation() {
        let key = |operation, given: &[(&'static str, &'static str)]| {
            let door = Door::of(operation).expect("an operation of REST");
            idempotency_key(&door, &headers(given)).map_err(|problem| problem.code)
        };
        let book = Operation::AppointmentBook;
        assert_eq!(key(book, &[("idempotency-key", "k 1")]), Ok(Some("k 1".into())));
        assert_eq!(key(book, &[]), Ok(None));
        assert_eq!(key(Operation::MeGet, &[("idempotency-key", "k")]), Ok(None));
        let twice = [("idempotency-key", "k"), ("idempotency-key", "k")];
        assert_eq!(key(book, &twice), Err(ErrorCode::ValidationFailed));
        assert_eq!(key(book, &[("idempotency-key", "k\tl")]), Err(ErrorCode::ValidationFailed));
    }
}
