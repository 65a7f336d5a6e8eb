//! The exposition formats of `render` and `check`.

use clap::ValueEnum;
use kube_state_metrics::Format;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MetricsFormat {
    /// Prometheus text, version 0.0.4
    Text,
    /// OpenMetrics, version 1.0.0
    Openmetrics,
}

// === impl MetricsFormat ===

impl From<MetricsFormat> for Format {
    fn from(format: MetricsFormat) -> Self {
        match format {
            MetricsFormat::Text => Self::Text,
            MetricsFormat::Openmetrics => Self::OpenMetrics,
        }
    }
}
