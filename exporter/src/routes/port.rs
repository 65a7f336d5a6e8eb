//! The two servers of the exporter.

/// Which server a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Serves the metrics of objects.
    Main,
    /// Serves the exporter's own metrics and state.
    Telemetry,
}
