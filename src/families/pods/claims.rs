//! Families of a pod's claims: persistent volume claims and resource claims.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod};

use super::access::spec;
use crate::Family;
use crate::family::Samples;
use crate::family::sealed::WriteLabel;

/// The name of the claim of an ephemeral volume: the name of the pod, `-`, and the name of the volume.
struct EphemeralClaim<'a>(&'a str, &'a str);

/// Returns the families of this file.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_resourceclaim_info",
            "Always 1 for each ResourceClaim of the pod (dynamic resource allocation); \
             `resourceclaim_name` is empty until the claim exists.",
        )
        .labels([
            "claim_name",
            "resourceclaim_name",
            "resourceclaim_template_name",
        ])
        .reads([
            "spec.resourceClaims.name",
            "spec.resourceClaims.resourceClaimName",
            "spec.resourceClaims.resourceClaimTemplateName",
            "status.resourceClaimStatuses.name",
            "status.resourceClaimStatuses.resourceClaimName",
        ])
        .generate(resource_claims),
        F::gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            "Always 1 for each PersistentVolumeClaim (PVC) volume of the pod; `ephemeral` is \
             true if Kubernetes creates and deletes the claim with the pod.",
        )
        .stable()
        .labels(["volume", "persistentvolumeclaim", "ephemeral"])
        .reads([
            "spec.volumes.name",
            "spec.volumes.persistentVolumeClaim.claimName",
            "spec.volumes.ephemeral",
        ])
        .generate(|pod, s| claims(pod, s, |_| true)),
        F::gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
            "1 if the pod mounts the PersistentVolumeClaim (PVC) volume read-only, otherwise 0; \
             always 0 for ephemeral volumes.",
        )
        .stable()
        .labels(["volume", "persistentvolumeclaim", "ephemeral"])
        .reads([
            "spec.volumes.name",
            "spec.volumes.persistentVolumeClaim.claimName",
            "spec.volumes.persistentVolumeClaim.readOnly",
            "spec.volumes.ephemeral",
        ])
        .generate(|pod, s| {
            claims(pod, s, |claim| {
                claim.is_some_and(|claim| claim.read_only == Some(true))
            });
        }),
    ]
}

impl WriteLabel for EphemeralClaim<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.0.write_to(out);
        out.push(b'-');
        self.1.write_to(out);
    }
}

fn resource_claims(pod: &Pod, s: &mut Samples<'_>) {
    let status = pod.status.as_ref();
    let made = status.and_then(|status| status.resource_claim_statuses.as_deref());
    let made = made.unwrap_or_default();
    let claims = spec(pod).and_then(|spec| spec.resource_claims.as_ref());
    for claim in claims.into_iter().flatten() {
        let name = claim.resource_claim_name.as_ref();
        let template = claim.resource_claim_template_name.as_ref();
        if name.is_none() && template.is_none() {
            continue;
        }
        let from_template = || {
            let mut same = made.iter().rev().filter(|status| status.name == claim.name);
            same.find_map(|status| status.resource_claim_name.as_ref())
        };
        s.label("claim_name", &claim.name)
            .label("resourceclaim_name", name.or_else(from_template))
            .label("resourceclaim_template_name", template)
            .value(1);
    }
}

/// Writes one sample per volume that uses a PersistentVolumeClaim. `value` receives the volume source, which names the
/// claim. For an ephemeral volume, `value` receives `None`, because the pod does not name the claim: Kubernetes creates
/// it.
fn claims(
    pod: &Pod,
    s: &mut Samples<'_>,
    value: impl Fn(Option<&PersistentVolumeClaimVolumeSource>) -> bool,
) {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = spec(pod).and_then(|spec| spec.volumes.as_ref());
    for volume in volumes.into_iter().flatten() {
        if let Some(claim) = &volume.persistent_volume_claim {
            s.label("volume", &volume.name)
                .label("persistentvolumeclaim", &claim.claim_name)
                .label("ephemeral", false)
                .value(value(Some(claim)));
        } else if volume.ephemeral.is_some() {
            let claim = EphemeralClaim(pod_name, &volume.name);
            s.label("volume", &volume.name)
                .label("persistentvolumeclaim", claim)
                .label("ephemeral", true)
                .value(value(None));
        }
    }
}
