//! Series and bytes by family.

use std::collections::{BTreeMap, HashSet};

use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::FamilySamples;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families::catalogue::{CatalogueEntry, catalogue};
use kube_state_metrics::filter::MetricFilter;
use serde::Serialize;

use crate::options::MetricsOptions;

/// All families, in the order of the exposition. Families without samples come last.
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

// === impl Report ===

impl Report {
    /// Counts the samples of all families.
    pub(super) fn new(metrics: &StateMetrics, content: &MetricsOptions) -> Self {
        let catalogue = catalogue();
        let custom = metrics.custom_resources().collectors();
        let configured = custom.iter().flat_map(|own| {
            let resource = own.resource().label();
            own.families().map(move |family| (family, resource.clone()))
        });
        let configured: Vec<_> = configured.collect();
        // If several resources have the family, the report names the built-in resource. If there is none, it names the
        // first resource.
        let mut resources: BTreeMap<_, _> = (configured.iter().rev())
            .map(|(family, resource)| (family.name(), resource.clone()))
            .collect();
        let built_in = catalogue.iter();
        resources.extend(
            built_in.map(|entry| (entry.descriptor.name(), entry.resource.name().to_owned())),
        );
        let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
        let mut families = Vec::new();
        for family in exposition.families() {
            families.push(FamilyReport {
                resource: resources.get(family.name()).cloned(),
                ..FamilyReport::of(&family)
            });
        }
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
