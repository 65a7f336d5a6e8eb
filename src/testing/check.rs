//! The validity check of families: finds names, labels and values that cause problems for scrapers, linters or readers
//! of the metrics.

use std::collections::{BTreeMap, BTreeSet};

use super::rendered::Rendered;
use super::source::Source;
use crate::errors::{debug_is_display, one_per_line};
use crate::exposition::{ExpositionFilter, Format};
use crate::family::MetricType;
use crate::registry::BuildProblem;
use crate::registry::StateMetrics;

/// Suffixes of the names of series of histograms and summaries.
const RESERVED_SUFFIXES: &[&str] = &["_bucket", "_count", "_sum"];

debug_is_display!(Problem);

/// A problem that [`check`] finds.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Family, testing::{Problem, check}};
///
/// let restarts = Family::counter("pod_restarts", "Restarts.").generate(|_: &Pod, s| s.value(1));
/// let problems = check(&restarts);
/// assert!(matches!(&problems[..], [Problem::CounterWithoutTotal { family }] if family == "pod_restarts"));
/// ```
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A problem that causes [`build`](crate::registry::Builder::build) to fail, such as an invalid name, a repeated
    /// label or a missing help text.
    #[error(transparent)]
    Build(#[from] BuildProblem),
    /// A counter without the suffix that OpenMetrics requires.
    #[error("the counter `{family}` must end in `_total`")]
    CounterWithoutTotal {
        /// The name of the family.
        family: String,
    },
    /// An info family without the suffix that OpenMetrics requires.
    #[error("the info family `{family}` must end in `_info`")]
    InfoWithoutSuffix {
        /// The name of the family.
        family: String,
    },
    /// A family that is not a counter, but whose name ends in `_total` like the name of a counter.
    #[error("`{family}` ends in `_total`, which is for counters; use a counter or another name")]
    TotalWithoutCounter {
        /// The name of the family.
        family: String,
    },
    /// A family whose name ends in a suffix for series of histograms or summaries.
    #[error(
        "`{family}` ends in `{suffix}`, which is for histograms and summaries; rename the family"
    )]
    ReservedSuffix {
        /// The name of the family.
        family: String,
        /// The end of its name.
        suffix: &'static str,
    },
    /// A name with a colon.
    #[error("`{family}` has a `:`, which is for recording rules; use `_` instead")]
    Colon {
        /// The name of the family.
        family: String,
    },
    /// Two families with the same name in OpenMetrics.
    #[error(
        "`{family}` is called `{other}` in OpenMetrics, and another family has this name; rename \
         one of the two"
    )]
    SameOpenMetricsName {
        /// The name of the family.
        family: String,
        /// The name of the family in OpenMetrics.
        other: String,
    },
    /// A label name that Prometheus reserves.
    #[error("the label `{label}` of `{family}` is reserved by Prometheus; rename the label")]
    ReservedLabel {
        /// The name of the family.
        family: String,
        /// The name of the label.
        label: String,
    },
    /// A sample with a label that its family does not declare.
    #[error(
        "`{family}` has samples with the undeclared label `{label}`; add the label to `labels`"
    )]
    UndeclaredLabel {
        /// The name of the family.
        family: String,
        /// The name of the label.
        label: String,
    },
    /// An info family with a value other than 1.
    #[error("the info family `{family}` has a sample that is not 1")]
    InfoValue {
        /// The name of the family.
        family: String,
    },
    /// A state set with a value other than 0 and 1.
    #[error("the state set `{family}` has a sample that is neither 0 nor 1")]
    StateSetValue {
        /// The name of the family.
        family: String,
    },
    /// Samples that were dropped because their object already had a sample with the same name and labels.
    #[error(
        "samples of {resource} were dropped ({count}) because their object already had the same \
         series; add a label that distinguishes them"
    )]
    RepeatedSeries {
        /// The name of the resource.
        resource: String,
        /// The number of dropped samples.
        count: u64,
    },
    /// Generators or base labels that panicked.
    #[error(
        "generators or base labels of {resource} panicked {count} {}; each panic removes the samples of one \
         object in one family, or the value of one base label",
        if *count == 1 { "time" } else { "times" }
    )]
    Panicked {
        /// The name of the resource.
        resource: String,
        /// The number of panics.
        count: u64,
    },
}

/// Returns the problems of families. Checks names, labels, help texts, conflicts and the rules of OpenMetrics.
///
/// If `source` is a [`StateMetrics`] that contains objects, the function also checks the samples. It finds labels that
/// a family does not declare, values that are invalid for the type of the family, and dropped samples.
///
/// ```
/// use kube_state_metrics::{families, testing::check};
///
/// assert!(check(families::pods()).is_empty());
/// ```
#[must_use]
pub fn check(source: impl Source) -> Vec<Problem> {
    let metrics = match source.build() {
        Ok(built) => built.metrics,
        Err(error) => return error.problems().iter().cloned().map(Into::into).collect(),
    };
    let families = families(&metrics);
    let mut problems: Vec<_> = (families.iter())
        .flat_map(|(name, family)| declared_problems(name, family, &families))
        .collect();
    let exposition = metrics.exposition(Format::Text, ExpositionFilter::default());
    problems.extend(sample_problems(
        &Rendered::of(&exposition, Vec::new()),
        &families,
    ));
    for store in metrics.stores() {
        let (resource, stats) = (store.resource(), store.stats());
        let resource = resource.to_string();
        if stats.duplicates > 0 {
            problems.push(Problem::RepeatedSeries {
                resource: resource.clone(),
                count: stats.duplicates,
            });
        }
        if stats.panics > 0 {
            problems.push(Problem::Panicked {
                resource,
                count: stats.panics,
            });
        }
    }
    problems
}

/// Asserts that [`check`] finds no problem.
///
/// To check all families of a program, pass the [`StateMetrics`] that the program builds.
///
/// ```
/// use kube_state_metrics::{StateMetrics, testing};
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// testing::assert_valid(&metrics);
/// # Ok::<(), kube_state_metrics::registry::BuildError>(())
/// ```
///
/// # Panics
///
/// The function panics if there are problems. The message contains all problems.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion fails by panicking")]
pub fn assert_valid(source: impl Source) {
    let problems = check(source);
    if !problems.is_empty() {
        let lines = one_per_line(&problems);
        let noun = if problems.len() == 1 {
            "problem"
        } else {
            "problems"
        };
        panic!("{} {noun}:\n\n{lines}\n", problems.len());
    }
}

/// The properties that the samples of a family must have.
pub(super) struct Declared {
    metric_type: MetricType,
    /// The labels that the family declares, without the base labels.
    labels: Vec<String>,
    /// Whether a configuration declares the family. Such a family does not declare labels.
    is_configured: bool,
    base: BTreeSet<String>,
}

/// The families of all stores, by name.
pub(super) fn families(metrics: &StateMetrics) -> BTreeMap<String, Declared> {
    let plan = metrics.plan();
    let mut families: BTreeMap<String, Declared> = BTreeMap::new();
    for store in plan.stores() {
        for family in store.families() {
            let descriptor = family.descriptor;
            let declared = families
                .entry(descriptor.name().to_owned())
                .or_insert_with(|| Declared {
                    metric_type: descriptor.metric_type(),
                    labels: Vec::new(),
                    is_configured: false,
                    base: BTreeSet::new(),
                });
            declared.is_configured |= store.resource().is_configured();
            declared
                .labels
                .extend(descriptor.labels().map(str::to_owned));
            declared
                .base
                .extend(family.base_labels.iter().map(ToString::to_string));
        }
    }
    families
}

fn declared_problems(
    name: &str,
    declared: &Declared,
    all: &BTreeMap<String, Declared>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let family = || name.to_owned();
    let stem = match declared.metric_type {
        MetricType::Counter => name.strip_suffix("_total"),
        MetricType::Info => name.strip_suffix("_info"),
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => Some(name),
    };
    match (declared.metric_type, stem) {
        (MetricType::Counter, None) => {
            problems.push(Problem::CounterWithoutTotal { family: family() });
        }
        (MetricType::Info, None) => problems.push(Problem::InfoWithoutSuffix { family: family() }),
        (_, Some(stem)) if stem != name && all.contains_key(stem) => {
            problems.push(Problem::SameOpenMetricsName {
                family: family(),
                other: stem.to_owned(),
            });
        }
        _ => {}
    }
    if declared.metric_type != MetricType::Counter && name.ends_with("_total") {
        problems.push(Problem::TotalWithoutCounter { family: family() });
    }
    let suffix = RESERVED_SUFFIXES
        .iter()
        .find(|suffix| name.ends_with(**suffix));
    if let Some(suffix) = suffix {
        problems.push(Problem::ReservedSuffix {
            family: family(),
            suffix,
        });
    }
    if name.contains(':') {
        problems.push(Problem::Colon { family: family() });
    }
    for label in declared.labels.iter().chain(&declared.base) {
        if label.starts_with("__") || label == "le" || label == "quantile" {
            problems.push(Problem::ReservedLabel {
                family: family(),
                label: label.clone(),
            });
        }
    }
    problems
}

/// The problems of samples. If several samples of a family have the same problem, the result contains the problem once.
pub(super) fn sample_problems(
    rendered: &Rendered,
    families: &BTreeMap<String, Declared>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |problem| {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };
    for sample in rendered.samples() {
        let Some(declared) = families.get(&sample.name) else {
            continue;
        };
        let family = || sample.name.clone();
        match declared.metric_type {
            MetricType::Info if sample.value != 1.0 => add(Problem::InfoValue { family: family() }),
            MetricType::StateSet if sample.value != 0.0 && sample.value != 1.0 => {
                add(Problem::StateSetValue { family: family() });
            }
            _ => {}
        }
        if declared.is_configured {
            continue;
        }
        let is_declared = |label: &str| {
            declared.base.contains(label)
                || declared
                    .labels
                    .iter()
                    .any(|own| match own.strip_suffix('*') {
                        Some(prefix) => label.starts_with(prefix),
                        None => own == label,
                    })
        };
        for label in sample.labels.keys().filter(|label| !is_declared(label)) {
            add(Problem::UndeclaredLabel {
                family: family(),
                label: label.clone(),
            });
        }
    }
    problems
}
