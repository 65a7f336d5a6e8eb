//! Tests every time field of every resource with the earliest and the latest possible times.
//!
//! The test replaces all times in the objects of the conformance cases. In this file, a *family of times* is a family
//! whose value is a time from the object.

use std::collections::BTreeSet;

use kube_state_metrics::BuiltIn;
use kube_state_metrics::families::catalogue::catalogue;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::{Case, builder, cases, lines};

/// Families whose value is computed from times of the object.
const DERIVED: [&str; 1] = ["kube_cronjob_next_schedule_time"];

/// A family that has no samples for times before 1970.
const POSITIVE: &str = "kube_pod_completion_time";

/// Times in the second that begins with Go's zero time. For these times, a family of times has no sample.
const UNSET: [&str; 5] = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00.000001Z",
    "0001-01-01T00:00:00.999999999Z",
    "0001-01-01T01:00:00+01:00",
    "0001-01-01T05:30:00.5+05:30",
];

/// Times, each with its exact value in Unix seconds as in an exposition.
const EXACT: [(&str, &str); 9] = [
    ("0000-12-31T23:59:59.999999Z", "-6.2135596801e+10"),
    ("0001-01-01T00:00:01.000000Z", "-6.2135596799e+10"),
    ("1970-01-01T00:00:00.000000Z", "0"),
    ("9999-12-30T22:00:00.000000Z", "2.534022072e+11"),
    ("9999-12-30T22:00:00.999999Z", "2.534022072e+11"),
    ("9999-12-30T22:00:01.000000Z", "2.53402207201e+11"),
    ("9999-12-31T23:59:59.000000Z", "2.53402300799e+11"),
    ("9999-12-31T23:59:59.999999Z", "2.53402300799e+11"),
    ("9999-12-31T23:59:59.000000-02:00", "2.53402307999e+11"),
];

fn is_time(text: &str) -> bool {
    text.len() >= 19 && text.get(10..11) == Some("T") && text.get(4..5) == Some("-")
}

/// Replaces each time in a JSON value.
fn replace(value: &mut Value, time: &str) {
    match value {
        Value::String(text) if is_time(text) => time.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, time)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, time)),
        _ => {}
    }
}

/// Replaces each time in a case, and adds the time fields that every object can have.
fn with_time(case: &Case, time: &str) -> Option<Case> {
    let mut object: Value = serde_json::from_str(case.object.get()).ok()?;
    replace(&mut object, time);
    let metadata = object.as_object_mut()?.entry("metadata");
    let metadata = metadata.or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    for name in ["creationTimestamp", "deletionTimestamp"] {
        metadata.as_object_mut()?.insert(name.into(), time.into());
    }
    Some(Case {
        case: case.case.clone(),
        object: to_raw_value(&object).unwrap(),
        samples: Vec::new(),
        decode_error: None,
        allow_labels: Vec::new(),
        allow_annotations: Vec::new(),
        protobuf: None,
    })
}

/// Returns the name and the labels of each sample with this value.
fn with_value(lines: &[String], value: &str) -> BTreeSet<String> {
    let series = |line: &String| {
        let (series, own) = line.rsplit_once(' ')?;
        (own == value).then(|| series.to_owned())
    };
    lines.iter().filter_map(series).collect()
}

fn family(series: &str) -> &str {
    series.split(['{', ' ']).next().unwrap_or_default()
}

/// Checks all objects of a resource, and returns its families of times.
fn check(resource: BuiltIn) -> BTreeSet<String> {
    let mut families = BTreeSet::new();
    let cases = cases(resource.name());
    let first = with_time(&cases[0], UNSET[0]).unwrap();
    let metrics = builder(resource.name(), &first).build().unwrap();
    for case in cases {
        let samples = |time: &str| lines(&metrics, &with_time(&case, time)?).ok();
        let usual = |time: &str, value: &str| Some(with_value(&samples(time)?, value));
        // The case is skipped if its object does not decode.
        let Some(first) = usual("2024-03-05T08:15:30.000000Z", "1.70962653e+09") else {
            continue;
        };
        let second = usual("2024-03-05T08:15:31.000000Z", "1.709626531e+09").unwrap();
        let series: BTreeSet<_> = first.intersection(&second).cloned().collect();
        for time in UNSET {
            for line in samples(time).unwrap() {
                let (own, _) = line.rsplit_once(' ').unwrap();
                assert!(!series.contains(own), "{}: {time} gives {line}", case.case);
                assert!(
                    !line.contains(" -6.2"),
                    "{}: {time} gives {line}",
                    case.case
                );
            }
        }
        for (time, value) in EXACT {
            let exact = with_value(&samples(time).unwrap(), value);
            let has_value = |series: &&String| {
                let is_positive = value.starts_with("2.5");
                is_positive || family(series) != POSITIVE
            };
            let missing: Vec<_> = series.difference(&exact).filter(has_value).collect();
            assert!(
                missing.is_empty(),
                "{}: {time} lacks {missing:?}",
                case.case
            );
        }
        families.extend(series.iter().map(|series| family(series).to_owned()));
    }
    families
}

#[test]
fn every_time_field_is_unset_in_year_1_and_exact_until_the_year_9999() {
    let mut families = BTreeSet::new();
    for resource in BuiltIn::ALL {
        families.extend(check(*resource));
    }
    let reads_time = |path: &str| {
        ["Time", "Timestamp", "At"]
            .iter()
            .any(|end| path.ends_with(end))
    };
    for entry in catalogue() {
        let name = entry.descriptor.name();
        let mut reads = entry.descriptor.reads().into_iter().flatten();
        if reads.any(reads_time) && !DERIVED.contains(&name) {
            assert!(families.contains(name), "no object has a time for {name}");
        }
    }
}
