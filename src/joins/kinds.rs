//! [`SourceKind`]: the kinds of objects from which labels are joined.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Node};

use crate::resource::ResourceInfo;

/// A kind of objects from which labels are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SourceKind {
    Namespace,
    Node,
    ReplicaSet,
    Job,
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
}

// === impl SourceKind ===

impl SourceKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Namespace,
        Self::Node,
        Self::ReplicaSet,
        Self::Job,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::CronJob,
    ];

    /// The kind of a resource; `None` if labels cannot be joined from its objects.
    pub(crate) fn of(resource: &ResourceInfo) -> Option<Self> {
        let kind = Self::named(resource.group(), resource.kind())?;
        (kind.info().plural() == resource.plural()).then_some(kind)
    }

    /// The kind with this group and name; `None` if labels cannot be joined from objects of this kind.
    pub(super) fn named(group: &str, name: &str) -> Option<Self> {
        let kind = match (group, name) {
            ("", "Namespace") => Self::Namespace,
            ("", "Node") => Self::Node,
            ("apps", "ReplicaSet") => Self::ReplicaSet,
            ("batch", "Job") => Self::Job,
            ("apps", "Deployment") => Self::Deployment,
            ("apps", "StatefulSet") => Self::StatefulSet,
            ("apps", "DaemonSet") => Self::DaemonSet,
            ("batch", "CronJob") => Self::CronJob,
            _ => return None,
        };
        Some(kind)
    }

    pub(crate) fn info(self) -> ResourceInfo {
        match self {
            Self::Namespace => ResourceInfo::of::<Namespace>(),
            Self::Node => ResourceInfo::of::<Node>(),
            Self::ReplicaSet => ResourceInfo::of::<ReplicaSet>(),
            Self::Job => ResourceInfo::of::<Job>(),
            Self::Deployment => ResourceInfo::of::<Deployment>(),
            Self::StatefulSet => ResourceInfo::of::<StatefulSet>(),
            Self::DaemonSet => ResourceInfo::of::<DaemonSet>(),
            Self::CronJob => ResourceInfo::of::<CronJob>(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
        }
    }

    /// Whether the kind is ReplicaSet or Job. If such an object has a controller, this controller counts as the
    /// workload.
    pub(super) fn is_intermediate(self) -> bool {
        matches!(self, Self::ReplicaSet | Self::Job)
    }

    pub(super) fn is_workload(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node)
    }

    /// The byte that represents the kind in a stored [`Reference`](super::reference::Reference).
    pub(super) fn code(self) -> u8 {
        b'a' + self as u8
    }

    /// The kind that a byte in a stored [`Reference`](super::reference::Reference) represents.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        let index = code.checked_sub(b'a')?;
        Self::ALL.get(usize::from(index)).copied()
    }
}
