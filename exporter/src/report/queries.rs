//! Generates example queries in PromQL for a family. The landing page shows these queries.

use super::costs::LabelExamples;
use super::families::FamilyReport;

/// Labels whose values are states, such as the phase of a pod. The queries select by the first of these labels that a
/// family has. If a family has none of these labels, the queries use another label with few values.
const STATES: &[&str] = &[
    "phase",
    "reason",
    "condition",
    "status",
    "resource",
    "type",
    "effect",
];
/// Labels by which the queries do not select, because such a selector is not useful.
const QUALIFIERS: &[&str] = &["unit", "container", "node", "uid"];

/// Returns one or two queries. The first query selects series, and the second query aggregates them.
pub(crate) fn queries(family: &FamilyReport) -> Vec<String> {
    let name = &family.name;
    let is_namespaced = family.labels.iter().any(|label| label.name == "namespace");
    let by = |label: &str| match is_namespaced && label != "namespace" {
        true => format!("by (namespace, {label})"),
        false => format!("by ({label})"),
    };
    let group = match is_namespaced {
        true => "by (namespace) ",
        false => "",
    };
    if family.series == 0 {
        return vec![name.clone()];
    }
    if family.metric_type == "counter" {
        return vec![
            format!("increase({name}[1h]) > 0"),
            format!("sum {group}(rate({name}[5m]))"),
        ];
    }
    let help = family.help.to_lowercase();
    if help.contains("unix time") {
        return vec![
            format!("time() - {name}"),
            format!("topk(10, time() - {name})"),
        ];
    }
    let Some((label, value)) = state(family) else {
        return match Value::of(family) {
            Value::One => vec![name.clone(), format!("count {group}({name})")],
            Value::Flag => vec![format!("{name} == 1"), format!("sum {group}({name})")],
            Value::Number => vec![name.clone(), format!("sum {group}({name})")],
        };
    };
    let by = by(label);
    let selected = format!("{name}{{{label}={}}}", quoted(value));
    match Value::of(family) {
        Value::One => vec![selected, format!("count {by} ({name})")],
        Value::Flag => vec![
            format!("{selected} == 1"),
            format!("count {by} ({name} == 1)"),
        ],
        Value::Number => vec![selected, format!("sum {by} ({name})")],
    }
}

/// The kind of values that a family has.
enum Value {
    /// The value is always 1, and the labels contain the information.
    One,
    /// The value is 1 or 0.
    Flag,
    Number,
}

// === impl Value ===

impl Value {
    fn of(family: &FamilyReport) -> Self {
        let help = &family.help;
        if help.contains("Always 1") || family.metric_type == "info" {
            Self::One
        } else if help.contains("1 if ")
            || help.contains("1 for ")
            || family.metric_type == "stateset"
        {
            Self::Flag
        } else {
            Self::Number
        }
    }
}

/// Returns the label that the queries have in their selectors, and one of the values of this label.
fn state(family: &FamilyReport) -> Option<(&str, &str)> {
    let is_base = |label: &LabelExamples| family.base_labels.contains(&label.name);
    let usable = |label: &&LabelExamples| {
        !label.has_more && !is_base(label) && !QUALIFIERS.contains(&&*label.name)
    };
    let rank = |label: &&LabelExamples| {
        let known = STATES.iter().position(|state| *state == label.name);
        known.unwrap_or(STATES.len())
    };
    let label = family.labels.iter().filter(usable).min_by_key(rank)?;
    let value = label.values.iter().find(|value| !value.is_empty())?;
    Some((&label.name, value))
}

/// Returns a text as a string literal of PromQL.
fn quoted(text: &str) -> String {
    let mut literal = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '\n' => literal.push_str("\\n"),
            character => literal.push(character),
        }
    }
    literal + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, metric_type: &str, help: &str, labels: &[(&str, &str)]) -> FamilyReport {
        let examples = labels.iter().map(|(name, value)| LabelExamples {
            name: (*name).to_owned(),
            values: vec![(*value).to_owned()],
            has_more: false,
        });
        FamilyReport {
            name: name.to_owned(),
            metric_type: metric_type.to_owned(),
            help: help.to_owned(),
            series: 1,
            labels: examples.collect(),
            base_labels: vec!["namespace".to_owned(), "pod".to_owned()],
            ..FamilyReport::default()
        }
    }

    #[test]
    fn queries_suit_the_values_of_the_family() {
        let pod = [("namespace", "shop"), ("pod", "cart")];
        let with = |label, value| [&pod[..], &[(label, value)]].concat();
        for (family, expected) in [
            (
                family(
                    "phase",
                    "gauge",
                    "Phase of the pod: 1 for the current phase.",
                    &with("phase", "Pending"),
                ),
                vec![
                    "phase{phase=\"Pending\"} == 1",
                    "count by (namespace, phase) (phase == 1)",
                ],
            ),
            (
                family("restarts", "counter", "Restarts.", &with("container", "a")),
                vec![
                    "increase(restarts[1h]) > 0",
                    "sum by (namespace) (rate(restarts[5m]))",
                ],
            ),
            (
                family("created", "gauge", "Unix time of creation.", &pod),
                vec!["time() - created", "topk(10, time() - created)"],
            ),
            (
                family("requests", "gauge", "Requests.", &with("resource", "cpu")),
                vec![
                    "requests{resource=\"cpu\"}",
                    "sum by (namespace, resource) (requests)",
                ],
            ),
            (
                family(
                    "cordoned",
                    "gauge",
                    "1 if cordoned, otherwise 0.",
                    &[("node", "a")],
                ),
                vec!["cordoned == 1", "sum (cordoned)"],
            ),
            (
                family(
                    "reason",
                    "gauge",
                    "Always 1.",
                    &with("reason", "a\"b\\c\nd"),
                ),
                vec![
                    "reason{reason=\"a\\\"b\\\\c\\nd\"}",
                    "count by (namespace, reason) (reason)",
                ],
            ),
        ] {
            assert_eq!(queries(&family), expected);
        }
    }
}
