//! Creates random objects, and the JSON that the API server writes for these objects.

use serde_json::{Map, Value, json};

use crate::schema::{Message, Presence, Type};

/// Pseudo-random numbers from a seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Returns a number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn any<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize].clone()
    }
}

/// Returns a random object in JSON, as a client would write it.
pub(super) fn random(message: &'static Message, random: &mut Random) -> Value {
    let mut object = Map::new();
    fields(message, random, &mut object, 4);
    Value::Object(object)
}

fn fields(
    message: &'static Message,
    random: &mut Random,
    object: &mut Map<String, Value>,
    depth: u64,
) {
    for field in message.fields {
        if field.presence == Presence::Inline {
            let Type::Message(inline) = field.content else {
                continue;
            };
            fields(inline, random, object, depth);
        } else if random.below(8) < depth {
            let mut value = || value(field.content, random, depth - 1);
            let value = match field.presence {
                Presence::List => (0..2).map(|_| value()).collect(),
                Presence::Map => json!({ "": value(), "é.k": value() }),
                _ => value(),
            };
            object.insert(field.name.to_owned(), value);
        }
    }
}

fn value(content: Type, random: &mut Random, depth: u64) -> Value {
    match content {
        Type::Text => random
            .any(&["", "a", "zwei \u{1f600}\n\"", "registry.example/a:1"])
            .into(),
        Type::Bool => (random.below(2) == 1).into(),
        Type::Int32 => random.any(&[0, 1, -1, 300, i32::MAX, i32::MIN]).into(),
        Type::Int64 => random.any(&[0, 1, -1, 1 << 40, i64::MAX, i64::MIN]).into(),
        Type::Bytes => random.any(&["", "AA==", "aGFsbG8="]).into(),
        Type::Time => random
            .any(&[
                "0001-01-01T00:00:00Z",
                "1970-01-01T00:00:00Z",
                "2024-02-29T23:59:58Z",
            ])
            .into(),
        Type::MicroTime => random
            .any(&["0001-01-01T00:00:00Z", "2024-02-29T23:59:58.000120Z"])
            .into(),
        Type::Quantity => random.any(&["0", "100m", "1Gi", "-3"]).into(),
        Type::IntOrString => random.any(&[json!(0), json!(-8), json!(""), json!("25%")]),
        Type::Json => random.any(&[json!({ "f:a": {} }), json!({}), json!([1, "x"])]),
        Type::Texts => random.any(&[json!(["a", ""]), json!(["b"])]),
        Type::Message(message) => {
            let mut object = Map::new();
            fields(message, random, &mut object, depth);
            Value::Object(object)
        }
    }
}

/// Returns the JSON that the API server writes for an object. As in Go, this JSON contains some empty values and omits
/// others.
pub(super) fn expected(message: &'static Message, json: &Value) -> Value {
    let mut object = Map::new();
    expected_fields(message, json, &mut object);
    Value::Object(object)
}

fn expected_fields(message: &'static Message, json: &Value, object: &mut Map<String, Value>) {
    for field in message.fields {
        if field.presence == Presence::Inline {
            let Type::Message(inline) = field.content else {
                continue;
            };
            expected_fields(inline, json, object);
            continue;
        }
        let own = json.get(field.name);
        let normal = |value: &Value| expected_value(field.content, value);
        let value = match (field.presence, own) {
            (Presence::List, Some(Value::Array(items))) if !items.is_empty() => {
                items.iter().map(normal).collect()
            }
            (Presence::Map, Some(Value::Object(entries))) if !entries.is_empty() => entries
                .iter()
                .map(|(key, value)| (key.clone(), normal(value)))
                .collect(),
            (Presence::List | Presence::Map, _) | (Presence::Pointer, None) => continue,
            (Presence::Pointer, Some(value)) => normal(value),
            (presence, value) => {
                let zero = zero(field.content);
                // Empty bytes are not the same as absent bytes, neither in protobuf nor in JSON.
                if value.is_none() && matches!(field.content, Type::Bytes) {
                    continue;
                }
                let value = normal(value.unwrap_or(&zero));
                let is_zero = value == zero
                    && !matches!(
                        field.content,
                        Type::Message(_) | Type::Quantity | Type::IntOrString
                    );
                if presence == Presence::NonZero && is_zero {
                    continue;
                }
                value
            }
        };
        object.insert(field.name.to_owned(), value);
    }
}

fn expected_value(content: Type, value: &Value) -> Value {
    match (content, value.as_str()) {
        (Type::Message(message), _) => expected(message, value),
        (Type::Time | Type::MicroTime, Some("0001-01-01T00:00:00Z")) => Value::Null,
        _ => value.clone(),
    }
}

fn zero(content: Type) -> Value {
    match content {
        Type::Text | Type::Bytes => "".into(),
        Type::Bool => false.into(),
        Type::Int32 | Type::Int64 | Type::IntOrString => 0.into(),
        Type::Quantity => "0".into(),
        Type::Time | Type::MicroTime | Type::Json | Type::Texts => Value::Null,
        Type::Message(_) => json!({}),
    }
}
