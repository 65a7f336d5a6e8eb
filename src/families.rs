//! The built-in families. Each resource has its own file; shared code is in `common`.
//!
//! Each file has a function with the name of the resource. The function returns the [`Collector`] of the resource,
//! which has its families in the order of the exposition. The names, labels and values are the same as in
//! kube-state-metrics, so that dashboards and alerts still work.
//!
//! ```
//! use kube_state_metrics::families;
//!
//! let pods = families::pods();
//! assert!(pods.iter().any(|family| family.descriptor().name() == "kube_pod_info"));
//! ```

use std::fmt;
use std::str::FromStr;

use crate::errors::{debug_is_display, did_you_mean, similar};
use crate::family::Collector;
use crate::resource::{CollectedResource, ResourceInfo, ResourceName};

pub mod catalogue;
mod common;
#[cfg(test)]
mod testing;

/// Declares the modules of all resources, the enum [`BuiltIn`], and all code that lists the resources.
macro_rules! built_in {
    ($($variant:ident $module:ident $default:literal,)*) => {
        $(mod $module;)*
        $(pub use $module::$module;)*

        /// A resource for which this crate has families.
        ///
        /// `Display` and `FromStr` use the plural name of the resource.
        ///
        /// ```
        /// use kube_state_metrics::BuiltIn;
        ///
        /// assert_eq!("pods".parse::<BuiltIn>(), Ok(BuiltIn::Pods));
        /// assert!(BuiltIn::defaults().any(|resource| resource == BuiltIn::Pods));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum BuiltIn {
            $(
                #[doc = concat!("The resource `", stringify!($module), "`.")]
                $variant,
            )*
        }

        impl BuiltIn {
            /// All built-in resources, sorted by name.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The plural name in lower case, such as `pods`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($module),)*
                }
            }

            /// Whether the resource is enabled by default.
            #[must_use]
            pub fn is_default(self) -> bool {
                match self {
                    $(Self::$variant => $default,)*
                }
            }

            /// Calls `visitor` with the collector of the resource.
            pub(crate) fn visit<V: CollectorVisitor>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$variant => visitor.visit($module()),)*
                }
            }
        }
    };
}

built_in! {
    CertificateSigningRequests certificatesigningrequests true,
    ClusterRoleBindings clusterrolebindings false,
    ClusterRoles clusterroles false,
    ConfigMaps configmaps true,
    CronJobs cronjobs true,
    DaemonSets daemonsets true,
    Deployments deployments true,
    Endpoints endpoints false,
    EndpointSlices endpointslices true,
    HorizontalPodAutoscalers horizontalpodautoscalers true,
    IngressClasses ingressclasses false,
    Ingresses ingresses true,
    Jobs jobs true,
    Leases leases true,
    LimitRanges limitranges true,
    MutatingAdmissionPolicies mutatingadmissionpolicies true,
    MutatingAdmissionPolicyBindings mutatingadmissionpolicybindings true,
    MutatingWebhookConfigurations mutatingwebhookconfigurations true,
    Namespaces namespaces true,
    NetworkPolicies networkpolicies true,
    Nodes nodes true,
    PersistentVolumeClaims persistentvolumeclaims true,
    PersistentVolumes persistentvolumes true,
    PodDisruptionBudgets poddisruptionbudgets true,
    Pods pods true,
    ReplicaSets replicasets true,
    ReplicationControllers replicationcontrollers true,
    ResourceQuotas resourcequotas true,
    RoleBindings rolebindings false,
    Roles roles false,
    Secrets secrets true,
    ServiceAccounts serviceaccounts false,
    Services services true,
    StatefulSets statefulsets true,
    StorageClasses storageclasses true,
    ValidatingAdmissionPolicies validatingadmissionpolicies true,
    ValidatingAdmissionPolicyBindings validatingadmissionpolicybindings true,
    ValidatingWebhookConfigurations validatingwebhookconfigurations true,
    VolumeAttachments volumeattachments true,
}

pub use mutatingadmissionpolicies::{MutatingAdmissionPolicy, MutatingAdmissionPolicySpec};
pub use mutatingadmissionpolicybindings::{
    MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec,
};

/// The error if no built-in resource has the given name.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no built-in resource `{name}`{}; available: {}",
    did_you_mean(name, names()), names().collect::<Vec<_>>().join(", ")
)]
pub struct UnknownResource {
    name: String,
}

debug_is_display!(UnknownResource);

// === impl UnknownResource ===

impl UnknownResource {
    /// The resource that the user probably meant. Its name is the plural of the given name, or differs from the given
    /// name only in upper and lower case.
    ///
    /// ```
    /// use kube_state_metrics::BuiltIn;
    ///
    /// let error = "pod".parse::<BuiltIn>().unwrap_err();
    /// assert_eq!(error.similar(), Some(BuiltIn::Pods));
    /// ```
    #[must_use]
    pub fn similar(&self) -> Option<BuiltIn> {
        similar(&self.name, names())?.parse().ok()
    }
}

/// An operation on the collector of a resource whose Rust type the caller does not know.
pub(crate) trait CollectorVisitor {
    type Output;

    fn visit<K: CollectedResource>(self, collector: Collector<K>) -> Self::Output;
}

// === impl BuiltIn ===

impl BuiltIn {
    /// The resources that are enabled by default.
    pub fn defaults() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|resource| resource.is_default())
    }

    /// The names and the scope of the resource.
    #[must_use]
    pub fn info(self) -> ResourceInfo {
        struct Info;
        impl CollectorVisitor for Info {
            type Output = ResourceInfo;
            fn visit<K: CollectedResource>(self, collector: Collector<K>) -> ResourceInfo {
                collector.resource().clone()
            }
        }
        self.visit(Info)
    }
}

impl From<BuiltIn> for ResourceName {
    fn from(resource: BuiltIn) -> Self {
        Self::from(resource.info())
    }
}

impl From<&BuiltIn> for ResourceName {
    fn from(resource: &BuiltIn) -> Self {
        Self::from(*resource)
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BuiltIn {
    type Err = UnknownResource;

    fn from_str(name: &str) -> Result<Self, UnknownResource> {
        (Self::ALL
            .iter()
            .copied()
            .find(|resource| resource.name() == name))
        .ok_or_else(|| UnknownResource { name: name.into() })
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    BuiltIn::ALL.iter().map(|resource| resource.name())
}
