//! Counts of the exposition: series and bytes by family, and distinct values by label.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::FamilySamples;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families::catalogue::{CatalogueEntry, catalogue};
use kube_state_metrics::filter::MetricFilter;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::options::MetricsOptions;

/// The time for which a report is reused. A new one reads all samples.
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
    /// The resource of the family, if it is built in or from a configuration.
    pub(crate) resource: Option<String>,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
    /// The first sample, as a line.
    pub(crate) sample: Option<String>,
}

/// The number of distinct values of each label of a family.
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
    /// The last report, or a new one if the last one is older than [`FRESH`].
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
    /// Counts the samples of all families.
    fn new(metrics: &StateMetrics, content: &MetricsOptions) -> Self {
        let catalogue = catalogue();
        let custom = metrics.custom_resources().collectors();
        let configured = custom.iter().flat_map(|own| {
            let resource = own.resource().label();
            own.families().map(move |family| (family, resource.clone()))
        });
        let configured: Vec<_> = configured.collect();
        // If several resources have the family, the built-in one is named, otherwise the first one.
        let mut resources: BTreeMap<_, _> = (configured.iter().rev())
            .map(|(family, resource)| (family.name(), resource.clone()))
            .collect();
        let built_in = catalogue.iter();
        resources.extend(
            built_in.map(|entry| (entry.descriptor.name(), entry.resource.name().to_owned())),
        );
        let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
        let families = exposition.families().map(|family| FamilyReport {
            resource: resources.get(family.name()).cloned(),
            ..FamilyReport::of(&family)
        });
        let mut families: Vec<_> = families.collect();
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

// === impl FamilyReport ===

impl FamilyReport {
    /// Counts the samples of a family.
    fn of(family: &FamilySamples<'_>) -> Self {
        let mut report = Self {
            name: family.name().to_owned(),
            metric_type: family.metric_type().as_str().to_owned(),
            help: family.help().to_owned(),
            sample: family.samples().next().map(|sample| sample.to_string()),
            ..Self::default()
        };
        for sample in family.samples() {
            report.series += 1;
            report.bytes += sample.line_len() as u64;
        }
        report
    }
}

// === impl LabelReport ===

impl LabelReport {
    /// Counts the distinct values of each label of one family.
    pub(crate) fn new(metrics: &StateMetrics, family: &str) -> Self {
        let filter = ExpositionFilter::default().families([family]);
        let exposition = metrics.exposition(Format::Text, filter);
        let mut series = 0;
        let mut values: BTreeMap<&str, HashSet<Cow<'_, str>>> = BTreeMap::new();
        for sample in exposition.samples() {
            series += 1;
            for (label, value) in sample.labels() {
                values.entry(label).or_default().insert(value);
            }
        }
        let labels = values
            .into_iter()
            .map(|(label, values)| (label.to_owned(), values.len()));
        Self {
            family: family.to_owned(),
            series,
            labels: labels.collect(),
        }
    }
}
