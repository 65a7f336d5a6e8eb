//! Families of what a pod's owner and spec say: labels, claims, volumes, scheduling.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodSpec};

use crate::families::common;
use crate::family::sealed::WriteLabel;
use crate::{Family, Samples, Stability};

/// The name of the claim that is made for an ephemeral volume: pod and volume.
struct EphemeralClaim<'a>(&'a str, &'a str);

/// The families up to the start of the pod, in the order of the exposition.
pub(super) fn families() -> [Family<Pod>; 11] {
    type F = Family<Pod>;
    [
        common::annotations("kube_pod_annotations", "pod", Stability::Alpha),
        common::labels("kube_pod_labels", "pod", Stability::Stable),
        F::gauge(
            "kube_pod_overhead_cpu_cores",
            "Processor time that running the pod costs besides its containers, in cores; absent \
             where none is declared.",
        )
        .reads(["spec.overhead.cpu"])
        .generate(|pod, s| {
            let overhead = spec(pod).and_then(|spec| spec.overhead.as_ref());
            s.maybe_value(common::quantity(overhead, "cpu").and_then(|cpu| cpu.milli()));
        }),
        F::gauge(
            "kube_pod_overhead_memory_bytes",
            "Memory that running the pod costs besides its containers, in bytes; absent where none \
             is declared.",
        )
        .reads(["spec.overhead.memory"])
        .generate(|pod, s| {
            let overhead = spec(pod).and_then(|spec| spec.overhead.as_ref());
            s.maybe_value(common::quantity(overhead, "memory").and_then(|memory| memory.whole()));
        }),
        F::gauge(
            "kube_pod_owner",
            "Always 1, one sample per owner of the pod; one with empty labels where it has none.",
        )
        .stable()
        .labels(["owner_kind", "owner_name", "owner_is_controller"])
        .reads([common::OWNERS])
        .generate(common::owners),
        F::gauge(
            "kube_pod_resourceclaim_info",
            "Always 1, one sample per claim of the pod to devices; `resourceclaim_name` is empty \
             until a claim is made from its template.",
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
            "kube_pod_restart_policy",
            "Always 1; `type` is the restart policy of the pod's containers.",
        )
        .stable()
        .labels(["type"])
        .reads(["spec.restartPolicy"])
        .generate(|pod, s| {
            let policy = spec(pod).and_then(|spec| spec.restart_policy.as_ref());
            s.label("type", policy).value(1);
        }),
        F::gauge(
            "kube_pod_runtimeclass_name_info",
            "Always 1; `runtimeclass_name` is the runtime class of the pod. Absent where it has \
             none.",
        )
        .labels(["runtimeclass_name"])
        .reads(["spec.runtimeClassName"])
        .generate(|pod, s| {
            if let Some(class) = spec(pod).and_then(|spec| spec.runtime_class_name.as_ref()) {
                s.label("runtimeclass_name", class).value(1);
            }
        }),
        F::gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            "Always 1, one sample per volume of the pod that a persistent volume claim backs; \
             `ephemeral` says whether the claim was made for the pod.",
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
            "Whether the pod forces its volume from a persistent volume claim to be read-only: 1 \
             or 0.",
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
        F::gauge(
            "kube_pod_start_time",
            "Unix time at which a kubelet took the pod up, in seconds; absent before.",
        )
        .stable()
        .reads(["status.startTime"])
        .generate(|pod, s| {
            let status = pod.status.as_ref();
            let started = status.and_then(|status| status.start_time.as_ref());
            s.maybe_value(common::unix(started));
        }),
    ]
}

/// The families that follow those of the status, in the order of the exposition.
pub(super) fn scheduling_families() -> [Family<Pod>; 4] {
    type F = Family<Pod>;
    [
        F::gauge(
            "kube_pod_tolerations",
            "Always 1, one sample per distinct toleration of the pod; `toleration_seconds` is \
             empty where it holds for ever.",
        )
        .labels(["key", "operator", "value", "effect", "toleration_seconds"])
        .reads([
            "spec.tolerations.key",
            "spec.tolerations.operator",
            "spec.tolerations.value",
            "spec.tolerations.effect",
            "spec.tolerations.tolerationSeconds",
        ])
        .generate(tolerations),
        F::gauge(
            "kube_pod_nodeselectors",
            "Always 1; the labels are those that a node must have to run the pod.",
        )
        .opt_in()
        .labels(["nodeselector_*"])
        .reads(["spec.nodeSelector"])
        .generate(|pod, s| {
            let selector = spec(pod).and_then(|spec| spec.node_selector.as_ref());
            s.sample()
                .map_labels("nodeselector", common::pairs(selector))
                .value(1);
        }),
        F::gauge(
            "kube_pod_service_account",
            "Always 1; `service_account` is the service account that the pod acts as.",
        )
        .labels(["service_account"])
        .reads(["spec.serviceAccountName"])
        .generate(|pod, s| {
            let account = spec(pod).and_then(|spec| spec.service_account_name.as_ref());
            s.label("service_account", account).value(1);
        }),
        F::gauge(
            "kube_pod_scheduler",
            "Always 1; `name` is the scheduler that finds a node for the pod.",
        )
        .labels(["name"])
        .reads(["spec.schedulerName"])
        .generate(|pod, s| {
            let scheduler = spec(pod).and_then(|spec| spec.scheduler_name.as_ref());
            s.label("name", scheduler).value(1);
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

fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
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

/// One sample per volume from a persistent volume claim; `value` gets the source that names it, and
/// nothing for an ephemeral volume, whose claim is made for the pod.
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

fn tolerations(pod: &Pod, s: &mut Samples<'_>) {
    let tolerations = spec(pod).and_then(|spec| spec.tolerations.as_ref());
    for toleration in tolerations.into_iter().flatten() {
        s.label("key", toleration.key.as_ref())
            .label("operator", toleration.operator.as_ref())
            .label("value", toleration.value.as_ref())
            .label("effect", toleration.effect.as_ref())
            .label("toleration_seconds", toleration.toleration_seconds)
            .value(1);
    }
}
