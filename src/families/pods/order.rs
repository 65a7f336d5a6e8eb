//! The order of the families of pods in the exposition.

use k8s_openapi::api::core::v1::Pod;

use crate::Family;

/// All families of pods, in the order of kube-state-metrics.
const ORDER: &[&str] = &[
    "kube_pod_completion_time",
    "kube_pod_container_info",
    "kube_pod_container_resource_limits",
    "kube_pod_container_resource_requests",
    "kube_pod_container_state_started",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_status_last_terminated_exitcode",
    "kube_pod_container_status_last_terminated_timestamp",
    "kube_pod_container_status_ready",
    "kube_pod_container_status_restarts_total",
    "kube_pod_container_status_running",
    "kube_pod_container_status_terminated",
    "kube_pod_container_status_terminated_reason",
    "kube_pod_container_status_waiting",
    "kube_pod_container_status_waiting_reason",
    "kube_pod_created",
    "kube_pod_deletion_timestamp",
    "kube_pod_info",
    "kube_pod_ips",
    "kube_pod_init_container_info",
    "kube_pod_init_container_resource_limits",
    "kube_pod_init_container_resource_requests",
    "kube_pod_init_container_state_started",
    "kube_pod_init_container_status_last_terminated_reason",
    "kube_pod_init_container_status_last_terminated_exitcode",
    "kube_pod_init_container_status_last_terminated_timestamp",
    "kube_pod_init_container_status_ready",
    "kube_pod_init_container_status_restarts_total",
    "kube_pod_init_container_status_running",
    "kube_pod_init_container_status_terminated",
    "kube_pod_init_container_status_terminated_reason",
    "kube_pod_init_container_status_waiting",
    "kube_pod_init_container_status_waiting_reason",
    "kube_pod_annotations",
    "kube_pod_labels",
    "kube_pod_overhead_cpu_cores",
    "kube_pod_overhead_memory_bytes",
    "kube_pod_owner",
    "kube_pod_resourceclaim_info",
    "kube_pod_restart_policy",
    "kube_pod_runtimeclass_name_info",
    "kube_pod_spec_volumes_persistentvolumeclaims_info",
    "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
    "kube_pod_start_time",
    "kube_pod_status_phase",
    "kube_pod_status_qos_class",
    "kube_pod_status_ready",
    "kube_pod_status_ready_time",
    "kube_pod_status_initialized_time",
    "kube_pod_status_container_ready_time",
    "kube_pod_status_reason",
    "kube_pod_status_disruption_reason",
    "kube_pod_status_scheduled",
    "kube_pod_status_scheduled_time",
    "kube_pod_status_unschedulable",
    "kube_pod_status_unscheduled_time",
    "kube_pod_tolerations",
    "kube_pod_nodeselectors",
    "kube_pod_service_account",
    "kube_pod_scheduler",
];

/// Sorts families into the order of the exposition. Families that are not in [`ORDER`] come last.
pub(super) fn sort(families: &mut [Family<Pod>]) {
    families.sort_by_key(|family| {
        let name = family.descriptor().name();
        let index = ORDER.iter().position(|listed| *listed == name);
        index.unwrap_or(ORDER.len())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::pods;

    #[test]
    fn the_list_names_every_family_once() {
        let pods = pods();
        let families: Vec<_> = pods
            .iter()
            .map(|family| family.descriptor().name())
            .collect();
        assert_eq!(families, ORDER);
    }
}
