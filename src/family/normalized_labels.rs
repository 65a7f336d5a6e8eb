//! [`NormalizedLabels`]: the form of labels in which equal series have equal texts.
//!
//! A label with an empty value means the same as no label, and the order of labels has no meaning. So Prometheus
//! regards `a="1",b=""`, `b="",a="1"` and `a="1"` as the labels of one series. The *normalized* labels of a sample are
//! its labels without the empty labels, sorted by name.
//!
//! Source: [Prometheus, data model](https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels).

use super::label_text::stored_labels;

/// Writes the normalized labels of samples. The memory for sorting is used again for the next sample.
#[derive(Debug, Default)]
pub(crate) struct NormalizedLabels {
    labels: Vec<LabelRange>,
}

/// The position of a label in the text of the labels.
#[derive(Clone, Copy, Debug)]
struct LabelRange {
    start: usize,
    name_end: usize,
    end: usize,
}

// === impl NormalizedLabels ===

impl NormalizedLabels {
    /// Appends the normalized form of `labels` to `out`, with commas between the labels. `labels` is the text of labels
    /// with or without the opening brace, and may continue with the rest of a sample line. An empty label remains if
    /// `keeps` returns `true` for its name.
    ///
    /// Returns the number of labels that were read.
    pub(crate) fn write(
        &mut self,
        labels: &[u8],
        keeps: impl Fn(&str) -> bool,
        out: &mut Vec<u8>,
    ) -> usize {
        self.labels.clear();
        let (mut count, mut at) = (0, 0);
        for label in stored_labels(labels) {
            count += 1;
            let end = at + label.text.len();
            if !label.value.is_empty() || keeps(label.name) {
                // The value is between two quotes, and `="` is between the name and the value.
                let name_end = end - label.value.len() - "=\"\"".len();
                let start = name_end - label.name.len();
                self.labels.push(LabelRange {
                    start,
                    name_end,
                    end,
                });
            }
            at = end;
        }
        let name = |label: &LabelRange| labels.get(label.start..label.name_end);
        if !self.labels.is_sorted_by_key(name) {
            self.labels.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        }
        let start = out.len();
        for label in &self.labels {
            if out.len() > start {
                out.push(b',');
            }
            out.extend_from_slice(labels.get(label.start..label.end).unwrap_or_default());
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(labels: &str) -> String {
        let mut out = Vec::new();
        NormalizedLabels::default().write(labels.as_bytes(), |_| false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn equal_series_have_equal_normalized_labels() {
        for (labels, expected) in [
            ("} 1", ""),
            (" 1", ""),
            ("", ""),
            ("{a=\"\"} 1", ""),
            ("{b=\"2\",a=\"1\"} 1", "a=\"1\",b=\"2\""),
            (",a=\"1\",b=\"\",c=\"3\"} 1", "a=\"1\",c=\"3\""),
            ("a=\"\",ab=\"1\",a_b=\"2\"", "a_b=\"2\",ab=\"1\""),
            // Values may contain all characters. Quotes, backslashes and newlines are escaped.
            (
                ",b=\"=\\\"\\\",c=\\\"\",a=\"x=\",c=\"\\\\\"} 1",
                "a=\"x=\",b=\"=\\\"\\\",c=\\\"\",c=\"\\\\\"",
            ),
        ] {
            assert_eq!(normalized(labels), expected, "{labels}");
        }
        let mut out = b"x".to_vec();
        let count = NormalizedLabels::default().write(
            b",a=\"\",b=\"\",c=\"1\"",
            |name| name == "b",
            &mut out,
        );
        assert_eq!((count, &*out), (3, &b"xb=\"\",c=\"1\""[..]));
    }
}
