//! `replicasets`.

use k8s_openapi::api::apps::v1::ReplicaSet;

use crate::Collector;

/// The families of replicasets.
#[must_use]
pub fn replicasets() -> Collector<ReplicaSet> {
    Collector::new()
}
