//! Converts metrics of the embedding program between Prometheus text and OpenMetrics.

use std::collections::HashSet;

use super::parse::{HostFamily, families};

/// Removes the line `# EOF` of OpenMetrics from the end of a text. The result ends with a newline.
pub(super) fn without_terminator(text: &str) -> String {
    let text = text.trim_end();
    let text = text.strip_suffix("# EOF").unwrap_or(text).trim_end();
    let mut lines = String::with_capacity(text.len() + 1);
    if !text.is_empty() {
        lines.extend([text, "\n"]);
    }
    lines
}

/// Converts Prometheus text to OpenMetrics. Does not write the line `# EOF`.
///
/// If the name of a counter does not end with `_total`, its type becomes `unknown`, because OpenMetrics requires this
/// suffix.
pub(super) fn text_to_openmetrics(text: &str) -> String {
    let families = families(text);
    let names: HashSet<_> = families.iter().map(|family| family.name).collect();
    let mut out = String::with_capacity(text.len());
    for family in &families {
        let short_name = family.name.strip_suffix("_total");
        let short_name = short_name.filter(|name| !name.is_empty() && !names.contains(name));
        let (name, metric_type) = match (family.metric_type, short_name) {
            (Some("counter"), Some(short_name)) => (short_name, Some("counter")),
            (Some("counter" | "untyped"), _) => (family.name, Some("unknown")),
            (metric_type, _) => (family.name, metric_type),
        };
        let help = family.help.map(|help| help.replace('"', "\\\""));
        write_header(name, help, metric_type, &mut out);
        for sample in &family.samples {
            sample.write(sample.timestamp.and_then(seconds), &mut out);
        }
    }
    out
}

/// Converts OpenMetrics to Prometheus text.
///
/// In Prometheus text, infos, state sets, units, exemplars and creation times do not exist. The conversion changes
/// infos and state sets to gauges. It drops units, exemplars and creation times.
pub(super) fn openmetrics_to_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for family in families(text) {
        let (suffix, metric_type) = match family.metric_type {
            Some("counter") => ("_total", Some("counter")),
            Some("info") => ("_info", Some("gauge")),
            Some("stateset") => ("", Some("gauge")),
            Some("unknown" | "gaugehistogram") => ("", Some("untyped")),
            metric_type => ("", metric_type),
        };
        let name = match family.name.ends_with(suffix) {
            true => family.name.to_owned(),
            false => format!("{}{suffix}", family.name),
        };
        let help = family.help.map(unescape_quotes);
        write_header(&name, help, metric_type, &mut out);
        let samples = family.samples.iter();
        for sample in samples.filter(|sample| !is_creation_time(&family, sample.name)) {
            sample.write(sample.timestamp.and_then(milliseconds), &mut out);
        }
    }
    out
}

fn write_header(name: &str, help: Option<String>, metric_type: Option<&str>, out: &mut String) {
    if let Some(help) = help {
        out.extend(["# HELP ", name, " ", &help, "\n"]);
    }
    if let Some(metric_type) = metric_type {
        out.extend(["# TYPE ", name, " ", metric_type, "\n"]);
    }
}

/// Whether the sample is the creation time of a counter, a histogram or a summary.
fn is_creation_time(family: &HostFamily<'_>, sample: &str) -> bool {
    let has_one = matches!(
        family.metric_type,
        Some("counter" | "histogram" | "summary")
    );
    has_one && sample.strip_suffix("_created") == Some(family.name)
}

/// Removes the escape characters before quotes in a help text.
fn unescape_quotes(help: &str) -> String {
    let mut text = String::with_capacity(help.len());
    let mut chars = help.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().starts_with('"')) {
            ('\\', true) => {}
            ('\\', false) => {
                text.push(c);
                text.extend(chars.next());
            }
            _ => text.push(c),
        }
    }
    text
}

/// Converts a timestamp from Prometheus text (in milliseconds) to OpenMetrics (in seconds).
fn seconds(milliseconds: &str) -> Option<String> {
    let milliseconds: i64 = milliseconds.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
    let seconds = milliseconds as f64 / 1e3;
    Some(format!("{seconds:.3}"))
}

/// Converts a timestamp from OpenMetrics (in seconds) to Prometheus text (in milliseconds).
fn milliseconds(seconds: &str) -> Option<String> {
    let seconds: f64 = seconds.parse().ok()?;
    Some(format!("{:.0}", seconds * 1e3))
}
