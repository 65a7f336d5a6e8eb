//! `render`: the metrics of manifests on standard output.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use kube_state_metrics::ExpositionFilter;
use kube_state_metrics::manifests::ManifestSource;

use super::format::MetricsFormat;
use super::output::{list, unless_closed};
use crate::logging;
use crate::options::{ContentFlags, LogFlags, LogOptions, MetricsOptions};

#[derive(Args, Debug)]
pub(crate) struct RenderArgs {
    /// Files or directories with manifests; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Exposition format
    #[arg(long, value_enum, default_value_t = MetricsFormat::Text)]
    format: MetricsFormat,
    #[command(flatten)]
    content: ContentFlags,
    #[command(flatten)]
    logging: LogFlags,
}

/// An error that keeps `render` from writing metrics.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error(transparent)]
    Options(#[from] crate::options::OptionsError),
    #[error(transparent)]
    Build(#[from] kube_state_metrics::BuildError),
    #[error("no object could be read from {0}; give files or directories with manifests")]
    Nothing(String),
    #[error("cannot write the metrics: {0}")]
    Write(#[from] io::Error),
}

/// Reads the manifests and writes their metrics to `out`.
///
/// # Errors
///
/// If the options are wrong, or no object could be read.
pub(super) fn run(args: &RenderArgs, mut out: impl Write) -> Result<(), RenderError> {
    // All problems of the logging flags are reported with those of the other flags.
    logging::start(LogOptions::new(&args.logging).unwrap_or_default());
    let (content, warnings) = MetricsOptions::from_flags(&args.content, &args.logging)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let metrics = content.build()?;
    let report = ManifestSource::new(&args.paths).open(&metrics).reload();
    for problem in &report.problems {
        tracing::warn!("{problem}");
    }
    // Objects of disabled resources count: they could be read.
    if report.objects + report.not_registered == 0 {
        return Err(RenderError::Nothing(list(&args.paths)));
    }
    let written = metrics
        .exposition(args.format.into(), ExpositionFilter::default())
        .write_to(&mut out);
    Ok(unless_closed(written.and_then(|()| out.flush()))?)
}
