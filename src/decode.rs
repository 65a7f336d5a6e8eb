//! Decodes JSON bytes to a typed object, and skips the fields that no enabled family reads.
//!
//! The decoder wraps any [`serde::Deserializer`]. Fields outside the wanted paths never reach the type of the object,
//! so they are neither stored nor copied. Apart from that, the decoder works like API clients: `null` equals an absent
//! field, a time may have every notation of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) that the API server
//! accepts, and a quantity may be a number without quotes.

mod adapter;
mod fields;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub(crate) use fields::Fields;
#[cfg(feature = "custom-resources")]
pub(crate) use fields::ITEMS;

use crate::errors::{debug_is_display, shortened};
use adapter::{Adapter, Wanted};

/// An object that could not be decoded. The error names the object, if its name can be read.
///
/// The message never repeats a value of the object, because the value may be secret.
///
/// ```
/// use kube_state_metrics::store::DecodeReason;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).all_fed_by_host().build()?;
/// let mut pods = metrics.feeds().remove(0);
/// let json = br#"{ "metadata": { "name": "cart", "namespace": "shop" }, "spec": { "nodeName": 1 } }"#;
/// let error = pods.apply_json(json).unwrap_err();
/// assert_eq!(error.reason(), DecodeReason::Field);
/// assert_eq!(error.object(), "shop/cart");
/// assert_eq!(error.identity(), Some(("shop", "cart")));
/// assert!(error.to_string().contains("expected a string at spec.nodeName"));
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot decode {} {}: {}; the object yields no metrics until {}",
    details.kind, details.object, details.problem, details.cure
)]
pub struct DecodeError {
    // Errors are rare. The box keeps results small.
    details: Box<Details>,
}

debug_is_display!(DecodeError);

/// The reason why an object could not be decoded.
///
/// ```
/// use kube_state_metrics::store::DecodeReason;
/// use kube_state_metrics::{BuiltIn, StateMetrics};
///
/// let metrics = StateMetrics::builder().built_in([BuiltIn::Pods]).all_fed_by_host().build()?;
/// let mut pods = metrics.feeds().remove(0);
/// let error = pods.apply_json(b"{ \"metadata\": ").unwrap_err();
/// assert_eq!(error.reason(), DecodeReason::Syntax);
/// assert_eq!(error.reason().as_str(), "syntax");
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeReason {
    /// The bytes are not JSON, or end too early.
    Syntax,
    /// A field has a type or a value that its kind does not allow.
    Field,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    kind: String,
    object: String,
    identity: Option<(String, String)>,
    reason: DecodeReason,
    problem: String,
    cure: &'static str,
}

/// The solution for an object with an invalid value or syntax.
const CORRECTED: &str = "it is corrected";
/// The solution for an object without a field that the type requires. Often the type is wrong, not the object.
const HAS_FIELD: &str = "it has the field. If the type gives the field another name than the API, rename it with serde \
    (`rename_all = \"camelCase\"`); if objects may lack it, make it an `Option`";

impl DecodeReason {
    /// The word used in metrics and logs: `syntax` or `field`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Field => "field",
        }
    }
}

impl DecodeError {
    /// The reason why the object could not be decoded.
    #[must_use]
    pub fn reason(&self) -> DecodeReason {
        self.details.reason
    }

    /// The object's `namespace/name`, or `name`, or `<unnamed>`; truncated after 1 KiB.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.details.object
    }

    /// Namespace (empty for cluster-scoped kinds) and name, if they are readable.
    #[must_use]
    pub fn identity(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.details.identity.as_ref()?;
        Some((namespace, name))
    }

    /// The `Deserialize` implementation of the type panicked.
    fn panicked(kind: &str, json: &[u8]) -> Self {
        let problem = String::from("the type's decoder panicked");
        Self::with_problem(kind, json, DecodeReason::Field, problem, CORRECTED)
    }

    fn new(kind: &str, json: &[u8], error: &serde_json::Error) -> Self {
        let reason = if error.is_data() || is_too_deep(error) {
            DecodeReason::Field
        } else {
            DecodeReason::Syntax
        };
        let (problem, cure) = describe(json, error);
        Self::with_problem(kind, json, reason, problem, cure)
    }

    fn with_problem(
        kind: &str,
        json: &[u8],
        reason: DecodeReason,
        problem: String,
        cure: &'static str,
    ) -> Self {
        let identity = identity_of(json);
        let object = object_name(
            identity
                .as_ref()
                .map(|(namespace, name)| (&**namespace, &**name)),
        );
        let details = Details {
            kind: kind.to_owned(),
            object: shortened(object),
            identity,
            reason,
            problem: shortened(problem),
            cure,
        };
        Self {
            details: Box::new(details),
        }
    }
}

/// Decodes one object of `kind`, keeping only `fields`.
pub(crate) fn decode<K: DeserializeOwned>(
    kind: &str,
    json: &[u8],
    fields: &Fields,
) -> Result<K, DecodeError> {
    let decode = || {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        K::deserialize(Adapter::new(&mut deserializer, Wanted::of(fields)))
            .and_then(|object| deserializer.end().map(|()| object))
            .map_err(|error| DecodeError::new(kind, json, &error))
    };
    // The `Deserialize` of a type may panic. This must affect only one object, not the feed.
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(DecodeError::panicked(kind, json)))
}

/// Reads an object from a value that was decoded with at least these fields.
#[cfg(feature = "custom-resources")]
pub(crate) fn read<K: DeserializeOwned>(
    value: &serde_json::Value,
    fields: &Fields,
) -> Result<K, serde_json::Error> {
    K::deserialize(Adapter::new(value, Wanted::of(fields)))
}

/// The identity of an object, as [`peek`] reads it.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Peeked {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

/// Reads only the identity of an object, at a fraction of the cost of decoding it.
pub(crate) fn peek(json: &[u8]) -> Option<Peeked> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Peeked,
    }
    let object: Object = serde_json::from_slice(json).ok()?;
    Some(object.metadata)
}

/// The namespace and name of an object that does not decode as its kind.
fn identity_of(json: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        namespace: Option<String>,
        name: String,
    }
    let Named { metadata } = serde_json::from_slice(json).ok()?;
    Some((metadata.namespace.unwrap_or_default(), metadata.name))
}

/// Whether an object is nested deeper than `serde_json` allows. `serde_json` reports a syntax error, although the
/// syntax is correct.
fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}

/// The message of an error without the position that the JSON decoder adds.
pub(crate) fn without_position(message: &str) -> &str {
    let found = message.rsplit_once(" at line ");
    found.map_or(message, |(message, _)| message)
}

/// The name of an object in messages. The namespace may be empty.
pub(crate) fn object_name(identity: Option<(&str, &str)>) -> String {
    match identity {
        None => String::from("<unnamed>"),
        Some(("", name)) => name.to_owned(),
        Some((namespace, name)) => format!("{namespace}/{name}"),
    }
}

/// The problem with its position and its solution, but without the invalid value.
///
/// The messages of the decoder start with the value and end with the expected type. Only the end
/// is safe to repeat. The name of a missing field comes from the type, so it is safe, too.
fn describe(json: &[u8], error: &serde_json::Error) -> (String, &'static str) {
    let (line, column) = (error.line(), error.column());
    if is_too_deep(error) {
        let problem = String::from("a field is nested more than 127 levels deep");
        return (problem, CORRECTED);
    }
    if !error.is_data() {
        let problem = format!("not valid JSON at line {line} column {column}");
        return (problem, CORRECTED);
    }
    let message = error.to_string();
    let message = without_position(&message);
    let (problem, cure) = match message.rsplit_once(", expected ") {
        Some((_, expected)) => (format!("expected {}", in_json_terms(expected)), CORRECTED),
        None => match missing_field(message) {
            Some(field) => (format!("missing field `{field}`"), HAS_FIELD),
            None => (String::from("invalid value"), CORRECTED),
        },
    };
    let lines = json.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let path = std::str::from_utf8(json).map(|json| path_at(json, before + column));
    match path {
        Ok(path) if !path.is_empty() => (format!("{problem} at {path}"), cure),
        _ => (problem, cure),
    }
}

/// The name of the field, if the whole message is that a field is missing.
fn missing_field(message: &str) -> Option<&str> {
    let name = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte);
    (name.len() <= 64 && name.bytes().all(is_name)).then_some(name)
}

/// The expected type in terms of JSON, because the decoder names Rust types.
fn in_json_terms(expected: &str) -> &str {
    let is_type = || {
        let name = expected.strip_prefix("struct ").unwrap_or(expected);
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "an integer",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "IntOrString" => "an integer or a string",
        _ if is_type() => "a map",
        expected => expected,
    }
}

/// The path of the innermost value around an offset, such as `spec.containers[1].image`.
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

#[cfg(test)]
mod tests;
