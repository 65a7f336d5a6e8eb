//! [`DefinitionChanges`]: how many definitions of custom resources were added, updated and deleted.

#[cfg(any(feature = "manifests", feature = "watch"))]
use std::collections::BTreeMap;

/// The number of definitions of custom resources, and the numbers of added, updated and deleted definitions.
///
/// [`DefinitionMetrics::record`](crate::self_metrics::DefinitionMetrics::record) adds these numbers to metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefinitionChanges {
    /// Current number of definitions.
    pub known: usize,
    /// Number of new definitions.
    pub added: usize,
    /// Number of definitions that have changed.
    pub updated: usize,
    /// Number of definitions that no longer exist.
    pub deleted: usize,
}

// === impl DefinitionChanges ===

#[cfg(any(feature = "manifests", feature = "watch"))]
impl DefinitionChanges {
    /// Compares two sets of definitions by name. `is_updated` compares two definitions with the same name.
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
