//! `render`: the metrics of manifests on standard output.

use std::io::{self, Write};

use kube_state_metrics::Selection;
use kube_state_metrics::manifests::ManifestSource;

use crate::cli::RenderArgs;
use crate::options::MetricsOptions;

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
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
/// Where the options are wrong, or no object could be read.
pub(crate) fn run(args: &RenderArgs, mut out: impl Write) -> Result<(), RenderError> {
    let (content, warnings) = MetricsOptions::from_flags(&args.content, &args.logging)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let metrics = content.build()?;
    let report = ManifestSource::new(&args.paths).open(&metrics).reload();
    for problem in &report.problems {
        tracing::warn!("{problem}");
    }
    // Objects of kinds that are switched off have been read, too.
    if report.objects + report.not_registered == 0 {
        let paths: Vec<_> = args
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(RenderError::Nothing(paths.join(", ")));
    }
    let written = metrics
        .exposition(args.format.into(), Selection::default())
        .write_to(&mut out);
    match written.and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
