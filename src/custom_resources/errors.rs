//! Errors in the evaluation of metrics. Each family counts its errors. The errors are not logged for each object.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::resource::ResourceInfo;

/// The errors of one family: the number of values that the family could not read.
///
/// If a value cannot be read, only the sample of this value is missing.
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
    /// [The unique name of the resource](crate::resource::ResourceInfo::label):
    /// `widgets.v1.acme.dev`.
    pub resource: String,
    /// The family's name.
    pub family: String,
    /// The number of errors since the creation of the collector. Each time an object is stored, the errors of this
    /// object are added.
    pub count: u64,
    /// Some of the first errors, without duplicates. Each text contains the name of its object.
    pub examples: Vec<String>,
    /// The setting `errorLogV`: the minimum log verbosity at which the exporter logs the first error.
    pub level: i32,
}

/// Counts the errors of one family.
#[derive(Debug, Default)]
pub(super) struct Counter {
    count: AtomicU64,
    examples: Mutex<Vec<String>>,
    /// Notes about values that are unexpected but not errors. Notes contain values of objects, so only the subcommand
    /// `check` collects notes.
    notes: Mutex<Option<Vec<String>>>,
    /// Whether the objects are Secrets, so that notes must not contain their values.
    of_secrets: bool,
}

/// Maximum number of examples of errors.
const EXAMPLES: usize = 16;
/// The number of first errors that can become examples. Later errors are only counted.
const LOOKED_AT: u64 = 256;

impl Counter {
    /// Creates a counter for objects of a kind.
    pub(super) fn of(resource: &ResourceInfo) -> Self {
        let of_secrets = resource.group().is_empty() && resource.kind() == "Secret";
        Self {
            of_secrets,
            ..Self::default()
        }
    }

    pub(super) fn is_of_secrets(&self) -> bool {
        self.of_secrets
    }

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

    pub(super) fn collect_notes(&self) {
        self.notes.lock().get_or_insert_default();
    }

    pub(super) fn note(&self, message: impl FnOnce() -> String) {
        if let Some(notes) = &mut *self.notes.lock()
            && notes.len() < EXAMPLES
        {
            notes.push(message());
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.lock().clone().unwrap_or_default()
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn examples(&self) -> Vec<String> {
        self.examples.lock().clone()
    }
}
