//! Metrics about the stores, for a [`prometheus::Registry`] of the host.
//!
//! [`WatchBuilder::registry`](crate::source::watch::WatchBuilder::registry) registers these metrics together with those
//! of the watches. If [manifests](crate::source::manifests) or the host feed the stores, register [`StoreMetrics`].
//!
//! ```
//! use kube_state_metrics::StateMetrics;
//! use kube_state_metrics::self_metrics::StoreMetrics;
//! use prometheus::{Registry, TextEncoder};
//!
//! let metrics = StateMetrics::builder().default_resources().build()?;
//! let registry = Registry::new();
//! registry.register(Box::new(StoreMetrics::new(&metrics)?))?;
//!
//! let text = TextEncoder::new().encode_to_string(&registry.gather())?;
//! assert!(text.contains("kube_state_metrics_objects{resource=\"*v1.Pod\"} 0\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

#[cfg(feature = "custom-resources")]
use crate::custom_resources::DefinitionChanges;
use crate::families::BuiltIn;
use crate::limits::Limit;
use crate::registry::StateMetrics;
use crate::resource::ResourceInfo;
use crate::store::StoreStats;

/// Metrics about the samples and errors of the stores, by resource.
///
/// The values are computed at each scrape.
///
/// The value of the label `resource` is a Go type, such as `*v1.Pod`, as in kube-state-metrics. For resources that are
/// not built in, the value consists of the plural, the version and the group, such as `widgets.v1.acme.dev`.
///
/// | family | meaning |
/// |---|---|
/// | `kube_state_metrics_objects` | stored objects |
/// | `kube_state_metrics_series` | stored series |
/// | `kube_state_metrics_store_bytes` | memory of the store, in bytes |
/// | `kube_state_metrics_family_bytes` | size of the sample lines of a `family` without compression, in bytes |
/// | `kube_state_metrics_decode_errors_total` | objects that could not be decoded, by `reason` |
/// | `kube_state_metrics_stale_events_total` | events older than the stored object |
/// | `kube_state_metrics_duplicate_samples_total` | samples that were dropped because the same object already had a sample with the same name and labels |
/// | `kube_state_metrics_generator_panics_total` | how often a family has no samples for an object because of a panic |
/// | `kube_state_metrics_joined_labels_replaced_total` | joined labels that are not added to samples, because a label of the object has the same name |
/// | `kube_state_metrics_limit_exceeded_total` | how often a family of an object lost samples or labels because of a limit, by `reason` |
/// | `kube_state_metrics_custom_resource_errors_total` | values of objects that a configured `family` could not read |
/// | `kube_state_metrics_repeated_series` | samples of a `family` that the last exposition left out, because another object has a sample with the same name and labels |
/// | `kube_state_metrics_custom_resource_kinds_left_out` | kinds without metrics, because wildcards select more kinds than the limit allows |
/// | `kube_state_metrics_exhausted_patterns` | patterns of the metric allowlist, denylist or opt-in list that need too much backtracking |
///
/// ```
/// use kube_state_metrics::StateMetrics;
/// use kube_state_metrics::self_metrics::StoreMetrics;
/// use prometheus::core::Collector;
///
/// let metrics = StateMetrics::builder().default_resources().build()?;
/// let own = StoreMetrics::new(&metrics)?;
/// assert!(own.collect().iter().any(|family| family.name() == "kube_state_metrics_series"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StoreMetrics {
    metrics: StateMetrics,
    figures: Figures,
    /// A scrape locks this field, so that two scrapes at the same time do not reset each other's values.
    one_at_a_time: Mutex<()>,
}

/// Metrics about CustomResourceDefinitions: their number, and how often a definition was added, changed or deleted.
///
/// The metrics have the same names as in kube-state-metrics: `kube_state_metrics_custom_resource_state_cache`, and
/// `…_add_events_total`, `…_update_events_total`, `…_delete_events_total`. Clones share the counters.
///
/// ```
/// use kube_state_metrics::self_metrics::DefinitionMetrics;
/// use prometheus::Registry;
///
/// let definitions = DefinitionMetrics::new()?;
/// let registry = Registry::new();
/// registry.register(Box::new(definitions.clone()))?;
/// assert_eq!(registry.gather().len(), 4);
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DefinitionMetrics {
    added: IntCounter,
    updated: IntCounter,
    deleted: IntCounter,
    known: IntGauge,
}

/// The metrics about the stores, with the values of the last scrape.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    objects: IntGaugeVec,
    series: IntGaugeVec,
    bytes: IntGaugeVec,
    family_bytes: IntGaugeVec,
    decode_errors: IntCounterVec,
    stale: IntCounterVec,
    duplicates: IntCounterVec,
    panics: IntCounterVec,
    joined_labels: IntCounterVec,
    limits: IntCounterVec,
    unread: IntCounterVec,
    repeated: IntGaugeVec,
    kinds_left_out: IntGauge,
    exhausted_patterns: IntGauge,
}

// === impl StoreMetrics ===

impl StoreMetrics {
    /// Creates metrics about the stores of `metrics`.
    ///
    /// The registry of a watch already contains these metrics, so do not register them there again.
    ///
    /// # Errors
    ///
    /// Never returns an error, because all names are valid.
    ///
    /// ```
    /// use kube_state_metrics::StateMetrics;
    /// use kube_state_metrics::self_metrics::StoreMetrics;
    ///
    /// let metrics = StateMetrics::builder().default_resources().build()?;
    /// let registry = prometheus::Registry::new();
    /// registry.register(Box::new(StoreMetrics::new(&metrics)?))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(metrics: &StateMetrics) -> Result<Self, Error> {
        Ok(Self {
            metrics: metrics.clone(),
            figures: Figures::new()?,
            one_at_a_time: Mutex::new(()),
        })
    }
}

impl Collector for StoreMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.figures.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one = self.one_at_a_time.lock();
        self.figures.reset(&self.metrics);
        for store in self.metrics.stores() {
            self.figures
                .set(&resource_label(store.resource()), &store.stats());
        }
        self.figures.collect()
    }
}

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreMetrics").finish_non_exhaustive()
    }
}

// === impl DefinitionMetrics ===

impl DefinitionMetrics {
    /// Creates the metrics.
    ///
    /// All counters start at 0.
    ///
    /// # Errors
    ///
    /// Never returns an error, because all names are valid.
    ///
    /// ```
    /// kube_state_metrics::self_metrics::DefinitionMetrics::new()?;
    /// # Ok::<(), prometheus::Error>(())
    /// ```
    pub fn new() -> Result<Self, Error> {
        let name = |what| format!("kube_state_metrics_custom_resource_state_{what}");
        let events = |what, help| IntCounter::new(name(what), help);
        Ok(Self {
            added: events(
                "add_events_total",
                "CustomResourceDefinitions that were added.",
            )?,
            updated: events(
                "update_events_total",
                "CustomResourceDefinitions that changed.",
            )?,
            deleted: events(
                "delete_events_total",
                "CustomResourceDefinitions that were deleted.",
            )?,
            known: IntGauge::new(
                name("cache"),
                "Current number of CustomResourceDefinitions.",
            )?,
        })
    }

    /// Adds changes of definitions to the counters, for example the changes in a
    /// [`LoadReport`](crate::source::manifests::LoadReport).
    #[cfg(feature = "custom-resources")]
    #[cfg_attr(docsrs, doc(cfg(feature = "custom-resources")))]
    pub fn record(&self, changes: DefinitionChanges) {
        self.added.inc_by(changes.added as u64);
        self.updated.inc_by(changes.updated as u64);
        self.deleted.inc_by(changes.deleted as u64);
        self.known.set(gauge(changes.known as u64));
    }

    fn parts(&self) -> [&dyn Collector; 4] {
        [&self.added, &self.updated, &self.deleted, &self.known]
    }
}

impl Collector for DefinitionMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let parts = self.parts().into_iter();
        parts.flat_map(Collector::collect).collect()
    }
}

// === impl Figures ===

impl Figures {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            objects: gauges(
                "objects",
                "Objects in the store of the resource.",
                &["resource"],
            )?,
            series: gauges(
                "series",
                "Series in the store of the resource.",
                &["resource"],
            )?,
            bytes: gauges(
                "store_bytes",
                "Memory of the store of the resource, in bytes.",
                &["resource"],
            )?,
            family_bytes: gauges(
                "family_bytes",
                "Size of the sample lines of a family without compression, in bytes; absent if the family has no samples.",
                &["resource", "family"],
            )?,
            decode_errors: counters(
                "decode_errors_total",
                "Objects that have no samples because they could not be decoded.",
                &["resource", "reason"],
            )?,
            stale: counters(
                "stale_events_total",
                "Events that were ignored because a newer version of the object is stored.",
                &["resource"],
            )?,
            duplicates: counters(
                "duplicate_samples_total",
                "Samples that were dropped because the same object already had a sample with the same name and labels.",
                &["resource"],
            )?,
            panics: counters(
                "generator_panics_total",
                "How often the code of a family or of a base label panicked for an object. The samples of this object in \
                 this family, or the value of this base label, are then missing.",
                &["resource"],
            )?,
            joined_labels: counters(
                "joined_labels_replaced_total",
                "Joined labels that were not added to samples, because a label of the object has \
                 the same name.",
                &["resource"],
            )?,
            limits: counters(
                "limit_exceeded_total",
                "How often an object lost samples (reasons sample_limit, text_limit, \
                 expression_limit), labels (label_limit) or joined labels (text_limit) because of a limit.",
                &["resource", "reason"],
            )?,
            unread: counters(
                "custom_resource_errors_total",
                "Values of objects that a family of the Custom Resource State configuration could not read.",
                &["resource", "family"],
            )?,
            repeated: gauges(
                "repeated_series",
                "Samples of a family that the last scrape left out, because samples of other objects \
                 have the same name and labels.",
                &["family"],
            )?,
            kinds_left_out: IntGauge::with_opts(options(
                "custom_resource_kinds_left_out",
                "Kinds of custom resources that have no metrics because wildcards of the Custom Resource State \
                 configuration select more kinds than the limit allows.",
            ))?,
            exhausted_patterns: IntGauge::with_opts(options(
                "exhausted_patterns",
                "Patterns of the metric allowlist, denylist or opt-in list that need too much backtracking for some \
                 families, so that these families may have no metrics.",
            ))?,
        })
    }

    /// Removes the values of all resources, because some resources may no longer be registered. Then sets the metrics
    /// that have a label `family`.
    pub(crate) fn reset(&self, metrics: &StateMetrics) {
        for gauges in [
            &self.objects,
            &self.series,
            &self.bytes,
            &self.family_bytes,
            &self.repeated,
        ] {
            gauges.reset();
        }
        for family in metrics.plan().families() {
            let repeated = family.last_repeats();
            if repeated > 0 {
                let labels = [family.metadata().name()];
                self.repeated
                    .with_label_values(&labels)
                    .set(gauge(repeated));
            }
        }
        for counters in [
            &self.decode_errors,
            &self.stale,
            &self.duplicates,
            &self.panics,
            &self.joined_labels,
            &self.limits,
            &self.unread,
        ] {
            counters.reset();
        }
        for own in metrics.family_sizes() {
            let labels = [&*resource_label(&own.resource), &*own.family];
            let bytes = self.family_bytes.with_label_values(&labels);
            bytes.set(gauge(own.bytes));
        }
        let exhausted = metrics.exhausted_patterns().len();
        self.exhausted_patterns.set(gauge(exhausted));
        #[cfg(feature = "custom-resources")]
        {
            let custom = metrics.custom_resources();
            for own in custom.errors() {
                let labels = [own.resource, own.family];
                self.unread.with_label_values(&labels).inc_by(own.count);
            }
            self.kinds_left_out
                .set(gauge(custom.kinds_left_out().len()));
        }
    }

    /// Sets the values of one resource. `label` is the value of the label `resource`.
    pub(crate) fn set(&self, label: &str, stats: &StoreStats) {
        for (gauges, value) in [
            (&self.objects, stats.objects),
            (&self.series, stats.series),
            (&self.bytes, stats.memory_bytes),
        ] {
            gauges.with_label_values(&[label]).set(gauge(value));
        }
        for (counters, count) in [
            (&self.stale, stats.stale),
            (&self.duplicates, stats.duplicates),
            (&self.panics, stats.panics),
            (&self.joined_labels, stats.joined_labels_replaced),
        ] {
            counters.with_label_values(&[label]).inc_by(count);
        }
        for (reason, count) in [
            ("syntax", stats.decode_syntax_errors),
            ("field", stats.decode_field_errors),
        ] {
            let errors = self.decode_errors.with_label_values(&[label, reason]);
            errors.inc_by(count);
        }
        for (limit, count) in [
            (Limit::SamplesPerFamily, stats.over_sample_limit),
            (Limit::LabelsPerSample, stats.over_label_limit),
            (Limit::TextPerObject, stats.over_text_limit),
            (Limit::ExpressionCost, stats.over_expression_limit),
        ] {
            let exceeded = self.limits.with_label_values(&[label, limit.as_str()]);
            exceeded.inc_by(count);
        }
    }

    fn parts(&self) -> [&dyn Collector; 14] {
        [
            &self.objects,
            &self.series,
            &self.bytes,
            &self.family_bytes,
            &self.decode_errors,
            &self.stale,
            &self.duplicates,
            &self.panics,
            &self.joined_labels,
            &self.limits,
            &self.unread,
            &self.repeated,
            &self.kinds_left_out,
            &self.exhausted_patterns,
        ]
    }
}

impl Collector for Figures {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let parts = self.parts().into_iter();
        parts.flat_map(Collector::collect).collect()
    }
}

/// The name and help text of a metric. `kube_state_metrics_` is added before `name`.
pub(crate) fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("kube_state_metrics_{name}"), help)
}

/// Creates counters. `kube_state_metrics_` is added before `name`.
pub(crate) fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    IntCounterVec::new(options(name, help), labels)
}

/// Creates gauges. `kube_state_metrics_` is added before `name`.
pub(crate) fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
    IntGaugeVec::new(options(name, help), labels)
}

/// Converts a number to the value of a gauge. A number above `i64::MAX` becomes `i64::MAX`.
pub(crate) fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Returns the name of a resource in the metrics of kube-state-metrics: its Go type, such as `*v1.Pod`.
pub(crate) fn go_type(resource: &ResourceInfo) -> String {
    if is_built_in(resource) {
        format!("*{}.{}", resource.version(), resource.kind())
    } else {
        String::from("*unstructured.Unstructured")
    }
}

/// The value of the label `resource`. For a built-in resource, it is the Go type, such as `*v1.Pod`. For other
/// resources, it is a name such as `widgets.v1.acme.dev`.
pub(crate) fn resource_label(resource: &ResourceInfo) -> String {
    if is_built_in(resource) {
        go_type(resource)
    } else {
        resource.label()
    }
}

fn is_built_in(resource: &ResourceInfo) -> bool {
    let same =
        |own: BuiltIn| own.name() == resource.plural() && own.info().group() == resource.group();
    !resource.is_configured() && BuiltIn::ALL.iter().copied().any(same)
}
