//! Finds a key that occurs twice in a JSON object, and the positions of both occurrences.
//!
//! The JSON decoder reports a position only in an error. Therefore, to get the position of a key, this module parses
//! the text again and returns an error at this key.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A key that occurs twice.
#[derive(Debug, PartialEq)]
pub(super) struct DuplicateKey {
    key: String,
    first: Position,
    pub(super) second: Position,
}

/// The position at which a key begins. Line and column are counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Position {
    pub(super) line: usize,
    column: usize,
}

/// The state of parsing a JSON text. The parser numbers the keys in their order, and finds a key that occurs twice.
#[derive(Default)]
struct Search {
    keys: usize,
    /// The number of the key at which parsing stops with an error. The error has the position of the key.
    stop_at: Option<usize>,
    /// A key that occurs twice, and the numbers of both occurrences.
    found: Option<(String, usize, usize)>,
}

/// Reads a value of any type.
struct AnyValue<'s>(&'s mut Search);

/// Reads a key.
struct Key;

/// Finds the first key in a JSON text that occurs twice in the same object. Returns `None` if there is no such key, or
/// if the text cannot be decoded for another reason.
pub(super) fn find(json: &str) -> Option<DuplicateKey> {
    let mut search = Search::default();
    // Ignore the returned error, because the result is in `search.found`.
    let _ = search.run(json);
    let (key, first, second) = search.found?;
    let quoted = serde_json::to_string(&key).map_or(0, |key| key.len());
    let position = |number| {
        let mut search = Search {
            stop_at: Some(number),
            ..Search::default()
        };
        search.run(json).err().map(|error| Position {
            line: error.line(),
            // The position in the error is the end of the key. Convert it to the start.
            column: (error.column() + 1).saturating_sub(quoted),
        })
    };
    let (first, second) = (
        position(first).unwrap_or_default(),
        position(second).unwrap_or_default(),
    );
    Some(DuplicateKey { key, first, second })
}

// === impl DuplicateKey ===

impl DuplicateKey {
    /// Describes the problem. `line` is the number of the line at which the JSON text begins.
    pub(super) fn problem(&self, line: usize) -> String {
        let Self { key, first, second } = self;
        let in_file = |position: &Position| line + position.line.saturating_sub(1);
        if first.line == second.line {
            return format!(
                "the key `{key}` is given twice in line {}, at columns {} and {}; remove one",
                in_file(first),
                first.column,
                second.column
            );
        }
        format!(
            "the key `{key}` is given twice, in lines {} and {}; remove one",
            in_file(first),
            in_file(second)
        )
    }
}

// === impl Search ===

impl Search {
    fn run(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let mut decoder = serde_json::Deserializer::from_str(json);
        AnyValue(self).deserialize(&mut decoder)
    }
}

// === impl AnyValue ===

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(AnyValue(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let search = self.0;
        let mut keys = Vec::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            let number = search.keys;
            search.keys += 1;
            if search.stop_at == Some(number) {
                return Err(A::Error::custom("the key is here"));
            }
            keys.push((key, number));
            entries.next_value_seed(AnyValue(&mut *search))?;
        }
        keys.sort_unstable();
        let pairs = keys.windows(2).filter_map(|pair| match pair {
            [(key, first), (same, second)] if key == same => Some((key, *first, *second)),
            _ => None,
        });
        match pairs.min_by_key(|(_, _, second)| *second) {
            Some((key, first, second)) => {
                search.found = Some((key.to_string(), first, second));
                Err(A::Error::custom("a key is given twice"))
            }
            None => Ok(()),
        }
    }
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Cow<'de, str>, D::Error> {
        decoder.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_are_named() {
        for (json, problem) in [
            (
                r#"{"a":1,"b":{"c":1,"a":2,"c":3}}"#,
                "the key `c` is given twice in line 5, at columns 13 and 25; remove one",
            ),
            (
                "{\"x\": [{}],\n \"a\\u0062\": 1,\n \"ab\": {\"x\": 1}}",
                "the key `ab` is given twice, in lines 6 and 7; remove one",
            ),
        ] {
            let found = find(json).map(|found| found.problem(5));
            assert_eq!(found.as_deref(), Some(problem), "{json}");
        }
        for json in [r#"[{"a":1},{"a":{"a":2}}]"#, "1", "null", "{\"a\": oops"] {
            assert_eq!(find(json), None, "{json}");
        }
    }
}
