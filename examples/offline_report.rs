//! Prints the metrics of manifests, without a cluster. Run the example with `kubectl get pods,nodes -A -o yaml | cargo
//! run --features manifests --example offline_report -- -`.
//!
//! Without arguments, the example reads `examples/cluster`. The example lists skipped objects on standard error.

use std::io::Write;

use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::BuildError;
use kube_state_metrics::source::manifests::{LoadReport, ManifestSource};

/// Reads files and directories, and writes the metrics of their objects. The path `-` means standard input.
pub(crate) fn report(
    paths: impl IntoIterator<Item = String>,
    mut out: impl Write,
) -> Result<LoadReport, Box<dyn std::error::Error>> {
    let metrics = metrics()?;
    let mut feed = ManifestSource::new(paths).open(&metrics);
    let report = feed.reload();
    metrics
        .exposition(Format::Text, ExpositionFilter::default())
        .write_to(&mut out)?;
    Ok(report)
}

fn metrics() -> Result<StateMetrics, BuildError> {
    StateMetrics::builder().default_resources().build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths: Vec<_> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        paths.push("examples/cluster".into());
    }
    let report = report(paths, std::io::stdout().lock())?;
    let mut log = std::io::stderr();
    for problem in &report.problems {
        writeln!(log, "{problem}")?;
    }
    writeln!(
        log,
        "{} objects, {} problems",
        report.objects,
        report.problems.len()
    )?;
    Ok(())
}
