//! The two ports of the exporter.

/// The port that received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Serves the metrics of objects.
    Main,
    /// Serves the metrics about the exporter, and pages about the state of the exporter.
    Telemetry,
}

// === impl Port ===

impl Port {
    /// Returns the other of the two ports.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Main => Self::Telemetry,
            Self::Telemetry => Self::Main,
        }
    }

    /// Returns the name of the port that links show.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Main => "main port",
            Self::Telemetry => "telemetry port",
        }
    }
}
