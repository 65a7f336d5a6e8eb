//! Tests that random objects have the same samples in protobuf and in JSON. Also tests that the store counts an error
//! for damaged bytes.

use std::cell::Cell;

use kube_state_metrics::exposition::Format;
use kube_state_metrics::families::catalogue::catalogue;
use kube_state_metrics::store::{DecodeError, DecodeReason};
use kube_state_metrics::{BuiltIn, StateMetrics};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::super::properties::{bytes, check, forget_all, metrics};
use super::super::shape::{Oddity, Shape};
use super::{decoded, encoded};

/// The number of objects per resource.
const CASES: u32 = 64;

/// Feeds random objects of a resource in both encodings, and then damaged bytes of the same objects.
pub(crate) fn run(resource: BuiltIn) {
    let catalogue = catalogue().into_iter();
    let catalogue: Vec<_> = catalogue.filter(|own| own.resource == resource).collect();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let compared = Cell::new(0);
    let object = Shape::of(resource).strategy(Oddity::Values);
    let changes = vec((any::<Index>(), any::<u8>()), 0..3);
    let inputs = (object, changes, any::<Index>());
    let outcome = TestRunner::new(config).run(&inputs, |(object, changes, end)| {
        // Objects that cannot be encoded are skipped. The Kubernetes API refuses such objects, for example if a 32-bit
        // field has a larger integer.
        let Ok(mut protobuf) = encoded(resource, object) else {
            return Ok(());
        };
        let metrics = metrics(resource);
        let mut writers = metrics.feeds();
        let writer = &mut writers[0];
        if let Ok(json) = decoded(&protobuf) {
            let of_json = writer.apply_json(json.to_string().as_bytes());
            let json_text = bytes(&metrics, Format::Text);
            forget_all(&mut **writer);
            let of_protobuf = writer.apply_protobuf(&protobuf);
            let protobuf_text = bytes(&metrics, Format::Text);
            prop_assert_eq!(reason(&of_protobuf), reason(&of_json));
            prop_assert_eq!(
                String::from_utf8_lossy(&protobuf_text),
                String::from_utf8_lossy(&json_text)
            );
            compared.set(compared.get() + 1);
        }
        for (at, byte) in changes {
            let at = at.index(protobuf.len());
            protobuf[at] = byte;
        }
        protobuf.truncate(end.index(2 * protobuf.len()));
        let before = errors(&metrics);
        let applied = writer.apply_protobuf(&protobuf);
        let [syntax, field] = errors(&metrics);
        let counted = [syntax - before[0], field - before[1]];
        let expected = match reason(&applied) {
            None => [0, 0],
            Some(DecodeReason::Syntax) => [1, 0],
            Some(_) => [0, 1],
        };
        prop_assert_eq!(counted, expected);
        check(&metrics, &catalogue).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // Many random objects are skipped. For example, many pods have a quantity or a time that cannot be encoded.
    let compared = compared.get();
    assert!(compared * 8 > CASES, "only {compared} objects are compared");
}

fn reason(applied: &Result<(), DecodeError>) -> Option<DecodeReason> {
    applied.as_ref().err().map(DecodeError::reason)
}

/// Returns the number of objects with invalid syntax and the number of objects with invalid fields.
fn errors(metrics: &StateMetrics) -> [u64; 2] {
    let stats = metrics.stores()[0].stats();
    [stats.decode_syntax_errors, stats.decode_field_errors]
}

/// A node that has only the name `a`.
const NODE: &[u8] = b"\x0a\x03\x0a\x01a";

#[test]
fn hostile_bytes_are_counted_errors() {
    let metrics = metrics(BuiltIn::Nodes);
    let mut writers = metrics.feeds();
    let writer = &mut writers[0];
    let mut counted = 0;
    for (after_metadata, problem) in [
        (
            &b"\x12\x7f"[..],
            "a length exceeds the number of bytes that follow",
        ),
        // In the first object, the length of the spec is 1 GiB. In the second object, this length is 2^63 - 1 bytes.
        (
            b"\x12\x80\x80\x80\x80\x04xyz",
            "a length exceeds the number of bytes that follow",
        ),
        (
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            "a length exceeds the number of bytes that follow",
        ),
        (
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "a number has more than 64 bits",
        ),
        (
            b"\x13\x0a\x01x\x14",
            "a field is a group, which the API does not use",
        ),
        (b"\x10\x01", "a field has the wrong wire type"),
        (b"\x02\x00", "a tag is invalid"),
    ] {
        writer.apply_protobuf(NODE).unwrap();
        let bytes = [NODE, after_metadata].concat();
        let error = writer.apply_protobuf(&bytes).unwrap_err();
        counted += 1;
        assert_eq!(errors(&metrics), [counted, 0]);
        let message = error.to_string();
        assert!(message.contains("not valid protobuf: "), "{message}");
        assert!(message.contains(problem), "{message}");
        // If the name of the object is unreadable, the store keeps the last samples of the object. After such an error,
        // the feeder must list the objects again.
        let stays = u64::from(error.identity().is_none());
        assert_eq!(metrics.stores()[0].stats().objects, stays);
    }
    // The time of creation is 2^63 - 1 seconds after 1970, which is not a valid time. The name is readable.
    let metadata = b"\x0a\x0f\x0a\x01a\x42\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    let error = writer.apply_protobuf(metadata).unwrap_err();
    assert_eq!((error.reason(), error.object()), (DecodeReason::Field, "a"));
    assert_eq!(errors(&metrics), [counted, 1]);
    assert_eq!(metrics.stores()[0].stats().objects, 0);
}

#[test]
fn nested_bytes_do_not_exhaust_the_stack() {
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        let length = nested.len();
        // The length is always encoded in three bytes, although short lengths could be encoded in fewer bytes.
        let byte = |shift: usize| (length >> shift & 0x7f) as u8;
        let mut outer = vec![0x12, byte(0) | 0x80, byte(7) | 0x80, byte(14)];
        outer.append(&mut nested);
        nested = outer;
    }
    let metrics = metrics(BuiltIn::Nodes);
    let mut writers = metrics.feeds();
    // The decoder follows only fields that the protobuf tables of the crate kube-protobuf contain. A node's spec has no
    // field that contains a spec, so the decoder does not follow the nested messages.
    writers[0]
        .apply_protobuf(&[NODE, &nested].concat())
        .unwrap();
    assert_eq!(metrics.stores()[0].stats().objects, 1);
}
