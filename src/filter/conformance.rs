//! Tests that the filters decide like kube-state-metrics. The files in `tests/conformance/process` contain recorded
//! cases: each line is a JSON object with an input, and with the result of kube-state-metrics.

#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::Value;

use super::*;

fn lines(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value::<Option<_>>(value.clone())
        .unwrap()
        .unwrap_or_default()
}

#[test]
fn metric_filters() {
    let catalog = lines("catalog.jsonl");
    let cases = lines("process/metric_filters.jsonl");
    assert_eq!(cases.len(), 38);
    for case in cases {
        let name = &case["case"];
        // Joins the items to one value, as a user writes them on the command line, and splits the value again.
        let list = |key: &str| -> Vec<String> {
            split_list(&texts(&case[key]).join(","))
                .map(str::to_owned)
                .collect()
        };
        let filter = MetricFilter::new(&list("allow"), &list("deny"), &list("optin"));
        if let Some(expected) = case["error"].as_str() {
            let kinds: Vec<_> = filter.unwrap_err().iter().map(kind).collect();
            assert_eq!(kinds, [expected], "{name}");
            continue;
        }
        let filter = filter.unwrap();
        let mut resources = texts(&case["resources"]);
        resources.sort();
        let mut kept = Vec::new();
        for resource in resources {
            for family in catalog
                .iter()
                .filter(|family| family["resource"] == *resource)
            {
                let (name, opt_in) = (family["name"].as_str(), family["optIn"].as_bool());
                if filter.allows(name.unwrap(), opt_in.unwrap()) {
                    kept.push(name.unwrap());
                }
            }
        }
        assert_eq!(kept, texts(&case["families"]), "{name}");
    }
}

#[test]
fn allowlist_grammar() {
    let catalog = lines("catalog.jsonl");
    let known: Vec<_> = catalog
        .iter()
        .map(|family| family["resource"].as_str().unwrap())
        .collect();
    let cases = lines("process/allowlist_grammar.jsonl");
    assert_eq!(cases.len(), 49);
    for case in cases {
        let name = &case["case"];
        let value = case["value"].as_str().unwrap();
        let result = AllowlistConfig::parse(value)
            .map_err(|error| kind(&error))
            .and_then(|config| match config.check_resources(&known) {
                Ok(()) => Ok(config),
                Err(errors) => Err(kind(errors.first().unwrap())),
            })
            .map(|config| {
                config
                    .iter()
                    .map(|(resource, list)| (resource, list.patterns()))
                    .collect::<Value>()
            });
        let expected = match case["error"].as_str() {
            // kube-state-metrics reads bytes outside ASCII as letters. This crate refuses such values.
            _ if !value.is_ascii() => Err("not ASCII"),
            Some(kind) => Err(kind),
            None => Ok(case["parsed"].clone()),
        };
        assert_eq!(result, expected, "{name}");
    }
}

/// The name of an error in the recorded cases.
fn kind(error: &FilterError) -> &'static str {
    match error {
        FilterError::AllowAndDeny { .. } => "mutually exclusive",
        FilterError::Pattern {
            list: MetricList::Allow,
            ..
        } => "bad allow pattern",
        FilterError::Pattern {
            list: MetricList::Deny,
            ..
        } => "bad deny pattern",
        FilterError::Pattern {
            list: MetricList::OptIn,
            ..
        } => "bad opt-in pattern",
        FilterError::Grammar { .. } => "format",
        FilterError::NotAscii { .. } => "not ASCII",
        FilterError::UnknownResource { .. } => "unknown resource",
        FilterError::Memory { .. } | FilterError::ManyInvalid { .. } => "too many patterns",
    }
}
