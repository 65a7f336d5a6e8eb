//! Families: what a metric is called, what it means, and how its samples come from an object.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kube::Resource;

use super::Samples;

/// The type a family declares in its `# TYPE` line.
///
/// Source: [OpenMetrics, metric types](https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#metric-types).
///
/// ```
/// use kube_state_metrics::MetricType;
///
/// assert_eq!(MetricType::StateSet.as_str(), "stateset");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricType {
    /// A value that may go up and down.
    Gauge,
    /// A value that only grows; its name ends in `_total`. Negative values are left out.
    Counter,
    /// Always 1; the labels are the information. Declared as a gauge in the text format.
    Info,
    /// One sample per possible state, 1 for the current one. Declared as a gauge in the text format.
    StateSet,
}

impl MetricType {
    /// The word OpenMetrics uses for the type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// How much a family's name and labels may still change.
///
/// ```
/// use kube_state_metrics::Stability;
///
/// assert_eq!(Stability::Stable.as_str(), "STABLE");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stability {
    /// May change in any release.
    Alpha,
    /// Keeps its name and labels; the help text starts with `[STABLE]`.
    Stable,
}

impl Stability {
    /// The word the catalogue uses: `ALPHA` or `STABLE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Stable => "STABLE",
        }
    }
}

/// Appends the samples of one family for one object.
///
/// Built-in families, closures and types of your own are all generators. A generator is called
/// once per object and event; it must not depend on anything but the object.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Family, FamilyGenerator, Samples};
///
/// /// Counts volumes, of one source or of any.
/// struct Volumes {
///     only_claims: bool,
/// }
///
/// impl FamilyGenerator<Pod> for Volumes {
///     fn generate(&self, pod: &Pod, samples: &mut Samples<'_>) {
///         let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
///         let claim = |v: &&k8s_openapi::api::core::v1::Volume| v.persistent_volume_claim.is_some();
///         samples.value(volumes.filter(|v| !self.only_claims || claim(v)).count());
///     }
/// }
///
/// let family = Family::gauge("pod_claim_volumes", "Volumes of the pod that are backed by a claim.")
///     .generator(Volumes { only_claims: true });
/// assert_eq!(family.descriptor().name(), "pod_claim_volumes");
/// ```
pub trait FamilyGenerator<K: Resource>: Send + Sync {
    /// Appends this family's samples for `object`, none where the object has nothing to tell.
    fn generate(&self, object: &K, samples: &mut Samples<'_>);
}

impl<K, F> FamilyGenerator<K> for F
where
    K: Resource,
    F: Fn(&K, &mut Samples<'_>) + Send + Sync,
{
    fn generate(&self, object: &K, samples: &mut Samples<'_>) {
        self(object, samples);
    }
}

/// A family that exists only while an allowlist selects some keys of a string map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Allowlisted {
    Labels,
    Annotations,
}

/// What is fixed about a family: everything but its samples.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{Family, MetricType, Stability};
///
/// let family = Family::gauge("node_taints", "Taints of the node.")
///     .stable()
///     .opt_in()
///     .deprecated("2.0.0")
///     .labels(["effect"])
///     .reads(["spec.taints"])
///     .generate(|_: &Node, s| s.label("effect", "NoSchedule").value(0));
/// let descriptor = family.descriptor();
/// assert_eq!(descriptor.name(), "node_taints");
/// assert_eq!(descriptor.help(), "Taints of the node.");
/// assert_eq!(descriptor.metric_type(), MetricType::Gauge);
/// assert_eq!(descriptor.stability(), Stability::Stable);
/// assert!(descriptor.opt_in());
/// assert_eq!(descriptor.deprecated_since(), Some("2.0.0"));
/// assert_eq!(descriptor.labels().collect::<Vec<_>>(), ["effect"]);
/// assert_eq!(descriptor.reads().unwrap().collect::<Vec<_>>(), ["spec.taints"]);
/// ```
#[derive(Clone, Debug)]
pub struct FamilyDescriptor {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    metric_type: MetricType,
    stability: Stability,
    opt_in: bool,
    deprecated_since: Option<Cow<'static, str>>,
    labels: Vec<Cow<'static, str>>,
    reads: Option<Vec<Cow<'static, str>>>,
    allowlisted: Option<Allowlisted>,
}

impl FamilyDescriptor {
    fn new(name: Cow<'static, str>, help: Cow<'static, str>, metric_type: MetricType) -> Self {
        Self {
            name,
            help,
            metric_type,
            stability: Stability::Alpha,
            opt_in: false,
            deprecated_since: None,
            labels: Vec::new(),
            reads: None,
            allowlisted: None,
        }
    }

    /// The family's name, as it starts every sample.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the family tells, without the markers an exposition puts in front.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The declared type.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    /// How much may still change.
    #[must_use]
    pub fn stability(&self) -> Stability {
        self.stability
    }

    /// Whether the family is absent until an opt-in list names it.
    #[must_use]
    pub fn opt_in(&self) -> bool {
        self.opt_in
    }

    /// The version since which the family is deprecated.
    #[must_use]
    pub fn deprecated_since(&self) -> Option<&str> {
        self.deprecated_since.as_deref()
    }

    /// The declared label names after the base labels; a name ending in `*` stands for a set of
    /// names that come from data.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.labels.iter().map(AsRef::as_ref)
    }

    /// The field paths the generator reads, or `None` where it may read the whole object.
    #[must_use]
    pub fn reads(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        self.reads
            .as_ref()
            .map(|paths| paths.iter().map(AsRef::as_ref))
    }

    pub(crate) fn allowlisted(&self) -> Option<Allowlisted> {
        self.allowlisted
    }
}

/// One metric family of a kind: its descriptor and its generator.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::Family;
///
/// let family = Family::gauge("pod_priority", "Priority of the pod; absent where it has none.")
///     .generate(|pod: &Pod, s| s.maybe_value(pod.spec.as_ref().and_then(|spec| spec.priority)));
/// assert_eq!(family.descriptor().help(), "Priority of the pod; absent where it has none.");
/// ```
///
/// The other types:
///
/// ```
/// use k8s_openapi::api::batch::v1::Job;
/// use kube_state_metrics::{Collector, Family, testing::render};
/// use serde_json::json;
///
/// let jobs = Collector::<Job>::new().families([
///     Family::counter("job_pods_failed_total", "Pods of the job that have failed.")
///         .generate(|job: &Job, s| s.maybe_value(job.status.as_ref().and_then(|status| status.failed))),
///     Family::info("job_info", "Always 1; the label is the team.").labels(["team"]).generate(
///         |job: &Job, s| {
///             let labels = job.metadata.labels.as_ref();
///             s.label("team", labels.and_then(|labels| labels.get("team"))).value(1);
///         },
///     ),
///     Family::state_set("job_state", "1 for the state of the job.").labels(["job_state"]).generate(
///         |job: &Job, s| {
///             let done = job.status.as_ref().is_some_and(|status| status.completion_time.is_some());
///             s.state_set("job_state", &["running", "done"], if done { "done" } else { "running" });
///         },
///     ),
/// ]);
/// let job = json!({
///     "metadata": { "name": "a", "namespace": "b", "labels": { "team": "shop" } },
///     "status": { "failed": 2 }
/// });
/// render(jobs, job).assert_eq(r#"
///     job_pods_failed_total{namespace="b",job="a"} 2
///     job_info{namespace="b",job="a",team="shop"} 1
///     job_state{namespace="b",job="a",job_state="running"} 1
///     job_state{namespace="b",job="a",job_state="done"} 0
/// "#);
/// ```
pub struct Family<K> {
    descriptor: FamilyDescriptor,
    generator: Arc<dyn FamilyGenerator<K>>,
}

/// A [`Family`] that still lacks its generator.
///
/// Setters never fail: names and labels are checked when a
/// [`StateMetrics`](crate::StateMetrics) is built, all at once.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Family, FamilyGenerator, Samples};
///
/// struct Always(i64);
/// impl FamilyGenerator<Pod> for Always {
///     fn generate(&self, _: &Pod, samples: &mut Samples<'_>) {
///         samples.value(self.0);
///     }
/// }
///
/// let builder = || Family::gauge("pod_seen", "Always the same.").stable().opt_in();
/// let by_closure = builder().deprecated("1.2.0").reads_identity_only().generate(|_: &Pod, s| s.value(1));
/// let by_type = builder().labels([""; 0]).generator(Always(1));
/// assert_eq!(by_closure.descriptor().name(), by_type.descriptor().name());
/// ```
#[must_use = "a family does nothing before it has a generator"]
pub struct FamilyBuilder<K> {
    descriptor: FamilyDescriptor,
    kind: std::marker::PhantomData<fn(&K)>,
}

// === impl Family ===

impl<K: Resource> Family<K> {
    /// Starts a gauge called `name`; `help` says what it tells, its unit and when it is absent.
    pub fn gauge(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::Gauge)
    }

    /// Starts a counter called `name`, which ends in `_total`; negative values are left out.
    pub fn counter(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::Counter)
    }

    /// Starts an info family called `name`, which ends in `_info`: value 1, the labels tell.
    pub fn info(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::Info)
    }

    /// Starts a state set called `name`: one sample per state, in a label of the family's name.
    pub fn state_set(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::StateSet)
    }

    /// What is fixed about the family.
    #[must_use]
    pub fn descriptor(&self) -> &FamilyDescriptor {
        &self.descriptor
    }

    /// The same family without its declaration of fields.
    #[cfg(feature = "testing")]
    pub(crate) fn reading_everything(mut self) -> Self {
        self.descriptor.reads = None;
        self
    }

    pub(crate) fn generator(&self) -> &dyn FamilyGenerator<K> {
        &*self.generator
    }
}

impl<K> Clone for Family<K> {
    fn clone(&self) -> Self {
        Self {
            descriptor: self.descriptor.clone(),
            generator: Arc::clone(&self.generator),
        }
    }
}

impl<K> fmt::Debug for Family<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(&self.descriptor).finish()
    }
}

// === impl FamilyBuilder ===

impl<K> fmt::Debug for FamilyBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FamilyBuilder")
            .field(&self.descriptor)
            .finish()
    }
}

impl<K: Resource> FamilyBuilder<K> {
    fn new(name: Cow<'static, str>, help: Cow<'static, str>, metric_type: MetricType) -> Self {
        Self {
            descriptor: FamilyDescriptor::new(name, help, metric_type),
            kind: std::marker::PhantomData,
        }
    }

    /// Promises that name and labels stay; the default is [`Stability::Alpha`].
    pub fn stable(mut self) -> Self {
        self.descriptor.stability = Stability::Stable;
        self
    }

    /// Leaves the family out until an opt-in list names it.
    pub fn opt_in(mut self) -> Self {
        self.descriptor.opt_in = true;
        self
    }

    /// Marks the family as deprecated since `version`, which the help text then says.
    pub fn deprecated(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.descriptor.deprecated_since = Some(version.into());
        self
    }

    /// Declares the label names that follow the base labels, for checks and documentation.
    ///
    /// A name ending in `*`, such as `label_*`, stands for names that come from data.
    pub fn labels(mut self, names: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.descriptor.labels = names.into_iter().map(Into::into).collect();
        self
    }

    /// Declares the field paths the generator reads, so that decoding skips all other fields.
    ///
    /// A path is a dotted list of JSON field names, such as `status.conditions.type`. It goes
    /// through the items of lists, and includes everything below its last name. With `[]` after a
    /// name, the rest of the path applies to the items of a list only; a value that is not a list
    /// is kept as a whole: `status.parts[].name`. `metadata.name`, `.namespace`, `.uid` and
    /// `.resourceVersion` are always read. Without a declaration the whole object is decoded,
    /// except `metadata.managedFields`.
    pub fn reads(mut self, paths: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.descriptor.reads = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Declares that the generator reads only the identity of the object: `metadata.name`,
    /// `.namespace`, `.uid` and `.resourceVersion`.
    pub fn reads_identity_only(self) -> Self {
        self.reads([""; 0])
    }

    pub(crate) fn allowlisted(mut self, map: Allowlisted) -> Self {
        self.descriptor.allowlisted = Some(map);
        self
    }

    /// Completes the family with a closure.
    #[must_use]
    pub fn generate<F>(self, generate: F) -> Family<K>
    where
        F: Fn(&K, &mut Samples<'_>) + Send + Sync + 'static,
    {
        self.generator(generate)
    }

    /// Completes the family with a generator of your own.
    #[must_use]
    pub fn generator(self, generator: impl FamilyGenerator<K> + 'static) -> Family<K> {
        Family {
            descriptor: self.descriptor,
            generator: Arc::new(generator),
        }
    }
}
