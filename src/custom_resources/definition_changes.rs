//! [`DefinitionChanges`]: how many definitions of custom resources were added, updated and deleted.

#[cfg(any(feature = "manifests", feature = "watch"))]
use std::collections::BTreeMap;

/// The number of CustomResourceDefinitions, and how many of them were added, updated and deleted.
///
/// [`DefinitionMetrics::record`](crate::self_metrics::DefinitionMetrics::record) adds these numbers to metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefinitionChanges {
    /// Current number of CustomResourceDefinitions.
    pub known: usize,
    /// Number of new CustomResourceDefinitions.
    pub added: usize,
    /// Number of CustomResourceDefinitions that have changed.
    pub updated: usize,
    /// Number of CustomResourceDefinitions that no longer exist.
    pub deleted: usize,
}

// === impl DefinitionChanges ===

#[cfg(any(feature = "manifests", feature = "watch"))]
impl DefinitionChanges {
    /// Compares two sets of CustomResourceDefinitions. The keys are their names. For two definitions with the same
    /// name, `is_updated` returns whether they differ.
    pub(crate) fn between<D>(
        before: &BTreeMap<String, D>,
        after: &BTreeMap<String, D>,
        is_updated: impl Fn(&D, &D) -> bool,
    ) -> Self {
        let added = after.keys().filter(|name| !before.contains_key(*name));
        let deleted = before.keys().filter(|name| !after.contains_key(*name));
        let updated = after.iter().filter(|(name, new)| {
            let old = before.get(*name);
            old.is_some_and(|old| is_updated(old, new))
        });
        Self {
            known: after.len(),
            added: added.count(),
            updated: updated.count(),
            deleted: deleted.count(),
        }
    }
}
