//! Parses sample lines, so that tests compare series instead of text.

use std::collections::BTreeMap;
use std::fmt;

use crate::exposition::StoredSample;

/// One sample line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    text: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// A label that differs between two lines: its name, and its value in each line.
pub(super) type LabelDifference<'l> = (&'l str, Option<&'l str>, Option<&'l str>);

// === impl Line ===

impl Line {
    /// The line of a rendered sample.
    pub(super) fn of(sample: StoredSample<'_>) -> Self {
        let labels = sample.labels();
        Self {
            text: sample.to_string(),
            name: sample.name().to_owned(),
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.into_owned()))
                .collect(),
            value: sample.value(),
        }
    }

    /// Parses `name{label="value",...} number`. The labels may be separated by blanks, and a comma may follow the last
    /// label.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let end = text.find(['{', ' ', '\t']).ok_or("it has no value")?;
        let (name, mut rest) = text.split_at(end);
        if name.is_empty() {
            return Err("it has no name");
        }
        let mut labels = BTreeMap::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            while !rest.starts_with('}') {
                let (label, after) = rest
                    .split_once('=')
                    .ok_or("the labels do not end with `}`")?;
                let quoted = after
                    .trim_start()
                    .strip_prefix('"')
                    .ok_or("a label's value does not start with `\"`")?;
                let (value, after) =
                    unquoted(quoted).ok_or("a label's value does not end with `\"`")?;
                if labels.insert(label.trim().to_owned(), value).is_some() {
                    return Err("a label occurs twice");
                }
                rest = after.trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        let value = rest
            .trim()
            .parse()
            .map_err(|_| "its value is not a number")?;
        Ok(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            labels,
            value,
        })
    }

    /// Whether both lines have the same name, labels and value.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.is_same_series(other) && self.has_value_of(other)
    }

    pub(super) fn is_same_series(&self, other: &Self) -> bool {
        self.name == other.name && self.labels == other.labels
    }

    /// Whether both lines have the same value, independent of the notation of the number.
    pub(super) fn has_value_of(&self, other: &Self) -> bool {
        self.value == other.value || self.value.is_nan() && other.value.is_nan()
    }

    /// The labels that differ between two lines. For each label, the result has the value in each line.
    pub(super) fn label_differences<'l>(&'l self, other: &'l Self) -> Vec<LabelDifference<'l>> {
        let mut names: Vec<_> = self.labels.keys().chain(other.labels.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let value = |line: &'l Self, name: &str| line.labels.get(name).map(String::as_str);
        let both = names
            .into_iter()
            .map(|name| (name.as_str(), value(self, name), value(other, name)));
        both.filter(|(_, here, there)| here != there).collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The unescaped value up to its closing quote, and the rest of the text.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            c => value.push(c),
        }
    }
    None
}
