//! Writes log lines to standard error, as text or as JSON.

mod dependencies;
mod fields;
mod panics;
mod queue;

use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::humanize::is_visible;
use crate::options::{LogFormat, LogOptions};
use dependencies::DependencyLimit;
use fields::VisibleFields;
use queue::{Limits, LineQueue};

/// The maximum size of each queue of lines.
const LIMITS: Limits = Limits {
    lines: 4096,
    bytes: 4 << 20,
};
/// Before the program ends, it waits until the queued lines are written, but at most for this time.
const FLUSH: Duration = Duration::from_secs(1);

/// The queues of the exporter while it serves metrics. Subcommands have no queues, and write their lines directly.
static QUEUES: OnceLock<Queues> = OnceLock::new();

/// The queues for standard output and standard error.
#[derive(Debug)]
struct Queues {
    stdout: LineQueue,
    stderr: LineQueue,
}

/// Changes the log levels at run time.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel {
    json: bool,
    filter: reload::Handle<Targets, Registry>,
    stdout: LineQueue,
}

/// A guard. When the guard is dropped, it waits until the queued lines are written, but at most [`FLUSH`].
#[derive(Debug)]
pub(crate) struct FlushWhenDropped;

/// A writer that escapes control characters in log lines. Log lines may contain text from objects, files and plugins.
/// Without escapes, an attacker could put a line break into such a text, and in this way forge a log line.
struct Escaped<W> {
    inner: W,
    /// How the escape of a character is written.
    format: LogFormat,
}

/// Starts logging without a queue. Each call that logs a line writes this line before it returns.
pub(crate) fn start(options: LogOptions) {
    let format = options.format;
    subscribe(options, None, move || Escaped::new(io::stderr(), format));
}

/// Starts logging with a queue, for an exporter that serves metrics. A separate thread writes the log lines. So if no
/// process reads standard error, other threads do not block. If too many lines are queued, further lines are dropped,
/// and `dropped` counts them.
///
/// # Errors
///
/// The function fails if the system cannot create the threads.
pub(crate) fn start_queued(options: LogOptions, dropped: &IntCounter) -> io::Result<LogLevel> {
    let report = |output| {
        move |lines: u64| {
            tracing::warn!(
                "{lines} log lines were dropped, because {output} did not accept them fast enough; check the reader \
                 of the log, such as the container runtime, or lower the log level"
            );
        }
    };
    let (counter, output) = (dropped.clone(), "standard error");
    let stderr = LineQueue::start("log", io::stderr(), LIMITS, counter, report(output))?;
    let (counter, output) = (dropped.clone(), "standard output");
    let stdout = LineQueue::start("stdout", io::stdout(), LIMITS, counter, report(output))?;
    let lines = stderr.clone();
    let format = options.format;
    let filter = subscribe(options, Some(dropped.clone()), move || {
        Escaped::new(lines.clone(), format)
    });
    panics::add_to(stderr.clone(), FLUSH);
    let level = LogLevel {
        json: options.format == LogFormat::Json,
        filter,
        stdout: stdout.clone(),
    };
    // The result is an error only if logging was started before. The old queues then stay in use.
    let _ = QUEUES.set(Queues { stdout, stderr });
    Ok(level)
}

/// Writes a line to standard error after all queued log lines.
pub(crate) fn write_last(line: &str) {
    let line = format!("{line}\n");
    if let Some(queues) = QUEUES.get() {
        return queues.stderr.push_last(line.into_bytes());
    }
    // The result is ignored, because a closed standard error is not a problem.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Starts logging with `writer`. `dropped` counts the lines of libraries that are dropped because there are too many.
fn subscribe<W>(
    options: LogOptions,
    dropped: Option<IntCounter>,
    writer: W,
) -> reload::Handle<Targets, Registry>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(options.verbosity));
    let lines = if options.format == LogFormat::Json {
        let lines = fmt::layer().with_writer(writer);
        lines.json().flatten_event(true).boxed()
    } else {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        text_lines(writer, terminal).boxed()
    };
    // `try_init` fails only if logging was started before. The old logging then stays in use.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter.and(DependencyLimit::new(dropped))))
        .try_init();
    handle
}

/// Returns a layer that writes log lines as text. If `colors` is true, the lines have color codes for a terminal.
fn text_lines<S, W>(writer: W, colors: bool) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(colors);
    lines.with_target(false).fmt_fields(VisibleFields)
}

/// Returns the log levels of the exporter and of its dependencies for a verbosity (`-v`).
fn targets(verbosity: i64) -> Targets {
    let (exporter, others) = match verbosity {
        ..2 => (LevelFilter::INFO, LevelFilter::WARN),
        2..5 => (LevelFilter::DEBUG, LevelFilter::INFO),
        5.. => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let targets = Targets::new()
        .with_default(others)
        .with_target("kube_state_metrics", exporter);
    if verbosity >= 2 {
        return targets;
    }
    // The log lines of kube are disabled: kube logs every failed request, but does not name the resource. The watches
    // of the library log each failure once, and name the resource. The log lines of h2 are about malformed frames of
    // clients, and do not name the client.
    targets
        .with_target("kube_client", LevelFilter::OFF)
        .with_target("h2", LevelFilter::OFF)
}

/// Returns a log line in which escapes replace control characters and invisible characters. The line break at its end
/// stays. Color codes also stay, because the formatter writes them for a terminal. [`VisibleFields`] has already
/// replaced the color codes in the values of fields.
fn escaped(line: &str, format: LogFormat) -> String {
    let (line, end) = match line.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (line, ""),
    };
    let mut text = String::with_capacity(line.len() + 1);
    let mut rest = line;
    while let Some(char) = rest.chars().next() {
        let color = color(rest);
        let length = color.map_or(char.len_utf8(), str::len);
        if !is_visible(char) && color.is_none() {
            match format {
                LogFormat::Json => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        text += &format!("\\u{unit:04x}");
                    }
                }
                LogFormat::Text => text.extend(char.escape_default()),
            }
        } else {
            text.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    text + end
}

/// If a text starts with a color code of a terminal, such as `ESC[32m`, returns this code.
fn color(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let end = codes.find(|char: char| !char.is_ascii_digit() && char != ';')?;
    let length = text.len() - codes.len() + end + 1;
    codes[end..].starts_with('m').then(|| &text[..length])
}

// === impl Escaped ===

impl<W> Escaped<W> {
    fn new(inner: W, format: LogFormat) -> Self {
        Self { inner, format }
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // `line` is a whole log line, because the formatter writes each line with one call.
        let line_text = String::from_utf8_lossy(line);
        self.inner
            .write_all(escaped(&line_text, self.format).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

// === impl FlushWhenDropped ===

impl Drop for FlushWhenDropped {
    fn drop(&mut self) {
        let deadline = Instant::now() + FLUSH;
        if let Some(Queues { stdout, stderr }) = QUEUES.get() {
            stdout.flush(deadline);
            stderr.flush(deadline);
        }
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// Writes a line to standard output. If log lines are JSON, writes the line to the log instead.
    pub(crate) fn say(&self, line: &str) {
        if self.json {
            return tracing::info!("{line}");
        }
        self.stdout.push(format!("{line}\n").into_bytes());
    }

    /// The current log levels, in the syntax that [`set`](Self::set) accepts.
    pub(crate) fn get(&self) -> String {
        self.filter
            .with_current(ToString::to_string)
            .unwrap_or_default()
    }

    /// Sets the log levels: a level, or `target=level` pairs joined by `,`.
    ///
    /// # Errors
    ///
    /// The function fails if an item of `directives` is neither a level nor a pair `target=level`.
    pub(crate) fn set(&self, directives: &str) -> Result<(), String> {
        let cure = "write `debug`, or `info,kube_state_metrics=trace`";
        // This check is necessary: the parser accepts any single word as a target, and enables all levels of this
        // target.
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

/// Whether a text is a level, or a pair `target=level`.
fn is_directive(text: &str) -> bool {
    let (_, level) = text.rsplit_once('=').unwrap_or(("", text));
    // An empty level is refused, because the parser treats it as the most verbose level.
    !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_log_line_is_one_line_without_control_characters() {
        let forged = "a\nINFO forged\r\u{1b}[2J\u{9b}31m\n";
        assert_eq!(
            escaped(forged, LogFormat::Text),
            "a\\nINFO forged\\r\\u{1b}[2J\\u{9b}31m\n"
        );
        let colored = "\u{1b}[2m2026\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m ready ä";
        assert_eq!(escaped(colored, LogFormat::Text), colored);
        let mut written = Vec::new();
        let mut text = Escaped::new(&mut written, LogFormat::Text);
        text.write_all(b"a\tb\n").unwrap();
        assert_eq!(written, b"a\\tb\n");
        let json = escaped(
            "{\"a\":\"\u{85}\u{7f}\u{202e}\u{e0041}\"}\n",
            LogFormat::Json,
        );
        assert_eq!(json, "{\"a\":\"\\u0085\\u007f\\u202e\\udb40\\udc41\"}\n");
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["a"], "\u{85}\u{7f}\u{202e}\u{e0041}");
    }

    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_field_of_a_log_line_controls_a_terminal() {
        let controls = ('\0'..='\u{2100}').filter(|char| !is_visible(*char));
        let text = format!("a\u{1b}[31mb\u{1b}[8m{}c", controls.collect::<String>());
        for colors in [false, true] {
            let lines = Lines::default();
            let writer = lines.clone();
            let writer = move || Escaped::new(writer.clone(), LogFormat::Text);
            let subscriber = Registry::default().with(text_lines(writer, colors));
            tracing::subscriber::with_default(subscriber, || {
                let span = tracing::info_span!("request", from = %text);
                let _entered = span.enter();
                tracing::warn!(object = %text, name = text, debug = ?text, "message {text}");
            });
            let line = String::from_utf8(lines.0.lock().clone()).unwrap();
            let line = line.strip_suffix('\n').unwrap();
            assert_eq!(
                line.matches("a\\u{1b}[31mb\\u{1b}[8m\\u{0}").count(),
                3,
                "{line}"
            );
            let mut own = line.to_owned();
            for code in ["[0m", "[1m", "[2m", "[3m", "[33m"] {
                own = own.replace(&format!("\u{1b}{code}"), "");
            }
            assert_eq!(own.len() < line.len(), colors);
            assert!(own.chars().all(is_visible), "{own}");
            assert!(own.contains(r"object=a\u{1b}"), "{own}");
        }
    }

    #[test]
    fn verbosity_chooses_levels() {
        for (verbosity, own, others, client) in [
            (0, Some(Level::INFO), Some(Level::WARN), None),
            (4, Some(Level::DEBUG), Some(Level::INFO), Some(Level::INFO)),
            (
                9,
                Some(Level::TRACE),
                Some(Level::DEBUG),
                Some(Level::DEBUG),
            ),
        ] {
            let targets = targets(verbosity);
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
    }
}
