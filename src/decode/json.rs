//! Decodes JSON objects, and describes why an object cannot be decoded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::adapter::{Adapter, Wanted};
use super::fields::Fields;
use super::reason::{DecodeReason, ONLY_METADATA, PARTIAL, Problem};

/// Decodes an object, but only its fields in `fields`.
pub(super) fn decode<K: DeserializeOwned>(json: &[u8], fields: &Fields) -> Result<K, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let wanted = match fields.are_in_metadata() {
        true => Wanted::of(fields),
        false => Wanted::Object(fields),
    };
    K::deserialize(Adapter::of_object(&mut deserializer, wanted))
        .and_then(|object| deserializer.end().map(|()| object))
        .map_err(|error| problem(json, &error))
}

/// Whether the error states that an object has more nested levels than `serde_json` allows. For such an object,
/// `serde_json` reports a syntax error, although the syntax is correct.
fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}

/// Whether an object that does not decode has the kind of objects with only metadata. The decoder may have found
/// another mistake before the kind, for example the API version.
fn has_only_metadata(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    serde_json::from_slice(json).is_ok_and(|head: Head<'_>| head.kind == PARTIAL)
}

/// Returns the message of an error without the position that `serde_json` adds.
pub(crate) fn without_position(message: &str) -> &str {
    let found = message.rsplit_once(" at line ");
    found.map_or(message, |(message, _)| message)
}

/// Describes an error and its position, but does not repeat the invalid value.
///
/// If the syntax of the object is correct, the error is about a field. So a text that is not valid Unicode makes only
/// this object undecodable, in a list and in a watch.
fn problem(json: &[u8], error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    if is_too_deep(error) {
        let text = String::from("a field is nested more than 127 levels deep");
        return Problem::new(DecodeReason::Field, text);
    }
    if !error.is_data() {
        if serde_json::from_slice::<IgnoredAny>(json).is_ok() {
            let what = match error.to_string().starts_with("number out of range") {
                true => "a number is out of range",
                false => "a text is not valid Unicode",
            };
            let text = format!("{what} at line {line} column {column}");
            return Problem::new(DecodeReason::Field, text);
        }
        let text = format!("not valid JSON at line {line} column {column}");
        return Problem::new(DecodeReason::Syntax, text);
    }
    let message = error.to_string();
    let message = without_position(&message);
    if message == ONLY_METADATA || has_only_metadata(json) {
        return Problem::only_metadata();
    }
    let lines = json.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let path = std::str::from_utf8(json).map(|json| path_at(json, before + column));
    let path = path.unwrap_or_default();
    match other_kind(&path, message) {
        Some(text) => Problem::new(DecodeReason::Field, text),
        None => Problem::of_message(message).at(&path),
    }
}

/// If the object has another kind or API version than its Rust type, describes both. Returns `None` for other errors.
///
/// The message of serde contains the value of the field. A kind and an API version are not secret. But a user can write
/// any text in the wrong place, so the function returns `None` if the value does not have the form of a kind or an API
/// version.
fn other_kind(path: &str, message: &str) -> Option<String> {
    let value = message.strip_prefix("invalid value: string \"")?;
    let (found, expected) = value.rsplit_once("\", expected ")?;
    let has_form = match path {
        "kind" => found.starts_with(|c: char| c.is_ascii_uppercase()),
        "apiVersion" => found.rsplit('/').next().is_some_and(is_version),
        _ => false,
    };
    let is_part =
        |c: char| c.is_ascii_alphanumeric() || (path == "apiVersion" && ".-/".contains(c));
    let is_shown = has_form && found.len() <= 63 && found.chars().all(is_part);
    is_shown.then(|| format!("the {path} is `{found}`, but the resource needs `{expected}`"))
}

/// Whether a text has the form of a version, such as `v1beta1`.
fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix('v');
    digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
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
