//! Runs the parser of the Prometheus client for Python, which is the reference parser for OpenMetrics.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::exposition::ReadFamily;
use super::tools::{run, said, tool};

const MODULE: &str = "prometheus_client.openmetrics.parser";

/// A Python program that prints the name, the type and the number of samples of each family.
const LIST: &str = "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
sys.stdin.reconfigure(encoding='utf-8', newline='\\n')
for family in read(sys.stdin.read()):
    print(family.name, family.type, len(family.samples))";

/// Whether the parser is installed. Without the parser, the tests skip the comparison.
static IS_INSTALLED: LazyLock<bool> = LazyLock::new(|| {
    let probe = ["-c", &format!("import {MODULE}")];
    tool("python3", &probe, &format!("python3 with {MODULE}")).is_some()
});

/// Panics if the parser does not find exactly these families and samples in an OpenMetrics exposition.
#[track_caller]
pub(crate) fn assert_reference_reads(text: &str, families: &[ReadFamily]) {
    if !*IS_INSTALLED {
        return;
    }
    let mut expected = String::new();
    for family in families {
        let samples = family.samples.len();
        let _ = writeln!(expected, "{} {} {samples}", family.name, family.kind);
    }
    let mut python = std::process::Command::new("python3");
    let output = run(python.args(["-c", LIST]), text.as_bytes());
    assert_eq!(said(&output), expected.trim_end(), "{text}");
}
