//! What went wrong while metrics were evaluated: counted per family, never logged per object.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// How often a family of a resource could not read a value.
///
/// A broken value costs only the sample concerned.
///
/// ```
/// use kube_state_metrics::registry::check::check;
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
    /// [What tells the resource apart](crate::resource::ResourceInfo::label): `widgets.v1.acme.dev`.
    pub resource: String,
    /// The family's name.
    pub family: String,
    /// How often since the collector was made; an object counts again whenever it is applied.
    pub count: u64,
    /// The first few, each once: which object, and what is wrong.
    pub examples: Vec<String>,
    /// The configured `errorLogV`: from which verbosity on the first is worth a log line.
    pub level: i32,
}

/// Counts the errors of one family.
#[derive(Debug, Default)]
pub(super) struct Counter {
    count: AtomicU64,
    examples: Mutex<Vec<String>>,
}

/// Most examples that are kept.
const EXAMPLES: usize = 16;
/// Errors that are looked at for examples; afterwards they are counted only.
const LOOKED_AT: u64 = 256;

impl Counter {
    pub(super) fn record(&self, message: impl FnOnce() -> String) {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before >= LOOKED_AT {
            return;
        }
        let message = message();
        let mut examples = self.examples.lock();
        if examples.len() < EXAMPLES && !examples.contains(&message) {
            examples.push(message);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn examples(&self) -> Vec<String> {
        self.examples.lock().clone()
    }
}
