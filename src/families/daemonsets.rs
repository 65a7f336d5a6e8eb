//! `daemonsets`.

use k8s_openapi::api::apps::v1::DaemonSet;

use crate::Collector;

/// The families of daemonsets.
#[must_use]
pub fn daemonsets() -> Collector<DaemonSet> {
    Collector::new()
}
