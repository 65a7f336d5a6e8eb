//! Writes objects, lists and watch events as an API server does, for tests and for fake API servers.
//!
//! An *envelope* contains an encoded object and names its API version and kind. A kind has a *table* if this crate
//! knows its fields.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::canonical::{put_bytes, put_number};
use crate::envelope::PREFIX;
use crate::object::message_of;
use crate::schema::{Field, Message, Presence, Type, always};
use crate::tables::{LIST_META, STATUS};

/// The error if a JSON value does not have the type of its field.
#[derive(Debug, thiserror::Error)]
#[error("{field} cannot be encoded: {value} is not of its type")]
pub struct EncodeError {
    field: String,
    value: String,
}

/// Encodes the JSON of an object as a message, without an envelope.
///
/// If a field is absent in the JSON, the function writes the zero value, as the API server does. But it writes nothing
/// for an absent field that is a pointer, a list, a map or bytes. The function ignores unknown fields. In the JSON, a
/// time may also be a number of seconds since 1970.
///
/// ```
/// use kube_protobuf::{Object, encode, message_of};
/// use serde_json::{Value, json};
///
/// let node = message_of("v1", "Node").unwrap();
/// let bytes = encode::message(node, &json!({ "metadata": { "name": "a" }, "spec": { "unschedulable": true } }))?;
/// let value: Value = Object::new(node, &bytes).to()?;
/// assert_eq!(value["spec"], json!({ "unschedulable": true }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns an error if a value does not have the type of its field.
pub fn message(message: &'static Message, json: &Value) -> Result<Vec<u8>, EncodeError> {
    let nothing = Map::new();
    let mut out = Vec::new();
    write_message(message, json.as_object().unwrap_or(&nothing), &mut out)?;
    Ok(out)
}

/// Encodes an object with its envelope. Returns `None` if the kind of the object has no table.
///
/// # Errors
///
/// Returns an error if a value does not have the type of its field.
pub fn object(json: &Value) -> Option<Result<Vec<u8>, EncodeError>> {
    let text = |name| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let table = match (api_version, kind) {
        ("v1", "Status") => &STATUS,
        _ => message_of(api_version, kind)?,
    };
    Some(message(table, json).map(|raw| envelope(api_version, kind, &raw)))
}

/// Encodes a list of objects of one kind. Returns `None` if the kind has no table. `meta` is the metadata of the list
/// (`ListMeta`).
///
/// # Errors
///
/// Returns an error if a value does not have the type of its field.
pub fn list<'a>(
    api_version: &str,
    kind: &str,
    meta: &Value,
    items: impl IntoIterator<Item = &'a Value>,
) -> Option<Result<Vec<u8>, EncodeError>> {
    let table = message_of(api_version, kind)?;
    let encoded = || {
        let mut raw = Vec::new();
        put_bytes(1, &message(&LIST_META, meta)?, &mut raw);
        for item in items {
            put_bytes(2, &message(table, item)?, &mut raw);
        }
        Ok(envelope(api_version, &format!("{kind}List"), &raw))
    };
    Some(encoded())
}

/// Encodes an event of a watch as a frame, that is, the length of the event and then the event. `kind` is the type of
/// the event, such as `ADDED`. `object` is an encoded object with its envelope.
#[must_use]
pub fn watch_event(kind: &str, object: &[u8]) -> Vec<u8> {
    let (mut raw, mut event) = (Vec::new(), Vec::new());
    put_bytes(1, object, &mut raw);
    put_bytes(1, kind.as_bytes(), &mut event);
    put_bytes(2, &raw, &mut event);
    let mut frame = u32::try_from(event.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes()
        .to_vec();
    frame.append(&mut event);
    frame
}

/// Returns an envelope that contains the encoded object `raw`.
#[must_use]
pub fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut type_meta = Vec::new();
    put_bytes(1, api_version.as_bytes(), &mut type_meta);
    put_bytes(2, kind.as_bytes(), &mut type_meta);
    let mut out = PREFIX.to_vec();
    put_bytes(1, &type_meta, &mut out);
    put_bytes(2, raw, &mut out);
    put_bytes(3, b"", &mut out);
    put_bytes(4, b"", &mut out);
    out
}

fn write_message(
    message: &'static Message,
    json: &Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    for field in message.fields {
        if let (Presence::Inline, Type::Message(inline)) = (field.presence, field.content) {
            let mut bytes = Vec::new();
            write_message(inline, json, &mut bytes)?;
            put_bytes(field.number, &bytes, out);
            continue;
        }
        let value = json.get(field.name).unwrap_or(&Value::Null);
        match (field.presence, value) {
            (Presence::List, Value::Array(items)) => {
                for item in items {
                    write_value(field, item, out)?;
                }
            }
            (Presence::Map, Value::Object(entries)) => {
                let value_field = always(2, field.name, field.content);
                for (key, value) in entries {
                    let mut entry = Vec::new();
                    put_bytes(1, key.as_bytes(), &mut entry);
                    write_value(&value_field, value, &mut entry)?;
                    put_bytes(field.number, &entry, out);
                }
            }
            (Presence::List | Presence::Map | Presence::Pointer, Value::Null) => {}
            (Presence::List | Presence::Map, value) => return Err(refused(field, value)),
            // In Go, absent bytes (`nil`) are not the same as empty bytes, so the function writes nothing for absent
            // bytes.
            (_, Value::Null) if matches!(field.content, Type::Bytes) => {}
            (_, value) => write_value(field, value, out)?,
        }
    }
    Ok(())
}

/// Writes a value. If the value is `null`, writes the zero value of the type.
fn write_value(field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let number = match (field.content, value) {
        (content, Value::Null) if content.is_number() => Some(0),
        (Type::Bool, Value::Bool(value)) => Some(u64::from(*value)),
        (Type::Int32 | Type::Int64, value) => {
            let number = value.as_i64().ok_or_else(|| refused(field, value))?;
            Some(number.cast_unsigned())
        }
        _ => None,
    };
    match number {
        Some(number) => put_number(field.number, number, out),
        None => {
            let bytes = bytes_of(field.content, value).ok_or_else(|| refused(field, value))??;
            put_bytes(field.number, &bytes, out);
        }
    }
    Ok(())
}

/// Returns the encoded bytes of a value that protobuf does not encode as a number. Returns `None` if `value` does not
/// have the type `content`.
fn bytes_of(content: Type, value: &Value) -> Option<Result<Vec<u8>, EncodeError>> {
    let mut out = Vec::new();
    match (content, value) {
        (Type::Message(below), Value::Object(_) | Value::Null) => {
            return Some(message(below, value));
        }
        (Type::Text | Type::Bytes | Type::Time | Type::MicroTime | Type::Json, Value::Null) => {}
        (Type::Text, Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        (Type::Bytes, Value::String(text)) => out = STANDARD.decode(text).ok()?,
        (Type::Time | Type::MicroTime, Value::String(text)) => {
            let (seconds, nanos) = time(text)?;
            // Protobuf encodes the zero time as an empty message.
            if (seconds, nanos) != (ZERO_TIME, 0) {
                let micros = nanos / 1000 * 1000;
                let nanos = if matches!(content, Type::Time) {
                    0
                } else {
                    micros
                };
                put_number(1, seconds.cast_unsigned(), &mut out);
                put_number(2, nanos, &mut out);
            }
        }
        // A number of seconds can also stand for a time that RFC 3339 cannot express, such as a time after the year
        // 9999.
        (Type::Time | Type::MicroTime, Value::Number(seconds)) => {
            put_number(1, seconds.as_i64()?.cast_unsigned(), &mut out);
            put_number(2, 0, &mut out);
        }
        (Type::Quantity, Value::Null) => put_bytes(1, b"0", &mut out),
        (Type::Quantity, Value::String(text)) => put_bytes(1, text.as_bytes(), &mut out),
        (Type::Quantity, Value::Number(number)) => {
            put_bytes(1, number.to_string().as_bytes(), &mut out);
        }
        (Type::IntOrString, Value::String(text)) => {
            put_number(1, 1, &mut out);
            put_number(2, 0, &mut out);
            put_bytes(3, text.as_bytes(), &mut out);
        }
        (Type::IntOrString, value) => {
            let int = if value.is_null() { 0 } else { value.as_i64()? };
            put_number(1, 0, &mut out);
            put_number(2, int.cast_unsigned(), &mut out);
            put_bytes(3, b"", &mut out);
        }
        (Type::Json, value) => put_bytes(1, value.to_string().as_bytes(), &mut out),
        (Type::Texts, Value::Array(texts)) => {
            for text in texts {
                put_bytes(1, text.as_str()?.as_bytes(), &mut out);
            }
        }
        (Type::Texts, Value::Null) => {}
        _ => return None,
    }
    Some(Ok(out))
}

fn refused(field: &Field, value: &Value) -> EncodeError {
    EncodeError {
        field: field.name.to_owned(),
        value: value.to_string(),
    }
}

/// The zero time of Go, `0001-01-01T00:00:00Z`, in seconds since 1970.
const ZERO_TIME: i64 = -62_135_596_800;

/// Parses a time in the format of RFC 3339. Returns the seconds since 1970, and the nanoseconds.
fn time(text: &str) -> Option<(i64, u64)> {
    let number = |range: Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = text.get(19..)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let fraction = rest.strip_suffix(zone)?.trim_start_matches('.');
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let part = |range: Range<usize>| zone.get(range)?.parse::<i64>().ok();
            let offset = part(1..3)? * 3600 + part(4..6)? * 60;
            if zone.starts_with('-') {
                -offset
            } else {
                offset
            }
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset, nanos))
}

/// Returns the number of days from 1970-01-01 to a date.
///
/// Source: [`days_from_civil`](https://howardhinnant.github.io/date_algorithms.html#days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
