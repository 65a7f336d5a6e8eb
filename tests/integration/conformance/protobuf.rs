//! The cases in protobuf, as the API's own encoder writes them, yield the same samples as in JSON.
//!
//! The files of `tests/conformance/protobuf` have an object for each case that the API accepts.

pub(super) mod random;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Resource;
use kube_protobuf::{Envelope, encode};
use kube_state_metrics::resource::{CollectedResource, StaticScope};
use kube_state_metrics::{BuiltIn, Collector};
use serde::Deserialize;
use serde_json::Value;

use super::{Case, Wire, builder, cases, difference, lines, lines_of, pruning};

#[derive(Deserialize)]
struct Encoded {
    case: String,
    protobuf: String,
}

/// The cases that have protobuf.
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
    let names: Vec<String> = collector()
        .iter()
        .map(|own| own.descriptor().name().into())
        .collect();
    let mut failures = String::new();
    let mut alone = BTreeMap::new();
    for case in encoded_cases(resource.name()) {
        let difference = difference(resource.name(), &case, Wire::Protobuf);
        let is_rounded = difference.is_some() && is_rounded(resource.name(), &case);
        if let Some(difference) = difference.filter(|_| !is_rounded) {
            let _ = writeln!(failures, "{}\n{difference}", case.case);
            continue;
        }
        // Each family alone, so that only the fields are decoded that it declares.
        let allowlists = (case.allow_labels.clone(), case.allow_annotations.clone());
        let alone = alone.entry(allowlists).or_insert_with(|| {
            let only = |name: &String| pruning::only(resource, name, &case);
            names.iter().map(only).collect::<Vec<_>>()
        });
        for metrics in alone {
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

/// Whether a case has a quantity that the API rounds when it writes it, in both encodings. The samples are
/// those of the rounded quantity in JSON.
fn is_rounded(resource: &str, case: &Case) -> bool {
    let mut rounded = Case {
        case: case.case.clone(),
        object: serde_json::value::to_raw_value(&value_of(case)).unwrap(),
        samples: Vec::new(),
        decode_error: None,
        allow_labels: case.allow_labels.clone(),
        allow_annotations: case.allow_annotations.clone(),
        protobuf: case.protobuf.clone(),
    };
    let metrics = builder(resource, case).build().unwrap();
    rounded.samples = lines(&metrics, &rounded).unwrap();
    case.case.contains("quantity") && difference(resource, &rounded, Wire::Protobuf).is_none()
}

/// The object of a case as JSON.
fn value_of(case: &Case) -> Value {
    let bytes = case.protobuf.as_deref().unwrap_or_default();
    Envelope::parse(bytes)
        .unwrap()
        .object()
        .unwrap()
        .to()
        .unwrap()
}

/// Compares the object of the API's own type with the one that is read from the same fields as JSON.
fn typed<K: CollectedResource>(case: &Case) -> Result<(), String> {
    let bytes = case.protobuf.as_deref().unwrap_or_default();
    let object = Envelope::parse(bytes).unwrap().object().unwrap();
    let value = value_of(case);
    let (from_json, read) = (serde_json::from_value::<K>(value), object.to::<K>());
    match (from_json, read) {
        (Ok(json), Ok(read)) if format!("{json:?}") == format!("{read:?}") => Ok(()),
        (Err(_), Err(_)) => Ok(()),
        (json, read) => Err(format!("{json:?} from JSON, {read:?}")),
    }
}

/// Whether two values differ only in texts of quantities, which the API rewrites to `100m` from `0.1`.
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
            let mut json: Value = serde_json::from_str(case.object.get()).unwrap();
            json["apiVersion"] = resource.info().api_version().into();
            json["kind"] = resource.info().kind().into();
            let encoded = encode::object(&json)
                .unwrap()
                .map_err(|error| error.to_string());
            if encoded.as_ref().ok() == case.protobuf.as_ref() {
                same += 1;
                continue;
            }
            let expected = value_of(&case);
            let encoded = encoded.map(|bytes| {
                value_of(&Case {
                    protobuf: Some(bytes),
                    ..case
                })
            });
            if !encoded
                .as_ref()
                .is_ok_and(|encoded| is_same(encoded, &expected))
            {
                let _ = writeln!(different, "{expected}\n{encoded:?}");
            }
        }
    }
    // The others have quantities or managed fields in another notation.
    assert!(same > 1600, "only {same} cases are equal");
    assert!(different.is_empty(), "{different}");
}
