//! Tests the decoder with random objects of every kind and with malformed bytes. The expected values come from a
//! separate implementation of the API's JSON (`model`).

mod disorder;
mod model;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::schema::{Message, Type};
use crate::tables::{ALL, KINDS};
use crate::{
    Envelope, FrameReader, ListReader, Malformed, Object, ObjectStart, WatchEvent, encode,
    message_of,
};
use model::{Random, expected, random};

fn read(message: &'static Message, bytes: &[u8]) -> Value {
    Object::new(message, bytes).to().unwrap()
}

/// Returns a random object of a random kind, and the table of the kind.
fn random_object(kind: usize, seed: u64) -> (&'static Message, Value) {
    let message = KINDS[kind % KINDS.len()].message;
    (message, random(message, &mut Random::new(seed)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_objects_are_what_the_api_writes_as_json(kind: usize, seed: u64) {
        let (message, json) = random_object(kind, seed);
        let bytes = encode::message(message, &json).unwrap();
        prop_assert_eq!(read(message, &bytes), expected(message, &json));
    }

    #[test]
    fn the_order_of_fields_and_parts_of_messages_do_not_matter(kind: usize, seed: u64) {
        let (message, json) = random_object(kind, seed);
        let bytes = encode::message(message, &json).unwrap();
        let mixed = disorder::mixed(message, &bytes, &mut Random::new(!seed));
        prop_assert_eq!(read(message, &mixed), read(message, &bytes));
    }

    #[test]
    fn damaged_objects_are_harmless(kind: usize, seed: u64, at: usize, byte: u8, cut: usize) {
        let (message, json) = random_object(kind, seed);
        let mut bytes = encode::message(message, &json).unwrap();
        let length = bytes.len();
        if length > 0 {
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
        }
        let _ = Object::new(message, &bytes).to::<Value>();
    }

    #[test]
    fn any_bytes_are_harmless(kind: usize, bytes: Vec<u8>, size in 1_usize..40) {
        let message = KINDS[kind % KINDS.len()].message;
        let _ = Object::new(message, &bytes).to::<Value>();
        let _ = WatchEvent::parse(&bytes);
        let prefixed = [&crate::PREFIX[..], &bytes].concat();
        let _ = Envelope::parse(&prefixed);
        let (mut list, mut frames) = (ListReader::default(), FrameReader::default());
        for chunk in prefixed.chunks(size) {
            if list.feed(chunk, |_| {}).is_err() { break; }
        }
        let _ = list.finish();
        let _ = frames.feed(&bytes, |_| Ok::<_, Malformed>(()));
    }
}

#[test]
fn no_message_contains_itself_and_fields_are_sorted() {
    fn depth(message: &'static Message, around: &mut Vec<&'static str>) -> usize {
        assert!(around.len() < 40, "{around:?}");
        around.push(message.name());
        let below = message.fields.iter().map(|field| match field.content {
            Type::Message(below) => depth(below, around),
            _ => 0,
        });
        let deepest = below.max().unwrap_or_default();
        around.pop();
        deepest + 1
    }
    for message in ALL {
        assert!(depth(message, &mut Vec::new()) < 20, "{}", message.name());
        assert!(
            message.fields.is_sorted_by_key(|field| field.number),
            "{}",
            message.name()
        );
        let numbers: BTreeSet<_> = message.fields.iter().map(|field| field.number).collect();
        assert_eq!(numbers.len(), message.fields.len(), "{}", message.name());
    }
    assert!(KINDS.is_sorted_by_key(|kind| (kind.api_version, kind.kind)));
    assert_eq!(KINDS.len(), 39);
}

#[test]
fn zero_values_are_kept_behind_pointers_only() {
    let deployment = message_of("apps/v1", "Deployment").unwrap();
    let json = json!({ "spec": { "replicas": 0, "minReadySeconds": 0, "paused": false } });
    let value = read(deployment, &encode::message(deployment, &json).unwrap());
    assert_eq!(value["spec"]["replicas"], 0);
    assert_eq!(value["spec"].get("minReadySeconds"), None);
    assert_eq!(value["spec"].get("paused"), None);
    assert_eq!(value["metadata"], json!({}));
}

#[test]
fn inline_messages_are_part_of_the_message_around_them() {
    let pod = message_of("v1", "Pod").unwrap();
    let json = json!({ "spec": { "volumes": [
        { "name": "v", "configMap": { "name": "settings", "optional": false } },
    ] } });
    let value = read(pod, &encode::message(pod, &json).unwrap());
    assert_eq!(value["spec"]["volumes"], json["spec"]["volumes"]);
    assert!(pod.contains(["spec", "volumes", "configMap", "name"]));
    assert!(pod.contains(["metadata", "labels", "any"]));
    assert!(!pod.contains(["spec", "volumes", "nothing"]));
}

#[test]
fn map_entries_may_lack_the_key_or_the_value_and_have_them_in_any_order() {
    let config = message_of("v1", "ConfigMap").unwrap();
    for (entry, expected) in [
        (&b"\x0a\x01k\x12\x01v"[..], json!({ "k": "v" })),
        (b"\x12\x01v\x0a\x01k", json!({ "k": "v" })),
        (b"\x0a\x01k", json!({ "k": "" })),
        (b"\x12\x01v", json!({ "": "v" })),
        (b"", json!({ "": "" })),
        (b"\x0a\x01k\x12\x01v\x12\x01w", json!({ "k": "w" })),
    ] {
        let mut bytes = Vec::new();
        crate::canonical::put_bytes(2, entry, &mut bytes);
        assert_eq!(read(config, &bytes)["data"], expected, "{entry:?}");
        let rewritten = crate::canonical::rewritten(config, &bytes).unwrap();
        assert_eq!(read(config, &rewritten)["data"], expected, "{entry:?}");
    }
}

#[test]
fn numbers_may_be_packed() {
    let pod = message_of("v1", "Pod").unwrap();
    // spec.securityContext.supplementalGroups is encoded in two records: a packed record with 1 and 300, then a record
    // with 2.
    let groups = b"\x22\x03\x01\xac\x02\x20\x02";
    let (mut context, mut spec) = (Vec::new(), Vec::new());
    crate::canonical::put_bytes(14, groups, &mut context);
    crate::canonical::put_bytes(2, &context, &mut spec);
    let value = read(pod, &spec);
    assert_eq!(
        value["spec"]["securityContext"]["supplementalGroups"],
        json!([1, 300, 2])
    );
}

#[test]
fn hostile_bytes_are_errors_with_the_path() {
    let pod = message_of("v1", "Pod").unwrap();
    for (bytes, problem) in [
        (&b"\x12\xff\xff\xff\xff\x0f"[..], Malformed::Truncated),
        (
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            Malformed::Number,
        ),
        (b"\x13\x14", Malformed::Group),
        (b"\x02\x00", Malformed::Tag),
        (b"\x17\x00", Malformed::Tag),
        (b"\x10\x01", Malformed::WireType),
    ] {
        let error = Object::new(pod, bytes).to::<Value>().unwrap_err();
        assert_eq!(error.problem(), problem.to_string());
        assert!(!error.is_data());
    }
    // In these bytes, the field spec.containers[0].image is a number.
    let error = Object::new(pod, b"\x12\x04\x12\x02\x10\x01")
        .to::<Value>()
        .unwrap_err();
    assert_eq!(error.path(), "spec.containers[0]");
    // If the deserialized type does not read a message, the deserializer skips the message and does not check its
    // fields.
    Object::new(pod, b"\x12\x02\x13\x14")
        .to::<IgnoredAny>()
        .unwrap();
}

#[test]
fn a_list_of_too_many_messages_is_an_error() {
    let policy = message_of("networking.k8s.io/v1", "NetworkPolicy").unwrap();
    let rules = b"\x12\x00".repeat(1 << 19);
    let mut bytes = Vec::new();
    crate::canonical::put_bytes(2, &rules, &mut bytes);
    let error = Object::new(policy, &bytes).to::<Value>().unwrap_err();
    assert_eq!(error.problem(), Malformed::TooLarge.to_string());
}

#[test]
fn only_objects_of_a_usual_size_are_rewritten() {
    let config = message_of("v1", "ConfigMap").unwrap();
    // In the encoded bytes, the field `data` comes before the field `metadata`, although `metadata` has the lower
    // number.
    let out_of_order = |size: usize| {
        let (mut entry, mut bytes) = (Vec::new(), Vec::new());
        crate::canonical::put_bytes(2, &vec![b'x'; size], &mut entry);
        crate::canonical::put_bytes(2, &entry, &mut bytes);
        crate::canonical::put_bytes(1, b"\x0a\x01a", &mut bytes);
        bytes
    };
    assert_eq!(
        read(config, &out_of_order(1 << 20))["metadata"]["name"],
        "a"
    );
    let bytes = out_of_order(4 << 20);
    let error = Object::new(config, &bytes).to::<Value>().unwrap_err();
    assert_eq!(error.problem(), Malformed::TooLarge.to_string());
}

#[test]
fn a_list_is_cut_the_same_however_its_bytes_arrive() {
    let items = [
        json!({ "metadata": { "name": "a" } }),
        json!({}),
        json!({ "metadata": { "name": "b" } }),
    ];
    let meta = json!({ "resourceVersion": "7", "continue": "t" });
    let bytes = encode::list("v1", "Node", &meta, &items).unwrap().unwrap();
    let node = message_of("v1", "Node").unwrap();
    for size in 1..=bytes.len() {
        let (mut list, mut names, mut object) = (ListReader::default(), Vec::new(), Vec::new());
        for chunk in bytes.chunks(size) {
            let fed = list.feed(chunk, |piece| {
                object.extend_from_slice(piece.bytes);
                if piece.left == 0 {
                    names.push(read(node, &object)["metadata"]["name"].clone());
                    object.clear();
                }
            });
            fed.unwrap();
        }
        let end = list.finish().unwrap();
        assert_eq!(
            names,
            [json!("a"), Value::Null, json!("b")],
            "chunks of {size}"
        );
        assert_eq!(end.kind(), "NodeList");
        assert_eq!(end.meta().to::<Value>().unwrap(), meta);
    }
    for end in 0..bytes.len() - 4 {
        let mut list = ListReader::default();
        let fed = list.feed(&bytes[..end], |_| {});
        assert!(fed.is_err() || list.finish().is_err(), "cut at {end}");
    }
}

#[test]
fn a_watch_is_cut_the_same_however_its_bytes_arrive() {
    let object = |name: &str| {
        let json = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
        encode::object(&json).unwrap().unwrap()
    };
    let events = [("ADDED", object("a")), ("DELETED", object("b"))];
    let bytes: Vec<u8> = events
        .iter()
        .flat_map(|(kind, object)| encode::watch_event(kind, object))
        .collect();
    for size in 1..=bytes.len() {
        let (mut frames, mut names, mut frame) = (FrameReader::default(), Vec::new(), Vec::new());
        for chunk in bytes.chunks(size) {
            let fed = frames.feed(chunk, |piece| {
                frame.extend_from_slice(piece.bytes);
                if piece.left > 0 {
                    return Ok(());
                }
                let event = WatchEvent::parse(&frame)?;
                let node: Value = Envelope::parse(event.object())?
                    .object()
                    .unwrap()
                    .to()
                    .unwrap();
                names.push(format!("{} {}", event.kind(), node["metadata"]["name"]));
                frame.clear();
                Ok::<_, Malformed>(())
            });
            fed.unwrap();
        }
        assert_eq!(names, ["ADDED \"a\"", "DELETED \"b\""], "chunks of {size}");
    }
}

#[test]
fn the_start_of_an_object_tells_its_name() {
    let pod = message_of("v1", "Pod").unwrap();
    // The annotations come last in the metadata, so the start of the object already contains the name, the namespace
    // and the version.
    let metadata = json!({
        "name": "a", "namespace": "b", "resourceVersion": "7", "annotations": { "x": "long" },
    });
    let json = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": { "nodeName": "n" } });
    let item = encode::message(pod, &json).unwrap();
    let frame = encode::watch_event("ADDED", &encode::object(&json).unwrap().unwrap());
    let event = &frame[4..];
    let names = |start: ObjectStart<'_>| {
        [start.namespace, start.name, start.resource_version].map(str::to_owned)
    };
    let known = ["b", "a", "7"];
    for (whole, read) in [
        (&item[..], crate::item_start as fn(&[u8]) -> ObjectStart<'_>),
        (event, crate::event_start),
    ] {
        let after = whole.windows(2).rposition(|pair| pair == b"\x017").unwrap() + 2;
        for end in 0..=whole.len() {
            let names = names(read(&whole[..end]));
            assert_eq!(names == known, end >= after, "{end}: {names:?}");
            let so_far = names.iter().zip(known);
            for (name, known) in so_far {
                assert!(name.is_empty() || name == known, "{end}: {names:?}");
            }
        }
    }
    for end in 0..event.len() {
        let kind = crate::event_start(&event[..end]).event;
        assert_eq!(kind, if end < 7 { "" } else { "ADDED" });
    }
}
