//! [`StoreStats`], and the counters that they are read from.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::family::DropCounts;

/// The size of a store, and counts of its events since it was made.
///
/// ```
/// use k8s_openapi::api::core::v1::Node;
/// use kube_state_metrics::{MetricsStore, families};
/// use serde_json::json;
///
/// let node: Node = serde_json::from_value(json!({ "metadata": { "name": "a" } }))?;
/// let store = MetricsStore::new(families::nodes());
/// assert_eq!(store.resource().plural(), "nodes");
/// let mut writer = store.writer();
/// writer.apply_object(&node);
/// writer.apply_object(&node);
/// let stats = store.stats();
/// assert_eq!((stats.objects, stats.changed, stats.unchanged), (1, 1, 1));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Objects stored now.
    pub objects: u64,
    /// Series stored now, over all families.
    pub series: u64,
    /// Memory held by rows and columns now, in bytes.
    pub memory_bytes: u64,
    /// Objects applied that changed at least one sample, or were new.
    pub changed: u64,
    /// Objects applied whose samples were the same as before.
    pub unchanged: u64,
    /// Objects deleted one by one.
    pub deleted: u64,
    /// Applies and deletes ignored because the store had a newer version of the object.
    pub stale: u64,
    /// Lists completed.
    pub relists: u64,
    /// Objects that a list no longer named.
    pub swept: u64,
    /// Samples dropped because their object had an equal series already.
    pub duplicates: u64,
    /// Samples of counters dropped because their value was negative or not a number.
    pub invalid_counters: u64,
    /// Generators and base labels that panicked, each of which cost one object's samples of one
    /// family, or one label its value.
    pub panics: u64,
    /// Objects that could not be decoded because their bytes were not JSON.
    pub decode_syntax_errors: u64,
    /// Objects that could not be decoded because a field did not fit their kind.
    pub decode_field_errors: u64,
}

/// Counts of the events of one store.
#[derive(Debug, Default)]
pub(super) struct StoreCounters {
    pub(super) changed: Counter,
    pub(super) unchanged: Counter,
    pub(super) deleted: Counter,
    pub(super) stale: Counter,
    pub(super) relists: Counter,
    pub(super) swept: Counter,
    duplicates: Counter,
    invalid_counters: Counter,
    panics: Counter,
    pub(super) decode_syntax: Counter,
    pub(super) decode_field: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

// === impl StoreCounters ===

impl StoreCounters {
    /// Counts what the policy of the families dropped of one object.
    pub(super) fn count_dropped(&self, dropped: DropCounts) {
        self.duplicates.add(dropped.repeated_series);
        self.invalid_counters.add(dropped.invalid_counters);
        self.panics.add(dropped.panics);
    }

    /// The counts as they are now; the sizes of the store are left at 0.
    pub(super) fn stats(&self) -> StoreStats {
        StoreStats {
            changed: self.changed.get(),
            unchanged: self.unchanged.get(),
            deleted: self.deleted.get(),
            stale: self.stale.get(),
            relists: self.relists.get(),
            swept: self.swept.get(),
            duplicates: self.duplicates.get(),
            invalid_counters: self.invalid_counters.get(),
            panics: self.panics.get(),
            decode_syntax_errors: self.decode_syntax.get(),
            decode_field_errors: self.decode_field.get(),
            ..StoreStats::default()
        }
    }
}

// === impl Counter ===

impl Counter {
    pub(super) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
