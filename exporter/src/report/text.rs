//! Computes a report from a saved response of `/metrics`.

use std::borrow::Cow;
use std::io::{self, BufRead};

use kube_state_metrics::families::catalogue::catalogue;

use super::costs::CostCounter;
use super::families::{FamilyReport, Report};
use super::rows::Rows;

/// The reason why a text is not a response of `/metrics`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error(
        "line {line}: {problem}; give a response of /metrics in the text or OpenMetrics format"
    )]
    Line { line: u64, problem: &'static str },
    #[error("line {line} is longer than 16 MiB; no sample is that long")]
    Long { line: u64 },
}

/// The maximum length of a line, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// A sample line, split into the name and the labels.
struct Sample<'a> {
    name: Cow<'a, str>,
    /// The names of the labels, and their values without escapes.
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

#[derive(Default)]
struct Families {
    reports: Rows<FamilyReport>,
    /// The family of the comment `HELP` or `TYPE` that was read most recently.
    header: FamilyReport,
}

// === impl Report ===

impl Report {
    /// Counts the samples of a text, line by line.
    ///
    /// # Errors
    ///
    /// The function fails if the text cannot be read, or if a line is neither a sample nor a comment.
    pub(crate) fn of_text(mut text: impl BufRead) -> Result<Self, TextError> {
        let (mut families, mut counter) = (Families::default(), CostCounter::default());
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            number += 1;
            let length = io::Read::take(&mut text, LONGEST_LINE).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            if length as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
                return Err(TextError::Long { line: number });
            }
            let failed = |problem| TextError::Line {
                line: number,
                problem,
            };
            let read = std::str::from_utf8(&line).map_err(|_| failed("it is not UTF-8"))?;
            let read = read.trim();
            if let Some(comment) = read.strip_prefix('#') {
                families.read_comment(comment);
            } else if !read.is_empty() {
                let sample = Sample::parse(read).map_err(failed)?;
                let family = families.family_of(&sample.name);
                let labels = sample.labels.iter();
                let labels = labels.map(|(name, value)| (&**name, value.clone()));
                family.count(labels, length as u64, &mut counter);
                family.sample.get_or_insert_with(|| read.to_owned());
            }
        }
        Ok(Self::of(families.reports.all, counter, &catalogue()))
    }
}

// === impl Families ===

impl Families {
    /// Reads the comments `HELP` and `TYPE`.
    fn read_comment(&mut self, comment: &str) {
        let Some((keyword @ ("HELP" | "TYPE"), after)) = comment.trim_start().split_once(' ')
        else {
            return;
        };
        let (name, rest) = match quoted(after.trim_start()) {
            Some(Some((name, rest))) => (name, rest),
            Some(None) => return,
            None => {
                let (name, rest) = after.split_once(' ').unwrap_or((after, ""));
                (Cow::Borrowed(name), rest)
            }
        };
        if self.header.name != name {
            self.header = FamilyReport {
                name: name.into_owned(),
                ..FamilyReport::default()
            };
        }
        let rest = rest.trim().to_owned();
        match keyword {
            "HELP" => self.header.help = rest,
            _ => self.header.metric_type = rest,
        }
    }

    /// Returns the family of a sample. Usually, the family has the name of the sample. In a histogram or summary, the
    /// name of the sample may also have a suffix, such as `_bucket`.
    fn family_of(&mut self, sample: &str) -> &mut FamilyReport {
        let header = &self.header;
        let suffix = sample.strip_prefix(&*header.name).unwrap_or("-");
        let is_of_header = match &*header.metric_type {
            "histogram" | "summary" => {
                ["", "_bucket", "_sum", "_count", "_created"].contains(&suffix)
            }
            _ => false,
        };
        let name = if is_of_header { &header.name } else { sample };
        let number = self.reports.number(name, || {
            let is_described = is_of_header || ["", "_total", "_info"].contains(&suffix);
            let described = if is_described {
                header.clone()
            } else {
                Default::default()
            };
            FamilyReport {
                name: name.to_owned(),
                ..described
            }
        });
        &mut self.reports.all[number]
    }
}

// === impl Sample ===

impl<'a> Sample<'a> {
    /// Parses a line `name{labels} value` or `{"name",labels} value`. Ignores the timestamp and the exemplar of the
    /// line.
    ///
    /// Names of metrics and labels may be in quotes. Then they may contain any characters.
    fn parse(line: &'a str) -> Result<Self, &'static str> {
        let end = line.find(['{', ' ', '\t']).ok_or("it has no value")?;
        let (name, mut rest) = line.split_at(end);
        let mut name = Some(name)
            .filter(|name| !name.is_empty())
            .map(Cow::Borrowed);
        let is_name = match &name {
            Some(name) => is_metric_name(name),
            None => rest.starts_with('{'),
        };
        if !is_name {
            return Err("it does not start with the name of a metric");
        }
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            loop {
                if let Some(after) = rest.strip_prefix('}') {
                    rest = after;
                    break;
                }
                let (label, after) = match quoted(rest) {
                    Some(quoted) => quoted.ok_or("a name in quotes has no end")?,
                    None => {
                        let end = rest.find('=').ok_or("its labels have no end")?;
                        let (label, after) = rest.split_at(end);
                        (Cow::Borrowed(label.trim()), after)
                    }
                };
                match after.trim_start().strip_prefix('=') {
                    Some(after) => {
                        let value = quoted(after.trim_start());
                        let value = value.ok_or("the value of a label is not in quotes")?;
                        let (value, after) = value.ok_or("the value of a label has no end")?;
                        labels.push((label, value));
                        rest = after.trim_start();
                    }
                    // A name in quotes without a value is the name of the metric.
                    None if name.is_none() => {
                        name = Some(label);
                        rest = after.trim_start();
                    }
                    None => return Err("a label has no value"),
                }
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
        }
        let name = name.ok_or("it has no name of a metric")?;
        let value = rest.split_whitespace().next().ok_or("it has no value")?;
        let is_number = value.parse::<f64>().is_ok();
        is_number
            .then_some(Self { name, labels })
            .ok_or("its value is not a number")
    }
}

/// Whether a text contains only characters that a metric name may contain.
pub(crate) fn is_metric_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !text.is_empty() && text.bytes().all(is_part)
}

/// Whether a line is a sample whose name is in quotes, such as `{"my.metric",a="b"} 1`.
pub(crate) fn is_quoted_sample(line: &str) -> bool {
    line.starts_with('{') && Sample::parse(line.trim()).is_ok()
}

/// Splits a text that starts with a quote into the text in quotes, without escapes, and the rest. Returns `None` if the
/// text does not start with a quote, and `Some(None)` if the closing quote is missing.
fn quoted(text: &str) -> Option<Option<(Cow<'_, str>, &str)>> {
    let inside = text.strip_prefix('"')?;
    Some(closing_quote(inside).map(|end| {
        let (value, after) = inside.split_at(end);
        (unescaped(value), after.get(1..).unwrap_or_default())
    }))
}

/// The position of the first quote that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(escaped) => escaped,
                None => '\\',
            },
            character => character,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_counted_by_family_resource_namespace_and_label() {
        let text = "# HELP kube_pod_info Always 1.\n\
                    # TYPE kube_pod_info gauge\n\
                    kube_pod_info{namespace=\"a\",pod=\"x\\\"}\"} 1\n\
                    kube_pod_info{namespace=\"b\", pod=\"y\",} 1 1700000000\n\
                    # TYPE http histogram\n\
                    http_bucket{le=\"+Inf\"} 3 # {trace=\"a\"} 1\n\
                    http_sum 0.5\n\
                    http_count 3\n\
                    \n# EOF\n";
        let report = Report::of_text(text.as_bytes()).unwrap();
        let families: Vec<_> = report
            .families
            .iter()
            .map(|own| (&*own.name, own.series, own.bytes))
            .collect();
        assert_eq!(families, [("kube_pod_info", 2, 94), ("http", 3, 67)]);
        assert_eq!(report.families[0].resource.as_deref(), Some("pods"));
        assert_eq!(report.families[0].help, "Always 1.");
        assert_eq!(report.families[0].labels[1].values, ["x\"}", "y"]);
        let resources: Vec<_> = report
            .resources
            .iter()
            .map(|row| (&*row.name, row.series))
            .collect();
        assert_eq!(resources, [("pods", 2), ("other", 3)]);
        assert_eq!(report.namespaces.len(), 2);
        assert_eq!((report.series(), report.bytes()), (5, 161));
    }

    #[test]
    fn names_in_quotes_are_read() {
        let text = "# HELP \"my.metric\" All of it.\n\
                    # TYPE \"my.metric\" gauge\n\
                    {\"my.metric\",namespace=\"a\",\"my.label\"=\"x\"} 1\n\
                    { \"my.metric\" } 1\n\
                    {\"of \\\"all\\\" = , }\",a=\"b\"} 2\n\
                    plain{\"my.label\"=\"y\"} 3\n";
        let report = Report::of_text(text.as_bytes()).unwrap();
        let families: Vec<_> = report
            .families
            .iter()
            .map(|own| (&*own.name, own.series))
            .collect();
        assert_eq!(
            families,
            [("my.metric", 2), ("of \"all\" = , }", 1), ("plain", 1)]
        );
        assert_eq!(report.families[0].help, "All of it.");
        let labels: Vec<_> = report.families[0]
            .labels
            .iter()
            .map(|own| &*own.name)
            .collect();
        assert!(
            labels.contains(&"my.label") && labels.contains(&"namespace"),
            "{labels:?}"
        );
    }

    #[test]
    fn what_is_no_sample_is_an_error_with_its_line() {
        for (text, problem) in [
            ("a 1\nkind: Pod\n", "line 2: its value is not a number"),
            ("a 1\n- b: 1\n", "line 2: it does not start with the name"),
            ("a\n", "line 1: it has no value"),
            ("a{b=\"c\" 1\n", "line 1: its labels have no end"),
            ("a{b=\"c 1\n", "line 1: the value of a label has no end"),
            (
                "a{b=c} 1\n",
                "line 1: the value of a label is not in quotes",
            ),
            ("a{} x\n", "line 1: its value is not a number"),
            ("{} 1\n", "line 1: it has no name of a metric"),
            ("{a=\"b\"} 1\n", "line 1: it has no name of a metric"),
            ("{\"a\",\"b\"} 1\n", "line 1: a label has no value"),
            ("{\"a} 1\n", "line 1: a name in quotes has no end"),
            ("a {\"b\"} 1\n", "line 1: its value is not a number"),
        ] {
            let error = Report::of_text(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
