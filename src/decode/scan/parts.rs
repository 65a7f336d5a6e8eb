//! [`JsonParts`]: the fields of an object in JSON that a scan has found, so that the decoder does not read all bytes
//! again.

use std::borrow::Cow;
use std::slice;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

use super::super::adapter::{Adapter, Wanted};
use super::super::fields::Fields;

/// The fields that families read in one object: top-level fields, and the fields of top-level maps.
#[derive(Debug, Default)]
pub(super) struct JsonParts<'de> {
    /// The top-level fields, in the order of the object.
    fields: Vec<Part<'de>>,
    /// The fields of all maps ([`PartValue::Map`]), one map after another.
    below: Vec<Part<'de>>,
    /// Whether this struct lacks a value that families read. This is the case if families read single fields of a
    /// value, but the value is not a map.
    is_incomplete: bool,
}

#[derive(Debug)]
struct Part<'de> {
    name: Cow<'de, str>,
    value: PartValue<'de>,
}

#[derive(Clone, Copy, Debug)]
enum PartValue<'de> {
    Whole(&'de RawValue),
    /// The value is a map. Its fields are in this range of `JsonParts::below`.
    Map(usize, usize),
}

/// A map that the decoder reads: the object or a map in it, with only the fields that the scan has found.
#[derive(Clone, Copy)]
struct PartMap<'p, 'de> {
    parts: &'p JsonParts<'de>,
    fields: &'p [Part<'de>],
    wanted: Wanted<'p>,
}

/// Iterates over the fields of a [`PartMap`].
struct PartEntries<'p, 'de> {
    parts: &'p JsonParts<'de>,
    fields: slice::Iter<'p, Part<'de>>,
    wanted: Wanted<'p>,
    value: Option<(PartValue<'de>, Wanted<'p>)>,
}

// === impl JsonParts ===

impl<'de> JsonParts<'de> {
    /// Adds a top-level field. Its value is not divided into fields.
    pub(super) fn add(&mut self, name: Cow<'de, str>, value: &'de RawValue) {
        let value = PartValue::Whole(value);
        self.fields.push(Part { name, value });
    }

    /// Adds a top-level field whose value is a map. The caller must then add the fields of the map with `add_below`.
    pub(super) fn begin_map(&mut self, name: Cow<'de, str>) {
        let start = self.below.len();
        let value = PartValue::Map(start, start);
        self.fields.push(Part { name, value });
    }

    /// Adds a field to the map that the last call of `begin_map` has added.
    pub(super) fn add_below(&mut self, name: Cow<'de, str>, value: &'de RawValue) {
        let value = PartValue::Whole(value);
        self.below.push(Part { name, value });
        if let Some(Part {
            value: PartValue::Map(_, end),
            ..
        }) = self.fields.last_mut()
        {
            *end = self.below.len();
        }
    }

    /// Records that this struct lacks a value that families read.
    pub(super) fn set_incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// Decodes the object, but only its fields in `fields`. Returns `None` if this struct lacks a value that families
    /// read, or if the object cannot be decoded.
    pub(super) fn decode<K: DeserializeOwned>(&self, fields: &Fields) -> Option<K> {
        if self.is_incomplete {
            return None;
        }
        let wanted = Wanted::of(fields);
        let map = PartMap {
            parts: self,
            fields: &self.fields,
            wanted,
        };
        K::deserialize(Adapter::of_object(map, wanted)).ok()
    }
}

// === impl PartMap ===

impl<'de> Deserializer<'de> for PartMap<'_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(PartEntries {
            parts: self.parts,
            fields: self.fields.iter(),
            wanted: self.wanted,
            value: None,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

// === impl PartEntries ===

impl<'de> MapAccess<'de> for PartEntries<'_, 'de> {
    type Error = serde_json::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        for Part { name, value } in self.fields.by_ref() {
            let Some(wanted) = self.wanted.field(name) else {
                continue;
            };
            self.value = Some((*value, wanted));
            return match name {
                Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
                Cow::Owned(name) => seed.deserialize(StrDeserializer::new(name)),
            }
            .map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, Self::Error> {
        match self.value.take() {
            Some((PartValue::Map(start, end), wanted)) => seed.deserialize(PartMap {
                parts: self.parts,
                fields: self.parts.below.get(start..end).unwrap_or_default(),
                wanted,
            }),
            Some((PartValue::Whole(json), _)) => {
                seed.deserialize(&mut serde_json::Deserializer::from_str(json.get()))
            }
            None => Err(serde::de::Error::custom("a value without a key")),
        }
    }
}
