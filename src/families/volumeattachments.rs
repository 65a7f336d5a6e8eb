//! The resource `volumeattachments`: its families show which volumes should be attached to nodes, and whether each
//! volume is attached.

use k8s_openapi::api::storage::v1::VolumeAttachment;

use super::common;
use crate::{Collector, Family};

/// The families of VolumeAttachments.
///
/// ```
/// use kube_state_metrics::families::volumeattachments;
///
/// assert!(volumeattachments().iter().any(|family| family.descriptor().name() == "kube_volumeattachment_labels"));
/// ```
#[must_use]
pub fn volumeattachments() -> Collector<VolumeAttachment> {
    type F = Family<VolumeAttachment>;
    Collector::new().families([
        F::gauge(
            "kube_volumeattachment_labels",
            "Always 1; `label_*` are all labels of the VolumeAttachment. The label allowlist \
             does not apply.",
        )
        .labels(["label_*"])
        .reads(["metadata.labels"])
        .generate(|attachment, s| {
            let labels = common::pairs(attachment.metadata.labels.as_ref());
            s.sample().map_labels("label", labels).value(1);
        }),
        F::gauge(
            "kube_volumeattachment_info",
            "Always 1 for each VolumeAttachment; the labels are its attacher (CSI driver) and \
             node.",
        )
        .labels(["attacher", "node"])
        .reads(["spec.attacher", "spec.nodeName"])
        .generate(|attachment, s| {
            s.label("attacher", &attachment.spec.attacher)
                .label("node", &attachment.spec.node_name)
                .value(1);
        }),
        F::gauge(
            "kube_volumeattachment_created",
            "Unix time when the VolumeAttachment was created, in seconds.",
        )
        .reads([common::CREATED])
        .generate(common::created),
        F::gauge(
            "kube_volumeattachment_spec_source_persistentvolume",
            "Always 1; `volumename` is the PersistentVolume to attach. Absent for inline volumes.",
        )
        .labels(["volumename"])
        .reads(["spec.source.persistentVolumeName"])
        .generate(|attachment, s| {
            if let Some(volume) = &attachment.spec.source.persistent_volume_name {
                s.label("volumename", volume).value(1);
            }
        }),
        F::gauge(
            "kube_volumeattachment_status_attached",
            "1 if the volume is attached to the node, otherwise 0.",
        )
        .reads(["status.attached"])
        .generate(|attachment, s| {
            s.value(
                attachment
                    .status
                    .as_ref()
                    .is_some_and(|status| status.attached),
            );
        }),
        F::gauge(
            "kube_volumeattachment_status_attachment_metadata",
            "Always 1 for each VolumeAttachment; `metadata_*` is the metadata that the attacher \
             returned.",
        )
        .labels(["metadata_*"])
        .reads(["status.attachmentMetadata"])
        .generate(|attachment, s| {
            let status = attachment.status.as_ref();
            let metadata = status.and_then(|status| status.attachment_metadata.as_ref());
            s.sample()
                .map_labels("metadata", common::pairs(metadata))
                .value(1);
        }),
    ])
}
