//! Tests that queries from common dashboards and rules for kube-state-metrics have results over the example cluster
//! (examples/cluster). The file tests/conformance/used_queries.yaml contains the queries. It has one *collection* for
//! each public project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::promtool::{has_promtool, promtool};
use super::support::{CLUSTER, Directory, run};

const QUERIES: &str = include_str!("../../../tests/conformance/used_queries.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collection {
    collection: String,
    revision: String,
    queries: Vec<String>,
    #[serde(default)]
    expressions: Vec<Expression>,
    exceptions: Vec<Exception>,
}

/// An alert or a recording rule with its complete expression.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expression {
    pub(super) rule: String,
    pub(super) query: String,
    /// The reason why the expression has no results over the example cluster.
    pub(super) silent: Option<String>,
}

/// A query that has no results with the default flags of the exporter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    query: String,
    reason: String,
    /// Flags of the exporter with which the query has results.
    #[serde(default)]
    arguments: Vec<String>,
    /// Whether the query has results if Prometheus loads the recording rules for the metric names of version 1.
    #[serde(default)]
    v1_names: bool,
}

impl Expression {
    pub(super) fn is_alert(&self) -> bool {
        self.rule.starts_with("Kube")
    }
}

fn collections() -> Vec<Collection> {
    serde_saphyr::from_str(QUERIES).unwrap()
}

/// Returns the complete expressions in all collections of rules.
pub(super) fn expressions() -> impl Iterator<Item = Expression> {
    collections().into_iter().flat_map(|own| own.expressions)
}

/// Returns the complete expressions in all collections as a rule file for Prometheus.
pub(super) fn rules() -> Value {
    let rules = expressions().map(|own| match own.is_alert() {
        true => json!({ "alert": own.rule, "expr": own.query }),
        false => json!({ "record": own.rule, "expr": own.query }),
    });
    let rules: Vec<_> = rules.collect();
    json!({ "groups": [{ "name": "published", "rules": rules }] })
}

/// Renders the example cluster as input series for promtool. `arguments` are further flags.
pub(super) fn series(arguments: &[&str]) -> String {
    let output = run(
        &[&["render", "--format=promtool", CLUSTER], arguments].concat(),
        "",
    );
    assert!(output.status.success(), "{}", output.stderr);
    // The rendered series last a day. The test shortens them to half an hour, because promtool is then faster.
    output.stdout.replace("+0x1440", "+0x30")
}

/// Adds the label `job` to input series, as a scrape of Prometheus does.
pub(super) fn with_job(series: &str) -> String {
    let lines = series
        .lines()
        .map(|line| match line.split_once("- series: '") {
            Some((start, rest)) => match rest.split_once('{') {
                Some((name, labels)) => {
                    format!("{start}- series: '{name}{{job=\"kube-state-metrics\",{labels}\n")
                }
                None => format!(
                    "{start}- series: '{}{{job=\"kube-state-metrics\"}}'\n",
                    rest.trim_end_matches('\'')
                ),
            },
            None => format!("{line}\n"),
        });
    lines.collect()
}

/// Returns a promtool test, which checks whether a query has results.
pub(super) fn expect(query: &str, has_results: bool) -> Value {
    let samples = has_results.then(|| json!({ "labels": "{}", "value": 1 }));
    let samples: Vec<_> = samples.into_iter().collect();
    json!({ "expr": format!("group({query})"), "eval_time": "30m", "exp_samples": samples })
}

#[test]
fn the_example_has_series_for_the_queries_of_well_known_dashboards() {
    let collections = collections();
    let names: Vec<_> = collections.iter().map(|own| &*own.collection).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let (mut by_default, mut with_rules) = (Vec::new(), Vec::new());
    let mut with_arguments: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut never = BTreeSet::new();
    for own in &collections {
        assert!(
            !own.revision.is_empty() && own.queries.len() > 20,
            "{names:?}"
        );
        by_default.extend(own.queries.iter().map(|query| expect(query, true)));
        for own in &own.exceptions {
            assert!(!own.reason.is_empty(), "{}", own.query);
            by_default.push(expect(&own.query, false));
            let has_results = expect(&own.query, true);
            match (&*own.arguments, own.v1_names) {
                ([], true) => with_rules.push(has_results),
                ([], false) => assert!(never.insert(&*own.query), "{}", own.query),
                (arguments, _) => with_arguments
                    .entry(arguments)
                    .or_default()
                    .push(has_results),
            }
        }
    }
    assert_eq!(never.len(), 2, "{never:?}");
    assert!(by_default.len() > 120, "{}", by_default.len());
    if !has_promtool() {
        return;
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mixin/v1-names.yaml");
    let default = series(&[]);
    judge(&default, &[], &by_default);
    for (arguments, tests) in with_arguments {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        judge(&series(&arguments), &[], &tests);
    }
    judge(&default, &[&rules], &with_rules);
}

#[test]
fn the_expressions_of_well_known_rules_have_results_over_the_example() {
    let collections = collections();
    let expressions = || collections.iter().flat_map(|own| &own.expressions);
    let tests: Vec<_> = expressions()
        .map(|own| expect(&own.query, own.silent.is_none()))
        .collect();
    let silent = expressions().filter_map(|own| own.silent.as_ref());
    assert!(silent.count() * 3 < tests.len(), "most have results");
    assert!(tests.len() > 40, "{}", tests.len());
    for own in expressions() {
        assert!(!own.rule.is_empty(), "{}", own.query);
    }
    if has_promtool() {
        judge(&with_job(&series(&[])), &[], &tests);
    }
}

/// Evaluates queries over input series with promtool.
pub(super) fn judge(series: &str, rules: &[&Path], tests: &[Value]) {
    let text = format!(
        "rule_files: {}\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  promql_expr_test: {}\n  \
         input_series:\n{series}",
        json!(rules),
        json!(tests),
    );
    let directory = Directory::new("well-known");
    directory.write("queries.yaml", &text);
    let (passes, said) = promtool(&directory, "queries.yaml");
    assert!(passes, "{said}");
}
