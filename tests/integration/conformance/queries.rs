//! Tests the queries in docs/reference/queries.md. promtool compares the result of each query with the result on that
//! page.

use std::collections::{BTreeMap, BTreeSet};

use kube_state_metrics::families::catalogue::catalogue;
use serde_json::{Value, json};

use super::Format;
use crate::support::exposition::{ReadSample, read};
use crate::support::golden;
use crate::support::tools::{Directory, promtool, run, said};

/// 2026-03-17T09:42:00Z, the time of the example.
const NOW: i64 = 1_773_740_520;

/// How far the series of the test reach back, in minutes.
const MINUTES: i64 = 60;

/// A section of the page: a question with its query.
#[derive(Debug)]
struct Question {
    title: String,
    /// The question that the query answers.
    sentence: String,
    query: String,
    /// The expected result, one line per sample.
    answer: String,
}

fn questions() -> Vec<Question> {
    let text = golden::read("docs/reference/queries.md");
    let sections = text.split("\n## ").skip(1);
    let questions = sections.map(|section| {
        let block = |language: &str| {
            let fence = format!("```{language}\n");
            let mut parts = section.split(&fence).skip(1);
            let block = parts.next().and_then(|rest| rest.split_once("\n```"));
            let (block, _) = block.unwrap_or_else(|| panic!("no {language} in {section:?}"));
            assert_eq!(
                parts.next(),
                None,
                "more than one {language} in {section:?}"
            );
            block.to_owned()
        };
        let mut paragraphs = section.split("\n\n").map(|text| text.replace('\n', " "));
        Question {
            title: paragraphs.next().unwrap_or_default(),
            sentence: paragraphs.next().unwrap_or_default(),
            query: block("promql"),
            answer: block("text"),
        }
    });
    questions.collect()
}

fn samples() -> Vec<ReadSample> {
    let text = golden::read("tests/golden/cluster.prom");
    let families = read(text.as_bytes(), Format::Text).unwrap();
    families.into_iter().flat_map(|own| own.samples).collect()
}

/// Splits the text of a sample into its series and its value.
fn parts(line: &str) -> (&str, &str) {
    line.rsplit_once(' ').unwrap()
}

#[test]
fn each_query_has_a_sentence_and_asks_for_known_families() {
    let families = catalogue();
    let known: BTreeSet<_> = families.iter().map(|own| own.descriptor.name()).collect();
    let questions = questions();
    assert!(questions.len() >= 10);
    for question in questions {
        let is_sentence = question.sentence.ends_with('.') && !question.sentence.contains("```");
        assert!(is_sentence && question.title.ends_with('?'), "{question:?}");
        let words = question
            .query
            .split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
        let metrics: Vec<_> = words.filter(|word| word.starts_with("kube_")).collect();
        assert!(!metrics.is_empty(), "{question:?}");
        for metric in metrics {
            assert!(known.contains(metric), "{metric} in {question:?}");
        }
    }
}

#[test]
fn prometheus_answers_each_query_as_the_document_says() {
    if promtool().is_none() {
        return;
    }
    let samples = samples();
    let (back, now): (Vec<_>, _) =
        (questions().into_iter()).partition(|question| question.query.contains('['));
    assert!(!back.is_empty() && !now.is_empty());
    // promtool counts time from 1970. Instant queries are tested after one interval of length `NOW`, so that `time()`
    // returns `NOW`.
    judge("now", NOW, 1, &now, &moment(&samples));
    judge("past", 60, MINUTES, &back, &past(&samples));
}

/// Checks the results of queries at one time: `intervals` × `interval` seconds after the start of 1970.
fn judge(name: &str, interval: i64, intervals: i64, questions: &[Question], series: &[Value]) {
    let tests = questions.iter().map(|question| {
        let samples = question.answer.lines().map(|line| {
            let (labels, value) = parts(line);
            json!({ "labels": labels, "value": value.parse::<f64>().unwrap() })
        });
        json!({
            "expr": question.query,
            "eval_time": format!("{}s", interval * intervals),
            "exp_samples": samples.collect::<Vec<_>>(),
        })
    });
    let test = json!({
        "rule_files": [],
        "evaluation_interval": format!("{interval}s"),
        "tests": [{
            "interval": format!("{interval}s"),
            "input_series": series,
            "promql_expr_test": tests.collect::<Vec<_>>(),
        }],
    });
    let directory = Directory::new(&format!("queries-{name}"));
    let file = directory.path().join("test.yaml");
    // promtool accepts JSON, because JSON is also YAML.
    std::fs::write(&file, test.to_string()).unwrap();
    let mut promtool = promtool().unwrap();
    let output = run(promtool.args(["test", "rules"]).arg(&file), b"");
    assert!(output.status.success(), "{}", said(&output));
}

/// Returns each series with only one value, at the time `NOW`.
fn moment(samples: &[ReadSample]) -> Vec<Value> {
    let series = samples.iter().map(|sample| {
        let (series, value) = parts(&sample.line);
        json!({ "series": series, "values": format!("_ {value}") })
    });
    series.collect()
}

/// Returns each series with the same value every minute.
///
/// Only the number of restarts changes. Before the last termination of a restarted container, this number is lower by
/// one.
fn past(samples: &[ReadSample]) -> Vec<Value> {
    const ENDED: &str = "kube_pod_container_status_last_terminated_timestamp";
    const RESTARTS: &str = "kube_pod_container_status_restarts_total";
    let of = |name| move |sample: &&ReadSample| sample.name == name;
    let ended: BTreeMap<_, _> = (samples.iter().filter(of(ENDED)))
        .map(|sample| (&sample.labels, sample.value))
        .collect();
    assert!(
        samples
            .iter()
            .any(|own| of(RESTARTS)(&own) && ended.contains_key(&own.labels))
    );
    let series = samples.iter().map(|sample| {
        let (series, value) = parts(&sample.line);
        let values = match ended.get(&sample.labels) {
            Some(ended) if sample.name == RESTARTS => {
                let times = (0..=MINUTES).map(|minute| NOW - 60 * (MINUTES - minute));
                let values = times.map(|time| match (time as f64) < *ended {
                    true => (sample.value - 1.0).to_string(),
                    false => value.to_owned(),
                });
                values.collect::<Vec<_>>().join(" ")
            }
            _ => format!("{value}+0x{MINUTES}"),
        };
        json!({ "series": series, "values": values })
    });
    series.collect()
}
