//! Log lines: on standard error, for people or for machines, and few while all is well.

use std::io::Write;

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
    json: bool,
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
        LogLevel {
            json: self.json,
            filter: handle,
        }
    }

    fn targets(self) -> Targets {
        let (own, others) = match self.verbosity {
            ..2 => (LevelFilter::INFO, LevelFilter::WARN),
            2..5 => (LevelFilter::DEBUG, LevelFilter::INFO),
            5.. => (LevelFilter::TRACE, LevelFilter::DEBUG),
        };
        let targets = Targets::new()
            .with_default(others)
            .with_target("kube_state_metrics", own);
        if self.verbosity >= 2 {
            return targets;
        }
        // The client has an error to tell for every request that fails, and does not say which; the
        // watches say it once, with the resource.
        targets.with_target("kube_client", LevelFilter::OFF)
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// Says something to whoever started the program: on standard output, but where log lines are for
    /// machines, as one of them.
    pub(crate) fn say(&self, line: &str) {
        if self.json {
            return tracing::info!("{line}");
        }
        let mut out = std::io::stdout().lock();
        // Nobody may be reading, and that is no error.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

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
        let cure = "write `debug`, or `info,kube_state_metrics=trace`";
        // A bare word would be taken for a target of which everything is logged.
        let items: Vec<_> = directives.split(',').map(str::trim).collect();
        if let Some(wrong) = items.iter().find(|item| !is_directive(item)) {
            return Err(format!(
                "`{wrong}` is neither a level nor `target=level`; {cure}"
            ));
        }
        let targets = items.join(",").parse::<Targets>();
        let targets = targets.map_err(|error| format!("{error}; {cure}"))?;
        self.filter
            .reload(targets)
            .map_err(|error| error.to_string())
    }
}

/// Whether a text is a level, for everything or for a target.
fn is_directive(text: &str) -> bool {
    let (_, level) = text.rsplit_once('=').unwrap_or(("", text));
    // No level at all would be the finest.
    !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn verbosity_chooses_levels() {
        let targets = |verbosity: &str| {
            let flags = LogFlags {
                verbosity: Some(verbosity.into()),
                log_format: None,
            };
            LogOptions::new(&flags).map(LogOptions::targets)
        };
        for (verbosity, own, others, client) in [
            ("0", Some(Level::INFO), Some(Level::WARN), None),
            (
                "4",
                Some(Level::DEBUG),
                Some(Level::INFO),
                Some(Level::INFO),
            ),
            (
                "9",
                Some(Level::TRACE),
                Some(Level::DEBUG),
                Some(Level::DEBUG),
            ),
        ] {
            let targets = targets(verbosity).unwrap();
            let finest = |target: &str| {
                let all = [
                    Level::TRACE,
                    Level::DEBUG,
                    Level::INFO,
                    Level::WARN,
                    Level::ERROR,
                ];
                all.into_iter()
                    .find(|level| targets.would_enable(target, level))
            };
            assert_eq!(finest("kube_state_metrics::x"), own, "{verbosity}");
            assert_eq!(finest("hyper"), others, "{verbosity}");
            assert_eq!(
                finest("kube_client::client::builder"),
                client,
                "{verbosity}"
            );
        }
        assert_eq!(targets("x").unwrap_err(), ["-v: `x` is not a whole number"]);
    }
}
