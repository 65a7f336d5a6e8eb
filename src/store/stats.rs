//! [`StoreStats`]: the size of a store, with counts of its changes and errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::table::Applied;
use crate::family::DropCounts;
use crate::limits::{Limit, LimitCounter};

/// The size of a store, and counts of its changes and errors since the store was created.
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
    /// Current number of objects.
    pub objects: u64,
    /// Current number of series, over all families.
    pub series: u64,
    /// Current memory of rows and columns, in bytes.
    pub memory_bytes: u64,
    /// Applied objects that were new, or whose samples changed.
    pub changed: u64,
    /// Applied objects whose samples did not change.
    pub unchanged: u64,
    /// Objects that were removed by single deletes. Objects that were removed at the end of a list are not included.
    pub deleted: u64,
    /// Applies and deletes that were ignored because the store had a newer version of the object.
    pub stale: u64,
    /// Completed lists.
    pub relists: u64,
    /// Objects that were removed because a list did not contain them.
    pub swept: u64,
    /// Samples that were dropped because the object already had a sample with the same name and labels.
    pub duplicates: u64,
    /// Samples of counters that were dropped because the value was negative or not a number.
    pub invalid_counters: u64,
    /// Panics of generators and base labels. Each panic removes the samples of one object in one family, or the value
    /// of one label.
    pub panics: u64,
    /// Joined labels that were not added to samples of applied objects, because the object has a label with the same
    /// name.
    pub joined_labels_replaced: u64,
    /// Families of applied objects that lost samples because of
    /// [`Limits::samples_per_family`](crate::registry::Limits::samples_per_family).
    pub over_sample_limit: u64,
    /// Families of applied objects that lost labels because of
    /// [`Limits::labels_per_sample`](crate::registry::Limits::labels_per_sample).
    pub over_label_limit: u64,
    /// Families of applied objects that lost samples because of
    /// [`Limits::text_per_object`](crate::registry::Limits::text_per_object). Objects that lost their joined labels
    /// because of this limit also count.
    pub over_text_limit: u64,
    /// Families of applied objects that lost samples because of
    /// [`Limits::expression_cost`](crate::registry::Limits::expression_cost).
    pub over_expression_limit: u64,
    /// Objects that could not be decoded because their bytes were not valid JSON or protobuf.
    pub decode_syntax_errors: u64,
    /// Objects that could not be decoded because a field was missing, or had a wrong type or an invalid value.
    pub decode_field_errors: u64,
}

/// A limit that objects of a store have exceeded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExceededLimit {
    /// The exceeded limit.
    pub limit: Limit,
    /// How often objects have exceeded the limit since the store was created. A field of [`StoreStats`] has the same
    /// number.
    pub count: u64,
    /// The first object that exceeded the limit, as `namespace/name` or `name`. A text of more than 1 KiB is truncated.
    pub first_object: String,
}

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
    joined_labels: Counter,
    over_sample_limit: LimitCounter,
    over_label_limit: LimitCounter,
    /// The store shares this counter with the code that writes joined labels.
    over_text_limit: Arc<LimitCounter>,
    over_expression_limit: LimitCounter,
    pub(super) decode_syntax: Counter,
    pub(super) decode_field: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

// === impl StoreCounters ===

impl StoreCounters {
    /// Creates counters. The code that writes joined labels also increments `over_text_limit`, if an object loses its
    /// joined labels.
    pub(super) fn new(over_text_limit: Arc<LimitCounter>) -> Self {
        Self {
            over_text_limit,
            ..Self::default()
        }
    }

    /// Counts an object that was applied to a table.
    pub(super) fn count(&self, applied: Applied) {
        match applied {
            Applied::Inserted | Applied::Updated => self.changed.add(1),
            Applied::Unchanged => self.unchanged.add(1),
            Applied::Stale => self.stale.add(1),
        }
    }

    /// Counts the dropped samples and labels of the object with this key.
    pub(super) fn count_dropped(&self, key: &str, dropped: DropCounts) {
        self.duplicates.add(dropped.repeated_series);
        self.invalid_counters.add(dropped.invalid_counters);
        self.panics.add(dropped.panics);
        self.joined_labels.add(dropped.joined_labels);
        self.over_sample_limit.add(dropped.over_sample_limit, key);
        self.over_label_limit.add(dropped.over_label_limit, key);
        self.over_text_limit.add(dropped.over_text_limit, key);
        let over_expression_limit = dropped.over_expression_limit;
        self.over_expression_limit.add(over_expression_limit, key);
    }

    /// The limits that objects have exceeded.
    pub(super) fn exceeded_limits(&self) -> Vec<ExceededLimit> {
        let exceeded = [
            (Limit::SamplesPerFamily, &self.over_sample_limit),
            (Limit::LabelsPerSample, &self.over_label_limit),
            (Limit::TextPerObject, &*self.over_text_limit),
            (Limit::ExpressionCost, &self.over_expression_limit),
        ];
        let exceeded = exceeded.into_iter().filter_map(|(limit, counter)| {
            Some(ExceededLimit {
                limit,
                count: counter.count(),
                first_object: counter.first_object()?.to_owned(),
            })
        });
        exceeded.collect()
    }

    /// Returns the current counts. The counters do not know the size of the store, so the result has 0 in the fields of
    /// the size.
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
            joined_labels_replaced: self.joined_labels.get(),
            over_sample_limit: self.over_sample_limit.count(),
            over_label_limit: self.over_label_limit.count(),
            over_text_limit: self.over_text_limit.count(),
            over_expression_limit: self.over_expression_limit.count(),
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
