//! The formats of `render` and `check`.

use clap::ValueEnum;
use kube_state_metrics::exposition::Format;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MetricsFormat {
    /// Prometheus text, version 0.0.4
    Text,
    /// OpenMetrics, version 1.0.0
    Openmetrics,
}

/// The output of `render`: a format that Prometheus scrapes, or a file for tests with promtool.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RenderFormat {
    /// Prometheus text, version 0.0.4
    Text,
    /// OpenMetrics, version 1.0.0
    Openmetrics,
    /// Input series for `promtool test rules`; the values stay constant for a day
    Promtool,
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
