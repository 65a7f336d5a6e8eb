//! Families of a pod's spec: overhead, restart policy, runtime class, service account.

use k8s_openapi::api::core::v1::Pod;

use super::access::spec;
use crate::Family;
use crate::families::common;

/// Returns the families of this file.
pub(super) fn families() -> Vec<Family<Pod>> {
    type F = Family<Pod>;
    vec![
        F::gauge(
            "kube_pod_overhead_cpu_cores",
            "CPU overhead of the pod in addition to its containers, in cores; absent if the pod \
             declares none.",
        )
        .reads(["spec.overhead.cpu"])
        .generate(|pod, s| {
            let overhead = spec(pod).and_then(|spec| spec.overhead.as_ref());
            s.maybe_value(common::quantity(overhead, "cpu").and_then(|cpu| cpu.milli()));
        }),
        F::gauge(
            "kube_pod_overhead_memory_bytes",
            "Memory overhead of the pod in addition to its containers, in bytes; absent if the \
             pod declares none.",
        )
        .reads(["spec.overhead.memory"])
        .generate(|pod, s| {
            let overhead = spec(pod).and_then(|spec| spec.overhead.as_ref());
            s.maybe_value(common::quantity(overhead, "memory").and_then(|memory| memory.whole()));
        }),
        F::gauge(
            "kube_pod_restart_policy",
            "Always 1 for each pod; `type` is its restart policy: Always, OnFailure or Never.",
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
            "Always 1 for each pod with a runtime class; `runtimeclass_name` is its name. Absent \
             for other pods.",
        )
        .labels(["runtimeclass_name"])
        .reads(["spec.runtimeClassName"])
        .generate(|pod, s| {
            if let Some(class) = spec(pod).and_then(|spec| spec.runtime_class_name.as_ref()) {
                s.label("runtimeclass_name", class).value(1);
            }
        }),
        F::gauge(
            "kube_pod_service_account",
            "Always 1 for each pod; `service_account` is the ServiceAccount that it uses.",
        )
        .labels(["service_account"])
        .reads(["spec.serviceAccountName"])
        .generate(|pod, s| {
            let account = spec(pod).and_then(|spec| spec.service_account_name.as_ref());
            s.label("service_account", account).value(1);
        }),
    ]
}
