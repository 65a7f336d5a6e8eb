//! Tests configurations that have the same structure as published configurations. The crate must accept all of them,
//! and the samples must be as expected.
//!
//! The first document of a YAML file in tests/published is a configuration. The other documents are objects. A `.prom`
//! file with the same name contains the exposition of the objects. The YAML file starts with comments:
//! - `model:` names the published file with the same structure.
//! - `warns:` is an expected warning. The warnings are in the expected order.
//! - `unread:` is a family and the number of its values that cannot be read.

use std::path::Path;

use kube_state_metrics::exposition::Format;
use kube_state_metrics::registry::check::{CheckReport, check, check_as};
use kube_state_metrics::source::manifests::ManifestSource;
use serde_json::Value;

use crate::support::reference::assert_reference_reads;
use crate::support::tools::Directory;
use crate::support::{exposition, golden};

/// A file of tests/published.
struct Published {
    name: String,
    config: String,
    objects: Vec<Value>,
}

impl Published {
    fn read(path: &Path, scratch: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        // A configuration may begin with the document marker `---`.
        let (config, objects) = match text.split_once("\n---\n") {
            Some((comments, rest)) if comments.lines().all(|line| line.starts_with('#')) => {
                let (config, objects) = rest.split_once("\n---\n").unwrap();
                (format!("{comments}\n---\n{config}\n"), objects)
            }
            split => split
                .map(|(config, rest)| (format!("{config}\n"), rest))
                .unwrap(),
        };
        let file = scratch.join(format!("{name}.yaml"));
        std::fs::write(&file, objects).unwrap();
        let (objects, problems) = ManifestSource::new([file]).objects();
        assert!(problems.is_empty(), "{name}: {problems:?}");
        Self {
            name,
            config,
            objects,
        }
    }

    /// Returns the texts after `word` and a colon in the comments.
    fn comments(&self, word: &str) -> Vec<&str> {
        let prefix = format!("# {word}: ");
        let lines = self.config.lines().take_while(|line| line.starts_with('#'));
        lines
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect()
    }

    /// Panics if the problems in the report differ from the problems in the comments.
    fn assert_problems(&self, report: &CheckReport) {
        let name = &self.name;
        assert_eq!(report.errors, [], "{name}");
        let warnings: Vec<_> = (report.warnings.iter()).map(ToString::to_string).collect();
        let expected = self.comments("warns");
        assert_eq!(warnings.len(), expected.len(), "{name}: {warnings:#?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected), "{name}: {warning}");
        }
        let unread =
            (report.unread.iter()).map(|errors| format!("{} {}", errors.family, errors.count));
        let unread: Vec<_> = unread.collect();
        assert_eq!(unread, self.comments("unread"), "{name}");
        assert!(report.ignored.is_empty(), "{name}: {:?}", report.ignored);
        assert_eq!(report.repeated, 0, "{name}");
    }
}

fn published(scratch: &Directory) -> Vec<Published> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/published");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    let files = files
        .into_iter()
        .map(|file| Published::read(&file, scratch.path()));
    files.collect()
}

/// If the environment variable `UPDATE_GOLDEN` is set, the test writes the `.prom` files with the current metrics.
#[test]
fn configurations_of_published_shapes_load_and_yield_the_right_samples() {
    let scratch = Directory::new("published");
    let published = published(&scratch);
    assert_eq!(published.len(), 24);
    for file in published {
        let name = &file.name;
        assert_eq!(file.comments("model").len(), 1, "{name}");
        let report = check(&file.config, file.objects.clone());
        file.assert_problems(&report);
        golden::check(&format!("tests/published/{name}.prom"), &report.exposition);
        for format in [Format::Text, Format::OpenMetrics] {
            let report = check_as(format, &file.config, file.objects.clone());
            let families = exposition::read(report.exposition.as_bytes(), format);
            let families = families.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!families.is_empty(), "{name}");
            if format == Format::OpenMetrics {
                assert_reference_reads(&report.exposition, &families);
            }
        }
    }
}
