//! Tests the metrics of the cluster in examples/cluster. A golden file has the expected samples, and other programs
//! check the format.

use std::collections::BTreeSet;

use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families::catalogue::catalogue;
use kube_state_metrics::source::manifests::ManifestSource;
use kube_state_metrics::{BuiltIn, StateMetrics};

use crate::support::exposition::read;
use crate::support::golden;
use crate::support::reference::assert_reference_reads;
use crate::support::tools::{promtool, run, said};

/// The default families that have no sample in the example cluster, each with the reason.
const WITHOUT_SAMPLE: &[(&str, &str)] = &[];

/// Returns the metrics of the example cluster, with every resource, every opt-in family, all labels and all
/// annotations.
fn metrics() -> StateMetrics {
    let mut builder = StateMetrics::builder()
        .built_in(BuiltIn::ALL.iter().copied())
        .opt_in_metrics([".*"]);
    for resource in BuiltIn::ALL {
        builder = builder
            .allow_labels(resource, ["*"])
            .allow_annotations(resource, ["*"]);
    }
    let metrics = builder.build().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster");
    let report = ManifestSource::new([path]).open(&metrics).reload();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    metrics
}

/// Returns the exposition of the example cluster.
pub(crate) fn text(format: Format) -> String {
    metrics()
        .exposition(format, ExpositionFilter::default())
        .to_string()
}

#[test]
fn the_exposition_of_the_example_stays_the_same() {
    golden::check("tests/golden/cluster.prom", &text(Format::Text));
}

#[test]
fn the_example_has_a_sample_of_every_family() {
    let read = read(text(Format::Text).as_bytes(), Format::Text).unwrap();
    let present: BTreeSet<_> = read.iter().map(|family| family.name.as_str()).collect();
    let families = catalogue();
    let missing = families
        .iter()
        .map(|entry| entry.descriptor.name())
        .filter(|name| !present.contains(name));
    let excused = WITHOUT_SAMPLE.iter().map(|(name, _)| *name);
    assert_eq!(
        missing.collect::<BTreeSet<_>>(),
        excused.collect::<BTreeSet<_>>()
    );
}

#[test]
fn promtool_finds_nothing_wrong_with_the_example() {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let output = run(
        promtool.args(["check", "metrics"]),
        text(Format::Text).as_bytes(),
    );
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_reference_parser_takes_the_example_as_open_metrics() {
    let text = text(Format::OpenMetrics);
    let families = read(text.as_bytes(), Format::OpenMetrics).unwrap();
    assert_eq!(families.len(), catalogue().len());
    assert_reference_reads(&text, &families);
}
