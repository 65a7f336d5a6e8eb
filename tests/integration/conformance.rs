//! Tests the cases in the directory tests/conformance. A case is an object with its expected samples, as recorded from
//! kube-state-metrics. There is one test per resource. If kube-state-metrics has no families for a resource, there are
//! no cases for this resource; unit tests check its families instead.
//!
//! These modules have other tests:
//! - `pruning` checks that families read only the fields that they declare.
//! - `properties` generates random objects with the same fields as the cases.
//! - `catalogue` compares the names and metadata of the families with kube-state-metrics and with the docs.
//! - `cluster` compares the metrics of a whole cluster with a golden file.
//! - `queries` checks queries for common questions about a cluster.
//! - `times` replaces all times in the cases with the earliest and the latest possible times.
//! - `updates` applies random sequences of events.

mod catalogue;
#[cfg(feature = "manifests")]
mod cluster;
#[cfg(feature = "gzip")]
mod compressed;
mod properties;
mod protobuf;
mod pruning;
mod queries;
mod shape;
mod times;
mod updates;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::Builder;
use kube_state_metrics::{StateMetrics, families};
use serde::Deserialize;

/// Cases with the exact samples. The recorded samples of these cases are inexact, because kube-state-metrics rounds
/// quantities.
const CORRECTED: &[(&str, &str)] = &[(
    // The recorded value is 12345678901234567890 times a thousand, truncated to 64 bits.
    "common/quantity-json/6-number",
    r#"kube_resourcequota{namespace="n",resourcequota="q",resource="r",type="hard"} 1.2345678901234567e+19"#,
)];

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    case: String,
    object: Box<serde_json::value::RawValue>,
    #[serde(default)]
    samples: Vec<String>,
    #[serde(default)]
    decode_error: Option<String>,
    #[serde(default)]
    allow_labels: Vec<String>,
    #[serde(default)]
    allow_annotations: Vec<String>,
    /// The object in protobuf, written by the encoder of the Kubernetes API.
    #[serde(skip)]
    protobuf: Option<Vec<u8>>,
}

/// Two configured families: one reads the name of an object, the other reads the whole object.
#[cfg(feature = "custom-resources")]
const BESIDE: &str = "metrics:
            - name: info
              each: { type: Info, info: { path: [metadata, name], labelsFromPath: { all: [] } } }
            - { name: all, each: { type: Gauge, gauge: { path: [] } } }";

/// The encoding in which a test passes an object to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Json,
    Protobuf,
}

/// Returns a builder with all families of a resource, including the families that are disabled by default.
fn builder(resource: &str, case: &Case) -> Builder {
    StateMetrics::builder()
        .resources([resource])
        .opt_in_metrics([".*"])
        .allow_labels(resource, &case.allow_labels)
        .allow_annotations(resource, &case.allow_annotations)
        .all_fed_by_host()
}

/// Adds configured families to a resource. A linked store contains these families, and also receives the objects.
///
/// `families` is the part of the configuration with the families, as YAML. All lines except the first line are indented
/// by 12 spaces.
#[cfg(feature = "custom-resources")]
fn beside_configured(
    resource: kube_state_metrics::BuiltIn,
    builder: Builder,
    families: &str,
) -> Builder {
    use kube_state_metrics::custom_resources::{Config, KnownKind};

    let info = resource.info();
    let (group, version, kind) = (info.group(), info.version(), info.kind());
    let config = Config::parse(&format!(
        "spec:
          resources:
          - groupVersionKind: {{ group: '{group}', version: {version}, kind: {kind} }}
            metricNamePrefix: beside
            {families}"
    ));
    builder
        .custom_resources(&config.unwrap())
        .known_kinds(KnownKind::built_in())
}

/// Adds the object of a case to `metrics`, and removes it again. Returns the sample lines of the object, or an error.
fn lines(metrics: &StateMetrics, case: &Case) -> Result<Vec<String>, String> {
    lines_of(metrics, case, Wire::Json)
}

/// Adds the object of a case to `metrics` in the encoding `wire`, and removes it again. Returns the sample lines of the
/// object, or an error.
fn lines_of(metrics: &StateMetrics, case: &Case, wire: Wire) -> Result<Vec<String>, String> {
    let mut writers = metrics.feeds();
    let applied = writers.iter_mut().try_for_each(|writer| {
        let applied = match (wire, &case.protobuf) {
            (Wire::Json, _) => writer.apply_json(case.object.get().as_bytes()),
            (Wire::Protobuf, Some(bytes)) => writer.apply_protobuf(bytes),
            (Wire::Protobuf, None) => panic!("{}: no protobuf", case.case),
        };
        applied.map_err(|error| error.to_string())
    });
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    writers.into_iter().for_each(|writer| writer.close());
    applied.map(|()| sample_lines(&exposition.to_string()))
}

/// Returns the lines of an exposition without `# HELP` and `# TYPE`.
fn sample_lines(exposition: &str) -> Vec<String> {
    // `str::lines` would remove a carriage return, which can be part of a label's value.
    let lines = exposition
        .split_terminator('\n')
        .filter(|line| !line.starts_with('#'));
    lines.map(String::from).collect()
}

fn cases(resource: &str) -> Vec<Case> {
    let path = format!(
        "{}/tests/conformance/{resource}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let cases = text.lines().map(|line| {
        let mut case: Case =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Some((_, sample)) = CORRECTED.iter().find(|(name, _)| *name == case.case) {
            case.samples = vec![String::from(*sample)];
        }
        case
    });
    let cases: Vec<_> = cases.collect();
    assert!(!cases.is_empty(), "{path} has no cases");
    cases
}

/// Returns the differences between the expected and the actual samples of a case. The order of the samples is ignored.
fn difference(resource: &str, case: &Case, wire: Wire) -> Option<String> {
    let alone = builder(resource, case);
    #[cfg(feature = "custom-resources")]
    let difference = {
        let built_in = resource.parse().unwrap();
        let beside = beside_configured(built_in, builder(resource, case), BESIDE);
        difference_of(beside, case, wire)
            .map(|text| format!("  beside configured families\n{text}"))
    };
    #[cfg(not(feature = "custom-resources"))]
    let difference = None;
    difference_of(alone, case, wire).or(difference)
}

fn difference_of(builder: Builder, case: &Case, wire: Wire) -> Option<String> {
    let metrics = builder.build().unwrap();
    let lines = lines_of(&metrics, case, wire).map(|lines| {
        let own = lines
            .into_iter()
            .filter(|line| !line.starts_with("beside_"));
        own.collect::<Vec<_>>()
    });
    let lines = match lines {
        Ok(lines) => lines,
        Err(_) if case.decode_error.is_some() => return None,
        Err(error) => return Some(error),
    };
    if case.decode_error.is_some() {
        return Some(format!("decodes, though it must not\n{}", lines.join("\n")));
    }
    let actual: BTreeSet<_> = lines.iter().map(String::as_str).collect();
    let expected: BTreeSet<_> = case.samples.iter().map(String::as_str).collect();
    let mut text = String::new();
    for missing in expected.difference(&actual) {
        let _ = writeln!(text, "  - {missing}");
    }
    for extra in actual.difference(&expected) {
        let _ = writeln!(text, "  + {extra}");
    }
    if lines.len() != actual.len() {
        let _ = writeln!(
            text,
            "  repeated lines: {} of {}",
            lines.len() - actual.len(),
            lines.len()
        );
    }
    (!text.is_empty()).then_some(text)
}

fn run(resource: &str) {
    let mut failures = String::new();
    for case in cases(resource) {
        if let Some(difference) = difference(resource, &case, Wire::Json) {
            let _ = writeln!(failures, "{}\n{difference}", case.case);
        }
    }
    assert!(
        failures.is_empty(),
        "expected (-) and actual (+) samples differ:\n{failures}"
    );
}

/// Creates a module for each resource, so that the name of the module selects all tests of the resource.
macro_rules! resources {
    ($($name:ident)*) => {
        $(
            mod $name {
                use super::*;

                #[test]
                fn objects_yield_the_samples_of_the_cases() {
                    run(stringify!($name));
                }

                #[test]
                fn protobuf_yields_the_samples_of_the_cases() {
                    protobuf::run(stringify!($name).parse().unwrap(), families::$name);
                }

                #[test]
                fn random_protobuf_yields_the_samples_of_json() {
                    protobuf::random::run(stringify!($name).parse().unwrap());
                }

                #[test]
                fn families_read_what_they_declare() {
                    pruning::run(stringify!($name).parse().unwrap(), families::$name);
                }

                #[test]
                fn any_object_leaves_a_valid_exposition() {
                    properties::run(stringify!($name).parse().unwrap());
                }
            }
        )*

        #[test]
        fn every_resource_of_the_reference_has_cases() {
            let tested = BTreeSet::from([$(stringify!($name)),*].map(String::from));
            assert_eq!(tested, catalogue::resources_of_the_reference());
        }
    };
}

resources! {
    certificatesigningrequests clusterrolebindings clusterroles configmaps cronjobs daemonsets
    deployments endpoints endpointslices horizontalpodautoscalers ingressclasses ingresses jobs
    leases limitranges mutatingadmissionpolicies mutatingadmissionpolicybindings
    mutatingwebhookconfigurations namespaces networkpolicies nodes persistentvolumeclaims
    persistentvolumes poddisruptionbudgets pods replicasets replicationcontrollers resourcequotas
    rolebindings roles secrets serviceaccounts services statefulsets storageclasses
    validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations
    volumeattachments
}
