//! Tests the cases of tests/conformance/crs.jsonl and crs_specification.jsonl. A case has a configuration,
//! objects, and the expected samples.
//!
//! The cases of crs.jsonl were written for this project. Each case tests a sentence of the specification of Custom
//! Resource State metrics. The expected samples were derived from the sentence by hand. This crate does not copy some
//! bugs of kube-state-metrics: repeated series, inexact quantities and invalid names. The cases for these bugs have the
//! correct result.
//!
//! The cases of crs_specification.jsonl come from the specification. In these cases, several objects have the same
//! namespace and name, but different uids. They would replace each other in one store, so each object has a separate
//! store.
//!
//! A case has the keys `case`, `config`, `objects`, `metricAllowlist`, `metricDenylist`, `crds`, and either `samples`
//! or `error: true`. These keys are optional:
//! - `crds`: the kinds that the cluster serves. Without this key, the cluster serves every kind of the objects and of
//!   the configuration.
//! - `ordered`: if true, the order of the samples is also compared.
//! - `alternatives`: other correct results.
//! - `exact`: if true, the case also has the `families` in their order, and the number of `loggedErrors`.
//! - `gist`: a description of the case.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::custom_resources::{Config, KnownKind};
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    case: String,
    config: String,
    #[serde(default)]
    objects: Vec<Box<RawValue>>,
    crds: Option<Vec<Value>>,
    #[serde(default)]
    metric_allowlist: Vec<String>,
    #[serde(default)]
    metric_denylist: Vec<String>,
    #[serde(default)]
    samples: Vec<String>,
    #[serde(default)]
    alternatives: Vec<Value>,
    #[serde(default)]
    error: bool,
    #[serde(default)]
    families: Vec<Value>,
    #[serde(default)]
    logged_errors: u64,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    ordered: bool,
}

/// The result of a case.
#[derive(Default)]
struct Outcome {
    lines: Vec<String>,
    families: Vec<String>,
    logged_errors: u64,
}

/// Which objects of a case share a store.
#[derive(Clone, Copy)]
enum Evaluation {
    /// All objects that have a name share a store. Each object without a name has a separate store, because these
    /// objects would replace each other in one store.
    Together,
    /// Each object has a separate store.
    Alone,
}

fn evaluate(case: &Case, evaluation: Evaluation) -> Result<Outcome, String> {
    let config = Config::parse(&case.config).map_err(|error| error.to_string())?;
    let mut outcome = Outcome::default();
    let mut series = BTreeSet::new();
    let sets = match evaluation {
        Evaluation::Together => together(&case.objects),
        Evaluation::Alone => case.objects.iter().map(|object| vec![&**object]).collect(),
    };
    for objects in sets {
        let metrics = StateMetrics::builder()
            .custom_resources(&config)
            .allow_metrics(&case.metric_allowlist)
            .deny_metrics(&case.metric_denylist)
            .known_kinds(kinds(case))
            .all_fed_by_host()
            .build()
            .map_err(|error| error.to_string())?;
        for object in objects {
            let head: Value = serde_json::from_str(object.get()).unwrap();
            for mut writer in metrics.feeds() {
                let resource = writer.resource();
                if head["apiVersion"] == *resource.api_version() && head["kind"] == resource.kind()
                {
                    writer.apply_json(object.get().as_bytes()).unwrap();
                }
            }
        }
        let text = metrics
            .exposition(Format::Text, ExpositionFilter::default())
            .to_string();
        for line in text.split_terminator('\n') {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                outcome.families.push(family.to_owned());
            } else if !line.starts_with('#')
                && series.insert(line.rsplit_once(' ').unwrap().0.to_owned())
            {
                outcome.lines.push(line.to_owned());
            }
        }
        let errors = metrics.custom_resources().errors();
        let logged = errors.iter().filter(|own| own.level <= 0);
        outcome.logged_errors += logged.map(|own| own.count).sum::<u64>();
    }
    Ok(outcome)
}

/// Splits objects into groups. The objects of a group can share a store. Each object without a name has a separate
/// group, because such objects would replace each other in one store.
fn together(objects: &[Box<RawValue>]) -> Vec<Vec<&RawValue>> {
    let named = |object: &RawValue| {
        let object: Value = serde_json::from_str(object.get()).unwrap();
        object["metadata"]["name"].is_string()
    };
    let all = objects
        .iter()
        .map(|object| &**object)
        .filter(|object| named(object))
        .collect();
    let nameless = objects.iter().filter(|object| !named(object));
    let nameless = nameless.map(|object| vec![&**object]);
    [all].into_iter().chain(nameless).collect()
}

/// Returns the kinds that the cluster of a case serves. Kinds without an API group are omitted, because each
/// CustomResourceDefinition has a group.
fn kinds(case: &Case) -> Vec<KnownKind> {
    if let Some(definitions) = &case.crds {
        return definitions.iter().flat_map(served).collect();
    }
    let objects = case.objects.iter();
    let objects = objects.map(|object| serde_json::from_str::<Value>(object.get()).unwrap());
    let mut kinds = KnownKind::of_objects(&objects.collect::<Vec<_>>());
    kinds.retain(|kind| !kind.resource().group().is_empty());
    kinds
}

/// Returns the kinds in `definition`: a CustomResourceDefinition, or an object with only the names of a kind.
fn served(definition: &Value) -> Vec<KnownKind> {
    if definition.get("spec").is_some() {
        return KnownKind::of_definition(definition);
    }
    let versions = match definition["versions"].as_array() {
        None => vec![json!({ "name": definition["version"] })],
        Some(versions) => (versions.iter())
            .map(|own| {
                if own.is_string() {
                    json!({ "name": own })
                } else {
                    own.clone()
                }
            })
            .collect(),
    };
    let plural = definition["plural"].as_str().unwrap_or("things");
    KnownKind::of_definition(&json!({ "spec": {
        "group": definition["group"],
        "scope": definition["scope"],
        "names": { "kind": definition["kind"], "plural": plural },
        "versions": versions,
    }}))
}

/// Splits a sample line into its series and its value.
///
/// The caller accepts a value that differs by one rounding step. This crate converts quantities exactly, but
/// kube-state-metrics multiplies 64-bit floating-point numbers.
fn parsed(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => value.parse().unwrap(),
    };
    (series.to_owned(), value)
}

fn differs(expected: f64, actual: f64) -> bool {
    let same = expected == actual || expected.is_nan() && actual.is_nan();
    !same && (expected - actual).abs() > expected.abs() * f64::EPSILON
}

fn difference(expected: &[String], actual: &[String]) -> String {
    let (expected, actual): (BTreeMap<_, _>, BTreeMap<_, _>) = (
        expected.iter().map(|line| parsed(line)).collect(),
        actual.iter().map(|line| parsed(line)).collect(),
    );
    let mut text = String::new();
    for (series, value) in &expected {
        if actual.get(series).is_none_or(|own| differs(*value, *own)) {
            let _ = writeln!(text, "  - {series} {value}");
        }
    }
    for (series, value) in &actual {
        if expected.get(series).is_none_or(|own| differs(*own, *value)) {
            let _ = writeln!(text, "  + {series} {value}");
        }
    }
    text
}

/// Returns the sample lines of an alternative. An alternative is a list of lines, or an object with the key `samples`.
fn lines(alternative: &Value) -> Vec<String> {
    let lines = alternative.as_array().or(alternative["samples"].as_array());
    let lines = lines.into_iter().flatten();
    lines
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

fn failure(case: &Case, evaluation: Evaluation) -> Option<String> {
    let outcome = match evaluate(case, evaluation) {
        Ok(_) if case.error => return Some(String::from("  is not refused\n")),
        Ok(outcome) => outcome,
        Err(_) if case.error => return None,
        Err(error) => return Some(error),
    };
    let mut text = difference(&case.samples, &outcome.lines);
    if case
        .alternatives
        .iter()
        .any(|own| difference(&lines(own), &outcome.lines).is_empty())
    {
        text.clear();
    }
    if case.ordered && text.is_empty() && case.samples != outcome.lines {
        let _ = writeln!(text, "  in another order: {:#?}", outcome.lines);
    }
    if case.exact {
        let families = case
            .families
            .iter()
            .map(|family| family.as_str().unwrap().to_owned());
        let families: Vec<_> = families.collect();
        if families != outcome.families {
            let _ = writeln!(text, "  families {:?}, not {families:?}", outcome.families);
        }
        if case.logged_errors != outcome.logged_errors {
            let (own, expected) = (outcome.logged_errors, case.logged_errors);
            let _ = writeln!(text, "  {own} errors, not {expected}");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Evaluates all cases of a file, and returns the number of cases. Panics with a list of all differences if a result is
/// not as expected.
fn check_cases(file: &str, evaluation: Evaluation) -> usize {
    let path = format!("{}/tests/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut failures = String::new();
    let (mut count, mut failed) = (0, 0);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let case: Case =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        count += 1;
        if let Some(failure) = failure(&case, evaluation) {
            failed += 1;
            let _ = writeln!(failures, "{}\n{failure}", case.case);
        }
    }
    assert!(
        failures.is_empty(),
        "{failed} of {count} cases: expected (-) and actual (+) samples differ\n{failures}"
    );
    count
}

#[test]
fn configurations_yield_the_samples_of_the_cases() {
    assert!(check_cases("crs.jsonl", Evaluation::Together) > 0);
}

#[test]
fn configurations_yield_the_samples_of_the_specification() {
    assert_eq!(
        check_cases("crs_specification.jsonl", Evaluation::Alone),
        151
    );
}
