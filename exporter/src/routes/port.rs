//! The two servers of the exporter.

/// The server that received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Serves the metrics of objects.
    Main,
    /// Serves the exporter's own metrics and state.
    Telemetry,
}
