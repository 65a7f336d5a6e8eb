//! Tests the configurations in the guide (docs/reference/custom-resources.md) and in the examples
//! (examples/custom_resources).

use std::path::PathBuf;

use kube_state_metrics::custom_resources::ConfigProblem;
use kube_state_metrics::exposition::Format;
use kube_state_metrics::registry::check::{check, check_as};
use kube_state_metrics::source::manifests::ManifestSource;

use crate::support::reference::assert_reference_reads;
use crate::support::{exposition, golden};

/// Returns the files with configurations in the examples' directory, without the files with objects.
fn examples() -> Vec<PathBuf> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/custom_resources");
    let files = std::fs::read_dir(path)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| !file.to_string_lossy().ends_with(".objects.yaml"))
        .collect();
    files.sort();
    files
}

/// Parses the configurations of the guide. Some code blocks of the guide contain only lines with expressions. The test
/// joins these lines to one configuration.
#[test]
fn the_configurations_of_the_guide_are_valid() {
    let guide = include_str!("../../../docs/reference/custom-resources.md");
    let blocks = guide.split("```yaml\n").skip(1);
    let (mut whole, mut lines) = (0, 0);
    for block in blocks.map(|rest| rest.split("```").next().unwrap()) {
        let mut configs = Vec::new();
        if block.starts_with("spec:") {
            configs.push(block.to_owned());
            whole += 1;
        } else {
            let config = |line| {
                format!(
                    "spec:\n  resources:\n  - groupVersionKind: {{ group: acme.dev }}\n    \
                     metrics:\n    - name: a\n      each:\n        type: Gauge\n        \
                     gauge:\n          {line}\n"
                )
            };
            configs.extend(block.lines().map(config));
            lines += block.lines().count();
        }
        for config in configs {
            let report = check(&config, []);
            assert!(
                report.is_ok(true),
                "{config}: {:?} {:?}",
                report.errors,
                report.warnings
            );
        }
    }
    assert!(
        whole >= 2 && lines >= 6,
        "{whole} configurations, {lines} lines"
    );
}

/// If the environment variable `UPDATE_GOLDEN` is set, the test writes the current metrics of the examples to the
/// golden files.
#[test]
fn examples_yield_their_golden_expositions() {
    let examples = examples();
    assert_eq!(examples.len(), 12);
    for example in examples {
        let name = example.file_stem().unwrap().to_string_lossy().into_owned();
        let config = std::fs::read_to_string(&example).unwrap();
        let objects = example.with_extension("objects.yaml");
        let (objects, problems) = ManifestSource::new([objects]).objects();
        assert!(problems.is_empty(), "{name}: {problems:?}");
        let openmetrics = check_as(Format::OpenMetrics, &config, objects.clone()).exposition;
        let families = exposition::read(openmetrics.as_bytes(), Format::OpenMetrics);
        let families = families.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_reference_reads(&openmetrics, &families);
        let report = check(&config, objects);
        assert!(report.is_ok(false), "{name}: {:?}", report.errors);
        // In these two examples, several kinds declare the same family with different help texts, as in published
        // configurations.
        let differs = ["crossplane-info", "flux-resource-info"].contains(&name.as_str());
        let is_expected =
            |warning: &ConfigProblem| (warning.message).starts_with("the help of the family `");
        let warnings = &report.warnings;
        assert_eq!(warnings.is_empty(), !differs, "{name}: {warnings:?}");
        assert!(warnings.iter().all(is_expected), "{name}: {warnings:?}");
        assert_eq!(report.unread, [], "{name}");
        assert!(report.ignored.is_empty(), "{name}: {:?}", report.ignored);
        let path = format!("tests/golden/custom_resources/{name}.prom");
        golden::check(&path, &report.exposition);
    }
}
