//! The cases of tests/conformance: objects with the samples they must yield, a test per resource.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kube_state_metrics::{BuiltIn, Format, Selection, StateMetrics};
use serde::Deserialize;

/// Resources whose families are not built yet. One that passes all cases must be taken off.
const PENDING: &[&str] = &[];

#[derive(Deserialize)]
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
}

/// The sample lines of one object, every family of the resource on; an error where it has none.
fn samples_of(resource: &str, case: &Case) -> Result<String, String> {
    let metrics = StateMetrics::builder()
        .resources([resource])
        .opt_in_metrics([".*"])
        .allow_labels(resource, &case.allow_labels)
        .allow_annotations(resource, &case.allow_annotations)
        .build()
        .map_err(|error| error.to_string())?;
    for writer in &mut metrics.object_writers() {
        let object = case.object.get().as_bytes();
        writer.apply(object).map_err(|error| error.to_string())?;
    }
    Ok(metrics
        .exposition(Format::Text, Selection::default())
        .to_string())
}

/// What differs between the expected and the actual samples of a case, compared as sets.
fn difference(resource: &str, case: &Case) -> Option<String> {
    let actual = match samples_of(resource, case) {
        Ok(text) => text,
        Err(_) if case.decode_error.is_some() => return None,
        Err(error) => return Some(error),
    };
    if case.decode_error.is_some() {
        return Some(format!("decodes, though it must not\n{actual}"));
    }
    let lines: Vec<_> = actual
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let actual: BTreeSet<_> = lines.iter().copied().collect();
    // A value may hold a carriage return or another character that ends a line for `lines`.
    let expected: BTreeSet<_> = case
        .samples
        .iter()
        .flat_map(|sample| sample.lines())
        .collect();
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
    let path = format!(
        "{}/tests/conformance/{resource}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let cases = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut failures, mut count) = (String::new(), 0);
    for line in cases.lines() {
        let case: Case =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        count += 1;
        if let Some(difference) = difference(resource, &case) {
            let _ = writeln!(failures, "{}\n{difference}", case.case);
        }
    }
    assert!(count > 0, "{path} has no cases");
    if PENDING.contains(&resource) {
        assert!(
            !failures.is_empty(),
            "{resource} passes; take it off the pending list"
        );
    } else {
        assert!(
            failures.is_empty(),
            "expected (-) and actual (+) samples differ:\n{failures}"
        );
    }
}

macro_rules! resources {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_built_in_resource_has_cases() {
            let tested = [$(stringify!($name)),*];
            let missing = BuiltIn::ALL.iter().filter(|own| !tested.contains(&own.name()));
            assert_eq!(missing.count(), 0);
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
