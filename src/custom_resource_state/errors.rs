//! What went wrong while metrics were evaluated: counted per family, never logged per object.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a family of a resource could not read a value.
///
/// A broken value costs only the sample concerned.
///
/// ```
/// use kube_state_metrics::custom_resource_state::check;
/// use serde_json::json;
///
/// let report = check("
/// spec:
///   resources:
///   - groupVersionKind: { group: acme.dev, version: v1, kind: Widget }
///     metrics:
///     - { name: size, help: Size., each: { type: Gauge, gauge: { path: [spec, size] } } }
/// ", [json!({ "apiVersion": "acme.dev/v1", "kind": "Widget", "spec": { "size": "large" } })]);
/// assert_eq!(report.unread.len(), 1);
/// assert_eq!(report.unread[0].family, "kube_customresource_size");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FamilyErrors {
    /// `group/version, Resource=plural`.
    pub resource: String,
    /// The family's name.
    pub family: String,
    /// How often since the collector was made; an object counts again whenever it is applied.
    pub count: u64,
    /// The first of them: which object, and what is wrong.
    pub first: Option<String>,
    /// The configured `errorLogV`: from which verbosity on the first is worth a log line.
    pub level: i32,
}

/// Counts the errors of one family.
#[derive(Debug, Default)]
pub(super) struct Counter {
    count: AtomicU64,
    first: OnceLock<String>,
}

impl Counter {
    pub(super) fn record(&self, message: impl FnOnce() -> String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.first.get_or_init(message);
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.first.get().map(String::as_str)
    }
}
