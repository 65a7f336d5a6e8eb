//! Parses the metrics of the embedding program into families. The conversion between the text formats uses these
//! families.

/// A family: the content of its header, and its samples.
#[derive(Debug, Default)]
pub(super) struct HostFamily<'a> {
    /// The name in the header; empty for samples without a header.
    pub(super) name: &'a str,
    /// The help text, with its escapes.
    pub(super) help: Option<&'a str>,
    pub(super) metric_type: Option<&'a str>,
    pub(super) samples: Vec<HostSample<'a>>,
}

#[derive(Debug)]
pub(super) struct HostSample<'a> {
    pub(super) name: &'a str,
    /// The braces and the labels between them, with their escapes.
    pub(super) labels: &'a str,
    pub(super) value: &'a str,
    pub(super) timestamp: Option<&'a str>,
}

/// Returns the families in a text. The text can be Prometheus text or OpenMetrics. Comments, units, exemplars and
/// invalid lines are dropped.
pub(super) fn families(text: &str) -> Vec<HostFamily<'_>> {
    let mut families: Vec<HostFamily<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.trim_start().splitn(3, ' ');
            let (keyword, name, rest) = (words.next(), words.next(), words.next());
            let (Some(keyword @ ("HELP" | "TYPE")), Some(name)) = (keyword, name) else {
                continue;
            };
            let is_new = |last: &HostFamily<'_>| last.name != name || !last.samples.is_empty();
            if families.last().is_none_or(is_new) {
                families.push(HostFamily {
                    name,
                    ..HostFamily::default()
                });
            }
            let rest = rest.unwrap_or_default();
            match (keyword, families.last_mut()) {
                ("HELP", Some(family)) => family.help = Some(rest),
                (_, Some(family)) => family.metric_type = Some(rest.trim()),
                (_, None) => {}
            }
        } else if let Some(sample) = HostSample::parse(line) {
            match families.last_mut() {
                Some(family) => family.samples.push(sample),
                None => families.push(HostFamily {
                    samples: vec![sample],
                    ..HostFamily::default()
                }),
            }
        }
    }
    families
}

// === impl HostSample ===

impl<'a> HostSample<'a> {
    /// Parses a line of the form `name{labels} value timestamp`.
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_at(line.find(['{', ' ', '\t'])?);
        let (labels, rest) = rest.split_at(labels_len(rest)?);
        let mut words = rest.split_whitespace();
        let value = words.next()?;
        // An exemplar starts with `#`.
        let timestamp = words.next().filter(|word| !word.starts_with('#'));
        Some(Self {
            name,
            labels,
            value,
            timestamp,
        })
    }

    /// Appends the sample as one line.
    pub(super) fn write(&self, timestamp: Option<String>, out: &mut String) {
        out.extend([self.name, self.labels, " ", self.value]);
        if let Some(timestamp) = timestamp {
            out.extend([" ", &timestamp]);
        }
        out.push('\n');
    }
}

/// Returns the length of the labels at the start of a text, with their braces; `None` if the closing brace is missing.
fn labels_len(text: &str) -> Option<usize> {
    if !text.starts_with('{') {
        return Some(0);
    }
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|c| {
        let ends = c == '}' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        ends
    });
    end.map(|end| end + 1)
}
