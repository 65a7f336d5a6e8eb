//! `limitranges`.

use k8s_openapi::api::core::v1::LimitRange;

use crate::Collector;

/// The families of limitranges.
#[must_use]
pub fn limitranges() -> Collector<LimitRange> {
    Collector::new()
}
