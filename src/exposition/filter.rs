//! [`ExpositionFilter`]: the resources, namespaces and families that an exposition includes.

use std::collections::BTreeSet;

use super::family_rows::FamilyRows;
use crate::resource::ResourceInfo;

/// The resources, namespaces and families that an exposition includes. The default includes all.
///
/// ```
/// use kube_state_metrics::exposition::ExpositionFilter;
///
/// let filter = ExpositionFilter::default().resources(["pods"]).namespaces(["shop"]);
/// assert!(!filter.is_everything());
/// ```
///
/// A filter can also exclude resources, and include only some families:
///
/// ```
/// use kube_state_metrics::exposition::ExpositionFilter;
///
/// let filter = ExpositionFilter::default()
///     .exclude_resources(["secrets"])
///     .families(["kube_pod_info", "kube_node_info"]);
/// assert_ne!(filter, ExpositionFilter::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpositionFilter {
    // A client can request thousands of names, and the filter searches in these names for each object. So the names are
    // in sets.
    resources: Option<BTreeSet<String>>,
    excluded: BTreeSet<String>,
    namespaces: Option<BTreeSet<String>>,
    families: Option<BTreeSet<String>>,
}

// === impl ExpositionFilter ===

impl ExpositionFilter {
    /// Includes only the resources with these names. If the list is empty, the exposition is empty.
    ///
    /// A custom resource has three names: the plural (`widgets`), the plural with the group (`widgets.acme.dev`), and
    /// `acme.dev/v1, Resource=widgets`. The last name contains a comma. If the caller has split this name at the comma,
    /// the filter joins the two parts again.
    #[must_use]
    pub fn resources(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.resources = Some(rejoined(names));
        self
    }

    /// Excludes these resources.
    #[must_use]
    pub fn exclude_resources(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.excluded = rejoined(names);
        self
    }

    /// Includes only objects in these namespaces. Cluster-scoped objects are not included.
    #[must_use]
    pub fn namespaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.namespaces = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Includes only families with these names.
    #[must_use]
    pub fn families(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.families = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether the filter includes everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a response also contains the metrics of the embedding program. If the filter selects resources,
    /// namespaces or families, the client wants only some metrics. In this case, the response does not contain the
    /// metrics of the embedding program.
    #[cfg(feature = "http")]
    pub(crate) fn includes_host_metrics(&self) -> bool {
        self.resources.is_none() && self.namespaces.is_none() && self.families.is_none()
    }

    pub(super) fn includes_resource(&self, resource: &ResourceInfo) -> bool {
        let is_in = |names: &BTreeSet<String>| {
            !names.is_empty()
                && (names.contains(resource.plural())
                    || names.contains(&*resource.name())
                    || resource.is_configured() && names.contains(&resource.to_string()))
        };
        self.resources.as_ref().is_none_or(is_in) && !is_in(&self.excluded)
    }

    pub(super) fn includes_family(&self, name: &str) -> bool {
        self.families
            .as_ref()
            .is_none_or(|names| names.contains(name))
    }

    /// Whether the filter includes the object with this key (`namespace/name` or `name`).
    fn includes_key(&self, key: &str) -> bool {
        let Some(names) = &self.namespaces else {
            return true;
        };
        let namespace = key.split_once('/').map(|(namespace, _)| namespace);
        namespace.is_some_and(|namespace| names.contains(namespace))
    }

    /// Whether the filter includes the object of a row.
    pub(super) fn includes_row(&self, rows: &FamilyRows<'_>, row: usize) -> bool {
        !self.has_namespaces() || self.includes_key(rows.page.key(row))
    }

    /// Whether the filter selects namespaces. If it does, it can include some objects of a resource and exclude others.
    pub(super) fn has_namespaces(&self) -> bool {
        self.namespaces.is_some()
    }
}

/// If a name was split into `group/version` and `Resource=plural`, joins the two parts.
fn rejoined(names: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    let mut joined: Vec<String> = Vec::new();
    for name in names.into_iter().map(Into::into) {
        match joined.last_mut() {
            Some(last) if last.contains('/') && name.trim_start().starts_with("Resource=") => {
                last.push_str(", ");
                last.push_str(name.trim());
            }
            _ => joined.push(name),
        }
    }
    joined.into_iter().collect()
}
