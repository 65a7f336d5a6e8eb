//! Scans objects in JSON.
//!
//! A scan reads the identity, and finds the texts of the fields that families read. For each group of fields, it
//! computes a fingerprint: a hash of the texts of these fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::adapter::KeyText;
use super::super::fingerprint::GroupHashers;
use super::super::groups::{FieldGroups, GroupedField, METADATA};
use super::identity::Identity;
use super::parts::JsonParts;

struct Scan<'s, 'de> {
    groups: &'s FieldGroups,
    /// The API version and the kind that each object must have.
    header: &'s [String; 2],
    hashers: &'s mut GroupHashers,
    identity: Identity<'de>,
    parts: JsonParts<'de>,
    has_metadata: bool,
}

/// Reads the value of one top-level field of the object.
struct FieldValue<'x, 's, 'de> {
    name: Cow<'de, str>,
    scan: &'x mut Scan<'s, 'de>,
    field: &'s GroupedField,
    /// Identifies this field in the fingerprints. The upper 16 bits are the index of this field among the fields that
    /// families read.
    place: u32,
}

/// This number is added to each fingerprint, so that the fingerprints of JSON and protobuf differ.
const JSON: u64 = 1;
/// The lower 16 bits of [`FieldValue::place`] if the value is not divided into its fields.
const WHOLE: u32 = 0xffff;

/// Reads the identity and the fields of an object, and adds the fields to the fingerprints. Returns `None` if the
/// object is unusual or malformed.
pub(super) fn scan<'de>(
    groups: &FieldGroups,
    header: &[String; 2],
    json: &'de [u8],
    hashers: &mut GroupHashers,
) -> Option<(Identity<'de>, JsonParts<'de>)> {
    let mut scan = Scan {
        groups,
        header,
        hashers,
        identity: Identity::default(),
        parts: JsonParts::default(),
        has_metadata: false,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(&mut scan).ok()?;
    deserializer.end().ok()?;
    Some((scan.identity, scan.parts))
}

// === impl Scan ===

impl<'de> Visitor<'de> for &mut Scan<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.groups.fields();
        let [api_version, kind] = self.header;
        for field in fields {
            self.hashers.add_number(field.groups, JSON);
        }
        while let Some(name) = map.next_key_seed(KeyText)? {
            match &*name {
                "apiVersion" | "kind" => {
                    let expected = if name == "kind" { kind } else { api_version };
                    let json: &RawValue = map.next_value()?;
                    if text::<A::Error>(json)? != expected.as_str() {
                        return Err(A::Error::custom("an object of another kind"));
                    }
                    self.parts.add(name, json);
                }
                _ => {
                    let Some(at) = fields.iter().position(|field| field.name == *name) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    map.next_value_seed(FieldValue {
                        name,
                        field: &fields[at],
                        place: u32::try_from(at).unwrap_or(u32::MAX) << 16,
                        scan: &mut *self,
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// If a JSON value is a string, returns its text.
fn text<E: Error>(json: &RawValue) -> Result<Cow<'_, str>, E> {
    let text = KeyText.deserialize(&mut serde_json::Deserializer::from_str(json.get()));
    text.map_err(|_| E::custom("not a string"))
}

// === impl FieldValue ===

impl FieldValue<'_, '_, '_> {
    fn add(&mut self, json: &RawValue) {
        let bytes = json.get().as_bytes();
        let place = self.place | WHOLE;
        self.scan.hashers.add(self.field.groups, place, bytes);
    }
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, value: D) -> Result<(), D::Error> {
        if self.field.is_split() {
            return value.deserialize_any(self);
        }
        let json: &RawValue = serde::Deserialize::deserialize(value)?;
        self.add(json);
        self.scan.parts.add(self.name, json);
        Ok(())
    }
}

/// If the value is a map, each of its fields has its own group. Any other value belongs to all groups of the field.
impl<'de> Visitor<'de> for FieldValue<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self {
            name,
            scan,
            field,
            place,
        } = self;
        let is_metadata = field.name == METADATA;
        if is_metadata && std::mem::replace(&mut scan.has_metadata, true) {
            return Err(A::Error::custom("repeated metadata"));
        }
        // The samples of a family can depend on whether the map exists, so an empty map must also change the
        // fingerprint.
        scan.hashers.add_number(field.groups, place.into());
        scan.parts.begin_map(name);
        while let Some(name) = map.next_key_seed(KeyText)? {
            if is_metadata && let Some(own) = scan.identity.field(&name) {
                let json: &RawValue = map.next_value()?;
                if own.replace(text(json)?).is_some() {
                    return Err(A::Error::custom("a repeated field of the identity"));
                }
                scan.parts.add_below(name, json);
                continue;
            }
            let Some(at) = field.below.iter().position(|(own, _)| *own == *name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let json: &RawValue = map.next_value()?;
            let place = place | u32::try_from(at).unwrap_or(WHOLE);
            let bytes = json.get().as_bytes();
            scan.hashers.add(field.below[at].1, place, bytes);
            scan.parts.add_below(name, json);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        if self.field.name == METADATA {
            return Err(A::Error::custom("metadata that is not a map"));
        }
        self.scan.parts.set_incomplete();
        // With this number, an empty list and an absent list have different fingerprints.
        self.scan
            .hashers
            .add_number(self.field.groups, (self.place | WHOLE).into());
        while let Some(item) = list.next_element::<&RawValue>()? {
            self.add(item);
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.field.name == METADATA {
            return Err(E::custom("metadata that is not a map"));
        }
        self.scan.parts.set_incomplete();
        // In an expression, `null` and an absent value can have different results, so `null` must change the
        // fingerprint. If a key occurs twice, the later `null` replaces the earlier value.
        let place = self.place | WHOLE;
        self.scan.hashers.add(self.field.groups, place, b"null");
        Ok(())
    }
}
