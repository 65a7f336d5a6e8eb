//! `nodes`.

use k8s_openapi::api::core::v1::Node;

use crate::Collector;

/// The families of nodes.
#[must_use]
pub fn nodes() -> Collector<Node> {
    Collector::new()
}
