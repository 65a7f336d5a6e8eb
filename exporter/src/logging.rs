//! Log lines: on standard error, for people or for machines, and few while all is well.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::cli::LogFlags;

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    json: bool,
    verbosity: i64,
}

/// Changes what is logged while the program runs.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel {
    filter: reload::Handle<Targets, Registry>,
}

// === impl LogOptions ===

impl LogOptions {
    /// Reads the flags.
    ///
    /// # Errors
    ///
    /// Each problem, with its flag and what would be right.
    pub(crate) fn new(flags: &LogFlags) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let verbosity = flags.verbosity.as_deref().map_or(Ok(0), str::parse);
        let verbosity = verbosity.unwrap_or_else(|_| {
            let text = flags.verbosity.as_deref().unwrap_or_default();
            problems.push(format!("-v: `{text}` is not a whole number"));
            0
        });
        let json = match flags.log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                problems.push(format!(
                    "--log-format: `{other}` is neither `text` nor `json`"
                ));
                false
            }
        };
        if problems.is_empty() {
            Ok(Self { json, verbosity })
        } else {
            Err(problems)
        }
    }

    /// Starts logging.
    pub(crate) fn start(self) -> LogLevel {
        let (filter, handle) = reload::Layer::new(self.targets());
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = if self.json {
            lines.json().flatten_event(true).boxed()
        } else {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(terminal).with_target(false).boxed()
        };
        // Only fails where logging was started before, and then it goes on as it was.
        let _ = tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .try_init();
        LogLevel { filter: handle }
    }

    fn targets(self) -> Targets {
        let (own, others) = match self.verbosity {
            ..2 => (LevelFilter::INFO, LevelFilter::WARN),
            2..5 => (LevelFilter::DEBUG, LevelFilter::INFO),
            5.. => (LevelFilter::TRACE, LevelFilter::DEBUG),
        };
        Targets::new()
            .with_default(others)
            .with_target("kube_state_metrics", own)
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// What is logged, as [`set`](Self::set) takes it.
    pub(crate) fn get(&self) -> String {
        self.filter
            .with_current(ToString::to_string)
            .unwrap_or_default()
    }

    /// Sets what is logged: a level, or `target=level` pairs joined by `,`.
    ///
    /// # Errors
    ///
    /// What is wrong with `directives`.
    pub(crate) fn set(&self, directives: &str) -> Result<(), String> {
        let targets: Targets = directives.trim().parse().map_err(|error| {
            format!("{error}; write `debug`, or `info,kube_state_metrics=trace`")
        })?;
        self.filter
            .reload(targets)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_chooses_levels() {
        let targets = |verbosity: &str| {
            let flags = LogFlags {
                verbosity: Some(verbosity.into()),
                log_format: None,
            };
            LogOptions::new(&flags).map(|options| options.targets().to_string())
        };
        assert_eq!(targets("0").unwrap(), "kube_state_metrics=info,warn");
        assert_eq!(targets("4").unwrap(), "kube_state_metrics=debug,info");
        assert_eq!(targets("9").unwrap(), "kube_state_metrics=trace,debug");
        assert_eq!(targets("x").unwrap_err(), ["-v: `x` is not a whole number"]);
    }
}
