//! The names and the scope of a Kubernetes resource.

use std::borrow::Cow;
use std::fmt;

use kube::Resource;
use kube::core::{ApiResource, ClusterResourceScope, NamespaceResourceScope};
use serde::de::DeserializeOwned;

/// A Rust type of Kubernetes objects that a collector can read.
///
/// All resources of `k8s_openapi`, types with `#[derive(CustomResource)]`, and [`kube::core::DynamicObject`] implement
/// this trait automatically.
///
/// ```
/// use kube_state_metrics::resource::CollectedResource;
/// use kube_state_metrics::{Collector, StateMetrics};
///
/// /// Builds the metrics of one collector.
/// fn only<K: CollectedResource>(collector: Collector<K>) -> StateMetrics {
///     StateMetrics::builder().collector(collector).build().expect("built-in families are valid")
/// }
/// assert_eq!(only(kube_state_metrics::families::nodes()).stores().len(), 1);
/// ```
pub trait CollectedResource:
    Resource<DynamicType: Clone + fmt::Debug>
    + Clone
    + fmt::Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> CollectedResource for K where
    K: Resource<DynamicType: Clone + fmt::Debug>
        + Clone
        + fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Whether the objects of a resource belong to namespaces or to the cluster.
///
/// ```
/// use kube_state_metrics::resource::Scope;
/// use kube_state_metrics::BuiltIn;
///
/// assert_eq!(BuiltIn::Pods.info().scope(), Scope::Namespaced);
/// assert_eq!(BuiltIn::Nodes.info().scope(), Scope::Cluster);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every object belongs to one namespace.
    Namespaced,
    /// Objects belong to the whole cluster.
    Cluster,
}

/// A type of `kube` that marks whether a Rust type is namespaced or cluster-scoped.
///
/// The type of a dynamic object does not determine the scope. In this case, pass a [`Scope`] (see
/// [`Collector::dynamic`](crate::Collector::dynamic)).
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube::Resource;
/// use kube_state_metrics::resource::{StaticScope, Scope};
///
/// assert_eq!(<<Node as Resource>::Scope as StaticScope>::SCOPE, Scope::Cluster);
/// ```
pub trait StaticScope: sealed::Sealed {
    /// The scope of this marker.
    const SCOPE: Scope;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for kube::core::NamespaceResourceScope {}
    impl Sealed for kube::core::ClusterResourceScope {}
}

impl StaticScope for NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespaced;
}

impl StaticScope for ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

/// The names of one Kubernetes resource.
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use kube_state_metrics::resource::ResourceInfo;
///
/// let info = ResourceInfo::of::<Deployment>();
/// assert_eq!(info.plural(), "deployments");
/// assert_eq!(info.api_version(), "apps/v1");
/// ```
///
/// All its fields:
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use kube_state_metrics::resource::{ResourceInfo, Scope};
///
/// let info = ResourceInfo::of::<Deployment>();
/// assert_eq!((info.group(), info.version(), info.kind()), ("apps", "v1", "Deployment"));
/// assert_eq!(info.name(), "deployments"); // the name in filters
/// assert_eq!(info.to_string(), "deployments.apps");
/// assert_eq!(info.scope(), Scope::Namespaced);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceInfo {
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    kind: Cow<'static, str>,
    plural: Cow<'static, str>,
    scope: Scope,
    /// Whether the resource comes from a configuration of custom resources, and not from a Rust type.
    configured: bool,
}

impl ResourceInfo {
    /// Returns the names of the resource of a Rust type.
    #[must_use]
    pub fn of<K>() -> Self
    where
        K: Resource<DynamicType = (), Scope: StaticScope>,
    {
        Self {
            group: Cow::Owned(K::group(&()).into_owned()),
            version: Cow::Owned(K::version(&()).into_owned()),
            kind: Cow::Owned(K::kind(&()).into_owned()),
            plural: Cow::Owned(K::plural(&()).into_owned()),
            scope: <K::Scope as StaticScope>::SCOPE,
            configured: false,
        }
    }

    /// Returns the names of a resource that is known only at run time.
    ///
    /// `scope` states whether the objects are namespaced, because an [`ApiResource`] does not contain this information.
    ///
    /// ```
    /// use kube::core::{ApiResource, GroupVersionKind};
    /// use kube_state_metrics::resource::{ResourceInfo, Scope};
    ///
    /// let gvk = GroupVersionKind::gvk("acme.dev", "v1", "Widget");
    /// let info = ResourceInfo::dynamic(&ApiResource::from_gvk(&gvk), Scope::Cluster);
    /// assert_eq!(info.plural(), "widgets");
    /// ```
    #[must_use]
    pub fn dynamic(resource: &ApiResource, scope: Scope) -> Self {
        Self {
            group: Cow::Owned(resource.group.clone()),
            version: Cow::Owned(resource.version.clone()),
            kind: Cow::Owned(resource.kind.clone()),
            plural: Cow::Owned(resource.plural.clone()),
            scope,
            configured: false,
        }
    }

    /// Returns the names of a resource that a configuration of custom resources selects.
    #[cfg(feature = "custom-resources")]
    pub(crate) fn configured(
        group: String,
        version: String,
        kind: String,
        plural: String,
        scope: Scope,
    ) -> Self {
        Self {
            group: Cow::Owned(group),
            version: Cow::Owned(version),
            kind: Cow::Owned(kind),
            plural: Cow::Owned(plural),
            scope,
            configured: true,
        }
    }

    /// Whether the resource comes from a configuration of custom resources, and not from a Rust type.
    pub(crate) fn is_configured(&self) -> bool {
        self.configured
    }

    /// The name that filters use for the resource.
    ///
    /// The exposition sorts the resources by this name.
    ///
    /// The name is the plural. For a kind from a configuration of custom resources, the name is
    /// `group/version, Resource=plural`.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        if !self.configured {
            return Cow::Borrowed(&self.plural);
        }
        let (group, version, plural) = (&self.group, &self.version, &self.plural);
        Cow::Owned(format!("{group}/{version}, Resource={plural}"))
    }

    /// The unique name in health reports and metrics: the plural and the group, such as `deployments.apps`.
    ///
    /// For a kind from a configuration of custom resources, the name also contains the version, such as
    /// `widgets.v1.acme.dev`.
    ///
    /// ```
    /// use kube_state_metrics::BuiltIn;
    ///
    /// assert_eq!(BuiltIn::Deployments.info().label(), "deployments.apps");
    /// ```
    #[must_use]
    pub fn label(&self) -> String {
        if !self.configured {
            return self.to_string();
        }
        let mut label = format!("{}.{}", self.plural, self.version);
        if !self.group.is_empty() {
            label.push('.');
            label.push_str(&self.group);
        }
        label
    }

    /// The API group, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The API version, such as `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The kind, such as `Pod`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The plural, lower-case name, such as `pods`.
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// Whether the objects are namespaced or cluster-scoped.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns `group/version`, or only the version in the core group.
    #[must_use]
    pub fn api_version(&self) -> Cow<'_, str> {
        if self.group.is_empty() {
            Cow::Borrowed(&self.version)
        } else {
            Cow::Owned(format!("{}/{}", self.group, self.version))
        }
    }
}

impl fmt::Display for ResourceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// The name of a resource, for methods of a builder.
///
/// A name is the plural, lower-case name of the resource. If several resources have the same plural name, append the
/// group, or the version and the group, as in `kubectl get`. A [`ResourceInfo`] and a [`BuiltIn`](crate::BuiltIn) are
/// converted to the form with version and group.
///
/// ```
/// use kube_state_metrics::resource::{ResourceInfo, ResourceName};
/// use kube_state_metrics::BuiltIn;
///
/// let deployments = BuiltIn::Deployments.info();
/// for name in ["deployments", "deployments.apps", "deployments.v1.apps"] {
///     assert!(ResourceName::from(name).matches(&deployments));
/// }
/// assert_eq!(ResourceName::from(&deployments).as_str(), "deployments.v1.apps");
/// assert_eq!(ResourceName::from(BuiltIn::Pods).as_str(), "pods.v1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName(Cow<'static, str>);

// === impl ResourceName ===

impl ResourceName {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the resource has this name.
    #[must_use]
    pub fn matches(&self, resource: &ResourceInfo) -> bool {
        let Some(qualifier) = self.0.strip_prefix(resource.plural()) else {
            return false;
        };
        let Some(qualifier) = qualifier.strip_prefix('.') else {
            return qualifier.is_empty();
        };
        if !resource.group.is_empty() && qualifier == resource.group {
            return true;
        }
        let Some(group) = qualifier.strip_prefix(resource.version()) else {
            return false;
        };
        match resource.group() {
            "" => group.is_empty(),
            wanted => group.strip_prefix('.') == Some(wanted),
        }
    }

    /// Whether the text can be the name of a resource.
    pub(crate) fn is_valid(&self) -> bool {
        let is_label = |label: &str| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty() && label.chars().all(allowed)
        };
        self.0.split('.').all(is_label)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ResourceName {
    fn from(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }
}

impl From<String> for ResourceName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl From<&String> for ResourceName {
    fn from(name: &String) -> Self {
        Self(Cow::Owned(name.clone()))
    }
}

impl From<&ResourceInfo> for ResourceName {
    fn from(resource: &ResourceInfo) -> Self {
        let mut name = format!("{}.{}", resource.plural, resource.version);
        if !resource.group.is_empty() {
            name.push('.');
            name.push_str(&resource.group);
        }
        Self(Cow::Owned(name))
    }
}

impl From<ResourceInfo> for ResourceName {
    fn from(resource: ResourceInfo) -> Self {
        Self::from(&resource)
    }
}

impl From<&Self> for ResourceName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

#[cfg(test)]
mod tests {
    use kube::core::GroupVersionKind;
    use proptest::prelude::*;

    use super::*;

    fn resource(group: &str, version: &str, kind: &str) -> ResourceInfo {
        let kind = GroupVersionKind::gvk(group, version, kind);
        ResourceInfo::dynamic(&ApiResource::from_gvk(&kind), Scope::Namespaced)
    }

    #[test]
    fn a_name_has_the_forms_that_kubectl_takes() {
        let deployments = resource("apps", "v1", "Deployment");
        let pods = resource("", "v1", "Pod");
        let matching = |info: &ResourceInfo, names: &[&str]| {
            let names = names.iter().map(|&name| ResourceName::from(name));
            names.map(|name| name.matches(info)).collect::<Vec<_>>()
        };
        let names = ["deployments", "deployments.apps", "deployments.v1.apps"];
        assert_eq!(matching(&deployments, &names), [true; 3]);
        let others = [
            "",
            "deployment",
            "deploymentsapps",
            "deployments.",
            "deployments.v1",
            "deployments.v1.",
            "deployments.v1.app",
            "deployments.v2.apps",
            "pods.apps",
        ];
        assert_eq!(matching(&deployments, &others), [false; 9]);
        assert_eq!(matching(&pods, &["pods", "pods.v1"]), [true; 2]);
        let others = ["pods.", "pods.v1.", "pods.metrics.k8s.io", "pods.v2"];
        assert_eq!(matching(&pods, &others), [false; 4]);
    }

    #[test]
    fn text_that_cannot_name_a_resource_is_not_valid() {
        for name in ["pods", "deployments.v1.apps", "my-kinds.acme.dev"] {
            assert!(ResourceName::from(name).is_valid(), "{name}");
        }
        for name in ["", ".", "pods.", "Pods", "pods,nodes", "*", " pods"] {
            assert!(!ResourceName::from(name).is_valid(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_resource_has_the_name_that_is_made_of_it(
            group in "(|[a-z]{1,5}(\\.[a-z]{1,5})?)",
            version in "v[1-9](beta[1-9])?",
            kind in "[A-Z][a-z]{1,8}",
        ) {
            let info = resource(&group, &version, &kind);
            let name = ResourceName::from(&info);
            prop_assert!(name.matches(&info) && name.is_valid(), "{name}");
            prop_assert!(ResourceName::from(info.to_string()).matches(&info));
            prop_assert!(ResourceName::from(info.label()).matches(&info));
            let other = resource(&group, &format!("{version}1"), &kind);
            prop_assert!(!name.matches(&other));
        }
    }
}
