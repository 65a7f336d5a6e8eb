//! [`HostFed`]: the resources that the host feeds.

use crate::resource::{ResourceInfo, ResourceName};

/// The resources that the host feeds. The sources of the crate feed all other resources.
#[derive(Clone, Debug, Default)]
pub(super) struct HostFed {
    pub(super) all: bool,
    pub(super) names: Vec<ResourceName>,
}

// === impl HostFed ===

impl HostFed {
    pub(super) fn includes(&self, resource: &ResourceInfo) -> bool {
        self.all || self.names.iter().any(|name| name.matches(resource))
    }
}
