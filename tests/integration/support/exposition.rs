//! A strict reader of expositions for tests. If the reader accepts an exposition, every scraper accepts it, too.
//!
//! The reader follows [Prometheus text 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/) and
//! [OpenMetrics 1.0](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md). The reader
//! also checks these guarantees of kube-state-metrics:
//! - The help text, the type and the samples of a family are adjacent.
//! - Each family has samples.
//! - Each number is written in the only allowed form.
//!
//! For OpenMetrics, the reader also checks the names that a family reserves, and the groups of samples in a state set.

use std::collections::{BTreeMap, BTreeSet};

use kube_state_metrics::exposition::Format;

/// A family: its header, and the samples below the header.
#[derive(Debug)]
pub(crate) struct ReadFamily {
    /// The name in the lines `# HELP` and `# TYPE`.
    pub(crate) name: String,
    /// The type in the `# TYPE` line.
    pub(crate) kind: String,
    pub(crate) samples: Vec<ReadSample>,
}

/// A parsed sample line.
#[derive(Debug)]
pub(crate) struct ReadSample {
    pub(crate) line: String,
    pub(crate) name: String,
    /// Names and unescaped values of the labels, in their order in the line.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// Reads a whole exposition. An error contains a line and the rule that the line violates.
pub(crate) fn read(text: &[u8], format: Format) -> Result<Vec<ReadFamily>, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let body = match format {
        Format::OpenMetrics => text
            .strip_suffix("# EOF\n")
            .ok_or("no `# EOF` at the end")?,
        _ => text,
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut reader = Reader {
        format,
        families: Vec::new(),
        names: BTreeSet::new(),
        series: BTreeSet::new(),
        groups: Vec::new(),
    };
    let mut lines = body.split_terminator('\n').peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            let kind = lines
                .next()
                .ok_or_else(|| format!("nothing follows {line:?}"))?;
            reader.header(line, kind)?;
            if lines.peek().is_none_or(|next| next.starts_with('#')) {
                return Err(format!("a family without samples: {kind:?}"));
            }
        } else {
            let sample = sample(line).map_err(|rule| format!("{rule}: {line:?}"))?;
            reader
                .sample(sample)
                .map_err(|rule| format!("{rule}: {line:?}"))?;
        }
    }
    Ok(reader.families)
}

struct Reader {
    format: Format,
    families: Vec<ReadFamily>,
    /// The names of the families. In OpenMetrics, also the names that each family reserves because of its type.
    names: BTreeSet<String>,
    series: BTreeSet<(String, BTreeMap<String, String>)>,
    /// The groups of samples in the current state set. The samples of a group have the same labels, except for the
    /// label of the state. The map contains these common labels.
    groups: Vec<BTreeMap<String, String>>,
}

impl Reader {
    fn header(&mut self, help: &str, kind: &str) -> Result<(), String> {
        let text = help
            .strip_prefix("# HELP ")
            .ok_or_else(|| format!("no help: {help:?}"))?;
        let (name, text) = text
            .split_once(' ')
            .ok_or_else(|| format!("empty help: {help:?}"))?;
        let quotes = self.format == Format::OpenMetrics;
        unescape(text, quotes).map_err(|rule| format!("{rule}: {help:?}"))?;
        let kind = (kind
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.strip_prefix(name)))
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or_else(|| format!("no type of {name}: {kind:?}"))?;
        let kinds: &[&str] = match self.format {
            Format::OpenMetrics => &["gauge", "counter", "info", "stateset", "unknown"],
            _ => &["gauge", "counter", "untyped"],
        };
        if !kinds.contains(&kind) {
            return Err(format!("{name} has the unknown type {kind:?}"));
        }
        let reserved: &[&str] = match (self.format, kind) {
            (Format::OpenMetrics, "counter") => &["", "_total", "_created"],
            (Format::OpenMetrics, "info") => &["", "_info"],
            _ => &[""],
        };
        let mut reserved = reserved.iter().map(|suffix| format!("{name}{suffix}"));
        if !is_name(name, ":_") || !reserved.all(|name| self.names.insert(name)) {
            return Err(format!("{name:?} is not a name, or it occurs twice"));
        }
        self.groups.clear();
        self.families.push(ReadFamily {
            name: name.into(),
            kind: kind.into(),
            samples: Vec::new(),
        });
        Ok(())
    }

    fn sample(&mut self, sample: ReadSample) -> Result<(), &'static str> {
        let family = self
            .families
            .last_mut()
            .ok_or("a sample without a header")?;
        let suffix = match (self.format, family.kind.as_str()) {
            (Format::OpenMetrics, "counter") => "_total",
            (Format::OpenMetrics, "info") => "_info",
            _ => "",
        };
        if sample.name.strip_suffix(suffix) != Some(&family.name) {
            return Err("a sample below the header of another family");
        }
        let valid = match family.kind.as_str() {
            "counter" => sample.value >= 0.0,
            "info" => sample.value == 1.0,
            "stateset" => sample.value == 0.0 || sample.value == 1.0,
            _ => true,
        };
        if !valid {
            return Err("a value the type does not have");
        }
        let labels: BTreeMap<_, _> = sample.labels.iter().cloned().collect();
        if family.kind == "stateset" {
            let mut group = labels.clone();
            if group.remove(&family.name).is_none() {
                return Err("a state set without the label of its state");
            }
            if self.groups.last() != Some(&group) {
                if self.groups.contains(&group) {
                    return Err("a group whose samples do not follow each other");
                }
                self.groups.push(group);
            }
        }
        if labels.len() != sample.labels.len() {
            return Err("a label that occurs twice");
        }
        if !self.series.insert((sample.name.clone(), labels)) {
            return Err("a series that occurs twice");
        }
        family.samples.push(sample);
        Ok(())
    }
}

fn sample(line: &str) -> Result<ReadSample, &'static str> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name, ":_") {
        return Err("not a metric name");
    }
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !is_name(name, "_") {
                return Err("not a label name");
            }
            let end = closing_quote(after).ok_or("a value without an end")?;
            let (value, after) = after.split_at(end);
            labels.push((name.to_owned(), unescape(value, true)?));
            match after.as_bytes() {
                [b'"', b',', ..] => rest = &after[2..],
                [b'"', b'}', ..] => {
                    rest = &after[2..];
                    break;
                }
                _ => return Err("a label that does not end"),
            }
        }
    }
    let value = rest
        .strip_prefix(' ')
        .ok_or("no blank in front of the value")?;
    Ok(ReadSample {
        line: line.to_owned(),
        name: name.to_owned(),
        labels,
        value: number(value).ok_or("not a number")?,
    })
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Replaces the escape sequences. The escape `\"` is valid only if `quotes` is true.
fn unescape(text: &str, quotes: bool) -> Result<String, &'static str> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                _ => return Err("an escape that does not exist"),
            },
            '"' if quotes => return Err("a quote that is not escaped"),
            c => c,
        });
    }
    Ok(plain)
}

/// Parses a number. Each number has only one allowed form, for example `-0.5`, `999999`, `1e+06` or `+Inf`. Returns
/// `None` if the text has a different form.
fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => return Some(f64::NAN),
        "+Inf" => return Some(f64::INFINITY),
        "-Inf" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "+00"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "1"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.strip_prefix(['+', '-'])?;
    let scientific = unsigned.contains('e');
    let spelled = digits(whole)
        && digits(fraction)
        && digits(exponent_digits)
        && (whole == "0" || !whole.starts_with('0'))
        && !fraction.ends_with('0')
        && exponent_digits.len() >= 2
        && (exponent_digits.len() == 2 || !exponent_digits.starts_with('0'))
        && (!scientific || (whole.len() == 1 && whole != "0"));
    let value: f64 = text.parse().ok()?;
    let magnitude = value.abs();
    let wants_exponent = magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude);
    (spelled && value.is_finite() && scientific == wants_exponent && text != "-0").then_some(value)
}

fn is_name(name: &str, others: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

#[test]
fn the_reader_takes_both_formats_apart() {
    let text = b"# HELP a_total It's \"a\" \\\\ b.\n# TYPE a_total counter\n\
        a_total{x=\"q\\\"\\n,}\",y=\"\"} 1.5e+06\na_total 0\n";
    let families = read(text, Format::Text).unwrap();
    let labels = |at: usize| families[0].samples[at].labels.clone();
    assert_eq!(
        labels(0),
        [("x".into(), "q\"\n,}".into()), ("y".into(), String::new())]
    );
    assert_eq!((labels(1), families[0].samples[0].value), (vec![], 1.5e6));
    let text = b"# HELP a A.\n# TYPE a counter\na_total 0\n# EOF\n";
    assert_eq!(
        read(text, Format::OpenMetrics).unwrap()[0].samples[0].name,
        "a_total"
    );
    assert!(read(b"", Format::Text).unwrap().is_empty());
}

#[test]
fn the_reader_refuses_what_breaks_a_rule() {
    let rules = [
        ("a 1\na 1", "twice"),
        ("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2", "twice"),
        ("a{x=\"1\",x=\"2\"} 1", "twice"),
        ("a{} 1", "without a value"),
        ("a{x=\"1\",} 1", "without a value"),
        ("a{x=\"1\"}1", "no blank"),
        ("a{x-y=\"1\"} 1", "not a label name"),
        ("a{1x=\"1\"} 1", "not a label name"),
        ("a{x=\"\\t\"} 1", "does not exist"),
        ("a{x=\"1} 1", "without an end"),
        ("a{x=\"1\"", "does not end"),
        ("a", "no value"),
        ("a ", "not a number"),
        ("a 1 ", "not a number"),
        ("a 1.0", "not a number"),
        ("a 01", "not a number"),
        ("a 1e6", "not a number"),
        ("a 1000000", "not a number"),
        ("a 1e+05", "not a number"),
        ("a 10e+06", "not a number"),
        ("a -0", "not a number"),
        ("a inf", "not a number"),
        ("b 1", "another family"),
        ("a 1\n# HELP a A.\n# TYPE a gauge\na{x=\"1\"} 1", "twice"),
        ("a 1\n# HELP b B.\n# TYPE b gauge", "without samples"),
        ("a 1\n# HELP b B.\n# TYPE c gauge\nb 1", "no type"),
        ("a 1\n# TYPE b gauge\n# HELP b B.\nb 1", "no help"),
        ("a 1\n# HELP b B\\t.\n# TYPE b gauge\nb 1", "does not exist"),
        ("a 1\n\na{x=\"1\"} 1", "no value"),
    ];
    for (lines, rule) in rules {
        let text = format!("# HELP a A.\n# TYPE a gauge\n{lines}\n");
        let error = read(text.as_bytes(), Format::Text).unwrap_err();
        assert!(error.contains(rule), "{lines:?} gives {error:?}");
    }
    for (text, rule) in [
        ("# HELP a A.\n# TYPE a counter\na -1\n", "does not have"),
        ("# HELP a A.\n# TYPE a info\na 1\n", "unknown type"),
        ("# HELP a A.\n# TYPE a gauge\na 1", "does not end"),
        ("a 1\n", "without a header"),
    ] {
        let error = read(text.as_bytes(), Format::Text).unwrap_err();
        assert!(error.contains(rule), "{text:?} gives {error:?}");
    }
    for (text, rule) in [
        ("", "EOF"),
        ("# EOF\n# EOF\n", "nothing follows"),
        (
            "# HELP a \"A\".\n# TYPE a gauge\na 1\n# EOF\n",
            "not escaped",
        ),
        (
            "# HELP a A.\n# TYPE a counter\na 1\n# EOF\n",
            "another family",
        ),
        (
            "# HELP a A.\n# TYPE a info\na_info 0\n# EOF\n",
            "does not have",
        ),
        (
            "# HELP a A.\n# TYPE a stateset\na{b=\"x\"} 0\n# EOF\n",
            "without the label of its state",
        ),
        (
            "# HELP a A.\n# TYPE a stateset\na{a=\"x\",b=\"1\"} 0\na{a=\"x\",b=\"2\"} 0\n\
             a{a=\"y\",b=\"1\"} 1\n# EOF\n",
            "do not follow each other",
        ),
        (
            "# HELP a A.\n# TYPE a counter\na_total 0\n\
             # HELP a_created A.\n# TYPE a_created gauge\na_created 0\n# EOF\n",
            "occurs twice",
        ),
        (
            "# HELP a_total A.\n# TYPE a_total unknown\na_total 0\n\
             # HELP a A.\n# TYPE a counter\na_total 0\n# EOF\n",
            "occurs twice",
        ),
        (
            "# HELP a_info A.\n# TYPE a_info gauge\na_info{b=\"1\"} 1\n\
             # HELP a A.\n# TYPE a info\na_info 1\n# EOF\n",
            "occurs twice",
        ),
    ] {
        let error = read(text.as_bytes(), Format::OpenMetrics).unwrap_err();
        assert!(error.contains(rule), "{text:?} gives {error:?}");
    }
}
