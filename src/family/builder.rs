//! Families, and the builder that declares them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use kube::Resource;

use super::descriptor::{Allowlisted, FamilyDescriptor, MetricType, Stability};
use super::generator::FamilyGenerator;
use super::samples::Samples;

/// One metric family for the objects of a kind: a descriptor and a generator.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::Family;
///
/// let family = Family::gauge("pod_priority", "Priority of the pod; absent if it has none.")
///     .generate(|pod: &Pod, s| s.maybe_value(pod.spec.as_ref().and_then(|spec| spec.priority)));
/// assert_eq!(family.descriptor().help(), "Priority of the pod; absent if it has none.");
/// ```
///
/// Families of the other metric types:
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
/// The methods of this builder never fail. [`Builder::build`](crate::registry::Builder::build) checks the names of
/// families and labels later, and reports all problems together.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::family::Samples;
/// use kube_state_metrics::{Family, FamilyGenerator};
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
    kind: PhantomData<fn(&K)>,
}

// === impl Family ===

impl<K: Resource> Family<K> {
    /// Starts the declaration of a gauge with the name `name`.
    ///
    /// `help` states what the gauge measures, the unit, and the case in which an object has no sample.
    pub fn gauge(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::Gauge)
    }

    /// Starts the declaration of a counter with the name `name`.
    ///
    /// OpenMetrics requires that the name of a counter ends in `_total`. A sample whose value is negative or not a
    /// number is left out.
    pub fn counter(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::Counter)
    }

    /// Starts the declaration of an info family with the name `name`.
    ///
    /// OpenMetrics requires that the name of an info family ends in `_info`. The value of each sample is 1, and the
    /// labels contain the information.
    pub fn info(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::Info)
    }

    /// Starts the declaration of a state set with the name `name`.
    ///
    /// A state set has one sample per state. The label that has the same name as the family contains the state.
    pub fn state_set(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> FamilyBuilder<K> {
        FamilyBuilder::new(name.into(), help.into(), MetricType::StateSet)
    }

    /// The properties of the family that do not depend on objects, such as its name and help text.
    #[must_use]
    pub fn descriptor(&self) -> &FamilyDescriptor {
        &self.descriptor
    }

    /// Removes the declaration of the fields that the family reads.
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
            kind: PhantomData,
        }
    }

    /// Declares that the name and the labels of the family are stable.
    ///
    /// Default: [`Stability::Alpha`].
    pub fn stable(mut self) -> Self {
        self.descriptor.stability = Stability::Stable;
        self
    }

    /// Makes the family opt-in: the family is exported only if its name matches the opt-in list.
    pub fn opt_in(mut self) -> Self {
        self.descriptor.opt_in = true;
        self
    }

    /// Marks the family as deprecated since `version`.
    ///
    /// The help text of the family then also names this version.
    pub fn deprecated(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.descriptor.deprecated_since = Some(version.into());
        self
    }

    /// Declares the names of the labels that follow the base labels.
    ///
    /// Checks and the documentation use these names.
    ///
    /// A name that ends in `*`, such as `label_*`, stands for all names that begin with `label_`. Use such a name if
    /// the object determines the names of the labels, for example by the keys of its Kubernetes labels.
    pub fn labels(mut self, names: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.descriptor.labels = names.into_iter().map(Into::into).collect();
        self
    }

    /// Declares the paths of the fields that the generator reads, so that the decoder skips all other fields.
    ///
    /// A path is a dotted list of JSON field names, such as `status.conditions.type`. A path includes all fields below
    /// the last name of the path. If a field on the path is a list, the rest of the path applies to each item. If a
    /// name is followed by `[]`, as in `status.parts[].name`, the decoder expects a list at this name. If the value is
    /// not a list, the decoder keeps the whole value.
    ///
    /// The fields `metadata.name`, `metadata.namespace` and `metadata.uid` need no declaration. If you do not call this
    /// method, the decoder keeps the whole object except `metadata.managedFields`.
    ///
    /// The store calls the generator again only if an event changes a declared field. So a generator must declare every
    /// field that it reads, including `metadata.resourceVersion`, `apiVersion` and `kind`. If a generator declares one
    /// of these three fields, or declares nothing, the store calls it for each event.
    /// [`testing::render`](crate::testing::render) fails if a generator reads more than it declares.
    pub fn reads(mut self, paths: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.descriptor.reads = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Declares that the generator reads only `metadata.name`, `metadata.namespace` and `metadata.uid` of the object.
    pub fn reads_identity_only(self) -> Self {
        self.reads([""; 0])
    }

    /// Declares words with which people can find the family in the search of the exporter's web page.
    ///
    /// Search words are synonyms and symptoms, such as `out of memory`. By default, there are no search words. Search
    /// words have no effect on samples.
    pub fn search_words(
        mut self,
        words: impl IntoIterator<Item = impl Into<Cow<'static, str>>>,
    ) -> Self {
        self.descriptor.search_words = words.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn allowlisted(mut self, map: Allowlisted) -> Self {
        self.descriptor.allowlisted = Some(map);
        self
    }

    /// Declares whether the configuration of the family may replace the label `customresource_kind`.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn may_replace_kind_label(mut self, may_replace: bool) -> Self {
        self.descriptor.may_replace_kind_label = may_replace;
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

    /// Completes the family with a type that implements [`FamilyGenerator`].
    #[must_use]
    pub fn generator(self, generator: impl FamilyGenerator<K> + 'static) -> Family<K> {
        Family {
            descriptor: self.descriptor,
            generator: Arc::new(generator),
        }
    }
}
