//! Reads a JSON value, and limits how many values it contains, so that a small text cannot take much memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Maximum number of values in an object. A map counts as [`MAP`] values. A map takes more than 600 bytes of memory,
/// even if its text has only eight bytes. So without this limit, the maps in a JSON text of 1.5 MB could take more than
/// 100 MB of memory.
const MAX_VALUES: u32 = 500_000;

/// This number of values takes about as much memory as one map.
const MAP: u32 = 10;

/// The reader of one value. Each value that is read reduces `left`: a map by [`MAP`], any other value by 1.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    /// How many further values may be read.
    left: &'a Cell<u32>,
}

/// Reads a value.
///
/// # Errors
///
/// Returns an error if the JSON is malformed, or contains more than [`MAX_VALUES`] values.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let left = &Cell::new(MAX_VALUES);
    Bounded { left }.deserialize(deserializer)
}

// === impl Bounded ===

impl Bounded<'_> {
    fn count<E: Error>(self, values: u32) -> Result<(), E> {
        let left = self.left.get().checked_sub(values);
        let left = left.ok_or_else(|| {
            E::custom(format_args!(
                "too many values, expected at most {MAX_VALUES} values in the fields that the metrics read (a map \
                 counts as {MAP})"
            ))
        })?;
        self.left.set(left);
        Ok(())
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.count(1)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.count(1)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.count(MAP)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(json: &str) -> Result<Value, String> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        read(&mut deserializer).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_those_of_the_parser() {
        let value = json!({ "a": [1, -2, 0.5, true, null, "x", { "b": {} }, []], "c": u64::MAX });
        assert_eq!(read_text(&value.to_string()), Ok(value));
    }

    #[test]
    fn values_that_take_much_memory_are_an_error() {
        let list = |item: &str, count| format!("[{}]", vec![item; count].join(","));
        for (item, most) in [("0", 499_999), ("{}", 49_999), ("[0]", 249_999)] {
            assert!(read_text(&list(item, most)).is_ok(), "{item}");
            let error = read_text(&list(item, most + 1)).unwrap_err();
            assert!(
                error.starts_with("too many values, expected at most 500000 values"),
                "{error}"
            );
        }
    }
}
