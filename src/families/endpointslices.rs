//! `endpointslices`.

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::Collector;

/// The families of endpointslices.
#[must_use]
pub fn endpointslices() -> Collector<EndpointSlice> {
    Collector::new()
}
