//! Collectors: an application registers a collector, which consists of a resource, its base labels and its families.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kube::Resource;
use kube::core::ApiResource;

use super::builder::Family;
use crate::resource::{CollectedResource, ResourceInfo, Scope, StaticScope};

/// A resource with its families and the base labels of its samples.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_state_metrics::{Collector, Family};
///
/// let collector = Collector::<Pod>::new()
///     .family(Family::gauge("pod_seen", "Always 1.").generate(|_: &Pod, s| s.value(1)));
/// assert_eq!(collector.resource().plural(), "pods");
/// ```
///
/// With other base labels:
///
/// ```
/// use k8s_openapi::api::coordination::v1::Lease;
/// use kube_state_metrics::{Collector, Family};
///
/// let family = |name, help| Family::gauge(name, help).generate(|_: &Lease, s| s.value(1));
/// let collector = Collector::<Lease>::new()
///     .no_base_labels() // without this: `namespace` and `lease`
///     .namespace_label("lease_namespace")
///     .name_label("lease")
///     .uid_label("uid")
///     .base_label("holder", |lease| {
///         let spec = lease.spec.as_ref();
///         spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default().into()
///     })
///     .families([family("lease_seen", "Always 1."), family("lease_known", "Always 1.")]);
/// let labels: Vec<_> = collector.base_label_names().collect();
/// assert_eq!(labels, ["lease_namespace", "lease", "uid", "holder"]);
/// assert_eq!(collector.iter().len(), 2);
/// ```
pub struct Collector<K> {
    resource: ResourceInfo,
    base_labels: Vec<BaseLabel<K>>,
    families: Vec<Family<K>>,
    fed_by_host: bool,
}

/// One base label (one of the first labels of every sample of a collector), and the source of the label's value.
pub(crate) struct BaseLabel<K> {
    pub(crate) name: Cow<'static, str>,
    pub(crate) source: BaseSource<K>,
}

pub(crate) enum BaseSource<K> {
    Namespace,
    Name,
    Uid,
    Computed {
        value: Arc<ComputeLabel<K>>,
        /// The field that contains the value, if the field is known.
        reads: Option<&'static str>,
    },
}

type ComputeLabel<K> = dyn Fn(&K) -> Cow<'_, str> + Send + Sync;

// === impl Collector ===

impl<K> Collector<K>
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    /// Creates a collector without families for the resource of the Rust type `K`.
    ///
    /// The base labels of a pod, for example, are `namespace` and `pod` (the lower-case kind). The value of the label
    /// `pod` is the name of the object. Cluster-scoped kinds have no label `namespace`.
    /// [`no_base_labels`](Self::no_base_labels) removes the base labels.
    #[must_use]
    pub fn new() -> Self {
        Self::for_resource(ResourceInfo::of::<K>())
    }
}

impl<K> Default for Collector<K>
where
    K: CollectedResource + Resource<DynamicType = (), Scope: StaticScope>,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K: CollectedResource + Resource<DynamicType = ApiResource>> Collector<K> {
    /// Creates a collector without families for a kind that is known only at run time.
    ///
    /// ```
    /// use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
    /// use kube_state_metrics::resource::Scope;
    /// use kube_state_metrics::{Collector, Family};
    ///
    /// let gvk = GroupVersionKind::gvk("acme.dev", "v1", "Widget");
    /// let size = Family::gauge("widget_size", "Size the widget asks for.")
    ///     .generate(|w: &DynamicObject, s| s.maybe_value(w.data["spec"]["size"].as_f64()));
    /// let widgets = Collector::dynamic(&ApiResource::from_gvk(&gvk), Scope::Namespaced).family(size);
    /// assert_eq!(widgets.resource().kind(), "Widget");
    /// ```
    #[must_use]
    pub fn dynamic(resource: &ApiResource, scope: Scope) -> Self {
        Self::for_resource(ResourceInfo::dynamic(resource, scope))
    }
}

impl<K: CollectedResource> Collector<K> {
    fn for_resource(resource: ResourceInfo) -> Self {
        let name_label = resource.kind().to_lowercase();
        let namespaced = resource.scope() == Scope::Namespaced;
        let collector = Self::without_base_labels(resource);
        if namespaced {
            collector
                .namespace_label("namespace")
                .name_label(name_label)
        } else {
            collector.name_label(name_label)
        }
    }

    /// Creates a collector that has no base labels and no families.
    pub(crate) fn without_base_labels(resource: ResourceInfo) -> Self {
        Self {
            resource,
            base_labels: Vec::new(),
            families: Vec::new(),
            fed_by_host: false,
        }
    }

    /// Declares that the host (the program that embeds this crate) feeds the resource, and not a source of this crate,
    /// such as a watch.
    ///
    /// The declaration covers all collectors of this type and resource. The declaration does not cover families that a
    /// configuration adds to the resource. To feed such families from the host too, call
    /// [`Builder::fed_by_host`](crate::registry::Builder::fed_by_host) with the resource.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Node;
    /// use kube_state_metrics::{StateMetrics, families};
    ///
    /// let metrics = StateMetrics::builder().collector(families::nodes().fed_by_host()).build()?;
    /// let node = serde_json::from_value(serde_json::json!({ "metadata": { "name": "worker-1" } }))?;
    /// metrics.feed::<Node>()?.apply_object(&node);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fed_by_host(mut self) -> Self {
        self.fed_by_host = true;
        self
    }

    pub(crate) fn is_fed_by_host(&self) -> bool {
        self.fed_by_host
    }

    /// Adds a family.
    #[must_use]
    pub fn family(mut self, family: Family<K>) -> Self {
        self.families.push(family);
        self
    }

    /// Adds several families in the given order.
    #[must_use]
    pub fn families(mut self, families: impl IntoIterator<Item = Family<K>>) -> Self {
        self.families.extend(families);
        self
    }

    /// Removes all base labels.
    ///
    /// Afterwards, add base labels that distinguish all objects. If two objects have the same series, the exposition
    /// keeps only the series of the first object.
    #[must_use]
    pub fn no_base_labels(mut self) -> Self {
        self.base_labels.clear();
        self
    }

    /// Appends a base label whose value is `metadata.namespace`.
    #[must_use]
    pub fn namespace_label(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.push(name.into(), BaseSource::Namespace)
    }

    /// Appends a base label whose value is `metadata.name`.
    #[must_use]
    pub fn name_label(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.push(name.into(), BaseSource::Name)
    }

    /// Appends a base label whose value is `metadata.uid`.
    #[must_use]
    pub fn uid_label(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.push(name.into(), BaseSource::Uid)
    }

    /// Appends a base label.
    ///
    /// The closure `value` computes the value of the label from the object.
    #[must_use]
    pub fn base_label(
        self,
        name: impl Into<Cow<'static, str>>,
        value: impl Fn(&K) -> Cow<'_, str> + Send + Sync + 'static,
    ) -> Self {
        let (value, reads) = (Arc::new(value), None);
        self.push(name.into(), BaseSource::Computed { value, reads })
    }

    /// Appends a base label whose value comes from the field at the path `reads`.
    pub(crate) fn field_label(
        self,
        name: &'static str,
        reads: &'static str,
        value: impl Fn(&K) -> Cow<'_, str> + Send + Sync + 'static,
    ) -> Self {
        let (value, reads) = (Arc::new(value), Some(reads));
        self.push(name.into(), BaseSource::Computed { value, reads })
    }

    /// The resource that the collector reads.
    #[must_use]
    pub fn resource(&self) -> &ResourceInfo {
        &self.resource
    }

    /// The names of the base labels, in the order in which samples have them.
    pub fn base_label_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.base_labels.iter().map(|label| label.name.as_ref())
    }

    /// The families, in the order of the exposition.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Family<K>> {
        self.families.iter()
    }

    /// Whether at least one family declares the fields that it reads.
    #[cfg(feature = "testing")]
    pub(crate) fn declares_reads(&self) -> bool {
        self.families
            .iter()
            .any(|family| family.descriptor().reads().is_some())
    }

    /// Returns the same collector with only this family.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_only(&self, family: &Family<K>) -> Self {
        Self {
            resource: self.resource.clone(),
            base_labels: self.base_labels.clone(),
            families: vec![family.clone()],
            fed_by_host: self.fed_by_host,
        }
    }

    /// Removes the declarations of the fields that the families read, so that whole objects are decoded.
    #[cfg(feature = "testing")]
    pub(crate) fn reading_everything(mut self) -> Self {
        self.families = self
            .families
            .into_iter()
            .map(Family::reading_everything)
            .collect();
        self
    }

    pub(crate) fn into_parts(self) -> (ResourceInfo, Vec<BaseLabel<K>>, Vec<Family<K>>) {
        (self.resource, self.base_labels, self.families)
    }

    fn push(mut self, name: Cow<'static, str>, source: BaseSource<K>) -> Self {
        self.base_labels.push(BaseLabel { name, source });
        self
    }
}

impl<K> Clone for Collector<K> {
    fn clone(&self) -> Self {
        Self {
            resource: self.resource.clone(),
            base_labels: self.base_labels.clone(),
            families: self.families.clone(),
            fed_by_host: self.fed_by_host,
        }
    }
}

impl<K> fmt::Debug for Collector<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("resource", &self.resource)
            .field("base_labels", &self.base_labels)
            .field("families", &self.families)
            .finish()
    }
}

// === impl BaseLabel ===

impl<K> Clone for BaseLabel<K> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            BaseSource::Namespace => BaseSource::Namespace,
            BaseSource::Name => BaseSource::Name,
            BaseSource::Uid => BaseSource::Uid,
            BaseSource::Computed { value, reads } => BaseSource::Computed {
                value: Arc::clone(value),
                reads: *reads,
            },
        };
        Self {
            name: self.name.clone(),
            source,
        }
    }
}

impl<K> fmt::Debug for BaseLabel<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
