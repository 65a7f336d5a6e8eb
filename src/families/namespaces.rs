//! The resource `namespaces`: its families show the phase and the conditions of each namespace.

use k8s_openapi::api::core::v1::Namespace;

use super::common;
use crate::family::{Samples, Stability};
use crate::{Collector, Family};

/// The families of namespaces.
///
/// ```
/// use kube_state_metrics::families::namespaces;
///
/// assert!(namespaces().iter().any(|family| family.descriptor().name() == "kube_namespace_created"));
/// ```
#[must_use]
pub fn namespaces() -> Collector<Namespace> {
    type F = Family<Namespace>;
    Collector::new().families([
        F::gauge(
            "kube_namespace_created",
            "Unix time when the namespace was created, in seconds.",
        )
        .stable()
        .reads([common::CREATED])
        .generate(common::created),
        common::annotations("kube_namespace_annotations", "namespace", Stability::Alpha),
        common::labels("kube_namespace_labels", "namespace", Stability::Stable),
        F::gauge(
            "kube_namespace_status_phase",
            "Phase of the namespace (Active, Terminating): 1 for the current phase, otherwise 0.",
        )
        .stable()
        .labels(["phase"])
        .reads(["status.phase"])
        .search_words(["stuck", "deleting"])
        .generate(|namespace, s| {
            let status = namespace.status.as_ref();
            let phase = status.and_then(|status| status.phase.as_deref());
            s.state_set(
                "phase",
                &["Active", "Terminating"],
                phase.unwrap_or_default(),
            );
        }),
        F::gauge(
            "kube_namespace_status_condition",
            "Conditions of the namespace, such as deletion failures: 1 for the current \
             `status`, otherwise 0. Absent if the namespace has no conditions.",
        )
        .labels(["condition", "status"])
        .reads(["status.conditions.type", "status.conditions.status"])
        .generate(conditions),
    ])
}

fn conditions(namespace: &Namespace, s: &mut Samples<'_>) {
    let status = namespace.status.as_ref();
    for condition in status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
    {
        common::condition(s, "status", &condition.status, |s| {
            s.label("condition", &condition.type_)
        });
    }
}
