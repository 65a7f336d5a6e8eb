//! `volumeattachments`.

use k8s_openapi::api::storage::v1::VolumeAttachment;

use crate::Collector;

/// The families of volumeattachments.
#[must_use]
pub fn volumeattachments() -> Collector<VolumeAttachment> {
    Collector::new()
}
