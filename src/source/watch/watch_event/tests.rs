//! Tests how events of a watch are read, and which events are refused.

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
        let _ = WatchEvent::parse(&line, Encoding::Json, Representation::Object);
        let node = Encoding::Protobuf(message_of("v1", "Node").unwrap());
        let _ = WatchEvent::parse(&line, node, Representation::Object);
        let event = encode::watch_event(&kind, &line);
        let _ = WatchEvent::parse(&event[4..], node, Representation::Object);
        let mut framed = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        framed.extend_from_slice(&line);
        let _ = WatchEvent::parse(&framed, Encoding::Json, Representation::Object);
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
    let mut splitter = JsonList::new(None, representation);
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
    match WatchEvent::parse(event, Encoding::Json, representation) {
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
        match WatchEvent::parse(line.as_bytes(), Encoding::Json, Representation::Object) {
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
        match WatchEvent::parse(line.as_bytes(), Encoding::Json, Representation::Object) {
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
fn bookmarks_with_only_metadata_are_accepted_only_if_they_were_requested() {
    let object = json!({ "metadata": { "resourceVersion": "5" }, "kind": PARTIAL });
    let line = json!({ "type": "BOOKMARK", "object": object }).to_string();
    for (requested, is_accepted) in [
        (Representation::Metadata, true),
        (Representation::Table, false),
        (Representation::Object, false),
    ] {
        match WatchEvent::parse(line.as_bytes(), Encoding::Json, requested) {
            Ok(WatchEvent::Bookmark { .. }) => assert!(is_accepted, "{requested:?}"),
            other => {
                assert_eq!(other.unwrap_err(), InvalidEvent::OnlyMetadata);
                assert!(!is_accepted, "{requested:?}");
            }
        }
    }
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
        let parsed = WatchEvent::parse(line.as_bytes(), Encoding::Json, Representation::Object);
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
    WatchEvent::parse(
        &frame[4..],
        Encoding::Protobuf(node),
        Representation::Object,
    )
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
    let end =
        json!({ "resourceVersion": "7", "annotations": { "k8s.io/initial-events-end": "true" } });
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
    let status = json!({ "apiVersion": "v1", "kind": "Status", "code": 410, "reason": "Expired" });
    let error = frame("ERROR", &status);
    let error = format!("{:?}", parse(&error));
    assert!(error.contains("code: 410"), "{error}");

    // The decoder of nodes must accept the kind `PartialObjectMetadata`, which partial objects have.
    let named = json!({ "metadata": { "name": "a" } });
    let raw = encode::message(message_of("v1", "Node").unwrap(), &named).unwrap();
    let partial = encode::envelope("meta.k8s.io/v1", PARTIAL, &raw);
    let partial = encode::watch_event("ADDED", &partial);
    let node = Encoding::Protobuf(message_of("v1", "Node").unwrap());
    match WatchEvent::parse(&partial[4..], node, Representation::Metadata) {
        Ok(WatchEvent::Object(EventKind::Added, object)) => assert_eq!(object.bytes(), raw),
        other => panic!("{other:?}"),
    }
    assert_eq!(parse(&partial).unwrap_err(), InvalidEvent::OnlyMetadata);
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
