//! [`Report`]: the number of series and bytes in the exposition, by family, resource, namespace and label.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::FamilySamples;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use kube_state_metrics::families::catalogue::{CatalogueEntry, catalogue};
use kube_state_metrics::filter::MetricFilter;
use serde::{Deserialize, Serialize};

use super::costs::{CostCounter, CostRow, LabelExamples, LabelRow};
use super::search_words::search_words;
use crate::options::MetricsOptions;

/// Series and bytes of the whole exposition, by family, resource, namespace and label.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// All families, in the order of the exposition. Families without samples come last.
    pub(crate) families: Vec<FamilyReport>,
    /// All resources. Resources with more bytes come first.
    #[serde(default)]
    pub(crate) resources: Vec<CostRow>,
    /// All namespaces. Namespaces with more bytes come first. Series without the label `namespace` are not included.
    #[serde(default)]
    pub(crate) namespaces: Vec<CostRow>,
    /// All labels. Labels with more bytes come first.
    #[serde(default)]
    pub(crate) labels: Vec<LabelRow>,
}

/// A report with the sums of all families, in the JSON format of `/debug/cardinality` and `top --json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JsonReport {
    pub(crate) series: u64,
    pub(crate) bytes: u64,
    #[serde(flatten)]
    pub(crate) report: Report,
}

/// The series and bytes of one family, and those of its properties that pages show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FamilyReport {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) metric_type: String,
    pub(crate) help: String,
    /// The resource of the family; `None` if the family is neither built in nor configured.
    pub(crate) resource: Option<String>,
    pub(crate) series: u64,
    pub(crate) bytes: u64,
    /// The number of repeated samples: the exposition omits them, because samples of other objects have the same
    /// labels.
    #[serde(default)]
    pub(crate) repeated: u64,
    /// The line of the first sample in the exposition.
    pub(crate) sample: Option<String>,
    /// The labels of the samples, with examples of values. For a family without samples: the declared labels, without
    /// values.
    #[serde(default)]
    pub(crate) labels: Vec<LabelExamples>,
    /// The labels that identify the object.
    #[serde(skip)]
    pub(crate) base_labels: Vec<String>,
    /// Words in lower case with which users can find the family. Users can also search for the name, the type and the
    /// help text.
    #[serde(skip)]
    pub(crate) search_words: String,
}

/// The resource name for families that belong to no known resource.
const OTHER: &str = "other";

// === impl Report ===

impl Report {
    /// Counts the samples of all families.
    pub(crate) fn new(metrics: &StateMetrics, content: &MetricsOptions) -> Self {
        let catalogue = catalogue();
        let custom = metrics.custom_resources().collectors();
        let configured = custom.iter().flat_map(|own| {
            let resource = own.resource().label();
            own.families().map(move |family| (family, resource.clone()))
        });
        let configured: Vec<_> = configured.collect();
        // Several resources may have a family with the same name. Then the report names the built-in resource. If no
        // built-in resource has the family, the report names the first configured resource.
        let mut resources: BTreeMap<_, _> = (configured.iter().rev())
            .map(|(family, resource)| (family.name(), resource.clone()))
            .collect();
        let built_in = catalogue.iter();
        resources.extend(
            built_in.map(|entry| (entry.descriptor.name(), entry.resource.name().to_owned())),
        );
        let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
        let mut counter = CostCounter::default();
        let mut families = Vec::new();
        for family in exposition.families() {
            families.push(FamilyReport {
                resource: resources.get(family.name()).cloned(),
                ..FamilyReport::of(&family, &mut counter)
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
                labels: family.labels().map(LabelExamples::new).collect(),
                ..FamilyReport::default()
            });
        }
        Self::of(families, counter, &catalogue)
    }

    /// Creates the report from the families. Also computes the sums for each resource. Reads properties of the families
    /// from the catalogue of built-in families.
    pub(super) fn of(
        mut families: Vec<FamilyReport>,
        counter: CostCounter,
        catalogue: &[CatalogueEntry],
    ) -> Self {
        let known = catalogue
            .iter()
            .map(|entry| (entry.descriptor.name(), entry));
        let known: BTreeMap<_, _> = known.collect();
        let mut resources: BTreeMap<String, CostRow> = BTreeMap::new();
        for family in &mut families {
            let entry = known.get(&*family.name).copied();
            family.complete(entry);
            let row = resources.entry(family.resource_name().to_owned());
            let row = row.or_insert_with_key(|name| CostRow::new(name));
            row.add(family.series, family.bytes);
        }
        let mut resources: Vec<_> = resources.into_values().collect();
        resources.retain(|row| row.series > 0);
        resources.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        let (namespaces, labels) = counter.rows();
        Self {
            families,
            resources,
            namespaces,
            labels,
        }
    }

    /// The number of series of all families.
    pub(crate) fn series(&self) -> u64 {
        self.families.iter().map(|family| family.series).sum()
    }

    /// The number of bytes of the sample lines of all families, without the lines `# HELP` and `# TYPE`.
    pub(crate) fn bytes(&self) -> u64 {
        self.families.iter().map(|family| family.bytes).sum()
    }

    /// Keeps only the first `rows` rows of each table.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.families.truncate(rows);
        self.resources.truncate(rows);
        self.namespaces.truncate(rows);
        self.labels.truncate(rows);
    }

    /// The number of bytes of the sample lines of a resource.
    pub(crate) fn bytes_of(&self, resource: &str) -> u64 {
        let row = self.resources.iter().find(|row| row.name == resource);
        row.map_or(0, |row| row.bytes)
    }
}

// === impl FamilyReport ===

impl FamilyReport {
    /// Counts the samples of a family.
    fn of(family: &FamilySamples<'_>, counter: &mut CostCounter) -> Self {
        let mut report = Self {
            name: family.name().to_owned(),
            metric_type: family.metric_type().as_str().to_owned(),
            help: family.help().to_owned(),
            repeated: family.repeated() as u64,
            sample: family.samples().next().map(|sample| sample.to_string()),
            ..Self::default()
        };
        for sample in family.samples() {
            report.count(sample.labels(), sample.line_len() as u64, counter);
        }
        report
    }

    /// Counts a sample whose line has `bytes` bytes.
    pub(super) fn count<'s>(
        &mut self,
        labels: impl Iterator<Item = (&'s str, Cow<'s, str>)>,
        bytes: u64,
        counter: &mut CostCounter,
    ) {
        counter.count(&self.name, labels, bytes, &mut self.labels);
        self.series += 1;
        self.bytes += bytes;
    }

    /// The name of the resource of the family; `other` if the resource is not known.
    pub(crate) fn resource_name(&self) -> &str {
        self.resource.as_deref().unwrap_or(OTHER)
    }

    /// Adds the properties of this family from the catalogue of built-in families.
    fn complete(&mut self, entry: Option<&CatalogueEntry>) {
        if let Some(entry) = entry {
            (self.resource).get_or_insert_with(|| entry.resource.name().to_owned());
            self.base_labels = entry.base_labels.clone();
            if self.series == 0 {
                let names = entry.base_labels.iter().map(String::as_str);
                let names = names.chain(entry.descriptor.labels());
                self.labels = names.map(LabelExamples::new).collect();
            }
        }
        let words = entry
            .into_iter()
            .flat_map(|entry| entry.descriptor.search_words());
        self.search_words = search_words(
            self.resource.as_deref(),
            words,
            &self.labels,
            &self.base_labels,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::queries;
    use super::super::search::Search;
    use super::*;

    #[test]
    fn a_value_of_the_last_sample_is_found() {
        let pods = (0..3000).map(|number| {
            let reason = match number {
                2999 => "FooBackOff",
                _ => "ContainerCreating",
            };
            format!(
                "kube_pod_container_status_waiting_reason{{pod=\"pod-{number}\",reason=\"{reason}\",note=\"of-{number}\"}} 1\n"
            )
        });
        let text: String = pods.collect();
        let report = Report::of_text(text.as_bytes()).unwrap();
        let family = &report.families[0];
        assert_eq!(family.labels[1].values, ["ContainerCreating", "FooBackOff"]);
        assert!(Search::new("foobackoff").matches(family));
        // A value is not a search word if its label identifies the object (`pod-1`), or if the label has many values
        // (`of-1`).
        assert!(!Search::new("pod-1").matches(family));
        assert!(family.labels[2].has_more && !Search::new("of-1").matches(family));
    }

    #[test]
    fn a_family_without_samples_has_its_declared_labels() {
        let empty = |name: &str| FamilyReport {
            name: name.to_owned(),
            ..FamilyReport::default()
        };
        let families = vec![empty("kube_pod_status_phase"), empty("own_family")];
        let report = Report::of(families, CostCounter::default(), &catalogue());
        let labels = |family: &FamilyReport| -> Vec<_> {
            family.labels.iter().map(|own| own.name.clone()).collect()
        };
        let [phase, own] = &report.families[..] else {
            panic!("{report:?}")
        };
        assert_eq!(labels(phase), ["namespace", "pod", "uid", "phase"]);
        assert_eq!(queries(phase), ["kube_pod_status_phase"]);
        assert!(own.labels.is_empty());
    }
}
