//! [`DependencyLimit`]: limits the number of warnings and errors that the libraries of the exporter log.
//!
//! Some libraries log a warning for each malformed frame or connection of a client. So a client without credentials
//! could fill the log, and hide its other lines. The lines of the exporter itself have their own limits.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::IntCounter;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Drops warnings and errors of libraries if there are more than [`MAX_LINES`] in [`PERIOD`].
#[derive(Debug)]
pub(super) struct DependencyLimit {
    period: Mutex<Period>,
    /// Counts the dropped lines.
    dropped: Option<IntCounter>,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    lines: u32,
}

/// Maximum number of warnings and errors of all libraries together in [`PERIOD`].
const MAX_LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(60);
/// The starts of the targets of log lines that the packages of the exporter write.
const OWN: [&str; 6] = [
    "bounded_http",
    "config_file",
    "go_x509",
    "kube_protobuf",
    "kube_state_metrics",
    "prometheus_web_config",
];

// === impl DependencyLimit ===

impl DependencyLimit {
    pub(super) fn new(dropped: Option<IntCounter>) -> Self {
        let period = Mutex::new(Period {
            began: Instant::now(),
            lines: 0,
        });
        Self { period, dropped }
    }

    /// Whether a line is written that a package with this target logs.
    fn admits(&self, target: &str, level: Level, now: Instant) -> bool {
        // A user who wants the details of a library, at the level INFO or below, gets all of them.
        if level > Level::WARN || OWN.iter().any(|own| target.starts_with(own)) {
            return true;
        }
        let mut period = self.period.lock();
        if now.saturating_duration_since(period.began) >= PERIOD {
            *period = Period {
                began: now,
                lines: 0,
            };
        }
        let is_admitted = period.lines < MAX_LINES;
        period.lines += u32::from(is_admitted);
        drop(period);
        if let Some(dropped) = self.dropped.as_ref().filter(|_| !is_admitted) {
            dropped.inc();
        }
        is_admitted
    }
}

impl<S> Filter<S> for DependencyLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        self.admits(metadata.target(), *metadata.level(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_log_few_warnings_in_a_minute() {
        let dropped = IntCounter::new("dropped", "Of a test.").unwrap();
        let limit = DependencyLimit::new(Some(dropped.clone()));
        let now = Instant::now();
        let admitted = |count: u32, now| {
            let lines = (0..count).filter(|_| limit.admits("h2::proto", Level::WARN, now));
            lines.count()
        };
        assert_eq!(admitted(100, now), 20);
        assert_eq!(dropped.get(), 80);
        assert!(!limit.admits("rustls::conn", Level::ERROR, now));
        assert!(limit.admits("rustls::conn", Level::INFO, now));
        assert!(limit.admits("kube_state_metrics_exporter::x", Level::WARN, now));
        assert_eq!(admitted(1, now + PERIOD / 2), 0);
        assert_eq!(admitted(100, now + PERIOD), 20);
    }
}
