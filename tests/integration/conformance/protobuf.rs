//! Tests that the objects of the conformance cases have the same samples in protobuf as in JSON. A *case* is an object
//! with its expected samples (see `conformance.rs`). The encoder of the Kubernetes API has written the protobuf.
//!
//! The Kubernetes API does not accept the objects of all cases. The files in `tests/conformance/protobuf` contain the
//! accepted objects.

pub(super) mod random;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Resource;
use kube_protobuf::{Envelope, Error, encode};
use kube_state_metrics::resource::{CollectedResource, StaticScope};
use kube_state_metrics::{BuiltIn, Collector};
use serde::Deserialize;
use serde_json::Value;

use super::pruning::Alone;
use super::{Case, Wire, builder, cases, difference, lines, lines_of};

#[derive(Deserialize)]
struct Encoded {
    case: String,
    protobuf: String,
}

/// Returns the cases whose objects are also available in protobuf.
fn encoded_cases(resource: &str) -> Vec<Case> {
    let path = format!(
        "{}/tests/conformance/protobuf/{resource}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let encoded = text.lines().map(|line| {
        let Encoded { case, protobuf } = serde_json::from_str(line).unwrap();
        (case, STANDARD.decode(protobuf).unwrap())
    });
    let mut encoded: BTreeMap<_, _> = encoded.collect();
    let mut cases = cases(resource);
    for case in &mut cases {
        case.protobuf = encoded.remove(&case.case);
    }
    assert!(encoded.is_empty(), "{path} has other cases: {encoded:?}");
    cases.retain(|case| case.protobuf.is_some());
    assert!(!cases.is_empty(), "{path} has no cases");
    cases
}

pub(crate) fn run<K>(resource: BuiltIn, collector: fn() -> Collector<K>)
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    let mut failures = String::new();
    let mut alone = Alone::new(resource, &collector());
    for case in encoded_cases(resource.name()) {
        let difference = difference(resource.name(), &case, Wire::Protobuf);
        let is_rounded = difference.is_some() && is_rounded(resource.name(), &case);
        if let Some(difference) = difference.filter(|_| !is_rounded) {
            let _ = writeln!(failures, "{}\n{difference}", case.case);
            continue;
        }
        // Each store in `alone` has one family, so that the decoder reads only the fields that this family declares.
        for (_, metrics) in alone.of(&case) {
            let (json, protobuf) = (
                lines(metrics, &case),
                lines_of(metrics, &case, Wire::Protobuf),
            );
            if json != protobuf && !is_rounded {
                let _ = writeln!(failures, "{}: {json:#?} in JSON, {protobuf:#?}", case.case);
            }
        }
        if let Err(difference) = typed::<K>(&case) {
            let _ = writeln!(failures, "{}: {difference}", case.case);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Whether the samples of a case differ between protobuf and JSON only because of a rounded quantity. The Kubernetes
/// API rounds quantities when it writes protobuf. So the function compares the samples from the protobuf with the
/// samples of the rounded object in JSON.
fn is_rounded(resource: &str, case: &Case) -> bool {
    if !case.case.contains("quantity") {
        return false;
    }
    let object = decoded(bytes_of(case)).unwrap();
    let mut rounded = Case {
        object: serde_json::value::to_raw_value(&object).unwrap(),
        decode_error: None,
        ..case.clone()
    };
    let metrics = builder(resource, case).build().unwrap();
    rounded.samples = lines(&metrics, &rounded).unwrap();
    difference(resource, &rounded, Wire::Protobuf).is_none()
}

/// Returns the object of a case in protobuf. Panics if the case has no protobuf.
fn bytes_of(case: &Case) -> &[u8] {
    case.protobuf.as_deref().unwrap()
}

/// Returns an object in protobuf, or the reason why the Kubernetes API would refuse the object.
fn encoded(resource: BuiltIn, mut object: Value) -> Result<Vec<u8>, String> {
    object["apiVersion"] = resource.info().api_version().into();
    object["kind"] = resource.info().kind().into();
    let encoded = encode::object(&object).unwrap();
    encoded.map_err(|error| error.to_string())
}

/// Returns the JSON of an object, as an API server would write it.
fn decoded(protobuf: &[u8]) -> Result<Value, Error> {
    Envelope::parse(protobuf)?.object().unwrap().to()
}

/// Decodes an object to its API type twice: from protobuf, and from JSON with the same fields. Compares both results.
fn typed<K: CollectedResource>(case: &Case) -> Result<(), String> {
    let object = Envelope::parse(bytes_of(case)).unwrap().object().unwrap();
    let value = object.to().unwrap();
    let (from_json, read) = (serde_json::from_value::<K>(value), object.to::<K>());
    match (from_json, read) {
        (Ok(json), Ok(read)) if format!("{json:?}") == format!("{read:?}") => Ok(()),
        (Err(_), Err(_)) => Ok(()),
        (json, read) => Err(format!("{json:?} from JSON, {read:?}")),
    }
}

/// Whether two values differ at most in the notation of quantities. For example, the Kubernetes API writes `0.1` as
/// `100m`.
fn is_same(one: &Value, other: &Value) -> bool {
    let is_quantity =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.keys().eq(other.keys())
                && one.values().zip(other.values()).all(|(a, b)| is_same(a, b))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
        }
        (Value::String(_), Value::String(api)) if is_quantity(api) => true,
        _ => one == other,
    }
}

#[test]
fn the_encoder_of_the_tests_writes_what_the_api_writes() {
    let (mut same, mut different) = (0, String::new());
    for resource in BuiltIn::ALL {
        for case in encoded_cases(resource.name()) {
            let json = serde_json::from_str(case.object.get()).unwrap();
            let encoded = encoded(*resource, json);
            if encoded.as_ref().ok() == case.protobuf.as_ref() {
                same += 1;
                continue;
            }
            let expected = decoded(bytes_of(&case)).unwrap();
            let encoded = encoded.map(|bytes| decoded(&bytes).unwrap());
            if !encoded
                .as_ref()
                .is_ok_and(|encoded| is_same(encoded, &expected))
            {
                let _ = writeln!(different, "{expected}\n{encoded:?}");
            }
        }
    }
    // Some cases are not equal, because their JSON has a different notation of quantities or of managed fields.
    assert!(same > 1600, "only {same} cases are equal");
    assert!(different.is_empty(), "{different}");
}
