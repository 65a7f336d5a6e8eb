//! [`LabelReport`]: the number of distinct values of each label of a family.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use kube_state_metrics::StateMetrics;
use kube_state_metrics::exposition::{ExpositionFilter, Format};
use serde::Serialize;

use super::abandoned::Abandoned;
use crate::humanize::visible;

/// The number of distinct values of each label of a family.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LabelReport {
    pub(crate) family: String,
    pub(crate) series: u64,
    pub(crate) labels: BTreeMap<String, usize>,
}

// === impl LabelReport ===

impl LabelReport {
    /// Counts the distinct values of each label of one family. Returns `None` if the client has disconnected.
    pub(super) fn new(metrics: &StateMetrics, family: &str, abandoned: &Abandoned) -> Option<Self> {
        let filter = ExpositionFilter::default().families([family]);
        let exposition = metrics.exposition(Format::Text, filter);
        let mut series = 0;
        // The code stores hashes instead of values, because hashes need less memory. Two different values almost never
        // have the same hash.
        let hasher = RandomState::new();
        let mut values: BTreeMap<&str, HashSet<u64>> = BTreeMap::new();
        for sample in exposition.samples() {
            series += 1;
            for (label, value) in sample.labels() {
                values
                    .entry(label)
                    .or_default()
                    .insert(hasher.hash_one(&*value));
            }
            if abandoned.at(series) {
                return None;
            }
        }
        let labels = values
            .into_iter()
            .map(|(label, values)| (label.to_owned(), values.len()));
        Some(Self {
            // The name comes from the request, so it may contain control characters, which `visible` escapes.
            family: visible(family.to_owned()),
            series,
            labels: labels.collect(),
        })
    }
}
