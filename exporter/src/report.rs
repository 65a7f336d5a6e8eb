//! What the exposition consists of: series, bytes and a sample per family.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_state_metrics::filter::MetricFilter;
use kube_state_metrics::{CatalogueEntry, ExpositionFilter, Format, StateMetrics, catalogue};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::options::MetricsOptions;

/// A report is made anew after so long at the earliest: it reads the whole exposition.
const FRESH: Duration = Duration::from_secs(5);

/// All families, in the order of the exposition; those without samples last.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) families: Vec<FamilyReport>,
}

/// One family.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct FamilyReport {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) metric_type: String,
    pub(crate) help: String,
    /// The resource it belongs to, where that is built in or from a configuration.
    pub(crate) resource: Option<String>,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
    /// The first line.
    pub(crate) sample: Option<String>,
}

/// How often each label of a family changes its value.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LabelReport {
    pub(crate) family: String,
    pub(crate) series: u64,
    /// Distinct values by label.
    pub(crate) labels: BTreeMap<String, usize>,
}

/// The last report.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

// === impl Reports ===

impl Reports {
    /// A report that is at most some seconds old.
    pub(crate) async fn get(
        &self,
        metrics: &StateMetrics,
        content: &MetricsOptions,
    ) -> Arc<Report> {
        let mut last = self.last.lock().await;
        if let Some((_, report)) = last.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
            return Arc::clone(report);
        }
        let (metrics, content) = (metrics.clone(), content.clone());
        let made = tokio::task::spawn_blocking(move || Report::new(&metrics, &content));
        let report = Arc::new(made.await.unwrap_or_default());
        *last = Some((Instant::now(), Arc::clone(&report)));
        report
    }
}

// === impl Report ===

impl Report {
    /// Reads the exposition once.
    fn new(metrics: &StateMetrics, content: &MetricsOptions) -> Self {
        let catalogue = catalogue();
        let custom = metrics.custom_resources();
        let configured = custom.iter().flat_map(|own| {
            let resource = own.resource().label();
            own.families().map(move |family| (family, resource.clone()))
        });
        let configured: Vec<_> = configured.collect();
        // Of several resources with a family, the built-in one, or else the first, names it.
        let mut resources: BTreeMap<_, _> = (configured.iter().rev())
            .map(|(family, resource)| (family.name(), resource.clone()))
            .collect();
        let built_in = catalogue.iter();
        resources.extend(
            built_in.map(|entry| (entry.descriptor.name(), entry.resource.name().to_owned())),
        );
        let mut families: Vec<FamilyReport> = Vec::new();
        each_line(metrics, ExpositionFilter::default(), |line| {
            if let Some(header) = line.strip_prefix("# ") {
                let (word, rest) = header.split_once(' ').unwrap_or((header, ""));
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                match (word, families.last_mut()) {
                    ("HELP", _) => families.push(FamilyReport {
                        name: name.to_owned(),
                        help: text.replace("\\n", "\n").replace("\\\\", "\\"),
                        resource: resources.get(name).cloned(),
                        ..FamilyReport::default()
                    }),
                    ("TYPE", Some(family)) => text.clone_into(&mut family.metric_type),
                    _ => {}
                }
            } else if let Some(family) = families.last_mut() {
                family.series += 1;
                family.bytes += line.len() as u64 + 1;
                family.sample.get_or_insert_with(|| line.to_owned());
            }
        });
        let filter = MetricFilter::new(&content.allow, &content.deny, &content.opt_in);
        let filter = filter.unwrap_or_default();
        let mut seen: HashSet<_> = families.iter().map(|family| family.name.clone()).collect();
        let shown = |entry: &&CatalogueEntry| {
            let name = entry.resource.name();
            content.resources.iter().any(|own| own == name)
        };
        let built_in = catalogue.iter().filter(shown).map(|entry| {
            let resource = entry.resource.name().to_owned();
            (&entry.descriptor, resource)
        });
        let configured = configured.iter().cloned();
        for (family, resource) in built_in.chain(configured) {
            let allowed = filter.allows(family.name(), family.opt_in());
            if !allowed || !seen.insert(family.name().to_owned()) {
                continue;
            }
            families.push(FamilyReport {
                name: family.name().to_owned(),
                metric_type: family.metric_type().as_str().to_owned(),
                help: family.help().to_owned(),
                resource: Some(resource),
                ..FamilyReport::default()
            });
        }
        Self { families }
    }
}

impl LabelReport {
    /// Reads the samples of one family.
    pub(crate) fn new(metrics: &StateMetrics, family: &str) -> Self {
        let mut series = 0;
        let mut values: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        each_line(
            metrics,
            ExpositionFilter::default().families([family]),
            |line| {
                if line.starts_with('#') {
                    return;
                }
                series += 1;
                for (label, value) in labels(line) {
                    if !values.contains_key(label) {
                        values.insert(label.to_owned(), HashSet::new());
                    }
                    if let Some(values) =
                        values.get_mut(label).filter(|known| !known.contains(value))
                    {
                        values.insert(value.to_owned());
                    }
                }
            },
        );
        let labels = values
            .into_iter()
            .map(|(label, values)| (label, values.len()));
        Self {
            family: family.to_owned(),
            series,
            labels: labels.collect(),
        }
    }
}

/// Calls `take` with every line of the exposition. Pieces end where lines do.
fn each_line(metrics: &StateMetrics, selection: ExpositionFilter, mut take: impl FnMut(&str)) {
    for piece in metrics.exposition(Format::Text, selection).chunks() {
        String::from_utf8_lossy(&piece)
            .split_terminator('\n')
            .for_each(&mut take);
    }
}

/// The labels of a sample, values as they are escaped.
fn labels(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line.split_once('{').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        let (label, after) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (value, after) = after.split_at(end);
        rest = after.get(1..)?.trim_start_matches(',');
        Some((label, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_at_quotes_that_are_not_escaped() {
        let line = r#"a{b="c",d="e\"f\\",g=""} 1"#;
        assert_eq!(
            labels(line).collect::<Vec<_>>(),
            [("b", "c"), ("d", r#"e\"f\\"#), ("g", "")]
        );
        assert_eq!(labels("a 1").count(), 0);
    }
}
