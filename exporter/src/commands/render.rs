//! `render`: writes the metrics of manifests to standard output.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::registry::BuildError;
use kube_state_metrics::source::manifests::{ManifestProblem, ManifestSource};

use super::format::RenderFormat;
use super::output::{list, unless_closed};
use super::promtool;
use crate::instance::{log_limits, log_pattern};
use crate::logging;
use crate::options::{LogOptions, Options, OptionsError, RenderFlags};

#[derive(Args, Debug)]
pub(crate) struct RenderArgs {
    /// Files or directories with manifests; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, allow_hyphen_values = true, default_value_t = RenderFormat::Text)]
    format: RenderFormat,
    #[command(flatten)]
    flags: RenderFlags,
}

/// The reason why `render` cannot write metrics.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(
        "no object could be read from {0}; give manifests that contain objects (an empty list has \
         none)"
    )]
    Nothing(String),
    #[error("some manifests could not be read; the log lines above this line show the reasons")]
    Skipped,
    #[error("cannot write the metrics: {0}")]
    Write(#[from] io::Error),
}

/// Reads the manifests and writes their metrics to `out`.
///
/// # Errors
///
/// The function fails if the options are invalid, or if the input has no objects. The function also fails if a path, a
/// document or an object cannot be read. In this case, it still writes the metrics of the other objects. Objects of
/// kinds without metrics are not an error, because the input may contain all objects of a cluster.
pub(super) fn run(args: &RenderArgs, mut out: impl Write) -> Result<(), RenderError> {
    let RenderFlags(flags) = &args.flags;
    logging::start(LogOptions::of(flags));
    let (options, warnings) = Options::new(flags, None)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let metrics = options.metrics.build()?;
    let report = ManifestSource::new(&args.paths).open(&metrics).reload();
    for problem in &report.problems {
        tracing::warn!("{problem}");
    }
    metrics.exhausted_patterns().iter().for_each(log_pattern);
    log_limits(&metrics);
    // `not_registered` counts objects of disabled resources. Such objects have no metrics, but show that the input
    // contains objects.
    if report.objects + report.not_registered == 0 {
        return Err(RenderError::Nothing(list(&args.paths)));
    }
    let exposition = |format| metrics.exposition(format, ExpositionFilter::default());
    let written = match args.format {
        RenderFormat::Text => exposition(Format::Text).write_to(&mut out),
        RenderFormat::Openmetrics => exposition(Format::OpenMetrics).write_to(&mut out),
        RenderFormat::Promtool => promtool::write_series(&exposition(Format::Text), &mut out),
    };
    unless_closed(written.and_then(|()| out.flush()))?;
    // `More` is harmless here, because it only counts further problems of a file. The report has a separate problem for
    // the first invalid document or object of the file.
    let is_harmless = |problem: &ManifestProblem| {
        matches!(
            problem,
            ManifestProblem::UnknownKind { .. } | ManifestProblem::More { .. }
        )
    };
    if report.problems.iter().all(is_harmless) {
        Ok(())
    } else {
        Err(RenderError::Skipped)
    }
}
