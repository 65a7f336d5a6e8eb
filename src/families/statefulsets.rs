//! `statefulsets`.

use k8s_openapi::api::apps::v1::StatefulSet;

use crate::Collector;

/// The families of statefulsets.
#[must_use]
pub fn statefulsets() -> Collector<StatefulSet> {
    Collector::new()
}
