//! [`OversizedObject`]: name and version of an object that is larger than the maximum size.

use std::borrow::Cow;
use std::fmt;

use kube_protobuf::ObjectStart;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::object_buffer;
use super::watch_event::EventKind;
use crate::decode::{Encoding, object_name};
use crate::errors::shortened;

/// The identity of an object that is larger than the maximum size. The fields are read from the first bytes of the
/// object, because the whole object is not buffered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OversizedObject {
    /// The type of the event; `None` for an item of a list.
    pub(super) event: Option<EventKind>,
    /// The namespace of the object. Empty if the object is cluster-scoped or the name is unknown.
    pub(super) namespace: String,
    /// The name of the object. Empty if the first bytes do not contain the name.
    pub(super) name: String,
    /// The resource version of the object. Empty if the first bytes do not contain the version.
    pub(super) version: String,
}

/// An item of a list, or an event of a watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Whole(&'a [u8]),
    /// The item or event is larger than the limit of its buffer.
    Oversized(OversizedObject),
}

/// Number of bytes in which the name is searched. The name is at the start of an object, because API servers send the
/// metadata first.
const SEARCHED: usize = 1 << 20;
/// Maximum size of a name or a version, in bytes. Longer names and versions are ignored. Kubernetes limits names to 253
/// bytes.
const MAX_TEXT: usize = 512;

// === impl OversizedObject ===

impl OversizedObject {
    /// Reads the first bytes of an item of a list: the bytes in `buffered`, then the bytes in `next`.
    pub(super) fn of_item(encoding: Encoding, buffered: &[u8], next: &[u8]) -> Self {
        let start = object_buffer::copy_start(buffered, next, SEARCHED);
        match encoding {
            Encoding::Json => Self::of_json(&start, Level::Object),
            Encoding::Protobuf(_) => Self::of_protobuf(kube_protobuf::item_start(&start)),
        }
    }

    /// Reads the first bytes of an event of a watch: the bytes in `buffered`, then the bytes in `next`.
    pub(super) fn of_event(encoding: Encoding, buffered: &[u8], next: &[u8]) -> Self {
        let start = object_buffer::copy_start(buffered, next, SEARCHED);
        match encoding {
            Encoding::Json => Self::of_json(&start, Level::Event),
            Encoding::Protobuf(_) => Self::of_protobuf(kube_protobuf::event_start(&start)),
        }
    }

    fn of_protobuf(start: ObjectStart<'_>) -> Self {
        let short = |text: &str| match text.len() {
            ..=MAX_TEXT => text.to_owned(),
            _ => String::new(),
        };
        Self {
            event: EventKind::of_wire_name(start.event),
            namespace: short(start.namespace),
            name: short(start.name),
            version: short(start.resource_version),
        }
    }

    fn of_json(start: &[u8], level: Level) -> Self {
        let mut found = Self::default();
        let mut json = serde_json::Deserializer::from_slice(start);
        // Parsing fails where the known bytes end. `found` keeps the fields that were read before this failure.
        let _ = Seed(&mut found, level).deserialize(&mut json);
        found
    }

    /// Returns the namespace and the name, if the name is known.
    pub(super) fn key(&self) -> Option<(&str, &str)> {
        (!self.name.is_empty()).then_some((&self.namespace, &self.name))
    }
}

impl fmt::Display for OversizedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(object_name(self.key())))
    }
}

/// The role of a JSON object in a response. The role determines which fields are read; the other fields are skipped.
#[derive(Clone, Copy)]
enum Level {
    /// A line of a watch.
    Event,
    /// An object. If tables were requested: a table with one row, or a row of a table.
    Object,
    /// The rows of a table.
    Rows,
    /// The metadata of an object.
    Metadata,
}

/// Writes each field to the [`OversizedObject`] as soon as it is read, so that the fields are known even if the text
/// ends early.
struct Seed<'a>(&'a mut OversizedObject, Level);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

// === impl Seed ===

impl Seed<'_> {
    /// Reads the value of a field, or skips it.
    fn field<'de, A: MapAccess<'de>>(&mut self, field: &str, map: &mut A) -> Result<(), A::Error> {
        let Self(found, level) = self;
        let place = match (level, field) {
            (Level::Event, "object") => return map.next_value_seed(Seed(found, Level::Object)),
            (Level::Object, "object") => return map.next_value_seed(Seed(found, Level::Object)),
            (Level::Object, "rows") => return map.next_value_seed(Seed(found, Level::Rows)),
            (Level::Object, "metadata") => {
                return map.next_value_seed(Seed(found, Level::Metadata));
            }
            (Level::Event, "type") => {
                let Text(name) = map.next_value()?;
                found.event = EventKind::of_wire_name(&name);
                return Ok(());
            }
            (Level::Metadata, "namespace") => &mut found.namespace,
            (Level::Metadata, "name") => &mut found.name,
            (Level::Metadata, "resourceVersion") => &mut found.version,
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        let Text(text) = map.next_value()?;
        if text.len() <= MAX_TEXT {
            *place = text.into_owned();
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.1 {
            Level::Rows => json.deserialize_seq(self),
            _ => json.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows
            .next_element_seed(Seed(&mut *self.0, Level::Object))?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(field)) = map.next_key()? {
            self.field(&field, &mut map)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube_protobuf::encode;

    use super::*;

    #[test]
    fn the_first_bytes_tell_which_object_it_is() {
        let item = br#"{"kind":"Secret","metadata":{"name":"a","uid":"u","namespace":"shop",
            "annotations":{"x":["}"]},"resourceVersion":"7","managedFields":[{"#;
        let found = OversizedObject::of_item(Encoding::Json, item, b"");
        assert_eq!(found.to_string(), "shop/a");
        assert_eq!((&*found.version, found.event), ("7", None));

        let line = [br#"{"type":"DELETED","object":"#, &item[..]].concat();
        let expected = OversizedObject {
            event: Some(EventKind::Deleted),
            ..found
        };
        for middle in 0..=line.len() {
            let (buffered, next) = line.split_at(middle);
            let found = OversizedObject::of_event(Encoding::Json, buffered, next);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_first_bytes_tell_the_same_in_protobuf() {
        let metadata = serde_json::json!({
            "name": "a", "namespace": "shop", "resourceVersion": "7", "annotations": { "x": "y" },
        });
        let object =
            serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
        let message = kube_protobuf::message_of("v1", "Secret").unwrap();
        let encoding = Encoding::Protobuf(message);
        let item = encode::message(message, &object).unwrap();
        let event = encode::watch_event("DELETED", &encode::object(&object).unwrap().unwrap());
        let (item, event) = (&item[..item.len() - 3], &event[4..event.len() - 9]);
        let expected = OversizedObject {
            event: None,
            namespace: "shop".into(),
            name: "a".into(),
            version: "7".into(),
        };
        for middle in 0..=item.len() {
            let (buffered, next) = item.split_at(middle);
            let found = OversizedObject::of_item(encoding, buffered, next);
            assert_eq!(found, expected);
        }
        let expected = OversizedObject {
            event: Some(EventKind::Deleted),
            ..expected
        };
        for middle in 0..=event.len() {
            let (buffered, next) = event.split_at(middle);
            let found = OversizedObject::of_event(encoding, buffered, next);
            assert_eq!(found, expected);
        }
        let long = serde_json::json!({ "metadata": { "name": "x".repeat(MAX_TEXT + 1) } });
        let long = encode::message(message, &long).unwrap();
        for start in [&b""[..], b"\x0a", b"\xff", b"k8s\0", &long] {
            let found = OversizedObject::of_item(encoding, start, b"");
            assert_eq!(found, OversizedObject::default(), "{start:?}");
        }
    }

    #[test]
    fn a_row_of_a_table_has_the_name_in_its_object() {
        let row = r#"{"cells":["a",{"metadata":7}],"object":{"kind":"PartialObjectMetadata","metadata":{"name":"a"#;
        let row = format!(r#"{row}","namespace":"shop","annotations":{{"#);
        let found = OversizedObject::of_item(Encoding::Json, row.as_bytes(), b"");
        assert_eq!(found.to_string(), "shop/a");
        let line = format!(
            r#"{{"type":"MODIFIED","object":{{"kind":"Table","metadata":{{"resourceVersion":"7"}},"rows":[{row}"#
        );
        let found = OversizedObject::of_event(Encoding::Json, line.as_bytes(), b"");
        assert_eq!((&*found.to_string(), &*found.version), ("shop/a", "7"));
    }

    #[test]
    fn what_the_first_bytes_do_not_tell_is_unknown() {
        let long = format!(r#"{{"metadata":{{"name":"{}"}}"#, "x".repeat(MAX_TEXT + 1));
        for start in ["", "[", "{\"metadata\":{\"na", "{\"metadata\":7", &long] {
            let found = OversizedObject::of_item(Encoding::Json, start.as_bytes(), b"");
            assert_eq!(found, OversizedObject::default(), "{start}");
            assert_eq!(found.to_string(), "<unnamed>");
        }
    }
}
