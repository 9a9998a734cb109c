//! Reading the input of an operation, with a pointer to what is wrong with it.

use cita_protocol::{ErrorCode, FieldError, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest explanation that is sent back.
const DETAIL_LIMIT: usize = 200;

/// Reads JSON text as the input of an operation.
///
/// # Errors
/// `malformed_message` when it is no JSON, `validation_failed` when it is not what the operation takes.
pub fn read<T: DeserializeOwned>(data: &str) -> Result<T, Problem> {
    if !is_object(data) {
        return Err(match serde_json::from_str::<Value>(data) {
            Ok(_) => invalid(String::new(), "invalid", "must be an object".to_owned()),
            Err(_) => Problem::new(ErrorCode::MalformedMessage),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_str(data);
    let input = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refused(&error, data))?;
    deserializer.end().map_err(|_| Problem::new(ErrorCode::MalformedMessage))?;
    Ok(input)
}

/// Reads the outer frame of a message.
///
/// # Errors
/// `malformed_message`: nothing of it can be trusted, not even its `id`.
pub fn read_frame<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    if !is_object(text) {
        return Err(Problem::new(ErrorCode::MalformedMessage).with_detail("a message is one JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        Problem::new(ErrorCode::MalformedMessage).with_detail(what.chars().take(DETAIL_LIMIT).collect::<String>())
    })
}

/// serde would take an array for a struct, field by field.
fn is_object(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{')
}

fn refused(error: &serde_path_to_error::Error<serde_json::Error>, data: &str) -> Problem {
    // serde_json calls an array in the place of an enum's word a mistake of syntax, too.
    if !error.inner().is_data() && serde_json::from_str::<Value>(data).is_err() {
        return Problem::new(ErrorCode::MalformedMessage);
    }
    let text = error.inner().to_string();
    // serde_json appends where in the text it was, which says nothing to somebody who sent a value.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let (code, field) = match text.split('`').collect::<Vec<_>>()[..] {
        ["missing field ", field, ..] => ("required", Some(field)),
        ["unknown field ", field, ..] => ("unknown", Some(field)),
        ["duplicate field ", field, ..] => ("duplicate", Some(field)),
        _ => ("invalid", None),
    };
    let mut pointer = pointer(error.path());
    if let Some(field) = field {
        let token = format!("/{}", escaped(field));
        if !pointer.ends_with(&token) {
            pointer.push_str(&token);
        }
    }
    invalid(pointer.chars().take(DETAIL_LIMIT).collect(), code, text.chars().take(DETAIL_LIMIT).collect())
}

fn invalid(pointer: String, code: &str, detail: String) -> Problem {
    let errors = vec![FieldError { pointer, code: code.to_owned(), detail }];
    Problem { errors, ..Problem::new(ErrorCode::ValidationFailed) }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
