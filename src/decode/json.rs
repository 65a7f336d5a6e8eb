//! Decodes JSON objects, and describes why an object cannot be decoded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::adapter::{Adapter, Wanted};
use super::fields::Fields;
use super::reason::{DecodeReason, Problem};

/// Decodes an object, but only its fields in `fields`.
pub(super) fn decode<K: DeserializeOwned>(json: &[u8], fields: &Fields) -> Result<K, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    K::deserialize(Adapter::of_object(&mut deserializer, Wanted::of(fields)))
        .and_then(|object| deserializer.end().map(|()| object))
        .map_err(|error| problem(json, &error))
}

/// Whether the error states that an object has more nested levels than `serde_json` allows. For such an object,
/// `serde_json` reports a syntax error, although the syntax is correct.
fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}

/// Returns the message of an error without the position that `serde_json` adds.
pub(crate) fn without_position(message: &str) -> &str {
    let found = message.rsplit_once(" at line ");
    found.map_or(message, |(message, _)| message)
}

/// Describes an error and its position, but does not repeat the invalid value.
fn problem(json: &[u8], error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    if is_too_deep(error) {
        let text = String::from("a field is nested more than 127 levels deep");
        return Problem::new(DecodeReason::Field, text);
    }
    if !error.is_data() {
        let text = format!("not valid JSON at line {line} column {column}");
        return Problem::new(DecodeReason::Syntax, text);
    }
    let problem = Problem::of_message(without_position(&error.to_string()));
    let lines = json.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let path = std::str::from_utf8(json).map(|json| path_at(json, before + column));
    problem.at(&path.unwrap_or_default())
}

/// Returns the path of the innermost value at an offset, such as `spec.containers[1].image`.
fn path_at(json: &str, offset: usize) -> String {
    let mut path = String::new();
    let mut value = json;
    let start_of = |part: &str| (part.as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
    let is_around = |part: &RawValue| {
        let start = start_of(part.get());
        (start..=start + part.get().len()).contains(&offset)
    };
    loop {
        if let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(value) {
            let Some((name, inner)) = fields.iter().find(|(_, inner)| is_around(inner)) else {
                return path;
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            value = inner.get();
        } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value) {
            let Some(at) = items.iter().position(|inner| is_around(inner)) else {
                return path;
            };
            let _ = write!(path, "[{at}]");
            value = items.get(at).map_or("", |inner| inner.get());
        } else {
            return path;
        }
    }
}
