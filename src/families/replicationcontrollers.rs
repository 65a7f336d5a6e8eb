//! `replicationcontrollers`.

use k8s_openapi::api::core::v1::ReplicationController;

use crate::Collector;

/// The families of replicationcontrollers.
#[must_use]
pub fn replicationcontrollers() -> Collector<ReplicationController> {
    Collector::new()
}
