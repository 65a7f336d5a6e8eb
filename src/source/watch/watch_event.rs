//! [`WatchEvent`]: one event of a watch, which is a line of JSON or a frame of protobuf.
//!
//! If the watch asks for tables, an event contains a table (the columns that `kubectl get` prints) instead of an
//! object. The row of the table contains the metadata of the object.
//!
//! Source: [API concepts, "Efficient detection of changes"](https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube_protobuf::{Envelope, Message};
use serde::Deserialize;

use super::failure::Status;
use crate::decode::{Encoded, Encoding, json_fields, json_text};

/// One event of a watch: a line of JSON or a frame of protobuf.
#[derive(Debug)]
pub(super) enum WatchEvent<'a> {
    /// An object was added, modified or deleted.
    Object(EventKind, Encoded<'a>),
    /// A bookmark: the server has sent all changes up to a resource version.
    Bookmark {
        version: String,
        /// Whether this bookmark ends the list at the start of the stream.
        ends_list: bool,
        /// The object or the table in the bookmark.
        object: Encoded<'a>,
    },
    /// The error with which the server ends the watch.
    Error(Status),
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// A line or a frame that is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidEvent {
    #[error("the watch sent a line that is not an event")]
    Line,
    #[error("the watch sent a frame that is not an event")]
    Frame,
}

/// The annotation of the bookmark that ends a streaming list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// The kind of objects that contain only metadata.
pub(super) const PARTIAL: &str = "PartialObjectMetadata";

/// The text before the object in an event from an API server. A closing brace follows after the object.
const USUAL: [(EventKind, &[u8]); 3] = [
    (EventKind::Modified, br#"{"type":"MODIFIED","object":"#),
    (EventKind::Added, br#"{"type":"ADDED","object":"#),
    (EventKind::Deleted, br#"{"type":"DELETED","object":"#),
];

// === impl WatchEvent ===

impl<'a> WatchEvent<'a> {
    /// Reads a line or a frame.
    pub(super) fn parse(event: &'a [u8], encoding: Encoding) -> Result<Self, InvalidEvent> {
        let parsed = match encoding {
            Encoding::Json => Self::parse_line(event),
            Encoding::Protobuf(message) => Self::parse_frame(event, message),
        };
        parsed.ok_or_else(|| InvalidEvent::of(encoding))
    }

    /// Whether an object was added. The list at the start of a stream consists of events that add objects.
    pub(super) fn is_added(&self) -> bool {
        matches!(self, Self::Object(EventKind::Added, _))
    }

    fn parse_line(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        for (kind, start) in USUAL {
            // The object is between this prefix and the closing brace. So the code finds the object without parsing the
            // event.
            if let Some(object) = line
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(b"}"))
            {
                return Some(Self::Object(kind, Encoding::Json.object(object)));
            }
        }
        Self::parse_any(line)
    }

    fn parse_any(line: &'a [u8]) -> Option<Self> {
        let [kind, object] = json_fields(line, ["type", "object"])?;
        let kind = EventKind::of_wire_name(&json_text(kind?)?)?;
        Self::new(kind, Encoding::Json.object(object?))
    }

    /// Reads a frame. The object of the frame has the fields of `message`.
    fn parse_frame(frame: &'a [u8], message: &'static Message) -> Option<Self> {
        let event = kube_protobuf::WatchEvent::parse(frame).ok()?;
        let kind = EventKind::of_wire_name(event.kind())?;
        let object = event.object();
        let object = match kind {
            EventKind::Error => object,
            // The object in any other event has the kind of the resource, or the kind [`PARTIAL`].
            _ => match Envelope::parse(object).ok()? {
                envelope if envelope.kind() == message.name() => object,
                envelope if envelope.kind() == PARTIAL => envelope.object_as(message).raw(),
                _ => return None,
            },
        };
        Self::new(kind, Encoding::Protobuf(message).object(object))
    }

    fn new(kind: EventKind, object: Encoded<'a>) -> Option<Self> {
        Some(match kind {
            EventKind::Added | EventKind::Modified | EventKind::Deleted => {
                Self::Object(kind, object)
            }
            EventKind::Bookmark => {
                let metadata = bookmark_metadata(object)?;
                let annotations = metadata.annotations.unwrap_or_default();
                Self::Bookmark {
                    version: metadata.resource_version.unwrap_or_default(),
                    ends_list: annotations
                        .get(INITIAL_END)
                        .is_some_and(|own| own == "true"),
                    object,
                }
            }
            EventKind::Error => Self::Error(Status::parse(object.bytes())),
        })
    }
}

// === impl InvalidEvent ===

impl InvalidEvent {
    pub(super) fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Json => Self::Line,
            Encoding::Protobuf(_) => Self::Frame,
        }
    }
}

// === impl EventKind ===

impl EventKind {
    pub(super) const ALL: [Self; 5] = [
        Self::Added,
        Self::Modified,
        Self::Deleted,
        Self::Bookmark,
        Self::Error,
    ];

    /// The type of an event with this name in the API.
    pub(super) fn of_wire_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.wire_name() == name)
    }

    /// The name of the type in events of the API.
    fn wire_name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    /// The name of the type in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Bookmark => "bookmark",
            Self::Error => "error",
        }
    }
}

/// The metadata of a bookmark. If the bookmark contains a table, the annotations are in the row of the table.
fn bookmark_metadata(object: Encoded<'_>) -> Option<Metadata> {
    #[derive(Deserialize)]
    struct Table {
        rows: Option<Vec<Row>>,
    }
    #[derive(Deserialize)]
    struct Row {
        object: RowObject,
    }
    #[derive(Deserialize)]
    struct RowObject {
        metadata: Metadata,
    }
    let mut metadata: Metadata = object.metadata()?;
    if let Encoding::Json = object.encoding() {
        let Table { rows } = serde_json::from_slice(object.bytes()).ok()?;
        if let Some(row) = rows.and_then(|rows| rows.into_iter().next()) {
            metadata.annotations = row.object.metadata.annotations;
        }
    }
    Some(metadata)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Whether an object that does not decode as its kind is a table.
pub(super) fn is_table(object: Encoded<'_>) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head<'a> {
        #[serde(borrow)]
        api_version: Cow<'a, str>,
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    let Encoding::Json = object.encoding() else {
        return false;
    };
    let head: Option<Head<'_>> = serde_json::from_slice(object.bytes()).ok();
    head.is_some_and(|head| head.kind == "Table" && head.api_version.starts_with("meta.k8s.io/"))
}

/// The resource version of an object that does not decode as its kind.
pub(super) fn version_of(object: Encoded<'_>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        resource_version: String,
    }
    let metadata: Version = object.metadata()?;
    Some(metadata.resource_version)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::buffer_budget::BufferBudget;
    use super::super::json_list::{JsonList, ListPart};
    use super::super::oversized::Part;
    use super::super::part_buffer::PartBuffer;
    use super::super::partial_objects::PartialObjects;
    use super::super::representation::Representation;
    use super::*;
    use kube_protobuf::{encode, message_of};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    proptest! {
        #[test]
        fn any_line_is_harmless(line: Vec<u8>, kind in "ADDED|MODIFIED|DELETED|BOOKMARK|ERROR|x") {
            let _ = WatchEvent::parse(&line, Encoding::Json);
            let node = Encoding::Protobuf(message_of("v1", "Node").unwrap());
            let _ = WatchEvent::parse(&line, node);
            let _ = WatchEvent::parse(&encode::watch_event(&kind, &line)[4..], node);
            let mut framed = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
            framed.extend_from_slice(&line);
            let _ = WatchEvent::parse(&framed, Encoding::Json);
            let _ = version_of(Encoding::Json.object(&line));
            let _ = version_of(node.object(&line));
            let _ = Status::parse(&line);
        }
    }

    /// JSON values with texts that are not UTF-8, and with numbers and escape sequences that do not decode.
    fn odd_json() -> impl Strategy<Value = Vec<u8>> {
        const TEXTS: &[&[u8]] = &[
            b"a",
            b"\xff",
            b"\xe9\x80",
            b"\\ud800",
            b"\\u0041",
            b"\\\"",
            b"}],",
            b"\\\\",
            "é".as_bytes(),
        ];
        const OTHERS: &[&[u8]] = &[
            b"1e999",
            b"-0.5",
            b"123456789012345678901234",
            b"null",
            b"true",
        ];
        let text = prop::collection::vec(prop::sample::select(TEXTS), 0..4)
            .prop_map(|pieces| [b"\"", &*pieces.concat(), b"\""].concat());
        let leaf = prop_oneof![
            text.clone(),
            prop::sample::select(OTHERS).prop_map(<[u8]>::to_vec)
        ];
        leaf.prop_recursive(6, 32, 4, move |inner| {
            let fields = prop::collection::vec((text.clone(), inner.clone()), 0..4);
            let fields = fields.prop_map(|fields| {
                let fields = fields
                    .iter()
                    .map(|(name, value)| [&**name, value].join(&b":"[..]));
                [b"{", &*fields.collect::<Vec<_>>().join(&b", "[..]), b"}"].concat()
            });
            let items = prop::collection::vec(inner, 0..4);
            prop_oneof![
                fields,
                items.prop_map(|items| [b"[", &*items.join(&b","[..]), b"]"].concat())
            ]
        })
    }

    /// Replaces `$` in a text with JSON.
    fn around(text: &str, json: &[u8]) -> Vec<u8> {
        let parts: Vec<_> = text.split('$').map(str::as_bytes).collect();
        parts.join(json)
    }

    /// The objects of a list, as the decoder receives them.
    fn listed(list: &[u8], representation: Representation) -> Vec<Vec<u8>> {
        let budget = Arc::new(BufferBudget::new(None, None));
        let mut buffer = PartBuffer::of_items(Encoding::Json, &budget);
        let mut splitter = JsonList::new(None, representation == Representation::Table);
        let mut objects = Vec::new();
        let mut partial = PartialObjects::default();
        partial.begin(representation);
        let fed = splitter.feed(list, &mut buffer, |part| match part {
            ListPart::TableHeader(table) => partial.read_columns(&table),
            ListPart::Object(Part::Whole(item)) => {
                objects.push(partial.json(item).unwrap().as_ref().to_vec());
            }
            ListPart::Object(Part::Oversized(_)) => unreachable!("there is no limit"),
        });
        fed.unwrap();
        splitter.finish().unwrap();
        objects
    }

    /// The object of an event, as the decoder receives it.
    fn watched(event: &[u8], representation: Representation) -> Vec<u8> {
        let mut partial = PartialObjects::default();
        partial.begin(representation);
        match WatchEvent::parse(event, Encoding::Json) {
            Ok(WatchEvent::Object(EventKind::Added, object)) => {
                partial.json(object.bytes()).unwrap().as_ref().to_vec()
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn an_object_is_the_same_in_a_list_and_in_an_event(odd in odd_json()) {
            const COLUMNS: &str = r#""columnDefinitions":[{"name":"Type","description":"}"}]"#;
            let list = r#"{"metadata":{"resourceVersion":"1"},"items":[$]}"#;
            let table = format!(r#"{{"kind":"Table",{COLUMNS},"metadata":{{"resourceVersion":"1"}},"rows":[$]}}"#);
            let own_table = format!(r#"{{"kind":"Table",{COLUMNS},"rows":[$]}}"#);
            let object = r#"{"metadata":{"name":"a","managedFields":$},"x":$}"#;
            let metadata = r#"{"kind":"PartialObjectMetadata","metadata":{"name":"a","managedFields":$}}"#;
            let row = format!(r#"{{"cells":["Opaque",$],"object":{metadata}}}"#);
            for (representation, item, list, in_event, starts_as_built) in [
                (Representation::Object, object, list, "$", false),
                (Representation::Metadata, metadata, list, "$", true),
                (Representation::Table, &*row, &*table, &*own_table, true),
            ] {
                let item = around(item, &odd);
                let objects = listed(&around(list, &item), representation);
                prop_assert_eq!(objects.len(), 1);
                prop_assert_eq!(objects[0].starts_with(br#"{"metadata":{"name":"a","#), true);
                prop_assert_eq!(objects[0] != item, starts_as_built);
                let object = around(in_event, &item);
                for event in [
                    r#"{"type":"ADDED","object":$}"#,
                    r#"{"type": "ADDED", "object": $}"#,
                    r#" {"object":$,"x":1,"type":"ADD\u0045D"}"#,
                ] {
                    let watched = watched(&around(event, &object), representation);
                    prop_assert_eq!(&watched, &objects[0], "{}", event);
                }
            }
        }
    }

    #[test]
    fn events_are_read_in_any_spelling() {
        for (line, kind, object) in [
            (
                r#"{"type":"ADDED","object":{"a":1}}"#,
                EventKind::Added,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"MODIFIED","object":{"a":1}}"#,
                EventKind::Modified,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"DELETED","object":{"a":1}}"#,
                EventKind::Deleted,
                r#"{"a":1}"#,
            ),
            (
                r#" {"object": {"a":1} ,"type":"ADDED"} "#,
                EventKind::Added,
                r#"{"a":1}"#,
            ),
            (
                r#"{"type":"DELE\u0054ED","object":{}}"#,
                EventKind::Deleted,
                "{}",
            ),
        ] {
            match WatchEvent::parse(line.as_bytes(), Encoding::Json) {
                Ok(WatchEvent::Object(own, read)) => {
                    assert_eq!((own, read.bytes()), (kind, object.as_bytes()), "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn bookmarks_tell_their_version_and_the_end_of_the_first_part() {
        let bookmark = |annotations: &str| {
            let line = format!(
                r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{{"resourceVersion":"5"{annotations}}},"spec":{{}}}}}}"#
            );
            match WatchEvent::parse(line.as_bytes(), Encoding::Json) {
                Ok(WatchEvent::Bookmark {
                    version, ends_list, ..
                }) => (version, ends_list),
                other => panic!("{line}: {other:?}"),
            }
        };
        assert_eq!(bookmark(""), ("5".into(), false));
        let end = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
        assert_eq!(bookmark(end), ("5".into(), true));
    }

    #[test]
    fn other_lines_are_broken() {
        for line in [
            "",
            "{}",
            "x",
            r#"{"type":"ADDED"}"#,
            r#"{"type":"ODD","object":{}}"#,
            r#"{"type":"BOOKMARK","object":{}}"#,
            r#"{"type":"ADDED","object":{"a":1}"#.get(..30).unwrap(),
        ] {
            let parsed = WatchEvent::parse(line.as_bytes(), Encoding::Json);
            assert_eq!(parsed.unwrap_err(), InvalidEvent::Line, "{line}");
        }
    }

    #[test]
    fn the_version_of_any_object_can_be_read() {
        let object = br#"{"metadata":{"name":1,"resourceVersion":"12"},"spec":[]}"#;
        let version = |json| version_of(Encoding::Json.object(json));
        assert_eq!(version(object).as_deref(), Some("12"));
        assert_eq!(version(b"{}"), None);
    }

    fn frame(kind: &str, object: &Value) -> Vec<u8> {
        encode::watch_event(kind, &encode::object(object).unwrap().unwrap())
    }

    /// Reads a frame of a watch of nodes.
    fn parse(frame: &[u8]) -> Result<WatchEvent<'_>, InvalidEvent> {
        let node = message_of("v1", "Node").unwrap();
        WatchEvent::parse(&frame[4..], Encoding::Protobuf(node))
    }

    #[test]
    fn all_types_of_events_are_read_from_frames() {
        let node =
            |metadata: Value| json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata });
        for (name, kind) in [
            ("ADDED", EventKind::Added),
            ("MODIFIED", EventKind::Modified),
            ("DELETED", EventKind::Deleted),
        ] {
            let frame = frame(name, &node(json!({ "resourceVersion": "12" })));
            match parse(&frame) {
                Ok(WatchEvent::Object(own, object)) => {
                    assert_eq!(own, kind);
                    assert_eq!(version_of(object).as_deref(), Some("12"));
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        let end = json!({ "resourceVersion": "7", "annotations": { "k8s.io/initial-events-end": "true" } });
        for (metadata, expected) in [(end, ("7", true)), (json!({}), ("", false))] {
            let frame = frame("BOOKMARK", &node(metadata));
            match parse(&frame) {
                Ok(WatchEvent::Bookmark {
                    version, ends_list, ..
                }) => {
                    assert_eq!((&*version, ends_list), expected);
                }
                other => panic!("{other:?}"),
            }
        }
        let status =
            json!({ "apiVersion": "v1", "kind": "Status", "code": 410, "reason": "Expired" });
        let error = frame("ERROR", &status);
        let error = format!("{:?}", parse(&error));
        assert!(error.contains("code: 410"), "{error}");

        // The decoder of nodes must accept the kind `PartialObjectMetadata`, which partial objects have.
        let named = json!({ "metadata": { "name": "a" } });
        let raw = encode::message(message_of("v1", "Node").unwrap(), &named).unwrap();
        let partial = encode::envelope("meta.k8s.io/v1", PARTIAL, &raw);
        let partial = encode::watch_event("ADDED", &partial);
        match parse(&partial) {
            Ok(WatchEvent::Object(EventKind::Added, object)) => assert_eq!(object.bytes(), raw),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_that_are_no_events_of_the_kind_are_invalid() {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod" });
        for bytes in [
            frame("ADDED", &pod),
            frame("BOOKMARK", &pod),
            frame("ODD", &json!({ "apiVersion": "v1", "kind": "Node" })),
            encode::watch_event("ADDED", b"{}"),
            b"\0\0\0\x02\x13\x14".to_vec(),
            b"\0\0\0\0".to_vec(),
        ] {
            assert_eq!(parse(&bytes).unwrap_err(), InvalidEvent::Frame, "{bytes:?}");
        }
    }
}
